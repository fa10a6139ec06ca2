//! Every line arrives on its own stream, in order, once.

use std::fmt::Write;

use serde_json::json;

use super::bench::{Bench, assert_same};
use crate::support::IMAGE;

fn lines(bench: &Bench) -> u32 {
    bench.amount(300, 100_000)
}

fn numbered(what: &str, lines: u32, end: &str) -> String {
    (1..=lines).fold(String::new(), |mut text, n| {
        write!(text, "{what} {n}{end}").unwrap();
        text
    })
}

pub(crate) fn two_streams_of_many_short_lines(bench: &Bench) {
    let lines = lines(bench);
    let script = format!(
        "awk 'BEGIN {{ for (i = 1; i <= {lines}; i++) {{ print \"out\", i; print \"err\", i > \"/dev/stderr\" }} }}'"
    );
    let (exit, output) = bench.run(bench.task(&script));
    assert!(exit.is_successful(), "{exit:?}");
    assert_same(&output.out(), &numbered("out", lines, "\n"));
    assert_same(&output.err(), &numbered("err", lines, "\n"));
    assert_eq!(output.notices(), Vec::<String>::new());
}

pub(crate) fn many_short_lines_on_a_terminal(bench: &Bench) {
    let lines = lines(bench);
    let script = format!("awk 'BEGIN {{ for (i = 1; i <= {lines}; i++) print \"tty\", i }}'");
    let (exit, output) =
        bench.run(bench.with(json!({"image": IMAGE, "command": "sh", "args": ["-c", script], "tty": true})));
    assert!(exit.is_successful(), "{exit:?}");
    assert_same(&output.out(), &numbered("tty", lines, "\r\n"));
    assert_same(&output.err(), "");
}

pub(crate) fn one_line_longer_than_the_engine_keeps_in_one_piece(bench: &Bench) {
    one_long_line(bench, false, "\n");
}

pub(crate) fn one_long_line_on_a_terminal(bench: &Bench) {
    one_long_line(bench, true, "\r\n");
}

fn one_long_line(bench: &Bench, tty: bool, end: &str) {
    // Docker cuts lines at 16 KiB.
    let len = bench.amount(17_000, 1 << 20);
    let script = format!("head -c {len} /dev/zero | tr '\\0' x; echo; echo end");
    let (exit, output) =
        bench.run(bench.with(json!({"image": IMAGE, "command": "sh", "args": ["-c", script], "tty": tty})));
    assert!(exit.is_successful(), "{exit:?}");
    assert_same(&output.out(), &format!("{}{end}end{end}", "x".repeat(len as usize)));
}

pub(crate) fn what_has_no_newline_at_the_end(bench: &Bench) {
    for tty in [false, true] {
        let (_, output) = bench.run(
            bench.with(json!({"image": IMAGE, "command": "sh", "args": ["-c", "printf 'a\\n'; printf b"], "tty": tty})),
        );
        assert_same(&output.out(), if tty { "a\r\nb" } else { "a\nb" });
    }
}
