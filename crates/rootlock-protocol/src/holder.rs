//! The holder of a lock, as far as known, and the identity of this process.

use std::fmt;
use std::sync::LazyLock;
use std::time::SystemTime;

use rootlock_sys::Mode;
use rootlock_sys::process;

use crate::command;

/// The holder of a lock, as far as known. For a program that keeps no ledger (flock(1), Go), that
/// is only what the system reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process id, on its own host.
    pub pid: u32,
    /// The name of its host.
    pub hostname: Option<String>,
    /// Its program, without the folder, and its script.
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

/// Identifies one process forever. Pids are reused, so it includes the start time, the boot and the
/// pid namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    /// In the system's own units; zero if unknown.
    pub start: u64,
    /// Empty if unknown.
    pub boot: String,
    /// Its namespaces of pids and of time; zero where there is only one of each.
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

    /// Whether its pid means the same process here.
    pub fn is_neighbour(&self) -> bool {
        let this = Self::this();
        !self.boot.is_empty()
            && self.boot == this.boot
            && self.namespace == this.namespace
            && self.hostname == this.hostname
    }

    /// Whether it has certainly ended. Any doubt means no: another host, another boot, an unknown
    /// start time.
    pub fn is_gone(&self) -> bool {
        self.start != 0 && self.is_neighbour() && process::is_gone(self.pid, self.start)
    }
}
