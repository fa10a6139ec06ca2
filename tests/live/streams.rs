//! Every line arrives on its own stream, in order, once.

use std::fmt::Write;

use serde_json::json;

use crate::bench::{Bench, assert_same};
use crate::support::IMAGE;

const LINES: u32 = 100_000;

fn numbered(what: &str, end: &str) -> String {
    (1..=LINES).fold(String::new(), |mut text, n| {
        write!(text, "{what} {n}{end}").unwrap();
        text
    })
}

#[test]
#[ignore = "needs an Engine"]
fn two_streams_of_many_short_lines() {
    let bench = Bench::new();
    let script =
        "awk 'BEGIN { for (i = 1; i <= 100000; i++) { print \"out\", i; print \"err\", i > \"/dev/stderr\" } }'";
    let (exit, output) = bench.run(bench.task(script));
    assert!(exit.is_successful(), "{exit:?}");
    assert_same(&output.out(), &numbered("out", "\n"));
    assert_same(&output.err(), &numbered("err", "\n"));
    assert_eq!(output.notices(), Vec::<String>::new());
}

#[test]
#[ignore = "needs an Engine"]
fn many_short_lines_on_a_terminal() {
    let bench = Bench::new();
    let script = "awk 'BEGIN { for (i = 1; i <= 100000; i++) print \"tty\", i }'";
    let (exit, output) =
        bench.run(bench.with(json!({"image": IMAGE, "command": "sh", "args": ["-c", script], "tty": true})));
    assert!(exit.is_successful(), "{exit:?}");
    assert_same(&output.out(), &numbered("tty", "\r\n"));
    assert_same(&output.err(), "");
}

#[test]
#[ignore = "needs an Engine"]
fn one_line_of_a_mebibyte() {
    let script = "head -c 1048576 /dev/zero | tr '\\0' x; echo; echo end";
    let line = "x".repeat(1 << 20);
    for (tty, end) in [(false, "\n"), (true, "\r\n")] {
        let bench = Bench::new();
        let (exit, output) =
            bench.run(bench.with(json!({"image": IMAGE, "command": "sh", "args": ["-c", script], "tty": tty})));
        assert!(exit.is_successful(), "{exit:?}");
        assert_same(&output.out(), &format!("{line}{end}end{end}"));
    }
}

#[test]
#[ignore = "needs an Engine"]
fn what_has_no_newline_at_the_end() {
    for tty in [false, true] {
        let bench = Bench::new();
        let (_, output) = bench.run(
            bench.with(json!({"image": IMAGE, "command": "sh", "args": ["-c", "printf 'a\\n'; printf b"], "tty": tty})),
        );
        assert_same(&output.out(), if tty { "a\r\nb" } else { "a\nb" });
    }
}
