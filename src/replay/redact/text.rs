//! What is secret in a text: values of secret names, passwords in URLs, private keys, what was learned. Knows nothing of JSON or of
//! frames: its callers take those apart and hand the text over.
//!
//! Bytes in, decisions out, in order and late by a few kilobytes at most. Each decision depends on where a byte stands in its text,
//! never on how the text was cut into pieces; so what is looked at ahead of a byte or behind it has fixed bounds.

mod pem;
#[cfg(test)]
mod tests;
mod url;

use std::ops::Range;
use std::sync::Arc;

use memchr::memmem::Finder;
use memchr::{memchr2, memchr3};

use super::Rules;
use super::learned::Needles;
use super::names::{LONGEST_NAME, argument, is_credential_header, teaches};
use super::runs::Runs;
use pem::{PEM, PEM_MARK};
use url::ends_authority;

/// What is kept of the text behind the byte that is looked at: a name with its quotes and spaces.
const BEHIND: usize = 256;
/// Taken in at a time.
const PORTION: usize = 64 * 1024;
/// Spaces between a name and its value, at most.
const SPACES: usize = 8;
/// A row of backslashes that is looked at as one.
const SLASHES: usize = 64;

/// What kind of text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A task's output, a header: a value goes to white space, a control character or a quote.
    Output,
    /// A string of JSON: `NAME=value` at its start goes to its end, as an environment's entry; elsewhere `,`, `;` and `&` end one too.
    Json,
    /// A parameter of a request: `NAME=value` at its start goes to its end.
    Parameter,
}

/// Reads one text.
pub(super) struct Scan {
    rules: Arc<Rules>,
    place: Place,
    /// Only what was learned is looked for.
    learned_only: bool,
    needles: Arc<Needles>,
    /// The text from `dropped` on.
    text: Vec<u8>,
    dropped: bool,
    /// Decisions were handed out up to here.
    decided: usize,
    /// Read up to here.
    at: usize,
    /// Searched for learned values up to here.
    searched: usize,
    /// The next private key is looked for from here on.
    pem_searched: usize,
    /// Where the body of the next private key begins.
    pem: Option<usize>,
    pem_finder: Finder<'static>,
    state: State,
    marks: Vec<Range<usize>>,
    /// The value that is being masked, if it will be learned, with its name; and what was found whole.
    value: Option<(String, Vec<u8>)>,
    found: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Plain,
    Value(Closer),
    Pem { left: usize },
}

/// What ends a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closer {
    /// The text's end.
    End,
    /// That quote, behind as many backslashes as were before the first one.
    Quote { quote: u8, slashes: usize },
    /// White space, a control character, a quote; what else depends on the place.
    Bare,
    /// The same, or what ends a member of an object.
    Member,
    /// A control character or a quote: a header's value has spaces.
    Line,
    /// What ends the part of a URL in which a password can be.
    Authority,
}

/// There is too little text to decide: what must come first.
struct Wait;

impl Scan {
    pub(super) fn new(rules: &Arc<Rules>, place: Place, learned_only: bool) -> Self {
        let mut scan = Self {
            rules: Arc::clone(rules),
            place,
            learned_only,
            needles: Arc::default(),
            text: Vec::new(),
            dropped: false,
            decided: 0,
            at: 0,
            searched: 0,
            pem_searched: 0,
            pem: None,
            pem_finder: Finder::new(PEM_MARK),
            state: State::Plain,
            marks: Vec::new(),
            value: None,
            found: Vec::new(),
        };
        scan.begin();
        scan
    }

    /// Begins another text.
    pub(super) fn begin(&mut self) {
        self.text.clear();
        self.dropped = false;
        (self.decided, self.at, self.searched, self.pem_searched) = (0, 0, 0, 0);
        self.pem = None;
        self.state = State::Plain;
        self.marks.clear();
        self.value = None;
        self.found.clear();
        self.rules.learned.refresh(&mut self.needles);
    }

    /// What comes is no start: `NAME=value` there is one in the middle.
    pub(super) fn begin_within(&mut self) {
        self.begin();
        self.dropped = true;
    }

    /// Takes more of the text, and reads as far as it can.
    pub(super) fn feed(&mut self, bytes: &[u8], runs: &mut Runs) {
        self.append(bytes, runs);
        self.read(runs);
    }

    /// Takes more of the text without reading it yet, unless much has gathered: reading is dear for a few bytes at a time.
    pub(super) fn append(&mut self, bytes: &[u8], runs: &mut Runs) {
        for portion in bytes.chunks(PORTION) {
            self.text.extend_from_slice(portion);
            if self.text.len() - self.searched >= PORTION {
                self.read(runs);
            }
        }
    }

    /// Reads as far as it can.
    pub(super) fn read(&mut self, runs: &mut Runs) {
        // A string of JSON is searched for what was known at its start: what it teaches itself holds from the next one on.
        if self.place == Place::Output {
            self.rules.learned.refresh(&mut self.needles);
        }
        self.run(false, runs);
    }

    /// Decides on all that is held, as if the text ended here; it may go on.
    pub(super) fn settle(&mut self, runs: &mut Runs) {
        self.run(true, runs);
    }

    /// Decides on the rest. Gives the values that were seen and are worth learning: those of an environment, those in URLs.
    pub(super) fn end(&mut self, runs: &mut Runs) -> Vec<Vec<u8>> {
        self.run(true, runs);
        self.take_found();
        std::mem::take(&mut self.found)
    }

    fn run(&mut self, end: bool, runs: &mut Runs) {
        self.search(end);
        if self.learned_only {
            self.at = self.text.len();
        } else {
            self.find_pem();
            while self.at < self.text.len() {
                let step = match self.state {
                    State::Plain => self.plain(end),
                    State::Value(closer) => self.value(closer, end),
                    State::Pem { left } => self.pem(left, end),
                };
                if step.is_err() {
                    break;
                }
            }
        }
        let ahead = if end { 0 } else { self.needles.ahead() };
        let settled = self.at.min(self.text.len().saturating_sub(ahead)).max(self.decided);
        self.decide(settled, runs);
        self.drop_behind();
    }

    /// Marks where learned values stand.
    fn search(&mut self, end: bool) {
        if self.needles.ahead() > 0 {
            // What began before the last search's end may have become whole.
            let from = self.searched.saturating_sub(self.needles.ahead()).max(self.decided);
            let marks = &mut self.marks;
            self.needles.find(&self.text[from..], end, |range| marks.push(from + range.start..from + range.end));
        }
        self.searched = self.text.len();
    }

    /// Goes to the next sign of a secret, and begins to mask if it is one.
    fn plain(&mut self, end: bool) -> Result<(), Wait> {
        self.find_pem();
        let pem = self.pem.unwrap_or(usize::MAX);
        let rest = &self.text[self.at..];
        // In a task's output it may be any text: a program's help says `--token`, too.
        let sign = match self.place {
            Place::Output => memchr2(b'=', b':', rest),
            Place::Json | Place::Parameter => memchr3(b'=', b':', b'-', rest),
        };
        match sign.map(|at| self.at + at) {
            Some(sign) if sign < pem => {
                self.at = sign;
                match self.text[sign] {
                    b'=' => self.equals(end),
                    b':' => self.colon(end),
                    _ => self.argument(end),
                }
            }
            _ if pem <= self.text.len() => {
                self.at = pem;
                if self.begins_pem(pem) {
                    self.state = State::Pem { left: PEM };
                }
                self.pem = None;
                Ok(())
            }
            _ => {
                self.at = self.text.len();
                Ok(())
            }
        }
    }

    /// `NAME=value`, `NAME = value`.
    fn equals(&mut self, end: bool) -> Result<(), Wait> {
        let at = self.at;
        let name = self.name_before(at);
        if !self.is_secret(&name.range) {
            self.at = at + 1;
            return Ok(());
        }
        if name.first && !name.spaced && self.place != Place::Output {
            let value = String::from_utf8_lossy(&self.text[name.range.clone()]).into_owned();
            self.mask_from(at + 1, Closer::End);
            self.value = Some((value, Vec::new()));
            return Ok(());
        }
        let (start, closer) = self.opening(at + 1, name.spaced, end)?;
        self.mask_from(start, closer.unwrap_or(Closer::Bare));
        Ok(())
    }

    /// `NAME: value`, `"name":"value"`, `scheme://user:password@host`.
    fn colon(&mut self, end: bool) -> Result<(), Wait> {
        let at = self.at;
        let (next, after) = (self.text.get(at + 1).copied(), self.text.get(at + 2).copied());
        if (next.is_none() || (next == Some(b'/') && after.is_none())) && !end {
            return Err(Wait);
        }
        self.at = at + 1;
        if next == Some(b'/') && after == Some(b'/') && self.text[..at].last().is_some_and(u8::is_ascii_alphanumeric) {
            return self.authority(at, end);
        }
        let before = self.text[..at].last().copied().unwrap_or(0);
        let quoted = is_quote(before) || before == b' ';
        if !quoted && !matches!(next, Some(b' ' | b'\t' | b'\\')) && !next.is_some_and(is_quote) {
            return Ok(());
        }
        let name = self.name_before(at);
        if !self.is_secret(&name.range) {
            return Ok(());
        }
        let header = !name.quoted && is_header(&self.text[name.range.clone()]);
        let opening = self.opening(at + 1, true, end).inspect_err(|_| self.at = at)?;
        match opening {
            (start, Some(closer)) => self.mask_from(start, closer),
            (start, None) if header => self.mask_from(start, Closer::Line),
            // What is in an object or a list has names of its own, or none.
            (start, None) if matches!(self.text.get(start), Some(b'{' | b'[')) => self.at = start,
            (start, None) if name.quoted => self.mask_from(start, Closer::Member),
            (start, None) => self.mask_from(start, Closer::Bare),
        }
        Ok(())
    }

    /// `--name value`.
    fn argument(&mut self, end: bool) -> Result<(), Wait> {
        let at = self.at;
        let rest = &self.text[at..];
        let dashes = rest.iter().take(3).take_while(|b| **b == b'-').count();
        if dashes == rest.len() && dashes < 3 && !end {
            return Err(Wait);
        }
        let begins =
            self.text[..at].last().is_none_or(|b| *b <= b' ' || is_quote(*b) || matches!(b, b'[' | b'(' | b','));
        if dashes != 2 || !begins {
            self.at = at + dashes;
            return Ok(());
        }
        let is_name = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        let length = rest[2..].iter().take(LONGEST_NAME).take_while(is_name).count();
        let name = at..at + 2 + length;
        match self.text.get(name.end) {
            None if !end => return Err(Wait),
            Some(b' ' | b'\t') if argument(&self.text[name.clone()]).is_some_and(|n| self.rules.names.is_secret(n)) => {
            }
            // What comes may yet have `=` or `:` behind it.
            _ => {
                self.at = name.end;
                return Ok(());
            }
        }
        let (start, closer) = self.opening(name.end, true, end)?;
        match self.text.get(start) {
            None if !end => return Err(Wait),
            Some(b'-') if closer.is_none() => self.at = start,
            _ => self.mask_from(start, closer.unwrap_or(Closer::Bare)),
        }
        Ok(())
    }

    /// Masks on until the value's end.
    fn value(&mut self, closer: Closer, end: bool) -> Result<(), Wait> {
        let start = self.at;
        if closer == Closer::End {
            self.take_value(start..self.text.len());
            return Ok(());
        }
        let mut i = start;
        let (stop, waits) = loop {
            match self.text.get(i).copied() {
                None => break (i, false),
                Some(b'\\') if closer != Closer::Authority => {
                    let run = self.text[i..].iter().take(SLASHES).take_while(|&&b| b == b'\\').count();
                    let next = self.text.get(i + run).copied();
                    if next.is_none() && !end && run < SLASHES {
                        break (i, true);
                    }
                    match closer {
                        Closer::Quote { quote, slashes: 0 } if next == Some(quote) => i += run + run % 2,
                        Closer::Quote { quote, slashes } if next == Some(quote) && run > slashes => i += run + 1,
                        Closer::Quote { quote, .. } if next == Some(quote) => {
                            self.state = State::Plain;
                            break (i, false);
                        }
                        Closer::Bare | Closer::Member | Closer::Line if next.is_some_and(is_quote) => {
                            self.state = State::Plain;
                            break (i, false);
                        }
                        _ => i += run,
                    }
                }
                Some(b) if self.closes(closer, b) => {
                    self.state = State::Plain;
                    break (i, false);
                }
                Some(_) => i += 1,
            }
        };
        let stop = stop.min(self.text.len());
        self.take_value(start..stop);
        if waits { Err(Wait) } else { Ok(()) }
    }

    fn closes(&self, closer: Closer, b: u8) -> bool {
        let control = b < b' ' || b == 0x7F;
        let json = self.place == Place::Json && matches!(b, b',' | b';' | b'&');
        match closer {
            Closer::End => false,
            Closer::Quote { quote, .. } => b == quote || (control && b != b'\t'),
            Closer::Bare => control || b == b' ' || is_quote(b) || json,
            Closer::Member => control || b == b' ' || is_quote(b) || json || matches!(b, b',' | b'}' | b']'),
            Closer::Line => (control && b != b'\t') || is_quote(b),
            Closer::Authority => b == b'@' || ends_authority(b, true),
        }
    }

    /// Where the value begins, behind spaces and an opening quote, and what closes it if there is such a quote.
    fn opening(&self, from: usize, spaces: bool, end: bool) -> Result<(usize, Option<Closer>), Wait> {
        let most = if spaces { SPACES } else { 0 };
        let skipped = self.text[from..].iter().take(most).take_while(|&&b| b == b' ' || b == b'\t').count();
        let start = from + skipped;
        let slashes = self.text[start..].iter().take(SPACES).take_while(|&&b| b == b'\\').count();
        match self.text.get(start + slashes) {
            None if !end => Err(Wait),
            Some(&quote) if is_quote(quote) => Ok((start + slashes + 1, Some(Closer::Quote { quote, slashes }))),
            _ => Ok((start, None)),
        }
    }

    /// The name before `=` or `:`, which may be in quotes.
    fn name_before(&self, at: usize) -> Name {
        let back = |from: usize, most: usize, is: fn(u8) -> bool| {
            from - self.text[..from].iter().rev().take(most).take_while(|&&b| is(b)).count()
        };
        let end = back(at, SPACES, |b| b == b' ');
        let spaced = end < at;
        let unquoted = back(end, 1, is_quote);
        let quoted = unquoted < end;
        let end = if quoted { back(unquoted, SPACES, |b| b == b'\\') } else { end };
        let start = back(end, LONGEST_NAME, |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        let first = start == 0 && !self.dropped && !quoted;
        let dashes = self.text[start..end].iter().take_while(|&&b| matches!(b, b'-' | b'.')).count();
        Name { range: start + dashes..end, quoted, spaced, first }
    }

    fn is_secret(&self, name: &Range<usize>) -> bool {
        std::str::from_utf8(&self.text[name.clone()]).is_ok_and(|name| self.rules.names.is_secret(name))
    }

    fn mask_from(&mut self, start: usize, closer: Closer) {
        self.at = start;
        self.state = State::Value(closer);
        self.take_found();
    }

    /// What was masked to its end is found, if it is worth learning.
    fn take_found(&mut self) {
        self.found.extend(self.value.take().filter(|(name, value)| teaches(name, value)).map(|(_, value)| value));
    }

    fn take_value(&mut self, range: Range<usize>) {
        if let Some((_, value)) = &mut self.value {
            let room = super::learned::LONGEST_VALUE - value.len();
            value.extend(self.text[range.clone()].iter().take(room));
        }
        self.at = range.end;
        self.mark(range);
    }

    fn mark(&mut self, range: Range<usize>) {
        match self.marks.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ if range.is_empty() => {}
            _ => self.marks.push(range),
        }
    }

    /// Hands out decisions up to `to`.
    fn decide(&mut self, to: usize, runs: &mut Runs) {
        self.marks.sort_unstable_by_key(|mark| (mark.start, mark.end));
        self.marks.dedup();
        for mark in &self.marks {
            let (start, end) = (mark.start.clamp(self.decided, to), mark.end.clamp(self.decided, to));
            runs.push(start - self.decided, false);
            runs.push(end - start, true);
            self.decided = end.max(start);
        }
        runs.push(to - self.decided, false);
        self.decided = to;
        self.marks.retain(|mark| mark.end > to);
    }

    /// Forgets what lies too far behind to matter. Not at every step: what is held would be moved each time.
    fn drop_behind(&mut self) {
        let far = self.decided.saturating_sub(BEHIND);
        if far < 4 * BEHIND {
            return;
        }
        self.text.drain(..far);
        self.dropped = true;
        for place in [&mut self.decided, &mut self.at, &mut self.searched, &mut self.pem_searched] {
            *place = place.saturating_sub(far);
        }
        self.pem = self.pem.and_then(|body| body.checked_sub(far));
        for mark in &mut self.marks {
            *mark = mark.start.saturating_sub(far)..mark.end - far;
        }
    }
}

struct Name {
    range: Range<usize>,
    quoted: bool,
    /// There are spaces behind it.
    spaced: bool,
    /// It stands at the start of the text.
    first: bool,
}

fn is_quote(b: u8) -> bool {
    matches!(b, b'"' | b'\'' | b'`')
}

/// A header whose value has spaces in it.
fn is_header(name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(is_credential_header) || name.to_ascii_lowercase().ends_with(b"authorization")
}
