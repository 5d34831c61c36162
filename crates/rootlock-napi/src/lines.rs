//! Jobs in lines: those of one line are done one after the other, in the order in which they came;
//! lines do not wait for each other.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The lines in which somebody works, by name, each with the jobs that are still to be done.
pub(crate) struct Lines<Name, Job>(Mutex<HashMap<Name, VecDeque<Job>>>);

impl<Name: Eq + Hash, Job> Lines<Name, Job> {
    /// Whether somebody works in a line; its name is only asked for if that can be.
    pub(crate) fn is_busy(&self, name: impl FnOnce() -> Name) -> bool {
        let lines = self.lines();
        !lines.is_empty() && lines.contains_key(&name())
    }

    /// Adds a job to its line. Whether nobody works there: then the caller must do what
    /// [`Lines::next`] has, until that is nothing.
    #[must_use]
    pub(crate) fn join(&self, name: Name, job: Job) -> bool {
        let mut lines = self.lines();
        let idle = !lines.contains_key(&name);
        lines.entry(name).or_default().push_back(job);
        idle
    }

    /// The line's next job; `None` ends the line.
    pub(crate) fn next(&self, name: &Name) -> Option<Job> {
        let mut lines = self.lines();
        let job = lines.get_mut(name)?.pop_front();
        if job.is_none() {
            lines.remove(name);
        }
        job
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<Name, VecDeque<Job>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Name, Job> Default for Lines<Name, Job> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}
