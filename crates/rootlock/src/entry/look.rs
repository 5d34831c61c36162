//! Looks at a lock that requests wait for: watches it, takes it over when it is stale, and finds
//! its holder.

use std::sync::Arc;
use std::time::Duration;

use rootlock_protocol::expiry::{self, Judgement};
use rootlock_protocol::inspect;
use rootlock_protocol::ledger::Ledger;
use rootlock_protocol::{Fault, LockDir, Terms, watch};
use rootlock_sys::{FileId, KernelLock, Locality, Nanos, Stat, clock, process, sync};

use super::{LockEntry, State, Waiter};
use crate::events::Level;
use crate::queue::{Look, LookFor};
use crate::timer::{self, TimerKey};
use crate::{Holder, Mode, pool};

/// When a waiter first looks at the lock: most waits are over by then.
pub(super) const FIRST_LOOK: Duration = Duration::from_millis(100);

/// The timer for the next look, and when it is due. It may fire too early: one timer for each wait
/// would cost more than most waits.
pub(super) type LookTimer = Option<TimerKey>;

impl LockEntry {
    /// Keeps a timer that fires no later than the next look is due.
    pub(super) fn keep_look_timer(self: &Arc<Self>, state: &mut State) {
        match (state.queue.look(), state.look_timer) {
            (Look::At(due), None) => self.set_look_timer(state, due),
            (Look::At(due), Some(key)) if due < key.0 => {
                timer::clear(key);
                self.set_look_timer(state, due);
            }
            // A timer that is due soon may serve the next wait.
            (Look::Never, Some(key)) if key.0 > clock::awake() + FIRST_LOOK => {
                timer::clear(key);
                state.look_timer = None;
            }
            _ => {}
        }
    }

    fn set_look_timer(self: &Arc<Self>, state: &mut State, due: Duration) {
        // Weak: keeps nothing open for requests that no longer wait.
        let entry = Arc::downgrade(self);
        let look = move |_| {
            if let Some(entry) = entry.upgrade() {
                entry.look_soon();
            }
            None
        };
        // Without the timer nobody looks until the queue changes, which sets it again.
        state.look_timer = timer::set(due, look).ok();
    }

    /// Looks if it is time to, on a thread of the pool: the timer's thread touches no file.
    fn look_soon(self: &Arc<Self>) {
        let now = clock::awake();
        let what = {
            let mut state = sync::lock(&self.state);
            state.look_timer = None;
            let what = state.queue.begin_look(now);
            self.keep_look_timer(&mut state);
            what
        };
        let Some(what) = what else { return };
        let entry = Arc::clone(self);
        if pool::run(move || entry.look(what)).is_err() {
            self.end_look(FIRST_LOOK);
        }
    }

    fn end_look(self: &Arc<Self>, again_after: Duration) {
        let again = clock::awake() + again_after;
        self.tell(|queue| {
            queue.end_look(again);
            Vec::new()
        });
    }

    /// Looks at the lock, and takes it over when its time has come.
    fn look(self: &Arc<Self>, what: LookFor<Arc<Waiter>>) {
        let mut needed = what.first.terms.stale;
        let looked = clock::awake();
        // The wait meets the same error, and reports it.
        if let Ok(seen) = self.files.dir.stat(&self.files.names.lock) {
            let file = seen.as_ref().map(|stat| stat.id);
            let gives_way = what.gives_way.is_some_and(|before| self.gives_way(file, before));
            self.tell(|queue| queue.saw(file, gives_way));
            if let Some((key, waiter)) = what.recoverer {
                let judgement = match seen {
                    Some(stat) => self.judge_seen(&stat, looked, &waiter),
                    None => {
                        expiry::judge_missing(&mut sync::lock(&self.watch), looked, waiter.terms)
                    }
                };
                needed = judgement.needed;
                if judgement.expired {
                    let claim = sync::lock(&self.state).queue.claim_for_takeover(key);
                    if let Some(claim) = claim {
                        self.make_attempt(claim);
                    }
                }
            }
        }
        self.end_look(watch::interval(needed));
    }

    /// Whether a writer goes first that has waited since before that time. One that is stopped does
    /// not: the signal has ended its wait in the kernel, so others need not wait for it.
    fn gives_way(&self, file: Option<FileId>, before: Nanos) -> bool {
        let others = |lock: &KernelLock| {
            lock.waits && lock.mode == Mode::Exclusive && lock.pid != std::process::id()
        };
        let is_waited_for =
            |file| process::kernel_locks(file).is_some_and(|locks| locks.iter().any(others));
        self.writers_wait(before) && file.is_some_and(is_waited_for)
    }

    fn judge_seen(&self, stat: &Stat, looked: Duration, waiter: &Waiter) -> Judgement {
        let LockDir { dir, names, guard, locality, .. } = &self.files;
        let ledger = guard.peek(dir, names);
        if *locality == Locality::Remote {
            sync::lock(&self.state).holder = inspect::holder(stat, &ledger);
        }
        self.judge(stat, looked, &ledger.or_promise(stat), waiter.terms)
    }

    /// Judges what was seen at `looked` or later, for a contender with `terms`.
    pub(super) fn judge(
        &self,
        stat: &Stat,
        looked: Duration,
        ledger: &Ledger,
        terms: Terms,
    ) -> Judgement {
        expiry::judge(&mut sync::lock(&self.watch), stat, looked, ledger, terms)
    }

    pub(super) fn log_takeover(&self, waiter: &Waiter, token: u64, from: Option<Holder>) {
        let mut details = self.details(&waiter.path).with("token", &token.to_string());
        if let Some(from) = from {
            details = details.with("from", &from.to_string());
        }
        waiter.log(Level::Warn, crate::events::TOOK_OVER, &details);
    }

    /// Logged once for as long as the reason stays the same; repeated in the error.
    pub(super) fn note_refusal(&self, waiter: &Waiter, fault: Fault) {
        let reason = fault.to_string();
        {
            let mut state = sync::lock(&self.state);
            if state.refusal.as_ref().is_some_and(|before| before.to_string() == reason) {
                return;
            }
            state.refusal = Some(Arc::new(fault));
        }
        let details = self.details(&waiter.path).with("reason", &reason);
        waiter.log(Level::Warn, "could not take over a stale lock", &details);
    }

    /// The lock's present holder, as far as can be told. Reads files.
    pub(super) fn find_holder(&self) -> Option<Holder> {
        self.find_holder_by(inspect::holder)
    }

    fn find_holder_by(&self, who: impl FnOnce(&Stat, &Ledger) -> Option<Holder>) -> Option<Holder> {
        let stat = self.files.dir.stat(&self.files.names.lock).ok()??;
        let ledger = self.files.guard.peek(&self.files.dir, &self.files.names);
        let holder = who(&stat, &ledger);
        sync::lock(&self.state).holder.clone_from(&holder);
        holder
    }

    /// The same for a request that is leaving: where looking may take forever, the holder that the
    /// last look found; and for a lock of this process its own record, without asking the kernel.
    pub(super) fn last_known_holder(&self) -> Option<Holder> {
        let (known, own) = {
            let state = sync::lock(&self.state);
            (state.holder.clone(), state.queue.is_own())
        };
        match self.files.locality {
            Locality::Local if own => self.find_holder_by(inspect::recorded_holder),
            Locality::Local => self.find_holder(),
            Locality::Remote => known,
        }
    }
}
