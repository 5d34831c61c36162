//! The end of a request: it is granted, fails, or is cancelled.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::{Claim, LockEntry, Waiter};
use crate::error::FaultExt;
use crate::lease::Lease;
use crate::{Error, ErrorKind, Holder, Operation};
use rootlock_protocol::Fault;
use rootlock_protocol::grant::Grant;
use rootlock_protocol::lockfile::LockFile;
use rootlock_sys::clock;
use rootlock_sys::sync;

rootlock_sys::sync::thread_local! {
    /// The releases requested while a user is being notified of a grant on this thread.
    static DEFERRED: RefCell<Option<VecDeque<Arc<Lease>>>> = const { RefCell::new(None) };
}

/// Notifies a user of a grant. A release that the user requests meanwhile, on this thread, happens
/// afterwards: it may grant the lock to the next request, whose user may release it, and so on. If
/// these calls were nested, a queue of a few hundred would exhaust the stack.
pub(super) fn deferring(call: impl FnOnce()) {
    /// Ends the deferral even if the call panics.
    struct Outermost;
    impl Drop for Outermost {
        fn drop(&mut self) {
            let next = || DEFERRED.with(|deferred| deferred.borrow_mut().as_mut()?.pop_front());
            while let Some(lease) = next() {
                lease.finish_elsewhere();
            }
            DEFERRED.with(|deferred| deferred.borrow_mut().take());
        }
    }
    let outermost = DEFERRED.with(|deferred| {
        let mut deferred = deferred.borrow_mut();
        let outermost = deferred.is_none();
        deferred.get_or_insert_default();
        outermost.then(|| Outermost)
    });
    call();
    drop(outermost);
}

/// Whether a release on this thread must be deferred; if so, it is noted.
pub(crate) fn defers(lease: &Arc<Lease>) -> bool {
    DEFERRED.with(|deferred| match &mut *deferred.borrow_mut() {
        Some(deferred) => {
            deferred.push_back(Arc::clone(lease));
            true
        }
        None => false,
    })
}

impl LockEntry {
    /// A claim was granted; `turn_since` says since when it is this process's turn.
    pub(super) fn settle_granted(
        self: &Arc<Self>,
        claim: Claim,
        grant: Grant,
        file: LockFile,
        turn_since: Duration,
    ) {
        let Claim { key, payload: waiter } = claim;
        if !self.step(|queue| queue.granted(key)) {
            // Given back before the end of the wait is reported.
            let _ = file.release(&self.files.names);
            self.requeue(key);
            return;
        }
        sync::lock(&self.state).refusal = None;
        match self.start_lease(&waiter, grant, turn_since, file) {
            Ok(lock) => waiter.settle(None, Ok(lock)),
            Err(fault) => {
                self.tell(|queue| queue.ended(key));
                waiter.settle_fault(fault);
            }
        }
    }

    /// The same for a lock that this process has only just acquired.
    pub(super) fn settle_new(self: &Arc<Self>, claim: Claim, grant: Grant, file: LockFile) {
        self.settle_granted(claim, grant, file, clock::awake());
    }

    pub(super) fn settle_fault(self: &Arc<Self>, claim: &Claim, fault: Fault) {
        if let Some(waiter) = self.step(|queue| queue.failed(claim.key)) {
            waiter.settle_fault(fault);
        }
    }

    pub(super) fn settle_held(self: &Arc<Self>, claim: &Claim) {
        if let Some(waiter) = self.step(|queue| queue.failed(claim.key)) {
            let holder = self.find_holder();
            let error = self.error(&waiter, ErrorKind::Held, holder.clone());
            waiter.settle(holder.as_ref(), Err(error));
        }
    }

    pub(super) fn requeue(self: &Arc<Self>, key: u64) {
        let now = clock::awake();
        self.tell(|queue| queue.requeue(key, now));
    }

    /// Puts a request behind all others: its new key, if it was in line.
    pub(crate) fn fall_back(self: &Arc<Self>, key: u64) -> Option<u64> {
        let new = Waiter::new_key();
        let renew = |waiter: &Arc<Waiter>| Arc::new(waiter.at(new));
        self.step(|queue| queue.fall_back(key, new, renew)).then_some(new)
    }

    /// A request does not give way to other processes' writers any more.
    pub(crate) fn goes_ahead(self: &Arc<Self>, key: u64) {
        self.tell(|queue| queue.goes_ahead(key));
    }

    /// Ends a wait; as for every wait, that is reported when nothing of it is left.
    pub(crate) fn cancel(self: &Arc<Self>, key: u64) {
        self.tell(|queue| queue.cancel(key));
    }

    /// Notifies cancelled requests, with what is known of the holder.
    pub(super) fn tell_cancelled(&self) {
        let cancelled = sync::lock(&self.state).queue.take_cancelled();
        if cancelled.is_empty() {
            return;
        }
        let holder = self.last_known_holder();
        for waiter in cancelled {
            let error = self.error(&waiter, ErrorKind::Cancelled, holder.clone());
            waiter.settle(holder.as_ref(), Err(error));
        }
    }

    /// Notifies requests that they wait.
    pub(super) fn notify_waiting(&self) {
        let waiters = sync::lock(&self.state).queue.take_unnotified();
        if waiters.is_empty() {
            return;
        }
        let holder = self.find_holder();
        for waiter in waiters {
            waiter.notify(holder.as_ref());
        }
    }

    fn error(&self, waiter: &Waiter, kind: ErrorKind, holder: Option<Holder>) -> Error {
        let refusal = sync::lock(&self.state).refusal.clone();
        Error::new(Operation::Acquire, &self.lock_path(&waiter.path), kind)
            .with_holder(holder)
            .with_refusal(refusal.map(|fault| fault.to_refusal(&waiter.path)))
    }
}
