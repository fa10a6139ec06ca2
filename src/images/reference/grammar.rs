//! The grammar of references: where the parts are, and what is wrong with a text, at which place.

/// The parts of a text that is a reference.
pub(super) struct Parts<'a> {
    pub(super) name: &'a str,
    pub(super) tag: Option<&'a str>,
    pub(super) digest: Option<&'a str>,
}

/// What breaks a rule, and at which byte of the text.
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) why: &'static str,
}

const MAX_TAG: usize = 128;
const MIN_DIGEST: usize = 32;

/// Takes a reference apart: `[domain[:port]/]path[:tag][@algorithm:hex]`. No part but the digest
/// has an `@` before it, and neither tag nor digest contains a `/`.
pub(super) fn split(text: &str) -> Result<Parts<'_>, Fault> {
    if text.is_empty() {
        return fault(0, "it is empty");
    }
    if let Some(at) = text.find("://") {
        return fault(at, "a scheme, such as `http://`, is no part of a reference");
    }
    check_characters(text)?;
    let (tagged, digest) = cut(text, '@');
    let last = tagged.rfind('/').map_or(0, |slash| slash + 1);
    let (_, tag) = cut(&tagged[last..], ':');
    let name = &tagged[..tagged.len() - tag.map_or(0, |tag| tag.len() + 1)];
    check_name(name)?;
    if let Some(tag) = tag {
        check_tag(tag, name.len() + 1)?;
    }
    if let Some(digest) = digest {
        check_digest(digest, tagged.len() + 1)?;
    }
    Ok(Parts { name, tag, digest })
}

fn fault<T>(at: usize, why: &'static str) -> Result<T, Fault> {
    Err(Fault { at, why })
}

/// What stands before the first `mark`, and what behind it.
fn cut(text: &str, mark: char) -> (&str, Option<&str>) {
    text.split_once(mark).map_or((text, None), |(before, behind)| (before, Some(behind)))
}

/// Looks for characters that stand in no part of any reference. What is left is ASCII.
fn check_characters(text: &str) -> Result<(), Fault> {
    let is_known = |c: char| c.is_ascii_alphanumeric() || "._-:/@+[]".contains(c);
    let Some((at, c)) = text.char_indices().find(|(_, c)| !is_known(*c)) else { return Ok(()) };
    match c {
        '$' => fault(at, "`$` is not allowed; was a variable not replaced?"),
        c if c.is_whitespace() => fault(at, "white space is not allowed"),
        c if c.is_control() => fault(at, "a control character is not allowed"),
        c if c.is_ascii() => fault(at, "this character is not allowed"),
        _ => fault(at, "only letters, digits and signs of ASCII are allowed"),
    }
}

fn check_name(name: &str) -> Result<(), Fault> {
    if name.is_empty() {
        return fault(0, "the name is missing");
    }
    let mut start = 0;
    if let Some((first, _)) = name.split_once('/')
        && (looks_like_domain(first) || first.starts_with('['))
        && check_component(first, 0).is_err()
    {
        check_domain(first)?;
        start = first.len() + 1;
    }
    for component in name[start..].split('/') {
        check_component(component, start)?;
        start += component.len() + 1;
    }
    Ok(())
}

/// Docker's rule for the first part of a name with a `/`. What looks like a domain may be none.
pub(super) fn looks_like_domain(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.contains(|c: char| c.is_ascii_uppercase())
}

/// A part of the path: `[a-z0-9]+`, joined by `.`, `_`, `__` or any number of dashes.
fn check_component(text: &str, at: usize) -> Result<(), Fault> {
    if text.is_empty() {
        return fault(at, "a part of the path is empty");
    }
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if let Some((bad, c)) = text.char_indices().find(|(_, c)| !is_inner(*c) && !matches!(c, '.' | '_' | '-')) {
        let upper = c.is_ascii_uppercase();
        return fault(
            at + bad,
            if upper { "upper case in the path" } else { "this character is not allowed in a path" },
        );
    }
    let mut start = 0;
    for separator in text.split(is_inner) {
        let end = start + separator.len();
        if start == 0 && end > start {
            return fault(at, "a part of the path begins with `.`, `_` or `-`");
        }
        if end == text.len() && end > start {
            return fault(at + start, "a part of the path ends with `.`, `_` or `-`");
        }
        if !matches!(separator, "." | "_" | "__") && separator.contains(|c| c != '-') {
            return fault(at + start, "only `.`, `_`, `__` or dashes join letters and digits of a path");
        }
        start = end + 1;
    }
    Ok(())
}

/// The first part of a name: a host name or an IPv6 address in brackets, and perhaps a port.
pub(super) fn check_domain(text: &str) -> Result<(), Fault> {
    let end = match text.strip_prefix('[') {
        Some(address) => check_address(address)? + 2,
        None => {
            let (host, _) = cut(text, ':');
            check_host(host)?;
            host.len()
        }
    };
    match text[end..].strip_prefix(':') {
        Some(port) => check_port(port, end + 1),
        None if end == text.len() => Ok(()),
        None => fault(end, "only a port or a path follows the brackets"),
    }
}

/// The text behind an opening bracket; gives the length of the address.
fn check_address(text: &str) -> Result<usize, Fault> {
    let (address, Some(_)) = cut(text, ']') else { return fault(0, "the bracket is not closed") };
    match address.find(|c: char| !c.is_ascii_hexdigit() && c != ':') {
        Some(bad) => fault(1 + bad, "only hex digits and colons stand in the brackets"),
        None if address.is_empty() => fault(1, "the brackets are empty"),
        None => Ok(address.len()),
    }
}

fn check_host(text: &str) -> Result<(), Fault> {
    let mut start = 0;
    for label in text.split('.') {
        if label.is_empty() {
            return fault(start, "a part of the host name is empty");
        }
        if let Some(bad) = label.find(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
            return fault(start + bad, "this character is not allowed in a host name");
        }
        if label.starts_with('-') {
            return fault(start, "a part of the host name begins with `-`");
        }
        if label.ends_with('-') {
            return fault(start + label.len() - 1, "a part of the host name ends with `-`");
        }
        start += label.len() + 1;
    }
    Ok(())
}

fn check_port(text: &str, at: usize) -> Result<(), Fault> {
    match text.find(|c: char| !c.is_ascii_digit()) {
        Some(bad) => fault(at + bad, "a port is a number"),
        None if text.is_empty() => fault(at, "the port is empty"),
        None => Ok(()),
    }
}

fn check_tag(text: &str, at: usize) -> Result<(), Fault> {
    if text.is_empty() {
        return fault(at, "the tag is empty");
    }
    if text.starts_with(['.', '-']) {
        return fault(at, "a tag begins with a letter, a digit or `_`");
    }
    if let Some(bad) = text.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.' | '-')) {
        return fault(at + bad, "this character is not allowed in a tag");
    }
    if text.len() > MAX_TAG { fault(at + MAX_TAG, "a tag has at most 128 characters") } else { Ok(()) }
}

/// Words joined by `-`, `_`, `+` or `.`; a colon; at least 32 hex digits of either case.
fn check_digest(text: &str, at: usize) -> Result<(), Fault> {
    let (algorithm, Some(hex)) = cut(text, ':') else {
        return fault(at, "a digest is written as `sha256:` and 64 hex digits");
    };
    let mut start = at;
    for word in algorithm.split(['-', '_', '+', '.']) {
        if !word.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return fault(start, "each word of a digest's algorithm begins with a letter");
        }
        if let Some(bad) = word.find(|c: char| !c.is_ascii_alphanumeric()) {
            return fault(start + bad, "this character is not allowed in a digest's algorithm");
        }
        start += word.len() + 1;
    }
    let start = at + algorithm.len() + 1;
    match hex.find(|c: char| !c.is_ascii_hexdigit()) {
        Some(bad) => fault(start + bad, "a digest has hex digits only"),
        None if hex.len() < MIN_DIGEST => fault(start + hex.len(), "a digest has at least 32 hex digits"),
        None => Ok(()),
    }
}

/// The digests that Docker's client library takes.
pub(super) fn check_supported(digest: &str, at: usize) -> Result<(), Fault> {
    let (algorithm, hex) = cut(digest, ':');
    let hex = hex.unwrap_or_default();
    let (length, why) = match algorithm {
        "sha256" => (64, "a sha256 digest has 64 hex digits"),
        "sha384" => (96, "a sha384 digest has 96 hex digits"),
        "sha512" => (128, "a sha512 digest has 128 hex digits"),
        _ => return fault(at, "Docker knows no digests but sha256, sha384 and sha512"),
    };
    let start = at + algorithm.len() + 1;
    if hex.len() != length {
        return fault(start + hex.len().min(length), why);
    }
    match hex.bytes().position(|byte| !is_lower_hex(byte)) {
        Some(bad) => fault(start + bad, "upper case in the digest"),
        None => Ok(()),
    }
}

pub(super) fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}
