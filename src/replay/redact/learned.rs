//! The values that were seen to be secret, so that they are masked wherever they stand later; and the search for them.
//! Bounded: the oldest stay. A value is searched for as it is and in the shapes that programs give it (base64, JSON's escapes,
//! percent-encoding).

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memchr2;
use memchr::memmem::Finder;

/// How many values are kept.
const MOST: usize = 1_000;
/// The shortest value that is learned at all.
const SHORTEST: usize = 4;
/// The shortest value of a secret name that is learned.
const SHORTEST_STRONG: usize = 8;
/// A row of letters as long as this may be a password of several words.
const LONGEST_PLAIN_WORD: usize = 12;
/// A longer value is learned in pieces of this length, so that the search never has to look far ahead: six times that, where
/// each of its bytes is a control character and written `\u0001`. A multiple of three.
const PIECE: usize = 1_023;
/// What of one value is learned at most, in bytes.
pub(super) const LONGEST_VALUE: usize = 64 * 1024;
/// How long a byte is that is written as an escape, at most: `&quot;`. A few are longer; not all of a value is.
const LONGEST_ESCAPE: usize = 6;
/// The longest name or number of HTML that is looked at.
const LONGEST_ENTITY: usize = 8;
/// An escape within an escape: `%2526`, `&amp;lt;`.
const TWICE: usize = 2;
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
    value.len() >= SHORTEST_STRONG && !refers && !is_word(value) && !is_number(value) && !is_path(value)
}

/// A word as people write it: `postgres`, `Production`, `ENABLED`.
fn is_word(value: &[u8]) -> bool {
    let Some((first, rest)) = value.split_first() else { return true };
    let lower = first.is_ascii_alphabetic() && rest.iter().all(u8::is_ascii_lowercase);
    value.len() < LONGEST_PLAIN_WORD && (lower || value.iter().all(u8::is_ascii_uppercase))
}

/// A number, a date, an address: digits, and what stands between them.
fn is_number(value: &[u8]) -> bool {
    value.iter().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b',' | b'-' | b'+' | b':' | b' '))
}

/// A path: it begins as one, and none of its parts looks as if it were made by chance. Base64 has slashes too.
fn is_path(value: &[u8]) -> bool {
    let begins = [&b"/"[..], b"./", b"../", b"~/"].iter().any(|start| value.starts_with(start));
    let by_chance = |part: &[u8]| {
        let kind = |b: u8| (b.is_ascii_lowercase(), b.is_ascii_uppercase(), b.is_ascii_digit());
        let turns = part.windows(2).filter(|pair| kind(pair[0]) != kind(pair[1])).count();
        let few = |b: &u8| matches!(b, b'+' | b'=' | b'$' | b'!' | b'?' | b'&' | b'*' | b'#');
        part.len() > 32 || part.iter().any(few) || (turns >= 4 && !part.iter().any(|b| matches!(b, b'-' | b'_' | b'.')))
    };
    begins && !value.split(|b| *b == b'/').any(by_chance)
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
        // Others escape every slash.
        shapes.push(json.replace('/', "\\/").into_bytes());
        shapes.push(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
        shapes.push(text.encode_utf16().flat_map(u16::to_be_bytes).collect());
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
    /// Whether a value has a space, which forms write as `+`.
    spaced: bool,
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
        // As long as where every byte is written `&quot;`.
        let longest = longest.max(values.iter().map(Vec::len).max().unwrap_or(0) * LONGEST_ESCAPE);
        let search = if needles.len() <= FEW {
            Search::Few(needles.iter().map(|needle| Finder::new(needle).into_owned()).collect())
        } else {
            Search::Many(Box::new(Table::of(needles)))
        };
        let spaced = values.iter().any(|value| value.contains(&b' '));
        Self { count: values.len() as u64, longest, search, spaced }
    }

    /// How far the search must see ahead of a byte before that byte is settled.
    pub(super) fn ahead(&self) -> usize {
        self.longest.saturating_sub(1)
    }

    /// Every place where a value stands, those that overlap too: as it is, and where some of its bytes are written as
    /// URLs or HTML write them, or twice so. `end`: what is escaped at the end of the text will not go on.
    pub(super) fn find(&self, text: &[u8], end: bool, mut found: impl FnMut(Range<usize>)) {
        self.find_plain(text, &mut found);
        if self.longest == 0 || memchr2(b'%', b'&', text).is_none() && !(self.spaced && text.contains(&b'+')) {
            return;
        }
        let mut written = Unescaped::of(text);
        for _ in 0..TWICE {
            let Some(next) = written.again(end, self.spaced) else { return };
            written = next;
            self.find_plain(&written.bytes, &mut |range: Range<usize>| {
                let places = &written.places[range];
                if let (Some(first), Some(last)) = (places.first(), places.last())
                    && last.end - first.start <= self.longest
                {
                    found(first.start..last.end);
                }
            });
        }
    }

    fn find_plain(&self, text: &[u8], found: &mut impl FnMut(Range<usize>)) {
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

/// What a text stands for, and where each byte of that is written.
struct Unescaped {
    bytes: Vec<u8>,
    places: Vec<Range<usize>>,
}

impl Unescaped {
    fn of(text: &[u8]) -> Self {
        Self { bytes: text.to_vec(), places: (0..text.len()).map(|at| at..at + 1).collect() }
    }

    /// The same with its escapes read. `None`: there are none.
    fn again(&self, end: bool, plus: bool) -> Option<Self> {
        let mut next =
            Self { bytes: Vec::with_capacity(self.bytes.len()), places: Vec::with_capacity(self.bytes.len()) };
        let (mut at, mut any) = (0, false);
        while at < self.bytes.len() {
            let (stands_for, length) = match escape(&self.bytes[at..], plus) {
                Escape::Is(bytes, length) => (bytes, length),
                Escape::Cut if !end => break,
                Escape::Cut | Escape::None => (vec![self.bytes[at]], 1),
            };
            any |= length > 1 || stands_for[0] != self.bytes[at];
            let place = self.places[at].start..self.places[at + length - 1].end;
            for byte in stands_for {
                next.bytes.push(byte);
                next.places.push(place.clone());
            }
            at += length;
        }
        any.then_some(next)
    }
}

enum Escape {
    /// What it stands for, never nothing, and how long it is.
    Is(Vec<u8>, usize),
    /// It may be one, if more comes.
    Cut,
    None,
}

/// `%2F`, `&amp;`, `&#39;`, `&#x27;` at the start of a text.
fn escape(text: &[u8], plus: bool) -> Escape {
    match text[0] {
        b'+' if plus => Escape::Is(vec![b' '], 1),
        b'%' => {
            let digits: Vec<u8> =
                text[1..].iter().take(2).map_while(|b| char::from(*b).to_digit(16)).map(|digit| digit as u8).collect();
            match *digits.as_slice() {
                [high, low] => Escape::Is(vec![high << 4 | low], 3),
                _ if digits.len() + 1 == text.len() => Escape::Cut,
                _ => Escape::None,
            }
        }
        b'&' => {
            let is_name = |b: &&u8| b.is_ascii_alphanumeric() || **b == b'#';
            let length = text[1..].iter().take(LONGEST_ENTITY).take_while(is_name).count();
            let character = std::str::from_utf8(&text[1..=length]).ok().and_then(entity);
            match (text.get(length + 1), character) {
                (Some(b';'), Some(character)) => {
                    Escape::Is(character.encode_utf8(&mut [0; 4]).as_bytes().to_vec(), length + 2)
                }
                (None, _) if length < LONGEST_ENTITY => Escape::Cut,
                _ => Escape::None,
            }
        }
        _ => Escape::None,
    }
}

/// What of HTML's names stands for a character of ASCII that is escaped, and its numbers.
fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            }
            .ok()
            .and_then(char::from_u32)
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

    fn find(&self, text: &[u8], found: &mut impl FnMut(Range<usize>)) {
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
        needles.find(text.as_bytes(), true, |range| bytes[range].fill(b'*'));
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_is_learned() {
        for (value, from, want) in [
            ("postgres", From::Name, false),
            ("true", From::Name, false),
            ("1234", From::Name, false),
            ("changeme", From::Name, false),
            ("hunter2", From::Name, false),
            ("hunter22", From::Name, true),
            ("Postgres", From::Name, false),
            ("PRODUCTION", From::Name, false),
            ("postGres", From::Name, true),
            ("12345678", From::Name, false),
            ("2026-01-01 10:00", From::Name, false),
            ("10.0.0.1:8080", From::Name, false),
            ("/secrets", From::Name, false),
            ("/run/secrets/db_password", From::Name, false),
            ("/Users/me/Library", From::Name, false),
            ("./certs/key.pem", From::Name, false),
            ("/9j4AAQSkZJRg", From::Name, true),
            ("/wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", From::Name, true),
            ("/wjalr+abcdefgh", From::Name, true),
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
            ("q=pa%3Fs>w%22%c3%b6rd&.", "q=********************."),
            ("pa?s&gt;w\"örd&amp;.", "*******************."),
            ("pa&#63;s&#x3E;w&quot;örd&amp;.", "******************************."),
            ("pa%253Fs%26gt;w%22örd&.", "***********************."),
            ("pa%3Fs>w%22", "pa%3Fs>w%22"),
            ("100% &c. %", "100% &c. %"),
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
