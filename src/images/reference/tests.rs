use super::*;

fn read(text: &str) -> Result<Reference, ReferenceError> {
    text.parse()
}

/// A row of numbers that look random, the same each time.
fn numbers(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    }
}

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const HEX: &str = "0123456789abcdef";

/// Between `least` and `most` signs of an alphabet.
fn word(number: &mut impl FnMut(usize) -> usize, alphabet: &str, least: usize, most: usize) -> String {
    let length = least + number(most - least + 1);
    (0..length).map(|_| char::from(alphabet.as_bytes()[number(alphabet.len())])).collect()
}

fn pick<'a>(number: &mut impl FnMut(usize) -> usize, from: &[&'a str]) -> &'a str {
    from[number(from.len())]
}

fn component(number: &mut impl FnMut(usize) -> usize) -> String {
    let mut text = word(number, LOWER, 1, 4);
    for _ in 0..number(3) {
        text += pick(number, &[".", "_", "__", "-", "--", "-----"]);
        text += &word(number, LOWER, 1, 3);
    }
    text
}

/// A registry that nobody takes for a namespace: it has a dot, a port, an upper case letter, …
fn domain(number: &mut impl FnMut(usize) -> usize) -> String {
    let label = |number: &mut _| match word(number, LETTERS, 1, 4) {
        label if label.len() < 3 => label,
        label => format!("{}-{}", &label[..1], &label[1..]),
    };
    let host = match number(5) {
        0 => "localhost".to_owned(),
        1 => format!("[{}:{}]", word(number, HEX, 0, 4), word(number, "0123456789abcdefABCDEF:", 0, 8)),
        2 => format!("Q{}", label(number)),
        _ => format!("{}.{}", label(number), label(number)),
    };
    match number(3) {
        0 => format!("{host}:{}", word(number, "0123456789", 1, 6)),
        _ => host,
    }
}

/// The parts of a reference that Docker takes.
struct Parts {
    domain: Option<String>,
    path: String,
    tag: Option<String>,
    digest: Option<String>,
}

fn parts(number: &mut impl FnMut(usize) -> usize) -> Parts {
    let domain = match number(4) {
        0 => None,
        1 => Some(pick(number, &["docker.io", "index.docker.io"]).to_owned()),
        _ => Some(domain(number)),
    };
    let mut path = component(number);
    if domain.is_none() {
        path.retain(|c| c != '.'); // or it would be a domain where a `/` follows
        path.push('0'); // nor may it be `localhost`
    }
    for _ in 0..number(3) {
        path = format!("{path}/{}", component(number));
    }
    let tag = (number(2) == 0).then(|| {
        let head = word(number, "_aZ9", 1, 1);
        head + &word(number, "abcXYZ019_.-", 0, 127)
    });
    let digest = (number(3) == 0).then(|| match number(3) {
        0 => format!("sha256:{}", word(number, HEX, 64, 64)),
        1 => format!("sha384:{}", word(number, HEX, 96, 96)),
        _ => format!("sha512:{}", word(number, HEX, 128, 128)),
    });
    Parts { domain, path, tag, digest }
}

#[test]
fn what_is_put_together_comes_apart_again() {
    for seed in 1..=20_000 {
        let mut number = numbers(seed * 7919);
        let Parts { domain, path, tag, digest } = parts(&mut number);
        let mut text = domain.as_ref().map_or(String::new(), |domain| format!("{domain}/"));
        text += &path;
        text += &tag.as_ref().map_or(String::new(), |tag| format!(":{tag}"));
        text += &digest.as_ref().map_or(String::new(), |digest| format!("@{digest}"));

        let reference = read(&text).unwrap();
        assert_eq!(reference.to_string(), text);
        let named = reference.named().unwrap();
        let hub = domain.as_deref().is_none_or(|domain| matches!(domain, "docker.io" | "index.docker.io"));
        let want_domain = if hub { "docker.io" } else { domain.as_deref().unwrap() };
        let full = if hub && !path.contains('/') { format!("library/{path}") } else { path.clone() };
        assert_eq!(named.domain(), want_domain, "{text}");
        assert_eq!(named.path(), full, "{text}");
        assert_eq!(named.tag(), tag.as_deref(), "{text}");
        assert_eq!(named.digest(), digest.as_deref(), "{text}");
        assert_eq!(reference.index().unwrap(), Index { name: want_domain.into(), official: hub }, "{text}");
        let version = digest.as_deref().or(tag.as_deref()).unwrap_or("latest");
        assert_eq!(reference.pull_name().unwrap(), (format!("{want_domain}/{full}"), version.into()), "{text}");

        // The familiar, the canonical and the driver's text are references of the same image.
        let ambiguous = hub && path.split_once('/').is_some_and(|(first, _)| first.contains('.'));
        for again in [named.to_string()].into_iter().chain((!ambiguous).then(|| named.familiar())) {
            assert_eq!(read(&again).unwrap().named().unwrap(), named, "{text}, {again}");
        }
        let split = read(&reference.image_ref()).unwrap();
        assert_eq!((split.repo(), split.tag()), (reference.repo(), reference.tag()), "{text}");
        assert_eq!(split.pull_name(), reference.pull_name(), "{text}");
    }
}

/// Everything that a text may be asked for; what is said of it must hold together.
fn exercise(text: &str) {
    let named = match read(text) {
        Ok(reference) => {
            assert_eq!(reference.to_string(), text);
            assert_eq!(read(&reference.image_ref()).unwrap().image_ref(), reference.image_ref());
            let errors = [reference.pull_name().err(), reference.index().err()];
            errors.into_iter().flatten().for_each(|error| check_error(&error, text));
            reference.named()
        }
        Err(error) => Err(error),
    };
    match named {
        Ok(named) => assert_eq!(read(&named.to_string()).unwrap().named().unwrap(), named, "{text:?}"),
        Err(error) => check_error(&error, text),
    }
}

fn check_error(error: &ReferenceError, text: &str) {
    assert_eq!(error.text, text);
    assert!((1..=text.chars().count() + 1).contains(&error.at), "{error}");
    assert!(error.to_string().chars().all(|c| !c.is_control()), "{error}");
}

#[test]
fn no_text_makes_it_panic() {
    const SIGNS: [&str; 36] = [
        "a",
        "b",
        "Z",
        "0",
        "9",
        ".",
        "..",
        "_",
        "__",
        "___",
        "-",
        "--",
        ":",
        "::",
        "/",
        "//",
        "@",
        "[",
        "]",
        "[::1]",
        "+",
        "://",
        "$",
        "{",
        " ",
        "\n",
        "\0",
        "é",
        "世",
        "😀",
        "\u{feff}",
        "localhost",
        "docker.io",
        "index.docker.io",
        "sha256",
        "0123456789abcdef0123456789abcdef",
    ];
    for seed in 1..=15_000 {
        let mut number = numbers(seed * 104_729);
        let text: String = (0..number(12)).map(|_| SIGNS[number(SIGNS.len())]).collect();
        exercise(&text);
        let bytes: Vec<u8> = (0..number(24)).map(|_| number(256) as u8).collect();
        exercise(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn no_mutation_makes_it_panic() {
    let hex = "fb2b60e3bca7b8033c60dd6a95a0ccfee85372fd737853c1d2228170faf746d3";
    let valid = [
        "web".to_owned(),
        "reg_istry.example/web:1".to_owned(),
        "Registry.example:5000/ann/team/web:v1.2-rc_3".to_owned(),
        format!("[fd00:1:2::3]:5000/web:1@sha256:{hex}"),
        format!("index.docker.io/{hex}@sha512:{hex}{hex}"),
        format!("{hex}:latest"),
    ];
    for seed in 1..=20_000 {
        let mut number = numbers(seed * 15_485_863);
        let mut text: Vec<char> = valid[number(valid.len())].chars().collect();
        for _ in 0..1 + number(3) {
            let sign = ['a', 'A', '0', '.', '_', '-', ':', '/', '@', '[', ']', ' ', '$', 'é', '\0', '+'][number(16)];
            match (number(4), number(text.len() + 1)) {
                (0, at) => text.insert(at, sign),
                (1, at) if at < text.len() => text[at] = sign,
                (2, at) if at < text.len() => drop(text.remove(at)),
                (_, at) => text.truncate(at),
            }
        }
        exercise(&text.into_iter().collect::<String>());
    }
}

#[test]
fn an_error_says_where_and_why() {
    let long = format!("web:{}", "1".repeat(129));
    let rows = [
        ("", 1, "it is empty"),
        ("http://web", 5, "a scheme"),
        (" web", 1, "white space"),
        ("wéb/Web", 2, "ASCII"),
        ("web\0", 4, "a control character"),
        ("web:${tag}", 5, "was a variable not replaced"),
        ("web?x", 4, "this character is not allowed"),
        (":1", 1, "the name is missing"),
        ("Web", 1, "upper case in the path"),
        ("registry.example/ann/wEb:1", 23, "upper case in the path"),
        ("a//b", 3, "a part of the path is empty"),
        ("web/", 5, "a part of the path is empty"),
        ("ann/-web", 5, "begins with"),
        ("ann/web__", 8, "ends with"),
        ("a___b", 2, "`.`, `_`, `__` or dashes"),
        ("ann/we[b", 7, "not allowed in a path"),
        ("web:", 5, "the tag is empty"),
        ("web:.x", 5, "a tag begins with"),
        ("web:1:2", 6, "not allowed in a tag"),
        (&long, 133, "at most 128"),
        ("web@", 5, "a digest is written as"),
        ("web@sha256:0g", 13, "hex digits only"),
        ("web@sha256:00", 14, "at least 32"),
        ("web@1sha:0", 5, "begins with a letter"),
        ("web@sha[:0", 8, "not allowed in a digest's algorithm"),
        ("registry:/web", 10, "the port is empty"),
        ("registry:5x/web", 11, "a port is a number"),
        ("reg_istry:5000/web", 4, "not allowed in a host name"),
        ("registry..example/web", 10, "a part of the host name is empty"),
        ("-r.example/web", 1, "begins with `-`"),
        ("r-.example/web", 2, "ends with `-`"),
        ("[::1/web", 1, "the bracket is not closed"),
        ("[]/web", 2, "the brackets are empty"),
        ("[::1%e]/web", 5, "this character is not allowed"),
        ("[::g]/web", 4, "only hex digits and colons"),
        ("[::1]x/web", 6, "follows the brackets"),
    ];
    for (text, at, why) in rows {
        let error = read(text).unwrap_err();
        assert!(error.at == at && error.why.contains(why), "{error}, not character {at}: {why}");
    }
    assert_eq!(
        read("web:").unwrap_err().to_string(),
        r#"invalid image reference "web:": the tag is empty (character 5)"#
    );
}

#[test]
fn what_docker_does_not_take_is_said_when_it_is_completed() {
    let hex = "fb2b60e3bca7b8033c60dd6a95a0ccfee85372fd737853c1d2228170faf746d3";
    let (fits, long) = ("a".repeat(247), "a".repeat(248));
    let (other_fits, other_long) =
        (format!("r.example/{}", "a".repeat(255)), format!("r.example/{}:1", "a".repeat(256)));
    let (no_domain_fits, no_domain_long) = (format!("r_.e/{}", "a".repeat(250)), format!("r_.e/{}", "a".repeat(251)));
    let digest = |algorithm: &str, hex: &str| format!("web:1@{algorithm}:{hex}");
    let short = &hex[..63];
    let rows = [
        (fits, Ok(())),
        (long, Err((248, "255"))),
        (other_fits, Ok(())),
        (other_long, Err((266, "255"))),
        // Its first part is no domain, so it counts.
        (no_domain_fits.replace("r_", "r_r"), Err((256, "255"))),
        (no_domain_fits.replace("r_", "r-r"), Ok(())),
        (no_domain_long.replace("r_", "r__r"), Err((256, "255"))),
        (digest("sha256", hex), Ok(())),
        (digest("sha256", short), Err((77, "64 hex digits"))),
        (digest("sha256", &format!("{hex}0")), Err((78, "64 hex digits"))),
        (digest("sha384", hex), Err((78, "96 hex digits"))),
        (digest("sha512", hex), Err((78, "128 hex digits"))),
        (digest("sha256", &format!("{short}A")), Err((77, "upper case in the digest"))),
        (digest("SHA256", hex), Err((7, "no digests but"))),
        (digest("sha256+b64", hex), Err((7, "no digests but"))),
        ("[abc]/web".to_owned(), Err((1, "no colon"))),
        ("[ABC]/web".to_owned(), Ok(())),
        ("[abc]:1/web".to_owned(), Ok(())),
        (hex.to_owned(), Err((1, "the id of an image"))),
        (format!("{hex}:1"), Ok(())),
        (format!("{hex}@sha256:{hex}"), Ok(())),
        (format!("library/{hex}"), Ok(())),
    ];
    for (text, want) in rows {
        match (read(&text).unwrap().named(), want) {
            (Ok(_), Ok(())) => {}
            (Err(error), Err((at, why))) => {
                assert!(error.at == at && error.why.contains(why), "{error}, not character {at}: {why}");
            }
            (got, want) => panic!("{text}: {got:?}, not {want:?}"),
        }
    }
    // A tag makes the digits a name for a pull, and not for the credentials.
    for (text, pulls, has_index) in [
        (hex.to_owned(), true, false),
        (format!("{hex}:1"), true, false),
        (format!("{hex}@sha256:{hex}"), true, true),
        (format!("library/{hex}"), true, true),
        (digest("md5", hex), false, false),
    ] {
        let reference = read(&text).unwrap();
        assert_eq!((reference.pull_name().is_ok(), reference.index().is_ok()), (pulls, has_index), "{text}");
    }
}
