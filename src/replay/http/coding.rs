//! Bodies as their headers say they are written: packed, in UTF-16. They are unpacked before they are masked, for a
//! secret in them is none that a masker could see, and are recorded unpacked. What cannot be unpacked is not recorded,
//! and its place says why.

use crate::replay::http::inflate::{self, Bad, Unpacked};
use crate::replay::redact::Kind;

/// How much of a body is held until it can be unpacked, in bytes.
const MOST_HELD: usize = 16 * 1024 * 1024;
/// How much may come of it.
const MOST_UNPACKED: usize = 64 * 1024 * 1024;
/// How many chunks of it are noted.
const MOST_ENDS: usize = 100_000;
/// How many bytes tell UTF-16, or gzip.
const SIGN: usize = 4;
/// How gzip begins, by the one way of packing that it knows.
const GZIP: &[u8] = b"\x1f\x8b\x08";

/// How the bytes of a body are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    Gzip,
    Deflate,
    Utf16 { little: bool },
}

/// A body on its way, held where it has to be unpacked.
pub(in crate::replay) struct Intake {
    /// What was done to the bytes, in the order in which it is undone.
    layers: Vec<Layer>,
    /// Why the body is not kept.
    left_out: Option<String>,
    /// The first bytes may tell UTF-16.
    signs: bool,
    /// Nothing is held: bytes are what they are.
    plain: bool,
    held: Vec<u8>,
    ends: Vec<usize>,
}

/// A body that was held.
pub(in crate::replay) enum Held {
    /// It is what it was.
    Plain(Vec<u8>),
    /// Unpacked, with the places at which its chunks end.
    Unpacked(Vec<u8>, Vec<usize>),
    /// It could not be, and why.
    LeftOut(String),
}

impl Intake {
    /// Of a body with these headers.
    pub(in crate::replay) fn of(headers: &[(String, String)], kind: Kind) -> Self {
        let mut intake = Self {
            layers: Vec::new(),
            left_out: None,
            signs: kind != Kind::Archive,
            plain: false,
            held: Vec::new(),
            ends: Vec::new(),
        };
        // Chunks are undone first, then what else was done for the way, then what was done to the text.
        for name in ["transfer-encoding", "content-encoding"] {
            let words: Vec<_> = words(headers, name).collect();
            for word in words.iter().rev() {
                match word.as_str() {
                    "" | "identity" | "chunked" | "aws-chunked" => {}
                    "gzip" | "x-gzip" => intake.layers.push(Layer::Gzip),
                    "deflate" => intake.layers.push(Layer::Deflate),
                    other => {
                        intake.left_out =
                            Some(format!("it is encoded in {}, which is not read", other.escape_default()))
                    }
                }
            }
        }
        if intake.layers.len() > 4 {
            intake.left_out = Some("it is encoded too often".into());
        }
        match charset(headers).as_deref() {
            Some("utf-16le" | "utf16le") => intake.layers.push(Layer::Utf16 { little: true }),
            // Without a mark it is big-endian by the standard, and little-endian in practice: the bytes tell.
            Some("utf-16be" | "utf16be") => intake.layers.push(Layer::Utf16 { little: false }),
            None | Some("utf-16" | "utf16" | "ucs-2") => {}
            Some(charset) if is_like_ascii(charset) => {}
            Some(_) if kind == Kind::Archive => {}
            Some(other) => {
                intake.left_out = Some(format!("it is written in {}, which is not read", other.escape_default()));
            }
        }
        intake
    }

    /// Whether bytes come through as they are, from now on.
    pub(in crate::replay) fn is_plain(&self) -> bool {
        self.plain
    }

    /// Takes bytes. Gives those that come through.
    pub(in crate::replay) fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.left_out.is_some() {
            return Vec::new();
        }
        self.held.extend_from_slice(bytes);
        if self.layers.is_empty() {
            if self.signs && self.held.len() < SIGN {
                return Vec::new();
            }
            if self.signs && self.held.starts_with(GZIP) {
                self.left_out = Some("it is packed, and its headers do not say so".into());
                self.held = Vec::new();
                return Vec::new();
            }
            match utf16(&self.held).filter(|_| self.signs) {
                Some(little) => self.layers.push(Layer::Utf16 { little }),
                None => {
                    self.plain = true;
                    return std::mem::take(&mut self.held);
                }
            }
        }
        if self.held.len() > MOST_HELD {
            self.left_out = Some("it is encoded, and too long to be held".into());
            self.held = Vec::new();
        }
        Vec::new()
    }

    /// A chunk ends here. Gives whether it is noted.
    pub(in crate::replay) fn cut(&mut self) -> bool {
        let noted = self.ends.len() < MOST_ENDS;
        if noted {
            self.ends.push(self.held.len());
        }
        noted
    }

    /// The places of the chunks that were noted before it came through.
    pub(in crate::replay) fn take_cuts(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.ends)
    }

    /// The body has ended.
    pub(in crate::replay) fn end(&mut self) -> Held {
        let (mut bytes, mut ends) = (std::mem::take(&mut self.held), std::mem::take(&mut self.ends));
        if let Some(why) = self.left_out.take() {
            return Held::LeftOut(why);
        }
        if bytes.is_empty() || self.layers.is_empty() {
            return Held::Plain(bytes);
        }
        let mut layers = std::mem::take(&mut self.layers);
        while let Some(layer) = layers.first().copied() {
            layers.remove(0);
            let done = match layer {
                Layer::Gzip => {
                    inflate::gzip(&bytes, &ends, MOST_UNPACKED).map(|Unpacked { bytes, cuts, .. }| (bytes, cuts))
                }
                Layer::Deflate => {
                    inflate::deflate(&bytes, &ends, MOST_UNPACKED).map(|Unpacked { bytes, cuts, .. }| (bytes, cuts))
                }
                Layer::Utf16 { little } => Ok(from_utf16(&bytes, &ends, little)),
            };
            match done {
                Ok(done) => (bytes, ends) = done,
                Err(Bad::TooLong) => return Held::LeftOut("it is too long when it is unpacked".into()),
                Err(Bad::Broken) => {
                    return Held::LeftOut(format!("it is no {layer:?}, as its headers say").to_lowercase());
                }
            }
            if layers.is_empty()
                && layer != (Layer::Utf16 { little: true })
                && layer != (Layer::Utf16 { little: false })
                && self.signs
                && let Some(little) = utf16(&bytes)
            {
                layers.push(Layer::Utf16 { little });
            }
        }
        Held::Unpacked(bytes, ends)
    }
}

/// Makes headers speak of the body as it is kept: unpacked, in UTF-8.
pub(in crate::replay) fn unpacked(headers: &mut Vec<(String, String)>, len: u64) {
    headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-encoding"));
    for (name, value) in headers {
        if name.eq_ignore_ascii_case("content-length") {
            *value = len.to_string();
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            *value = "chunked".into();
        } else if name.eq_ignore_ascii_case("content-type")
            && let Some(at) = value.to_ascii_lowercase().find("charset=")
        {
            value.truncate(at);
            value.push_str("charset=utf-8");
        }
    }
}

/// The words of all headers of a name, in lower case.
fn words<'a>(headers: &'a [(String, String)], name: &'a str) -> impl Iterator<Item = String> + 'a {
    let values = headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name));
    values.flat_map(|(_, value)| value.split(',')).map(|word| word.trim().to_ascii_lowercase())
}

fn charset(headers: &[(String, String)]) -> Option<String> {
    let kind = crate::replay::http::wire::header(headers, "content-type")?.to_ascii_lowercase();
    let (_, charset) = kind.split_once("charset=")?;
    let charset = charset.split([';', ',']).next().unwrap_or_default();
    Some(charset.trim().trim_matches(['"', '\'']).trim().to_owned()).filter(|charset| !charset.is_empty())
}

/// Whether the letters of a character set stand for themselves.
fn is_like_ascii(charset: &str) -> bool {
    const LIKE: &[&str] =
        &["utf-8", "utf8", "us-ascii", "ascii", "iso-8859", "latin", "windows-", "cp125", "koi8", "euc-", "gb"];
    LIKE.iter().any(|like| charset.starts_with(like))
}

/// Whether a text begins as UTF-16 does: with its mark, or with two characters of ASCII. Some if it is, true for
/// little-endian. A frame of a task's output begins with three zeros.
fn utf16(start: &[u8]) -> Option<bool> {
    match *start {
        [0xff, 0xfe, 0, 0, ..] => None,
        [0xff, 0xfe, ..] => Some(true),
        [0xfe, 0xff, ..] => Some(false),
        [a, 0, b, 0, ..] if is_ascii(a) && is_ascii(b) => Some(true),
        [0, a, 0, b, ..] if is_ascii(a) && is_ascii(b) => Some(false),
        _ => None,
    }
}

fn is_ascii(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~')
}

/// UTF-16 as UTF-8, without its mark, and where places of it come to lie.
fn from_utf16(bytes: &[u8], ends: &[usize], little: bool) -> (Vec<u8>, Vec<usize>) {
    let unit = |pair: &[u8]| match *pair {
        [a, b] if little => u16::from_le_bytes([a, b]),
        [a, b] => u16::from_be_bytes([a, b]),
        // Half of a unit is none.
        _ => 0xfffd,
    };
    let (mut text, mut cuts, mut at) = (String::with_capacity(bytes.len()), Vec::with_capacity(ends.len()), 0);
    for character in char::decode_utf16(bytes.chunks(2).map(unit)) {
        let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
        at += 2 * character.len_utf16();
        while ends.get(cuts.len()).is_some_and(|end| *end < at.min(bytes.len())) {
            cuts.push(text.len());
        }
        if character != '\u{feff}' {
            text.push(character);
        }
    }
    cuts.resize(ends.len(), text.len());
    (text.into_bytes(), cuts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// What becomes of a body that comes so many bytes at a time.
    fn taken(given: &[(&str, &str)], kind: Kind, body: &[u8], size: usize) -> Result<(String, bool), String> {
        let mut intake = Intake::of(&headers(given), kind);
        let mut out = Vec::new();
        for piece in body.chunks(size) {
            out.extend(intake.feed(piece));
        }
        let through = String::from_utf8_lossy(&out).into_owned();
        match intake.end() {
            Held::Plain(rest) => Ok((through + &String::from_utf8_lossy(&rest), false)),
            Held::Unpacked(bytes, _) => Ok((String::from_utf8_lossy(&bytes).into_owned(), true)),
            Held::LeftOut(why) => Err(why),
        }
    }

    #[test]
    fn layers() {
        let wide = |text: &str, little: bool| -> Vec<u8> {
            let units = text.encode_utf16();
            units.flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
        };
        let json = r#"{"a":"b\u{20ac}\u{1f600}"}"#;
        let marked = format!("\u{feff}{json}");
        // Stored blocks of deflate, in gzip, need no packer.
        let gzip = |body: &[u8]| {
            let length = body.len() as u16;
            let mut packed = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x01".to_vec();
            packed.extend(length.to_le_bytes());
            packed.extend((!length).to_le_bytes());
            packed.extend(body);
            packed.extend([0; 8]);
            packed
        };
        let plain = json.as_bytes();
        for (row, given, body, want) in [
            ("none", &[][..], plain.to_vec(), Ok((json, false))),
            ("gzip", &[("content-ENCODING", "GZip")], gzip(plain), Ok((json, true))),
            ("gzip twice", &[("Content-Encoding", "gzip, gzip")], gzip(&gzip(plain)), Ok((json, true))),
            (
                "two headers",
                &[("Content-Encoding", "x-gzip"), ("Content-Encoding", "identity, gzip")],
                gzip(&gzip(plain)),
                Ok((json, true)),
            ),
            ("for the way", &[("Transfer-Encoding", "gzip, chunked")], gzip(plain), Ok((json, true))),
            ("deflate", &[("Content-Encoding", "deflate")], gzip(plain)[10..].to_vec(), Ok((json, true))),
            ("wide", &[("Content-Type", "application/json; charset=UTF-16LE")], wide(json, true), Ok((json, true))),
            ("wide, big", &[("Content-Type", "text/plain;Charset=\"utf-16be\"")], wide(json, false), Ok((json, true))),
            (
                "wide by its looks",
                &[("Content-Type", "text/plain; charset=utf-16")],
                wide(json, true),
                Ok((json, true)),
            ),
            ("wide by its mark", &[], wide(&marked, false), Ok((json, true))),
            ("wide, unsaid", &[], wide(json, true), Ok((json, true))),
            ("wide and packed", &[("Content-Encoding", "gzip")], gzip(&wide(json, false)), Ok((json, true))),
            ("brotli", &[("Content-Encoding", "br")], plain.to_vec(), Err("it is encoded in br, which is not read")),
            (
                "zstd in gzip",
                &[("Content-Encoding", "zstd, gzip")],
                gzip(plain),
                Err("it is encoded in zstd, which is not read"),
            ),
            (
                "gzip, unsaid",
                &[("Content-Type", "application/json")],
                gzip(plain),
                Err("it is packed, and its headers do not say so"),
            ),
            ("no gzip", &[("Content-Encoding", "gzip")], plain.to_vec(), Err("it is no gzip, as its headers say")),
            (
                "another alphabet",
                &[("Content-Type", "text/plain; charset=utf-7")],
                plain.to_vec(),
                Err("it is written in utf-7, which is not read"),
            ),
            ("latin", &[("Content-Type", "text/plain; charset=ISO-8859-1")], plain.to_vec(), Ok((json, false))),
            ("nothing", &[("Content-Encoding", "gzip")], vec![], Ok(("", false))),
            ("short", &[], b"{}".to_vec(), Ok(("{}", false))),
            ("frames", &[], b"\x01\0\0\0\0\0\0\x02ab".to_vec(), Ok(("\x01\0\0\0\0\0\0\x02ab", false))),
        ] {
            for size in [1, 3, 1000] {
                let got = taken(given, Kind::Json, &body, size);
                let got = got.as_ref().map(|(text, unpacked)| (text.as_str(), *unpacked)).map_err(String::as_str);
                assert_eq!(got, want, "{row}, {size} at a time");
            }
        }
    }

    #[test]
    fn a_bomb_is_left_out() {
        // A megabyte of zeros in a few bytes, as often as it takes: a stored block would need their room.
        let long = vec![b'x'; MOST_HELD + 1];
        let got = taken(&[("Content-Encoding", "gzip")], Kind::Json, &long, 1 << 20);
        assert_eq!(got, Err("it is encoded, and too long to be held".into()));
    }

    #[test]
    fn headers_of_what_is_unpacked() {
        let mut given = headers(&[
            ("content-encoding", "gzip"),
            ("Content-Length", "9"),
            ("Transfer-Encoding", "gzip, chunked"),
            ("Content-Type", "application/json; Charset=utf-16"),
            ("X", "y"),
        ]);
        unpacked(&mut given, 40);
        let want = [
            ("Content-Length", "40"),
            ("Transfer-Encoding", "chunked"),
            ("Content-Type", "application/json; charset=utf-8"),
            ("X", "y"),
        ];
        assert_eq!(given, headers(&want));
    }
}
