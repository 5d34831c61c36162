//! A request for a lock, as its entry sees it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rootlock::{Details, Error, ErrorKind, Events, Holder, Level, Mode, Operation};

use crate::fault::Fault;
use crate::line::{Key, Wants};
use crate::lock::Lock;
use crate::terms::Terms;

pub(crate) struct Waiter {
    pub(crate) key: Key,
    pub(crate) tag: u64,
    /// The lock's name, for messages.
    pub(crate) path: Arc<Path>,
    pub(crate) mode: Mode,
    pub(crate) terms: Terms,
    pub(crate) waits: bool,
    /// Wants to know that it waits.
    pub(crate) notify: bool,
    pub(crate) events: Arc<dyn Events<Lock>>,
    /// Shared by the places that one request has had.
    pub(crate) has_waited: Arc<AtomicBool>,
}

impl Waiter {
    pub(crate) fn new_key() -> Key {
        static KEYS: AtomicU64 = AtomicU64::new(1);
        KEYS.fetch_add(1, Ordering::Relaxed)
    }

    /// The same request in another place.
    pub(crate) fn at(&self, key: Key) -> Self {
        Self {
            key,
            path: Arc::clone(&self.path),
            events: Arc::clone(&self.events),
            has_waited: Arc::clone(&self.has_waited),
            ..*self
        }
    }

    pub(crate) fn wants(&self) -> Wants {
        Wants { mode: self.mode, waits: self.waits }
    }

    /// Whether a wait at the server is the same for both.
    pub(crate) fn waits_like(&self, other: &Self) -> bool {
        self.mode == other.mode && self.terms == other.terms
    }

    pub(crate) fn has_waited(&self) -> bool {
        self.has_waited.load(Ordering::Relaxed)
    }

    /// It waits: told once.
    pub(crate) fn is_told_that_it_waits(&self, holder: Option<&Holder>) {
        if !self.has_waited.swap(true, Ordering::Relaxed) && self.notify {
            self.events.waiting(self.tag, holder);
        }
    }

    pub(crate) fn settle(&self, result: Result<Lock, Error>) {
        self.events.settled(self.tag, result);
    }

    pub(crate) fn settle_fault(&self, fault: &Fault) {
        self.settle(Err(fault.to_error(Operation::Acquire, &self.path)));
    }

    pub(crate) fn settle_held(&self, holder: Option<Holder>) {
        let error = Error::new(Operation::Acquire, &self.path, ErrorKind::Held);
        self.settle(Err(error.with_holder(holder)));
    }

    /// `unknown` says why it is not known whether the lock is held.
    pub(crate) fn settle_cancelled(&self, holder: Option<Holder>, unknown: Option<&Fault>) {
        let error = Error::new(Operation::Acquire, &self.path, ErrorKind::Cancelled);
        let error = error.with_holder(holder).while_unknown(unknown.map(Fault::to_kind));
        self.settle(Err(error));
    }

    pub(crate) fn warn(&self, message: &str, fault: &Fault) {
        let details = Details::default()
            .with("path", &self.path.to_string_lossy())
            .with("reason", fault.words());
        self.events.log(self.tag, Level::Warn, message, &details);
    }
}
