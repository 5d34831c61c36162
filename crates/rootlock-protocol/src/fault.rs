//! Why a step of the protocol failed.

use std::{fmt, io};

/// Why a step failed. The caller, who knows the operation, turns it into an error.
#[derive(Debug)]
pub struct Fault {
    /// The file's name in the root.
    pub name: Box<str>,
    pub kind: FaultKind,
}

impl Fault {
    /// For `map_err`.
    pub fn io(call: &'static str, name: &str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self { name: name.into(), kind: FaultKind::Io { call, error } }
    }

    pub fn not_a_file(name: &str) -> Self {
        Self { name: name.into(), kind: FaultKind::NotAFile }
    }

    pub fn not_ours(name: &str, why: impl Into<String>) -> Self {
        Self { name: name.into(), kind: FaultKind::NotOurs(why.into()) }
    }

    /// Whether nothing has that name.
    pub fn is_missing(&self) -> bool {
        matches!(&self.kind, FaultKind::Io { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }

    /// Whether the file in question may be somebody else's.
    pub fn is_not_ours(&self) -> bool {
        matches!(self.kind, FaultKind::NotOurs(_) | FaultKind::NotAFile)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            FaultKind::Io { call, error } => write!(f, "{call} {}: {error}", self.name),
            FaultKind::NotOurs(why) => write!(f, "{}: {why}", self.name),
            FaultKind::NotAFile => write!(f, "{} is not a regular file", self.name),
        }
    }
}

/// What went wrong with the file.
#[derive(Debug)]
pub enum FaultKind {
    /// The operating system refused; `call` names the system call.
    Io { call: &'static str, error: io::Error },
    /// The name belongs to something that is not a regular file.
    NotAFile,
    /// The file may be somebody else's; the text says why.
    NotOurs(String),
}
