//! The types that cross the border to JavaScript, and their conversions.

use std::time::{Duration, SystemTime};

use napi_derive::napi;
use rootlock::{Diagnosis, Error, ErrorKind, Holder, LockOwner, LockState, Mode, Operation, State};

use crate::io_error;

pub(crate) fn millis(value: f64) -> Duration {
    Duration::try_from_secs_f64(value / 1000.0).unwrap_or(Duration::MAX)
}

/// A limit of time, unless it is infinite.
pub(crate) fn limit(value: f64) -> Option<Duration> {
    value.is_finite().then(|| millis(value))
}

/// The holder of a lock, as far as known.
#[napi(object, object_from_js = false)]
pub struct BindingHolder {
    /// Process id.
    pub pid: u32,
    /// Host name.
    pub hostname: Option<String>,
    /// Program and script.
    pub command: Option<String>,
    /// Milliseconds since 1970.
    pub acquired_at: Option<f64>,
    /// `exclusive` or `shared`.
    #[napi(ts_type = "'exclusive' | 'shared'")]
    pub mode: &'static str,
    /// Fencing token; exact, it is below 2^53.
    pub token: Option<f64>,
    /// Whether it is this process.
    pub own: bool,
}

impl From<&Holder> for BindingHolder {
    fn from(holder: &Holder) -> Self {
        let since_epoch = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok();
        Self {
            pid: holder.pid,
            hostname: holder.hostname.clone(),
            command: holder.command.clone(),
            acquired_at: holder
                .acquired_at
                .and_then(since_epoch)
                .map(|since| (since.as_secs_f64() * 1000.0).round()),
            mode: mode(holder.mode),
            token: holder.token.map(number),
            own: holder.own,
        }
    }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Exclusive => "exclusive",
        Mode::Shared => "shared",
    }
}

/// A token or a key; both stay below 2^53.
#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
pub(crate) fn number(value: u64) -> f64 {
    value as f64
}

/// An error, which the face throws.
#[napi(object, object_from_js = false)]
pub struct BindingError {
    /// The operation that failed.
    #[napi(ts_type = "'open' | 'acquire' | 'release' | 'inspect'")]
    pub operation: &'static str,
    /// Why it failed.
    #[napi(ts_type = "'held' | 'cancelled' | 'io' | 'not-a-file' | 'not-ours' | 'invalid'")]
    pub kind: &'static str,
    /// The file or directory.
    pub path: String,
    /// In words.
    pub message: String,
    /// The system's own error, for `io`.
    pub system: Option<BindingSystemError>,
    /// For `held` and `cancelled`.
    pub holder: Option<BindingHolder>,
    /// A takeover that the system refused earlier.
    pub refusal: Option<BindingSystemError>,
}

/// An error of the operating system.
#[napi(object, object_from_js = false)]
pub struct BindingSystemError {
    /// Negative, as in Node; missing where the system has no such numbers.
    pub errno: Option<i32>,
    /// The name, where there is no number.
    pub code: Option<String>,
    /// The system call.
    pub syscall: Option<String>,
    /// The path that it was called with.
    pub path: String,
    /// In the system's words.
    pub message: String,
}

impl From<&Error> for BindingError {
    fn from(error: &Error) -> Self {
        let path = error.path().to_string_lossy().into_owned();
        let system = match error.kind() {
            ErrorKind::Io { call, error } => Some(system_error(error, Some(call), path.clone())),
            _ => None,
        };
        Self {
            operation: match error.operation() {
                Operation::Open => "open",
                Operation::Acquire => "acquire",
                Operation::Release => "release",
                Operation::Inspect => "inspect",
            },
            kind: match error.kind() {
                ErrorKind::Held => "held",
                ErrorKind::Cancelled => "cancelled",
                ErrorKind::NotAFile => "not-a-file",
                ErrorKind::NotOurs(_) => "not-ours",
                ErrorKind::InvalidArgument(_) => "invalid",
                _ => "io",
            },
            path,
            message: match error.kind() {
                // About an argument, not a file.
                ErrorKind::NotOurs(what) | ErrorKind::InvalidArgument(what) => what.clone(),
                _ => error.to_string(),
            },
            system,
            holder: error.holder().map(Into::into),
            refusal: error.refusal().map(|refusal| {
                let path = refusal.path.to_string_lossy().into_owned();
                system_error(&refusal.error, None, path)
            }),
        }
    }
}

fn system_error(error: &std::io::Error, call: Option<&str>, path: String) -> BindingSystemError {
    BindingSystemError {
        errno: io_error::errno(error),
        code: io_error::name(error).map(str::to_owned),
        syscall: call.map(str::to_owned),
        path,
        message: error.to_string(),
    }
}

/// The result of an inspection.
#[napi(object, object_from_js = false)]
pub struct BindingLockState {
    /// How the lock is held.
    #[napi(ts_type = "'free' | 'exclusive' | 'shared' | 'stale'")]
    pub state: &'static str,
    /// By whom.
    pub holder: Option<BindingHolder>,
    /// Milliseconds.
    pub age_ms: Option<f64>,
    /// The holders of the kernel lock, where the system reports them.
    pub holders: Option<Vec<BindingLockOwner>>,
    /// The processes that wait for it, where the system reports them.
    pub waiters: Option<Vec<BindingLockOwner>>,
}

impl From<LockState> for BindingLockState {
    fn from(seen: LockState) -> Self {
        let owners = |all: Vec<LockOwner>| all.into_iter().map(Into::into).collect();
        Self {
            state: match seen.state {
                State::Free => "free",
                State::Exclusive => "exclusive",
                State::Shared => "shared",
                State::Stale => "stale",
            },
            holder: seen.holder.as_ref().map(Into::into),
            age_ms: seen.age.map(|age| age.as_secs_f64() * 1000.0),
            holders: seen.holders.map(owners),
            waiters: seen.waiters.map(owners),
        }
    }
}

/// Everything that can be seen of a lock.
#[napi(object, object_from_js = false)]
pub struct BindingDiagnosis {
    /// How the lock is held.
    pub state: BindingLockState,
    /// Milliseconds: the holder's own.
    pub heartbeat_ms: Option<f64>,
    /// Milliseconds: the holder's own.
    pub stale_ms: Option<f64>,
    /// The type of the file system; empty if unknown.
    pub file_system: String,
    /// Its mount options, where the system reports them.
    pub mount_options: String,
    /// Which processes a lock there excludes.
    #[napi(ts_type = "'machine' | 'server' | 'mount' | 'unknown'")]
    pub reach: &'static str,
}

/// A process that holds a lock or waits for it.
#[napi(object, object_from_js = false)]
pub struct BindingLockOwner {
    /// Process id.
    pub pid: u32,
    /// `exclusive` or `shared`.
    #[napi(ts_type = "'exclusive' | 'shared'")]
    pub mode: &'static str,
    /// Program and script.
    pub command: Option<String>,
    /// Of this process: how many of its callers wait.
    pub callers: Option<u32>,
}

impl From<Diagnosis> for BindingDiagnosis {
    fn from(seen: Diagnosis) -> Self {
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        let (heartbeat, stale) = seen.terms.unzip();
        Self {
            state: seen.state.into(),
            heartbeat_ms: heartbeat.map(millis),
            stale_ms: stale.map(millis),
            file_system: seen.file_system.kind,
            mount_options: seen.file_system.options,
            reach: seen.file_system.reach.as_str(),
        }
    }
}

impl From<LockOwner> for BindingLockOwner {
    fn from(owner: LockOwner) -> Self {
        Self {
            pid: owner.pid,
            mode: mode(owner.mode),
            command: owner.command,
            callers: owner.callers.map(|callers| callers as u32),
        }
    }
}
