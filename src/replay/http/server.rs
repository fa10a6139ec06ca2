//! Connections served, each by a thread of its own, on a socket or within the process. Owns the threads and the socket;
//! what is said on a connection is its user's business.

use std::fmt;
use std::fs;
use std::io;
use std::net::{Shutdown, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::files;
use crate::http::{Connect, Endpoint, Socket};
use crate::threads::{Cut, Hangup, Registration, Worker};

/// What is done with a connection. It returns when the connection has ended, or once the latch is closed.
pub(in crate::replay) type Serve = dyn Fn(Arc<Socket>, &Hangup) + Send + Sync;

/// The threads that serve connections. Ended and joined when it is dropped.
pub(in crate::replay) struct Crew {
    name: &'static str,
    hangup: Hangup,
    members: Mutex<Vec<Worker>>,
    serve: Arc<Serve>,
}

impl Crew {
    pub(in crate::replay) fn new(
        name: &'static str,
        serve: impl Fn(Arc<Socket>, &Hangup) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { name, hangup: Hangup::new(), members: Mutex::default(), serve: Arc::new(serve) })
    }

    /// Serves a connection in a thread of its own.
    fn serve(&self, socket: Socket) -> io::Result<()> {
        // Not the crew itself: a thread must not keep its owner.
        let serve = self.serve.clone();
        self.start(socket, move |socket, hangup| serve(socket, hangup))
    }

    /// Does something else with a connection in a thread of the crew.
    pub(in crate::replay) fn start(
        &self,
        socket: Socket,
        serve: impl FnOnce(Arc<Socket>, &Hangup) + Send + 'static,
    ) -> io::Result<()> {
        let (socket, hangup) = (Arc::new(socket), self.hangup.child());
        let latch = hangup.clone();
        let body = move || {
            let Ok(_registration) = under(&latch, &socket) else { return };
            // It is the last to hold the socket: the connection ends with it.
            serve(socket, &latch);
        };
        let mut members = lock(&self.members);
        members.retain(|member| !member.has_ended());
        members.push(Worker::spawn(self.name, hangup, body, |_| {})?);
        Ok(())
    }

    /// Cuts every connection, takes no more, and waits for the threads.
    pub(in crate::replay) fn stop(&self) {
        self.hangup.hang_up();
        // Outside the lock: a thread may be about to serve one more.
        let members = std::mem::take(&mut *lock(&self.members));
        drop(members);
    }

    /// Cuts every connection as it stands; new ones are still served.
    pub(in crate::replay) fn cut_all(&self) {
        let members = std::mem::take(&mut *lock(&self.members));
        drop(members);
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Puts a socket under a latch.
pub(in crate::replay) fn under(hangup: &Hangup, socket: &Arc<Socket>) -> Result<Registration, crate::threads::HungUp> {
    let weak: Weak<Socket> = Arc::downgrade(socket);
    hangup.register(weak as Weak<dyn Cut>)
}

/// Connections within the process: one end for the client, the other for a thread of the crew.
pub(in crate::replay) struct Inside(pub(in crate::replay) Arc<Crew>);

impl Connect for Inside {
    fn connect(&self, _: Duration) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        self.0.serve(Socket::Unix(ours))?;
        Ok(theirs)
    }
}

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

/// A socket that takes connections for a crew, until it is dropped.
pub(in crate::replay) struct Server {
    endpoint: Endpoint,
    // Before the acceptor: who finds the socket is served.
    _named: Option<Named>,
    _acceptor: Worker,
}

enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(listener) => listener.as_fd(),
            Self::Tcp(listener) => listener.as_fd(),
        }
    }

    fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Unix(listener) => Ok(Socket::Unix(listener.accept()?.0)),
            Self::Tcp(listener) => {
                let stream = listener.accept()?.0;
                stream.set_nodelay(true)?;
                Ok(Socket::Tcp(stream))
            }
        }
    }
}

impl Cut for Listener {
    fn cut(&self) {
        // What is shut down accepts no more, and says so at once to whoever waits for a connection.
        let _ = rustix::net::shutdown(self.fd(), rustix::net::Shutdown::Both);
    }
}

impl Server {
    /// Listens at `endpoint`, which is a Unix socket or a port; port 0 is one that is free.
    pub(in crate::replay) fn listen(endpoint: &Endpoint, crew: &Arc<Crew>) -> io::Result<Self> {
        let (listener, endpoint, named) = match endpoint {
            Endpoint::Unix(path) => {
                let (listener, named) = bind_unix(path)?;
                (Listener::Unix(listener), endpoint.clone(), Some(named))
            }
            Endpoint::Tcp { host, port } => {
                let listener = TcpListener::bind((host.as_str(), *port))?;
                let port = listener.local_addr()?.port();
                (Listener::Tcp(listener), Endpoint::Tcp { host: host.clone(), port }, None)
            }
            _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "only unix:// and tcp:// can be listened at")),
        };
        let (listener, hangup) = (Arc::new(listener), crew.hangup.child());
        let (crew, latch) = (crew.clone(), hangup.clone());
        let body = move || {
            let weak: Weak<Listener> = Arc::downgrade(&listener);
            let Ok(_registration) = latch.register(weak as Weak<dyn Cut>) else { return };
            while !latch.is_hung_up() {
                match listener.accept() {
                    Ok(socket) => {
                        if let Err(e) = crew.serve(socket) {
                            log::warn!("{}: a connection was dropped: {e}", crew.name);
                        }
                    }
                    Err(_) if latch.is_hung_up() => return,
                    // The client left at once, or a table is full: the next one may do better.
                    Err(e) => {
                        log::warn!("{}: a connection could not be taken: {e}", crew.name);
                        latch.sleep(Duration::from_millis(100));
                    }
                }
            }
        };
        let acceptor = Worker::spawn("accept", hangup, body, |_| {})?;
        Ok(Self { endpoint, _named: named, _acceptor: acceptor })
    }

    /// Where it listens; a port that was left open is filled in.
    pub(in crate::replay) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

/// A Unix socket in the file system, gone when dropped, unless something else has its place by then.
struct Named {
    path: PathBuf,
    /// Its device and its number there.
    is: (u64, u64),
}

impl Drop for Named {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.is) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Binds a socket that its owner alone may use: who may talk to an Engine can do anything on its machine. It is made within
/// a folder that nobody else enters, and gets its name when its mode is set: whatever the umask, others never reach it.
fn bind_unix(path: &Path) -> io::Result<(UnixListener, Named)> {
    // One that is too long for a client is so for us.
    SocketAddr::from_pathname(path)?;
    make_folder(path)?;
    let place = Place::within(folder(path), ".longshore-")?;
    let made = place.path().join("s");
    let listener = bind_within(&place, &made)?;
    fs::set_permissions(&made, fs::Permissions::from_mode(0o600))?;
    let found = fs::symlink_metadata(&made)?;
    match christen(&made, path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && is_dead(path) => {
            fs::remove_file(path)?;
            christen(&made, path)
        }
        done => done,
    }
    .map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => Errno::ADDRINUSE.into(),
        _ => e,
    })?;
    Ok((listener, Named { path: path.to_owned(), is: (found.dev(), found.ino()) }))
}

/// Binds a socket at `made`, which may be longer than an address can be: then by way of the folder's descriptor.
fn bind_within(place: &Place, made: &Path) -> io::Result<UnixListener> {
    if SocketAddr::from_pathname(made).is_ok() {
        return UnixListener::bind(made);
    }
    let dir = fs::File::open(place.path())?;
    UnixListener::bind(format!("/proc/self/fd/{}/s", dir.as_raw_fd()))
}

/// Gives a socket its name, if nothing has that yet.
fn christen(made: &Path, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, made, CWD, path, RenameFlags::NOREPLACE) {
        // Not every file system can do that.
        Err(Errno::INVAL | Errno::NOSYS) => fs::hard_link(made, path),
        done => Ok(done?),
    }
}

/// The folder that a file is in.
fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// Makes the folder that a file is to be in, and those around it, for their owner alone.
pub(in crate::replay) fn make_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder(path))
}

/// Whether a socket was left behind by somebody who no longer listens.
fn is_dead(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    is_socket && UnixStream::connect(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
}

/// A folder of its own for a socket, gone when dropped.
pub(in crate::replay) struct Place(PathBuf);

impl Place {
    /// `what` goes into its name.
    pub(in crate::replay) fn new(what: &str) -> io::Result<Self> {
        Self::within(&std::env::temp_dir(), &format!("{what}-"))
    }

    /// The same in a folder where others may write: its name cannot be guessed.
    fn within(dir: &Path, prefix: &str) -> io::Result<Self> {
        let make = |path: &Path| fs::DirBuilder::new().mode(0o700).create(path);
        let ((), path) = files::make_unguessed(dir, prefix, make)?;
        Ok(Self(path))
    }

    pub(in crate::replay) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a thread that panicked was in the midst of is no reason for the others to stop.
pub(in crate::replay) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends a connection in one direction; an error means that it has ended.
pub(in crate::replay) fn end_writing(socket: &Socket) {
    let _ = socket.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    /// A crew that sends back what it hears.
    fn echo() -> Arc<Crew> {
        Crew::new("echo", |socket, _| {
            let _ = io::copy(&mut &*socket, &mut &*socket);
        })
    }

    fn say(mut stream: UnixStream) {
        stream.write_all(b"hello").unwrap();
        end_writing(&Socket::Unix(stream.try_clone().unwrap()));
        let mut back = String::new();
        stream.read_to_string(&mut back).unwrap();
        assert_eq!(back, "hello");
    }

    #[test]
    fn on_a_socket_and_within_the_process() {
        let (place, crew) = (Place::new("longshore-server").unwrap(), echo());
        let path = place.path().join("s.sock");
        let server = Server::listen(&Endpoint::Unix(path.clone()), &crew).unwrap();
        say(UnixStream::connect(&path).unwrap());
        say(Inside(crew.clone()).connect(Duration::ZERO).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(bind_unix(&path).err().unwrap().kind(), io::ErrorKind::AddrInUse, "somebody listens there");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "nothing is left beside it");
        drop(server);
        assert!(!path.exists());
    }

    #[test]
    fn what_has_its_place_stays() {
        let (place, crew) = (Place::new("longshore-server").unwrap(), echo());
        let path = place.path().join("s.sock");
        let server = Server::listen(&Endpoint::Unix(path.clone()), &crew).unwrap();
        fs::remove_file(&path).unwrap();
        let _other = bind_unix(&path).unwrap();
        drop(server);
        say_nothing(&path);
    }

    /// Somebody listens there.
    fn say_nothing(path: &Path) {
        drop(UnixStream::connect(path).unwrap());
    }

    #[test]
    fn the_longest_name_that_a_client_can_say() {
        let place = Place::new("longshore-server").unwrap();
        let folder = place.path().join("f".repeat(107 - place.path().as_os_str().len() - 3));
        let path = folder.join("s");
        assert_eq!(path.as_os_str().len(), 107);
        let _bound = bind_unix(&path).unwrap();
        say_nothing(&path);
        assert!(bind_unix(&folder.join("so")).is_err());
    }

    #[test]
    fn others_never_reach_it() {
        use rustix::fs::inotify;
        let place = Place::new("longshore-server").unwrap();
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
        let what = inotify::WatchFlags::CREATE | inotify::WatchFlags::ATTRIB;
        inotify::add_watch(&watch, place.path(), what).unwrap();
        let _bound = bind_unix(&place.path().join("s.sock")).unwrap();
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(watch, &mut buffer);
        while let Ok(event) = events.next() {
            let name = event.file_name().map(|name| name.to_string_lossy().into_owned());
            assert_ne!(name.as_deref(), Some("s.sock"), "it has its mode when it comes: {:?}", event.events());
        }
    }

    #[test]
    fn a_socket_left_behind_is_taken_over_and_a_file_is_not() {
        let place = Place::new("longshore-server").unwrap();
        let path = place.path().join("s.sock");
        drop(UnixListener::bind(&path).unwrap());
        drop(bind_unix(&path).unwrap());
        assert!(!path.exists());
        fs::write(&path, "mine").unwrap();
        assert!(bind_unix(&path).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    fn its_end_cuts_and_joins() {
        let crew = echo();
        let server = Server::listen(&Endpoint::Tcp { host: "127.0.0.1".into(), port: 0 }, &crew).unwrap();
        let Endpoint::Tcp { port, .. } = *server.endpoint() else { panic!("{}", server.endpoint()) };
        let mut streams: Vec<_> = (0..20).map(|_| std::net::TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
        let mut inside = Inside(crew.clone()).connect(Duration::ZERO).unwrap();
        drop(server);
        drop(crew);
        assert_eq!(inside.read(&mut [0]).unwrap_or(0), 0);
        for stream in &mut streams {
            assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0, "cut, or never taken");
        }
    }
}
