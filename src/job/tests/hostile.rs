//! Files made to hurt: an error with a place, in little time, never a panic.

use super::*;

#[test]
fn hostile() {
    let deep = |open: &str, close: &str, depth: usize| format!("x = {}1{}\n", open.repeat(depth), close.repeat(depth));
    let blocks = |depth: usize| "b {\n".repeat(depth) + &"}\n".repeat(depth);
    let long = "x".repeat(LARGEST + 1);
    let big = LARGEST - 1000;
    let filled = |piece: &str| in_config(&piece.repeat((1 << 20) / piece.len()));
    for (what, text) in [
        ("brackets", deep("[", "]", 100_000)),
        ("braces", deep("{a=", "}", 100_000)),
        ("parentheses", deep("(", ")", 100_000)),
        ("templates", deep("\"${", "}\"", 100_000)),
        ("unclosed templates", deep("\"${", "", 60)),
        ("unclosed lists", deep("[", "", 60)),
        ("calls", deep("f(", ")", 100_000)),
        ("negations", deep("!", "", 100_000)),
        ("minus", deep("-", "", 100_000)),
        ("sums", format!("x = 1{}\n", "+1".repeat(100_000))),
        ("conditions", format!("x = {}1\n", "1?1:".repeat(100_000))),
        ("directives", deep("\"%{if x}%{if x}", "", 1_000)),
        ("blocks", blocks(100_000)),
        ("just deep enough", blocks(64)),
        ("json lists", format!("{{\"a\":{}", "[".repeat(1_000_000))),
        ("json objects", "{\"a\":".repeat(800_000)),
        ("a long name", long[..big].to_owned()),
        ("too much", long.clone()),
        ("much too much", "#".repeat(10 << 20)),
        ("NUL", "job \"\0\" {}".into()),
        ("many braces", "{}".repeat(big / 2)),
        ("many closing braces", "a ".to_owned() + &"}".repeat(big)),
        ("many quotes", "a = ".to_owned() + &"\"".repeat(big)),
        ("many dollars", in_config(&format!("image = \"{}", "${".repeat(big / 2)))),
        ("many unknown names", filled("m {\n}\n").replace("config", "cofnig")),
        ("many template marks", "[[ ".repeat(big / 3)),
    ] {
        let problems = refused(&text);
        for problem in problems {
            assert!(
                problem.line > 0 && problem.message.len() < 400 && !problem.message.contains('\n'),
                "{what}: {problem}"
            );
        }
    }
    let many = read(&filled("m {\n}\n"));
    assert!(task(&many).config["m"].as_array().is_some_and(|m| m.len() > 100_000), "many blocks are no harm");
    for (bytes, line, column) in [(&b"job \"j\" {\n  \xff"[..], 2, 3), (b"\xff\xfe", 1, 1), (b"\xc3", 1, 1)] {
        let problems = parse_bytes("f", bytes).expect_err("no text");
        assert_eq!((problems[0].line, problems[0].column), (line, column), "{bytes:?}");
        assert_eq!(problems[0].message, "a byte that is not UTF-8: this is no text");
    }
    assert_eq!(parse_bytes("f", in_job("").as_bytes()), parse("f", &in_job("")));
}

/// Files cut short, and with one character replaced: whatever comes of it, it comes without a panic.
#[test]
fn broken_somewhere() {
    let hcl = in_config(
        "image = \"é-${meta.x}\"\nargs = [\"%%{a}\", <<-EOF\n  x $${y}\n  EOF\n]\nm { a = 1 }\n/* c */ o = { \"k.l\" = [1.5, -2] }",
    );
    let json = r#"{"Job":{"ID":"é\u00e9","TaskGroups":[{"Name":"g","Tasks":[{"Name":"t","Driver":"docker","Config":{"a":[1,-2.5e3,null,true]}}]}]}}"#;
    for text in [hcl.as_str(), json] {
        assert!(parse("f", text).is_ok(), "{text}");
        let mut refused = 0;
        for (at, c) in text.char_indices() {
            refused += usize::from(parse("f", &text[..at]).is_err());
            for with in ["", "\"", "{", "}", "[", "%{", "${", ",", ".", "\\", "<<", "\n", "é", "\u{1}"] {
                let broken = format!("{}{with}{}", &text[..at], &text[at + c.len_utf8()..]);
                if let Err(problems) = parse("f", &broken) {
                    assert!(problems.iter().all(|p| p.line > 0 && p.column > 0), "{broken}");
                }
            }
        }
        assert!(refused > text.chars().count() * 9 / 10, "most of what is cut short is no job");
    }
}
