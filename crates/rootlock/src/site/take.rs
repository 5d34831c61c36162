//! Taking a lock: at once if it is free and nobody waits, else in line, or by one thorough attempt on
//! another thread, as the options say.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Site, line::Claim, line::Waiter, look::FIRST_LOOK};
use crate::error::Fault;
use crate::events::Events;
use crate::grant::{self, Grant, Verdict, Wanted};
use crate::guard::Patience;
use crate::hands::{self, Then};
use crate::heart::{self, Timer};
use crate::kernel_wait::{self, KernelWait};
use crate::lease::Lease;
use crate::lockfile::LockFile;
use crate::options::Options;
use crate::recover::{self, Attempt};
use crate::root::{Acquired, Wait};
use crate::sync;
use crate::sys::clock;
use crate::{Error, ErrorKind, Lock, Mode, Operation};

impl Site {
    /// Takes the lock at once if it is free and nobody waits; else gets in line, or makes one
    /// thorough attempt on another thread, as the options say.
    ///
    /// Does not wait. On a local file system it does not block either.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        tag: u64,
        path: &Arc<Path>,
        mode: Mode,
        options: &Options,
        tell: bool,
        events: Arc<dyn Events>,
    ) -> Result<Acquired, Error> {
        static KEYS: AtomicU64 = AtomicU64::new(0);
        let key = KEYS.fetch_add(1, Ordering::Relaxed);
        let waiter = Waiter {
            key,
            tag,
            path: Arc::clone(path),
            mode,
            terms: options.terms(),
            recover: options.recover,
            events,
            told: tell.then(Arc::default),
        };
        let waiter = match self.is_quiet() {
            Some(since) => match self.take_if_free(waiter, since)? {
                Ok(lock) => return Ok(Acquired::Now(lock)),
                Err(waiter) => waiter,
            },
            None => waiter,
        };
        if options.wait { self.wait_in_line(waiter) } else { self.try_once(waiter) }
            .map(|()| Acquired::Later(Wait::new(self, path, key)))
            .map_err(|fault| fault.into_error(Operation::Acquire, path))
    }

    /// The fast path: `open` → `try_lock` → claim, without patience for anything.
    fn take_if_free(
        self: &Arc<Self>,
        waiter: Waiter,
        since: Duration,
    ) -> Result<Result<Lock, Waiter>, Error> {
        let attempt = || -> Result<Option<(Grant, LockFile)>, Fault> {
            let file = LockFile::open(&self.dir, &self.names)?;
            if !file.try_lock(&self.names, waiter.mode)? {
                return Ok(None);
            }
            match grant::claim(self, &file, self.wanted(&waiter), Patience::Spin)? {
                Verdict::Granted(grant) => Ok(Some((grant, file))),
                // Not a moment for the fast path.
                Verdict::Moved | Verdict::GuardBusy => Ok(None),
            }
        };
        let error = |fault: Fault| fault.into_error(Operation::Acquire, &waiter.path);
        let Some((grant, file)) = attempt().map_err(error)? else { return Ok(Err(waiter)) };
        if waiter.mode == Mode::Exclusive {
            sync::lock(&self.state).exclusive = Some(waiter.key);
            // Somebody may have begun to wait in the kernel since it was quiet here.
            self.recheck_wait();
        }
        match self.start_lease(&waiter, grant, since, file) {
            Ok(lock) => Ok(Ok(lock)),
            Err(fault) => {
                self.no_longer_exclusive(waiter.key);
                Err(error(fault))
            }
        }
    }

    pub(crate) fn wanted(&self, waiter: &Waiter) -> Wanted {
        let behind = match waiter.mode {
            Mode::Exclusive => sync::lock(&self.state).line.len(),
            // Readers are not served from one another's hand.
            Mode::Shared => 0,
        };
        Wanted { mode: waiter.mode, terms: waiter.terms, behind }
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
            .map_err(Fault::io("pthread_create", &self.names.lock))
    }

    fn wait_in_line(self: &Arc<Self>, waiter: Waiter) -> Result<(), Fault> {
        let key = waiter.key;
        let (tell, heartbeat) = (waiter.told.is_some(), waiter.terms.heartbeat);
        let look = {
            let mut state = sync::lock(&self.state);
            state.line.insert(key, waiter);
            !std::mem::replace(&mut state.looking, true)
        };
        let first_look = clock::awake() + FIRST_LOOK.min(heartbeat / 5);
        let fault = |call| Fault::io(call, &self.names.lock);
        let begun = (|| {
            if look {
                heart::set(first_look, Timer::Look(Arc::clone(self)))
                    .map_err(fault("pthread_create"))?;
            }
            if tell {
                let site = Arc::clone(self);
                hands::run(Then::Linger, move || site.tell_those_in_line())
                    .map_err(fault("pthread_create"))?;
            }
            self.wait_if_needed().map_err(fault("pthread_create"))
        })();
        if begun.is_err() {
            let mut state = sync::lock(&self.state);
            if look {
                state.looking = false;
            }
            if state.line.remove(&key).is_none() {
                // Somebody else is already settling it.
                return Ok(());
            }
        }
        begun
    }

    /// Starts the wait in the kernel if somebody needs it and there is none.
    fn wait_if_needed(self: &Arc<Self>) -> std::io::Result<()> {
        let wait = {
            let mut state = sync::lock(&self.state);
            if state.line.is_empty() || state.kernel.is_some() || state.exclusive.is_some() {
                return Ok(());
            }
            let wait = Arc::<KernelWait>::default();
            state.kernel = Some(Arc::clone(&wait));
            wait
        };
        let site = Arc::clone(self);
        let started = hands::run(Then::Linger, {
            let wait = Arc::clone(&wait);
            move || kernel_wait::run(&site, &wait)
        });
        if started.is_err() {
            sync::lock(&self.state).kernel = None;
        }
        started
    }

    /// The same where nobody is there to be told of a failure: whoever is first in line is.
    pub(super) fn keep_waiting(self: &Arc<Self>) {
        while let Err(error) = self.wait_if_needed() {
            self.fail_first(Fault::io("pthread_create", &self.names.lock)(error));
        }
    }

    /// One thorough attempt on a hand.
    fn try_once(self: &Arc<Self>, waiter: Waiter) -> Result<(), Fault> {
        let claim = self.claim_new(waiter);
        let key = claim.waiter.key;
        let site = Arc::clone(self);
        hands::run(Then::Linger, move || site.try_under_guard(claim)).map_err(|error| {
            sync::lock(&self.state).claimed.remove(&key);
            Fault::io("pthread_create", &self.names.lock)(error)
        })
    }

    fn try_under_guard(self: &Arc<Self>, claim: Claim) {
        // Under the guard: who only looks (`inspect`) holds the kernel lock for a moment, but does
        // so in a section, and so can't be in the way here.
        match self.attempt(&claim) {
            Ok(Attempt::Granted { grant, file }) => self.settle_granted(claim, grant, file),
            Ok(Attempt::TookOver { grant, file, from }) => {
                self.log_takeover(&claim, grant.token, from);
                self.settle_granted(claim, grant, file);
            }
            Ok(Attempt::Refused(fault)) => {
                self.note_refusal(&claim, fault);
                self.settle_error(claim, ErrorKind::Held);
            }
            Ok(Attempt::Held | Attempt::GuardBusy) => self.settle_error(claim, ErrorKind::Held),
            Err(fault) => self.settle_fault(claim, fault),
        }
    }

    pub(super) fn attempt(&self, claim: &Claim) -> Result<Attempt, Fault> {
        let Waiter { terms, recover, .. } = claim.waiter;
        let wanted = self.wanted(&claim.waiter);
        recover::attempt(self, wanted, |stat, looked, ledger| {
            // Looked at even by who may not take over: the memory is the process's.
            self.judge(stat, looked, ledger, terms).over && recover
        })
    }
}
