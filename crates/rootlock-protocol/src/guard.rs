//! The guard `G`. Every grant, beat and takeover happens inside a section of it, which puts them in
//! order. The guard is created once, never renamed, never removed, and written only if its link
//! count and its content show that it is ours.
//!
//! Lock order: first the lock file, then the guard. A recoverer, which holds the guard, only tries
//! the lock file.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::fault::Fault;
use crate::ledger::{Ledger, SIZE};
use crate::lockfile::must_be_ours;
use crate::names::Names;
use crate::record::Record;
use rootlock_sys as sys;
use rootlock_sys::Mode;
use rootlock_sys::sync::{self, Mutex, MutexGuard, thread};
use rootlock_sys::{Create, Dir, FileId, Nanos, clock, flock, waiters};

/// How long to wait for a section. A section lasts a few system calls; a longer wait means that the
/// process inside was stopped there.
#[derive(Clone, Copy)]
pub enum Patience<'a> {
    /// On an event loop: a few tries, taking microseconds.
    Spin,
    /// On a thread that others need back.
    AtMost(Duration),
    /// On a thread that can be interrupted: until this returns true.
    Until(&'a dyn Fn() -> bool),
}

const SPINS: u32 = 20;

/// The end of the few tries, however many are left: on a busy machine each yield may last for
/// milliseconds.
const SPIN: Duration = Duration::from_micros(50);

/// The longest pause between two tries of a bounded wait.
const MAX_PAUSE: Duration = Duration::from_millis(20);

/// How often in a row it may have been removed between opening and locking it.
const MOST_REMOVALS: u32 = 1000;

/// A guard not written for this long may look abandoned to a program that cleans up old files.
const OLD: Nanos = 3_600_000_000_000;

/// The guard file and its identity.
#[derive(Debug)]
struct Open {
    /// Shared with the thread that queues on it.
    file: Arc<File>,
    id: FileId,
    /// The content has been read and is ours.
    read: bool,
}

/// One open guard file, used by one thread of this process at a time: the kernel lock belongs to
/// the open file and would not keep two threads apart.
#[derive(Debug, Default)]
pub struct Guard {
    open: Mutex<Option<Open>>,
}

/// A section: no other that it excludes is open in any process. Ends when dropped.
pub struct Section<'a> {
    open: MutexGuard<'a, Option<Open>>,
    names: &'a Names,
    /// When the guard was last written.
    modified: Nanos,
}

/// The result of entering a guard without creating it.
pub enum Entered<'a> {
    Yes(Section<'a>),
    /// Patience ran out.
    Busy,
    /// There is no guard.
    Missing,
}

impl Guard {
    /// Enters a section, creating the guard if it is missing; `None` when patience ran out.
    pub fn enter<'a>(
        &'a self,
        dir: &Dir,
        names: &'a Names,
        mode: Mode,
        patience: Patience<'_>,
    ) -> Result<Option<Section<'a>>, Fault> {
        loop {
            match self.enter_existing(dir, names, mode, patience)? {
                Entered::Yes(section) => return Ok(Some(section)),
                Entered::Busy => return Ok(None),
                Entered::Missing => {
                    let Some(mut open) = self.open_slot(patience) else { return Ok(None) };
                    if open.is_none() {
                        *open = make_guard(dir, names)?;
                    }
                }
            }
        }
    }

    /// Enters a section if the guard exists.
    pub fn enter_existing<'a>(
        &'a self,
        dir: &Dir,
        names: &'a Names,
        mode: Mode,
        patience: Patience<'_>,
    ) -> Result<Entered<'a>, Fault> {
        let fault = |call| Fault::io(call, &names.guard);
        for _ in 0..MOST_REMOVALS {
            let Some(mut open) = self.open_slot(patience) else { return Ok(Entered::Busy) };
            if open.is_none() {
                *open = open_guard(dir, names)?;
            }
            let Some(Open { file, id, .. }) = &*open else { return Ok(Entered::Missing) };
            if !lock(file, mode, patience).map_err(fault("flock"))? {
                return Ok(Entered::Busy);
            }
            // If somebody removed the guard, against all rules, while it was open here, others meet
            // at a new one, and so must we.
            let named = dir.stat(&names.guard);
            if let Ok(Some(stat)) = named
                && stat.id == *id
            {
                let section = Section { open, names, modified: stat.modified };
                must_be_ours(&stat, &names.guard)?;
                return Ok(Entered::Yes(section));
            }
            let Open { file, .. } = open.take().expect("opened above");
            flock::unlock(&file).map_err(fault("flock"))?;
            named.map_err(fault("stat"))?;
        }
        let words = "each time that it was opened, somebody had removed it before it was locked";
        Err(fault("stat")(io::Error::other(words)))
    }

    /// Whether the guard is missing at the moment.
    pub fn is_missing(dir: &Dir, names: &Names) -> Result<bool, Fault> {
        let named = dir.stat(&names.guard).map_err(Fault::io("stat", &names.guard))?;
        Ok(named.is_none())
    }

    /// Reads the ledger without entering: for messages and for watching, never for deciding.
    pub fn peek(&self, dir: &Dir, names: &Names) -> Ledger {
        // Never waits for the descriptor: the thread using it may itself be waiting.
        let open = sync::try_lock(&self.open);
        match open.as_deref() {
            Some(Some(Open { file, .. })) => read(file),
            _ => dir.open_to_look(&names.guard).and_then(|file| read(&file)),
        }
        // Missing, unreadable, locked (Windows) or not ours: nothing is known.
        .ok()
        .flatten()
        .unwrap_or_default()
    }

    /// The open file, for a thread that queues on it while others use it; `None` if it is not ours.
    /// Created if it is missing and there is a lock file: a directory that is being removed must
    /// not be filled again.
    pub fn for_queue(&self, dir: &Dir, names: &Names) -> Option<Arc<File>> {
        let mut open = self.open_slot(Patience::AtMost(MAX_PAUSE))?;
        if open.is_none() {
            *open = open_guard(dir, names).ok()?;
        }
        if open.is_none() && dir.stat(&names.lock).is_ok_and(|stat| stat.is_some()) {
            *open = make_guard(dir, names).ok()?;
        }
        let open = open.as_mut()?;
        // Queueing locks a byte of it.
        open.read = open.read || read(&open.file).is_ok_and(|ledger| ledger.is_some());
        open.read.then(|| Arc::clone(&open.file))
    }

    /// Whether another process announces that it waits; `None` when that can't be known.
    pub fn others_wait(&self, dir: &Dir, names: &Names) -> Option<bool> {
        self.announced(dir, names, waiters::others_wait)
    }

    /// Whether a writer of another process announces that it has waited since before that time.
    pub fn writers_wait(&self, dir: &Dir, names: &Names, before: Nanos) -> bool {
        self.announced(dir, names, |file| Some(waiters::writers_wait(file, before))) == Some(true)
    }

    /// Reads announcements. While the descriptor is in use here, there are none: there will be another
    /// occasion to ask.
    fn announced(
        &self,
        dir: &Dir,
        names: &Names,
        read: impl FnOnce(&File) -> Option<bool>,
    ) -> Option<bool> {
        let Some(mut open) = sync::try_lock(&self.open) else { return Some(false) };
        if open.is_none() {
            *open = open_guard(dir, names).ok()?;
        }
        match &*open {
            Some(Open { file, .. }) => read(file),
            // Then it is no place for announcements either.
            None => Some(false),
        }
    }

    /// The open file, for one thread at a time. It may be in use for as long as another process
    /// holds the guard, so this wait is bounded like the one for the kernel lock.
    fn open_slot(&self, patience: Patience<'_>) -> Option<MutexGuard<'_, Option<Open>>> {
        let slot = || sync::try_lock(&self.open);
        match patience {
            Patience::Spin => spin(slot),
            Patience::AtMost(time) => try_for(time, slot),
            Patience::Until(enough) => loop {
                let slot = try_for(MAX_PAUSE, slot);
                if slot.is_some() || enough() {
                    return slot;
                }
            },
        }
    }
}

impl Section<'_> {
    /// Reads the ledger. Fails if the content is not a ledger's: the file may be somebody else's,
    /// and must not be written.
    pub fn read_ledger(&mut self) -> Result<Ledger, Fault> {
        let ledger = read(self.file()).map_err(Fault::io("read", &self.names.guard))?;
        let ledger = ledger.ok_or_else(|| {
            let why = "it has content that is not rootlock's, so it may be somebody else's file";
            Fault::not_ours(&self.names.guard, why)
        })?;
        self.open.as_mut().expect("open during a section").read = true;
        Ok(ledger)
    }

    /// Writes a record to the ledger's older slot; `ledger` is what was read in this section.
    pub fn write_ledger(&self, ledger: &Ledger, record: &Record) -> Result<(), Fault> {
        sys::write_at(self.file(), &record.encode(), ledger.next_offset())
            .map_err(Fault::io("write", &self.names.guard))
    }

    /// Keeps the guard of a lock held for days from looking abandoned, lest a clean-up of old files
    /// take the ledger away. Only after [`Section::read_ledger`].
    pub fn keep_fresh(&self) {
        let now = clock::wall();
        if now - self.modified > OLD {
            // Best effort: the holder rewrites its record if it must.
            let _ = sys::set_times(self.file(), now, now);
        }
    }

    fn file(&self) -> &File {
        &self.open.as_ref().expect("open during a section").file
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        if flock::unlock(self.file()).is_err() {
            // Closing the file unlocks it too, and there is nothing else to try.
            self.open.take();
        }
    }
}

/// Opens the guard; `None` if there is none.
fn open_guard(dir: &Dir, names: &Names) -> Result<Option<Open>, Fault> {
    match dir.open_file(&names.guard, Create::Never) {
        Ok(file) => opened(file, names).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fault::io("open", &names.guard)(error)),
    }
}

/// Creates the guard for everyone who may use the lock file; `None` if somebody else has created it
/// meanwhile.
fn make_guard(dir: &Dir, names: &Names) -> Result<Option<Open>, Fault> {
    match dir.open_file(&names.guard, Create::New) {
        Ok(file) => {
            if let Ok(lock) = dir.open_to_look(&names.lock) {
                sys::share_access(&lock, &file);
            }
            opened(file, names).map(Some)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(Fault::io("open", &names.guard)(error)),
    }
}

fn opened(file: File, names: &Names) -> Result<Open, Fault> {
    let stat = sys::stat(&file).map_err(Fault::io("fstat", &names.guard))?;
    must_be_ours(&stat, &names.guard)?;
    Ok(Open { file: Arc::new(file), id: stat.id, read: false })
}

/// The ledger; `None` if the content is not ours.
fn read(file: &File) -> io::Result<Option<Ledger>> {
    // One byte more than a ledger, to detect a longer file.
    let mut bytes = [0; SIZE + 1];
    let length = sys::read_at(file, &mut bytes)?;
    Ok(Ledger::read(&bytes[..length]))
}

fn lock(file: &File, mode: Mode, patience: Patience<'_>) -> io::Result<bool> {
    let try_lock = || match flock::try_lock(file, mode) {
        Ok(false) => None,
        result => Some(result),
    };
    match patience {
        Patience::Spin => spin(try_lock).unwrap_or(Ok(false)),
        Patience::AtMost(time) => try_for(time, try_lock).unwrap_or(Ok(false)),
        Patience::Until(enough) => loop {
            match flock::lock(file, mode) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    if enough() {
                        return Ok(false);
                    }
                }
                result => return result.map(|()| true),
            }
        },
    }
}

fn spin<T>(attempt: impl Fn() -> Option<T>) -> Option<T> {
    let until = clock::awake() + SPIN;
    for _ in 1..SPINS {
        let result = attempt();
        if result.is_some() || clock::awake() >= until {
            return result;
        }
        thread::yield_now();
    }
    attempt()
}

/// Polls. A blocking call in the kernel could not be bounded, and nothing signals that another
/// process has left its section.
fn try_for<T>(time: Duration, attempt: impl Fn() -> Option<T>) -> Option<T> {
    let until = clock::awake() + time;
    let mut pause = Duration::from_micros(50);
    // The pauses count as well as the clock, which in a test may stand still.
    let mut left = time;
    loop {
        let result = spin(&attempt);
        if result.is_some() || left.is_zero() || clock::awake() >= until {
            return result;
        }
        thread::park_timeout(pause.min(left));
        left = left.saturating_sub(pause);
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// How many attempts are made in a time, if each takes so long: as on a busy machine, where a
    /// thread that yields is not back soon.
    fn attempts(try_for: impl FnOnce(&dyn Fn() -> Option<()>), each: Duration) -> u32 {
        let made = Cell::new(0);
        try_for(&|| {
            made.set(made.get() + 1);
            let until = clock::awake() + each;
            while clock::awake() < until {}
            None
        });
        made.get()
    }

    #[test]
    fn a_bounded_wait_is_over_in_its_time_however_slow_each_try_is() {
        let each = Duration::from_millis(2);
        let bounded = attempts(|attempt| _ = try_for(each * 5, attempt), each);
        assert!((1..=6).contains(&bounded), "{bounded}");
        assert_eq!(attempts(|attempt| _ = spin(attempt), each), 1);
    }
}
