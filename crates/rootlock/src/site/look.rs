//! Looking at what is waited for: the watch, the takeover when its time has come, and who the holder is.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Site, line::Claim, line::Claimed};
use crate::error::Fault;
use crate::events::{Details, Level};
use crate::hands::{self, Then};
use crate::heart::{self, Timer};
use crate::holder::Process;
use crate::ledger::{Ledger, Record};
use crate::options::Terms;
use crate::recover::Attempt;
use crate::sync;
use crate::sys::{Locality, Stat, clock, process};
use crate::watch::{self, Promise, Sighting, Watch};
use crate::{Holder, Mode};

/// When a waiter first looks at what it waits for: most waits are over by then.
pub(super) const FIRST_LOOK: Duration = Duration::from_millis(100);

/// What a look came to.
pub(super) struct Judgement {
    /// The lock may be taken over now.
    pub(super) over: bool,
    /// For how long it must be watched unchanged, as it looks now.
    pub(super) needed: Duration,
}

impl Site {
    /// Looks on a hand; the heart itself touches no file.
    pub(crate) fn look_soon(self: Arc<Self>) {
        let site = Arc::clone(&self);
        if hands::run(Then::Linger, move || site.look()).is_err() {
            self.look_later(FIRST_LOOK);
        }
    }

    fn look_later(self: &Arc<Self>, after: Duration) {
        if heart::set(clock::awake() + after, Timer::Look(Arc::clone(self))).is_err() {
            sync::lock(&self.state).looking = false;
        }
    }

    /// Looks at what is waited for, and takes it over when its time has come.
    fn look(self: &Arc<Self>) {
        let (terms, recoverer, wait, own) = {
            let mut state = sync::lock(&self.state);
            let Some(terms) = state.line.values().next().map(|first| first.terms) else {
                state.looking = false;
                return;
            };
            let recoverer = state.line.values().find(|waiter| waiter.recover);
            let recoverer = recoverer.map(|waiter| (waiter.key, waiter.terms));
            (terms, recoverer, state.kernel.clone(), state.exclusive.is_some())
        };
        let mut needed = terms.stale;
        let looked = clock::awake();
        // An error here is one of the wait's too, and it is the wait that reports it.
        if let Ok(seen) = self.dir.stat(&self.names.lock) {
            if let Some(wait) = wait {
                wait.skip_queue(self);
                let moved = wait
                    .waits_for()
                    .is_some_and(|(file, _)| seen.as_ref().is_none_or(|stat| stat.id != file));
                if moved {
                    // It waits for a file that has no name any more.
                    wait.stop(self);
                }
            }
            if let (Some(stat), Some((key, terms)), false) = (seen, recoverer, own) {
                let ledger = self.guard.peek(&self.dir, &self.names);
                if self.locality == Locality::Remote {
                    sync::lock(&self.state).holder = crate::inspect::holder(&stat, &ledger);
                }
                let judgement = self.judge(&stat, looked, &ledger, terms);
                needed = judgement.needed;
                if judgement.over {
                    self.recover(key);
                }
            }
        }
        self.look_later(watch::interval(needed));
    }

    /// Judges what was seen at `looked` or after, for a contender with `terms`.
    pub(super) fn judge(
        &self,
        stat: &Stat,
        looked: Duration,
        ledger: &Ledger,
        terms: Terms,
    ) -> Judgement {
        let age = clock::wall() - stat.modified;
        let holder = ledger.of(stat.id).map(|record| Promise {
            terms: record.terms,
            // A release does not clear the record: the lock may be another program's by now. Only
            // asked when it matters.
            is_holders: watch::is_old(terms, record.terms, age)
                && crate::inspect::is_holders(record, stat),
        });
        let needed = watch::needed(terms, holder, age);
        let sighting = Sighting::from(stat);
        let watched = {
            let mut watch = sync::lock(&self.watch);
            let watch = watch.get_or_insert_with(|| Watch::begin(sighting, looked));
            watch.look(sighting, looked, needed);
            watch.watched()
        };
        Judgement { over: watched >= needed || self.is_orphan(stat, ledger), needed }
    }

    /// Whether the lock is held by nobody but a descriptor that its dead holder left to a child:
    /// proof needs no watch. The ledger alone is none, because a program that keeps no ledger may
    /// have locked the file since; the kernel must name the same process.
    fn is_orphan(&self, stat: &Stat, ledger: &Ledger) -> bool {
        let record = ledger.of(stat.id).filter(|record| record.mode == Mode::Exclusive);
        record.and_then(Record::process).filter(Process::is_gone).is_some_and(|dead| {
            process::lock_owners(stat.id)
                .is_some_and(|owners| owners == [(dead.pid, Mode::Exclusive)])
        })
    }

    fn recover(self: &Arc<Self>, key: u64) {
        let claim = {
            let mut state = sync::lock(&self.state);
            let Some(waiter) = state.line.remove(&key) else { return };
            state.claimed.insert(key, Claimed::default());
            Claim { waiter }
        };
        match self.attempt(&claim) {
            Ok(Attempt::Granted { grant, file }) => {
                self.settle_granted(claim, grant, file);
                self.recheck_wait();
            }
            Ok(Attempt::TookOver { grant, file, from }) => {
                self.log_takeover(&claim, grant.token, from);
                self.settle_granted(claim, grant, file);
                self.recheck_wait();
            }
            Ok(Attempt::Held) => self.unclaim(claim),
            Ok(Attempt::GuardBusy) => {
                let busy = std::io::Error::other("another process is stopped inside the guard");
                self.note_refusal(&claim, Fault::io("flock", &self.names.guard)(busy));
                self.unclaim(claim);
            }
            Ok(Attempt::Refused(fault)) => {
                self.note_refusal(&claim, fault);
                self.unclaim(claim);
            }
            Err(fault) => {
                self.settle_fault(claim, fault);
                self.recheck_wait();
            }
        }
    }

    /// Makes the wait in the kernel look again whom it serves.
    pub(super) fn recheck_wait(self: &Arc<Self>) {
        let wait = sync::lock(&self.state).kernel.clone();
        if let Some(wait) = wait {
            wait.stop(self);
        }
    }

    /// What every message of a lock has, for one who came by this path.
    pub(crate) fn details(&self, path: &Path) -> Details {
        Details::default().with("path", &path.join(&*self.names.lock).to_string_lossy())
    }

    pub(super) fn log_takeover(&self, claim: &Claim, token: u64, from: Option<Holder>) {
        let mut details = self.details(&claim.waiter.path).with("token", &token.to_string());
        if let Some(from) = from {
            details = details.with("from", &from.to_string());
        }
        claim.waiter.log(Level::Warn, crate::events::TOOK_OVER, &details);
    }

    /// Logged once for as long as the reason stays the same; told again in the error.
    pub(super) fn note_refusal(&self, claim: &Claim, fault: Fault) {
        let reason = fault.to_string();
        {
            let mut state = sync::lock(&self.state);
            if state.refusal.as_ref().is_some_and(|before| before.to_string() == reason) {
                return;
            }
            state.refusal = Some(Arc::new(fault));
        }
        let details = self.details(&claim.waiter.path).with("reason", &reason);
        claim.waiter.log(Level::Warn, "could not take over a stale lock", &details);
    }

    /// Who holds the lock just now, as far as can be told. Reads files.
    pub(super) fn find_holder(&self) -> Option<Holder> {
        self.find_holder_by(crate::inspect::holder)
    }

    fn find_holder_by(&self, who: impl FnOnce(&Stat, &Ledger) -> Option<Holder>) -> Option<Holder> {
        let stat = self.dir.stat(&self.names.lock).ok()??;
        let ledger = self.guard.peek(&self.dir, &self.names);
        let holder = who(&stat, &ledger);
        sync::lock(&self.state).holder.clone_from(&holder);
        holder
    }

    /// The same for somebody who wants to go: where looking may take for ever, who it was when
    /// somebody last looked.
    pub(super) fn last_known_holder(&self) -> Option<Holder> {
        let (known, own) = {
            let state = sync::lock(&self.state);
            (state.holder.clone(), state.exclusive.is_some())
        };
        match self.locality {
            Locality::Local => {
                self.find_holder_by(|stat, ledger| crate::inspect::likely_holder(stat, ledger, own))
            }
            Locality::Remote => known,
        }
    }
}
