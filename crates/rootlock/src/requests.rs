//! The requests of one user, from the call that asks for a lock to the one that releases it: a pure
//! state machine like the [queue](crate::queue), which a request joins once its directory is open.
//!
//! ```text
//!   ask ─▶ opening ─ begin ─▶ asking ─ waits ─▶ waiting ─ granted ─▶ held ─ release ─▶ (gone)
//!            │                  └───── granted ───────────────────────▲
//!            └ cancel: gone, told at once. Later: told when nothing of it is left.
//! ```
//!
//! The work of opening or asking that may block is done by one thread for each line, so that
//! whoever calls first is served first.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// The name that a user gives a request.
pub(crate) type Tag = u64;

enum Stage<Wait, Lock> {
    /// Its directory is being opened, or will be; nothing has been touched yet.
    Opening,
    /// A thread is taking the lock or joining the queue, and may be creating files.
    Asking {
        /// No longer wanted.
        cancelled: bool,
    },
    Waiting(Wait),
    Held(Lock),
}

/// What a cancellation requires.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cancel<Wait> {
    /// Tell the user: nothing of it is left.
    Tell,
    /// Cancel the wait, which tells the user.
    Wait(Wait),
    /// [`Requests::give_up`] in a while: the asking thread tells the user first, unless it hangs.
    GiveUpLater,
    /// It has ended.
    Nothing,
}

#[derive(Debug)]
pub(crate) enum Granted<Lock> {
    Kept,
    /// It was cancelled: release the lock, then tell the user.
    Cancelled(Lock),
    /// The user is gone, or was told long ago: release the lock.
    Unwanted(Lock),
}

pub(crate) struct Requests<Line, Job, Wait, Lock> {
    stages: HashMap<Tag, Stage<Wait, Lock>>,
    /// The lines that a thread works on, with the jobs still to do.
    lines: HashMap<Line, VecDeque<(Tag, Job)>>,
    /// The user is gone: what is granted now is given back.
    closed: bool,
}

impl<Line: Eq + Hash, Job, Wait: Clone, Lock> Requests<Line, Job, Wait, Lock> {
    pub(crate) fn new() -> Self {
        Self { stages: HashMap::new(), lines: HashMap::new(), closed: false }
    }

    pub(crate) fn ask(&mut self, tag: Tag) {
        if !self.closed {
            self.stages.insert(tag, Stage::Opening);
        }
    }

    /// Whether a thread works on a line: then nobody may overtake. The line's name is computed only
    /// if needed.
    pub(crate) fn is_busy(&self, line: impl FnOnce() -> Line) -> bool {
        !self.lines.is_empty() && self.lines.contains_key(&line())
    }

    /// Appends to a line. Returns whether no thread works on it: then the caller must see to it
    /// that a thread does the jobs from [`Requests::next`] until there are none.
    #[must_use]
    pub(crate) fn line_up(&mut self, line: Line, tag: Tag, job: Job) -> bool {
        let idle = !self.lines.contains_key(&line);
        self.lines.entry(line).or_default().push_back((tag, job));
        idle
    }

    /// The next job in a line; `None` ends the line.
    pub(crate) fn next(&mut self, line: &Line) -> Option<(Tag, Job)> {
        let jobs = self.lines.get_mut(line)?;
        while let Some((tag, job)) = jobs.pop_front() {
            // Opens nothing for a request that has left.
            if matches!(self.stages.get(&tag), Some(Stage::Opening)) {
                return Some((tag, job));
            }
        }
        self.lines.remove(line);
        None
    }

    /// The directory is open: whether to ask for the lock.
    pub(crate) fn begin(&mut self, tag: Tag) -> bool {
        match self.stages.get_mut(&tag) {
            Some(stage @ Stage::Opening) => {
                *stage = Stage::Asking { cancelled: false };
                true
            }
            _ => false,
        }
    }

    /// The lock was not free, and the request is queued. Returns the wait if it is to be cancelled.
    pub(crate) fn waits(&mut self, tag: Tag, wait: Wait) -> Option<Wait> {
        match self.stages.get_mut(&tag) {
            Some(stage @ (Stage::Opening | Stage::Asking { .. })) => {
                let cancelled = matches!(stage, Stage::Asking { cancelled: true });
                *stage = Stage::Waiting(wait.clone());
                cancelled.then_some(wait)
            }
            // Settled already.
            Some(_) => None,
            // Given up; or settled already, and then there is nothing left to cancel.
            None => Some(wait),
        }
    }

    pub(crate) fn granted(&mut self, tag: Tag, lock: Lock) -> Granted<Lock> {
        match self.stages.get_mut(&tag) {
            Some(Stage::Asking { cancelled: true }) => {
                self.stages.remove(&tag);
                Granted::Cancelled(lock)
            }
            Some(stage) => {
                *stage = Stage::Held(lock);
                Granted::Kept
            }
            None => Granted::Unwanted(lock),
        }
    }

    /// Whether to tell the user.
    pub(crate) fn failed(&mut self, tag: Tag) -> bool {
        self.stages.remove(&tag).is_some()
    }

    pub(crate) fn cancel(&mut self, tag: Tag) -> Cancel<Wait> {
        match self.stages.get_mut(&tag) {
            Some(Stage::Opening) => {
                self.stages.remove(&tag);
                Cancel::Tell
            }
            Some(Stage::Asking { cancelled }) => {
                if std::mem::replace(cancelled, true) {
                    Cancel::Nothing
                } else {
                    Cancel::GiveUpLater
                }
            }
            Some(Stage::Waiting(wait)) => Cancel::Wait(wait.clone()),
            // Granted: the user gives it back on hearing of it.
            Some(Stage::Held(_)) | None => Cancel::Nothing,
        }
    }

    /// The thread that asks for a cancelled request has had its time: whether to tell the user
    /// without it. What it brings later is given back.
    pub(crate) fn give_up(&mut self, tag: Tag) -> bool {
        let hangs = matches!(self.stages.get(&tag), Some(Stage::Asking { cancelled: true }));
        if hangs {
            self.stages.remove(&tag);
        }
        hangs
    }

    /// Whether the request may still be granted at once, fail or wait.
    pub(crate) fn is_opening(&self, tag: Tag) -> bool {
        matches!(self.stages.get(&tag), Some(Stage::Opening | Stage::Asking { .. }))
    }

    /// A request's wait, if it is queued.
    pub(crate) fn waiting(&self, tag: Tag) -> Option<&Wait> {
        match self.stages.get(&tag) {
            Some(Stage::Waiting(wait)) => Some(wait),
            _ => None,
        }
    }

    /// A request's lock, if it is held.
    pub(crate) fn held(&self, tag: Tag) -> Option<&Lock> {
        match self.stages.get(&tag) {
            Some(Stage::Held(lock)) => Some(lock),
            _ => None,
        }
    }

    pub(crate) fn all_waiting(&self) -> impl Iterator<Item = (Tag, &Wait)> {
        self.stages.iter().filter_map(|(tag, stage)| match stage {
            Stage::Waiting(wait) => Some((*tag, wait)),
            _ => None,
        })
    }

    /// A wait goes on in another place of the line.
    pub(crate) fn moved(&mut self, tag: Tag, to: Wait) {
        if let Some(Stage::Waiting(wait)) = self.stages.get_mut(&tag) {
            *wait = to;
        }
    }

    pub(crate) fn all_held(&self) -> impl Iterator<Item = &Lock> {
        self.stages.values().filter_map(|stage| match stage {
            Stage::Held(lock) => Some(lock),
            _ => None,
        })
    }

    /// The user is told nothing more of a request: what is to be cancelled and released of it.
    pub(crate) fn abandon(&mut self, tag: Tag) -> (Option<Wait>, Option<Lock>) {
        match self.stages.remove(&tag) {
            Some(Stage::Waiting(wait)) => (Some(wait), None),
            Some(Stage::Held(lock)) => (None, Some(lock)),
            // Whoever opens or asks finds nobody who wants it.
            Some(Stage::Opening | Stage::Asking { .. }) | None => (None, None),
        }
    }

    pub(crate) fn release(&mut self, tag: Tag) -> Option<Lock> {
        self.held(tag)?;
        match self.stages.remove(&tag) {
            Some(Stage::Held(lock)) => Some(lock),
            _ => None,
        }
    }

    /// The user is gone. Cancel the waits before releasing the locks, or each lock would go on to
    /// the next wait.
    pub(crate) fn close(&mut self) -> (Vec<Wait>, Vec<Lock>) {
        self.closed = true;
        let (mut waits, mut locks) = (Vec::new(), Vec::new());
        for stage in std::mem::take(&mut self.stages).into_values() {
            match stage {
                Stage::Waiting(wait) => waits.push(wait),
                Stage::Held(lock) => locks.push(lock),
                Stage::Opening | Stage::Asking { .. } => {}
            }
        }
        (waits, locks)
    }
}

#[cfg(test)]
mod tests;
