//! A name space on a server, opened once.

use std::fmt;
use std::io::ErrorKind as IoErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rootlock::{
    Diagnosis, Error, ErrorKind, Events, FileSystem, LockState, Operation, Reach, Request,
};
use rootlock_protocol::Names;
use tokio::time::timeout;

use crate::Wait;
use crate::entry::{Entry, Waiter};
use crate::fault::Fault;
use crate::lock::Lock;
use crate::runtime::Runtime;
use crate::server::Server;
use crate::url::redact;

/// How long a server may take to answer a question that needs no lock.
const ANSWER: Duration = Duration::from_secs(20);

/// A URL, which may have a password; messages show it without.
#[derive(Clone)]
pub struct Url {
    url: String,
    shown: Arc<Path>,
}

impl Url {
    pub(crate) fn new(url: String) -> Self {
        let shown = Arc::from(Path::new(&redact(&url)));
        Self { url, shown }
    }

    pub(crate) fn shown(&self) -> &Path {
        &self.shown
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Url").field(&self.shown).finish()
    }
}

/// A name space on a server that has been found to keep locks.
#[derive(Clone)]
pub struct Root {
    /// Keeps Tokio's thread.
    runtime: Arc<Runtime>,
    server: Server,
    shown: Arc<Path>,
}

impl Root {
    /// Connects, makes what is missing there, and proves by trying that a lock keeps others out. Blocks for as long as the server takes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a URL that can't be read, else [`ErrorKind::Io`]: says what to do.
    pub(crate) fn open(url: &Url) -> Result<Self, Error> {
        let invalid = |what: String| {
            let error = std::io::Error::new(IoErrorKind::InvalidInput, what);
            Error::new(Operation::Open, url.shown(), ErrorKind::Io { call: "parse", error })
        };
        let runtime = Runtime::shared().map_err(|error| {
            let kind = ErrorKind::Io { call: "pthread_create", error };
            Error::new(Operation::Open, url.shown(), kind)
        })?;
        let server = Server::parse(&url.url, &runtime).map_err(invalid)?;
        let proving = async { timeout(ANSWER, server.prove(&runtime)).await };
        let proved = runtime.block_on(proving).unwrap_or_else(|_| Err(Fault::silent("prove")));
        proved.map_err(|fault| fault.to_error(Operation::Open, url.shown()))?;
        Ok(Self { runtime, server, shown: Arc::clone(&url.shown) })
    }

    /// The URL that it was opened by, without its password.
    pub fn path(&self) -> &Path {
        &self.shown
    }

    pub(crate) fn acquire(
        &self,
        tag: u64,
        request: Request<'_>,
        events: Arc<dyn Events<Lock>>,
    ) -> Result<Wait, Error> {
        let Request { file_name, mode, options, notify_waiting, .. } = request;
        options.check(self.path())?;
        self.check_name(Operation::Acquire, file_name)?;
        let terms = self.server.terms(&options).map_err(|what| {
            Error::new(Operation::Acquire, self.path(), ErrorKind::InvalidArgument(what.into()))
        })?;
        let entry = Entry::of(&self.runtime, &self.server, file_name);
        let key = Waiter::new_key();
        entry.enqueue(Waiter {
            key,
            tag,
            path: Entry::shown(&self.server, file_name),
            mode,
            terms,
            waits: options.wait,
            notify: notify_waiting,
            events,
            has_waited: Arc::default(),
        });
        Ok(Wait::new(entry, key))
    }

    /// Names of locks are those of lock files, so that a user can move from one to the other.
    fn check_name(&self, operation: Operation, name: &str) -> Result<(), Error> {
        let invalid = |what| Error::new(operation, self.path(), ErrorKind::InvalidArgument(what));
        Names::new(name).map(drop).map_err(invalid)
    }

    /// Inspects a lock without taking it. Blocks for as long as the server takes.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the server can't be asked.
    pub fn inspect(&self, name: &str, stale: Duration) -> Result<LockState, Error> {
        self.check_name(Operation::Inspect, name)?;
        Ok(self.ask(name, Some(stale))?.state)
    }

    /// Looks at a lock and its server, without taking it. Blocks for as long as the server takes.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the server can't be asked.
    pub fn diagnose(&self, name: &str) -> Result<Diagnosis, Error> {
        self.check_name(Operation::Inspect, name)?;
        let Found { state, terms, server, settings } = self.ask(name, None)?;
        let file_system = FileSystem { kind: server, options: settings, reach: Reach::Server };
        Ok(Diagnosis { state, terms, file_system })
    }

    fn ask(&self, name: &str, stale: Option<Duration>) -> Result<Found, Error> {
        let asking = self.server.ask(&self.runtime, name, stale);
        let answer = self.runtime.block_on(async { timeout(ANSWER, asking).await });
        let path = Entry::shown(&self.server, name);
        let fault = |fault: Fault| fault.to_error(Operation::Inspect, &path);
        answer.unwrap_or_else(|_| Err(Fault::silent("look"))).map_err(fault)
    }
}

/// What is found when a lock is looked at.
pub(crate) struct Found {
    pub(crate) state: LockState,
    /// The holder's h and T.
    pub(crate) terms: Option<(Duration, Duration)>,
    /// Name and version.
    pub(crate) server: String,
    pub(crate) settings: String,
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root").field("path", &self.shown).finish_non_exhaustive()
    }
}
