//! The lock file `L`: carries the kernel lock and, as its modification time, the heartbeat.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Mode;
use crate::error::Fault;
use crate::options::Names;
use crate::sys::{self, Create, Dir, FileId, Nanos, Stat, clock, flock};

/// An open lock file, with or without the kernel lock.
#[derive(Debug)]
pub(crate) struct LockFile {
    /// `None` only after [`LockFile::release`].
    file: Option<File>,
    id: FileId,
}

impl LockFile {
    /// Opens the file, or makes it. A symbolic link, a directory, a FIFO in its place is an error,
    /// and is left as it is.
    pub(crate) fn open(dir: &Dir, names: &Names) -> Result<Self, Fault> {
        Self::open_as(dir, &names.lock, Create::IfMissing)
    }

    /// Makes the file that a takeover puts in the lock file's place.
    pub(crate) fn create_temporary(dir: &Dir, names: &Names) -> Result<Self, Fault> {
        Self::open_as(dir, &names.temporary, Create::New)
    }

    fn open_as(dir: &Dir, name: &str, create: Create) -> Result<Self, Fault> {
        let file = dir.open_file(name, create).map_err(Fault::io("open", name))?;
        let stat = sys::stat(&file).map_err(Fault::io("fstat", name))?;
        if !stat.regular {
            return Err(Fault::not_a_file(name));
        }
        Ok(Self { file: Some(file), id: stat.id })
    }

    pub(crate) fn id(&self) -> FileId {
        self.id
    }

    /// Takes the kernel lock if it is free.
    pub(crate) fn try_lock(&self, names: &Names, mode: Mode) -> Result<bool, Fault> {
        flock::try_lock(self.file(), mode).map_err(Fault::io("flock", &names.lock))
    }

    /// Waits in the kernel; `false` when interrupted.
    pub(crate) fn lock(&self, names: &Names, mode: Mode) -> Result<bool, Fault> {
        match flock::lock(self.file(), mode) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(Fault::io("flock", &names.lock)(error)),
        }
    }

    /// Whether the lock file's name still names this file, with what it says now.
    pub(crate) fn check_identity(&self, dir: &Dir, names: &Names) -> Result<Option<Stat>, Fault> {
        let named = dir.stat(&names.lock).map_err(Fault::io("stat", &names.lock))?;
        Ok(named.filter(|stat| stat.id == self.id))
    }

    /// Sets the modification time to now, and makes sure that it is another than `before`: a
    /// contender that saw `before` must see that somebody lives.
    ///
    /// `exact` remembers that the file system keeps times to the nanosecond, once it has shown it.
    pub(crate) fn stamp(
        &self,
        names: &Names,
        before: Nanos,
        exact: &AtomicBool,
    ) -> Result<(), Fault> {
        const SECOND: Nanos = 1_000_000_000;
        let now = clock::wall();
        let ahead = before - now;
        // Forward even when the wall clock went back, so that no old time comes round again; but a
        // time far in the future was set by somebody, and is set right.
        let next = if (0..3600 * SECOND).contains(&ahead) { before + 1 } else { now };
        let fault = || Fault::io("utimensat", &names.lock);
        let changed = || -> Result<Option<Nanos>, Fault> {
            let stat = sys::stat(self.file()).map_err(Fault::io("fstat", &names.lock))?;
            Ok(Some(stat.modified).filter(|&modified| modified != before))
        };
        sys::set_modified(self.file(), next).map_err(fault())?;
        if exact.load(Ordering::Relaxed) {
            return Ok(());
        }
        if let Some(modified) = changed()? {
            // A multiple of a microsecond proves nothing.
            exact.store(modified == next && next % 1_000 != 0, Ordering::Relaxed);
            return Ok(());
        }
        // Coarse file systems keep times to 1 s or 2 s: what is too near is moved on. And programs
        // that serve a file system (libfuse 2) may know no time without the other.
        for wanted in [next, next + SECOND, next + 2 * SECOND, next + 4 * SECOND] {
            sys::set_times(self.file(), wanted).map_err(fault())?;
            if changed()?.is_some() {
                return Ok(());
            }
        }
        Err(Fault::io("utimensat", &names.lock)(io::Error::other(
            "the file system does not change modification times",
        )))
    }

    /// Releases the kernel lock and closes the file, in that order; both are done whatever the
    /// first one says.
    pub(crate) fn release(mut self, names: &Names) -> Result<(), Fault> {
        let Some(file) = self.file.take() else { return Ok(()) };
        let unlocked = flock::unlock(&file).map_err(Fault::io("flock", &names.lock));
        let closed = sys::close(file).map_err(Fault::io("close", &names.lock));
        unlocked.and(closed)
    }

    fn file(&self) -> &File {
        self.file.as_ref().expect("open until released")
    }
}

impl Drop for LockFile {
    /// Says "unlock" for the paths that end early too: a child that was just forked would keep the
    /// lock alive until it execs.
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            let _ = flock::unlock(file);
        }
    }
}
