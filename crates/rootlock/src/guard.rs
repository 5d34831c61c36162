//! The guard `G`: every grant, beat and takeover happens inside a section of it, so that they are
//! in an order. Created once, never renamed, never removed by us.
//!
//! Lock order: the lock file first, then the guard. A recoverer, which holds the guard, only tries
//! the lock file.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::Mode;
use crate::error::Fault;
use crate::ledger::{Ledger, Record, SIZE};
use crate::options::Names;
use crate::sync::{self, Mutex, MutexGuard, thread};
use crate::sys::{self, Create, Dir, FileId, flock, waiters};

/// How long to wait for a section. Sections are a few system calls long; a longer wait means that
/// whoever is inside was stopped there.
#[derive(Clone, Copy)]
pub(crate) enum Patience<'a> {
    /// On somebody's event loop: a few tries, some microseconds.
    Spin,
    /// On a thread that others need again.
    AtMost(Duration),
    /// On a thread that can be interrupted: until this says yes.
    Until(&'a dyn Fn() -> bool),
}

const SPINS: u32 = 20;

/// The longest pause between two tries of a bounded wait.
const MAX_PAUSE: Duration = Duration::from_millis(20);

/// The guard file, and which one it is. Shared with the thread that queues on it.
type Open = (Arc<File>, FileId);

/// One open guard file, used by one thread of this process at a time: the kernel's lock belongs to
/// the open file and would not keep two threads apart.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    open: Mutex<Option<Open>>,
}

/// A section: nobody else, in any process, is in one that excludes it. Ends when dropped.
pub(crate) struct Section<'a> {
    open: MutexGuard<'a, Option<Open>>,
    names: &'a Names,
}

impl Guard {
    /// Enters a section; `None` when patience ran out.
    pub(crate) fn enter<'a>(
        &'a self,
        dir: &Dir,
        names: &'a Names,
        mode: Mode,
        patience: Patience<'_>,
    ) -> Result<Option<Section<'a>>, Fault> {
        let fault = |call| Fault::io(call, &names.guard);
        loop {
            let Some(mut open) = self.open_slot(patience) else { return Ok(None) };
            if open.is_none() {
                *open = Some(open_guard(dir, names)?);
            }
            let (file, id) = open.as_ref().expect("opened above");
            if !lock(file, mode, patience).map_err(fault("flock"))? {
                return Ok(None);
            }
            // Somebody may have removed the guard, against all rules, while it was open here: then
            // others meet at a new one, and so do we.
            let named = dir.stat(&names.guard);
            if matches!(&named, Ok(Some(stat)) if stat.id == *id) {
                return Ok(Some(Section { open, names }));
            }
            let (file, _) = open.take().expect("opened above");
            flock::unlock(&file).map_err(fault("flock"))?;
            named.map_err(fault("stat"))?;
        }
    }

    /// Reads the ledger without entering: for messages and for watching, never for deciding.
    pub(crate) fn peek(&self, dir: &Dir, names: &Names) -> Ledger {
        // Never waits for the descriptor: whoever has it may be waiting for somebody else.
        let open = sync::try_lock(&self.open);
        match open.as_deref() {
            Some(Some((file, _))) => read(file),
            _ => dir.open_to_look(&names.guard).and_then(|file| read(&file)),
        }
        // Not there, not readable, locked (Windows): nothing is known.
        .unwrap_or_default()
    }

    /// The open file, for a thread that queues on it while others use it.
    pub(crate) fn for_queue(&self, dir: &Dir, names: &Names) -> Option<Arc<File>> {
        let mut open = self.open_slot(Patience::AtMost(MAX_PAUSE))?;
        if open.is_none() {
            *open = open_guard(dir, names).ok();
        }
        open.as_ref().map(|(file, _)| Arc::clone(file))
    }

    /// Whether another process says that it waits; `None` when that can't be known. While the
    /// descriptor is in use here, the answer is no: there will be another occasion to ask.
    pub(crate) fn others_wait(&self, dir: &Dir, names: &Names) -> Option<bool> {
        let Some(mut open) = sync::try_lock(&self.open) else { return Some(false) };
        if open.is_none() {
            *open = open_guard(dir, names).ok();
        }
        waiters::others_wait(&open.as_ref()?.0)
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
    pub(crate) fn read_ledger(&self) -> Result<Ledger, Fault> {
        read(self.file()).map_err(Fault::io("read", &self.names.guard))
    }

    /// Writes a record into the ledger's older slot; `ledger` is what was read in this section.
    pub(crate) fn write_ledger(&self, ledger: &Ledger, record: &Record) -> Result<(), Fault> {
        sys::write_at(self.file(), &record.encode(), ledger.next_offset())
            .map_err(Fault::io("write", &self.names.guard))
    }

    fn file(&self) -> &File {
        &self.open.as_ref().expect("open during a section").0
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        if flock::unlock(self.file()).is_err() {
            // Closing it unlocks it too, and nothing else is left to try.
            self.open.take();
        }
    }
}

fn open_guard(dir: &Dir, names: &Names) -> Result<Open, Fault> {
    let file =
        dir.open_file(&names.guard, Create::IfMissing).map_err(Fault::io("open", &names.guard))?;
    let stat = sys::stat(&file).map_err(Fault::io("fstat", &names.guard))?;
    if !stat.regular {
        return Err(Fault::not_a_file(&names.guard));
    }
    Ok((Arc::new(file), stat.id))
}

fn read(file: &File) -> io::Result<Ledger> {
    let mut bytes = [0; SIZE];
    let length = sys::read_at(file, &mut bytes)?;
    Ok(Ledger::decode(&bytes[..length]))
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
    (0..SPINS).find_map(|turn| {
        if turn > 0 {
            thread::yield_now();
        }
        attempt()
    })
}

/// Tries again and again. Blocking in the kernel could not be bounded, and nothing tells when
/// another process leaves its section.
fn try_for<T>(time: Duration, attempt: impl Fn() -> Option<T>) -> Option<T> {
    let mut pause = Duration::from_micros(50);
    let mut left = time;
    loop {
        let result = spin(&attempt);
        if result.is_some() || left.is_zero() {
            return result;
        }
        thread::park_timeout(pause.min(left));
        left = left.saturating_sub(pause);
        pause = (pause * 2).min(MAX_PAUSE);
    }
}
