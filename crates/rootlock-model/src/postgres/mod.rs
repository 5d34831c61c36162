//! The protocol on PostgreSQL, `docs/protocol-postgres.md`, with a server that may be away, restart,
//! and end sessions.
//!
//! [`protocol`] has a step in each `match` arm, [`claims`] says what must hold, [`setup`] what may go
//! wrong, [`stories`] breaks each rule.
//!
//! # Time
//!
//! Ticks as in the crate's own documentation, the same for all. Every step may take any time: so each
//! client may be frozen or cut off wherever it stands, and a statement or an answer may be on its way
//! for any time, or forever. Only the search for livelocks ([`crate::progress`]) knows of promptness.
//!
//! # What is abstracted
//!
//! - A client has one connection and the server's session for it. Whoever gives its connection up, or
//!   dies, is [`state::Phase::Gone`]: its session lives on, with its lock and with what is on its way,
//!   until the server ends it. Then another client takes its place; meanwhile others play that part.
//! - A statement that has arrived runs in one step. Only the release of a variant has two. A lock may
//!   go to any that waits: stronger than the server's order, for safety.
//! - A session without the lock has no timeout: losing it is starting over.
//! - A beat in quarantine arrives when it is sent, because no lease counts from it.
//! - An instance is the one that runs, or another one. A restart may come at any time and as often as
//!   it likes; what was committed stays, but where a setup or a variant says otherwise.
//! - Of tokens only the order counts. The server's clock lifts them above the directory's, and after
//!   that is no help: it may have been set back.
//! - The backstop's watch is the session's own idle time: no watch can be longer.
//! - The server counts quarantine from the beginning of its instance, on a clock that runs like all others: that
//!   somebody sets it forward meanwhile is not in it.
//! - Slices, the marker's own time, `?sync=1`, rights and poolers that are refused are not in it.

pub mod claims;
mod progress;
pub mod protocol;
pub mod setup;
pub mod state;
pub mod stories;
