//! That the registry and the proxy of the tests of image pulls are what they say. Pulls are asked for by hand.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use longshore::engine::Engine;
use serde_json::json;

use crate::cases::bench::{Bench, PATIENCE};
use crate::support::image::ImageSpec;
use crate::support::proxy::Proxy;
use crate::support::registry::{Options, PASSWORD, Registry, Sweep, USER};
use crate::support::{ask, eventually};

/// What is read while nothing is to come.
const SHORTLY: Duration = Duration::from_millis(300);

/// The socket of the Engine that answers.
fn socket(engine: &Engine) -> PathBuf {
    let endpoint = engine.endpoint().to_string();
    Path::new(endpoint.strip_prefix("unix://").expect("an Engine on this machine")).to_path_buf()
}

/// Has the Engine pull, and gives all that it said.
fn pull(socket: &Path, reference: &str, credentials: Option<&str>) -> String {
    let (image, tag) = match reference.rsplit_once('@') {
        Some((image, digest)) => (image, digest),
        None => reference.rsplit_once(':').expect("a reference with a tag"),
    };
    let header = credentials.map(|json| ("X-Registry-Auth", URL_SAFE.encode(json)));
    let headers: Vec<_> = header.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let path = format!("/images/create?fromImage={image}&tag={tag}");
    ask(socket, "POST", &path, &headers, b"").unwrap_or_else(|e| panic!("pull {reference}: {e}"))
}

fn credentials(password: &str) -> String {
    json!({"username": USER, "password": password}).to_string()
}

fn is_pulled(answer: &str) -> bool {
    answer.contains(" 200 OK") && answer.contains("Downloaded newer image")
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn an_image_is_pulled_once_and_runs() {
    let bench = Bench::new();
    let registry = Registry::start(Options::default());
    let image = registry.put_image("folder/app", "1", ImageSpec { marker: "one", layers: &[100_000] });
    let _sweep = Sweep::new(&bench.engine, registry.host());
    let reference = format!("{}/folder/app:1", registry.host());
    assert_eq!(registry.requests(), [], "it is filled without a request");

    let answer = pull(&socket(&bench.engine), &reference, None);
    assert!(is_pulled(&answer), "{answer}");
    let pulled = bench.engine.image_inspect(&reference).unwrap();
    assert!([&image.config_digest, &image.manifest_digest].contains(&&pulled.id), "{image:?}, {pulled:?}");
    assert_eq!(pulled.repo_digests, [format!("{}/folder/app@{}", registry.host(), image.manifest_digest)]);
    assert_eq!(registry.manifests_served("folder/app", "1"), 1, "{:?}", registry.requests());
    assert_eq!(registry.blobs_served("folder/app"), 3, "two layers and a config: {:?}", registry.requests());

    let task = json!({"image": reference, "command": "sh", "args": ["-c", "cat /marker; wc -c </random0"]});
    let (exit, output) = bench.run(bench.with(task));
    assert_eq!((exit.exit_code, output.out().as_str()), (0, "one100000\n"), "{exit:?}, {}", output.err());
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn tags_move_and_go() {
    let engine = Engine::from_env().unwrap();
    let registry = Registry::start(Options::default());
    let _sweep = Sweep::new(&engine, registry.host());
    let (socket, reference) = (socket(&engine), format!("{}/app:1", registry.host()));
    let one = registry.put_image("app", "1", ImageSpec { marker: "same", layers: &[] });
    assert!(is_pulled(&pull(&socket, &reference, None)));
    let before = engine.image_inspect(&reference).unwrap().id;

    let two = registry.put_image("app", "2", ImageSpec { marker: "same", layers: &[] });
    assert_ne!(one, two);
    registry.move_tag("app", "1", &two);
    assert!(is_pulled(&pull(&socket, &reference, None)));
    assert_ne!(engine.image_inspect(&reference).unwrap().id, before);
    let answer = pull(&socket, &format!("{}/app@{}", registry.host(), one.manifest_digest), None);
    assert!(answer.contains(&format!("Digest: {}", one.manifest_digest)), "{answer}");

    registry.delete_tag("app", "1");
    let answer = pull(&socket, &reference, None);
    assert!(answer.contains("manifest unknown") || answer.contains("not found"), "{answer}");
    let lost = registry.put_image("app", "3", ImageSpec { marker: "lost", layers: &[1000] });
    registry.delete_blob(&lost.layers[1]);
    let answer = pull(&socket, &format!("{}/app:3", registry.host()), None);
    assert!(answer.contains("error") && !is_pulled(&answer), "{answer}");
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn a_password_is_asked_for() {
    let plain = STANDARD.encode(credentials(PASSWORD));
    assert!(plain.contains('+') && plain.contains('/'), "{plain}");

    let engine = Engine::from_env().unwrap();
    let registry = Registry::start(Options { password: true, ..Options::default() });
    registry.put_image("app", "1", ImageSpec::default());
    let _sweep = Sweep::new(&engine, registry.host());
    let (socket, reference) = (socket(&engine), format!("{}/app:1", registry.host()));
    for wrong in [None, Some(credentials("wrong"))] {
        let answer = pull(&socket, &reference, wrong.as_deref());
        assert!(!is_pulled(&answer), "{wrong:?}: {answer}");
    }
    assert_eq!(registry.manifests_served("app", "1"), 0, "{:?}", registry.requests());
    assert!(registry.requests().iter().any(|request| request.status == 401), "{:?}", registry.requests());
    let answer = pull(&socket, &reference, Some(&credentials(PASSWORD)));
    assert!(is_pulled(&answer), "{answer}");
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn a_layer_is_cut_and_fetched_again() {
    let engine = Engine::from_env().unwrap();
    let registry = Registry::start(Options::default());
    registry.put_image("app", "1", ImageSpec { marker: "", layers: &[5_000_000] });
    let proxy = Proxy::start(registry.host());
    let _sweep = Sweep::new(&engine, proxy.host());
    proxy.cut_after(3_000_000);
    // It goes on where it was cut (206); Docker's classic store waits five seconds first.
    let answer = pull(&socket(&engine), &format!("{}/app:1", proxy.host()), None);
    assert!(is_pulled(&answer), "{answer}");
    assert_eq!(proxy.cuts(), 1);
    let resumed = registry.requests().iter().filter(|request| request.status == 206).count();
    assert_eq!(resumed, 1, "{:?}", registry.requests());
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn a_pull_is_slow_and_stands_still() {
    let engine = Engine::from_env().unwrap();
    let registry = Registry::start(Options::default());
    registry.put_image("app", "1", ImageSpec { marker: "", layers: &[2_000_000] });
    let proxy = Proxy::start(registry.host());
    let _sweep = Sweep::new(&engine, proxy.host());
    let (socket, reference) = (socket(&engine), format!("{}/app:1", proxy.host()));
    std::thread::scope(|scope| {
        proxy.pause();
        let pull = scope.spawn(|| pull(&socket, &reference, None));
        eventually(PATIENCE, "it connects", || proxy.accepted() > 0);
        std::thread::sleep(SHORTLY);
        assert!(!pull.is_finished());
        assert_eq!(registry.requests(), []);

        proxy.resume();
        proxy.trickle(1_000_000);
        let begun = Instant::now();
        let answer = pull.join().unwrap();
        assert!(is_pulled(&answer), "{answer}");
        assert!(begun.elapsed() > Duration::from_secs(1), "{:?}", begun.elapsed());
    });
}

#[test]
#[ignore = "needs docker-registry"]
fn a_proxy_refuses_cuts_and_comes_back() {
    let registry = Registry::start(Options::default());
    let proxy = Proxy::start(registry.host());
    let read = |mut stream: &TcpStream| {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    };
    let ask = || {
        let mut stream = TcpStream::connect(proxy.host())?;
        stream.write_all(b"GET /v2/ HTTP/1.0\r\n\r\n")?;
        read(&stream)
    };
    for round in 0..20 {
        assert!(ask().unwrap().ends_with("{}"), "round {round}");
        let idle = TcpStream::connect(proxy.host()).unwrap();
        idle.set_read_timeout(Some(PATIENCE)).unwrap();
        eventually(PATIENCE, "it is accepted", || proxy.accepted() == 3 * round + 2);
        proxy.refuse();
        assert_eq!(ask().unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused, "round {round}");
        // An end or a reset.
        assert_eq!(read(&idle).unwrap_or_default(), "", "round {round}");
        proxy.resume();
        assert!(ask().unwrap().ends_with("{}"), "round {round}");
    }
}

/// In a dockerd of the test's own, whose network is its own as well.
mod faults {
    use super::*;
    use crate::support::dockerd::Dockerd;
    use crate::support::registry::{CERTIFICATE, OUTSIDE};

    #[test]
    #[ignore = "needs root, dockerd and docker-registry"]
    fn a_mirror_stands_for_docker_hub() {
        let dockerd = Dockerd::start(&["--registry-mirror", "http://127.0.0.1:5000"]);
        let registry = Registry::start_in(&dockerd, Options { address: Some("127.0.0.1:5000"), ..Options::default() });
        registry.put_image("library/busybox", "1", ImageSpec { marker: "hub", layers: &[] });
        let answer = pull(&dockerd.socket(), "busybox:1", None);
        assert!(is_pulled(&answer), "{answer}");
        assert_eq!(registry.manifests_served("library/busybox", "1"), 1, "{:?}", registry.requests());

        let bench = Bench::on(Engine::connect(dockerd.host().parse().unwrap()));
        let (exit, output) =
            bench.run(bench.with(json!({"image": "busybox:1", "command": "cat", "args": ["/marker"]})));
        assert_eq!((exit.exit_code, output.out().as_str()), (0, "hub"), "{exit:?}, {}", output.err());
    }

    #[test]
    #[ignore = "needs root, dockerd and docker-registry"]
    fn tls_is_trusted_by_those_who_are_told_to() {
        for (env, trusted) in [(&[("SSL_CERT_FILE", CERTIFICATE)][..], true), (&[], false)] {
            let dockerd = Dockerd::start_with(&[], env);
            let options = Options { password: true, tls: true, address: Some(OUTSIDE) };
            let registry = Registry::start_in(&dockerd, options);
            registry.put_image("app", "1", ImageSpec::default());
            let answer = pull(&dockerd.socket(), &format!("{OUTSIDE}/app:1"), Some(&credentials(PASSWORD)));
            assert_eq!(is_pulled(&answer), trusted, "{answer}");
            assert!(trusted || answer.contains("certificate"), "{answer}");
        }
    }

    #[test]
    #[ignore = "needs root, dockerd and docker-registry"]
    fn a_cut_layer_is_the_end_where_there_are_no_retries() {
        let dockerd = Dockerd::start(&["--max-download-attempts", "1"]);
        let registry = Registry::start_in(&dockerd, Options::default());
        registry.put_image("app", "1", ImageSpec { marker: "", layers: &[5_000_000] });
        let proxy = Proxy::start_in(&dockerd, registry.host());
        // 20.10 counts retries, not attempts: it makes two.
        proxy.cut_after(1_500_000);
        let (socket, reference) = (dockerd.socket(), format!("{}/app:1", proxy.host()));
        let answer = pull(&socket, &reference, None);
        assert!(answer.contains("unexpected EOF"), "{answer}");
        assert!(proxy.cuts() > 0);
        proxy.resume();
        assert!(is_pulled(&pull(&socket, &reference, None)));
    }
}
