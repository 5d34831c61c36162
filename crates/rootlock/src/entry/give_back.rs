//! Gives a lock back: to this process's next request if that is fair to other processes, else to
//! the kernel.

use std::sync::Arc;

use super::LockEntry;
use super::kept::Kept;
use crate::Operation;
use crate::error::Error;
use crate::error::FaultExt;
use crate::lease::Lease;
use crate::queue;
use rootlock_protocol::grant::{self, Moment, Verdict};
use rootlock_protocol::guard::Patience;
use rootlock_protocol::lockfile::LockFile;
use rootlock_protocol::run::Paused;
use rootlock_protocol::{Fault, LockDir};
use rootlock_sys::sync;
use rootlock_sys::{Locality, clock};

impl LockEntry {
    /// A lease of this entry was lost: it no longer keeps anybody from waiting for the next one.
    pub(crate) fn lost(self: &Arc<Self>, lease: &Lease) {
        self.tell(|queue| queue.ended(lease.key));
    }

    /// The end of a release, after the heartbeat was stopped: hands the kernel lock to the next in
    /// the queue if that is fair to other processes, else releases it.
    pub(crate) fn give_back(self: &Arc<Self>, lease: &Lease, file: LockFile) -> Result<(), Error> {
        let Some(file) = self.hand_over(lease, file) else { return Ok(()) };
        let released = self.release(lease, file);
        let ended = clock::awake();
        self.tell(|queue| {
            queue.end_turn(lease.turn_since, ended);
            queue.ended(lease.key)
        });
        released.map_err(|fault| fault.into_error(Operation::Release, &lease.path))
    }

    /// Releases the kernel lock. If the lock was not lost, the file stays open for the next request,
    /// which may resume the run.
    fn release(&self, lease: &Lease, file: LockFile) -> Result<(), Fault> {
        let LockDir { names, locality, .. } = &self.files;
        if *locality == Locality::Remote || lease.was_lost() {
            return file.release(names);
        }
        let run = Paused::before_release(&self.files, &file, &lease.grant, lease.wanted());
        if file.unlock(names).is_err() {
            // It is closed too then, and what the system says of that is not lost.
            return file.release(names);
        }
        self.kept.put(Kept { file, run });
        Ok(())
    }

    /// Hands the kernel lock to the next request without releasing it in between: as the next grant
    /// of a run, or else as a grant with its own section. Returns the file if no request could be
    /// served.
    fn hand_over(self: &Arc<Self>, lease: &Lease, file: LockFile) -> Option<LockFile> {
        if !sync::lock(&self.state).queue.may_hand_over(lease.key) {
            return Some(file);
        }
        let now = clock::awake();
        let since = queue::turn(lease.turn_since, now, || self.others_wait());
        let claim = {
            let mut state = sync::lock(&self.state);
            if since.is_none() {
                state.queue.step_back(now);
            }
            // Since the first check, the lease may have been lost, or the queue may have emptied.
            state.queue.claim_for_hand_over(lease.key, since.is_some())
        };
        let (Some(claim), Some(since)) = (claim, since) else { return Some(file) };
        let run = lease.grant.next(Moment::now()).filter(|_| claim.payload.terms == lease.terms);
        let verdict = match run {
            Some(grant) => Ok(Verdict::Granted(grant)),
            None => grant::claim(&self.files, &file, claim.payload.wanted(), Patience::Spin),
        };
        match verdict {
            Ok(Verdict::Granted(grant)) => {
                self.settle_granted(claim, grant, file, since);
                None
            }
            // If something is wrong, the wait in the kernel will find out.
            Ok(Verdict::Moved | Verdict::GuardBusy) | Err(_) => {
                self.requeue(claim.key);
                Some(file)
            }
        }
    }
}
