//! The line of those who wait: who is next, who leaves, who is told what.

use std::path::Path;
use std::sync::Arc;

use super::{Site, State};
use crate::events::{Details, Events, Level};
use crate::hands::{self, Then};
use crate::kernel_wait::KernelWait;
use crate::options::Terms;
use crate::sync::{self, Mutex};
use crate::{Error, ErrorKind, Holder, Lock, Mode};

#[derive(Clone, Copy, Default)]
pub(super) struct Claimed {
    /// The grant is made by the thread that waits in the kernel, which may be blocked again.
    pub(super) by_wait: bool,
    /// Not wanted any more: whoever makes the grant gives it back.
    pub(super) gone: bool,
}

/// Somebody who wants the lock.
pub(crate) struct Waiter {
    /// Its place in line; unique in the process.
    pub(crate) key: u64,
    /// What its [`Events`] know it by.
    pub(crate) tag: u64,
    /// The root's path as this one gave it, for messages only.
    pub(crate) path: Arc<Path>,
    pub(crate) mode: Mode,
    pub(crate) terms: Terms,
    pub(super) recover: bool,
    pub(crate) events: Arc<dyn Events>,
    /// Whether it was told that it waits; `None` when it does not want to hear of it.
    pub(super) told: Option<Arc<Mutex<bool>>>,
}

/// A waiter taken out of line for a grant. It goes back by [`Site::unclaim`] or is settled.
pub(crate) struct Claim {
    pub(crate) waiter: Waiter,
}

/// What the thread that waits in the kernel does next.
pub(crate) enum Next {
    Wait(Mode),
    Leave,
}

impl Site {
    /// What the thread of `wait` does next.
    pub(crate) fn next_for(&self, wait: &Arc<KernelWait>) -> Next {
        let mut state = sync::lock(&self.state);
        if !state.is_current(wait) {
            return Next::Leave;
        }
        match state.line.first_key_value() {
            Some((_, waiter)) if state.exclusive.is_none() => Next::Wait(waiter.mode),
            _ => {
                state.kernel = None;
                Next::Leave
            }
        }
    }

    /// Takes the first in line out of it, if it is one that the caller can serve.
    pub(crate) fn claim_first(
        &self,
        wait: Option<&Arc<KernelWait>>,
        fits: impl FnOnce(&Waiter) -> bool,
    ) -> Option<Claim> {
        let mut state = sync::lock(&self.state);
        if wait.is_some_and(|wait| !state.is_current(wait)) {
            return None;
        }
        let first = state.line.first_entry().filter(|first| fits(first.get()))?;
        let waiter = first.remove();
        state.claimed.insert(waiter.key, Claimed { by_wait: wait.is_some(), gone: false });
        Some(Claim { waiter })
    }

    pub(super) fn claim_new(&self, waiter: Waiter) -> Claim {
        sync::lock(&self.state).claimed.insert(waiter.key, Claimed::default());
        Claim { waiter }
    }

    /// Puts a waiter back where it was, or lets it go.
    pub(crate) fn unclaim(self: &Arc<Self>, claim: Claim) {
        let gone = {
            let mut state = sync::lock(&self.state);
            let gone = state.end_claim(&claim.waiter);
            if gone {
                state.leaving.push(claim.waiter);
            } else {
                state.line.insert(claim.waiter.key, claim.waiter);
            }
            gone
        };
        if gone {
            self.see_off_soon();
        }
        self.keep_waiting();
    }

    /// Whether a claimed waiter has left meanwhile.
    pub(crate) fn is_cancelled(&self, claim: &Claim) -> bool {
        sync::lock(&self.state).claimed.get(&claim.waiter.key).is_some_and(|claimed| claimed.gone)
    }

    /// Ends a wait. Its end is told as for every other wait, when nothing of it is left.
    pub(crate) fn cancel(self: &Arc<Self>, key: u64) {
        let (wait, see_off) = {
            let mut state = sync::lock(&self.state);
            if let Some(claimed) = state.claimed.get_mut(&key) {
                claimed.gone = true;
                // It may be waiting for the guard.
                let by_wait = claimed.by_wait;
                (state.kernel.clone().filter(|_| by_wait), false)
            } else if let Some(waiter) = state.line.remove(&key) {
                state.leaving.push(waiter);
                // The wait in the kernel goes on for the next; if there is none, it ends first.
                match &state.kernel {
                    Some(wait) if !state.serves_first(wait) => {
                        (Some(Arc::clone(wait)), !state.line.is_empty())
                    }
                    _ => (None, true),
                }
            } else {
                return;
            }
        };
        if let Some(wait) = wait {
            wait.stop(self);
        }
        if see_off {
            self.see_off_soon();
        }
    }

    /// Gives up on a thread that no signal brings back: those who left are told, those in line get
    /// another thread. When the kernel lets the old one go, it gives back what it was granted.
    pub(crate) fn abandon(self: &Arc<Self>, wait: &Arc<KernelWait>) {
        {
            let mut state = sync::lock(&self.state);
            if !state.is_current(wait) {
                return;
            }
            state.kernel = None;
        }
        self.see_off_soon();
        self.keep_waiting();
    }

    pub(super) fn see_off_soon(self: &Arc<Self>) {
        let site = Arc::clone(self);
        if hands::run(Then::Linger, move || site.see_off()).is_err() {
            self.see_off();
        }
    }

    /// Tells those who left, with what is known of the holder.
    pub(crate) fn see_off(&self) {
        let leaving = std::mem::take(&mut sync::lock(&self.state).leaving);
        if leaving.is_empty() {
            return;
        }
        let holder = self.last_known_holder();
        for waiter in leaving {
            let error = self.error(&waiter, ErrorKind::Cancelled, holder.clone());
            waiter.settle(holder.as_ref(), Err(error));
        }
    }

    pub(super) fn tell_those_in_line(&self) {
        let told: Vec<_> = {
            let state = sync::lock(&self.state);
            let waiting = state.line.values();
            waiting.filter_map(|waiter| waiter.teller()).collect()
        };
        if told.is_empty() {
            return;
        }
        let holder = self.find_holder();
        for tell in told {
            tell(holder.as_ref());
        }
    }
}

impl State {
    /// Whether the waiter left meanwhile.
    pub(super) fn end_claim(&mut self, waiter: &Waiter) -> bool {
        self.claimed.remove(&waiter.key).is_some_and(|claimed| claimed.gone)
    }

    fn is_current(&self, wait: &Arc<KernelWait>) -> bool {
        self.kernel.as_ref().is_some_and(|current| Arc::ptr_eq(current, wait))
    }

    /// Whether what the thread waits for is what the first in line wants.
    fn serves_first(&self, wait: &KernelWait) -> bool {
        match (self.line.values().next(), wait.waits_for()) {
            (Some(first), Some((_, mode))) => first.mode == mode,
            // It is about to look at the line anyway.
            (Some(_), None) => true,
            (None, _) => false,
        }
    }
}

impl Waiter {
    pub(super) fn log(&self, level: Level, message: &str, details: &Details) {
        self.events.log(self.tag, level, message, details);
    }

    /// Tells, once, that the lock was not free.
    fn teller(&self) -> Option<impl FnOnce(Option<&Holder>) + use<>> {
        let told = Arc::clone(self.told.as_ref()?);
        let (events, tag) = (Arc::clone(&self.events), self.tag);
        Some(move |holder: Option<&Holder>| {
            // Locked while it is told, so that nobody settles the wait before.
            let mut told = sync::lock(&told);
            if !std::mem::replace(&mut *told, true) {
                events.waiting(tag, holder);
            }
        })
    }

    pub(super) fn settle(self, holder: Option<&Holder>, result: Result<Lock, Error>) {
        if let Some(tell) = self.teller() {
            tell(holder);
        }
        self.events.settled(self.tag, result);
    }
}
