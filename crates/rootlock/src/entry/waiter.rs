//! A request for the lock, as its entry sees it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::FaultExt;
use crate::events::{Details, Events, Level};
use crate::queue::{self, Key, Wants};
use crate::{Error, Holder, Lock, Mode, Operation};
use rootlock_protocol::Fault;
use rootlock_protocol::Terms;
use rootlock_protocol::grant::Wanted;
use rootlock_sys::Nanos;
use rootlock_sys::sync::{self, Mutex};

use super::{look, settle};

pub(crate) struct Waiter {
    /// Its place in the queue.
    pub(crate) key: Key,
    /// How its [`Events`] identify it.
    pub(crate) tag: u64,
    /// The directory's path as the caller gave it; for messages only.
    pub(crate) path: Arc<Path>,
    pub(crate) mode: Mode,
    pub(crate) terms: Terms,
    pub(crate) recover: bool,
    /// A reader lets writers of other processes go first that have waited since before this time.
    pub(crate) gives_way: Option<Nanos>,
    /// Waits for the lock, or settles for one attempt.
    pub(crate) waits: bool,
    pub(crate) events: Arc<dyn Events>,
    /// Whether it was notified that it waits; `None` if it does not want to be.
    pub(crate) notified: Option<Arc<Mutex<bool>>>,
}

/// A waiter for whom the caller makes a grant. It must be settled, or go back by
/// [`super::LockEntry::requeue`].
pub(crate) type Claim = queue::Claim<Arc<Waiter>>;

impl Waiter {
    /// A place behind all others.
    pub(super) fn new_key() -> Key {
        static KEYS: AtomicU64 = AtomicU64::new(0);
        KEYS.fetch_add(1, Ordering::Relaxed)
    }

    /// The same request in another place.
    pub(super) fn at(&self, key: Key) -> Self {
        Self {
            key,
            path: Arc::clone(&self.path),
            events: Arc::clone(&self.events),
            notified: self.notified.clone(),
            ..*self
        }
    }

    pub(super) fn wants(&self) -> Wants {
        Wants {
            mode: self.mode,
            recover: self.recover,
            notify: self.notified.is_some(),
            first_look: look::FIRST_LOOK.min(self.terms.heartbeat / 5),
            gives_way: self.gives_way,
        }
    }

    pub(super) fn wanted(&self) -> Wanted {
        Wanted { mode: self.mode, terms: self.terms }
    }

    pub(super) fn log(&self, level: Level, message: &str, details: &Details) {
        self.events.log(self.tag, level, message, details);
    }

    /// Notifies, once, that the lock was not free.
    pub(super) fn notify(&self, holder: Option<&Holder>) {
        let Some(notified) = &self.notified else { return };
        // Locked meanwhile, so that nobody settles the wait first.
        let mut notified = sync::lock(notified);
        if !std::mem::replace(&mut *notified, true) {
            self.events.waiting(self.tag, holder);
        }
    }

    pub(super) fn settle(&self, holder: Option<&Holder>, result: Result<Lock, Error>) {
        self.notify(holder);
        settle::deferring(|| self.events.settled(self.tag, result));
    }

    pub(super) fn settle_fault(&self, fault: Fault) {
        self.settle(None, Err(fault.into_error(Operation::Acquire, &self.path)));
    }
}
