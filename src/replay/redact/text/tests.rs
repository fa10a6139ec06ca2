use super::pem::PEM;
use super::url::AUTHORITY;
use super::*;

fn masked_in(place: Place, text: &str) -> String {
    let rules = Arc::new(Rules::new(&[]));
    let (mut scan, mut runs) = (Scan::new(&rules, place, false), Runs::default());
    scan.feed(text.as_bytes(), &mut runs);
    scan.end(&mut runs);
    let (mut masked, mut at) = (text.as_bytes().to_vec(), 0);
    for (count, is_masked) in runs.drain() {
        if is_masked {
            masked[at..at + count].fill(b'*');
        }
        at += count;
    }
    assert_eq!(at, text.len(), "{text:?}: a decision for each byte");
    String::from_utf8(masked).unwrap()
}

#[test]
fn output() {
    for (text, want) in [
        ("", ""),
        ("nothing here", "nothing here"),
        ("USER=me", "USER=me"),
        ("DB_PASSWORD=x", "DB_PASSWORD=*"),
        ("DB_PASSWORD=", "DB_PASSWORD="),
        ("=x :y : =", "=x :y : ="),
        ("a DB_PASSWORD=x b", "a DB_PASSWORD=* b"),
        ("a=1&token=x&y,z;w b", "a=1&token=******* b"),
        ("--password=xyz -p=1", "--password=*** -p=1"),
        ("PASSWORD=a\tb", "PASSWORD=*\tb"),
        ("PASSWORD=a\nTOKEN=b\r\nC=d", "PASSWORD=*\nTOKEN=*\r\nC=d"),
        ("PASSWORD=\"a b\" c", "PASSWORD=\"***\" c"),
        ("PASSWORD='a \"b' c", "PASSWORD='****' c"),
        ("PASSWORD=\"a b\nc", "PASSWORD=\"***\nc"),
        ("PASSWORD = abc", "PASSWORD = ***"),
        ("PASSWORD= abc", "PASSWORD= abc"),
        ("'PASSWORD=a'", "'PASSWORD=*'"),
        ("password: abc def", "password: *** def"),
        ("password:abc", "password:abc"),
        ("password:\nabc", "password:\nabc"),
        ("my-secrets-app:1.0 up", "my-secrets-app:1.0 up"),
        ("12:00:00 token: x", "12:00:00 token: *"),
        ("Authorization: Bearer abc.def\r\nHost: x", "Authorization: **************\r\nHost: x"),
        ("curl -H 'Authorization: Bearer abc' x", "curl -H 'Authorization: **********' x"),
        ("Cookie: a=b; c=d\nx", "Cookie: ********\nx"),
        (r#"{"password":"a\"b\\","b":"c"}"#, r#"{"password":"******","b":"c"}"#),
        (r#"{"password" : "a" ,"b":"c"}"#, r#"{"password" : "*" ,"b":"c"}"#),
        (r#"{"password":"","b":"c"}"#, r#"{"password":"","b":"c"}"#),
        (r#"{"token":12,"b":3}"#, r#"{"token":**,"b":3}"#),
        (r#"{"auth":{"user":"me","password":"x"}}"#, r#"{"auth":{"user":"me","password":"*"}}"#),
        (r#"{'password': 'x y'}"#, r#"{'password': '***'}"#),
        (r#"{\"password\":\"a\\\"b\",\"c\":1}"#, r#"{\"password\":\"******\",\"c\":1}"#),
        (r#"{"log":"PASSWORD=abc\"}"}"#, r#"{"log":"PASSWORD=***\"}"}"#),
        ("http://host/x", "http://host/x"),
        ("http://host:80/a@b", "http://host:80/a@b"),
        ("http://user:pw@host/x", "http://user:**@host/x"),
        ("http://user:p@w@host/x", "http://user:***@host/x"),
        ("http://user:p#w?@host", "http://user:****@host"),
        ("http://user:@host", "http://****:@host"),
        ("https://ghp_abc@host/x.git", "https://*******@host/x.git"),
        ("https://tok:x-oauth-basic@host", "https://***:x-oauth-basic@host"),
        ("https://tok@host:80?x=a@b", "https://***@host:80?x=a@b"),
        ("ssh://git@host/x", "ssh://git@host/x"),
        ("git+ssh://git@host/x", "git+ssh://git@host/x"),
        ("ssh://git:pw@host/x", "ssh://git:**@host/x"),
        ("http://host?q=a@b c", "http://host?q=a@b c"),
        ("://a:b@c", "://a:b@c"),
        ("postgres://u:p@h1,u:q@h2/db", "postgres://u:********@h2/db"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,E\n\nMIIE+/=\n-----END RSA PRIVATE KEY-----\nx-y",
            "-----BEGIN RSA PRIVATE KEY-----\n********** ***\n\n*******\n-----END RSA PRIVATE KEY-----\nx-y",
        ),
        (
            "-----BEGIN PRIVATE KEY-----ab-----END PRIVATE KEY-----cd",
            "-----BEGIN PRIVATE KEY-----**-----END PRIVATE KEY-----cd",
        ),
        ("-----BEGIN PUBLIC KEY-----\nab\n", "-----BEGIN PUBLIC KEY-----\nab\n"),
        ("no PRIVATE KEY-----\nab\n", "no PRIVATE KEY-----\nab\n"),
    ] {
        assert_eq!(masked_in(Place::Output, text), want, "{text:?}");
    }
}

#[test]
fn strings_of_json_and_parameters() {
    for (place, text, want) in [
        (Place::Json, "DB_PASSWORD=a b,c;d&e\"f\ng", "DB_PASSWORD=*************"),
        (Place::Json, "USER=me", "USER=me"),
        (Place::Json, "--password=a b", "--password=***"),
        (Place::Json, "x DB_PASSWORD=a b", "x DB_PASSWORD=* b"),
        (Place::Json, "username=u,password=a,domain=b", "username=u,password=*,domain=b"),
        (Place::Json, "a?token=a&b=c", "a?token=*&b=c"),
        (Place::Json, "token=a; b=c", "token=******"),
        (Place::Json, " token=a; b=c", " token=*; b=c"),
        (Place::Parameter, "DB_PASSWORD=a b", "DB_PASSWORD=***"),
        (Place::Parameter, "ENV DB_PASSWORD=a,b c", "ENV DB_PASSWORD=*** c"),
        (Place::Json, "sh -c 'PASSWORD=a'", "sh -c 'PASSWORD=*'"),
    ] {
        assert_eq!(masked_in(place, text), want, "{place:?}, {text:?}");
    }
}

#[test]
fn bounds() {
    let long = "x".repeat(AUTHORITY * 2);
    assert_eq!(masked_in(Place::Output, &format!("http://{long} y")), format!("http://{} y", "*".repeat(long.len())));
    assert_eq!(
        masked_in(Place::Output, &format!("http://u:{long}@h y")),
        format!("http://u:{}@h y", "*".repeat(long.len()))
    );
    let slashes = "\\".repeat(1_000);
    assert_eq!(
        masked_in(Place::Output, &format!("PASSWORD={slashes}a b")),
        format!("PASSWORD={} b", "*".repeat(1_001))
    );
    let name = "n".repeat(5_000);
    assert_eq!(masked_in(Place::Output, &format!("{name}_PASSWORD=a b")), format!("{name}_PASSWORD=* b"));
    let key = "a".repeat(PEM + 10);
    let masked = masked_in(Place::Output, &format!("-----BEGIN PRIVATE KEY-----{key}"));
    assert!(masked.ends_with("*aaaaaaaaaa"), "a block without an end goes so far and no further");
}
