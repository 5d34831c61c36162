//! The protocol on etcd, `docs/protocol-etcd.md`, with a cluster that elects leaders, is restored, and
//! may be cut off.
//!
//! [`protocol`] has a step in each `match` arm, [`claims`] says what must hold, [`setup`] what may go
//! wrong, [`stories`] breaks each rule.
//!
//! # Time
//!
//! Ticks as in the crate's own documentation, the same for all. Every step may take any time: so each
//! client may be frozen or cut off wherever it stands, and a request or an answer may be on its way
//! for any time, or forever. Only the search for livelocks ([`crate::progress`]) knows of promptness.
//!
//! # What is abstracted
//!
//! - The cluster is one server whose requests are carried out one after the other.
//! - A client has one session and one key. Whoever is no more, or has done with its session, is
//!   [`state::Phase::Gone`]: its lease and its key live on, with what is on its way, until the cluster
//!   ends them. Then another client takes its place; meanwhile others play that part. Where a process
//!   needs its lease for other locks, it is [`state::Client::kept`].
//! - Base and create revision are one number, of which only the order counts. A restore sets it back
//!   to the last key of the snapshot, whatever was between; raising the base lifts it above all
//!   tokens, because the clock is ahead of them.
//! - A snapshot has the leases and keys of any of the clients, but no key that is no more: whoever
//!   would have one ends its session when it sees another cluster.
//! - The beat of one who waits arrives when it is sent: that is the worst, because later on the
//!   cluster counts from later. A holder's is on its way.
//! - The keys of the dead may be buried at any time, by anybody.
//! - Retries, compaction and several endpoints are not in it.

pub mod claims;
mod progress;
pub mod protocol;
pub mod setup;
pub mod state;
pub mod stories;
