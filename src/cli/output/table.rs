//! Tables, and the short words of their cells. Pure.

use std::time::Duration;

use crate::values::printable;

/// Rows under headings, each column as wide as its widest cell. A row is a line, whatever its cells hold.
pub(in crate::cli) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let rows: Vec<Vec<_>> =
        rows.iter().map(|row| row.iter().map(|cell| printable(cell).into_owned()).collect()).collect();
    let all = || std::iter::once(&headings).chain(&rows);
    let width = |column: usize| all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..headings.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in all() {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:width$}   "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// How long something has lasted, in its largest unit: `5s`, `12m`, `3h`, `9d`.
pub(in crate::cli) fn age(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// A cell without anything in it.
pub(in crate::cli) fn or_dash(text: Option<String>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns() {
        let rows = [vec!["a".into(), "bä".into()], vec!["long".into(), String::new()]];
        assert_eq!(table(&["X", "YY"], &rows), "X      YY\na      bä\nlong\n");
        assert_eq!(table(&["X", "Y"], &[]), "X   Y\n", "nothing is a heading");
        let rows = [vec!["a\nforged   row".into(), "\u{1b}[2J".into()], vec!["b".into(), "c".into()]];
        let want = "X                 Y\na\\nforged   row   \\u{1b}[2J\nb                 c\n";
        assert_eq!(table(&["X", "Y"], &rows), want, "a row is a line");
    }

    #[test]
    fn ages() {
        for (seconds, want) in
            [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (86_399, "23h"), (864_000, "10d")]
        {
            assert_eq!(age(Duration::from_secs(seconds)), want);
        }
    }
}
