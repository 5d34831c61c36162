//! The lock on a PostgreSQL server: its advisory lock keeps others out and ends with its session, and the server itself
//! ends a session that is silent for too long.
//!
//! The steps have the names of `docs/protocol-postgres.md` and the model (`crates/rootlock-model/src/postgres`): each is
//! one attempt in [`session`], and knows of no line and no lease. A task of an entry ([`task`]) has the connection;
//! another one ([`heart`]) beats.

mod backstop;
mod cancel;
mod connect;
mod heart;
pub(crate) mod inspect;
mod look;
pub(crate) mod schema;
mod session;
mod sql;
pub(crate) mod task;
pub(crate) mod url;

pub(crate) use url::Target;
