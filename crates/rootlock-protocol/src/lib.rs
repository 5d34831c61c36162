//! The protocol of a lock: what is done to its files, in which order, and why. The steps have the
//! names that the model (`crates/rootlock-model`) and `docs/protocol.md` give them.
//!
//! Nothing in here waits for a lock, knows of a queue, starts a thread or sets a timer; every
//! function is one attempt, which ends. Read in this order:
//!
//! | module | what it is |
//! | --- | --- |
//! | [`names`], [`terms`] | what a lock's files are called; what a holder promises |
//! | [`ledger`], [`promise`] | how that is written down: in the guard, and in the lock file's times |
//! | [`lockfile`], [`guard`] | the two files; a section of the guard, in which every step happens |
//! | [`grant`] | from a kernel lock to a grant |
//! | [`beat`] | a lease is refreshed |
//! | [`watch`], [`expiry`] | when a lock may be taken over (the first is pure) |
//! | [`recover`] | the takeover |
//! | [`inspect`] | looking without taking |
#![allow(
    missing_docs,
    reason = "inner crate: its reader has the source, and the reasons are there"
)]

pub mod beat;
pub mod command;
pub mod expiry;
pub mod fault;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod grant;
pub mod guard;
pub mod holder;
pub mod inspect;
pub mod ledger;
mod lock_dir;
pub mod lockfile;
pub mod names;
pub mod promise;
pub mod recover;
pub mod terms;
pub mod watch;

pub use fault::{Fault, FaultKind};
pub use holder::Holder;
pub use lock_dir::LockDir;
pub use names::Names;
pub use terms::Terms;
