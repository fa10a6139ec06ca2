//! What a hostile or an unlucky person does to the program, as far as it needs no Engine.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Stdio;

use crate::place::{Place, Ran};

/// A job with one task.
fn job(name: &str, group: &str, task: &str, more: &str) -> String {
    format!(
        "job \"{name}\" {{\n type = \"batch\"\n group \"{group}\" {{\n {more}\n task \"{task}\" {{\n driver = \"docker\"\n \
         config {{\n image = \"x:1\"\n }}\n }}\n }}\n}}\n"
    )
}

#[test]
fn nobody_reads_the_errors() {
    let place = Place::new();
    let mut command = place.longshore(&["run", "/no/such/file"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(125));
}

#[test]
fn no_colour_in_a_pipe() {
    let place = Place::new();
    let file = place.file("bad.hcl", "job \"j\" {\n typ = 1\n}\n");
    for args in [&["validate", &file][..], &["dance"], &["--help"]] {
        let ran = Ran::of(place.longshore(args).env("TERM", "xterm-256color").output().unwrap());
        assert!(!(ran.out + &ran.err).contains('\x1b'), "{args:?}");
    }
}

#[test]
fn odd_names() {
    let place = Place::new();
    let long = "x".repeat(300);
    for (row, text, good) in [
        ("an odd job", job("../../ö☃'$x", "g", "t", ""), true),
        ("a job with a blank", job("a b", "g", "t", ""), false),
        ("an odd group", job("j", "a/../b ☃", "t", ""), true),
        ("a task up a directory", job("j", "g", "..", ""), false),
        ("a task elsewhere", job("j", "g", "/etc/x", ""), false),
        ("the shared directory", job("j", "g", "alloc", ""), false),
        ("a task of snow", job("j", "g", "☃", ""), false),
        ("no name", job("j", "g", "", ""), false),
        ("a task of 300 letters", job("j", "g", &long, ""), false),
    ] {
        let file = place.file("j.hcl", &text);
        let ran = Ran::of(place.longshore(&["validate", &file]).output().unwrap());
        assert_eq!(ran.code, if good { 0 } else { 1 }, "{row}: {}", ran.err);
        let ran = Ran::of(place.longshore(&["plan", &file]).output().unwrap());
        assert_eq!(ran.code, if good { 0 } else { 125 }, "{row}: {}", ran.err);
    }
}

#[test]
fn files_that_are_no_jobs() {
    let place = Place::new();
    for (row, bytes, at) in [
        ("nothing", &b""[..], ":1:1: "),
        ("no block", b"x = 1\n", ":1:1: "),
        ("cut off", b"job \"j\" {\n  group \"g\" {\n", ":"),
        ("not UTF-8", b"job \"j\" {\n  # \xff\n}\n", ":2:5: "),
        ("a NUL", b"job \"\0\" {}\n", ":1:6: "),
        ("JSON cut off", b"{\"job\": {\n", ":"),
        ("a program", b"\x7fELF\x02\x01\x01\0\0\0", ":1:"),
        ("a template", b"job \"[[ .name ]]\" {\n", ":1:"),
    ] {
        let path = place.dir.join("bad.hcl");
        fs::write(&path, bytes).unwrap();
        let file = path.display().to_string();
        let ran = Ran::of(place.longshore(&["validate", &file]).output().unwrap());
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{row}: {}", ran.err);
        assert!(ran.err.starts_with(&format!("{file}{at}")), "{row}: {}", ran.err);
    }
    // What is no file is not waited for, and endless input is not read to its end.
    let ran = Ran::of(place.longshore(&["validate", "/dev/zero"]).output().unwrap());
    assert!(ran.code == 1 && ran.err.contains("not a regular file"), "{}", ran.err);
    let zeros = fs::File::open("/dev/zero").unwrap();
    let ran = Ran::of(place.longshore(&["validate", "-"]).stdin(zeros).output().unwrap());
    assert!(ran.code == 1 && ran.err.contains("4 MiB"), "{}", ran.err);
}

#[test]
fn large_and_deep_files() {
    let place = Place::new();
    let validate = |text: String| {
        let file = place.file("j.hcl", &text);
        Ran::of(place.longshore(&["validate", &file]).output().unwrap())
    };
    let tasks: String = (0..2000)
        .map(|n| format!("task \"t{n}\" {{\n driver = \"docker\"\n config {{\n image = \"x:1\"\n }}\n }}\n"))
        .collect();
    assert_eq!(validate(format!("job \"j\" {{\n group \"g\" {{\n {tasks} }}\n}}\n")).code, 0);
    for (row, text) in [
        ("an HCL list", format!("job \"j\" {{\n x = {}{}\n}}", "[".repeat(100_000), "]".repeat(100_000))),
        ("a JSON list", format!("{{\"job\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000))),
        ("blocks", "x {\n".repeat(50_000)),
        ("parentheses", format!("x = {}1{}", "(".repeat(100_000), ")".repeat(100_000))),
        ("minus signs", format!("x = {}1", "-".repeat(100_000))),
    ] {
        let ran = validate(text);
        assert_eq!((ran.code, ran.err.lines().count()), (1, 1), "{row}");
    }
}

#[test]
fn a_count_that_no_machine_can_bear() {
    let place = Place::new();
    let file = place.file("j.hcl", &job("j", "g", "t", "count = 4000000000"));
    // In little memory, so that a mistake harms this program alone.
    let limited = format!("ulimit -v 1000000; exec {} validate {file}", env!("CARGO_BIN_EXE_longshore"));
    let ran = Ran::of(std::process::Command::new("sh").args(["-c", &limited]).output().unwrap());
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.starts_with(&format!("{file}:4:")) && ran.err.contains("`count`"), "{}", ran.err);
}

#[test]
fn data_directories_that_cannot_be_used() {
    let place = Place::new();
    let file = place.file("j.hcl", &job("j", "g", "t", ""));
    let run = |dir: &str| {
        Ran::of(place.longshore(&["-H", "unix:///no/such.sock", "--data-dir", dir, "run", &file]).output().unwrap())
    };
    let plain = place.file("plain", "");
    let below = format!("{plain}/data");
    let lost = place.dir.join("lost");
    fs::create_dir(&lost).unwrap();
    fs::write(lost.join("instance"), "\n").unwrap();
    let mut bad = vec![plain, below, lost.display().to_string()];
    let closed = place.dir.join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    // Nothing is closed to root.
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        bad.push(closed.join("data").display().to_string());
    }
    for dir in bad {
        let ran = run(&dir);
        assert_eq!((ran.code, ran.out.as_str()), (125, ""), "{dir}: {}", ran.err);
        assert!(ran.err.contains(&dir) && ran.err.lines().count() == 1, "{dir}: {}", ran.err);
    }
}
