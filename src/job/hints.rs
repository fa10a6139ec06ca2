//! Why HCL was refused, in words that help: most refused job files are written for HCL1 or are templates of another tool. The parser says where
//! it gave up; what stands there, and what is open there, says why. Its own message is the last resort, never looked into.

use super::position::floor_char;
use super::problem::shown;
use super::scan::{Bracket, Scan, line_start, scan};
use super::tree::Fault;

/// The fault of a text that the parser refused at `offset` with `message`.
pub(super) fn explain(text: &str, offset: usize, message: &str) -> Fault {
    let offset = floor_char(text, offset);
    let place = Place {
        text,
        offset,
        line: line_start(text, offset),
        before: scan(text, offset),
        whole: scan(text, text.len()),
    };
    // The more a hint looks for, the earlier it is asked.
    let hints = [
        Place::template_mark,
        Place::unclosed_quote,
        Place::percent,
        Place::quoted_key,
        Place::comma,
        Place::dotted_key,
        Place::one_line_block,
        Place::inner_quote,
        Place::shell_default,
        Place::escape,
        Place::heredoc,
        Place::surplus,
        Place::unclosed,
        Place::set_twice,
    ];
    hints.iter().find_map(|hint| hint(&place)).unwrap_or_else(|| Fault::new(offset, one_line(message)))
}

/// The fault of a file that another tool must make a job file of.
pub(super) fn template(at: usize, mark: &str) -> Fault {
    Fault::new(at, format!("this is a template (`{mark}`): render it first, with levant, nomad-pack, terraform, …"))
}

struct Place<'a> {
    text: &'a str,
    offset: usize,
    /// Where the line of `offset` begins.
    line: usize,
    /// What was open before `offset`.
    before: Scan,
    /// What the whole text is like.
    whole: Scan,
}

impl<'a> Place<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.offset..]
    }

    /// The line up to the offset.
    fn left(&self) -> &'a str {
        &self.text[self.line..self.offset]
    }

    fn whole_line(&self) -> &'a str {
        self.text[self.line..].lines().next().unwrap_or("")
    }

    fn innermost(&self) -> Option<Bracket> {
        self.before.open.last().map(|o| o.kind)
    }

    /// The name of the block that the offset is in.
    fn block(&self) -> &'a str {
        let Some(open) = self.before.open.iter().rev().find(|o| o.kind == Bracket::Brace) else { return "block" };
        let header = self.text[line_start(self.text, open.at)..open.at].trim();
        // `a { b {`: what follows the last bracket.
        let header = header.rsplit(['{', '}']).next().unwrap_or(header).trim();
        header.split([' ', '\t', '"', '=']).next().filter(|name| !name.is_empty()).unwrap_or("block")
    }

    /// `[[ .x ]]`, `${x}`, `%{ if }`, `{{ x }}` where only structure may stand.
    fn template_mark(&self) -> Option<Fault> {
        const MARKS: [&str; 6] = ["[[", "${", "%{", "{{", "{%", "<%"];
        if self.innermost() == Some(Bracket::Quote) {
            return None;
        }
        let starts = |text: &str| MARKS.into_iter().find(|mark| text.starts_with(mark));
        let line = self.whole_line();
        let at_line_start = starts(line.trim_start()).map(|mark| (mark, line.len() - line.trim_start().len()));
        let here = || starts(self.rest()).map(|mark| (mark, self.left().len()));
        // Within `[[ … ]]` the parser stops a little behind the mark, at what can be no list.
        let earlier = || {
            let found = ["[[", "{{"].into_iter().find_map(|mark| self.left().rfind(mark).map(|index| (mark, index)))?;
            // `[[ var "x" ]]` breaks the string it is in; a `{{ key "x" }}` in one is meant for the task, and its quotes are at fault.
            let within = scan(self.text, self.line + found.1).open.last().map(|o| o.kind);
            (found.0 == "[[" || within != Some(Bracket::Quote)).then_some(found)
        };
        let (mark, index) = at_line_start.or_else(here).or_else(earlier)?;
        // A list of lists, and an object in an object, may be broken without being a template.
        if index < self.left().len() && mark == "[[" && !line.contains("]]") {
            return None;
        }
        Some(template(self.line + index, mark))
    }

    fn unclosed_quote(&self) -> Option<Fault> {
        Some(Fault::new(self.whole.quote?, "the quote that opens here is not closed on its line"))
    }

    fn percent(&self) -> Option<Fault> {
        let message = "`%{` begins a template directive: write `%%{` for the characters themselves";
        Some(Fault::new(self.whole.percent?, message))
    }

    /// `"A" = "b"` in a block.
    fn quoted_key(&self) -> Option<Fault> {
        let in_block = self.innermost() == Some(Bracket::Brace);
        let fresh = self.left().trim_end();
        if !in_block || !self.rest().starts_with('"') || !(fresh.is_empty() || fresh.ends_with('{')) {
            return None;
        }
        let block = self.block();
        let message = format!("a quoted key cannot stand in a block: write `{block} = {{ … }}`");
        Some(Fault::new(self.offset, message))
    }

    /// `a.b = "c"` in a block, and `a: "c"`.
    fn dotted_key(&self) -> Option<Fault> {
        if !matches!(self.innermost(), None | Some(Bracket::Brace)) {
            return None;
        }
        let key = self.left().rsplit(['{', ' ', '\t']).next().unwrap_or("");
        let at = self.offset - key.len();
        let key_like = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-".contains(c));
        // Before the key there must be nothing but the line's beginning or a brace: a value may well have dots.
        let fresh = self.text[self.line..at].trim_end();
        if !key_like || !(fresh.is_empty() || fresh.ends_with('{')) {
            return None;
        }
        match self.rest().as_bytes().first()? {
            b'.' => {
                let block = self.block();
                let message = format!("a dotted key cannot stand in a block: write `{block} = {{ \"{key}.…\" = … }}`");
                Some(Fault::new(at, message))
            }
            b':' => Some(Fault::new(self.offset, format!("`:` sets nothing in a block: write `{key} = …`"))),
            _ => None,
        }
    }

    /// `a = 1,` in a block.
    fn comma(&self) -> Option<Fault> {
        let in_block = matches!(self.innermost(), None | Some(Bracket::Brace));
        (in_block && self.rest().starts_with(','))
            .then(|| Fault::new(self.offset, "no comma may follow an attribute of a block"))
    }

    /// `restart { attempts = 2 delay = "1s" }`, or a nested block on the line.
    fn one_line_block(&self) -> Option<Fault> {
        let open = self.before.open.last().filter(|o| o.kind == Bracket::Brace && o.at >= self.line)?;
        let inside = self.text[open.at + 1..self.offset].trim();
        let is_block = !self.text[..open.at].trim_end().ends_with(['=', ':', '[', ',']);
        let another = |c: char| c.is_alphabetic() || "_{\"".contains(c);
        (is_block && !inside.is_empty() && self.rest().starts_with(another))
            .then(|| Fault::new(self.offset, "a block on one line holds one attribute: put each on a line of its own"))
    }

    /// `"{{ key "/x" }}"`
    fn inner_quote(&self) -> Option<Fault> {
        let left = self.left();
        if self.innermost() == Some(Bracket::Quote) || !left.contains('"') {
            return None;
        }
        // What follows the quote may read as a calculation (`"a"/x`), and then the parser stops at the next quote.
        let follows = |c: char| !c.is_whitespace() && !",;:=]})\"".contains(c);
        let at_quote = left.ends_with('"') && self.rest().starts_with(follows);
        let at_next = self.rest().starts_with('"') && left.ends_with(|c: char| c.is_alphanumeric());
        (at_quote || at_next)
            .then(|| Fault::new(self.offset, "the string ended before this: write `\\\"` for a quote within it"))
    }

    /// `${FOO:-x}` and the like in a string.
    fn shell_default(&self) -> Option<Fault> {
        let open = self.before.open.last().filter(|o| o.kind == Bracket::Template)?;
        let message = "this is no reference of a job file: write `$${` for a `${` that is meant for the task";
        Some(Fault::new(open.at, message))
    }

    /// `"\d"`
    fn escape(&self) -> Option<Fault> {
        if self.innermost() != Some(Bracket::Quote) {
            return None;
        }
        // The parser may stop before the backslash, behind it, or behind its letter.
        let near = self.offset.saturating_sub(2)..=self.offset;
        let at = near.rev().find(|at| self.text.get(*at..).is_some_and(|t| t.starts_with('\\')))?;
        let letter = self.text.get(at..)?.strip_prefix('\\')?.chars().next()?;
        let message = format!("there is no escape {}: write `\\\\` for a backslash", shown(&format!("\\{letter}")));
        (!"nrt\\\"uU".contains(letter)).then(|| Fault::new(at, message))
    }

    fn heredoc(&self) -> Option<Fault> {
        if self.left().rsplit_once("<<").is_some_and(|(_, mark)| !mark.trim().is_empty())
            && self.rest().starts_with(' ')
        {
            return Some(Fault::new(self.offset, "nothing, not even a blank, may follow the mark of a heredoc"));
        }
        let (at, mark) = self.whole.heredoc.as_ref()?;
        Some(Fault::new(*at, format!("the heredoc that opens here has no end: {} on a line of its own", shown(mark))))
    }

    fn surplus(&self) -> Option<Fault> {
        let at = self.whole.surplus?;
        let closer = self.text[at..].chars().next().unwrap_or('}');
        (at <= self.offset)
            .then(|| Fault::new(at, format!("a `{closer}` too many: nothing is open that it could close")))
    }

    fn unclosed(&self) -> Option<Fault> {
        let (opener, at) = match (self.whole.clash, self.whole.open.first(), self.whole.skewed) {
            (Some(clash), ..) => (clash.kind.opener(), clash.at),
            (None, Some(_), Some(skewed)) => ("{", skewed),
            (None, Some(outermost), None) => (outermost.kind.opener(), outermost.at),
            (None, None, _) => return None,
        };
        Some(Fault::new(at, format!("the `{opener}` that opens here is not closed")))
    }

    fn set_twice(&self) -> Option<Fault> {
        let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let name = &self.rest()[..self.rest().find(|c| !is_name(c)).unwrap_or(0)];
        let sets = |line: &str| line.trim_start().strip_prefix(name).is_some_and(|r| r.trim_start().starts_with('='));
        let start = self.before.open.last().map_or(0, |open| open.at + 1);
        let earlier = self.text[start..self.offset].split(['\n', ',', '{']).any(sets);
        (!name.is_empty() && sets(self.rest()) && earlier)
            .then(|| Fault::new(self.offset, format!("{} is set twice here", shown(name))))
    }
}

/// A message of the parser as one line.
pub(super) fn one_line(message: &str) -> String {
    let words: Vec<&str> = message.split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use crate::job::hcl;

    #[test]
    fn hints() {
        // `^` marks the place, and is taken out.
        for (marked, want) in [
            ("^[[ if .x ]]\njob \"a\" {}\n", "this is a template (`[[`)"),
            ("job \"a\" {\n  count = ^[[ .count ]]\n}\n", "this is a template (`[[`)"),
            ("job \"a\" {\n  ^[[ range .x ]]\n  b = 1\n  [[ end ]]\n}\n", "this is a template (`[[`)"),
            ("job \"a\" {\n  x = \"^[[ var \"name\" . ]]\"\n}\n", "this is a template (`[[`)"),
            ("job \"a\" {\n  count = ^${count}\n}\n", "this is a template (`${`)"),
            ("job \"a\" {\n  ^%{ if x }\n  b = 1\n  %{ endif }\n}\n", "this is a template (`%{`)"),
            ("job \"a\" {\n  ^{{ range x }}\n}\n", "this is a template (`{{`)"),
            ("job \"a\" {\n  count = ^{{ count }}\n}\n", "this is a template (`{{`)"),
            ("^{% if x %}\n", "this is a template (`{%`)"),
            ("env {\n  ^\"A\" = \"b\"\n}\n", "a quoted key cannot stand in a block: write `env = { … }`"),
            ("env { ^\"A\" = \"b\" }\n", "a quoted key cannot stand in a block: write `env = { … }`"),
            ("labels {\n  ^a.b = \"c\"\n}\n", "a dotted key cannot stand in a block: write `labels = { \"a.…\" = … }`"),
            ("env {\n  a^: \"c\"\n}\n", "`:` sets nothing in a block: write `a = …`"),
            ("m {\n  a = 1^,\n  b = 2\n}\n", "no comma may follow an attribute of a block"),
            ("m {\n  a = \"x\"^,\n}\n", "no comma may follow an attribute of a block"),
            ("a = 1^,\n", "no comma may follow an attribute of a block"),
            ("r { a = 1 ^b = 2 }\n", "a block on one line holds one attribute"),
            ("r { a = 1^, b = 2 }\n", "no comma may follow an attribute of a block"),
            ("r { b ^{ } }\n", "a block on one line holds one attribute"),
            ("m {\n  a = \"{{ key \"/x^\" }}\"\n}\n", "the string ended before this"),
            ("m {\n  a = \"{{ key \"^x\" }}\"\n}\n", "the string ended before this"),
            ("m {\n  a = \"^%{http_code}\"\n}\n", "`%{` begins a template directive: write `%%{`"),
            ("m {\n  a = <<EOF\ncurl -w '^%{http_code}'\nEOF\n}\n", "`%{` begins a template directive"),
            ("m {\n  a = \"x ^${FOO:-x}\"\n}\n", "this is no reference of a job file: write `$${`"),
            ("m {\n  a = \"^\\d\"\n}\n", "there is no escape `\\d`: write `\\\\`"),
            ("m {\n  a = ^\"x\n  b = \"y\"\n}\n", "the quote that opens here is not closed on its line"),
            ("m {\n  a = ^\"x\n}\n", "the quote that opens here is not closed on its line"),
            ("m ^{\n  a = 1\n", "the `{` that opens here is not closed"),
            ("m {\n  n {\n    o ^{\n      a = 1\n  }\n}\n", "the `{` that opens here is not closed"),
            ("m {\n  a = ^[1, 2\n  b = 3\n}\n", "the `[` that opens here is not closed"),
            ("m {\n  a = 1\n}\n^}\n", "a `}` too many"),
            ("m {\n  a = ^<<EOF\nx\n}\n", "the heredoc that opens here has no end: `EOF`"),
            ("m {\n  a = <<EOF^ \nx\nEOF\n}\n", "nothing, not even a blank, may follow the mark of a heredoc"),
            ("m {\n  a = 1\n  ^a = 2\n}\n", "`a` is set twice here"),
            ("m {\n  a = { x = 1, ^x = 2 }\n}\n", "`x` is set twice here"),
            ("m {\n  a = ^]\n}\n", "a `]` too many"),
            ("m {\n  a = ^;\n}\n", "invalid expression; expected"),
            ("a = 1 ^b = 2\n", "expected newline or eof"),
        ] {
            let at = marked.find('^');
            let text = marked.replacen('^', "", 1);
            let fault = hcl::read(&text).expect_err(marked);
            assert!(fault.message.starts_with(want), "{marked:?}: {}", fault.message);
            assert_eq!(Some(fault.at), at, "{marked:?}: {}", fault.message);
        }
    }
}
