//! The terminal that standard error is: lines that come and stay, and below them lines that are drawn again and again, one a pull.
//!
//! Whatever is written there while such lines are drawn must go through here ([`stdout`], [`stderr`]): they are wiped before it, and
//! drawn again behind it, once the cursor is at the beginning of a line. Under one lock, that costs 5 ns a write where nothing is drawn.
//! A terminal that does not take what is written blocks them all, as it would anyway.

use std::io::{self, IsTerminal, Write};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often lines are drawn at most.
pub(in crate::cli) const REDRAW: Duration = Duration::from_millis(100);

/// This process's.
pub(in crate::cli) static SCREEN: Screen = Screen::new();

/// Standard output; through [`SCREEN`] if it is the terminal that standard error is, too.
pub(in crate::cli) fn stdout() -> Beside<io::Stdout> {
    let shared = io::stdout().is_terminal() && io::stderr().is_terminal();
    Beside { screen: shared.then_some(&SCREEN), to: io::stdout() }
}

/// Standard error; through [`SCREEN`] if it is a terminal.
pub(in crate::cli) fn stderr() -> Beside<io::Stderr> {
    Beside { screen: io::stderr().is_terminal().then_some(&SCREEN), to: io::stderr() }
}

/// A terminal.
pub(in crate::cli) struct Screen {
    state: Mutex<State>,
}

struct State {
    /// Whether the cursor stands behind a line that has no end yet.
    within_line: bool,
    drawn: Option<Drawn>,
}

/// The lines that are drawn.
struct Drawn {
    all: MultiProgress,
    bars: Vec<Bar>,
    /// Whether they are to be seen.
    visible: bool,
    /// Whether they are to be seen as they are meant to.
    current: bool,
    at: Option<Instant>,
}

struct Bar {
    name: String,
    line: String,
    bar: ProgressBar,
}

impl Screen {
    pub(in crate::cli) const fn new() -> Self {
        Self { state: Mutex::new(State { within_line: false, drawn: None }) }
    }

    /// From now on lines are drawn to `target`.
    pub(in crate::cli) fn open(&self, target: ProgressDrawTarget) {
        let all = MultiProgress::with_draw_target(target);
        self.lock().drawn = Some(Drawn { all, bars: Vec::new(), visible: false, current: true, at: None });
    }

    /// Wipes all lines; no more are drawn.
    pub(in crate::cli) fn close(&self) {
        let mut state = self.lock();
        state.wipe();
        if let Some(Drawn { all, bars, .. }) = state.drawn.take() {
            // One that is dropped where it is draws itself for a last time.
            bars.iter().for_each(|bar| all.remove(&bar.bar));
        }
    }

    /// Draws a line, or one of that name anew. It must be no wider than the terminal, without a newline.
    pub(in crate::cli) fn draw(&self, name: &str, line: String) {
        let mut state = self.lock();
        let Some(drawn) = &mut state.drawn else { return };
        match drawn.bars.iter_mut().find(|bar| bar.name == name) {
            Some(bar) => bar.line = line,
            None => {
                let bar = ProgressBar::no_length();
                if let Ok(style) = ProgressStyle::with_template("{msg}") {
                    bar.set_style(style);
                }
                drawn.bars.push(Bar { name: name.to_owned(), line, bar: drawn.all.add(bar) });
            }
        }
        drawn.current = false;
        state.draw_when_due();
    }

    /// Draws the line of that name no more.
    pub(in crate::cli) fn remove(&self, name: &str) {
        let mut state = self.lock();
        state.wipe();
        if let Some(drawn) = &mut state.drawn {
            for bar in drawn.bars.extract_if(.., |bar| bar.name == name) {
                drawn.all.remove(&bar.bar);
            }
        }
        state.draw();
    }

    /// Draws what was wiped or changed since lines were drawn last. To be called every [`REDRAW`] while [there are lines](Self::has_lines).
    pub(in crate::cli) fn refresh(&self) {
        self.lock().draw_when_due();
    }

    /// Whether lines are drawn.
    pub(in crate::cli) fn has_lines(&self) -> bool {
        self.lock().drawn.as_ref().is_some_and(|drawn| !drawn.bars.is_empty())
    }

    /// Whether the cursor stands behind a line that has no end yet.
    pub(in crate::cli) fn is_within_line(&self) -> bool {
        self.lock().within_line
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wipe(&mut self) {
        let Some(drawn) = &mut self.drawn else { return };
        if mem::take(&mut drawn.visible) {
            drawn.current = false;
            // Where the terminal has gone there is nothing to wipe.
            let _ = drawn.all.clear();
        }
    }

    fn draw(&mut self) {
        let Some(drawn) = self.drawn.as_mut().filter(|_| !self.within_line) else { return };
        for bar in &drawn.bars {
            bar.bar.set_message(bar.line.clone());
        }
        if let Some(bar) = drawn.bars.last() {
            // This draws all of them.
            bar.bar.force_draw();
            drawn.visible = true;
        }
        drawn.current = true;
        drawn.at = Some(Instant::now());
    }

    fn draw_when_due(&mut self) {
        let due = |drawn: &Drawn| !drawn.current && drawn.at.is_none_or(|at| at.elapsed() >= REDRAW);
        if self.drawn.as_ref().is_some_and(due) {
            self.draw();
        }
    }
}

/// A stream that may lead to a terminal.
pub(in crate::cli) struct Beside<W> {
    /// `None`: it leads elsewhere.
    screen: Option<&'static Screen>,
    to: W,
}

impl<W: Write> Write for Beside<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(screen) = self.screen else { return self.to.write(bytes) };
        let mut state = screen.lock();
        state.wipe();
        let written = self.to.write(bytes)?;
        if let Some(last) = bytes[..written].last() {
            state.within_line = *last != b'\n';
        }
        state.draw_when_due();
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        // Standard output holds nothing back but the beginning of a line; and then nothing is drawn.
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::TermLike;
    use std::sync::Arc;

    const WIDTH: usize = 20;

    /// A terminal as its reader sees it.
    #[derive(Debug, Default)]
    struct Page {
        rows: Vec<Vec<char>>,
        row: usize,
        column: usize,
    }

    impl Page {
        fn write(&mut self, text: &str) {
            for c in text.chars() {
                match c {
                    '\n' => (self.row, self.column) = (self.row + 1, 0),
                    '\r' => self.column = 0,
                    _ => {
                        if self.column == WIDTH {
                            (self.row, self.column) = (self.row + 1, 0);
                        }
                        let rows = self.rows.len().max(self.row + 1);
                        self.rows.resize(rows, Vec::new());
                        let row = &mut self.rows[self.row];
                        row.resize(row.len().max(self.column + 1), ' ');
                        row[self.column] = c;
                        self.column += 1;
                    }
                }
            }
        }
    }

    /// The same, as it is written to.
    #[derive(Debug, Clone, Default)]
    struct Paper(Arc<Mutex<Page>>);

    impl Paper {
        fn page(&self) -> MutexGuard<'_, Page> {
            self.0.lock().unwrap()
        }

        fn rows(&self) -> Vec<String> {
            let rows =
                self.page().rows.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned()).collect();
            Vec::<String>::into_iter(rows).filter(|row| !row.is_empty()).collect()
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.page().write(std::str::from_utf8(bytes).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl TermLike for Paper {
        fn width(&self) -> u16 {
            u16::try_from(WIDTH).unwrap()
        }
        fn move_cursor_up(&self, n: usize) -> io::Result<()> {
            self.page().row -= n;
            Ok(())
        }
        fn move_cursor_down(&self, n: usize) -> io::Result<()> {
            self.page().row += n;
            Ok(())
        }
        fn move_cursor_right(&self, n: usize) -> io::Result<()> {
            self.page().column += n;
            Ok(())
        }
        fn move_cursor_left(&self, n: usize) -> io::Result<()> {
            self.page().column -= n;
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.page().write(&format!("{text}\n"));
            Ok(())
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.page().write(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            let page = &mut *self.page();
            page.column = 0;
            if let Some(row) = page.rows.get_mut(page.row) {
                row.clear();
            }
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_written_is_never_drawn_over() {
        let paper = Paper::default();
        let screen: &'static Screen = Box::leak(Box::new(Screen::new()));
        let (mut out, mut err) =
            (Beside { screen: Some(screen), to: paper.clone() }, Beside { screen: Some(screen), to: paper.clone() });
        let shows = |row: &str, want: &[&str]| {
            screen.lock().draw();
            assert_eq!(paper.rows(), want, "{row}");
        };
        out.write_all(b"before\n").unwrap();
        screen.draw("x", "x 0%".into());
        shows("nothing is drawn before it is opened", &["before"]);
        screen.open(ProgressDrawTarget::term_like(Box::new(paper.clone())));
        shows("nothing is there to be drawn", &["before"]);
        screen.draw("x", "x 1%".into());
        screen.draw("y", "y 1%".into());
        shows("two lines", &["before", "x 1%", "y 1%"]);
        screen.draw("y", "y 2%".into());
        out.write_all(b"a\n").unwrap();
        shows("a whole line", &["before", "a", "x 1%", "y 2%"]);
        out.write_all(b"b").unwrap();
        shows("a line without its end", &["before", "a", "b"]);
        assert!(screen.is_within_line());
        screen.draw("x", "x 3%".into());
        shows("the same, and something new to draw", &["before", "a", "b"]);
        out.write_all(b"c\n").unwrap();
        err.write_all(b"d\nlonger than a row of it is\n").unwrap();
        let lines = ["before", "a", "bc", "d", "longer than a row of", " it is"];
        shows("its end", &[&lines[..], &["x 3%", "y 2%"]].concat());
        screen.remove("x");
        screen.remove("z");
        shows("one is done", &[&lines[..], &["y 2%"]].concat());
        screen.draw("x", "x 0%".into());
        shows("it begins anew", &[&lines[..], &["y 2%", "x 0%"]].concat());
        assert!(screen.has_lines());
        screen.close();
        shows("all is done", &lines);
        out.write_all(b"e\n").unwrap();
        shows("and after it", &[&lines[..], &["e"]].concat());
        assert!(!screen.has_lines());
    }

    #[test]
    fn a_terminal_that_has_gone_harms_nobody() {
        #[derive(Debug)]
        struct Gone;
        fn gone() -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        impl TermLike for Gone {
            fn width(&self) -> u16 {
                0
            }
            fn move_cursor_up(&self, _: usize) -> io::Result<()> {
                gone()
            }
            fn move_cursor_down(&self, _: usize) -> io::Result<()> {
                gone()
            }
            fn move_cursor_right(&self, _: usize) -> io::Result<()> {
                gone()
            }
            fn move_cursor_left(&self, _: usize) -> io::Result<()> {
                gone()
            }
            fn write_line(&self, _: &str) -> io::Result<()> {
                gone()
            }
            fn write_str(&self, _: &str) -> io::Result<()> {
                gone()
            }
            fn clear_line(&self) -> io::Result<()> {
                gone()
            }
            fn flush(&self) -> io::Result<()> {
                gone()
            }
        }
        let paper = Paper::default();
        let screen: &'static Screen = Box::leak(Box::new(Screen::new()));
        screen.open(ProgressDrawTarget::term_like(Box::new(Gone)));
        screen.draw("x", "x".into());
        Beside { screen: Some(screen), to: paper.clone() }.write_all(b"a\n").unwrap();
        screen.refresh();
        screen.remove("x");
        screen.close();
        assert_eq!(paper.rows(), ["a"]);
    }
}
