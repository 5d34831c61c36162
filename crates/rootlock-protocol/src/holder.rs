//! The holder of a lock, as far as known, and the identity of this process.

use std::fmt;
use std::sync::LazyLock;
use std::time::SystemTime;

use rootlock_sys::Mode;
use rootlock_sys::process;

use crate::command;

/// The holder of a lock, as far as known. Of a program that keeps no ledger (flock(1), Go), only what
/// the system reports is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process id, on its own host.
    pub pid: u32,
    /// The name of its host.
    pub hostname: Option<String>,
    /// Its program and its script, the program's name without its folder.
    pub command: Option<String>,
    /// When it was granted the lock, by its own wall clock.
    pub acquired_at: Option<SystemTime>,
    /// How it holds it.
    pub mode: Mode,
    /// Its fencing token.
    pub token: Option<u64>,
    /// Whether it is this process.
    pub own: bool,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {}", self.pid)?;
        if let Some(command) = &self.command {
            write!(f, " ({command})")?;
        }
        if let Some(hostname) = &self.hostname {
            write!(f, " on host {hostname}")?;
        }
        Ok(())
    }
}

/// Names one process forever: pids are reused, so a start time, a boot and a name space go with
/// it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    /// In units of the system's own; zero when not known.
    pub start: u64,
    /// Empty when not known.
    pub boot: String,
    /// Its name spaces of pids and of time; zero where there is only one of each.
    pub namespace: u64,
    pub hostname: String,
    pub command: String,
}

impl Process {
    /// This process.
    pub fn this() -> &'static Self {
        static THIS: LazyLock<Process> = LazyLock::new(|| {
            let pid = std::process::id();
            Process {
                pid,
                start: process::start_time(pid).unwrap_or(0),
                boot: process::boot().unwrap_or_default(),
                namespace: process::namespace(),
                hostname: process::hostname(),
                command: command::of(pid),
            }
        });
        &THIS
    }

    /// Whether its pid means the same here.
    pub fn is_neighbour(&self) -> bool {
        let this = Self::this();
        !self.boot.is_empty()
            && self.boot == this.boot
            && self.namespace == this.namespace
            && self.hostname == this.hostname
    }

    /// Whether it has certainly ended. Any doubt is a no: another host, another boot, a start time
    /// that is not known.
    pub fn is_gone(&self) -> bool {
        self.start != 0 && self.is_neighbour() && process::is_gone(self.pid, self.start)
    }
}
