//! What a request and its headers tell of its bodies, and of its connection: JSON, text or an archive; HTTP to the end, or not.

use crate::replay::har::exchange::Request;
use crate::replay::http::wire;
use crate::replay::redact::Kind;

/// Whether the connection may turn into something else than HTTP with the answer.
pub(in crate::replay) fn may_upgrade(request: &Request) -> bool {
    let path = request.target.split('?').next().unwrap_or_default();
    let hijacks = path.ends_with("/attach") || path.contains("/exec/") && path.ends_with("/start");
    wire::header(&request.headers, "upgrade").is_some() || request.method == "POST" && hijacks
}

/// Whether a connection is to turn into HTTP/2. What it carries then is not recorded: one connection may be any number of
/// them, and each head needs all before it.
pub(in crate::replay) fn is_h2c(headers: &[(String, String)]) -> bool {
    wire::has_word(headers, "upgrade", "h2c")
}

/// A target without the scheme and the name of the machine, which a client says that takes the Engine for a proxy.
pub(in crate::replay) fn without_authority(target: &str) -> &str {
    let Some(rest) = target.strip_prefix("http://").or_else(|| target.strip_prefix("https://")) else { return target };
    rest.find('/').map_or("/", |at| &rest[at..])
}

/// What a request's body is.
pub(in crate::replay) fn kind_of_request(method: &str, target: &str, headers: &[(String, String)]) -> Kind {
    let path = target.split('?').next().unwrap_or_default();
    let takes_archive = match method {
        "PUT" => path.ends_with("/archive"),
        "POST" => ["/build", "/images/load", "/images/create"].iter().any(|call| path.ends_with(call)),
        _ => false,
    };
    if takes_archive { Kind::Archive } else { kind(headers) }
}

/// What an answer's body is.
pub(in crate::replay) fn kind_of_answer(request: &Request, headers: &[(String, String)]) -> Kind {
    let path = request.target.split('?').next().unwrap_or_default();
    let gives_archive = path.ends_with("/archive") || path.ends_with("/export") || path.ends_with("/get");
    // What says no to it is JSON.
    if gives_archive && request.method == "GET" && !is_json(headers) { Kind::Archive } else { kind(headers) }
}

fn kind(headers: &[(String, String)]) -> Kind {
    const ARCHIVES: &[&str] = &["tar", "octet-stream", "gzip", "zstd", "xz"];
    match wire::header(headers, "content-type").map(str::to_ascii_lowercase) {
        Some(kind) if kind.contains("json") => Kind::Json,
        // podman's stats have no type at all; JSON is masked as JSON by its look.
        None => Kind::Json,
        Some(kind) if ARCHIVES.iter().any(|archive| kind.contains(archive)) => Kind::Archive,
        Some(_) => Kind::Text,
    }
}

fn is_json(headers: &[(String, String)]) -> bool {
    wire::header(headers, "content-type").is_some_and(|kind| kind.to_ascii_lowercase().contains("json"))
}
