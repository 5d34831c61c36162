//! The requests of one user, from the call that asks to the one that releases: a pure state machine
//! like the [queue](crate::queue), which a request passes through once its directory is open.
//!
//! ```text
//!   ask ─▶ opening ─ begin ─▶ asking ─ waits ─▶ waiting ─ granted ─▶ held ─ release ─▶ (gone)
//!            │                  └───── granted ───────────────────────▲
//!            └ cancel: gone, told at once. Later: told when nothing of it is left.
//! ```
//!
//! What may block in opening or asking is done by one thread for each line, so that whoever calls
//! first is first.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// What a user calls a request.
pub(crate) type Tag = u64;

enum Stage<Wait, Lock> {
    /// Its directory is being opened, or will be; nothing was touched yet.
    Opening,
    /// A thread is taking the lock or getting in line, and may be making files.
    Asking {
        /// Not wanted any more.
        cancelled: bool,
    },
    Waiting(Wait),
    Held(Lock),
}

/// What a cancellation asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cancel<Wait> {
    /// Tell the user: nothing of it is left.
    Tell,
    /// Cancel the wait, which tells.
    Wait(Wait),
    /// [`Requests::give_up`] in a while: the thread that asks tells before, unless it hangs.
    GiveUpLater,
    /// It has ended.
    Nothing,
}

/// What became of a grant.
#[derive(Debug)]
pub(crate) enum Granted<Lock> {
    Kept,
    /// It was cancelled: release the lock, then tell.
    Cancelled(Lock),
    /// The user is gone, or was told long ago: release the lock.
    Unwanted(Lock),
}

pub(crate) struct Requests<Line, Job, Wait, Lock> {
    stages: HashMap<Tag, Stage<Wait, Lock>>,
    /// The lines in which a thread works, with what it still has to do.
    lines: HashMap<Line, VecDeque<(Tag, Job)>>,
    /// The user is gone: what comes now is given back.
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

    /// Whether somebody works in a line: then nobody may overtake. Its name is only asked for if
    /// that can be.
    pub(crate) fn is_busy(&self, line: impl FnOnce() -> Line) -> bool {
        !self.lines.is_empty() && self.lines.contains_key(&line())
    }

    /// Adds to a line. Whether nobody works there: then the caller has to see to it that somebody
    /// does what [`Requests::next`] has, until that is nothing.
    #[must_use]
    pub(crate) fn line_up(&mut self, line: Line, tag: Tag, job: Job) -> bool {
        let idle = !self.lines.contains_key(&line);
        self.lines.entry(line).or_default().push_back((tag, job));
        idle
    }

    /// The next in a line; `None` ends the line.
    pub(crate) fn next(&mut self, line: &Line) -> Option<(Tag, Job)> {
        let jobs = self.lines.get_mut(line)?;
        while let Some((tag, job)) = jobs.pop_front() {
            // Nothing is opened for somebody who has left.
            if matches!(self.stages.get(&tag), Some(Stage::Opening)) {
                return Some((tag, job));
            }
        }
        self.lines.remove(line);
        None
    }

    /// The directory is open: whether the lock is to be asked for.
    pub(crate) fn begin(&mut self, tag: Tag) -> bool {
        match self.stages.get_mut(&tag) {
            Some(stage @ Stage::Opening) => {
                *stage = Stage::Asking { cancelled: false };
                true
            }
            _ => false,
        }
    }

    /// The lock was not free, and the request is in the queue: the wait, if it is to be cancelled.
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

    /// Whether the user is to be told.
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
            // Granted: the user gives it back when it hears of it.
            Some(Stage::Held(_)) | None => Cancel::Nothing,
        }
    }

    /// The thread that asks for a cancelled request has had its time: whether the user is to be
    /// told without it. What comes of it later is given back.
    pub(crate) fn give_up(&mut self, tag: Tag) -> bool {
        let hangs = matches!(self.stages.get(&tag), Some(Stage::Asking { cancelled: true }));
        if hangs {
            self.stages.remove(&tag);
        }
        hangs
    }

    /// Whether it is not known yet what a request comes to.
    pub(crate) fn is_opening(&self, tag: Tag) -> bool {
        matches!(self.stages.get(&tag), Some(Stage::Opening | Stage::Asking { .. }))
    }

    /// The wait of a request, if that is in line.
    pub(crate) fn waiting(&self, tag: Tag) -> Option<&Wait> {
        match self.stages.get(&tag) {
            Some(Stage::Waiting(wait)) => Some(wait),
            _ => None,
        }
    }

    /// The lock of a request, if that is held.
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

    /// The user is gone. The waits are to be cancelled before the locks are released, or each lock
    /// would go on to the next of them.
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
