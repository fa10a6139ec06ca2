use serde_json::json;

use super::*;

/// The body in pieces of those lengths, over and over.
fn mask_in_pieces(masker: &mut Masker, body: &[u8], lengths: &[usize]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), body);
    for length in lengths.iter().cycle() {
        let (piece, after) = rest.split_at(rest.len().min(*length));
        masker.feed(piece, &mut out);
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    masker.end(&mut out);
    out
}

fn masked(kind: Kind, body: &str) -> String {
    String::from_utf8(mask_in_pieces(&mut Redactor::new(&[]).masker(kind), body.as_bytes(), &[body.len()])).unwrap()
}

/// Bodies with their masked forms.
const JSON: &[(&str, &str)] = &[
    ("", ""),
    ("null", "null"),
    (r#"{"a":"b"}"#, r#"{"a":"b"}"#),
    (r#"{"password":"x"}"#, r#"{"password":"*"}"#),
    (r#"{"Password" : "x y" , "b":"c"}"#, r#"{"Password" : "***" , "b":"c"}"#),
    (r#"{"token":12,"secret":true,"auth":null,"a":"b"}"#, r#"{"token":12,"secret":true,"auth":null,"a":"b"}"#),
    (r#"{"token":["a",{"k":"b","n":1},["c"]],"d":"e"}"#, r#"{"token":["*",{"k":"*","n":1},["*"]],"d":"e"}"#),
    (
        r#"{"JoinTokens":{"Worker":"SW-1","Manager":"SW-2"},"d":"e"}"#,
        r#"{"JoinTokens":{"Worker":"****","Manager":"****"},"d":"e"}"#,
    ),
    (r#"{"Env":["A=b","DB_PASSWORD=x y","TOKEN="]}"#, r#"{"Env":["A=b","DB_PASSWORD=***","TOKEN="]}"#),
    (r#"{"password":"a\"b\\c\nd\u0041\ud83d\ude00"}"#, r#"{"password":"****************************"}"#),
    (r#"["PASSWORD=a\"b"]"#, r#"["PASSWORD=****"]"#),
    (r#"["x PASSWORD=a\u0041b\u0020c"]"#, r#"["x PASSWORD=********\u0020c"]"#),
    (r#"["x P\u0041SSWORD\u003da b"]"#, r#"["x P\u0041SSWORD\u003d* b"]"#),
    (
        r#"["x PASSWORD=\ud83d\ude00 \ud83d PASSWORD=\ud83d c"]"#,
        r#"["x PASSWORD=************ \ud83d PASSWORD=****** c"]"#,
    ),
    (
        r#"{"Cmd":["x","--token","abc","--verbose"],"a":"--token","b":"c"}"#,
        r#"{"Cmd":["x","--token","***","--verbose"],"a":"--token","b":"c"}"#,
    ),
    (r#"["--db-password","a\"b"],["--password"],["c"]"#, r#"["--db-password","****"],["--password"],["c"]"#),
    (r#"["--password","--host","h"]"#, r#"["--password","--host","h"]"#),
    (r#"["login","--password-stdin","host"]"#, r#"["login","--password-stdin","host"]"#),
    (r#"["sh","-c","x --token abc --password 'd e' -v"]"#, r#"["sh","-c","x --token *** --password '***' -v"]"#),
    (r#"["x --token --password-stdin y --tokens-of z"]"#, r#"["x --token --password-stdin y --tokens-of *"]"#),
    (r#"["a--token b","2024-05-01 --- token c"]"#, r#"["a--token b","2024-05-01 --- token c"]"#),
    (
        r#"["PIN=12","SALT=/a/b","WEBHOOK=x","NOMAD_SECRETS_DIR=/secrets"]"#,
        r#"["PIN=**","SALT=****","WEBHOOK=*","NOMAD_SECRETS_DIR=********"]"#,
    ),
    (r#"{"a":"{\"password\":\"x\",\"b\":\"c\"}"}"#, r#"{"a":"{\"password\":\"*\",\"b\":\"c\"}"}"#),
    (r#"{"a":"{\"password\":[\"x\\\"y\"],\"b\":\"c\"}"}"#, r#"{"a":"{\"password\":[\"******\"],\"b\":\"c\"}"}"#),
    (r#"{"a":" [{\"b\":\"{\\\"secret\\\":\\\"x\\\"}\"}]"}"#, r#"{"a":" [{\"b\":\"{\\\"secret\\\":\\\"*\\\"}\"}]"}"#),
    (r#"{"a":"[\"TOKEN=x y\",\"z\"]"}"#, r#"{"a":"[\"TOKEN=***\",\"z\"]"}"#),
    (r#"{"a":"say {\"password\":\"x\"} twice"}"#, r#"{"a":"say {\"password\":\"*\"} twice"}"#),
    (r#"{"a":"[INFO] password=x y"}"#, r#"{"a":"[INFO] password=* y"}"#),
    (r#"{"a":"[\"x\" password=x y"}"#, r#"{"a":"[\"x\" password=* y"}"#),
    (r#"{"DB_PASSWORD=x":"DB_PASSWORD=x"}"#, r#"{"DB_PASSWORD=x":"*************"}"#),
    (r#"{"a":"https://u:pw@h/"}"#, r#"{"a":"https://u:**@h/"}"#),
    (r#"{"a":"https:\/\/u:pw@h/"}"#, r#"{"a":"https:\/\/u:**@h/"}"#),
    (
        r#"["-----BEGIN PRIVATE KEY-----\nab\n-----END PRIVATE KEY-----"]"#,
        r#"["-----BEGIN PRIVATE KEY-----\n**\n-----END PRIVATE KEY-----"]"#,
    ),
    ("{\"token\":\"a\"}\r\n{\"token\":\"b\"}\n", "{\"token\":\"*\"}\r\n{\"token\":\"*\"}\n"),
    (
        r#"{"Secrets":[{"File":{"Name":"n"},"SecretID":"abc","SecretName":"n"}]}"#,
        r#"{"Secrets":[{"File":{"Name":"n"},"SecretID":"abc","SecretName":"n"}]}"#,
    ),
    (r#"{"Name":"n","Data":"YWJj","Labels":{"Data":"x"}}"#, r#"{"Name":"n","Data":"****","Labels":{"Data":"x"}}"#),
    (
        r#"{"LogConfig":{"Config":{"splunk-token":"x","splunk-url":"y"}}}"#,
        r#"{"LogConfig":{"Config":{"splunk-token":"*","splunk-url":"y"}}}"#,
    ),
    (
        r#"{"Plugins":{"Authorization":["p"]},"b":{"Authorization":["p"]}}"#,
        r#"{"Plugins":{"Authorization":["p"]},"b":{"Authorization":["*"]}}"#,
    ),
    // What is no JSON is text.
    ("not JSON: DB_PASSWORD=x y", "not JSON: DB_PASSWORD=* y"),
    (r#"{"a":oops, DB_PASSWORD=x y"#, r#"{"a":oops, DB_PASSWORD=* y"#),
    (r#"{"password":"x"#, r#"{"password":"*"#),
    (r#"{"password":"x\"#, r#"{"password":"**"#),
    (r#"{"password":"x\u00"#, r#"{"password":"*****"#),
    (r#"{"password":"\u00zz","a":"b"}"#, r#"{"password":"******","a":"b"}"#),
    (r#"{"a":"TOKEN=x"#, r#"{"a":"TOKEN=*"#),
    (r#"]}]{"token":"a"}"#, r#"]}]{"token":"*"}"#),
    (r#"{"a":["b"}],"token":"a"}"#, r#"{"a":["b"}],"token":"a"}"#),
];

const TEXTS: &[&str] = &[
    "plain\nDB_PASSWORD=x\nurl http://user:pw@host/x, token: abc \"secret\":\"x\\\"y\\\\\" end",
    "PASSWORD='a b' Authorization: Bearer x y\nCookie: a=b; c=d\r\nPASSWORD = 1 https://tok@h ssh://git@h",
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENC\nabc-d\n-----END RSA PRIVATE KEY-----\nPASSWORD=\\\\\\\"x",
    r#"{\"password\" : \"a\\\"b\",\"c\":1} PASSWORD=a\\ b PASSWORD=abc\"} PASSWORD="-----BEGIN PRIVATE KEY-----" x"#,
    "PASSWORD=-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY----- PRIVATE KEY-----\nabc",
];

fn frames(pieces: &[(u8, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (stream, text) in pieces {
        body.extend([*stream, 0, 0, 0]);
        body.extend((text.len() as u32).to_be_bytes());
        body.extend(text.as_bytes());
    }
    body
}

#[test]
fn json() {
    for (body, want) in JSON {
        assert_eq!(masked(Kind::Json, body), *want, "{body}");
        if serde_json::from_str::<Value>(body).is_ok() {
            serde_json::from_str::<Value>(want).unwrap_or_else(|e| panic!("{body}: {want}: {e}"));
        }
    }
}

#[test]
fn frames_of_two_streams() {
    for (row, pieces, want) in [
        ("a value", &[(1, "DB_PASSWORD=x\n")][..], &[(1, "DB_PASSWORD=*\n")][..]),
        (
            "a name after a length that is a letter",
            &[(1, "AUTH=x\n"), (1, &"y".repeat(65))],
            &[(1, "AUTH=*\n"), (1, &"y".repeat(65))],
        ),
        ("a value in two frames", &[(1, "PASSWORD=hun"), (1, "ter2 x\n")], &[(1, "PASSWORD=***"), (1, "**** x\n")]),
        ("a name in two frames", &[(1, "PASS"), (1, ""), (1, "WORD=x\n")], &[(1, "PASS"), (1, ""), (1, "WORD=*\n")]),
        (
            "two streams",
            &[(1, "PASSWORD=hun"), (2, "oops\n"), (1, "ter2 x\n")],
            &[(1, "PASSWORD=***"), (2, "oops\n"), (1, "**** x\n")],
        ),
    ] {
        let redactor = Redactor::new(&[]);
        let body = frames(pieces);
        for length in [1, 3, 8, 13, body.len()] {
            let out = mask_in_pieces(&mut redactor.masker(Kind::Text), &body, &[length]);
            assert_eq!(out, frames(want), "{row}, in pieces of {length}");
        }
    }
    let redactor = Redactor::new(&[]);
    redactor.header("Authorization", "Bearer Abc123Abc");
    let body = frames(&[(1, "x Abc12"), (1, "3Abc y"), (2, "Abc123Abc"), (0, "Abc123Abc")]);
    let want = frames(&[(1, "x *****"), (1, "**** y"), (2, "*********"), (0, "*********")]);
    assert_eq!(mask_in_pieces(&mut redactor.masker(Kind::Text), &body, &[body.len()]), want, "learned, over frames");
    for broken in [
        &b"\x01\0\0\0\0\0"[..],
        b"\x01\0\0\0\0\0\0\x02ab\x07 TOKEN=x",
        b"\x01\x01TOKEN=x",
        b"\x02",
        b"\0\0\0\0\0\0\0\0",
    ] {
        let out = mask_in_pieces(&mut redactor.masker(Kind::Text), broken, &[1]);
        assert_eq!(out.len(), broken.len(), "{broken:?}");
        assert!(!out.ends_with(b"x"), "{broken:?}");
    }
}

#[test]
fn any_cut_gives_the_same() {
    let mut bodies: Vec<(Kind, Vec<u8>)> =
        JSON.iter().map(|(body, _)| (Kind::Json, body.as_bytes().to_vec())).collect();
    bodies.extend(TEXTS.iter().map(|text| (Kind::Text, text.as_bytes().to_vec())));
    bodies.extend(TEXTS.iter().map(|text| (Kind::Json, serde_json::to_vec(&json!([text, {"a": [text]}])).unwrap())));
    bodies.extend(TEXTS.iter().map(|text| (Kind::Json, text.as_bytes().to_vec())));
    bodies.push((Kind::Text, frames(&[(1, TEXTS[0]), (2, TEXTS[1]), (1, "PASSWORD=a"), (1, "bcd"), (2, "x")])));
    bodies.push((Kind::Text, b"\xff\xfePASSWORD=\xff\xc3\x28 \xff token: \x80\x80".to_vec()));
    bodies.push((Kind::Json, b"{\"password\":\"\xff\xc3\x28\",\"a\":\"\x80 TOKEN=\xff b\n\"}".to_vec()));
    for (kind, body) in bodies {
        // A learned value among them, and one in a string that itself teaches.
        let masker = || {
            let redactor = Redactor::new(&[]);
            redactor.header("Authorization", "Bearer host");
            redactor.masker(kind)
        };
        let shown = String::from_utf8_lossy(&body).into_owned();
        let whole = mask_in_pieces(&mut masker(), &body, &[body.len().max(1)]);
        assert_eq!(whole.len(), body.len(), "{shown}");
        for at in 1..body.len() {
            let cut = mask_in_pieces(&mut masker(), &body, &[at, body.len() - at]);
            assert_eq!(String::from_utf8_lossy(&cut), String::from_utf8_lossy(&whole), "{shown}, cut at {at}");
        }
        for length in [1, 2, 3, 7] {
            assert_eq!(mask_in_pieces(&mut masker(), &body, &[length]), whole, "{shown}, in pieces of {length}");
        }
    }
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

#[test]
fn random_bodies_in_random_pieces() {
    const WORDS: &[&str] = &[
        "PASSWORD",
        "token",
        "=",
        ":",
        "://",
        "@",
        "\"",
        "\\",
        "'",
        " ",
        "\n",
        "{",
        "}",
        "[",
        "]",
        ",",
        "a",
        "B1",
        "\\\"",
        "\\u0041",
        "\\ud83d",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "-",
        "\u{1}\0\0\0\0\0\0\u{5}",
        "é",
        "auth",
        "{\"",
        "\":\"",
        "\",\"",
        "Learned1",
        "TGVhcm5lZDE",
        "*",
        "&",
        "Data",
        "username",
    ];
    for round in 0..3_000u64 {
        let mut number = numbers(round * 7919 + 1);
        let mut body: String = (0..number(40)).map(|_| WORDS[number(WORDS.len())]).collect();
        let kind = if round % 2 == 0 { Kind::Text } else { Kind::Json };
        if round % 4 == 1 {
            body = json!({"x": body, "y": [body], "token": body}).to_string();
        }
        let masker = || {
            let redactor = Redactor::new(&[]);
            redactor.header("X-Token", "Learned1");
            redactor.masker(kind)
        };
        let whole = mask_in_pieces(&mut masker(), body.as_bytes(), &[body.len().max(1)]);
        let lengths: Vec<_> = (0..8).map(|_| 1 + number(9)).collect();
        let cut = mask_in_pieces(&mut masker(), body.as_bytes(), &lengths);
        assert_eq!(
            String::from_utf8_lossy(&cut),
            String::from_utf8_lossy(&whole),
            "round {round}: {body:?} in {lengths:?}"
        );
        assert_eq!(whole.len(), body.len(), "round {round}: {body:?}");
        assert!(kind == Kind::Json || !whole.windows(8).any(|w| w == b"Learned1"), "round {round}: {body:?}");
        if serde_json::from_str::<Value>(&body).is_ok() {
            let masked: Result<Value, _> = serde_json::from_slice(&whole);
            assert!(masked.is_ok(), "round {round}: {body:?}: {}", String::from_utf8_lossy(&whole));
        }
    }
}

#[test]
fn a_learned_value_is_masked_everywhere() {
    let redactor = Redactor::new(&[]);
    let mask = |kind, body: &str| {
        String::from_utf8(mask_in_pieces(&mut redactor.masker(kind), body.as_bytes(), &[5])).unwrap()
    };
    assert_eq!(
        mask(
            Kind::Json,
            r#"{"Cmd":["S3cret\"x"],"Env":["DB_PASSWORD=S3cret\"x","DB_NAME=postgres","PG_PASSWORD=postgres"],"L":"S3cret\"x"}"#
        ),
        r#"{"Cmd":["S3cret\"x"],"Env":["DB_PASSWORD=*********","DB_NAME=postgres","PG_PASSWORD=********"],"L":"*********"}"#,
        "from there on"
    );
    for (kind, body, want) in [
        (Kind::Text, "it is S3cret\"x.", "it is ********."),
        (Kind::Text, r#"{"m":"S3cret\"x"}"#, r#"{"m":"*********"}"#),
        (Kind::Text, "U0NjcmV0Ing= UzNjcmV0Ing=", "U0NjcmV0Ing= ***********="),
        (
            Kind::Json,
            r#"{"S3cret\"x":"a S3cret\u0022x b","i":"postgres"}"#,
            r#"{"S3cret\"x":"a ************* b","i":"postgres"}"#,
        ),
        (Kind::Json, r#"{"a":"{\"b\":\"S3cret\\\"x\"}"}"#, r#"{"a":"{\"b\":\"***********\"}"}"#),
    ] {
        assert_eq!(mask(kind, body), want, "{body}");
    }
}

/// What a real client sends: what its names call secrets is masked where it stands, and what is no secret is readable
/// elsewhere.
#[test]
fn what_is_no_secret_stays_readable() {
    let body = json!({
        "Env": [
            "NOMAD_SECRETS_DIR=/secrets", "DB_PASSWORD=postgres", "USE_TOKEN=true", "PIN=12345678", "TOKEN_URL=https://auth.example/t",
            "API_KEY=abcdefg", "SESSION=production", "KEY=/etc/ssl/private", "WEBHOOK_URL=https://me:pw-8a3f91@hooks.example/x",
        ],
        "Cmd": ["run", "--token", "/usr/share"],
        "HostConfig": {"Binds": ["/data/alloc/a/t/secrets:/secrets", "/etc/ssl/private:/x"]},
        "Labels": {"a": "postgres true 12345678 https://auth.example/t abcdefg production /usr/share"},
    });
    let redactor = Redactor::new(&[]);
    let out = mask_in_pieces(&mut redactor.masker(Kind::Json), body.to_string().as_bytes(), &[7]);
    let masked: Value =
        serde_json::from_slice(&mask_in_pieces(&mut redactor.last_pass(Kind::Json), &out, &[7])).unwrap();
    assert_eq!(masked["HostConfig"], body["HostConfig"]);
    assert_eq!(masked["Labels"], body["Labels"]);
    for (masked, plain) in masked["Env"].as_array().unwrap().iter().zip(body["Env"].as_array().unwrap()) {
        let (name, value) = plain.as_str().unwrap().split_once('=').unwrap();
        assert_eq!(masked.as_str().unwrap(), format!("{name}={}", "*".repeat(value.len())));
    }
    assert_eq!(masked["Cmd"], json!(["run", "--token", "**********"]));
}

#[test]
fn an_argument_teaches() {
    let redactor = Redactor::new(&[]);
    mask_in_pieces(&mut redactor.masker(Kind::Json), br#"{"Cmd":["x","--token","S3cret/x&y"]}"#, &[4]);
    for (text, want) in [
        ("it was S3cret/x&y.", "it was **********."),
        ("?t=S3cret%2Fx&amp;y.", "?t=****************."),
        ("S\x003\0c\0r\0e\0t\0/\0x\0&\0y\0", "********************"),
    ] {
        for length in [1, 3, 100] {
            let out = mask_in_pieces(&mut redactor.masker(Kind::Text), text.as_bytes(), &[length]);
            assert_eq!(String::from_utf8(out).unwrap(), want, "{text:?}");
        }
    }
}

#[cfg(feature = "cli")]
#[test]
fn a_plan_shows_no_secret_and_not_how_long_it_is() {
    let mut body =
        json!({"Env": ["NOMAD_SECRETS_DIR=/secrets", "A_TOKEN=abc", "B=c"], "Cmd": ["--token", "abc def", "***"]});
    mask_secrets(&mut body, &["NOMAD_SECRETS_DIR"]);
    assert_eq!(
        body,
        json!({"Env": ["NOMAD_SECRETS_DIR=/secrets", "A_TOKEN=********", "B=c"], "Cmd": ["--token", "********", "***"]})
    );
}

#[test]
fn an_auth_body_teaches() {
    for (row, body) in [
        ("the user first", r#"{"username":"me","password":"hunt","serveraddress":"x"}"#),
        ("the user last", r#"{"serveraddress":"x","password":"hunt","username":"me"}"#),
        ("as one", r#"{"auth":"bWU6aHVudA=="}"#),
    ] {
        let redactor = Redactor::new(&[]);
        let out = mask_in_pieces(&mut redactor.masker(Kind::Json), body.as_bytes(), &[3]);
        assert!(!String::from_utf8(out).unwrap().contains("hunt"), "{row}");
        let text = mask_in_pieces(&mut redactor.masker(Kind::Text), b"a hunt aHVudA bWU6aHVudA b", &[100]);
        assert_eq!(String::from_utf8(text).unwrap(), "a **** ****** ********** b", "{row}");
    }
}

#[test]
fn a_last_pass_hides_what_was_learned_since() {
    let redactor = Redactor::new(&[]);
    let before = redactor.has_learned();
    let body = r#"{"a":"AbCdEf12 PASSWORD=x","AbCdEf12":1,"password":"y"}"#;
    redactor.header("X-Auth-Token", "AbCdEf12");
    assert!(redactor.has_learned() > before);
    let json = mask_in_pieces(&mut redactor.last_pass(Kind::Json), body.as_bytes(), &[4]);
    assert_eq!(String::from_utf8(json).unwrap(), r#"{"a":"******** PASSWORD=x","AbCdEf12":1,"password":"y"}"#);
    let text = mask_in_pieces(&mut redactor.last_pass(Kind::Text), b"AbCdEf12 PASSWORD=x", &[4]);
    assert_eq!(text, b"******** PASSWORD=x");
}

#[test]
fn comparable_bodies() {
    let form = |redactor: &Redactor, mut value: Value| {
        redactor.comparable(&mut value);
        value
    };
    for (row, live) in [
        ("members", json!({"password": "hunter2", "a": {"token": ["x", "yy"]}, "n": 1})),
        ("an environment", json!({"Env": ["A=1", "DB_PASSWORD=Hunter2 x", "TOKEN="], "Cmd": ["echo", "Hunter2 x"]})),
        ("in the middle", json!({"Cmd": ["sh", "-c", "PASSWORD=abc; x --token=abc 'SECRET=a b' y"]})),
        ("URLs", json!({"RemoteAPI": "https://me:pw@host/x", "b": "https://token@host"})),
        ("JSON in a string", json!({"l": "{\"password\":\"x\",\"b\":[\"TOKEN=x\"]}"})),
        ("seen", json!({"a": "an Learned1 b", "c": ["Learned1"]})),
        ("a swarm's secret", json!({"Name": "n", "Data": "QWJjMTIz"})),
        ("stars of its own", json!({"a": "**/*.rs", "b": "***"})),
        ("none", json!({"a": null, "b": [1, 2.5, true], "c": ""})),
    ] {
        let (recorder, player) = (Redactor::new(&[]), Redactor::new(&[]));
        recorder.header("X-Token", "Learned1");
        player.header("X-Token", "Learned1");
        let body = live.to_string();
        let first = mask_in_pieces(&mut recorder.masker(Kind::Json), body.as_bytes(), &[body.len()]);
        let recorded = mask_in_pieces(&mut recorder.last_pass(Kind::Json), &first, &[body.len()]);
        let recorded: Value = serde_json::from_slice(&recorded).unwrap();
        let compared = form(&player, live.clone());
        assert_eq!(compared, form(&Redactor::new(&[]), recorded), "{row}");
        assert_eq!(form(&player, compared.clone()), compared, "{row}, twice");
    }
    let redactor = Redactor::new(&[]);
    for (row, one, other, equal) in [
        ("another secret", json!({"password": "a"}), json!({"password": "bcd"}), true),
        ("no secret", json!({"password": ""}), json!({"password": "bcd"}), true),
        ("an empty entry", json!({"Env": ["A_TOKEN="]}), json!({"Env": ["A_TOKEN=abc def"]}), true),
        ("another name", json!({"Env": ["A_TOKEN=a"]}), json!({"Env": ["B_TOKEN=a"]}), false),
        ("another value", json!({"Env": ["A=a"]}), json!({"Env": ["A=b"]}), false),
        ("another user", json!({"a": "http://a:p@h"}), json!({"a": "http://b:p@h"}), false),
        ("another number", json!({"token": 1}), json!({"token": 2}), false),
    ] {
        assert_eq!(form(&redactor, one) == form(&redactor, other), equal, "{row}");
    }
}

#[test]
fn huge_strings_are_not_held() {
    const PIECE: usize = 64 * 1024;
    for (row, kind, start, masked) in [
        ("a secret", Kind::Json, r#"{"password":""#, true),
        ("an entry", Kind::Json, r#"["PASSWORD="#, true),
        ("a string", Kind::Json, r#"{"a":""#, false),
        ("a key", Kind::Json, r#"{""#, false),
        ("JSON in a string", Kind::Json, r#"{"a":"[\""#, false),
        ("text", Kind::Text, "x", false),
        ("a value", Kind::Text, "PASSWORD=", true),
        ("a URL", Kind::Text, "http://", true),
        ("escapes", Kind::Json, "{\"a\":\"\\", false),
    ] {
        let redactor = Redactor::new(&[]);
        redactor.header("X-Token", &"Long1".repeat(2_000));
        let mut masker = redactor.masker(kind);
        let (mut out, mut fed) = (Vec::new(), start.len());
        masker.feed(start.as_bytes(), &mut out);
        let piece = if row == "escapes" { vec![b'\\'; PIECE] } else { vec![b'x'; PIECE] };
        let mut given = 0;
        for _ in 0..16 {
            given += out.len();
            out.clear();
            masker.feed(&piece, &mut out);
            fed += PIECE;
            assert!(fed - given - out.len() <= 16 * 1024, "{row}: {} bytes late", fed - given - out.len());
        }
        assert_eq!(out.contains(&b'*'), masked, "{row}");
        given += out.len();
        out.clear();
        masker.end(&mut out);
        assert_eq!(given + out.len(), fed, "{row}");
    }
}

#[test]
fn secrets_are_not_in_debug() {
    let redactor = Redactor::new(&["pattern".into()]);
    redactor.header("X-Token", "Learned1");
    let mut masker = redactor.masker(Kind::Json);
    masker.feed(b"{\"password\":\"Secret12", &mut Vec::new());
    let shown = format!("{redactor:?} {masker:?}");
    assert!(!shown.contains("Learned1") && !shown.contains("Secret12"), "{shown}");
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Redactor>();
}

/// For how long this thread had a processor, in nanoseconds: the machine may be busy.
fn on_cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

/// Prints how fast it is. `cargo test --release --lib redact -- --ignored --nocapture`
#[test]
#[ignore]
fn speed() {
    let line = "2024-05-01T12:00:00.123456Z INFO server: GET /v1/things/42 answered in 12 ms to 10.0.0.7:5432\n";
    let plain = line.repeat(2_000_000 / line.len());
    let logfmt =
        "ts=2024-05-01T12:00:00Z level=info msg=\"a thing\" status=200 section=main ms=12 user=me\n".repeat(25_000);
    let framed = frames(&vec![(1, line); plain.len() / line.len()]);
    let json = format!("[{}]", vec![r#"{"status":"Pulling","progressDetail":{"current":12,"total":34},"progress":"[==>  ] 1kB/2kB","id":"abc"}"#; 20_000].join(","));
    for learned in [0, 1, 100] {
        let redactor = Redactor::new(&[]);
        for n in 0..learned {
            redactor.header("X-Token", &format!("Learned-{n}-Value"));
        }
        for (row, kind, body) in [
            ("zeros", Kind::Text, &vec![b'x'; 2_000_000][..]),
            ("lines", Kind::Text, plain.as_bytes()),
            ("frames", Kind::Text, &framed),
            ("logfmt", Kind::Text, logfmt.as_bytes()),
            ("json", Kind::Json, json.as_bytes()),
        ] {
            let mut masker = redactor.masker(kind);
            let (mut out, begun, mut fed) = (Vec::new(), on_cpu(), 0);
            while fed < 100_000_000 {
                for piece in body.chunks(32 * 1024) {
                    masker.feed(piece, &mut out);
                    out.clear();
                }
                fed += body.len();
            }
            println!("{learned} learned, {row}: {:.0} MB/s", fed as f64 * 1e3 / (on_cpu() - begun));
        }
    }
}
