//! The lock file `L`: carries the kernel lock and, as its modification time, the heartbeat.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::fault::Fault;
use crate::names::Names;
use crate::promise;
use rootlock_sys as sys;
use rootlock_sys::Mode;
use rootlock_sys::sync::thread;
use rootlock_sys::{Create, Dir, FileId, Nanos, Stat, TimesSet, clock, flock};

/// The coarsest clock by which a file system keeps times, with a margin.
const LONGEST_TICK: Duration = Duration::from_millis(2_500);

/// The result of a stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamped {
    /// The file has this modification time, which it never had before.
    At(Nanos),
    /// The file can only be set to "now", and that is the time it already has.
    SameTick,
}

/// Refuses anything but a regular file, and a file with a second hard link: it may be somebody's
/// data.
pub fn must_be_ours(stat: &Stat, name: &str) -> Result<(), Fault> {
    if !stat.regular {
        return Err(Fault::not_a_file(name));
    }
    if stat.links > 1 {
        let why = format!("it has {} hard links, so it may be somebody else's file", stat.links);
        return Err(Fault::not_ours(name, why));
    }
    Ok(())
}

/// Removes what a takeover that died may have left, if anything. Fails for a file that no takeover
/// makes: it is somebody else's.
pub fn remove_temporary(dir: &Dir, names: &Names) -> Result<(), Fault> {
    let name = &names.temporary;
    let Some(stat) = dir.stat(name).map_err(Fault::io("stat", name))? else { return Ok(()) };
    must_be_ours(&stat, name)?;
    must_be_empty(&stat, name)?;
    dir.remove(name).map_err(Fault::io("unlink", name))
}

/// Refuses to replace or remove a file with content: ours have none.
pub fn must_be_empty(stat: &Stat, name: &str) -> Result<(), Fault> {
    if stat.size == 0 {
        return Ok(());
    }
    let why = format!("it has {} bytes of content, which would be lost", stat.size);
    Err(Fault::not_ours(name, why))
}

/// An open lock file, with or without the kernel lock.
#[derive(Debug)]
pub struct LockFile {
    /// `None` only after [`LockFile::release`].
    file: Option<File>,
    id: FileId,
}

impl LockFile {
    /// Opens the file or creates it. Fails for a symbolic link, a directory or a FIFO in its place,
    /// and leaves it alone.
    pub fn open(dir: &Dir, names: &Names) -> Result<Self, Fault> {
        Self::open_as(dir, &names.lock, Create::IfMissing)
    }

    /// Creates the file that a takeover puts in the lock file's place.
    pub fn create_temporary(dir: &Dir, names: &Names) -> Result<Self, Fault> {
        Self::open_as(dir, &names.temporary, Create::New)
    }

    /// Opens the file if it exists, for callers that must not create one.
    pub fn open_existing(dir: &Dir, names: &Names) -> Result<Option<Self>, Fault> {
        match Self::open_as(dir, &names.lock, Create::Never) {
            Err(fault) if fault.is_missing() => Ok(None),
            result => result.map(Some),
        }
    }

    fn open_as(dir: &Dir, name: &str, create: Create) -> Result<Self, Fault> {
        let file = dir.open_file(name, create).map_err(Fault::io("open", name))?;
        let stat = sys::stat(&file).map_err(Fault::io("fstat", name))?;
        must_be_ours(&stat, name)?;
        Ok(Self { file: Some(file), id: stat.id })
    }

    /// Copies the lock file's access rights to this file, which is to replace it.
    pub fn take_access_of(&self, lock: &Self, names: &Names) -> Result<(), Fault> {
        sys::copy_access(lock.file(), self.file()).map_err(Fault::io("fchown", &names.lock))
    }

    /// Writes a promise to a file that nobody else knows yet.
    pub fn promise(&self, names: &Names, stale: Duration) -> Result<(), Fault> {
        let now = clock::wall();
        sys::set_times(self.file(), promise::said(now, stale), now)
            .map(drop)
            .map_err(Fault::io("utimensat", &names.temporary))
    }

    pub fn id(&self) -> FileId {
        self.id
    }

    /// Takes the kernel lock if it is free.
    pub fn try_lock(&self, names: &Names, mode: Mode) -> Result<bool, Fault> {
        flock::try_lock(self.file(), mode).map_err(Fault::io("flock", &names.lock))
    }

    /// Waits in the kernel; `false` when interrupted.
    pub fn lock(&self, names: &Names, mode: Mode) -> Result<bool, Fault> {
        match flock::lock(self.file(), mode) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(Fault::io("flock", &names.lock)(error)),
        }
    }

    /// The file's present state if the lock file's name still refers to it.
    ///
    /// A file with a second hard link may be somebody's data, and is left alone.
    pub fn check_identity(&self, dir: &Dir, names: &Names) -> Result<Option<Stat>, Fault> {
        let named = dir.stat(&names.lock).map_err(Fault::io("stat", &names.lock))?;
        let own = named.filter(|stat| stat.id == self.id);
        own.iter().try_for_each(|stat| must_be_ours(stat, &names.lock))?;
        Ok(own)
    }

    /// Sets the modification time to now, and makes sure that it differs from `before`: a contender
    /// that saw `before` must see a sign of life. The access time says how long the lock is
    /// promised for ([`promise`]).
    ///
    /// `exact` remembers that the file system keeps times to the nanosecond, once it has shown that
    /// it does.
    pub fn stamp(
        &self,
        names: &Names,
        before: Nanos,
        stale: Duration,
        exact: &AtomicBool,
    ) -> Result<Stamped, Fault> {
        const SECOND: Nanos = 1_000_000_000;
        let now = clock::wall();
        let ahead = before - now;
        // Forward even if the wall clock went back, so that no old time recurs. But a time far in
        // the future was set by somebody, and is corrected.
        let next = if (0..3600 * SECOND).contains(&ahead) { before + 1 } else { now };
        let fault = || Fault::io("utimensat", &names.lock);
        let set = |wanted| {
            sys::set_times(self.file(), promise::said(wanted, stale), wanted).map_err(fault())
        };
        let changed = || -> Result<Option<Nanos>, Fault> {
            let stat = sys::stat(self.file()).map_err(Fault::io("fstat", &names.lock))?;
            Ok(Some(stat.modified).filter(|&modified| modified != before))
        };
        let as_asked = set(next)? == TimesSet::AsAsked;
        if as_asked && exact.load(Ordering::Relaxed) {
            return Ok(Stamped::At(next));
        }
        if let Some(modified) = changed()? {
            // A multiple of a microsecond proves nothing.
            let told = as_asked && modified == next && next % 1_000 != 0;
            exact.store(told, Ordering::Relaxed);
            return Ok(Stamped::At(modified));
        }
        if !as_asked {
            return Ok(Stamped::SameTick);
        }
        // Coarse file systems keep times to 1 s or 2 s: try further ahead until the time changes.
        for wanted in [next + SECOND, next + 2 * SECOND, next + 4 * SECOND] {
            set(wanted)?;
            if let Some(modified) = changed()? {
                return Ok(Stamped::At(modified));
            }
        }
        Err(Fault::io("utimensat", &names.lock)(io::Error::other(
            "the file system does not change modification times",
        )))
    }

    /// The same for a caller that may wait for the clock of another user's file to advance: such a
    /// file can only be set to "now", which advances in ticks of the kernel or the file system.
    pub fn stamp_in_time(
        &self,
        names: &Names,
        before: Nanos,
        stale: Duration,
        exact: &AtomicBool,
    ) -> Result<Nanos, Fault> {
        let mut pause = Duration::from_millis(1);
        let mut waited = Duration::ZERO;
        loop {
            if let Stamped::At(modified) = self.stamp(names, before, stale, exact)? {
                return Ok(modified);
            }
            if waited > LONGEST_TICK {
                let why = "the file system does not change modification times";
                return Err(Fault::io("utimensat", &names.lock)(io::Error::other(why)));
            }
            // Not `sleep`: there is no condition to wait on.
            thread::park_timeout(pause);
            waited += pause;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    /// The present state of the open file itself, whatever its name refers to.
    pub fn stat(&self, names: &Names) -> Result<Stat, Fault> {
        sys::stat(self.file()).map_err(Fault::io("fstat", &names.lock))
    }

    /// Releases the kernel lock; the file stays open for the next lock.
    pub fn unlock(&self, names: &Names) -> Result<(), Fault> {
        flock::unlock(self.file()).map_err(Fault::io("flock", &names.lock))
    }

    /// Releases the kernel lock and closes the file, in that order; the close happens even if the
    /// unlock fails.
    pub fn release(mut self, names: &Names) -> Result<(), Fault> {
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
    /// Unlocks explicitly on early exits too: a child that was just forked would keep the lock
    /// alive until it execs.
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            let _ = flock::unlock(file);
        }
    }
}
