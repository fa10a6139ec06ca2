//! What is open at a place of an HCL text: brackets, quotes, heredocs. Not a parser but a bookkeeper, for texts that the parser has refused:
//! it never fails, and it is asked only to say where something was opened that is not closed.

use super::position::floor_char;

/// What was found up to some offset.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// What is open at the end, outermost first.
    pub(super) open: Vec<Open>,
    /// The first quote that is not closed on its line.
    pub(super) quote: Option<usize>,
    /// The first heredoc without an end, and its mark.
    pub(super) heredoc: Option<(usize, String)>,
    /// The first `%{` in a string that begins no directive.
    pub(super) percent: Option<usize>,
    /// The first closing bracket to which nothing is open.
    pub(super) surplus: Option<usize>,
    /// The first opening bracket that another kind's closing one met.
    pub(super) clash: Option<Open>,
    /// The first `{` whose `}`, by the indentation, belongs to a block around it.
    pub(super) skewed: Option<usize>,
    /// Where the line that is being looked at has its first character that is no blank, and how far in that is.
    first: usize,
    indent: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Open {
    pub(super) kind: Bracket,
    pub(super) at: usize,
    /// How far the line that it stands in is indented.
    indent: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bracket {
    Brace,
    Square,
    Round,
    /// A string.
    Quote,
    /// `${` or `%{` in a string.
    Template,
}

impl Bracket {
    pub(super) fn opener(self) -> &'static str {
        match self {
            Bracket::Brace => "{",
            Bracket::Square => "[",
            Bracket::Round => "(",
            Bracket::Quote => "\"",
            Bracket::Template => "${",
        }
    }
}

/// Looks at the text up to `end`.
pub(super) fn scan(text: &str, end: usize) -> Scan {
    let text = &text[..floor_char(text, end)];
    let bytes = text.as_bytes();
    let mut scan = Scan::default();
    scan.line(text, 0);
    let mut at = 0;
    while at < bytes.len() {
        let before = at;
        let rest = &text[at..];
        at += match scan.open.last().map(|o| o.kind) {
            Some(Bracket::Quote) => scan.quoted(rest, at),
            _ => scan.code(text, at),
        };
        // What is looked for is ASCII: a step that ended within a character goes on to its end.
        while at < text.len() && !text.is_char_boundary(at) {
            at += 1;
        }
        if let Some(newline) = text[before..at.min(text.len())].rfind('\n') {
            scan.line(text, before + newline + 1);
        }
    }
    if let Some(Open { kind: Bracket::Quote, at, .. }) = scan.open.last() {
        scan.quote.get_or_insert(*at);
    }
    scan
}

impl Scan {
    /// Takes note of a line that begins.
    fn line(&mut self, text: &str, start: usize) {
        let line = &text[start..];
        self.indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        self.first = start + self.indent;
    }

    fn open(&mut self, kind: Bracket, at: usize) {
        self.open.push(Open { kind, at, indent: self.indent });
    }

    /// One step within a string: how many bytes it took.
    fn quoted(&mut self, rest: &str, at: usize) -> usize {
        if rest.starts_with("$${") || rest.starts_with("%%{") {
            return 3;
        }
        if rest.starts_with("${") || rest.starts_with("%{") {
            if rest.starts_with('%') && !is_directive(&rest[2..]) {
                self.percent.get_or_insert(at);
            }
            self.open(Bracket::Template, at);
            return 2;
        }
        match rest.as_bytes()[0] {
            b'\\' => return 2,
            b'"' => {
                self.open.pop();
            }
            b'\n' => {
                if let Some(open) = self.open.last() {
                    self.quote.get_or_insert(open.at);
                }
            }
            _ => {}
        }
        1
    }

    /// One step outside of strings.
    fn code(&mut self, text: &str, at: usize) -> usize {
        let rest = &text[at..];
        let to_line_end = || rest.find('\n').unwrap_or(rest.len());
        if rest.starts_with("//") {
            return to_line_end();
        }
        if rest.starts_with("/*") {
            return rest.find("*/").map_or(rest.len(), |end| end + 2);
        }
        if let Some(length) = rest.strip_prefix("<<").and_then(|after| self.heredoc(after, at)) {
            return length;
        }
        let kind = match rest.as_bytes()[0] {
            b'#' => return to_line_end(),
            b'"' => Bracket::Quote,
            b'{' => Bracket::Brace,
            b'[' => Bracket::Square,
            b'(' => Bracket::Round,
            closer @ (b'}' | b']' | b')') => {
                self.close(closer, at);
                return 1;
            }
            _ => return 1,
        };
        self.open(kind, at);
        1
    }

    fn close(&mut self, closer: u8, at: usize) {
        while let Some(open) = self.open.pop() {
            let fits = match open.kind {
                Bracket::Brace | Bracket::Template => closer == b'}',
                Bracket::Square => closer == b']',
                Bracket::Round => closer == b')',
                Bracket::Quote => false,
            };
            if !fits {
                self.clash.get_or_insert(open);
                continue;
            }
            if open.kind == Bracket::Brace && at == self.first && self.indent < open.indent {
                self.skewed.get_or_insert(open.at);
            }
            return;
        }
        self.surplus.get_or_insert(at);
    }

    /// The length of a heredoc that begins here, from its `<<` on.
    fn heredoc(&mut self, after: &str, at: usize) -> Option<usize> {
        let mark = after.strip_prefix('-').unwrap_or(after);
        let (mark, _) = mark.split_once('\n')?;
        let mark = mark.trim();
        if mark.is_empty() || !mark.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-') {
            return None;
        }
        let mut length = 2;
        for (number, line) in after.split_inclusive('\n').enumerate() {
            if number > 0 && line.trim() == mark {
                // What follows the mark (an end of line, a comma) is code again.
                return Some(length + line.len() - line.trim_start().len() + mark.len());
            }
            if number > 0 {
                self.percent_in(line, at + length);
            }
            length += line.len();
        }
        self.heredoc.get_or_insert((at, mark.into()));
        Some(length)
    }

    fn percent_in(&mut self, line: &str, at: usize) {
        let wrong = |(index, _): &(usize, &str)| !line[..*index].ends_with('%') && !is_directive(&line[index + 2..]);
        if let Some((index, _)) = line.match_indices("%{").find(wrong) {
            self.percent.get_or_insert(at + index);
        }
    }
}

/// Whether what follows `%{` is one of the template directives.
fn is_directive(after: &str) -> bool {
    let after = after.strip_prefix('~').unwrap_or(after).trim_start();
    let word = &after[..after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len())];
    matches!(word, "if" | "else" | "endif" | "for" | "endfor")
}

pub(super) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open() {
        for (text, want) in [
            ("", ""),
            ("a {\n b [ (", "{[("),
            ("a { } [ ] ( )", ""),
            ("a { # {\n // [\n /* ( */", "{"),
            ("a { \"} ${x[\"y\"]} {\" }", ""),
            ("a = \"x ${ f(\"y", "\"${(\""),
            ("a = \"$${ %%{ \\\" {", "\""),
            ("a = <<EOF\n { [ \"\nEOF\nb {", "{"),
            ("a = <<-EOF\n {\n  EOF\nb {", "{"),
            ("a = <<EOF\n {\n", ""),
            ("a < b {", "{"),
            ("é { ü \"ß", "{\""),
        ] {
            let open: String = scan(text, text.len()).open.iter().map(|o| o.kind.opener()).collect();
            assert_eq!(open, want, "{text:?}");
        }
    }

    #[test]
    fn what_is_odd() {
        let at = |text: &str, what: &str| text.find(what);
        let text = "a = \"x\nb = \"y\"\n";
        assert_eq!(scan(text, text.len()).quote, at(text, "\"x"), "the first quote, not the last");
        let text = "a = <<EOF\n x\n";
        assert_eq!(scan(text, text.len()).heredoc, Some((4, "EOF".into())));
        let text = "a = \"%{if x}%{ endif }%%{y}%{http_code}\"";
        assert_eq!(scan(text, text.len()).percent, at(text, "%{http"));
        let text = "a = <<EOF\n%%{x} %{http_code}\nEOF\n";
        assert_eq!(scan(text, text.len()).percent, at(text, "%{http"));
        let text = "a {\n}\n}\n";
        assert_eq!(scan(text, text.len()).surplus, Some(6));
        let text = "a {\n  b {\n    c {\n  }\n}\n";
        assert_eq!(scan(text, text.len()).skewed, at(text, "{\n  }"), "c is not closed");
    }
}
