//! A name space on a server, opened once.

use std::fmt;
use std::io::ErrorKind as IoErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rootlock::{
    Diagnosis, Error, ErrorKind, Events, FileSystem, LockOwner, LockState, Mode, Operation, Reach,
    Request, State,
};
use rootlock_protocol::Names;
use tokio::time::timeout;
use tokio_postgres::SimpleQueryRow;

use crate::Wait;
use crate::entry::{Entry, Waiter};
use crate::fault::Fault;
use crate::lock::Lock;
use crate::protocol::connect::{Connection, row};
use crate::protocol::look::{LOOK, Locker, Seen, look};
use crate::protocol::{schema, sql};
use crate::runtime::Runtime;
use crate::terms::Terms;
use crate::url::{Target, redact};

/// How long a server may take to answer a question that needs no lock.
const ANSWER: Duration = Duration::from_secs(20);

const PROVE: &str = "prove_exclusion";

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
    target: Arc<Target>,
    shown: Arc<Path>,
}

impl Root {
    /// Connects, makes the tables if they are missing, and proves by trying that a lock of one session keeps
    /// another one out. Blocks for as long as the server takes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a URL that can't be read, else [`ErrorKind::Io`]: says what to do.
    pub(crate) fn open(url: &Url) -> Result<Self, Error> {
        let invalid = |what: String| {
            let error = std::io::Error::new(IoErrorKind::InvalidInput, what);
            Error::new(Operation::Open, url.shown(), ErrorKind::Io { call: "parse", error })
        };
        let target = Arc::new(Target::parse(&url.url).map_err(invalid)?);
        let runtime = Runtime::shared().map_err(|error| {
            let kind = ErrorKind::Io { call: "pthread_create", error };
            Error::new(Operation::Open, url.shown(), kind)
        })?;
        let proved = runtime.block_on(prove(&runtime, &target));
        proved.map_err(|fault| fault.to_error(Operation::Open, url.shown()))?;
        Ok(Self { runtime, target, shown: Arc::clone(&url.shown) })
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
        let entry = Entry::of(&self.runtime, &self.target, file_name);
        let key = Waiter::new_key();
        entry.enqueue(Waiter {
            key,
            tag,
            path: Entry::shown(&self.target, file_name),
            mode,
            terms: Terms::of(&options),
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
        let (seen, _) = self.ask(name)?;
        Ok(state(seen, stale))
    }

    /// Looks at a lock and its server, without taking it. Blocks for as long as the server takes.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the server can't be asked.
    pub fn diagnose(&self, name: &str) -> Result<Diagnosis, Error> {
        self.check_name(Operation::Inspect, name)?;
        let (seen, facts) = self.ask(name)?;
        let terms = seen.terms;
        let stale = terms.map_or(rootlock::Options::default().stale, |(_, stale)| stale);
        let file_system =
            FileSystem { kind: facts.server, options: facts.settings, reach: Reach::Server };
        Ok(Diagnosis { state: state(seen, stale), terms, file_system })
    }

    fn ask(&self, name: &str) -> Result<(Seen, Facts), Error> {
        let asking = async {
            let connection = Connection::open(&self.runtime, &self.target).await?;
            let seen = look(&connection.client, sql::LOOK, &self.target.root, name).await?;
            let asked = SystemTime::now();
            let answer = connection.ask(LOOK, sql::FACTS).await;
            let answer = answer.map_err(|failure| failure.into_fault(LOOK))?;
            let facts = row(&answer).map(|row| Facts::of(row, asked)).unwrap_or_default();
            Ok((seen, facts))
        };
        let answer = self.runtime.block_on(async { timeout(ANSWER, asking).await });
        let path = Entry::shown(&self.target, name);
        let fault = |fault: Fault| fault.to_error(Operation::Inspect, &path);
        answer.unwrap_or_else(|_| Err(Fault::silent(LOOK))).map_err(fault)
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root").field("path", &self.shown).finish_non_exhaustive()
    }
}

/// Whether a session's lock keeps another one out: systems that only look like PostgreSQL may grant it twice,
/// and a pooler that shares sessions does.
async fn prove(runtime: &Arc<Runtime>, target: &Target) -> Result<(), Fault> {
    let first = Connection::open(runtime, target).await?;
    let proving = async {
        schema::make_tables(&first).await?;
        let second = Connection::open(runtime, target).await?;
        // No row has such a number, and no other session this one.
        let number = first.server.pid.checked_neg().filter(|number| *number < 0).unwrap_or(-1);
        let locked = async |connection: &Connection, sql: &str| {
            let sql = sql.replace("$1", &number.to_string());
            let answer = connection.ask(PROVE, &sql).await;
            let answer = answer.map_err(|failure| failure.into_fault(PROVE))?;
            Ok::<_, Fault>(row(&answer).and_then(|row| row.get(0)) == Some("t"))
        };
        if !locked(&first, sql::PROVE).await? {
            return Err(Fault::away(PROVE, IoErrorKind::ResourceBusy, "somebody else proves it"));
        }
        let twice = locked(&second, sql::PROVE).await?;
        let unlocked = locked(&first, sql::UNPROVE).await?;
        if twice || !unlocked {
            return Err(Fault::new(
                PROVE,
                IoErrorKind::Unsupported,
                "this server grants an advisory lock to two sessions at once, or forgets it: it keeps nobody out",
            ));
        }
        Ok(())
    };
    timeout(ANSWER, proving).await.unwrap_or_else(|_| Err(Fault::silent(PROVE)))
}

/// What a person wants to know of a server.
#[derive(Default)]
struct Facts {
    server: String,
    settings: String,
}

impl Facts {
    fn of(row: &SimpleQueryRow, asked: SystemTime) -> Self {
        let text = |name: &str| row.try_get(name).ok().flatten().unwrap_or_default();
        let now: f64 = text("now").parse().unwrap_or_default();
        let own = asked.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut settings = vec![
            format!("synchronous_commit={}", text("synchronous_commit")),
            format!("fsync={}", text("fsync")),
            format!("max_connections={}", text("connections")),
            format!("client_connection_check_interval={}", text("check_interval")),
        ];
        if !text("standbys").is_empty() {
            settings.push(format!("synchronous_standby_names={}", text("standbys")));
        }
        settings.push(format!("clock {:+.1} s", now / 1000.0 - own));
        Self { server: format!("PostgreSQL {}", text("version")), settings: settings.join(", ") }
    }
}

fn state(seen: Seen, stale: Duration) -> LockState {
    let owner = |locker: &Locker| {
        let application = locker.application.clone().filter(|name| !name.is_empty());
        LockOwner {
            pid: u32::try_from(locker.pid).unwrap_or_default(),
            mode: locker.mode,
            command: application.or_else(|| Some("a session of the server's".into())),
            callers: None,
        }
    };
    let first = seen.holders.first();
    let age = first.and_then(|holder| holder.age);
    let state = match first {
        None => State::Free,
        Some(_) if age.is_some_and(|age| age >= stale) => State::Stale,
        Some(Locker { mode: Mode::Exclusive, .. }) => State::Exclusive,
        Some(Locker { mode: Mode::Shared, .. }) => State::Shared,
    };
    LockState {
        state,
        holder: seen.holder,
        age,
        holders: Some(seen.holders.iter().map(owner).collect()),
        waiters: Some(seen.waiters.iter().map(owner).collect()),
    }
}
