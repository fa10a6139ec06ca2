//! Engines that are none: one line each, with the endpoint, the cause and a way out.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use longshore::replay::scripted::{Answer, Scripted};

use crate::place::{Place, Ran, Running};

#[track_caller]
fn refused(ran: &Ran, words: &[&str]) {
    assert_eq!((ran.code, ran.out.as_str()), (125, ""), "{}", ran.err);
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    assert!(words.iter().all(|word| ran.err.contains(word)), "{words:?} in {}", ran.err);
}

#[test]
fn one_that_accepts_and_never_answers_is_named() {
    let place = Place::new();
    let socket = place.dir.join("s");
    // The kernel accepts for us; nobody ever reads.
    let _listener = UnixListener::bind(&socket).unwrap();
    let url = format!("unix://{}", socket.display());
    let begun = Instant::now();
    let ran = Ran::of(place.longshore(&["-H", &url, "ping"]).output().unwrap());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    refused(&ran, &[&url, "no answer", "-H"]);
}

#[test]
fn ones_that_talk_nonsense_are_named() {
    let place = Place::new();
    for (row, answer) in [
        ("nothing", &b""[..]),
        ("no HTTP", b"SSH-2.0-OpenSSH_9.2\r\n"),
        ("half a head", b"HTTP/1.1 200 OK\r\nContent-"),
        ("endless head", &[b'x'; 1 << 20]),
        ("not an Engine", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        ("one that says nothing", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
        ("one that is unwell", b"HTTP/1.1 500 Oh\r\nContent-Length: 17\r\n\r\n{\"message\":\"ill\"}"),
    ] {
        let socket = place.dir.join(row);
        let listener = UnixListener::bind(&socket).unwrap();
        // Lives as long as the test program.
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let Ok(mut connection) = connection else { return };
                let _ = connection.read(&mut [0; 4096]);
                let _ = connection.write_all(answer);
            }
        });
        let url = format!("unix://{}", socket.display());
        let begun = Instant::now();
        let ran = Ran::of(place.longshore(&["ping"]).env("DOCKER_HOST", &url).output().unwrap());
        assert!(begun.elapsed() < Duration::from_secs(5), "{row}: {:?}", begun.elapsed());
        refused(&ran, &[&url]);
    }
}

#[test]
fn one_that_is_no_docker_engine_is_called_that() {
    let place = Place::new();
    for (row, ping, others) in
        [("an object", "{}", "{}"), ("a page", "<html>", "<html>"), ("yes to all", "OK", "OK"), ("half", "OK", "{}")]
    {
        let scripted = Scripted::unix().unwrap().forgiving();
        scripted.always("GET /_ping", move || Answer::body(200, ping));
        scripted.always("GET /version", move || Answer::body(200, others));
        let ran = Ran::of(place.longshore(&["-H", &scripted.endpoint().to_string(), "ping"]).output().unwrap());
        refused(&ran, &["is no Docker Engine", &scripted.endpoint().to_string(), "-H"]);
        assert!(!ran.err.contains("the Engine at"), "{row}: {}", ran.err);
    }
}

#[test]
fn a_version_that_is_set_and_not_spoken_is_refused() {
    let place = Place::new();
    let scripted = Scripted::unix().unwrap();
    for version in ["1.99", "2.0"] {
        let mut command = place.longshore(&["-H", &scripted.endpoint().to_string(), "ping"]);
        let ran = Ran::of(command.env("DOCKER_API_VERSION", version).output().unwrap());
        refused(&ran, &[version, "1.41", "DOCKER_API_VERSION"]);
    }
}

#[test]
fn one_that_hangs_up_late_gets_no_second_time() {
    let place = Place::new();
    let socket = place.dir.join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    // Lives as long as the test program.
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            std::thread::sleep(Duration::from_secs(3));
            drop(connection);
        }
    });
    let begun = Instant::now();
    let ran = Ran::of(place.longshore(&["-H", &format!("unix://{}", socket.display()), "ping"]).output().unwrap());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(ran.code, 125, "{}", ran.err);
}

#[test]
fn a_version_that_is_fixed_is_no_answer() {
    let place = Place::new();
    let socket = place.dir.join("s");
    let _listener = UnixListener::bind(&socket).unwrap();
    let file = place.job(&[("t", "true")], "", "");
    let mut command = place.longshore(&["run", &file]);
    command.env("DOCKER_HOST", format!("unix://{}", socket.display())).env("DOCKER_API_VERSION", "1.41");
    let begun = Instant::now();
    let ran = Running::start(command).end();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    refused(&ran, &["no answer", "-H"]);
}

#[test]
fn a_file_that_is_no_socket() {
    let place = Place::new();
    let url = format!("unix://{}", place.file("plain", ""));
    refused(&Ran::of(place.longshore(&["-H", &url, "ping"]).output().unwrap()), &[&url, "refused", "start Docker"]);
}

#[test]
fn each_address_that_leads_nowhere_has_its_hint() {
    let place = Place::new();
    for (host, words) in [
        ("unix:///no/such.sock", &["unix:///no/such.sock", "no such socket", "start Docker"][..]),
        (" unix:///no/such.sock\n", &["at unix:///no/such.sock:", "no such socket"]),
        ("tcp://127.0.0.1:1", &["tcp://127.0.0.1:1", "nobody listens at this port"]),
        (":1", &["tcp://localhost:1", "nobody listens at this port"]),
        ("tcp://no-such-host.invalid:1", &["no-such-host.invalid", "nobody knows this host"]),
        ("https://host", &["https://host:2376", "not supported", "name a socket of this machine"]),
        ("ssh://host", &["ssh://host", "not supported", "name a socket of this machine"]),
    ] {
        refused(&Ran::of(place.longshore(&["-H", host, "ping"]).output().unwrap()), words);
        refused(&Ran::of(place.longshore(&["ping"]).env("DOCKER_HOST", host).output().unwrap()), words);
    }
}

#[test]
fn a_socket_that_others_may_use() {
    // Root may use every socket: it becomes somebody else for this.
    let place = Place::new();
    let socket = place.dir.join("s");
    let _listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o660)).unwrap();
    if !rustix::process::geteuid().is_root() || std::os::unix::fs::chown(&socket, None, Some(0)).is_err() {
        return;
    }
    // Where it may run it.
    let program = std::env::temp_dir().join(&place.name).join("longshore");
    std::fs::copy(env!("CARGO_BIN_EXE_longshore"), &program).unwrap();
    std::fs::set_permissions(&place.dir, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let url = format!("unix://{}", socket.display());
    let mut command = std::process::Command::new(&program);
    std::os::unix::process::CommandExt::uid(&mut command, 65534);
    std::os::unix::process::CommandExt::gid(&mut command, 65534);
    let ran = Ran::of(command.args(["-H", &url, "ping"]).output().unwrap());
    refused(&ran, &[&url, "you may not use this socket: run as root, or join the group that owns it (root)"]);
}

#[test]
fn tls_that_is_asked_for_is_never_left_out() {
    let place = Place::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    for variable in ["DOCKER_TLS_VERIFY", "DOCKER_TLS", "DOCKER_CERT_PATH"] {
        for value in ["1", "0", "/certs"] {
            let mut by_variable = place.longshore(&["ping"]);
            by_variable.env("DOCKER_HOST", &url);
            let mut by_option = place.longshore(&["-H", &url, "ping"]);
            let mut recorded = place.longshore(&["-H", &url, "record", "--listen", "unix://s", "--out", "a.har"]);
            for command in [&mut by_variable, &mut by_option, &mut recorded] {
                let ran = Ran::of(command.env(variable, value).output().unwrap());
                refused(&ran, &[variable, "TLS", &url]);
            }
        }
    }
    assert!(listener.accept().is_err(), "nothing was said in the clear");
    // A socket of this machine needs none.
    let mut command = place.longshore(&["-H", "unix:///no/such.sock", "ping"]);
    refused(&Ran::of(command.env("DOCKER_TLS_VERIFY", "1").output().unwrap()), &["no such socket"]);
}

#[test]
fn signatures_that_are_asked_for_are_never_left_out() {
    let place = Place::new();
    let file = place.job(&[("t", "true")], "", "");
    for args in [&["run", file.as_str()][..], &["pull", "x:1"]] {
        let mut command = place.longshore(args);
        command.env("DOCKER_HOST", "unix:///no/such.sock").env("DOCKER_CONTENT_TRUST", "1");
        refused(&Ran::of(command.output().unwrap()), &["DOCKER_CONTENT_TRUST", "signatures"]);
    }
}

#[test]
fn variables_that_are_not_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let odd = std::ffi::OsStr::from_bytes(b"unix:///\xff");
    for name in ["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_API_VERSION"] {
        let mut command = place.longshore(&["ping"]);
        if name != "DOCKER_CONTEXT" {
            command.env("DOCKER_HOST", "unix:///no/such.sock");
        }
        refused(&Ran::of(command.env(name, odd).output().unwrap()), &[name, "not UTF-8"]);
    }
    let ran = Ran::of(place.longshore(&["ping"]).env("RUST_LOG", odd).output().unwrap());
    assert!(ran.code == 2 && ran.err.contains("RUST_LOG is not UTF-8"), "{ran:?}");
}

#[test]
fn a_docker_configuration_that_is_no_good() {
    let place = Place::new();
    let config = place.file("config.json", "");
    let ping = |variables: &[(&str, &str)]| {
        let mut command = place.longshore(&["ping"]);
        command.env_remove("DOCKER_HOST").env("DOCKER_CONFIG", &place.dir).envs(variables.iter().copied());
        Ran::of(command.output().unwrap())
    };
    let usual = ping(&[]);
    assert!(!usual.err.contains("config.json"), "an empty one is none: {}", usual.err);
    std::fs::write(&config, "{\"currentContext\"").unwrap();
    let warned = ping(&[]);
    assert_eq!((warned.code, &warned.out.lines().count()), (usual.code, &usual.out.lines().count()), "{warned:?}");
    assert!(warned.err.lines().next().is_some_and(|line| line.contains(&config)), "{}", warned.err);
    std::fs::remove_file(&config).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &config, rustix::fs::Mode::RWXU).unwrap();
    refused(&ping(&[]), &[&config, "not a regular file"]);
    refused(&ping(&[("DOCKER_HOST", "unix:///no/such.sock")]), &["no such socket"]);
}

#[test]
fn a_job_file_is_a_regular_file_or_comes_by_a_pipe_of_its_own() {
    let place = Place::new();
    let fifo = place.dir.join("job.hcl").display().to_string();
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    for args in [&["run", fifo.as_str()][..], &["plan", &fifo], &["run", "/dev/zero"]] {
        refused(&Ran::of(place.longshore(args).output().unwrap()), &[args[1], "not a regular file", "`-`"]);
    }
}

#[test]
fn variables_that_say_nothing_of_use() {
    let place = Place::new();
    for (name, value, word) in [
        ("DOCKER_HOST", "gopher://x", "gopher"),
        ("DOCKER_HOST", "http://", "no host"),
        ("DOCKER_HOST", "tcp://host:port", "port"),
        ("DOCKER_API_VERSION", "new", "new"),
    ] {
        let mut command = place.longshore(&["ping"]);
        let ran = Ran::of(command.env("DOCKER_HOST", "unix:///no/such.sock").env(name, value).output().unwrap());
        refused(&ran, &[name, word]);
    }
    let mut command = place.longshore(&["ping"]);
    refused(
        &Ran::of(command.env("DOCKER_HOST", "ssh://me@host").output().unwrap()),
        &["ssh://me@host", "not supported"],
    );
}

#[test]
#[ignore = "needs an Engine"]
fn a_ping_says_what_the_engine_is() {
    let place = Place::new();
    let ran = Ran::of(place.longshore(&["ping"]).output().unwrap());
    assert!(ran.code == 0 && ran.out.contains("round trip") && ran.err.is_empty(), "{ran:?}");
    let ran = Ran::of(place.longshore(&["ping", "--json"]).output().unwrap());
    let told: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    for key in ["endpoint", "name", "version", "api_version", "min_api_version", "negotiated", "round_trip_ns"] {
        assert!(!told[key].is_null(), "{key}: {told}");
    }
}
