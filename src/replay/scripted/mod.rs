//! An Engine of scripted answers, for tests of misbehaviour: of an Engine's, and of what becomes of its client.
//!
//! [`Scripted`] listens within the process, on a Unix socket or on a port, does with each request what the newest rule
//! that wants it says, and remembers what it was asked. It knows nothing of Docker, except how to answer a ping: rules
//! say the rest. An [`Answer`] is a row of steps:
//!
//! | wanted | answer |
//! |---|---|
//! | a status with JSON, with an Engine's error | [`Answer::json`], [`Answer::error`] |
//! | output that is still coming | [`Answer::chunked`]`(200)`[`.frame`](Answer::frame)`(…)`[`.hold`](Answer::hold)`()` |
//! | slow bytes | [`.in_pieces`](Answer::in_pieces)`(1, pause)`, [`.pause`](Answer::pause)`(…)` |
//! | an answer that is cut; half a head | [`.cut`](Answer::cut)`(bytes)`; [`Answer::raw`]`("HTTP/1.1 2")`[`.close`](Answer::close)`()` |
//! | never an answer; a close without one | [`Answer::nothing`]`()`[`.hold`](Answer::hold)`()`; `.close()` |
//! | an answer when something has happened | [`.until`](Answer::until)`(condition)`[`.then`](Answer::then)`(…)` |
//! | both ways, raw | [`Answer::upgrade`]`()` and [`.read`](Answer::read)`(…)`, [`.echo`](Answer::echo)`()` |
//!
//! ```
//! use longshore::engine::InspectQuery;
//! use longshore::replay::scripted::{Answer, Scripted};
//! use serde_json::json;
//!
//! const INSPECT: &str = "GET /containers/*/json";
//! let scripted = Scripted::new();
//! scripted.on(INSPECT, |request| {
//!     let id = request.path.split('/').nth(2)?;
//!     Some(Answer::json(200, &json!({ "Id": id })))
//! });
//! // Laid over it: the first answer breaks off within its head.
//! scripted.answers(INSPECT, [Answer::raw("HTTP/1.1 200 O").close()]);
//!
//! let inspect = scripted.engine().container_inspect("web", &InspectQuery::default())?;
//! assert_eq!(inspect.id, "web");
//! assert_eq!(scripted.count(INSPECT), 2, "what only reads is asked once more");
//! # Ok::<(), longshore::engine::Error>(())
//! ```

mod answer;
mod connection;
mod request;
mod state;

use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use self::request::Pattern;
use self::state::Shared;
use crate::engine::{Engine, EngineConfig};
use crate::http::{Connect, Endpoint};
use crate::replay::http::server::{Crew, Inside, Place, Server, lock};

pub use answer::{Answer, chunk, frame};
pub use request::Request;
pub use state::{Poker, State};

/// How long [`Scripted::wait_for`] waits at most: 10 s.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The longest body of a request that is taken, in bytes.
const LONGEST_BODY: usize = 64 * 1024 * 1024;

/// A scripted Engine. When it is dropped, its connections are cut, its waits and pauses end at once, its threads are
/// joined, and its rules and its socket are gone.
///
/// A request is whole before a rule sees it: its body is taken out of its chunks, and asked for where the client
/// `Expect`s that (`100-continue`); one that its client breaks off is forgotten. A request that no rule wants is answered
/// 501. That, and what is no HTTP (400) or has a body of more than 64 MiB (413), is remembered as
/// [unwanted](Scripted::unwanted).
///
/// The functions it is given run in its threads: what they block in, blocks its end.
///
/// # Panics
/// When it is dropped, if there were unwanted requests and it is not [forgiving](Scripted::forgiving), or if a rule or a
/// step of an answer panicked (the request is answered 500, or its connection closed): so that the test fails which did
/// not expect it. Not in a thread that panics already.
pub struct Scripted {
    shared: Arc<Shared>,
    crew: Arc<Crew>,
    way: Way,
    endpoint: Endpoint,
    forgiving: bool,
    /// Where its socket is.
    _place: Option<Place>,
}

/// How it is reached.
enum Way {
    Inside(Arc<Door>),
    /// `None`: it is away.
    Socket(Mutex<Option<Server>>),
}

impl Scripted {
    /// An Engine within the process, without a socket that others could reach: only [`engine`](Self::engine) and
    /// [`engine_with`](Self::engine_with) lead to it.
    pub fn new() -> Self {
        let (shared, crew) = crew();
        let door = Door { inside: Inside(crew.clone()), open: Mutex::new(true) };
        Self::with(shared, crew, Way::Inside(Arc::new(door)), Endpoint::Replay("scripted".into()), None)
    }

    /// An Engine on a Unix socket, in a folder of its own that only its user may enter.
    ///
    /// # Errors
    /// The folder or the socket cannot be made, or a thread for it.
    pub fn unix() -> io::Result<Self> {
        let place = Place::new("longshore-scripted")?;
        let endpoint = Endpoint::Unix(place.path().join("engine.sock"));
        Self::listening(&endpoint, Some(place))
    }

    /// An Engine on a free port of 127.0.0.1. Anybody on this machine can talk to it.
    ///
    /// # Errors
    /// No port can be had, or no thread for it.
    pub fn tcp() -> io::Result<Self> {
        Self::listening(&Endpoint::Tcp { host: "127.0.0.1".into(), port: 0 }, None)
    }

    fn listening(endpoint: &Endpoint, place: Option<Place>) -> io::Result<Self> {
        let (shared, crew) = crew();
        let server = Server::listen(endpoint, &crew)?;
        let endpoint = server.endpoint().clone();
        Ok(Self::with(shared, crew, Way::Socket(Mutex::new(Some(server))), endpoint, place))
    }

    fn with(shared: Arc<Shared>, crew: Arc<Crew>, way: Way, endpoint: Endpoint, place: Option<Place>) -> Self {
        let scripted = Self { shared, crew, way, endpoint, forgiving: false, _place: place };
        for pattern in ["GET /_ping", "HEAD /_ping"] {
            scripted.always(pattern, || Answer::ping("1.41"));
        }
        scripted
    }

    /// The same, which minds no unwanted request when it is dropped. They can still be [asked for](Self::unwanted).
    #[must_use]
    pub fn forgiving(mut self) -> Self {
        self.forgiving = true;
        self
    }

    /// Where it is, for other clients. One within the process is `replay:scripted`, where nobody else finds it.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A client of it, as [`Engine::connect`] makes one.
    pub fn engine(&self) -> Engine {
        self.engine_with(EngineConfig::default())
    }

    /// A client of it, as [`Engine::with_config`] makes one.
    pub fn engine_with(&self, config: EngineConfig) -> Engine {
        let through = match &self.way {
            Way::Inside(door) => Some(door.clone() as Arc<dyn Connect>),
            Way::Socket(_) => None,
        };
        Engine::through(self.endpoint.clone(), config, through, None)
    }
}

/// Rules.
impl Scripted {
    /// A rule: what is done with requests that a pattern means, or `None` to leave one to an older rule. The newest rule
    /// is asked first, and each by one request at a time.
    ///
    /// A pattern is `METHOD /path`, such as `GET /containers/*/json`: without a version, which may precede the path of a
    /// request, and without a query. A `*` stands for any method, or for one part of the path. Parts are compared as they
    /// are sent, encoded. A ping, by GET or HEAD, has a rule to begin with: it says `1.41`.
    ///
    /// # Panics
    /// With the pattern, where it is malformed.
    #[track_caller]
    pub fn on(&self, pattern: impl Into<String>, handler: impl FnMut(&Request) -> Option<Answer> + Send + 'static) {
        self.shared.on(Pattern::new(&pattern.into()), Box::new(handler));
    }

    /// A rule for each such request from now on.
    ///
    /// # Panics
    /// With the pattern, where it is malformed: see [`Scripted::on`].
    #[track_caller]
    pub fn always(&self, pattern: impl Into<String>, mut answer: impl FnMut() -> Answer + Send + 'static) {
        self.on(pattern, move |_| Some(answer()));
    }

    /// A rule for as many such requests as there are answers; then the older rules hold again.
    ///
    /// # Panics
    /// With the pattern, where it is malformed: see [`Scripted::on`].
    #[track_caller]
    pub fn answers(&self, pattern: impl Into<String>, answers: impl IntoIterator<Item = Answer>) {
        let mut answers = answers.into_iter().collect::<Vec<_>>().into_iter();
        self.on(pattern, move |_| answers.next());
    }
}

/// What has happened.
impl Scripted {
    /// What has happened so far.
    pub fn state(&self) -> State {
        self.shared.state()
    }

    /// The requests so far that a pattern means.
    ///
    /// # Panics
    /// With the pattern, where it is malformed: see [`Scripted::on`].
    #[track_caller]
    pub fn requests(&self, pattern: &str) -> Vec<Request> {
        let (pattern, state) = (Pattern::new(pattern), self.state());
        state.requests().filter(|request| pattern.means(request)).cloned().collect()
    }

    /// How often a thing was asked.
    ///
    /// # Panics
    /// With the pattern, where it is malformed: see [`Scripted::on`].
    #[track_caller]
    pub fn count(&self, pattern: &str) -> usize {
        self.state().count(pattern)
    }

    /// What was asked and is answered by no rule, a line each.
    pub fn unwanted(&self) -> Vec<String> {
        self.state().unwanted().to_vec()
    }

    /// Blocks until what has happened is so, for [`PATIENCE`] at most.
    ///
    /// # Panics
    /// Where it is not so in time: with `what`, and what was asked so far.
    #[track_caller]
    pub fn wait_for(&self, what: &str, condition: impl FnMut(&State) -> bool) {
        if !self.wait_within(PATIENCE, condition) {
            let asked: Vec<_> = self.state().requests().map(ToString::to_string).collect();
            panic!("not within {PATIENCE:?}: {what}; asked so far: {asked:?}");
        }
    }

    /// Blocks until what has happened is so; false: it is not within `patience`. The condition is asked at once, and again
    /// whenever something happens at the Engine or somebody [pokes](Self::poker) it.
    pub fn wait_within(&self, patience: Duration, mut condition: impl FnMut(&State) -> bool) -> bool {
        let deadline = Instant::now().checked_add(patience);
        self.shared.wait(None, deadline, || condition(&self.shared.state()))
    }

    /// What makes the Engine ask the conditions of its waits again: see [`Answer::until`].
    pub fn poker(&self) -> Poker {
        Poker::new(&self.shared)
    }
}

/// Going down.
impl Scripted {
    /// Takes no more connections and cuts all there are, as an Engine does that goes down. Returns when they are closed.
    /// Harmless when it is away already.
    pub fn go_away(&self) {
        match &self.way {
            Way::Inside(door) => *lock(&door.open) = false,
            Way::Socket(server) => drop(lock(server).take()),
        }
        self.crew.cut_all();
    }

    /// Takes connections again, where it took them before. Harmless when it is not away.
    ///
    /// # Errors
    /// Somebody else has taken its port or its path meanwhile, or a thread cannot be had.
    pub fn come_back(&self) -> io::Result<()> {
        match &self.way {
            Way::Inside(door) => *lock(&door.open) = true,
            Way::Socket(server) => {
                let mut server = lock(server);
                if server.is_none() {
                    *server = Some(Server::listen(&self.endpoint, &self.crew)?);
                }
            }
        }
        Ok(())
    }
}

impl Default for Scripted {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted")
            .field("endpoint", &self.endpoint)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        match &self.way {
            Way::Inside(door) => *lock(&door.open) = false,
            Way::Socket(server) => drop(lock(server).take()),
        }
        self.crew.stop();
        self.shared.forget();
        let state = self.state();
        if !thread::panicking() {
            assert!(state.panics().is_empty(), "a rule panicked: {:?}", state.panics());
            assert!(self.forgiving || state.unwanted().is_empty(), "no rule for: {:?}", state.unwanted());
        }
    }
}

fn crew() -> (Arc<Shared>, Arc<Crew>) {
    let shared = Arc::<Shared>::default();
    let serving = shared.clone();
    let crew = Crew::new("scripted", move |socket, latch| connection::serve(&serving, &socket, latch));
    (shared, crew)
}

/// The way in within the process, which can be shut.
#[derive(Debug)]
struct Door {
    inside: Inside,
    /// Held while a connection is made, so that none slips in behind a cut.
    open: Mutex<bool>,
}

impl Connect for Door {
    fn connect(&self, timeout: Duration) -> io::Result<UnixStream> {
        let open = lock(&self.open);
        if *open { self.inside.connect(timeout) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{InspectQuery, LogsQuery, Stream};
    use crate::threads::Hangup;
    use serde_json::json;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    const INSPECT: &str = "GET /containers/*/json";

    fn kinds() -> [Scripted; 3] {
        [Scripted::new(), Scripted::unix().unwrap(), Scripted::tcp().unwrap()]
    }

    /// What dropping it says.
    fn last_words(scripted: Scripted) -> Option<String> {
        let panic = catch_unwind(AssertUnwindSafe(|| drop(scripted))).err()?;
        Some(panic.downcast_ref::<String>().cloned().unwrap_or_default())
    }

    #[test]
    fn every_kind_answers() {
        for scripted in kinds() {
            scripted.on(INSPECT, |request| Some(Answer::json(200, &json!({ "Id": request.path.split('/').nth(2)? }))));
            let engine = scripted.engine();
            for id in ["a", "b"] {
                assert_eq!(engine.container_inspect(id, &InspectQuery::default()).unwrap().id, id, "{scripted:?}");
            }
            assert_eq!(scripted.count("GET /containers/b/json"), 1);
            assert_eq!(scripted.requests(INSPECT)[0].version, "1.41");
            assert_eq!(scripted.state().connections(), 1, "it is kept: {scripted:?}");
            let logs = Answer::chunked(200).frame(Stream::Stdout, "one\n").frame(Stream::Stderr, "two\n").end();
            scripted.answers("GET /containers/*/logs", [logs]);
            let mut logs = engine.container_logs("a", &LogsQuery::new(), &Hangup::new()).unwrap();
            assert_eq!(logs.next_piece().unwrap().unwrap().bytes, b"one\n");
            assert_eq!(logs.next_piece().unwrap().unwrap().stream, Stream::Stderr);
            assert!(logs.next_piece().unwrap().is_none());
        }
    }

    #[test]
    fn the_newest_rule_holds_until_it_is_used_up() {
        let scripted = Scripted::new().forgiving();
        let engine = scripted.engine();
        let ask = || engine.container_inspect("a", &InspectQuery::default()).map_err(|e| e.status());
        assert_eq!(ask().unwrap_err(), Some(501));
        assert_eq!(scripted.unwanted(), ["GET /containers/a/json"]);
        scripted.always(INSPECT, || Answer::error(404, "none"));
        scripted.on("GET /containers/b/json", |_| panic!("it is not asked for"));
        scripted.answers(INSPECT, [Answer::error(409, "one"), Answer::error(403, "two")]);
        for want in [409, 403, 404, 404] {
            assert_eq!(ask().unwrap_err(), Some(want));
        }
        scripted.on(INSPECT, |_| None);
        assert_eq!(ask().unwrap_err(), Some(404), "it is left to an older one");
    }

    #[test]
    fn what_nobody_expected_fails_the_test() {
        for (row, forgiving, pattern, want) in [
            ("unwanted", false, "GET /info", Some("no rule for: [\"GET /containers/a/json\"]")),
            ("forgiven", true, "GET /info", None),
            ("a panic", false, INSPECT, Some("a rule panicked: [\"no luck\"]")),
            ("a panic is not forgiven", true, INSPECT, Some("a rule panicked: [\"no luck\"]")),
        ] {
            let mut scripted = Scripted::new();
            if forgiving {
                scripted = scripted.forgiving();
            }
            scripted.on(pattern, |_| panic!("no luck"));
            let error = scripted.engine().container_inspect("a", &InspectQuery::default()).unwrap_err();
            assert_eq!(error.status(), Some(if pattern == INSPECT { 500 } else { 501 }), "{row}");
            assert_eq!(last_words(scripted).as_deref(), want, "{row}");
        }
        let scripted = Scripted::new();
        let engine = scripted.engine();
        let panic = catch_unwind(AssertUnwindSafe(|| {
            let _scripted = scripted;
            let _ = engine.container_inspect("a", &InspectQuery::default());
            panic!("the test's own words");
        }));
        assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"the test's own words"));
    }

    #[test]
    fn its_end_ends_every_wait() {
        for step in [
            || Answer::nothing().pause(Duration::MAX),
            || Answer::nothing().until(|| false),
            || Answer::nothing().hold(),
            || Answer::chunked(200).frame(Stream::Stdout, "one\n").hold(),
            || Answer::nothing().read(1, |_| Answer::nothing()),
            || Answer::nothing().echo(),
            || Answer::raw(vec![b'x'; 100 * 1024 * 1024]),
        ] {
            for scripted in kinds() {
                scripted.always("POST /containers/*/kill", step);
                let engine = scripted.engine();
                let asking = thread::spawn({
                    let engine = engine.clone();
                    move || engine.container_kill("a", &crate::engine::KillQuery::default())
                });
                scripted.wait_for("it is asked", |state| {
                    state.last_answered().is_some_and(|request| request.path.ends_with("kill"))
                });
                let begun = Instant::now();
                drop(scripted);
                assert!(begun.elapsed() < Duration::from_secs(5), "{:?}: {:?}", step(), begun.elapsed());
                asking.join().unwrap().unwrap_err();
                assert!(engine.ping().unwrap_err().is_unreachable(), "nobody is there");
            }
        }
    }

    #[test]
    fn it_goes_away_and_comes_back() {
        for scripted in kinds() {
            let engine = scripted.engine();
            scripted.always("GET /containers/*/logs", || Answer::chunked(200).hold());
            let mut logs = engine.container_logs("a", &LogsQuery::new(), &Hangup::new()).unwrap();
            for _ in 0..3 {
                scripted.go_away();
                scripted.go_away();
                assert_eq!(scripted.state().open(), 0, "{scripted:?}");
                assert!(engine.ping().unwrap_err().is_unreachable(), "{scripted:?}");
                scripted.come_back().unwrap();
                scripted.come_back().unwrap();
                engine.ping().unwrap();
            }
            logs.next_piece().unwrap_err();
        }
    }

    #[test]
    fn a_condition_is_asked_again_when_it_is_poked() {
        let scripted = Scripted::new();
        let open = Arc::new(Mutex::new(false));
        let gate = open.clone();
        scripted.answers("GET /_ping", [Answer::nothing().until(move || *lock(&gate)).and(Answer::ping("1.40"))]);
        let engine = scripted.engine();
        let asking = thread::spawn(move || engine.ping());
        scripted.wait_for("it is asked", |state| state.count("GET /_ping") == 1);
        assert!(!scripted.wait_within(Duration::ZERO, |state| state.count("GET /_ping") == 2));
        *lock(&open) = true;
        let poker = scripted.poker();
        poker.poke();
        asking.join().unwrap().unwrap();
        // A condition may ask the Engine itself.
        assert!(scripted.wait_within(Duration::ZERO, |_| scripted.count("GET /_ping") == 1));
        drop(scripted);
        poker.poke();
    }

    #[test]
    fn a_wait_has_a_deadline() {
        let scripted = Scripted::new();
        let begun = Instant::now();
        assert!(!scripted.wait_within(Duration::from_millis(50), |state| state.connections() > 1));
        assert!(begun.elapsed() >= Duration::from_millis(50));
    }

    #[test]
    fn a_malformed_pattern_is_told() {
        let scripted = Scripted::new();
        let panic = catch_unwind(AssertUnwindSafe(|| scripted.on("GET /v1.41/info", |_| None)));
        let words = panic.unwrap_err().downcast_ref::<String>().cloned().unwrap_or_default();
        assert_eq!(words, "bad pattern `GET /v1.41/info`: versions are no part of it");
    }

    #[test]
    fn rules_are_gone_with_it() {
        let (scripted, held) = (Scripted::new(), Arc::new(()));
        let engine = scripted.engine();
        let holding = held.clone();
        scripted.always("GET /info", move || {
            let _ = &holding;
            Answer::empty(200)
        });
        drop(scripted);
        assert_eq!(Arc::strong_count(&held), 1, "though a client is left");
        drop(engine);
    }
}
