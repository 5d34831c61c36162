//! A directory, opened once.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::entry::{Acquired, LockEntry};
use crate::error::{Error, Operation};
use crate::events::{Details, Events, Level, LostReason};
use crate::located::Located;
use crate::options::Request;
use crate::pool;
use crate::recent::Recent;
use crate::{Holder, Lock};
use rootlock_protocol::Names;
use rootlock_sys::Reach;
use rootlock_sys::is_fork;
use rootlock_sys::sync::{self, Condvar, Mutex};
use rootlock_sys::{Dir, FileId, Locality};

/// An open directory that can be locked: renaming its path no longer matters, and nothing outside of
/// it is ever touched.
#[derive(Clone)]
pub struct Root {
    inner: Arc<Inner>,
}

struct Inner {
    dir: Arc<Dir>,
    /// The mount by which the path led to it.
    mount: u64,
    id: FileId,
    /// As the caller gave it.
    path: Arc<Path>,
    locality: Locality,
    recent: Mutex<Recent>,
}

/// Mounts known to be local, so that a path on one can be opened without fear of blocking.
static LOCAL_MOUNTS: Mutex<Option<HashSet<u64>>> = Mutex::new(None);

/// Volumes for which the warning about their locks has been logged.
static DOUBTED: Mutex<Option<HashSet<u64>>> = Mutex::new(None);

impl Root {
    /// The default name of the lock file.
    pub const LOCK_FILE: &str = Names::DEFAULT;

    /// The longest name of a lock file.
    pub const MAX_FILE_NAME_BYTES: usize = Names::MAX_BYTES;

    /// Opens a directory. Blocks for as long as the file system does.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io): the path does not exist, is not a directory, or is
    /// not permitted.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        refuse_forks(Operation::Open, path)?;
        Self::of(path, Dir::open(path))
    }

    /// The same for a path captured earlier.
    pub(crate) fn open_located(located: &Located) -> Result<Self, Error> {
        Self::of(located.shown(), located.open())
    }

    fn of(path: &Path, opened: std::io::Result<Dir>) -> Result<Self, Error> {
        let fault = |call| move |error| Error::io(Operation::Open, path, call, error);
        let dir = opened.map_err(fault("open"))?;
        let id = dir.id().map_err(fault("fstat"))?;
        let locality = dir.locality();
        let numbered = dir.mount_and_id().map(|(mount, _)| mount);
        if let (Locality::Local, Some(mount)) = (locality, numbered) {
            sync::lock(&LOCAL_MOUNTS).get_or_insert_default().insert(mount);
        }
        let mount = numbered.unwrap_or_else(|| dir.mount());
        Ok(Self::new(dir, mount, id, path, locality))
    }

    /// A directory that was opened without blocking, if it is on a mount that [`Root::open`] has
    /// found to be local. `None` says nothing about the directory.
    pub(crate) fn of_local(dir: Dir, mount: u64, id: FileId, path: &Path) -> Option<Self> {
        let known = sync::lock(&LOCAL_MOUNTS).as_ref()?.contains(&mount);
        known.then(|| Self::new(dir, mount, id, path, Locality::Local))
    }

    fn new(dir: Dir, mount: u64, id: FileId, path: &Path, locality: Locality) -> Self {
        Self {
            inner: Arc::new(Inner {
                dir: Arc::new(dir),
                mount,
                id,
                path: Arc::from(path),
                locality,
                recent: Mutex::default(),
            }),
        }
    }

    /// Equal for two roots that are interchangeable.
    pub(crate) fn mount_and_id(&self) -> (u64, FileId) {
        (self.inner.mount, self.inner.id)
    }

    /// The path by which it was opened.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Whether [`Root::acquire`] can't block.
    pub fn is_local(&self) -> bool {
        self.inner.locality == Locality::Local
    }

    /// Asks for the lock; `events` refers to the request by the caller's `tag`.
    ///
    /// Does not wait for the lock. On a [local](Self::is_local) file system it does not block at
    /// all. Requests of this process are served in order. If an [`Acquired::Later`] is settled
    /// before this returns, `events` is called first.
    ///
    /// # Errors
    /// Any reason why the lock can't be acquired, except that it is held.
    pub fn acquire(
        &self,
        tag: u64,
        request: Request<'_>,
        events: Arc<dyn Events>,
    ) -> Result<Acquired, Error> {
        request.options.check(self.path())?;
        refuse_forks(Operation::Acquire, self.path())?;
        let entry = self.entry(request.file_name)?;
        let Request { mode, options, notify_waiting, has_logger, .. } = request;
        if has_logger {
            self.doubt(tag, &*events);
        }
        entry.acquire(&self.inner.path, tag, mode, &options, notify_waiting, events)
    }

    /// Warns, once for each file system, that other mounts or machines may not see its locks.
    fn doubt(&self, tag: u64, events: &dyn Events) {
        let Inner { dir, id, path, locality, .. } = &*self.inner;
        if *locality == Locality::Local
            || matches!(dir.file_system().reach, Reach::Machine | Reach::Server)
            || !sync::lock(&DOUBTED).get_or_insert_default().insert(id.volume)
        {
            return;
        }
        let details = Details::default().with("path", &path.to_string_lossy());
        events.log(tag, Level::Warn, "locks may not be seen by other mounts or machines", &details);
    }

    /// Acquires the lock, waiting for it if the options say so.
    ///
    /// Blocks until it is acquired, and can't be cancelled; [`Root::acquire`] can.
    ///
    /// # Errors
    /// Any reason why the lock can't be acquired; [`ErrorKind::Held`](crate::ErrorKind::Held) only if
    /// the options say not to wait.
    pub fn lock(&self, request: Request<'_>) -> Result<Lock, Error> {
        let blocking = Arc::new(Blocking::default());
        let events: Arc<dyn Events> = Arc::clone(&blocking) as _;
        match self.acquire(0, request, events)? {
            Acquired::Now(lock) => Ok(lock),
            Acquired::Later(_) => blocking.wait(),
        }
    }

    pub(crate) fn entry(&self, file_name: &str) -> Result<Arc<LockEntry>, Error> {
        let Inner { dir, mount, id, locality, recent, .. } = &*self.inner;
        let mut recent = sync::lock(recent);
        if let Some(entry) = recent.find(file_name) {
            return Ok(entry);
        }
        let invalid = |what| Error::invalid(Operation::Acquire, &self.inner.path, what);
        let names = Names::new(file_name).map_err(invalid)?;
        let entry = LockEntry::of(dir, *mount, *id, names, *locality);
        let oldest = recent.add(Arc::clone(&entry));
        // Closed outside the mutex; over a network, on another thread, because closing asks the server.
        drop(recent);
        match locality {
            Locality::Local => drop(oldest),
            // If the pool has no thread, dropping the job closes it here.
            Locality::Remote => drop(oldest.map(|oldest| pool::run(move || drop(oldest)))),
        }
        Ok(entry)
    }
}

/// A fork that runs its parent's program shares the parent's open files, whose locks would not keep the two apart.
fn refuse_forks(operation: Operation, path: &Path) -> Result<(), Error> {
    if !is_fork() {
        return Ok(());
    }
    let why = "this process was forked from one that uses rootlock: only a program that it executes can lock";
    let error = std::io::Error::new(std::io::ErrorKind::Unsupported, why);
    Err(Error::io(operation, path, "fork", error))
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

/// For [`Root::lock`]: a thread that waits for the end of its wait.
#[derive(Default)]
struct Blocking {
    result: Mutex<Option<Result<Lock, Error>>>,
    settled: Condvar,
}

impl Blocking {
    fn wait(&self) -> Result<Lock, Error> {
        let mut result = sync::lock(&self.result);
        loop {
            if let Some(result) = result.take() {
                return result;
            }
            result = sync::wait_for(&self.settled, result);
        }
    }
}

impl Events for Blocking {
    fn waiting(&self, _tag: u64, _holder: Option<&Holder>) {}

    fn settled(&self, _tag: u64, result: Result<Lock, Error>) {
        *sync::lock(&self.result) = Some(result);
        self.settled.notify_one();
    }

    /// [`Lock::is_held`] reports it.
    fn lost(&self, _tag: u64, _reason: LostReason) {}

    fn released(&self, _tag: u64, _result: Result<(), Error>) {}

    fn log(&self, _tag: u64, _level: Level, _message: &str, _details: &Details) {}
}
