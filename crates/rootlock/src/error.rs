//! One error type: the operation, the path, and why it failed.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use rootlock_protocol::{Fault, FaultKind};

use crate::Holder;

/// Why a lock was not acquired, released or inspected.
#[derive(Debug)]
pub struct Error {
    operation: Operation,
    path: PathBuf,
    kind: ErrorKind,
    holder: Option<Box<Holder>>,
    refusal: Option<Box<Refusal>>,
    /// Why it was not known whether the lock is held, if that was what the wait was for.
    unknown: Option<Box<ErrorKind>>,
}

/// The operation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Opening the directory.
    Open,
    /// Acquiring the lock, or waiting for it.
    Acquire,
    /// Releasing it.
    Release,
    /// Inspecting it.
    Inspect,
}

/// Why the operation failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The lock is held, and the caller did not want to wait, or no longer.
    Held,
    /// The wait was cancelled.
    Cancelled,
    /// The operating system refused; `call` names the system call.
    Io {
        /// The system call, by the name of its manual page.
        call: &'static str,
        /// The system's error.
        error: io::Error,
    },
    /// The lock file's or the guard's name belongs to something that is not a regular file.
    NotAFile,
    /// The file with the lock file's or the guard's name may be somebody else's; the text says why.
    /// Nothing was written to it.
    NotOurs(String),
    /// The caller's own argument is out of range; the text names it.
    InvalidArgument(String),
}

/// A takeover that the system refused: the lock is stale, and a person may have to look into it.
#[derive(Debug)]
pub struct Refusal {
    /// The file that could not be replaced.
    pub path: PathBuf,
    /// Why it could not.
    pub error: io::Error,
}

impl Error {
    /// An error without a holder.
    pub fn new(operation: Operation, path: &Path, kind: ErrorKind) -> Self {
        Self { operation, path: path.to_owned(), kind, holder: None, refusal: None, unknown: None }
    }

    /// An error of a system call made for a lock, even one made by another thread.
    pub fn io(operation: Operation, path: &Path, call: &'static str, error: io::Error) -> Self {
        Self::new(operation, path, ErrorKind::Io { call, error })
    }

    pub(crate) fn invalid(operation: Operation, path: &Path, what: String) -> Self {
        Self::new(operation, path, ErrorKind::InvalidArgument(what))
    }

    /// The same with the holder, if known.
    #[must_use]
    pub fn with_holder(mut self, holder: Option<Holder>) -> Self {
        self.holder = holder.map(Box::new);
        self
    }

    pub(crate) fn with_refusal(mut self, refusal: Option<Refusal>) -> Self {
        self.refusal = refusal.map(Box::new);
        self
    }

    /// The same of a wait for an answer, when nobody knows whether the lock is held.
    #[must_use]
    pub fn while_unknown(mut self, why: Option<ErrorKind>) -> Self {
        self.unknown = why.map(Box::new);
        self
    }

    /// The same of a wait that was cancelled because it took too long: the lock was held for so long, as far
    /// as is known.
    pub(crate) fn of_limit(mut self) -> Self {
        if matches!(self.kind, ErrorKind::Cancelled) {
            self.kind = self.unknown.take().map_or(ErrorKind::Held, |why| *why);
        }
        self
    }

    /// The operation that failed.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The file or directory in question.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why it failed.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The holder, if known, for [`ErrorKind::Held`] and [`ErrorKind::Cancelled`].
    pub fn holder(&self) -> Option<&Holder> {
        self.holder.as_deref()
    }

    /// The takeover that the system refused before this wait ended, if there was one.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.operation {
            Operation::Open => "open",
            Operation::Acquire => "lock",
            Operation::Release => "unlock",
            Operation::Inspect => "inspect",
        };
        write!(f, "could not {what} {}: ", self.path.display())?;
        match &self.kind {
            ErrorKind::Held => f.write_str("it is locked")?,
            ErrorKind::Cancelled => f.write_str("the wait was cancelled")?,
            ErrorKind::Io { call, error } => write!(f, "{call}: {error}")?,
            ErrorKind::NotAFile => f.write_str("not a regular file")?,
            ErrorKind::NotOurs(what) | ErrorKind::InvalidArgument(what) => f.write_str(what)?,
        }
        if let Some(holder) = &self.holder {
            write!(f, " (held by {holder})")?;
        }
        if let Some(Refusal { path, error }) = self.refusal.as_deref() {
            write!(f, "; it is stale, but {} could not be replaced: {error}", path.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            ErrorKind::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// Adds what the caller knows: the operation and the directory.
pub(crate) trait FaultExt {
    fn into_error(self, operation: Operation, root: &Path) -> Error;

    /// Several requests may get the same refusal, each with its own path.
    fn to_refusal(&self, root: &Path) -> Refusal;
}

impl FaultExt for Fault {
    fn into_error(self, operation: Operation, root: &Path) -> Error {
        let path = root.join(&*self.name);
        let kind = match self.kind {
            FaultKind::Io { call, error } => ErrorKind::Io { call, error },
            FaultKind::NotAFile => ErrorKind::NotAFile,
            FaultKind::NotOurs(why) => ErrorKind::NotOurs(why),
        };
        Error::new(operation, &path, kind)
    }

    fn to_refusal(&self, root: &Path) -> Refusal {
        let error = match &self.kind {
            FaultKind::Io { error, .. } => copy(error),
            FaultKind::NotOurs(why) => io::Error::other(why.as_str()),
            FaultKind::NotAFile => io::Error::other("not a regular file"),
        };
        Refusal { path: root.join(&*self.name), error }
    }
}

/// `io::Error` can't be cloned; only its number and its text matter.
pub(crate) fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
