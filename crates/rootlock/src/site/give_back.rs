//! Giving a lock back: to the next in line of this process if that is fair to others, else to the
//! kernel.

use std::sync::Arc;

use super::{Site, line::Claim, line::Claimed};
use crate::grant::{self, Moment, Verdict};
use crate::guard::Patience;
use crate::lease::Lease;
use crate::lockfile::LockFile;
use crate::sync;
use crate::sys::clock;
use crate::{Error, Mode, Operation};

impl Site {
    /// A lease of this site was lost: it keeps nobody from waiting for the next.
    pub(crate) fn lost(self: &Arc<Self>, lease: &Lease) {
        self.no_longer_exclusive(lease.key);
        self.keep_waiting();
    }

    pub(super) fn no_longer_exclusive(&self, key: u64) {
        let mut state = sync::lock(&self.state);
        state.exclusive.take_if(|own| *own == key);
    }

    /// The end of a release, after the heartbeat was stopped: hands the kernel lock to the next in
    /// line if that is fair to other processes, else gives it to the kernel.
    pub(crate) fn give_back(self: &Arc<Self>, lease: &Lease, file: LockFile) -> Result<(), Error> {
        let Some(file) = self.hand_over(lease, file) else { return Ok(()) };
        let released = file.release(&self.names);
        self.end_turn(lease);
        self.keep_waiting();
        released.map_err(|fault| fault.into_error(Operation::Release, &lease.path))
    }

    /// Gives the kernel lock to the next in line without giving it to the kernel in between: as the
    /// next grant of a run, else as any other, with a section of its own. Returns the file if nobody
    /// could be served.
    fn hand_over(self: &Arc<Self>, lease: &Lease, file: LockFile) -> Option<LockFile> {
        let somebody_wants_it = {
            let mut state = sync::lock(&self.state);
            if state.exclusive != Some(lease.key) {
                // Shared, or lost.
                return Some(file);
            }
            let wants = state.line.values().next().is_some_and(|first| {
                // From exclusive to shared the kernel lock would be free for a moment.
                first.mode == Mode::Exclusive
            });
            if !wants {
                state.exclusive = None;
            }
            wants
        };
        if !somebody_wants_it {
            return Some(file);
        }
        let now = clock::awake();
        let since = self.turn_goes_on(lease.turn_since, now);
        if since.is_none() {
            self.step_back(now);
        }
        let (claim, since) = {
            let mut state = sync::lock(&self.state);
            // It may have been lost, or nobody may want it any more, since the first look.
            let own = state.exclusive.take_if(|own| *own == lease.key);
            let first = state.line.first_entry();
            let (Some(_), Some(since), Some(first)) = (own, since, first) else {
                return Some(file);
            };
            if first.get().mode != Mode::Exclusive {
                return Some(file);
            }
            let waiter = first.remove();
            state.claimed.insert(waiter.key, Claimed::default());
            // Still this process's: nobody needs to wait in the kernel.
            state.exclusive = Some(waiter.key);
            (Claim { waiter }, since)
        };
        let key = claim.waiter.key;
        let run = lease.grant.next(Moment::now()).filter(|_| claim.waiter.terms == lease.terms);
        let verdict = match run {
            Some(grant) => Ok(Verdict::Granted(grant)),
            None => grant::claim(self, &file, self.wanted(&claim.waiter), Patience::Spin),
        };
        match verdict {
            Ok(Verdict::Granted(grant)) => {
                self.settle_granted_since(claim, grant, file, since);
                self.recheck_wait();
                None
            }
            // What is wrong, if anything, the wait in the kernel will find out.
            Ok(Verdict::Moved | Verdict::GuardBusy) | Err(_) => {
                self.no_longer_exclusive(key);
                self.unclaim(claim);
                Some(file)
            }
        }
    }
}
