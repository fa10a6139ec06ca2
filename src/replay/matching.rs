//! Which recorded request a live one is: the forms in which they are compared, and what is said where none fits.
//! Pure: what a request means is here, what has happened so far is in `script`.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write;
use std::hash::Hasher;
use std::io::{self, Read};
use std::sync::Arc;

use serde_json::Value;

use super::exchange::{Body, Exchange};
use super::json;
use super::redact::Redactor;
use super::tape::kind_of_request;
use super::target::Target;

/// A JSON body up to this size is compared by what it means, a longer one by its bytes.
const LONGEST_JSON: usize = 8 * 1024 * 1024;
/// How much of a value a message repeats, in characters.
const SHOWN: usize = 80;

/// A request in the form in which requests are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) method: String,
    pub(super) target: Target,
    /// JSON with its keys in order, or what is known of other bytes.
    pub(super) body: String,
    /// All of it but the method, to be compared at once.
    pub(super) text: String,
    /// The same without moments: a follower asks from where it has come to, which is another place each time.
    pub(super) loose: Option<String>,
}

impl Form {
    /// Of a request's parts. `body` is masked already, as a recording masks it.
    pub(super) fn new(redactor: &Redactor, method: &str, target: &str, body: Measured) -> Self {
        let mut target = Target::of(&redactor.target(target));
        for (_, value) in &mut target.query {
            if value.starts_with(['{', '['])
                && let Some(mut json) = json::parse(value.as_bytes())
            {
                redactor.comparable(&mut json);
                *value = json.to_string();
            }
        }
        target.query.sort();
        let body = body.form(redactor);
        let text = |keep: &dyn Fn(&str) -> bool| {
            let mut text = target.path.clone();
            for (name, value) in target.query.iter().filter(|(name, _)| keep(name)) {
                let _ = write!(text, "\n{name}={value}");
            }
            text.push_str("\n\n");
            text.push_str(&body);
            text
        };
        let follows = method == "GET" && (target.path.ends_with("/logs") || target.path == "/events");
        let loose = follows.then(|| text(&|name| !matches!(name, "since" | "until")));
        Self { method: method.into(), text: text(&|_| true), loose, target, body }
    }

    /// Of a recorded request.
    pub(super) fn of(redactor: &Arc<Redactor>, exchange: &Exchange) -> io::Result<Self> {
        let mut measure =
            Measure::new(redactor, &exchange.request.method, &exchange.request.target, &exchange.request.headers);
        measure.read(&exchange.request.body)?;
        Ok(Self::new(redactor, &exchange.request.method, &exchange.request.target, measure.end()))
    }

    /// Whether it changes nothing at the Engine, so that its answer may be given again.
    pub(super) fn is_read(&self) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD") || self.method == "POST" && self.target.path.ends_with("/wait")
    }

    /// Whether it is a read whose answer tells how things are, and no more: it does not last until they change.
    pub(super) fn is_brief(&self) -> bool {
        let says = |name: &str, values: &[&str]| {
            self.target.query.iter().any(|(key, value)| key == name && values.contains(&value.as_str()))
        };
        let last = self.target.path.rsplit('/').next().unwrap_or_default();
        matches!(self.method.as_str(), "GET" | "HEAD")
            && match last {
                "logs" => !says("follow", &["1", "true"]),
                "stats" => says("stream", &["0", "false"]),
                "events" | "ws" => false,
                _ => true,
            }
    }

    /// The id or name of the container or exec that it is about.
    pub(super) fn object(&self) -> Option<&str> {
        let mut parts = self.target.path.split('/').skip(1);
        let (kind, object) = (parts.next()?, parts.next()?);
        let fixed = matches!(object, "json" | "create" | "prune");
        (matches!(kind, "containers" | "exec") && !fixed && !object.is_empty()).then_some(object)
    }
}

/// Looks at a body as it comes.
pub(super) struct Measure {
    masker: super::redact::Masker,
    masked: Vec<u8>,
    hasher: DefaultHasher,
    len: u64,
    /// All of it, as long as it may be JSON.
    json: Option<Vec<u8>>,
}

/// What is known of a body.
pub(super) struct Measured {
    len: u64,
    digest: u64,
    json: Option<Vec<u8>>,
}

impl Measure {
    pub(super) fn new(redactor: &Redactor, method: &str, target: &str, headers: &[(String, String)]) -> Self {
        let kind = kind_of_request(method, target, headers);
        Self {
            masker: redactor.masker(kind),
            masked: Vec::new(),
            hasher: DefaultHasher::new(),
            len: 0,
            json: matches!(kind, super::redact::Kind::Json).then(Vec::new),
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        self.masked.clear();
        self.masker.feed(bytes, &mut self.masked);
        self.take();
    }

    fn take(&mut self) {
        self.hasher.write(&self.masked);
        if let Some(json) = &mut self.json {
            json.extend_from_slice(&self.masked);
            if json.len() > LONGEST_JSON {
                self.json = None;
            }
        }
    }

    fn read(&mut self, body: &Body) -> io::Result<()> {
        let (mut from, mut buf) = (body.bytes.reader(), vec![0; 16 * 1024]);
        loop {
            match from.read(&mut buf)? {
                0 => return Ok(()),
                n => self.feed(&buf[..n]),
            }
        }
    }

    pub(super) fn end(mut self) -> Measured {
        self.masked.clear();
        self.masker.end(&mut self.masked);
        self.take();
        Measured { len: self.len, digest: self.hasher.finish(), json: self.json }
    }
}

impl Measured {
    fn form(self, redactor: &Redactor) -> String {
        if self.len == 0 {
            return String::new();
        }
        let json = self.json.and_then(|json| json::parse(&json));
        match json {
            Some(mut json) => {
                redactor.comparable(&mut json);
                json.to_string()
            }
            None => format!("{} bytes, digest {:016x}", self.len, self.digest),
        }
    }
}

/// How far a recorded request is from the one that was asked: the lower the nearer. `None`: they have nothing in common.
pub(super) fn distance(recorded: &Form, asked: &Form) -> Option<usize> {
    let parts = |form: &Form| form.target.path.split('/').map(str::to_owned).collect::<Vec<_>>();
    let (a, b) = (parts(recorded), parts(asked));
    let same = a.iter().zip(&b).filter(|(a, b)| a == b).count();
    if same < 2 && a != b {
        return None;
    }
    let mut distance = (a.len().max(b.len()) - same) * 20;
    distance += if recorded.method == asked.method { 0 } else { 50 };
    distance += differences(recorded, asked).len().min(10);
    Some(distance)
}

/// What differs between two requests, a line each.
pub(super) fn differences(recorded: &Form, asked: &Form) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |what: &str, recorded: &str, asked: &str| {
        if recorded != asked {
            lines.push(format!("{what}: recorded {}, asked {}", shown(recorded), shown(asked)));
        }
    };
    line("method", &recorded.method, &asked.method);
    line("path", &recorded.target.path, &asked.target.path);
    let names = |form: &Form| form.target.query.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let mut all = [names(recorded), names(asked)].concat();
    all.sort();
    all.dedup();
    for name in all {
        let value = |form: &Form| {
            let values = form.target.query.iter().filter(|(n, _)| *n == name).map(|(_, value)| value.as_str());
            values.collect::<Vec<_>>().join(", ")
        };
        line(&format!("query {name}"), &value(recorded), &value(asked));
    }
    match (json::parse(recorded.body.as_bytes()), json::parse(asked.body.as_bytes())) {
        (Some(a), Some(b)) => compare("body", &a, &b, &mut lines),
        _ => line("body", &recorded.body, &asked.body),
    }
    lines
}

/// Where two JSON values differ, by path.
fn compare(path: &str, recorded: &Value, asked: &Value, lines: &mut Vec<String>) {
    match (recorded, asked) {
        (Value::Object(a), Value::Object(b)) => {
            let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let value = |map: &serde_json::Map<String, Value>| map.get(name).cloned().unwrap_or(Value::Null);
                compare(&format!("{path}.{name}"), &value(a), &value(b), lines);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (n, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}[{n}]"), a, b, lines);
            }
        }
        (a, b) if a == b => {}
        (a, b) => {
            lines.push(format!("{path}: recorded {}, asked {}", shown(&a.to_string()), shown(&b.to_string())));
        }
    }
}

/// A value as a message shows it: its beginning, in one line.
fn shown(text: &str) -> String {
    if text.is_empty() {
        return "nothing".into();
    }
    let short: String = text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if short.chars().count() < text.chars().count() { format!("{short}…") } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(method: &str, target: &str, body: &str) -> Form {
        let redactor = Arc::new(Redactor::new(&[]));
        let headers = [("Content-Type".to_owned(), "application/json".to_owned())];
        let mut measure = Measure::new(&redactor, method, target, &headers);
        measure.feed(body.as_bytes());
        Form::new(&redactor, method, target, measure.end())
    }

    #[test]
    fn the_same_request() {
        for (row, a, b, same) in [
            ("version", ("/v1.41/info", ""), ("/v1.51/info", ""), true),
            ("no version", ("/v1.41/info", ""), ("/info", ""), true),
            ("order of a query", ("/a?x=1&y=2", ""), ("/a?y=2&x=1", ""), true),
            ("encoding", ("/a?x=%61", ""), ("/a?x=a", ""), true),
            ("another value", ("/a?x=1", ""), ("/a?x=2", ""), false),
            ("filters", ("/a?filters={\"a\":1,\"b\":2}", ""), ("/a?filters=%7B%22b%22:2,%22a%22:1%7D", ""), true),
            ("order of a body", ("/a", "{\"x\":1,\"y\":[2]}"), ("/a", "{ \"y\": [2], \"x\": 1 }"), true),
            ("another body", ("/a", "{\"x\":1}"), ("/a", "{\"x\":2}"), false),
            (
                "another secret",
                ("/a", r#"{"Env":["DB_PASSWORD=one"]}"#),
                ("/a", r#"{"Env":["DB_PASSWORD=another"]}"#),
                true,
            ),
            ("bytes", ("/a", "tar"), ("/a", "tar"), true),
            ("other bytes", ("/a", "tar"), ("/a", "rat"), false),
        ] {
            let (a, b) = (form("POST", a.0, a.1), form("POST", b.0, b.1));
            assert_eq!(a.text == b.text, same, "{row}: {:?} {:?}", a.text, b.text);
            assert_eq!(differences(&a, &b).is_empty(), same, "{row}");
        }
        let logs = |since| form("GET", &format!("/containers/x/logs?since={since}&stdout=1"), "");
        assert_eq!(logs(1).loose, logs(2).loose);
        assert_ne!(logs(1).text, logs(2).text);
    }

    #[test]
    fn what_differs() {
        let recorded =
            form("POST", "/v1.41/containers/create?name=a", r#"{"Image":"x","HostConfig":{"Memory":1,"Binds":["a"]}}"#);
        let asked = form(
            "POST",
            "/v1.41/containers/create?name=b&platform=p",
            r#"{"Image":"x","HostConfig":{"Memory":2,"Binds":["b"]},"Tty":true}"#,
        );
        assert_eq!(
            differences(&recorded, &asked),
            [
                "query name: recorded a, asked b",
                "query platform: recorded nothing, asked p",
                "body.HostConfig.Binds[0]: recorded \"a\", asked \"b\"",
                "body.HostConfig.Memory: recorded 1, asked 2",
                "body.Tty: recorded null, asked true",
            ]
        );
        assert!(distance(&recorded, &asked) < distance(&form("GET", "/v1.41/containers/json", ""), &asked));
        assert_eq!(distance(&form("GET", "/info", ""), &asked), None);
    }
}
