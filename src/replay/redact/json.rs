//! What is secret in JSON: one document or many, each string that is no key a text of its own. Keys, numbers and punctuation stay.
//!
//! Reads without a tree and without keeping strings, so a string of a gigabyte costs no more memory than a short one. What turns out
//! to be no JSON is read as text from there on. JSON in a string is taken apart too, a few levels deep; what lies deeper is text, and
//! the rules for text know names and values in quotes.

use std::sync::Arc;

use memchr::memchr2;

use super::Rules;
use super::header::{decode_base64, learn_auth};
use super::learned::{From, LONGEST_VALUE};
use super::names::{LONGEST_NAME, argument, teaches};
use super::runs::{Runs, Units};
use super::text::{Place, Scan};

/// Of a longer key only the start is looked at.
const LONGEST_KEY: usize = 1_024;
/// Documents nested deeper are read as text.
const DEEPEST: usize = 512;
/// JSON in a string of JSON, so many times.
const LEVELS: u8 = 3;
/// White space before JSON in a string, at most.
const INDENT: usize = 64;
/// Members of a body of credentials: learned even if they are weak.
const CREDENTIALS: &[&str] = &["password", "identitytoken", "registrytoken", "auth"];

/// Reads JSON.
pub(super) struct Json {
    rules: Arc<Rules>,
    learned_only: bool,
    level: u8,
    stack: Vec<Container>,
    began: bool,
    /// The next string is a key.
    key_next: bool,
    key: Vec<u8>,
    /// The value of the key that was read last is secret.
    secret: bool,
    /// The depth of the container whose strings are all secret.
    secret_depth: Option<usize>,
    string: Option<StringOf>,
    escape: Escape,
    /// How much of an escape was read.
    escaped: usize,
    /// The first half of a character that takes two escapes.
    high: Option<u16>,
    units: Units,
    decisions: Runs,
    scan: Scan,
    is_text: bool,
    /// The start of the string of a list that is being read: it may be an argument whose value is the next one.
    item: Vec<u8>,
    /// The argument whose value the next string of the list is, or the one being read.
    named: Vec<u8>,
    /// In the `Plugins` of `/info`, whose `Authorization` names plugins.
    in_plugins: bool,
    /// Of a body of credentials; and whether this string is its user.
    user: Vec<u8>,
    is_user: bool,
    password: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Object,
    List,
}

/// What the string is that is being read.
enum StringOf {
    Key,
    /// All of it is masked; its start is kept, to be learned.
    Secret(Vec<u8>),
    /// Its start, while it may yet be JSON.
    Unknown(Vec<u8>),
    Text,
    Json(Box<Json>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    Slash,
    Hex { digits: u8, code: u16 },
}

impl Json {
    pub(super) fn new(rules: &Arc<Rules>, learned_only: bool) -> Self {
        Self::at_level(rules, learned_only, 0)
    }

    fn at_level(rules: &Arc<Rules>, learned_only: bool, level: u8) -> Self {
        Self {
            rules: Arc::clone(rules),
            learned_only,
            level,
            stack: Vec::new(),
            began: false,
            key_next: false,
            key: Vec::new(),
            secret: false,
            secret_depth: None,
            string: None,
            escape: Escape::None,
            escaped: 0,
            high: None,
            units: Units::default(),
            decisions: Runs::default(),
            scan: Scan::new(rules, Place::Json, learned_only),
            is_text: false,
            item: Vec::new(),
            named: Vec::new(),
            in_plugins: false,
            user: Vec::new(),
            is_user: false,
            password: Vec::new(),
        }
    }

    /// Takes more of the writing, and reads as far as it can.
    pub(super) fn feed(&mut self, bytes: &[u8], runs: &mut Runs) {
        self.append(bytes, runs);
        self.read(runs);
    }

    /// Reads as far as it can.
    fn read(&mut self, runs: &mut Runs) {
        match &mut self.string {
            _ if self.is_text => self.scan.read(runs),
            Some(StringOf::Text) => self.scan.read(&mut self.decisions),
            Some(StringOf::Json(json)) => json.read(&mut self.decisions),
            _ => {}
        }
        self.units.apply(&mut self.decisions, runs);
    }

    /// Takes more of the writing. The text of a string gathers: its pieces between escapes are too short to be read one by one.
    fn append(&mut self, bytes: &[u8], runs: &mut Runs) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = if self.is_text {
                self.scan.append(rest, runs);
                &[]
            } else if self.string.is_some() {
                self.in_string(rest, runs)
            } else {
                self.between(rest, runs)
            }
        }
    }

    /// Decides on the rest.
    pub(super) fn end(&mut self, runs: &mut Runs) {
        if self.is_text {
            self.learn(self.level > 0, runs);
        } else if self.string.is_some() {
            self.flush_escape(runs);
            self.end_string(runs);
        }
    }

    /// Ends a text. Only a body's strings teach: what is no JSON may be anything.
    fn learn(&mut self, teaches: bool, runs: &mut Runs) {
        for value in self.scan.end(runs) {
            if teaches && !self.learned_only {
                self.rules.learned.learn(&value, From::Name);
            }
        }
    }

    /// Punctuation, numbers and words, up to the next string. Gives what is left.
    fn between<'a>(&mut self, bytes: &'a [u8], runs: &mut Runs) -> &'a [u8] {
        for (i, &b) in bytes.iter().enumerate() {
            match b {
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b'{' | b'[' if self.stack.len() < DEEPEST => self.open(b == b'{'),
                b'"' => {
                    self.began = true;
                    runs.push(i + 1, false);
                    self.begin_string();
                    return &bytes[i + 1..];
                }
                _ if !self.began => return self.go_on_as_text(bytes, i, runs),
                b'}' | b']' => self.close(),
                b',' => {
                    self.key_next = self.stack.last() == Some(&Container::Object);
                    self.secret = false;
                }
                b':' => self.key_next = false,
                b'0'..=b'9' | b'-' | b'+' | b'.' | b'E' => {}
                b'a' | b'e' | b'f' | b'l' | b'n' | b'r' | b's' | b't' | b'u' => {}
                _ => return self.go_on_as_text(bytes, i, runs),
            }
        }
        runs.push(bytes.len(), false);
        &[]
    }

    fn go_on_as_text<'a>(&mut self, bytes: &'a [u8], from: usize, runs: &mut Runs) -> &'a [u8] {
        runs.push(from, false);
        self.is_text = true;
        let place = if self.level == 0 { Place::Output } else { Place::Json };
        self.scan = Scan::new(&self.rules, place, self.learned_only);
        self.scan.begin_within();
        &bytes[from..]
    }

    fn open(&mut self, object: bool) {
        self.began = true;
        self.stack.push(if object { Container::Object } else { Container::List });
        if self.secret && self.secret_depth.is_none() {
            self.secret_depth = Some(self.stack.len());
        }
        if self.stack.len() == 2 {
            self.in_plugins = self.key == b"Plugins";
        }
        self.named.clear();
        self.secret = false;
        self.key_next = object;
    }

    fn close(&mut self) {
        self.stack.pop();
        if self.secret_depth.is_some_and(|depth| self.stack.len() < depth) {
            self.secret_depth = None;
        }
        (self.secret, self.key_next) = (false, false);
        self.named.clear();
        if self.stack.is_empty() && self.level == 0 {
            let (user, password) = (std::mem::take(&mut self.user), std::mem::take(&mut self.password));
            if !password.is_empty() && !self.learned_only {
                self.rules.learned.learn(&[&user[..], b":", &password].concat(), From::Credentials);
            }
        }
    }

    fn begin_string(&mut self) {
        self.is_user = !self.key_next && self.is_body() && self.key.eq_ignore_ascii_case(b"username");
        if self.is_user {
            self.user.clear();
        }
        self.item.clear();
        self.string = Some(if self.key_next {
            self.key.clear();
            StringOf::Key
        } else if !self.learned_only && (self.secret || self.secret_depth.is_some() || !self.named.is_empty()) {
            StringOf::Secret(Vec::new())
        } else {
            StringOf::Unknown(Vec::new())
        });
    }

    /// A piece of a string. Gives what is left behind it.
    fn in_string<'a>(&mut self, bytes: &'a [u8], runs: &mut Runs) -> &'a [u8] {
        if self.escape != Escape::None || self.high.is_some() {
            return self.in_escape(bytes, runs);
        }
        let length = memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len());
        self.take(&bytes[..length], length, runs);
        match bytes.get(length) {
            None => &[],
            Some(b'"') => {
                self.end_string(runs);
                runs.push(1, false);
                &bytes[length + 1..]
            }
            Some(_) => {
                (self.escape, self.escaped) = (Escape::Slash, 1);
                &bytes[length + 1..]
            }
        }
    }

    /// One byte of an escape. What breaks one off is left to be read as what it is.
    fn in_escape<'a>(&mut self, bytes: &'a [u8], runs: &mut Runs) -> &'a [u8] {
        let b = bytes[0];
        match self.escape {
            Escape::None if b == b'\\' => self.escape = Escape::Slash,
            Escape::None => {
                self.flush_escape(runs);
                return bytes;
            }
            Escape::Slash if b == b'u' => self.escape = Escape::Hex { digits: 0, code: 0 },
            Escape::Slash => {
                self.escaped += 1;
                let plain = match b {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'b' => 8,
                    b'f' => 12,
                    other => other,
                };
                self.take_escape(&[plain], runs);
                return &bytes[1..];
            }
            Escape::Hex { digits, code } => {
                let Some(digit) = char::from(b).to_digit(16) else {
                    self.flush_escape(runs);
                    return bytes;
                };
                let code = code << 4 | digit as u16;
                self.escaped += 1;
                match digits {
                    3 => self.take_code(code, runs),
                    _ => self.escape = Escape::Hex { digits: digits + 1, code },
                }
                return &bytes[1..];
            }
        }
        self.escaped += 1;
        &bytes[1..]
    }

    /// A `\u` with its four digits was read.
    fn take_code(&mut self, code: u16, runs: &mut Runs) {
        let is_high = (0xD800..0xDC00).contains(&code);
        match self.high {
            None if is_high => (self.high, self.escape) = (Some(code), Escape::None),
            Some(_) if is_high => {
                // The half before it stays alone.
                self.escaped -= 6;
                self.take_escape(&[], runs);
                (self.high, self.escaped) = (Some(code), 6);
            }
            Some(high) => {
                let pair = char::decode_utf16([high, code]).next().and_then(Result::ok);
                match pair {
                    Some(character) => {
                        self.high = None;
                        self.take_escape(character.encode_utf8(&mut [0; 4]).as_bytes(), runs);
                    }
                    None => {
                        let character = char::from_u32(code.into()).unwrap_or(char::REPLACEMENT_CHARACTER);
                        self.take_escape(character.encode_utf8(&mut [0; 4]).as_bytes(), runs);
                    }
                }
            }
            None => {
                let character = char::from_u32(code.into()).unwrap_or(char::REPLACEMENT_CHARACTER);
                self.take_escape(character.encode_utf8(&mut [0; 4]).as_bytes(), runs);
            }
        }
    }

    /// An escape is whole: what it stands for, behind the half of a character that found no other half.
    fn take_escape(&mut self, stands_for: &[u8], runs: &mut Runs) {
        let written = std::mem::take(&mut self.escaped);
        self.escape = Escape::None;
        let lone = if self.high.take().is_some() { "\u{FFFD}".as_bytes() } else { &[] };
        self.take(&[lone, stands_for].concat(), written, runs);
    }

    /// An escape was broken off.
    fn flush_escape(&mut self, runs: &mut Runs) {
        if self.escaped > 0 {
            let broken: &[u8] = if self.high.is_some() { &[] } else { b"?" };
            self.take_escape(broken, runs);
        }
    }

    /// Takes a piece of a string's text that was written in `written` bytes.
    fn take(&mut self, text: &[u8], written: usize, runs: &mut Runs) {
        if text.is_empty() {
            return;
        }
        if self.item.len() <= LONGEST_NAME + 2 && self.stack.last() == Some(&Container::List) {
            let room = LONGEST_NAME + 3 - self.item.len();
            self.item.extend(text.iter().take(room));
        }
        // Another argument is no value of the one before.
        if matches!(&self.string, Some(StringOf::Secret(value)) if value.is_empty())
            && !self.named.is_empty()
            && text[0] == b'-'
            && self.secret_depth.is_none()
        {
            self.named.clear();
            self.string = Some(StringOf::Unknown(Vec::new()));
        }
        match &mut self.string {
            Some(StringOf::Key) => {
                let room = LONGEST_KEY - self.key.len();
                self.key.extend(text.iter().take(room));
                runs.push(written, false);
            }
            Some(StringOf::Secret(value)) => {
                let room = LONGEST_VALUE - value.len();
                value.extend(text.iter().take(room));
                runs.push(written, true);
            }
            _ => {
                if self.is_user {
                    let room = LONGEST_KEY.saturating_sub(self.user.len());
                    self.user.extend(text.iter().take(room));
                }
                self.units.push(text.len(), written);
                self.take_text(text);
            }
        }
    }

    /// Takes a string's text as what it is.
    fn take_text(&mut self, text: &[u8]) {
        match &mut self.string {
            Some(StringOf::Unknown(start)) => {
                start.extend_from_slice(text);
                if looks_like_json(start).is_some() {
                    self.decide_string();
                }
            }
            Some(StringOf::Text) => self.scan.append(text, &mut self.decisions),
            Some(StringOf::Json(json)) => json.append(text, &mut self.decisions),
            _ => {}
        }
    }

    /// Enough of a string was read to know what it is, or it has ended.
    fn decide_string(&mut self) {
        let Some(StringOf::Unknown(start)) = &mut self.string else { return };
        let start = std::mem::take(start);
        self.string = Some(if self.level < LEVELS && looks_like_json(&start) == Some(true) {
            StringOf::Json(Box::new(Self::at_level(&self.rules, self.learned_only, self.level + 1)))
        } else {
            self.scan.begin();
            StringOf::Text
        });
        self.take_text(&start);
    }

    /// A string has ended.
    fn end_string(&mut self, runs: &mut Runs) {
        self.flush_escape(runs);
        if matches!(&self.string, Some(StringOf::Unknown(start)) if !start.is_empty()) {
            self.decide_string();
        }
        match self.string.take() {
            Some(StringOf::Key) => self.end_key(),
            Some(StringOf::Secret(value)) => self.end_secret(&value),
            Some(StringOf::Text) => {
                let mut decisions = std::mem::take(&mut self.decisions);
                self.learn(true, &mut decisions);
                self.decisions = decisions;
            }
            Some(StringOf::Json(mut json)) => json.end(&mut self.decisions),
            _ => {}
        }
        self.units.apply(&mut self.decisions, runs);
        (self.key_next, self.is_user) = (false, false);
        self.named.clear();
        if self.stack.last() == Some(&Container::List)
            && let Some(name) = argument(&self.item)
            && self.rules.names.is_secret(name)
        {
            self.named = name.as_bytes().to_vec();
        }
    }

    fn end_key(&mut self) {
        let key = String::from_utf8_lossy(&self.key);
        // The data of a swarm's secrets and configs, when they are made.
        let names_plugins = self.in_plugins && self.stack.len() == 2 && key == "Authorization";
        self.secret = (self.rules.names.is_secret(&key) && !names_plugins) || (self.is_body() && key == "Data");
    }

    fn end_secret(&mut self, value: &[u8]) {
        let key = String::from_utf8_lossy(&self.key).to_ascii_lowercase();
        let credentials = self.is_body() && CREDENTIALS.contains(&key.as_str());
        let learned = &self.rules.learned;
        let name = std::mem::take(&mut self.named);
        let name = if name.is_empty() { String::from_utf8_lossy(&self.key) } else { String::from_utf8_lossy(&name) };
        if credentials {
            learned.learn(value, From::Credentials);
        } else if teaches(&name, value) {
            learned.learn(value, From::Name);
        }
        match key.as_str() {
            "auth" => learn_auth(learned, value),
            "password" if self.is_body() => self.password = value.to_vec(),
            "data" if self.is_body() => {
                if let Some(data) = decode_base64(value) {
                    learned.learn(&data, From::Name);
                }
            }
            _ => {}
        }
    }

    /// Directly in a body's object.
    fn is_body(&self) -> bool {
        self.level == 0 && self.stack.len() == 1
    }
}

/// Whether a string is JSON, by its first characters: a name or a string, behind `{` or `[`. `None`: too little is known.
/// Looks no further than [`INDENT`], whatever there is.
fn looks_like_json(start: &[u8]) -> Option<bool> {
    let start = &start[..start.len().min(INDENT)];
    let mut letters = start.iter().copied().filter(|b| !b.is_ascii_whitespace());
    let first = letters.next();
    let second = letters.next();
    match (first, second) {
        (Some(b'{' | b'['), Some(second)) => Some(matches!(second, b'"' | b'{' | b'[')),
        (Some(b'{' | b'['), None) | (None, _) if start.len() < INDENT => None,
        _ => Some(false),
    }
}
