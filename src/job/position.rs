//! Where things stand in a job file: lines and columns, both from 1, a column counted in characters.
//! Everything in this module keeps byte offsets and turns them into lines only when somebody asks, so that a file of one long line costs nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::problem::Problem;

/// A place in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1; 0: not known.
    pub line: usize,
    /// The character within the line, from 1; 0: not known.
    pub column: usize,
}

/// Where the options of a task stand: option path (`mount[0].type`, as [`crate::driver`] names them) to line and column.
///
/// One made by [`Default`] (a task that came from no file) knows nothing and answers 0:0.
#[derive(Clone, Default, PartialEq)]
pub struct Positions {
    source: Option<Arc<Source>>,
    root: Place,
}

impl Positions {
    /// Where an option stands; where the path leads on into nothing, the nearest that encloses it; for the empty path the whole `config`.
    /// A single block answers to `mount` and to `mount[0]`.
    pub fn at(&self, path: &str) -> Position {
        let Some(source) = &self.source else { return Position::default() };
        source.position(self.root.nearest(path))
    }

    /// A problem with an option, at the place where it stands.
    pub fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        let Position { line, column } = self.at(path);
        let file = self.source.as_ref().map(|s| s.file.clone()).unwrap_or_default();
        Problem { file, line, column, message: message.into() }
    }

    pub(super) fn new(source: Arc<Source>, root: Place) -> Self {
        Self { source: Some(source), root }
    }
}

impl fmt::Debug for Positions {
    // The source is a whole file, and it is in every task: too much to look at.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Positions").field("root", &self.root).finish_non_exhaustive()
    }
}

/// A node of [`Positions`]: its offset, and what is inside it by key or by number.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Place {
    pub(super) at: usize,
    pub(super) keys: BTreeMap<String, Place>,
    pub(super) items: Vec<Place>,
}

impl Place {
    fn nearest(&self, path: &str) -> usize {
        let mut place = self;
        let mut rest = path;
        loop {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let (next, after) = if let Some(index) = rest.strip_prefix('[') {
                let (index, after) = index.split_once(']').unwrap_or((index, ""));
                match index.parse::<usize>() {
                    Ok(0) if place.items.is_empty() => (Some(place), after),
                    Ok(n) => (place.items.get(n), after),
                    Err(_) => (place.keys.get(index.trim_matches('"')), after),
                }
            } else {
                // Keys may have dots themselves, as labels do: the longest that fits.
                let fits = |key: &&String| {
                    rest.strip_prefix(key.as_str())
                        .is_some_and(|after| after.is_empty() || after.starts_with(['.', '[']))
                };
                let key = place.keys.keys().filter(fits).max_by_key(|key| key.len());
                let Some(key) = key else { return place.at };
                (place.keys.get(key), &rest[key.len()..])
            };
            let Some(next) = next else { return place.at };
            if after.is_empty() {
                return next.at;
            }
            (place, rest) = (next, after);
        }
    }
}

/// A file's text, and where its lines begin.
#[derive(PartialEq)]
pub(super) struct Source {
    pub(super) file: String,
    pub(super) text: String,
    lines: Vec<usize>,
}

impl Source {
    pub(super) fn new(file: &str, text: &str) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        Self { file: file.into(), text: text.into(), lines }
    }

    /// The line and column of a byte.
    pub(super) fn position(&self, offset: usize) -> Position {
        let offset = floor_char(&self.text, offset);
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines[line.saturating_sub(1)];
        Position { line, column: self.text[start..offset].chars().count() + 1 }
    }

    pub(super) fn problem(&self, offset: usize, message: impl Into<String>) -> Problem {
        let Position { line, column } = self.position(offset);
        Problem { file: self.file.clone(), line, column, message: message.into() }
    }
}

/// The start of the character that an offset is in; the end of the text where it is beyond.
pub(super) fn floor_char(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets() {
        let source = Source::new("f", "ab\r\nçd\n\n€x");
        for (offset, line, column) in [
            (0, 1, 1),
            (2, 1, 3),
            (3, 1, 4),
            (4, 2, 1),
            (5, 2, 1), // within ç
            (6, 2, 2),
            (8, 3, 1),
            (9, 4, 1),
            (12, 4, 2),
            (13, 4, 3),
            (99, 4, 3),
        ] {
            assert_eq!(source.position(offset), Position { line, column }, "offset {offset}");
        }
        assert_eq!(Source::new("f", "").position(0), Position { line: 1, column: 1 }, "an empty file");
    }

    #[test]
    fn paths() {
        let leaf = |at| Place { at, ..Place::default() };
        let branch = |at, keys: Vec<(&str, Place)>| Place {
            at,
            keys: keys.into_iter().map(|(k, p)| (k.to_owned(), p)).collect(),
            items: vec![],
        };
        let list = |at, items| Place { at, items, ..Place::default() };
        let root = branch(
            0,
            vec![
                ("image", leaf(1)),
                ("mount", list(2, vec![branch(2, vec![("type", leaf(3))]), branch(4, vec![("type", leaf(5))])])),
                ("logging", branch(6, vec![("type", leaf(7))])),
                ("labels", branch(8, vec![("a", leaf(9)), ("a.b", leaf(10)), ("a.b.c d", leaf(11))])),
            ],
        );
        for (path, want) in [
            ("", 0),
            ("image", 1),
            ("image.x", 1),
            ("imag", 0),
            ("nothing", 0),
            ("mount", 2),
            ("mount[0].type", 3),
            ("mount[1]", 4),
            ("mount[1].type", 5),
            ("mount[1].source", 4),
            ("mount[7].type", 2),
            ("mount[x]", 2),
            ("mount[", 2),
            ("logging.type", 7),
            ("logging[0].type", 7),
            ("logging[0]", 6),
            ("labels.a", 9),
            ("labels.a.b", 10),
            ("labels.a.b.c d", 11),
            ("labels.a.x", 9),
            ("labels[\"a.b\"]", 10),
        ] {
            assert_eq!(root.nearest(path), want, "path {path:?}");
        }
        assert_eq!(Positions::default().at("image"), Position::default());
    }
}
