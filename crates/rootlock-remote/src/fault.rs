//! Why a step failed, in words that say what to do; and whether trying again may help.

use std::fmt;
use std::io;
use std::path::Path;

use rootlock::{Error, ErrorKind, Operation};
use tokio_postgres::error::SqlState;

/// A failure. Several requests may get the same.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    call: &'static str,
    kind: io::ErrorKind,
    words: String,
    /// The server is away, or was: the same may succeed later.
    pub(crate) passes: bool,
}

/// What a statement met.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A slice of a wait has ended (`lock_timeout`).
    Slice,
    /// A cancel request ended it.
    Cancelled,
    Fault(Fault),
}

impl Fault {
    pub(crate) fn new(call: &'static str, kind: io::ErrorKind, words: impl Into<String>) -> Self {
        // One line: statements to run are more readable with their own breaks, but messages are shown in one.
        let words: String = words.into();
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { call, kind, words, passes: false }
    }

    pub(crate) fn away(call: &'static str, kind: io::ErrorKind, words: impl Into<String>) -> Self {
        Self { passes: true, ..Self::new(call, kind, words) }
    }

    /// No answer.
    pub(crate) fn silent(call: &'static str) -> Self {
        Self::away(call, io::ErrorKind::TimedOut, "the server does not answer")
    }

    /// A call of the system's on a socket.
    pub(crate) fn io(call: &'static str, whom: &str, error: &io::Error) -> Self {
        let words = match error.kind() {
            io::ErrorKind::ConnectionRefused => format!(
                "no server listens at {whom}: start it, or correct host and port in the URL"
            ),
            io::ErrorKind::NotFound => {
                format!("there is no socket {whom}: start the server, or correct the URL's host")
            }
            _ => format!("{whom} can't be reached: {error}"),
        };
        Self::away(call, error.kind(), words)
    }

    pub(crate) fn kind(&self) -> io::ErrorKind {
        self.kind
    }

    pub(crate) fn words(&self) -> &str {
        &self.words
    }

    pub(crate) fn to_error(&self, operation: Operation, path: &Path) -> Error {
        Error::new(operation, path, self.to_kind())
    }

    pub(crate) fn to_kind(&self) -> ErrorKind {
        let error = io::Error::new(self.kind, self.words.clone());
        ErrorKind::Io { call: self.call, error }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Failure {
    /// What a statement of this step was answered.
    pub(crate) fn of(call: &'static str, error: &tokio_postgres::Error) -> Self {
        match error.code() {
            Some(code) if *code == SqlState::LOCK_NOT_AVAILABLE => Self::Slice,
            Some(code) if *code == SqlState::QUERY_CANCELED => Self::Cancelled,
            _ => Self::Fault(judge(call, error)),
        }
    }

    /// Where neither a slice nor a cancel request is expected: then it is as good as no answer.
    pub(crate) fn into_fault(self, call: &'static str) -> Fault {
        match self {
            Self::Fault(fault) => fault,
            Self::Slice => Fault::away(
                call,
                io::ErrorKind::TimedOut,
                "the server made the statement wait for too long",
            ),
            Self::Cancelled => {
                Fault::away(call, io::ErrorKind::Interrupted, "somebody cancelled the statement")
            }
        }
    }
}

/// Says what an error of the server's means here. Its own text is quoted: it names no password.
pub(crate) fn judge(call: &'static str, error: &tokio_postgres::Error) -> Fault {
    use io::ErrorKind::{
        ConnectionReset, InvalidData, NotFound, Other, PermissionDenied, ReadOnlyFilesystem,
        ResourceBusy,
    };
    let Some(told) = error.as_db_error() else {
        let source = std::error::Error::source(error);
        let inner = source.and_then(|source| source.downcast_ref::<io::Error>());
        return match inner {
            Some(inner) => {
                Fault::away(call, inner.kind(), format!("the connection broke: {inner}"))
            }
            None if error.is_closed() => {
                Fault::away(call, ConnectionReset, "the server has closed the connection")
            }
            None => {
                let why = source.map_or_else(|| error.to_string(), ToString::to_string);
                Fault::new(call, InvalidData, format!("the server can't be talked to: {why}"))
            }
        };
    };
    let said = told.message();
    let code = told.code();
    let of = |kind, what: &str| Fault::new(call, kind, format!("{said}: {what}"));
    let away = |what: &str| Fault::away(call, ResourceBusy, format!("{said}: {what}"));
    if *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION
    {
        return of(PermissionDenied, "correct user and password, or the server's pg_hba.conf");
    }
    if *code == SqlState::INVALID_CATALOG_NAME {
        return of(NotFound, "create it, or correct the URL's database");
    }
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        return of(PermissionDenied, crate::postgres::schema::RIGHTS);
    }
    if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        return of(
            ReadOnlyFilesystem,
            "locks need a server that is written to; name the primary in the URL",
        );
    }
    if *code == SqlState::UNDEFINED_TABLE || *code == SqlState::INVALID_SCHEMA_NAME {
        return of(NotFound, "somebody has removed the schema rootlock; openRoot creates it again");
    }
    if *code == SqlState::TOO_MANY_CONNECTIONS {
        return away(
            "each lock in use needs a connection; raise max_connections, or lock fewer at once",
        );
    }
    // Shutting down, starting up, a backend that died, an administrator, a silent session.
    if matches!(code.code(), "57P01" | "57P02" | "57P03" | "57P05") || code.code().starts_with("08")
    {
        return Fault::away(call, ConnectionReset, said.to_owned());
    }
    let hint = told.hint().unwrap_or("the server says no more");
    Fault::new(call, Other, format!("{said} ({}): {hint}", code.code()))
}
