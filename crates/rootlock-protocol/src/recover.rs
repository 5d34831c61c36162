//! The takeover of a lock whose holder is dead, or has not beaten for its whole lease.
//!
//! `lock_guard` → `check_identity` → `try_lock`; then, if the kernel lock is still held:
//! `look_again` → `create_temporary` → `rename` → `write_ledger` → `unlock_guard`.
//!
//! The second look and the rename share a section. A process that was granted the lock or beat
//! since the watch began has changed the file's times inside a section of the guard, so the look
//! sees it; a process that comes after the rename fails the identity check. That is why a live
//! lease is never taken over (invariant I3).

use std::time::Duration;

use crate::fault::Fault;
use crate::grant::{self, Grant, Moment, Wanted};
use crate::guard::{Patience, Section};
use crate::ledger::Ledger;
use crate::lock_dir::LockDir;
use crate::lockfile::{self, LockFile};
use crate::record::Record;
use rootlock_sys::Mode;
use rootlock_sys::{Stat, clock};

use crate::holder::Holder;

/// How long an attempt waits for the guard. There will be another one.
const PATIENCE: Patience<'static> = Patience::AtMost(Duration::from_millis(200));

/// The result of an attempt under the guard.
#[derive(Debug)]
pub enum Attempt {
    /// The kernel lock was free.
    Granted { grant: Grant, file: LockFile },
    /// The lock was taken over from a process that still has the old file's kernel lock.
    TookOver { grant: Grant, file: LockFile, from: Option<Holder> },
    /// The lock is held, and there is no reason to take it over.
    Held,
    /// Another process was in the guard for too long.
    GuardBusy,
    /// The system refused the takeover.
    Refused(Fault),
}

/// One attempt. `look_again` judges the file as it is seen inside the section: whether it is still
/// what was watched, for long enough. Its time argument was read before the look: what this process
/// did not see, because it was stopped in between, must not count as watched.
pub fn attempt(
    lock: &LockDir,
    wanted: Wanted,
    look_again: impl FnOnce(&Stat, Duration, &Ledger) -> bool,
) -> Result<Attempt, Fault> {
    let entered = lock.guard.enter(&lock.dir, &lock.names, Mode::Exclusive, PATIENCE)?;
    let Some(mut section) = entered else { return Ok(Attempt::GuardBusy) };
    // Created if missing: inside the section nobody replaces it.
    let file = LockFile::open(&lock.dir, &lock.names)?;
    let looked = clock::awake();
    let Some(stat) = file.check_identity(&lock.dir, &lock.names)? else {
        // Only a program that ignores the guard does that.
        return Ok(Attempt::Held);
    };
    let ledger = section.read_ledger()?;
    if file.try_lock(&lock.names, wanted.mode)? {
        let grant = grant::finish(lock, &section, &ledger, &file, &stat, wanted, true)?;
        // It may wait for the file's clock, so there is always a grant.
        return Ok(grant.map_or(Attempt::GuardBusy, |grant| Attempt::Granted { grant, file }));
    }
    // By the holder's terms even if the ledger does not have them.
    if !look_again(&stat, looked, &ledger.or_promise(&stat)) {
        return Ok(Attempt::Held);
    }
    let from = ledger.of(stat.id).and_then(Record::holder);
    let terms = ledger.terms_for(wanted.mode, wanted.terms, &stat);
    let wanted = Wanted { terms, ..wanted };
    let replaced = lockfile::must_be_empty(&stat, &lock.names.lock)
        .and_then(|()| replace(lock, &section, &ledger, file, wanted));
    match replaced {
        Ok((record, grant, file)) => {
            // The holder has lost the lock by now, so a failure here fails this attempt.
            let ledger = section.read_ledger()?;
            section.write_ledger(&ledger, &record)?;
            Ok(Attempt::TookOver { grant, file, from })
        }
        Err(fault) => {
            // Undo what was begun. If that fails too, the ledger notes the leftover.
            let _ = lockfile::remove_temporary(&lock.dir, &lock.names);
            Ok(Attempt::Refused(fault))
        }
    }
}

/// Puts a locked file of ours in the lock file's place: everything up to the `rename`, which
/// precedes the record of the grant. Until then the lock is the holder's, and so must be the
/// record: should this process die here, its terms protect a holder that wakes up.
fn replace(
    lock: &LockDir,
    section: &Section<'_>,
    ledger: &Ledger,
    old: LockFile,
    wanted: Wanted,
) -> Result<(Record, Grant, LockFile), Fault> {
    let LockDir { dir, names, .. } = lock;
    // Noted before the file is created: after a crash in between, the next process knows that it
    // may exist.
    if let Some(last) = ledger.last.as_ref().filter(|last| !last.leftover) {
        section.write_ledger(ledger, &Record { leftover: true, ..last.clone() })?;
    }
    lockfile::remove_temporary(dir, names)?;
    // A new file's times are those of its creation.
    let from = Moment::now();
    let file = LockFile::create_temporary(dir, names)?;
    if !file.try_lock(names, wanted.mode)? {
        let error = std::io::Error::other("a file just made is locked already");
        return Err(Fault::io("flock", &names.temporary)(error));
    }
    let record = grant::record(ledger, wanted, file.id(), false)
        .ok_or_else(|| grant::no_token_left(names))?;
    // Before anybody can open it: those that wait for the old file must be able to.
    file.take_access_of(&old, names)?;
    file.promise(names, wanted.terms.stale)?;
    // Some systems can't replace a file that is open here.
    drop(old);
    dir.rename(&names.temporary, &names.lock).map_err(Fault::io("rename", &names.lock))?;
    let grant = Grant::first(&record, from, None);
    Ok((record, grant, file))
}
