//! Sessions in their modes. The real Engine is a player here: it says what it is told to, and can be taken away.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::Command;

use longshore::Endpoint;
use longshore::engine::types::ContainerCreate;
use longshore::engine::{Engine, InspectQuery};
use longshore::replay::{Cassette, Error, Mode, PlayOptions, Player, Recording, Session};
use serde_json::{Value, json};

use crate::support::unique;
use crate::tapes::{asking, cassette, entry};

/// A folder with an Engine's socket and a recording's file, gone when dropped.
struct Place {
    dir: PathBuf,
    /// The Engine, while there is one.
    engine: Option<Player>,
}

impl Place {
    fn new(entries: &[Value]) -> Self {
        let dir = std::env::temp_dir().join(unique("longshore-session"));
        fs::create_dir(&dir).unwrap();
        let mut place = Self { dir, engine: None };
        place.engine_of(entries);
        place
    }

    /// Puts another Engine in the old one's place.
    fn engine_of(&mut self, entries: &[Value]) {
        self.engine = None;
        let engine = Player::of(&cassette(entries), PlayOptions::default()).unwrap();
        engine.listen(&self.endpoint()).unwrap();
        self.engine = Some(engine);
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Unix(self.dir.join("engine.sock"))
    }

    fn file(&self) -> PathBuf {
        self.dir.join("tape.har")
    }

    fn session(&self, mode: Mode) -> Result<Session, Error> {
        Session::open_on(self.file(), mode, self.endpoint())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn inspect(id: &str) -> Value {
    entry("GET", &format!("/v1.41/containers/{id}/json"), 200, &json!({ "Id": id }))
}

fn ask(engine: &Engine, id: &str) -> Result<String, longshore::engine::Error> {
    engine.container_inspect(id, &InspectQuery::default()).map(|inspect| inspect.id)
}

#[test]
fn once_records_and_then_plays() {
    let mut place = Place::new(&[inspect("a")]);
    let session = place.session(Mode::Once).unwrap();
    assert!(session.is_recording());
    assert_eq!(ask(&session.engine(), "a").unwrap(), "a");
    session.finish().unwrap();
    let recorded = fs::read(place.file()).unwrap();

    place.engine = None;
    for round in 0..10 {
        let session = place.session(Mode::Once).unwrap();
        assert!(!session.is_recording());
        assert_eq!(ask(&session.engine(), "a").unwrap(), "a", "round {round}");
        assert_eq!(session.unused(), Vec::<String>::new(), "round {round}");
        session.finish().unwrap();
    }
    assert_eq!(fs::read(place.file()).unwrap(), recorded, "it is not touched");
    assert_eq!(fs::read_dir(&place.dir).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_recording_is_a_regular_file_with_a_bound() {
    let place = Place::new(&[inspect("a")]);
    rustix::fs::mkfifoat(rustix::fs::CWD, place.file(), rustix::fs::Mode::RWXU).unwrap();
    let is_named = |error: &Error| error.to_string().contains(&place.file().display().to_string());
    let fifo = Cassette::read(place.file()).unwrap_err();
    assert!(matches!(fifo, Error::Io { .. }) && is_named(&fifo), "{fifo}");
    assert!(Player::open(place.file()).is_err() && place.session(Mode::Once).is_err());
    fs::remove_file(place.file()).unwrap();
    // It takes no room.
    fs::File::create(place.file()).unwrap().set_len((16 << 30) + 1).unwrap();
    let long = Cassette::read(place.file()).unwrap_err();
    assert!(matches!(long, Error::Io { .. }) && is_named(&long), "{long}");
    fs::remove_file(place.file()).unwrap();
    assert!(matches!(Cassette::read("/dev/zero"), Err(Error::Io { .. })));
}

#[test]
fn none_never_asks() {
    let place = Place::new(&[inspect("a")]);
    let missing = place.session(Mode::None).unwrap_err();
    assert!(matches!(&missing, Error::Missing { path } if *path == place.file()), "{missing}");
    Session::open_on(place.file(), Mode::All, place.endpoint()).unwrap().finish().unwrap();
    let session = place.session(Mode::None).unwrap();
    assert_eq!(ask(&session.engine(), "a").unwrap_err().status(), Some(501));
    let error = session.finish().unwrap_err();
    assert!(error.to_string().contains("nothing was recorded for GET /containers/a/json"), "{error}");
}

#[test]
fn new_episodes_are_added() {
    let mut place = Place::new(&[inspect("a")]);
    let session = place.session(Mode::NewEpisodes).unwrap();
    ask(&session.engine(), "a").unwrap();
    session.finish().unwrap();

    let created = entry("POST", "/v1.41/containers/create?name=n", 201, &json!({"Id": "n"}));
    let created = asking(created, &serde_json::to_value(ContainerCreate::default()).unwrap());
    place.engine_of(&[inspect("b"), created]);
    let session = place.session(Mode::NewEpisodes).unwrap();
    let engine = session.engine();
    assert_eq!(ask(&engine, "a").unwrap(), "a", "recorded: this Engine does not know it");
    assert_eq!(ask(&engine, "b").unwrap(), "b", "asked");
    assert_eq!(engine.container_create(Some("n"), &ContainerCreate::default()).unwrap().id, "n");
    assert_eq!(session.misses(), Vec::<String>::new());
    drop(engine);
    session.finish().unwrap();

    place.engine = None;
    let session = place.session(Mode::None).unwrap();
    let engine = session.engine();
    assert_eq!((ask(&engine, "b").unwrap(), ask(&engine, "a").unwrap()), ("b".into(), "a".into()));
    assert_eq!(engine.container_create(Some("n"), &ContainerCreate::default()).unwrap().id, "n");
    session.finish().unwrap();
}

#[test]
fn all_records_anew_unless_the_test_fails() {
    let mut place = Place::new(&[inspect("a")]);
    let session = place.session(Mode::All).unwrap();
    ask(&session.engine(), "a").unwrap();
    session.finish().unwrap();
    let old = fs::read(place.file()).unwrap();

    place.engine_of(&[inspect("b")]);
    let failed = catch_unwind(AssertUnwindSafe(|| {
        let session = place.session(Mode::All).unwrap();
        ask(&session.engine(), "b").unwrap();
        std::panic::resume_unwind(Box::new("the test fails"));
    }));
    assert!(failed.is_err());
    assert_eq!(fs::read(place.file()).unwrap(), old, "a failed test leaves what was there");
    let session = place.session(Mode::All).unwrap();
    session.engine().ping().unwrap();
    ask(&session.engine(), "b").unwrap();
    drop(session);
    let targets: Vec<_> = Cassette::read(place.file()).unwrap().entries().map(|e| e.target().to_owned()).collect();
    assert_eq!(targets.iter().filter(|t| t.contains("/containers/")).count(), 1, "{targets:?}");
    assert!(targets.iter().any(|t| t.contains("/containers/b/")), "{targets:?}");
}

#[test]
fn a_dropped_session_with_a_miss_fails_its_test() {
    let place = Place::new(&[]);
    place.session(Mode::All).unwrap().finish().unwrap();
    let failed = catch_unwind(AssertUnwindSafe(|| {
        let session = place.session(Mode::None).unwrap();
        let _ = ask(&session.engine(), "a");
    }));
    let words = failed.unwrap_err();
    let words = words.downcast_ref::<String>().unwrap();
    assert!(words.contains("nothing was recorded for GET /containers/a/json"), "{words}");
}

#[test]
fn an_engine_in_process_is_recorded_too() {
    let place = Place::new(&[inspect("a")]);
    let (engine, recording) = Engine::recording(place.endpoint(), place.file()).unwrap();
    assert_eq!(ask(&engine, "a").unwrap(), "a");
    let recorded = recording.finish().unwrap();
    assert!(recorded.requests >= 2 && recorded.not_understood == 0, "{recorded:?}");
    assert_eq!(ask(&Engine::replay(place.file()).unwrap(), "a").unwrap(), "a");
    // Where nobody is, that is what a client is told.
    let nobody = Endpoint::Unix(place.dir.join("nobody.sock"));
    let recording = Recording::of(nobody.clone(), place.dir.join("other.har"), &[]).unwrap();
    let error = recording.engine().ping().unwrap_err();
    assert!(error.to_string().contains(&nobody.to_string()), "{error}");
    recording.discard();
    assert!(!place.dir.join("other.har").exists());
    assert!(Recording::of(nobody, place.file().join("x.har"), &[]).is_err(), "told at once");
}

/// Run by the test below, in a process whose environment it sets.
#[test]
#[ignore = "run by its sibling"]
fn in_a_process_of_its_own() {
    let (file, socket) = (std::env::var("TAPE").unwrap(), std::env::var("ENGINE").unwrap());
    match Session::open_on(&file, Mode::None, Endpoint::Unix(socket.into())) {
        Ok(session) => println!("records: {}", session.is_recording()),
        Err(error) => println!("error: {error}"),
    }
}

#[test]
fn the_environment_has_the_last_word() {
    let place = Place::new(&[]);
    for (mode, there, want) in [
        ("", false, "error: there is no recording"),
        ("none", false, "error: there is no recording"),
        ("once", false, "records: true"),
        ("new_episodes", false, "records: true"),
        ("all", true, "records: true"),
        ("ONCE", true, "records: false"),
        ("new_episodes", true, "records: false"),
        ("sometimes", true, "error: `sometimes` is no record mode: none, once, new_episodes or all"),
        // Stands for a byte that is not UTF-8.
        ("\u{fffd}", true, "error: `\u{fffd}` is no record mode"),
    ] {
        let bytes = if mode == "\u{fffd}" { &b"\xff"[..] } else { mode.as_bytes() };
        let _ = fs::remove_file(place.file());
        if there {
            Recording::of(place.endpoint(), place.file(), &[]).unwrap().finish().unwrap();
        }
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sessions::in_a_process_of_its_own", "--ignored", "--nocapture"])
            .env("LONGSHORE_RECORD", OsStr::from_bytes(bytes))
            .env("TAPE", place.file())
            .env("ENGINE", place.dir.join("engine.sock"))
            .output()
            .unwrap();
        let out = String::from_utf8(child.stdout).unwrap();
        assert!(out.contains(want), "{mode:?}, there: {there}: {out}");
    }
}

#[test]
fn the_docs_tell_what_is_masked() {
    let docs = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/recordings.md")).unwrap();
    for line in longshore::replay::MASKED {
        assert!(docs.contains(&format!("* {line}\n")), "docs/recordings.md has no line: {line}");
    }
}
