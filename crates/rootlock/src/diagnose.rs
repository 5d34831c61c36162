//! Everything that a person can see of a lock from outside.

use std::time::Duration;

use rootlock_protocol::inspect::{LockState, is_holders};
use rootlock_protocol::ledger::Ledger;
use rootlock_sys::{FileSystem, Stat};

use crate::Options;
use crate::error::Error;
use crate::root::Root;

/// The result of [`Root::diagnose`]; the lock may have changed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// As [`Root::inspect`] reports it, but stale by the longer of the default time and the
    /// holder's own.
    pub state: LockState,
    /// The terms that the holder recorded, if any: its heartbeat, and when it counts as stale.
    pub terms: Option<(Duration, Duration)>,
    /// The file system that the lock is on.
    pub file_system: FileSystem,
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
        let state = self.inspect(file_name, stale)?;
        let file_system = entry.files.dir.file_system();
        Ok(Diagnosis { state, terms, file_system })
    }
}

fn terms(ledger: &Ledger, stat: &Stat) -> Option<(Duration, Duration)> {
    let record = ledger.of(stat.id).filter(|record| is_holders(record, stat))?;
    Some((record.terms.heartbeat, record.terms.stale))
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
            .state
            .holders
            .map(|holders| holders.iter().map(|holder| holder.pid).collect::<Vec<_>>());
        let told = cfg!(target_os = "linux");
        assert_eq!(pids, told.then(|| vec![std::process::id()]));
        assert_eq!(diagnosis.state.waiters, told.then(Vec::new));
    }
}
