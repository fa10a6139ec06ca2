//! The values that were seen to be secret, so that they are masked wherever they stand later; and the search for them.
//! Bounded: the oldest stay. A value is searched for as it is and in the shapes that programs give it (base64, JSON's escapes,
//! percent-encoding).

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem::Finder;

/// How many values are kept.
const MOST: usize = 1_000;
/// The shortest value that is learned at all.
const SHORTEST: usize = 4;
/// A longer value is learned in pieces of this length, so that the search never has to look far ahead: six times that, where
/// each of its bytes is a control character and written `\u0001`. A multiple of three.
const PIECE: usize = 1_023;
/// What of one value is learned at most, in bytes.
pub(super) const LONGEST_VALUE: usize = 64 * 1024;
/// Up to so many needles are searched for one by one, which is the faster way for few.
const FEW: usize = 12;

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// A header or a body of credentials: secret for certain, so learned even if it is weak.
    Credentials,
    /// The value of a secret name. Learned if it is strong: `postgres` and `true` are values of secret names too, and masking
    /// them everywhere would mask the names of images.
    Name,
}

/// What was learned, shared by all connections of a recorder.
pub(super) struct Learned {
    /// Grows with each value. Read without the lock: nearly always there is nothing new.
    count: AtomicU64,
    values: Mutex<Values>,
}

#[derive(Default)]
struct Values {
    list: Vec<Vec<u8>>,
    known: HashSet<Vec<u8>>,
    needles: Arc<Needles>,
    warned: bool,
}

impl Learned {
    pub(super) fn new() -> Self {
        Self { count: AtomicU64::new(0), values: Mutex::default() }
    }

    /// How many values were learned.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Learns a value, unless it is too weak, known, or there are too many.
    pub(super) fn learn(&self, value: &[u8], from: From) {
        let value = value.trim_ascii();
        let value = &value[..value.len().min(LONGEST_VALUE)];
        if value.len() < SHORTEST || is_mark(value) || (from == From::Name && !is_strong(value)) {
            return;
        }
        for piece in pieces(value) {
            self.learn_piece(piece);
        }
    }

    fn learn_piece(&self, piece: &[u8]) {
        let mut values = self.lock();
        if values.known.contains(piece) {
            return;
        }
        if values.list.len() >= MOST {
            if !std::mem::replace(&mut values.warned, true) {
                log::warn!("more than {MOST} secret values: later ones are masked by their names only");
            }
            return;
        }
        values.list.push(piece.to_vec());
        values.known.insert(piece.to_vec());
        self.count.store(values.list.len() as u64, Ordering::Release);
    }

    /// What to search for. Cheap if nothing was learned since `old` was given.
    pub(super) fn refresh(&self, old: &mut Arc<Needles>) {
        let count = self.count();
        if old.count == count {
            return;
        }
        let mut values = self.lock();
        if values.needles.count != values.list.len() as u64 {
            values.needles = Arc::new(Needles::of(&values.list));
        }
        *old = Arc::clone(&values.needles);
    }

    fn lock(&self) -> MutexGuard<'_, Values> {
        // A thread that panicked here left a whole list: every change to it is one call.
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the value of a secret name is one that can be masked wherever it stands.
fn is_strong(value: &[u8]) -> bool {
    // `$PASSWORD` refers to a secret and is none.
    let refers = value.first() == Some(&b'$');
    !refers && value.len() >= 6 && (value.len() >= 12 || !value.iter().all(u8::is_ascii_lowercase))
}

/// Whether that is what stands in place of a secret, and so no secret.
fn is_mark(value: &[u8]) -> bool {
    value.iter().all(|&b| b == b'*') || value == super::REDACTED.as_bytes()
}

/// Pieces of at most [`PIECE`] bytes, the last one not too short to be learned. Cut between characters where it is text, and after
/// a multiple of three bytes if that can be had, so that the base64 of the pieces is the base64 of the whole.
fn pieces(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = value;
    std::iter::from_fn(move || {
        let length = match rest.len() {
            0 => return None,
            n if n <= PIECE => n,
            n if n < PIECE + SHORTEST => cut(rest, PIECE - 3),
            _ => cut(rest, PIECE),
        };
        let piece;
        (piece, rest) = rest.split_at(length);
        Some(piece)
    })
}

fn cut(bytes: &[u8], at: usize) -> usize {
    let between = |at: &usize| bytes[*at] & 0xC0 != 0x80;
    let threes = (0..4).map(|n| at - 3 * n).find(between);
    threes.or_else(|| (0..4).map(|n| at - n).find(between)).unwrap_or(at)
}

/// The shapes in which a value is searched for. Without padding: what has it begins the same.
fn shapes(value: &[u8]) -> Vec<Vec<u8>> {
    let mut shapes = vec![
        value.to_vec(),
        STANDARD_NO_PAD.encode(value).into_bytes(),
        URL_SAFE_NO_PAD.encode(value).into_bytes(),
        super::target::encode(value, "%20").into_bytes(),
    ];
    if let Ok(text) = std::str::from_utf8(value)
        && let Ok(json) = serde_json::to_string(text)
    {
        let json = &json[1..json.len() - 1];
        // Go's encoder escapes these three besides.
        shapes.push(json.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e").into_bytes());
        shapes.push(json.as_bytes().to_vec());
    }
    shapes.sort();
    shapes.dedup();
    shapes
}

/// What is searched for, ready for it.
#[derive(Default)]
pub(super) struct Needles {
    count: u64,
    longest: usize,
    search: Search,
}

enum Search {
    Few(Vec<Finder<'static>>),
    Many(Box<Table>),
}

impl Default for Search {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Needles {
    fn of(values: &[Vec<u8>]) -> Self {
        let needles: HashSet<Vec<u8>> = values.iter().flat_map(|value| shapes(value)).collect();
        let longest = needles.iter().map(Vec::len).max().unwrap_or(0);
        let search = if needles.len() <= FEW {
            Search::Few(needles.iter().map(|needle| Finder::new(needle).into_owned()).collect())
        } else {
            Search::Many(Box::new(Table::of(needles)))
        };
        Self { count: values.len() as u64, longest, search }
    }

    /// How far the search must see ahead of a byte before that byte is settled.
    pub(super) fn ahead(&self) -> usize {
        self.longest.saturating_sub(1)
    }

    /// Every place where a value stands, those that overlap too.
    pub(super) fn find(&self, text: &[u8], mut found: impl FnMut(Range<usize>)) {
        match &self.search {
            Search::Few(finders) => {
                for finder in finders {
                    let mut from = 0;
                    while let Some(at) = finder.find(&text[from..]) {
                        let start = from + at;
                        found(start..start + finder.needle().len());
                        from = start + 1;
                    }
                }
            }
            Search::Many(table) => table.find(text, found),
        }
    }
}

/// Many needles in one pass: by their first four bytes, behind a filter of bits.
struct Table {
    filter: Box<[u64; 1024]>,
    buckets: HashMap<[u8; 4], Vec<Vec<u8>>>,
}

impl Table {
    fn of(needles: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut table = Self { filter: Box::new([0; 1024]), buckets: HashMap::new() };
        for needle in needles {
            let &[a, b, c, d, ..] = needle.as_slice() else { continue };
            let at = hash([a, b, c, d]);
            table.filter[at / 64] |= 1 << (at % 64);
            table.buckets.entry([a, b, c, d]).or_default().push(needle);
        }
        table
    }

    fn find(&self, text: &[u8], mut found: impl FnMut(Range<usize>)) {
        for (start, window) in text.windows(4).enumerate() {
            let head = [window[0], window[1], window[2], window[3]];
            let at = hash(head);
            if self.filter[at / 64] & (1 << (at % 64)) == 0 {
                continue;
            }
            for needle in self.buckets.get(&head).into_iter().flatten() {
                if text[start..].starts_with(needle) {
                    found(start..start + needle.len());
                }
            }
        }
    }
}

fn hash(head: [u8; 4]) -> usize {
    (u32::from_le_bytes(head).wrapping_mul(0x9E37_79B1) >> 16) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needles(learned: &Learned) -> Arc<Needles> {
        let mut needles = Arc::default();
        learned.refresh(&mut needles);
        needles
    }

    fn masked(needles: &Needles, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        needles.find(text.as_bytes(), |range| bytes[range].fill(b'*'));
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_is_learned() {
        for (value, from, want) in [
            ("postgres", From::Name, false),
            ("true", From::Name, false),
            ("1234", From::Name, false),
            ("changeme", From::Name, false),
            ("hunter2", From::Name, true),
            ("Postgres", From::Name, true),
            ("correcthorsebattery", From::Name, true),
            ("$DB_PASSWORD", From::Name, false),
            ("*********", From::Name, false),
            ("redacted", From::Credentials, false),
            ("abc", From::Credentials, false),
            ("abcd", From::Credentials, true),
            ("****", From::Credentials, false),
            ("  abcd\n", From::Credentials, true),
        ] {
            let learned = Learned::new();
            learned.learn(value.as_bytes(), from);
            assert_eq!(learned.count() == 1, want, "{value:?} from {from:?}");
            learned.learn(value.as_bytes(), from);
            assert!(learned.count() <= 1, "{value:?} is learned once");
        }
    }

    #[test]
    fn shapes_of_a_value() {
        let learned = Learned::new();
        learned.learn(b"pa?s>w\"\xc3\xb6rd&", From::Name);
        let needles = needles(&learned);
        for (text, want) in [
            ("x pa?s>w\"örd& y", "x ************ y"),
            ("x cGE/cz53IsO2cmQm y", "x **************** y"),
            ("x cGE_cz53IsO2cmQm y", "x **************** y"),
            (r#"pa?s>w\"örd&."#, "*************."),
            (r#"pa?s\u003ew\"örd\u0026."#, "***********************."),
            ("pa%3Fs%3Ew%22%C3%B6rd%26.", "************************."),
            ("pa?s>w", "pa?s>w"),
        ] {
            assert_eq!(masked(&needles, text), want, "{text}");
        }
    }

    #[test]
    fn few_and_many_find_the_same() {
        for count in [1, 3, 40] {
            let learned = Learned::new();
            for n in 0..count {
                learned.learn(format!("Secret-{n}-").as_bytes(), From::Name);
            }
            learned.learn(b"abab", From::Credentials);
            let needles = needles(&learned);
            assert_eq!(
                masked(&needles, "Secret-0-Secret-0-,Secret-,xababab"),
                "******************,Secret-,x******",
                "{count}"
            );
        }
    }

    #[test]
    fn bounded() {
        let learned = Learned::new();
        for n in 0..10_000 {
            learned.learn(format!("Value number {n:05}").as_bytes(), From::Name);
        }
        assert_eq!(learned.count(), MOST as u64);
        let needles = needles(&learned);
        assert_eq!(masked(&needles, "Value number 00000"), "******************", "the oldest stay");
        assert_eq!(masked(&needles, "Value number 09999"), "Value number 09999", "the newest are not kept");
    }

    #[test]
    fn long_values_in_pieces() {
        for length in [PIECE - 1, PIECE, PIECE + 1, PIECE + 5, 3 * PIECE + 2, LONGEST_VALUE] {
            let learned = Learned::new();
            let value: String = (0..length).map(|n| char::from(b'!' + (n * n % 89) as u8)).collect();
            learned.learn(value.as_bytes(), From::Name);
            let needles = needles(&learned);
            assert_eq!(masked(&needles, &value), "*".repeat(length), "{length}");
            assert!(needles.ahead() < 8 * 1024, "{length}: looks {} bytes ahead", needles.ahead());
        }
        let accents = "é".repeat(PIECE * 2 + 1);
        assert!(pieces(accents.as_bytes()).all(|piece| std::str::from_utf8(piece).is_ok()), "cut between characters");
        let odd = format!("a{accents}");
        assert!(pieces(odd.as_bytes()).all(|piece| std::str::from_utf8(piece).is_ok()), "cut between characters");
    }
}
