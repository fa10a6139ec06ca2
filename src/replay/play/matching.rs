//! Which recorded request a live one is: the forms in which they are compared, and what is said where none fits.
//! Pure: what a request means is here, what has happened so far is in `script`.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write;
use std::hash::Hasher;
use std::io::{self, Read};
use std::sync::Arc;

use serde_json::Value;

use crate::replay::har::exchange::{Body, Exchange};
use crate::replay::har::json;
use crate::replay::http::coding::{Held, Intake};
use crate::replay::http::kinds::kind_of_request;
use crate::replay::http::target::Target;
use crate::replay::http::wire;
use crate::replay::play::archive::Essence;
use crate::replay::redact::Redactor;

/// A JSON body up to this size is compared by what it means, a longer one by its bytes.
const LONGEST_JSON: usize = 8 * 1024 * 1024;
/// What stands for the body of a request that was not heard to its end.
const REFUSED: &str = "a part of it";
/// What stands for a body that a recording does not keep, whatever it is.
const LEFT_OUT: &str = "a body that is not kept";
/// How much of a value a message repeats, in characters.
const SHOWN: usize = 80;
/// How much of a request a message repeats, in characters.
pub(in crate::replay) const NAMED: usize = 160;

/// A request in the form in which requests are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::replay) struct Form {
    pub(in crate::replay) method: String,
    pub(in crate::replay) target: Target,
    /// JSON with its keys in order, or what is known of other bytes.
    pub(in crate::replay) body: String,
    /// All of it but the method, to be compared at once.
    pub(in crate::replay) text: String,
    /// The same without what is another each time, where there may be such, or without the body, where the Engine may have
    /// said no before it had heard all of it.
    pub(in crate::replay) loose: Option<String>,
}

impl Form {
    /// Of a request's parts. `body` is masked already, as a recording masks it.
    pub(in crate::replay) fn new(redactor: &Redactor, method: &str, target: &str, body: Measured) -> Self {
        let mut target = Target::of(&redactor.target(target));
        for (name, value) in &mut target.query {
            if value.starts_with(['{', '['])
                && let Some(mut json) = json::parse(value.as_bytes())
            {
                redactor.comparable(&mut json);
                if name == "filters" {
                    as_sets(&mut json);
                }
                *value = json.to_string();
            }
        }
        target.query.retain(|(name, value)| name != "filters" || value != "{}");
        target.query.sort();
        let body = body.form(redactor);
        let chance = of_chance(method, &target.path);
        let loose = match chance {
            [] => (!body.is_empty()).then(|| text(&target, &[], REFUSED)),
            chance => Some(text(&target, chance, &body)),
        };
        Self { method: method.into(), text: text(&target, &[], &body), loose, target, body }
    }

    /// Of a recorded request.
    pub(in crate::replay) fn of(redactor: &Arc<Redactor>, exchange: &Exchange) -> io::Result<Self> {
        let mut measure =
            Measure::new(redactor, &exchange.request.method, &exchange.request.target, &exchange.request.headers);
        measure.read(&exchange.request.body)?;
        let mut form = Self::new(redactor, &exchange.request.method, &exchange.request.target, measure.end());
        if of_chance(&form.method, &form.target.path).is_empty() {
            let said =
                wire::header(&exchange.request.headers, "content-length").and_then(|len| len.parse::<u64>().ok());
            let refused =
                exchange.answer.is_some() && said.is_some_and(|said| said > exchange.request.body.bytes.len());
            form.loose = refused.then(|| text(&form.target, &[], REFUSED));
        }
        Ok(form)
    }

    /// Method, path and query, for people: as they mean, and no longer than a line or two.
    pub(in crate::replay) fn named(&self) -> String {
        let query: Vec<String> = self.target.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let question = if query.is_empty() { "" } else { "?" };
        let whole = format!("{} {}{question}{}", self.method, self.target.path, query.join("&"));
        short(&whole, NAMED)
    }

    /// Whether it changes nothing at the Engine, so that its answer may be given again.
    pub(in crate::replay) fn is_read(&self) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD") || self.method == "POST" && self.target.path.ends_with("/wait")
    }

    /// Whether it is a read whose answer tells how things are, and no more: it does not last until they change.
    pub(in crate::replay) fn is_brief(&self) -> bool {
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

    /// Whether it may change what others are told. A window's size changes nothing but the window.
    pub(in crate::replay) fn is_change(&self) -> bool {
        !self.is_read() && !self.is_resize()
    }

    /// Whether it tells how large a window is.
    pub(in crate::replay) fn is_resize(&self) -> bool {
        self.method == "POST" && self.target.path.ends_with("/resize")
    }

    /// Whether BuildKit's client lends itself to the Engine, which then asks it for files, over HTTP/2. An Engine that asks
    /// for nothing is a good one, too: the answer to the build tells what came of it.
    pub(in crate::replay) fn is_session(&self) -> bool {
        self.method == "POST" && self.target.path == "/session"
    }

    /// Whether it makes something, which no container has to do with yet.
    pub(in crate::replay) fn makes_anew(&self) -> bool {
        self.method == "POST" && (self.target.path.ends_with("/create") || self.is_build() || self.is_session())
    }

    /// Whether it builds an image.
    pub(in crate::replay) fn is_build(&self) -> bool {
        self.method == "POST" && self.target.path == "/build"
    }

    /// Whether it joins what goes on in a container.
    pub(in crate::replay) fn is_attach(&self) -> bool {
        self.method == "POST" && self.target.path.ends_with("/attach")
    }

    /// Whether it begins a process in a container, or is about one.
    pub(in crate::replay) fn is_exec(&self) -> bool {
        self.target.path.starts_with("/exec/") || self.target.path.ends_with("/exec")
    }

    /// Whether it is the same request, but for what is another each time.
    pub(in crate::replay) fn is_same(&self, other: &Self) -> bool {
        self.method == other.method && (self.text == other.text || self.loose.is_some() && self.loose == other.loose)
    }

    /// Its body, where that is JSON.
    pub(in crate::replay) fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }

    /// The id or name of the container or exec that it is about.
    pub(in crate::replay) fn object(&self) -> Option<&str> {
        let mut parts = self.target.path.split('/').skip(1);
        let (kind, object) = (parts.next()?, parts.next()?);
        let fixed = matches!(object, "json" | "create" | "prune");
        (matches!(kind, "containers" | "exec") && !fixed && !object.is_empty()).then_some(object)
    }
}

/// A request in one text, without some parameters.
fn text(target: &Target, without: &[&str], body: &str) -> String {
    let mut text = target.path.clone();
    for (name, value) in target.query.iter().filter(|(name, _)| !without.contains(&name.as_str())) {
        let _ = write!(text, "\n{name}={value}");
    }
    text.push_str("\n\n");
    text.push_str(body);
    text
}

/// The parameters of a request that are another each time. A follower asks from where it has come to; BuildKit's client
/// makes up names for its session and its build; a window has the size that it has.
fn of_chance(method: &str, path: &str) -> &'static [&'static str] {
    match method {
        "GET" if path.ends_with("/logs") || path == "/events" => &["since", "until"],
        "POST" if path == "/build" => &["buildid", "session"],
        "POST" if path == "/build/cancel" => &["id"],
        "POST" if path.ends_with("/resize") => &["h", "w"],
        _ => &[],
    }
}

/// Looks at a body as it comes.
pub(in crate::replay) struct Measure {
    intake: Intake,
    left_out: bool,
    /// Whether there is a body at all.
    came: bool,
    masker: crate::replay::redact::Masker,
    masked: Vec<u8>,
    hasher: DefaultHasher,
    /// What of an archive counts.
    essence: Essence,
    len: u64,
    /// All of it, as long as it may be JSON.
    json: Option<Vec<u8>>,
}

/// What is known of a body.
pub(in crate::replay) struct Measured {
    len: u64,
    archive: bool,
    digest: u64,
    json: Option<Vec<u8>>,
    left_out: bool,
}

impl Measure {
    pub(in crate::replay) fn new(
        redactor: &Redactor,
        method: &str,
        target: &str,
        headers: &[(String, String)],
    ) -> Self {
        let kind = kind_of_request(method, target, headers);
        Self {
            intake: Intake::of(headers, kind),
            left_out: false,
            came: false,
            masker: redactor.masker(kind),
            masked: Vec::new(),
            hasher: DefaultHasher::new(),
            essence: Essence::default(),
            len: 0,
            json: matches!(kind, crate::replay::redact::Kind::Json).then(Vec::new),
        }
    }

    pub(in crate::replay) fn feed(&mut self, bytes: &[u8]) {
        self.came |= !bytes.is_empty();
        match self.intake.is_plain() {
            true => self.mask(bytes),
            false => {
                let through = self.intake.feed(bytes);
                self.mask(&through);
            }
        }
    }

    fn mask(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        self.masked.clear();
        self.masker.feed(bytes, &mut self.masked);
        self.take();
    }

    fn take(&mut self) {
        self.essence.feed(&self.masked, &mut self.hasher);
        if let Some(json) = &mut self.json {
            json.extend_from_slice(&self.masked);
            if json.len() > LONGEST_JSON {
                self.json = None;
            }
        }
    }

    fn read(&mut self, body: &Body) -> io::Result<()> {
        if body.left_out.is_some() {
            self.left_out = true;
            return Ok(());
        }
        let (mut from, mut buf) = (body.bytes.reader(), vec![0; 16 * 1024]);
        loop {
            match from.read(&mut buf)? {
                0 => return Ok(()),
                n => self.feed(&buf[..n]),
            }
        }
    }

    pub(in crate::replay) fn end(mut self) -> Measured {
        if !self.intake.is_plain() {
            match self.intake.end() {
                Held::Plain(bytes) | Held::Unpacked(bytes, _) => self.mask(&bytes),
                Held::LeftOut(_) => self.left_out |= self.came,
            }
        }
        self.masked.clear();
        self.masker.end(&mut self.masked);
        self.take();
        let archive = self.essence.end(&mut self.hasher);
        Measured { len: self.len, archive, digest: self.hasher.finish(), json: self.json, left_out: self.left_out }
    }
}

impl Measured {
    fn form(self, redactor: &Redactor) -> String {
        if self.left_out {
            return LEFT_OUT.into();
        }
        if self.len == 0 {
            return String::new();
        }
        let json = self.json.and_then(|json| json::parse(&json));
        match json {
            Some(mut json) => {
                without_window(&mut json);
                redactor.comparable(&mut json);
                json.to_string()
            }
            // How long it is depends on how moments are written.
            None if self.archive => format!("an archive, digest {:016x}", self.digest),
            None => format!("{} bytes, digest {:016x}", self.len, self.digest),
        }
    }
}

/// Filters as sets of values, in whichever of Docker's forms they come: `{"a":["x","y"]}` and
/// `{"a":{"y":true,"x":true}}` are one. An empty set filters nothing.
fn as_sets(filters: &mut Value) {
    let Value::Object(filters) = filters else { return };
    for values in filters.values_mut() {
        let mut set: Vec<Value> = match values {
            Value::Object(keyed) if keyed.values().all(|on| *on == Value::Bool(true)) => {
                keyed.keys().map(|value| value.as_str().into()).collect()
            }
            Value::Array(listed) if listed.iter().all(Value::is_string) => std::mem::take(listed),
            _ => continue,
        };
        set.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
        set.dedup();
        *values = Value::Array(set);
    }
    filters.retain(|_, values| values.as_array().is_none_or(|values| !values.is_empty()));
}

/// A request's body without the size of the client's window.
fn without_window(json: &mut Value) {
    for path in ["", "/HostConfig"] {
        if let Some(Value::Object(map)) = json.pointer_mut(path) {
            map.remove("ConsoleSize");
        }
    }
}

/// How far a recorded request is from the one that was asked: the lower the nearer. `None`: they have nothing in common.
pub(in crate::replay) fn distance(recorded: &Form, asked: &Form) -> Option<usize> {
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
pub(in crate::replay) fn differences(recorded: &Form, asked: &Form) -> Vec<String> {
    let mut lines = Vec::new();
    let line = |what: &str, recorded: &str, asked: &str, lines: &mut Vec<String>| {
        if recorded != asked {
            lines.push(format!("{what}: recorded {}, asked {}", shown(recorded), shown(asked)));
        }
    };
    line("method", &recorded.method, &asked.method, &mut lines);
    line("path", &recorded.target.path, &asked.target.path, &mut lines);
    let names = |form: &Form| form.target.query.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let mut all = [names(recorded), names(asked)].concat();
    all.sort();
    all.dedup();
    for name in all {
        let value = |form: &Form| {
            let values = form.target.query.iter().filter(|(n, _)| *n == name).map(|(_, value)| value.as_str());
            values.collect::<Vec<_>>().join(", ")
        };
        let (a, b) = (value(recorded), value(asked));
        match (json::parse(a.as_bytes()), json::parse(b.as_bytes())) {
            (Some(a @ Value::Object(_)), Some(b @ Value::Object(_))) => {
                compare(&format!("query {name}"), &a, &b, &mut lines)
            }
            _ => line(&format!("query {name}"), &a, &b, &mut lines),
        }
    }
    match (json::parse(recorded.body.as_bytes()), json::parse(asked.body.as_bytes())) {
        (Some(a), Some(b)) => compare("body", &a, &b, &mut lines),
        _ => line("body", &recorded.body, &asked.body, &mut lines),
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
        // An environment with one more, say: which it is, and not both lists.
        (Value::Array(a), Value::Array(b)) if !a.is_empty() && !b.is_empty() => {
            let only = |items: &[Value], others: &[Value]| -> Vec<String> {
                items.iter().filter(|item| !others.contains(item)).map(|item| shown(&item.to_string())).collect()
            };
            let (gone, new) = (only(a, b), only(b, a));
            if gone.is_empty() && new.is_empty() {
                lines.push(format!("{path}: recorded {} items, asked {}, of the same", a.len(), b.len()));
            }
            lines.extend(gone.iter().map(|item| format!("{path}: recorded {item}, not asked")));
            lines.extend(new.iter().map(|item| format!("{path}: asked {item}, not recorded")));
        }
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
    short(text, SHOWN)
}

pub(in crate::replay) fn short(text: &str, most: usize) -> String {
    let short: String = text.chars().take(most).map(|c| if c.is_control() { ' ' } else { c }).collect();
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
            (
                "a filter's forms",
                (r#"/a?filters={"l":["b","a"]}"#, ""),
                (r#"/a?filters={"l":{"a":true,"b":true}}"#, ""),
                true,
            ),
            ("a list's order", (r#"/a?filters={"l":["b","a"]}"#, ""), (r#"/a?filters={"l":["a","b","a"]}"#, ""), true),
            ("no filter", (r#"/a?filters={"l":[],"m":{}}"#, ""), ("/a", ""), true),
            ("another filter", (r#"/a?filters={"l":["a"]}"#, ""), (r#"/a?filters={"l":{"b":true}}"#, ""), false),
            ("a value fewer", (r#"/a?filters={"l":["a","b"]}"#, ""), (r#"/a?filters={"l":{"b":true}}"#, ""), false),
            ("a filter off", (r#"/a?filters={"l":["a"]}"#, ""), (r#"/a?filters={"l":{"a":false}}"#, ""), false),
            ("no filters", (r#"/a?x={"l":["a","b"]}"#, ""), (r#"/a?x={"l":["b","a"]}"#, ""), false),
            ("order of a body", ("/a", "{\"x\":1,\"y\":[2]}"), ("/a", "{ \"y\": [2], \"x\": 1 }"), true),
            ("another body", ("/a", "{\"x\":1}"), ("/a", "{\"x\":2}"), false),
            (
                "another secret",
                ("/a", r#"{"Env":["DB_PASSWORD=one"]}"#),
                ("/a", r#"{"Env":["DB_PASSWORD=another"]}"#),
                true,
            ),
            (
                "another window",
                ("/a", r#"{"ConsoleSize":[1,2],"HostConfig":{"ConsoleSize":[1,2],"Memory":1}}"#),
                ("/a", r#"{"HostConfig":{"ConsoleSize":[3,4],"Memory":1}}"#),
                true,
            ),
            ("bytes", ("/a", "tar"), ("/a", "tar"), true),
            ("other bytes", ("/a", "tar"), ("/a", "rat"), false),
        ] {
            let (a, b) = (form("POST", a.0, a.1), form("POST", b.0, b.1));
            assert_eq!(a.text == b.text, same, "{row}: {:?} {:?}", a.text, b.text);
            assert_eq!(differences(&a, &b).is_empty(), same, "{row}");
        }
        for (method, a, b, same) in [
            ("GET", "/containers/x/logs?since=1&stdout=1", "/containers/x/logs?since=2&stdout=1", true),
            ("GET", "/containers/x/logs?since=1&stdout=1", "/containers/x/logs?since=1&stderr=1", false),
            ("GET", "/v1.41/events?until=1", "/v1.41/events?until=2", true),
            ("POST", "/build?buildid=1&session=2&t=x", "/build?buildid=3&session=4&t=x", true),
            ("POST", "/build?buildid=1&t=x", "/build?buildid=1&t=y", false),
            ("POST", "/build/cancel?id=1", "/build/cancel?id=2", true),
            ("POST", "/exec/x/resize?h=1&w=2", "/exec/x/resize?h=3&w=4", true),
            ("POST", "/containers/x/resize?h=1&w=2", "/containers/y/resize?h=1&w=2", false),
        ] {
            let (a, b) = (form(method, a, ""), form(method, b, ""));
            assert!(a.loose.is_some() && a.text != b.text, "{} {}", a.text, b.text);
            assert_eq!(a.loose == b.loose, same, "{} {}", a.text, b.text);
        }
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
        let recorded = form("GET", r#"/a?filters={"label":["x","y"]}"#, r#"{"Env":["A=1","B=2"],"Cmd":["a","a"]}"#);
        let asked = form("GET", r#"/a?filters={"label":["y","z"]}"#, r#"{"Env":["B=2","C=3","D=4"],"Cmd":["a"]}"#);
        assert_eq!(
            differences(&recorded, &asked),
            [
                "query filters.label[0]: recorded \"x\", asked \"y\"",
                "query filters.label[1]: recorded \"y\", asked \"z\"",
                "body.Cmd: recorded 2 items, asked 1, of the same",
                "body.Env: recorded \"A=1\", not asked",
                "body.Env: asked \"C=3\", not recorded",
                "body.Env: asked \"D=4\", not recorded",
            ]
        );
        assert_eq!(asked.named(), r#"GET /a?filters={"label":["y","z"]}"#);
        let recorded = form("POST", "/v1.41/containers/create?name=a", "");
        let asked = form("POST", "/v1.41/containers/create?name=b", "");
        assert!(distance(&recorded, &asked) < distance(&form("GET", "/v1.41/containers/json", ""), &asked));
        assert_eq!(distance(&form("GET", "/info", ""), &asked), None);
    }
}
