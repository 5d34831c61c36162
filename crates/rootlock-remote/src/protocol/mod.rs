//! The steps on the server, by the names of `docs/protocol-postgres.md` and the model
//! (`crates/rootlock-model/src/postgres`). Each is one attempt; none knows of a line or a lease.

pub(crate) mod cancel;
pub(crate) mod connect;
pub(crate) mod look;
pub(crate) mod record;
pub(crate) mod schema;
pub(crate) mod session;
pub(crate) mod sql;

pub(crate) use session::{Session, Written};
