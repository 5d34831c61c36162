//! The engine of this crate: locks in directories.

use std::path::Path;
use std::sync::Arc;

use crate::backend::Backend;
use crate::entry::{Acquired, Wait};
use crate::events::{Events, LostReason, Released};
use crate::lease::Lease;
use crate::located::Located;
use crate::options::Request;
use crate::root::Root;
use crate::{Error, Lock, dir_cache, session};

/// Locks in directories.
#[derive(Debug)]
pub enum Directory {}

/// The requests and locks of one user, in directories.
pub type Session = session::Session<Directory>;

/// A directory, open or by its path.
pub type Place = session::Place<Directory>;

/// The directory that a path leads to from the present current directory.
pub fn place(path: String) -> Place {
    Place::Path(Located::here(path.into()))
}

impl Backend for Directory {
    type Path = Located;
    type Root = Root;
    type Lock = Lock;
    type Lease = Arc<Lease>;
    type Wait = Wait;

    fn shown(path: &Located) -> &Path {
        path.shown()
    }

    fn path(root: &Root) -> &Path {
        root.path()
    }

    fn open(path: &Located) -> Result<Root, Error> {
        Root::open_located(path)
    }

    fn open_cached(path: &Located) -> Option<Root> {
        dir_cache::open(path)
    }

    fn is_prompt(root: &Root) -> bool {
        root.is_local()
    }

    fn acquire(
        root: &Root,
        tag: u64,
        request: Request<'_>,
        events: Arc<dyn Events>,
    ) -> Result<Acquired, Error> {
        root.acquire(tag, request, events)
    }

    fn token(lock: &Lock) -> u64 {
        lock.token()
    }

    fn lease(lock: &Lock) -> Arc<Lease> {
        lock.lease()
    }

    fn lost(lease: &Arc<Lease>) -> Option<LostReason> {
        lease.lost()
    }

    fn unlock(lock: Lock) -> Released {
        lock.unlock()
    }

    fn cancel(wait: &Wait) {
        wait.cancel();
    }

    fn waits_for(wait: &Wait, lease: &Arc<Lease>) -> bool {
        wait.waits_for(lease)
    }

    fn is_behind(wait: &Wait, other: &Wait) -> bool {
        wait.is_behind(other)
    }

    fn fall_back(waits: &[Wait]) -> Vec<Option<Wait>> {
        waits.iter().map(Wait::fall_back).collect()
    }

    fn key(wait: &Wait) -> u64 {
        wait.key()
    }
}
