//! What the live tests share: names, waiting for a condition, how long a form to run, a private dockerd, a
//! registry of images and a proxy before it.
//!
//! Each test program that uses it says `#[path = "../support/mod.rs"] mod support;`, and none uses all of it.
#![allow(dead_code)]

pub(crate) mod dockerd;
pub(crate) mod gate;
pub(crate) mod image;
pub(crate) mod network;
pub(crate) mod proxy;
pub(crate) mod registry;

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The test image, as `make image` names it.
pub(crate) const IMAGE: &str = "longshore/busybox:test";

/// `<what>-<pid>-<n>`: a name that no other test has, in this process or in one beside it.
pub(crate) fn unique(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Blocks until the condition holds, and panics with `what` where it does not within the deadline.
///
/// For what the system under test offers no wait for. The condition is asked at once, then every 20 ms.
#[track_caller]
pub(crate) fn eventually(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < deadline, "not within {deadline:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// How often to do something: `short` in `make test`, `long` in `make soak`.
pub(crate) fn rounds(short: u32, long: u32) -> u32 {
    if std::env::var_os("LONGSHORE_SOAK").is_some_and(|value| value == "1") { long } else { short }
}

/// One exchange with an Engine, by hand: what came back, head and body. For what is not to depend on our client.
pub(crate) fn ask(
    socket: &Path,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    // Of version 1.0: the end of the answer is the end of the connection.
    write!(stream, "{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n", body.len())?;
    for (name, value) in headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    stream.write_all(b"\r\n")?;
    stream.write_all(body)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
