//! Acquires a lock: at once if it is free and nobody waits. Otherwise the request is queued or, if
//! it does not want to wait, a thread of the pool makes one full attempt.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::kept::Kept;
use super::{Acquired, Claim, LockEntry, Wait, Waiter};
use crate::error::FaultExt;
use crate::events::Events;
use crate::lease::Lease;
use crate::options::Options;
use crate::queue::Try;
use crate::{Error, Lock, Mode, Operation};
use crate::{pool, queue};
use rootlock_protocol::Fault;
use rootlock_protocol::LockDir;
use rootlock_protocol::grant::{self, Grant, Verdict};
use rootlock_protocol::guard::Patience;
use rootlock_protocol::lockfile::LockFile;
use rootlock_protocol::recover::{self, Attempt};
use rootlock_sys::clock;
use rootlock_sys::sync;

/// The result of an attempt on the fast path.
enum Tried {
    Granted(Lock),
    /// Held, or not a moment for the fast path.
    NotNow,
}

impl LockEntry {
    /// Takes the lock at once if it is free and nobody waits. Otherwise joins the queue or, if the
    /// options say not to wait, makes one full attempt on another thread.
    ///
    /// Does not wait, and on a local file system does not block either.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        path: &Arc<Path>,
        tag: u64,
        mode: Mode,
        options: &Options,
        notify: bool,
        events: Arc<dyn Events>,
    ) -> Result<Acquired, Error> {
        let key = Waiter::new_key();
        let waiter = Waiter {
            key,
            tag,
            path: Arc::clone(path),
            mode,
            terms: options.terms(),
            recover: options.recover,
            gives_way: (mode == Mode::Shared).then(clock::wall),
            waits: options.wait,
            events,
            notified: notify.then(Default::default),
        };
        let error = |fault: Fault| fault.into_error(Operation::Acquire, path);
        if let Some(since) = self.own_turn_since()
            && let Tried::Granted(lock) = self.take_if_free(&waiter, since).map_err(error)?
        {
            return Ok(Acquired::Now(lock));
        }
        if options.wait {
            let (wants, now) = (waiter.wants(), clock::awake());
            self.tell(|queue| queue.enqueue(key, wants, Arc::new(waiter), now));
        } else {
            self.attempt_once(waiter).map_err(error)?;
        }
        Ok(Acquired::Later(Wait::new(self, path, key)))
    }

    /// If a newcomer may try the lock, since when it would be this process's turn.
    fn own_turn_since(&self) -> Option<Duration> {
        let now = clock::awake();
        let Try { since, at_once } = sync::lock(&self.state).queue.may_try(now)?;
        let since = queue::turn(since, now, || match self.others_wait() {
            None if !at_once => Some(false),
            known => known,
        });
        if since.is_none() {
            sync::lock(&self.state).queue.step_back(now);
        }
        since
    }

    /// The fast path: `open` → `try_lock` → a resumed run, or a claim; waits for nothing.
    fn take_if_free(self: &Arc<Self>, waiter: &Waiter, since: Duration) -> Result<Tried, Fault> {
        if waiter.gives_way.is_some_and(|before| self.writers_wait(before)) {
            return Ok(Tried::NotNow);
        }
        let LockDir { dir, names, .. } = &self.files;
        let wanted = waiter.wanted();
        let (grant, file) = loop {
            let kept = self.kept.take();
            let is_kept = kept.is_some();
            let (file, run) = match kept {
                Some(Kept { file, run }) => (file, run),
                None => (LockFile::open(dir, names)?, None),
            };
            if !file.try_lock(names, waiter.mode)? {
                // A file that was not open before is closed again, so that a wait leaves nothing open.
                if is_kept {
                    self.kept.put(Kept { file, run: None });
                }
                return Ok(Tried::NotNow);
            }
            let resumed = run.map_or(Ok(None), |run| run.resume(&self.files, &file, wanted))?;
            let verdict = match resumed {
                Some(grant) => Verdict::Granted(grant),
                None => grant::claim(&self.files, &file, wanted, Patience::Spin)?,
            };
            match verdict {
                Verdict::Granted(grant) => break (grant, file),
                // The file was replaced since its last use: open the new one.
                Verdict::Moved if is_kept => {}
                Verdict::Moved | Verdict::GuardBusy => return Ok(Tried::NotNow),
            }
        };
        self.tell(|queue| queue.took(waiter.key, waiter.mode));
        match self.start_lease(waiter, grant, since, file) {
            Ok(lock) => Ok(Tried::Granted(lock)),
            Err(fault) => {
                self.tell(|queue| queue.ended(waiter.key));
                Err(fault)
            }
        }
    }

    pub(super) fn start_lease(
        self: &Arc<Self>,
        waiter: &Waiter,
        grant: Grant,
        turn_since: Duration,
        file: LockFile,
    ) -> Result<Lock, Fault> {
        Lease::start(Arc::clone(self), waiter, grant, turn_since, file)
            .map(Lock::new)
            .map_err(Fault::io("pthread_create", &self.files.names.lock))
    }

    /// One full attempt, on a thread of the pool.
    fn attempt_once(self: &Arc<Self>, waiter: Waiter) -> Result<(), Fault> {
        let (key, wants, waiter) = (waiter.key, waiter.wants(), Arc::new(waiter));
        sync::lock(&self.state).queue.attempt(key, wants, Arc::clone(&waiter));
        let entry = Arc::clone(self);
        let claim = Claim { key, payload: waiter };
        pool::run(move || entry.make_attempt(claim)).map_err(|error| {
            self.step(|queue| queue.failed(key));
            Fault::io("pthread_create", &self.files.names.lock)(error)
        })
    }

    /// One attempt under the guard, and its consequences. An `inspect` holds the kernel lock for a
    /// moment, but inside a section, so it can't be in the way here.
    pub(super) fn make_attempt(self: &Arc<Self>, claim: Claim) {
        match self.attempt(&claim) {
            Ok(Attempt::Granted { grant, file }) => self.settle_new(claim, grant, file),
            Ok(Attempt::TookOver { grant, file, from }) => {
                self.log_takeover(&claim.payload, grant.token, from);
                self.settle_new(claim, grant, file);
            }
            Ok(Attempt::Held) => self.not_granted(&claim),
            Ok(Attempt::GuardBusy) => {
                if claim.payload.waits {
                    let busy = std::io::Error::other("another process is stopped inside the guard");
                    self.note_refusal(
                        &claim.payload,
                        Fault::io("flock", &self.files.names.guard)(busy),
                    );
                }
                self.not_granted(&claim);
            }
            Ok(Attempt::Refused(fault)) => {
                self.note_refusal(&claim.payload, fault);
                self.not_granted(&claim);
            }
            Err(fault) => self.settle_fault(&claim, fault),
        }
    }

    fn not_granted(self: &Arc<Self>, claim: &Claim) {
        if claim.payload.waits { self.requeue(claim.key) } else { self.settle_held(claim) }
    }

    fn attempt(&self, claim: &Claim) -> Result<Attempt, Fault> {
        let waiter = &claim.payload;
        recover::attempt(&self.files, waiter.wanted(), |stat, looked, ledger| {
            // Recorded even if this request may not take over: the whole process uses the watch.
            self.judge(stat, looked, ledger, waiter.terms).expired && waiter.recover
        })
    }
}
