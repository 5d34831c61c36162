//! The end of a request: the lock, or why not. Whatever was granted to somebody who has left is given
//! back before that is told.

use std::sync::Arc;
use std::time::Duration;

use super::{Site, line::Claim, line::Waiter};
use crate::error::Fault;
use crate::grant::Grant;
use crate::lockfile::LockFile;
use crate::sync;
use crate::sys::clock;
use crate::{Error, ErrorKind, Holder, Mode, Operation};

impl Site {
    pub(crate) fn settle_granted(self: &Arc<Self>, claim: Claim, grant: Grant, file: LockFile) {
        self.settle_granted_since(claim, grant, file, clock::awake());
    }

    pub(super) fn settle_granted_since(
        self: &Arc<Self>,
        claim: Claim,
        grant: Grant,
        file: LockFile,
        since: Duration,
    ) {
        let Claim { waiter } = claim;
        let cancelled = {
            let mut state = sync::lock(&self.state);
            let cancelled = state.end_claim(&waiter);
            state.refusal = None;
            let exclusive = waiter.mode == Mode::Exclusive && !cancelled;
            state.exclusive = exclusive.then_some(waiter.key);
            cancelled
        };
        if cancelled {
            // Given back before the wait's end is told.
            let _ = file.release(&self.names);
            sync::lock(&self.state).leaving.push(waiter);
            self.see_off_soon();
            self.keep_waiting();
            return;
        }
        match self.start_lease(&waiter, grant, since, file) {
            Ok(lock) => waiter.settle(None, Ok(lock)),
            Err(fault) => {
                self.no_longer_exclusive(waiter.key);
                let error = fault.into_error(Operation::Acquire, &waiter.path);
                waiter.settle(None, Err(error));
                self.keep_waiting();
            }
        }
    }

    pub(crate) fn settle_fault(&self, claim: Claim, fault: Fault) {
        sync::lock(&self.state).end_claim(&claim.waiter);
        let error = fault.into_error(Operation::Acquire, &claim.waiter.path);
        claim.waiter.settle(None, Err(error));
    }

    pub(super) fn settle_error(&self, claim: Claim, kind: ErrorKind) {
        let cancelled = sync::lock(&self.state).end_claim(&claim.waiter);
        let holder = self.find_holder();
        let kind = if cancelled { ErrorKind::Cancelled } else { kind };
        let error = self.error(&claim.waiter, kind, holder.clone());
        claim.waiter.settle(holder.as_ref(), Err(error));
    }

    /// A permanent error met while waiting: it is the first in line's.
    pub(crate) fn fail_first(self: &Arc<Self>, fault: Fault) {
        if let Some(claim) = self.claim_first(None, |_| true) {
            self.settle_fault(claim, fault);
        }
    }

    pub(super) fn error(&self, waiter: &Waiter, kind: ErrorKind, holder: Option<Holder>) -> Error {
        let refusal = sync::lock(&self.state).refusal.clone();
        Error::new(Operation::Acquire, &waiter.path.join(&*self.names.lock), kind)
            .with_holder(holder)
            .with_refusal(refusal.map(|fault| fault.to_refusal(&waiter.path)))
    }
}
