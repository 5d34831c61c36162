//! The same lock on a server, PostgreSQL or etcd: one for all machines that reach it.
//!
//! The protocols are in `docs/protocol-postgres.md` and `docs/protocol-etcd.md`; their steps have the same names there, in
//! `postgres/` and `etcd/`, and in the model.
//!
//! # Layout
//! From the outside in: [`Remote`] is the engine that a [`Session`] takes. `root` is an opened URL, `lock` a held
//! lock. `entry/` is one lock as this process sees it: `line` (pure) says who is next, a task of Tokio's, which is the
//! engine's, does at the server what it says. `server` knows which engines there are: `postgres/` and `etcd/`. `terms` is
//! the arithmetic of a lease, `backoff` the pauses while a server is away, `url` what their URLs have in common, `net/` the connection, `fault` what an error means.

mod backoff;
mod entry;
mod etcd;
mod fault;
mod line;
mod lock;
mod net;
mod postgres;
mod record;
mod root;
mod runtime;
mod server;
mod terms;
mod url;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rootlock::{Acquired, Backend, Error, Events, LostReason, Released, Request, session};

use crate::entry::Entry;
use crate::line::Key;
pub use crate::lock::{Lease, Lock};
pub use crate::root::{Root, Url};

/// Locks on a server.
#[derive(Debug)]
pub enum Remote {}

/// The requests and locks of one user, on servers.
pub type Session = session::Session<Remote>;

/// A name space on a server, open or by its URL.
pub type Place = session::Place<Remote>;

/// The name space that a URL leads to.
pub fn place(url: String) -> Place {
    Place::Path(Url::new(url))
}

/// A pending wait. Dropping it does not end it.
#[derive(Clone)]
pub struct Wait {
    entry: Arc<Entry>,
    key: Key,
}

impl Wait {
    pub(crate) fn new(entry: Arc<Entry>, key: Key) -> Self {
        Self { entry, key }
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").field("name", &self.entry.name).finish_non_exhaustive()
    }
}

impl Backend for Remote {
    type Path = Url;
    type Root = Root;
    type Lock = Lock;
    type Lease = Arc<Lease>;
    type Wait = Wait;

    fn shown(url: &Url) -> &Path {
        url.shown()
    }

    fn path(root: &Root) -> &Path {
        root.path()
    }

    fn open(url: &Url) -> Result<Root, Error> {
        Root::open(url)
    }

    fn open_cached(_: &Url) -> Option<Root> {
        None
    }

    /// All that talks to the server is a task's.
    fn is_prompt(_: &Root) -> bool {
        true
    }

    fn acquire(
        root: &Root,
        tag: u64,
        request: Request<'_>,
        events: Arc<dyn Events<Lock>>,
    ) -> Result<Acquired<Lock, Wait>, Error> {
        root.acquire(tag, request, events).map(Acquired::Later)
    }

    fn token(lock: &Lock) -> u64 {
        lock.token()
    }

    fn lease(lock: &Lock) -> Arc<Lease> {
        Arc::clone(&lock.lease)
    }

    fn lost(lease: &Arc<Lease>) -> Option<LostReason> {
        lease.lost()
    }

    fn unlock(lock: Lock) -> Released {
        lock.unlock()
    }

    fn cancel(wait: &Wait) {
        wait.entry.cancel(wait.key);
    }

    /// The server would keep a lock for as long as its lease: so it gets the chance to hear of its end.
    fn end(waits: Vec<Wait>, locks: Vec<Lock>) {
        waits.iter().for_each(Self::cancel);
        let leases: Vec<_> = locks.iter().map(Self::lease).collect();
        drop(locks);
        let gone = |entry: &Arc<Entry>, key: Key| (Arc::clone(entry), key);
        let waits = waits.iter().map(|wait| gone(&wait.entry, wait.key));
        Entry::see_off(
            waits.chain(leases.iter().map(|lease| gone(&lease.entry, lease.key))).collect(),
        );
    }

    fn waits_for(wait: &Wait, lease: &Arc<Lease>) -> bool {
        Arc::ptr_eq(&wait.entry, &lease.entry) && wait.entry.waits_for(wait.key, lease.mode)
    }

    fn is_behind(wait: &Wait, other: &Wait) -> bool {
        Arc::ptr_eq(&wait.entry, &other.entry) && wait.entry.waits_behind(wait.key, other.key)
    }

    fn fall_back(waits: &[Wait]) -> Vec<Option<Wait>> {
        let Some(first) = waits.first() else { return Vec::new() };
        let keys: Vec<_> = waits.iter().map(|wait| wait.key).collect();
        let moved = first.entry.fall_back(&keys);
        let moved = moved.into_iter().zip(waits);
        moved.map(|(key, wait)| key.map(|key| Wait { key, ..wait.clone() })).collect()
    }

    fn key(wait: &Wait) -> u64 {
        wait.key
    }
}
