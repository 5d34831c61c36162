//! The operating system, behind the same few functions everywhere.
//!
//! Every `cfg` on a system, every `unsafe` block and every system call of rootlock is in this crate,
//! which knows nothing of rootlock's own locks. Only [`flock`] makes the locking calls; `unix/` and
//! `windows/` export the same names:
//!
//! | item | what it does |
//! | --- | --- |
//! | [`Dir`] | a directory handle: opens, stats and renames plain names inside it |
//! | [`stat`], [`set_times`] | what the protocol needs to know of an open file; sets its times |
//! | [`copy_access`], [`share_access`] | set who may use a file |
//! | [`read_at`], [`write_at`], [`close`] | the other operations on a file |
//! | [`Interruptible`], [`Interrupt`] | ends a blocked [`flock::lock`] of another thread |
//! | [`clock`] | the clock that stands still in sleep, the one that counts it, the wall clock |
//! | [`waiters`] | whether another process waits |
//! | [`is_fork`] | whether this process shares its parent's open files, and has none of its threads |
//! | [`process`] | who this process is; whether a recorded one has certainly ended |
#![allow(unsafe_code, reason = "the one crate that talks to the operating system")]
#![allow(missing_docs, reason = "inner crate: what each does stands in the table")]

mod file_system;
pub mod flock;
#[cfg(shuttle)]
pub mod shuttle;
pub mod sync;

#[cfg(unix)]
#[path = "unix/mod.rs"]
#[cfg_attr(
    any(shuttle, test, feature = "skewed-clock"),
    allow(dead_code, unreachable_pub, reason = "its clocks")
)]
mod platform;

#[cfg(windows)]
#[path = "windows/mod.rs"]
#[cfg_attr(
    any(shuttle, test, feature = "skewed-clock"),
    allow(dead_code, unreachable_pub, reason = "its clocks")
)]
mod platform;

#[cfg(not(any(unix, windows)))]
compile_error!("rootlock needs kernel file locks: a lock that does not lock is worse than none");

#[cfg(all(any(test, feature = "skewed-clock"), not(shuttle)))]
pub mod skewed_clock;

pub use file_system::{FileSystem, Reach};
pub use platform::{
    Dir, Interrupt, Interruptible, close, copy_access, is_fork, process, read_at, set_times,
    share_access, stat, waiters, write_at,
};

#[cfg(shuttle)]
pub use crate::shuttle::clock;
#[cfg(not(any(shuttle, test, feature = "skewed-clock")))]
pub use platform::clock;
#[cfg(all(any(test, feature = "skewed-clock"), not(shuttle)))]
pub use skewed_clock as clock;

/// Shared or exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// One holder, and no other of either mode.
    Exclusive,
    /// Any number of holders, none of them exclusive.
    Shared,
}

/// Identifies a file for as long as somebody has it open: volume and index (device and inode).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    pub volume: u64,
    pub index: u128,
}

/// Nanoseconds since 1970, negative before; as precise as the file system keeps them.
pub type Nanos = i128;

/// What the protocol needs to know of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub id: FileId,
    /// Whether it is a regular file; the lock file must be.
    pub regular: bool,
    /// How many names the file has: ours have one, or none any more.
    pub links: u64,
    /// In bytes.
    pub size: u64,
    /// The access time, which carries the last promise (`rootlock-protocol`'s `promise`).
    pub accessed: Nanos,
    /// The modification time, which carries the heartbeat.
    pub modified: Nanos,
    /// The change time, which the kernel keeps and nobody can set back.
    pub changed: Nanos,
}

/// Whether a call on the file system can take long for reasons outside this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locality {
    /// A file system of this machine: calls return at once.
    Local,
    /// A network file system, FUSE, or an unknown one: nothing on it may block an event loop.
    Remote,
}

/// A process that has a kernel lock, or waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelLock {
    pub waits: bool,
    pub pid: u32,
    pub mode: Mode,
}

/// The result of setting a file's times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimesSet {
    /// Set as requested, as precisely as the file system keeps them.
    AsAsked,
    /// Both were set to now: a process that may only write to somebody else's file can do no more.
    #[cfg_attr(windows, allow(dead_code, reason = "nothing is so half-allowed there"))]
    Now,
}

/// How to open the lock file or the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    /// Only if it exists.
    Never,
    /// Create it if it is missing.
    IfMissing,
    /// Create it; fail if it exists.
    New,
}
