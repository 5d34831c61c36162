//! Everything that a person can see of a lock from outside.

use std::time::Duration;

use rootlock_protocol::inspect::{self, LockState, is_holders};
use rootlock_protocol::{command, ledger::Ledger};
use rootlock_sys::{FileSystem, Stat, process};

use crate::error::{Error, FaultExt, Operation};

use crate::root::Root;
use crate::{Mode, Options};

/// The result of [`Root::diagnose`]; the lock may have changed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// As [`Root::inspect`] reports it, but stale by the longer of the default time and the
    /// holder's own.
    pub state: LockState,
    /// The terms that the holder recorded, if any: its heartbeat, and when it counts as stale.
    pub terms: Option<(Duration, Duration)>,
    /// The holders of the kernel lock; `None` where the system does not report them.
    pub holders: Option<Vec<LockOwner>>,
    /// The processes that wait for it in the kernel; `None` where the system does not report them.
    pub waiters: Option<Vec<LockOwner>>,
    /// The file system that the lock is on.
    pub file_system: FileSystem,
}

/// A process that holds a lock or waits for it, as the system reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockOwner {
    /// Its process id.
    pub pid: u32,
    /// How it holds it or wants it.
    pub mode: Mode,
    /// Its program and its script; `None` when they can't be read.
    pub command: Option<String>,
}

impl Root {
    /// Looks at a lock, its directory and its file system, without taking it. Creates nothing;
    /// blocks for as long as the file system does.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) when the files can't be read.
    pub fn diagnose(&self, file_name: &str) -> Result<Diagnosis, Error> {
        let entry = self.entry(file_name)?;
        let stat = entry.files.dir.stat(&entry.files.names.lock).ok().flatten();
        let terms = stat.and_then(|stat| {
            terms(&entry.files.guard.peek(&entry.files.dir, &entry.files.names), &stat)
        });
        let default = Options::default().stale;
        let stale = terms.map_or(default, |(_, own)| default.max(own));
        let state = inspect::look(&entry.files, stale)
            .map_err(|fault| fault.into_error(Operation::Inspect, self.path()))?;
        let (holders, waiters) = stat.and_then(|stat| owners(&stat)).unzip();
        let file_system = entry.files.dir.file_system();
        Ok(Diagnosis { state, terms, holders, waiters, file_system })
    }
}

fn terms(ledger: &Ledger, stat: &Stat) -> Option<(Duration, Duration)> {
    let record = ledger.of(stat.id).filter(|record| is_holders(record, stat))?;
    Some((record.terms.heartbeat, record.terms.stale))
}

/// The holders and the waiters.
fn owners(stat: &Stat) -> Option<(Vec<LockOwner>, Vec<LockOwner>)> {
    let owner = |lock: process::KernelLock| LockOwner {
        pid: lock.pid,
        mode: lock.mode,
        command: Some(command::of(lock.pid)).filter(|command| !command.is_empty()),
    };
    let (waiters, holders): (Vec<_>, Vec<_>) =
        process::kernel_locks(stat.id)?.into_iter().partition(|lock| lock.waits);
    Some((holders.into_iter().map(owner).collect(), waiters.into_iter().map(owner).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Request, State};

    #[test]
    fn a_directory_without_a_lock_is_free() {
        let dir = tempfile::tempdir().expect("made");
        let root = Root::open(dir.path()).expect("opens");
        let diagnosis = root.diagnose(Root::LOCK_FILE).expect("can be seen");
        assert_eq!(diagnosis.state.state, State::Free);
        assert_eq!(diagnosis.terms, None);
        assert_eq!(std::fs::read_dir(dir.path()).expect("there").count(), 0, "nothing is made");
    }

    #[test]
    fn a_holder_is_reported_with_its_terms_and_by_the_system() {
        // Setting the wall clock in another test would make this lock stale.
        #[cfg(not(shuttle))]
        let _alone = crate::sleep::alone();
        let dir = tempfile::tempdir().expect("made");
        let root = Root::open(dir.path()).expect("opens");
        let options = Options { stale: Duration::from_secs(120), ..Options::default() };
        let _lock = root.lock(Request { options, ..Request::default() }).expect("free");
        let diagnosis = root.diagnose(Root::LOCK_FILE).expect("can be seen");
        assert_eq!(diagnosis.state.state, State::Exclusive);
        assert_eq!(diagnosis.terms, Some((options.heartbeat, options.stale)));
        // Only Linux reports who has a file's lock.
        let pids = diagnosis
            .holders
            .map(|holders| holders.iter().map(|holder| holder.pid).collect::<Vec<_>>());
        let told = cfg!(target_os = "linux");
        assert_eq!(pids, told.then(|| vec![std::process::id()]));
        assert_eq!(diagnosis.waiters, told.then(Vec::new));
    }
}
