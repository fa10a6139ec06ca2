//! One request and its answer: a [`Client`] makes ordinary calls over kept connections, and long ones each over its own.

use std::io::Read;
use std::panic;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http;

pub(crate) use ureq::http::Method;

use super::duplex::Duplex;
use super::transport::{Buffers, Dial, Failure, Handover, NoResolver, reading_until};
use super::{Connect, Endpoint, Error, Stream, TooLarge};
use crate::limits::is_exhausted;
use crate::threads::Hangup;

/// Largest body of a refusal that is read, in bytes; what lies beyond is left out.
const LARGEST_REFUSAL: u64 = 64 * 1024;
/// How long the body of a refusal is waited for. Engines send it together with the head, and the head says the most.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(3);
/// A little under the shortest age at which an Engine, or a proxy before it, closes an idle connection.
const IDLE_AGE: Duration = Duration::from_secs(10);
/// As many calls as are made at once in a busy driver; more wait for nobody, they connect anew.
const IDLE_CONNECTIONS: usize = 8;
/// Largest response head. ureq's default, said here for it must fit in the smallest input buffer.
const LARGEST_HEAD: usize = 8 * 1024;
/// What opening a long call needs, several times over: a build without optimisation goes deeper.
const OPENING_STACK: usize = 256 * 1024;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// Until a connection stands.
    pub(crate) connect: Duration,
    /// A whole ordinary call.
    pub(crate) call: Duration,
}

/// What goes out. `path` begins with `/` and is encoded; `query` is encoded too, and may be empty.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// Header lines with secrets, each with its `\r\n`; may be empty. ureq does not see them: `ureq_proto` logs, at trace,
    /// every byte that it writes. Such a request has a connection of its own.
    pub(crate) unlogged: &'a str,
    pub(crate) body: Body<'a>,
    /// Largest body of an answer that is taken whole, in bytes.
    pub(crate) largest: u64,
}

/// The body of a request.
pub(crate) enum Body<'a> {
    /// None; a POST says `Content-Length: 0`.
    Empty,
    /// JSON, whole.
    Json(&'a [u8]),
    /// Bytes of unknown length, sent in chunks as they are read.
    Archive(&'a mut dyn Read),
}

/// An answer, taken whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// How an endpoint is reached.
#[derive(Debug, Clone)]
struct Way {
    endpoint: Endpoint,
    through: Option<Arc<dyn Connect>>,
}

/// Makes exchanges with one endpoint.
#[derive(Debug)]
pub(crate) struct Client {
    way: Way,
    timeouts: Timeouts,
    hangup: Option<Hangup>,
    /// With kept connections, for what may be asked twice.
    kept: Agent,
    /// Without, for what may not: a kept connection that its peer is just closing takes a request and gives no answer, and
    /// nobody could tell whether it was carried out.
    fresh: Agent,
}

impl Client {
    /// A client that has not connected yet.
    /// With `through` its connections are that one's, and the endpoint is but a name.
    pub(crate) fn new(endpoint: Endpoint, through: Option<Arc<dyn Connect>>, timeouts: Timeouts) -> Self {
        let way = Way { endpoint, through };
        let kept = agent(&way, timeouts, Buffers::CALL, None, IDLE_CONNECTIONS);
        let fresh = agent(&way, timeouts, Buffers::CALL, None, 0);
        Self { way, timeouts, hangup: None, kept, fresh }
    }

    /// The same, its ordinary calls ended by `hangup`. It keeps no connection between them: one that outlived its
    /// latch's thread would be nobody's.
    pub(crate) fn under(&self, hangup: &Hangup) -> Self {
        let fresh = agent(&self.way, self.timeouts, Buffers::CALL, Some(hangup.clone()), 0);
        let kept = fresh.clone();
        Self { way: self.way.clone(), timeouts: self.timeouts, hangup: Some(hangup.clone()), kept, fresh }
    }

    /// The same, its ordinary calls given so long. Kept connections are shared.
    pub(crate) fn within(&self, call: Duration) -> Self {
        Self {
            way: self.way.clone(),
            timeouts: Timeouts { call, ..self.timeouts },
            hangup: self.hangup.clone(),
            kept: self.kept.clone(),
            fresh: self.fresh.clone(),
        }
    }

    /// How long an ordinary call may take.
    pub(crate) fn call_timeout(&self) -> Duration {
        self.timeouts.call
    }

    /// An ordinary call: the answer whole, within `deadline` (or the client's own). What only reads uses a kept connection,
    /// and is asked once more where that turns out to be closed; what does something has a connection of its own.
    pub(crate) fn call(&self, mut request: Request<'_>, deadline: Option<Duration>) -> Result<Reply, Error> {
        let (begun, deadline) = (Instant::now(), deadline.unwrap_or(self.timeouts.call));
        let first = self.attempt(&mut request, deadline);
        match first {
            Err(Error::Disconnected { unsent, .. }) if unsent || may_repeat(&request) => {
                self.attempt(&mut request, deadline.saturating_sub(begun.elapsed()))
            }
            other => other,
        }
    }

    /// A call on a connection of its own that the client's latch does not end, but `hangup`, if there is one: the answer
    /// whole, within `deadline` if there is one.
    pub(crate) fn call_alone(
        &self,
        mut request: Request<'_>,
        deadline: Option<Duration>,
        hangup: Option<&Hangup>,
    ) -> Result<Reply, Error> {
        let extra = Extra::of(&request, None);
        let agent = agent_for(&self.way, self.timeouts, Buffers::WAIT, hangup.cloned(), 0, extra);
        exchange(&agent, &mut request, deadline).map_err(|e| hung_up(hangup, e))
    }

    /// A long call on a connection of its own: the answer's head, however late it comes, and its body as a stream.
    /// There is no deadline; `hangup` ends it.
    pub(crate) fn stream(&self, mut request: Request<'_>, buffers: Buffers, hangup: &Hangup) -> Result<Stream, Error> {
        let handover = Arc::new(Handover::default());
        let extra = Extra::of(&request, Some(&handover));
        let agent = agent_for(&self.way, self.timeouts, buffers, Some(hangup.clone()), 0, extra);
        let asked = match request.body {
            Body::Empty => Some(None),
            Body::Json(json) => Some(Some(json)),
            // Read by its owner's thread; and its answer is not read for days.
            Body::Archive(_) => None,
        };
        let response = match asked {
            None => send(&agent, &mut request, None),
            Some(json) => {
                let Request { method, path, query, headers, unlogged, largest, .. } = &request;
                on_a_stack_of_its_own(&|| {
                    let body = json.map_or(Body::Empty, Body::Json);
                    let method = method.clone();
                    send(&agent, &mut Request { method, path, query, headers, unlogged, body, largest: *largest }, None)
                })
            }
        };
        let stream = Stream::on_socket(response.map_err(|e| hung_up(Some(hangup), e))?, &handover, hangup);
        // Whatever of the connection is left goes with it.
        drop(agent);
        stream
    }

    /// A call after whose head both sides may say what they like, on a connection of its own: 101 where the Engine agrees to
    /// that in HTTP's way, 200 where it does so without a word. There is no deadline; `hangup` ends it.
    pub(crate) fn hijack(&self, mut request: Request<'_>, buffers: Buffers, hangup: &Hangup) -> Result<Duplex, Error> {
        let handover = Arc::new(Handover::default());
        let extra = Extra::of(&request, Some(&handover));
        let agent = agent_for(&self.way, self.timeouts, buffers, Some(hangup.clone()), 0, extra);
        let response = send(&agent, &mut request, None).map_err(|e| hung_up(Some(hangup), e))?;
        Duplex::new(response, agent, &handover, hangup)
    }

    fn attempt(&self, request: &mut Request<'_>, deadline: Duration) -> Result<Reply, Error> {
        let own;
        let agent = match (request.unlogged, may_repeat(request)) {
            ("", true) => &self.kept,
            ("", false) => &self.fresh,
            _ => {
                let extra = Extra::of(request, None);
                own = agent_for(&self.way, self.timeouts, Buffers::CALL, self.hangup.clone(), 0, extra);
                &own
            }
        };
        exchange(agent, request, Some(deadline)).map_err(|e| hung_up(self.hangup.as_ref(), e))
    }
}

/// Opens a long call in a thread that ends with it. From a request to the head of its answer ureq goes 25 KiB deep, and a
/// thread that then reads the answer for days would keep that much of its stack: with a wait and a follow a task, as much
/// as all the rest of them.
fn on_a_stack_of_its_own<T: Send>(open: &(impl Fn() -> T + Sync)) -> T {
    thread::scope(|scope| {
        let opening = thread::Builder::new().name("open".into()).stack_size(OPENING_STACK).spawn_scoped(scope, open);
        match opening.map(thread::ScopedJoinHandle::join) {
            Ok(Ok(opened)) => opened,
            Ok(Err(panic)) => panic::resume_unwind(panic),
            // No thread to be had: this one does it.
            Err(_) => open(),
        }
    })
}

/// Whether sending it again changes nothing.
fn may_repeat(request: &Request<'_>) -> bool {
    matches!(request.method, Method::GET | Method::HEAD)
}

/// A cut socket fails in many ways; whoever hung up asked for it, and that is what it is called.
pub(super) fn hung_up(hangup: Option<&Hangup>, error: Error) -> Error {
    if hangup.is_some_and(Hangup::is_hung_up) { Error::HungUp } else { error }
}

fn agent(way: &Way, timeouts: Timeouts, buffers: Buffers, hangup: Option<Hangup>, idle: usize) -> Agent {
    agent_for(way, timeouts, buffers, hangup, idle, Extra::default())
}

/// What concerns the transport of one call.
#[derive(Default)]
struct Extra {
    handover: Option<Arc<Handover>>,
    unlogged: Option<Arc<str>>,
}

impl Extra {
    fn of(request: &Request<'_>, handover: Option<&Arc<Handover>>) -> Self {
        let unlogged = (!request.unlogged.is_empty()).then(|| request.unlogged.into());
        Self { handover: handover.cloned(), unlogged }
    }
}

fn agent_for(
    way: &Way,
    timeouts: Timeouts,
    buffers: Buffers,
    hangup: Option<Hangup>,
    idle: usize,
    extra: Extra,
) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_response_header_size(LARGEST_HEAD)
        .max_idle_connections(idle)
        .max_idle_connections_per_host(idle)
        .max_idle_age(IDLE_AGE)
        .proxy(None)
        .user_agent(concat!("longshore/", env!("CARGO_PKG_VERSION")))
        .accept("")
        .accept_encoding("")
        // ureq would ask before it sends a body of some kinds, and wait a second for the answer.
        .timeout_await_100(Some(Duration::ZERO))
        .build();
    let Way { endpoint, through } = way.clone();
    let Extra { handover, unlogged } = extra;
    let dial = Dial { endpoint, through, buffers, connect_timeout: timeouts.connect, hangup, handover, unlogged };
    Agent::with_parts(config, dial, NoResolver)
}

/// Sends one request and reads the answer whole.
fn exchange(agent: &Agent, request: &mut Request<'_>, deadline: Option<Duration>) -> Result<Reply, Error> {
    let (parts, body) = send(agent, request, deadline)?.into_parts();
    let (length, mut reader) = (body.content_length(), body.into_reader());
    let body = match parts.status.is_success() {
        true => whole(&mut reader, length, request.largest)?,
        false => refusal(&mut reader),
    };
    Ok(Reply { status: parts.status.as_u16(), headers: parts.headers, body })
}

/// Reads a body whole, if it is not larger than `largest`. One that says how long it is is refused unread.
fn whole(body: &mut impl Read, length: Option<u64>, largest: u64) -> Result<Vec<u8>, Error> {
    let too_large = || Error::Protocol(Box::new(TooLarge { bound: largest }));
    if length.is_some_and(|length| length > largest) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    body.take(largest.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| sort(ureq::Error::Io(e)))?;
    if bytes.len() as u64 > largest { Err(too_large()) } else { Ok(bytes) }
}

/// Reads what comes of a refusal's body within its bounds. A body that stalls or breaks is cut: the status is the answer.
pub(super) fn refusal(body: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = reading_until(Instant::now() + REFUSAL_PATIENCE, || body.take(LARGEST_REFUSAL).read_to_end(&mut bytes));
    if let Err(e) = read {
        log::debug!("the body of a refusal broke off: {e}");
    }
    bytes
}

/// Sends one request and reads the answer's head.
fn send(
    agent: &Agent,
    request: &mut Request<'_>,
    deadline: Option<Duration>,
) -> Result<http::Response<ureq::Body>, Error> {
    let question = if request.query.is_empty() { "" } else { "?" };
    // The Engine wants a Host, and does not look at it.
    let uri = format!("http://docker{}{question}{}", request.path, request.query);
    let mut builder = http::Request::builder().method(request.method.clone()).uri(uri);
    for (name, value) in request.headers {
        builder = builder.header(*name, *value);
    }
    let answer = match &mut request.body {
        Body::Empty if request.method == Method::POST || request.method == Method::PUT => {
            let request = builder.body(&[][..]).map_err(protocol)?;
            run(agent, request, deadline)
        }
        Body::Empty => run(agent, builder.body(()).map_err(protocol)?, deadline),
        Body::Json(bytes) => {
            let request = builder.header("Content-Type", "application/json").body(*bytes).map_err(protocol)?;
            run(agent, request, deadline)
        }
        Body::Archive(source) => {
            let mut watched = Watched { source, failed: None };
            let builder = builder.header("Content-Type", "application/x-tar");
            let request = builder.body(ureq::SendBody::from_reader(&mut watched)).map_err(protocol)?;
            let answer = run(agent, request, deadline);
            // Our own file's fault must not be called the Engine's.
            match watched.failed.take() {
                Some(e) if answer.is_err() => return Err(Error::Source(e)),
                _ => answer,
            }
        }
    };
    answer.map_err(sort)
}

fn run(
    agent: &Agent,
    request: http::Request<impl ureq::AsSendBody>,
    deadline: Option<Duration>,
) -> Result<http::Response<ureq::Body>, ureq::Error> {
    // ureq adds it to the clock: one beyond the clock's range is none.
    let deadline = deadline.filter(|deadline| Instant::now().checked_add(*deadline).is_some());
    let request = agent.configure_request(request).timeout_global(deadline).build();
    agent.run(request)
}

/// Remembers whether it was the source that failed.
struct Watched<'a, 'b> {
    source: &'a mut &'b mut dyn Read,
    failed: Option<std::io::Error>,
}

impl Read for Watched<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.source.read(buf).inspect_err(|e| {
            if e.kind() != std::io::ErrorKind::Interrupted {
                self.failed = Some(std::io::Error::new(e.kind(), e.to_string()));
            }
        })
    }
}

fn protocol(e: http::Error) -> Error {
    Error::Protocol(Box::new(e))
}

/// Sorts ureq's errors by what can be done about them.
pub(super) fn sort(error: ureq::Error) -> Error {
    use std::io::ErrorKind as Kind;
    match error {
        ureq::Error::Timeout(_) => Error::Timeout,
        ureq::Error::Other(other) => match other.downcast::<Failure>().map(|f| *f) {
            Ok(Failure::Connect(e)) if is_exhausted(&e) => Error::Exhausted(e),
            Ok(Failure::Connect(e)) => Error::Connect(e),
            Ok(Failure::HungUp) => Error::HungUp,
            Ok(Failure::Unsent(source)) => Error::Disconnected { source, unsent: true },
            Err(other) => Error::Protocol(other),
        },
        ureq::Error::Io(e) if is_exhausted(&e) => Error::Exhausted(e),
        ureq::Error::Io(e) => match e.kind() {
            // What ureq makes of an error of its own when it must pass through `Read`.
            Kind::TimedOut => Error::Timeout,
            _ if e.get_ref().is_some_and(|inner| inner.is::<ureq::Error>()) => {
                match e.into_inner().map(|inner| inner.downcast::<ureq::Error>()) {
                    Some(Ok(inner)) => sort(*inner),
                    Some(Err(other)) => Error::Protocol(other),
                    None => Error::Disconnected { source: Kind::UnexpectedEof.into(), unsent: false },
                }
            }
            Kind::InvalidData | Kind::InvalidInput => Error::Protocol(Box::new(e)),
            _ => Error::Disconnected { source: e, unsent: false },
        },
        ureq::Error::ConnectionFailed => Error::Connect(Kind::NotConnected.into()),
        other => Error::Protocol(Box::new(other)),
    }
}
