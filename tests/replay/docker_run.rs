//! `docker run --rm IMAGE sh -c 'echo hi; exit 3'` on its recordings, one for each version of the program that was recorded:
//! what a version asks for is not what another asks for.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use longshore::engine::types::ContainerCreated;
use longshore::engine::{Engine, StartQuery, WaitCondition};
use longshore::replay::{Cassette, PlayOptions, Player};
use longshore::{Endpoint, Hangup};

use crate::recorded::folder;
use crate::support::{IMAGE, unique};

/// The recordings, and the version of the program that made each.
fn recordings() -> Vec<(String, Cassette)> {
    let files = std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path());
    let versions = files.filter_map(|path| {
        let name = path.file_stem()?.to_str()?;
        Some((name.strip_prefix("docker-run-")?.to_owned(), Cassette::read(&path).unwrap()))
    });
    versions.collect()
}

/// The docker programs of this machine, by version.
fn programs() -> Vec<(String, PathBuf)> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let programs = std::env::split_paths(&folders).map(|folder| folder.join("docker"));
    let versions = programs.filter_map(|program| {
        let said = Command::new(&program).arg("--version").output().ok()?;
        let said = String::from_utf8(said.stdout).ok()?;
        let mut numbers = said.strip_prefix("Docker version ")?.split('.');
        Some((format!("{}.{}", numbers.next()?, numbers.next()?), program))
    });
    versions.collect()
}

/// A player at a socket, gone when dropped.
struct Socket(PathBuf, Player);

impl Socket {
    fn new(cassette: &Cassette) -> Self {
        let (path, player) =
            (std::env::temp_dir().join(unique("docker-run")), Player::of(cassette, PlayOptions::default()).unwrap());
        player.listen(&Endpoint::Unix(path.clone())).unwrap();
        Self(path, player)
    }
}

#[test]
fn the_program_gets_hi_and_3_ten_times() {
    let programs = programs();
    for (version, cassette) in recordings() {
        // Another version would ask for what was not recorded, and this machine may have none.
        let Some((_, program)) = programs.iter().find(|(its, _)| *its == version) else {
            eprintln!("there is no docker {version} here: its recording is played to our own client alone");
            continue;
        };
        for round in 0..10 {
            let Socket(path, player) = &Socket::new(&cassette);
            let mut command = Command::new(program);
            command.args(["run", "--rm", IMAGE, "sh", "-c", "echo hi; exit 3"]);
            command.env("DOCKER_HOST", format!("unix://{}", path.display()));
            // Whatever its user has configured.
            command.env("DOCKER_CONFIG", path.with_extension("config"));
            for name in ["DOCKER_CONTEXT", "DOCKER_API_VERSION", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"]
            {
                command.env_remove(name);
            }
            let output = command.output().unwrap();
            let said = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert_eq!((said.0.as_ref(), output.status.code()), ("hi\n", Some(3)), "{version}, {round}: {}", said.1);
            player.check().unwrap();
        }
    }
}

/// The same conversation without the program. Our client has no attach, and another create: those are said by hand.
#[test]
fn our_own_client_gets_hi_and_3() {
    let recordings = recordings();
    assert!(!recordings.is_empty());
    for (version, cassette) in recordings {
        let Socket(path, player) = &Socket::new(&cassette);
        let engine = Engine::connect(Endpoint::Unix(path.clone()));
        assert_eq!(engine.api_version().unwrap().to_string(), "1.41");
        let create = cassette.entries().find(|entry| entry.target().ends_with("/containers/create")).unwrap();
        let attach = cassette.entries().find(|entry| entry.target().contains("/attach?")).unwrap();

        let body = create.request_body().unwrap();
        let head = format!("Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close", body.len());
        let created = said(path, create.target(), &head, &body);
        let id = serde_json::from_slice::<ContainerCreated>(after_head(&created)).unwrap().id;
        let attached = {
            let (path, target) = (path.clone(), attach.target().to_owned());
            std::thread::spawn(move || said(&path, &target, "Connection: Upgrade\r\nUpgrade: tcp", b""))
        };
        let waiting = {
            let (engine, id) = (engine.clone(), id.clone());
            std::thread::spawn(move || engine.container_wait(&id, WaitCondition::Removed, &Hangup::new()))
        };
        engine.container_start(&id, &StartQuery::default()).unwrap();
        assert_eq!(waiting.join().unwrap().unwrap().status_code, 3, "{version}");
        assert_eq!(after_head(&attached.join().unwrap()), b"\x01\0\0\0\0\0\0\x03hi\n", "{version}");
        player.check().unwrap();
    }
}

/// Asks, and reads to the end.
fn said(path: &PathBuf, target: &str, head: &str, body: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(format!("POST {target} HTTP/1.1\r\nHost: docker\r\n{head}\r\n\r\n").as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

fn after_head(answer: &[u8]) -> &[u8] {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    &answer[end + 4..]
}
