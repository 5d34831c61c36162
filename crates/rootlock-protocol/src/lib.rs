//! The protocol of a lock: the steps on its files, their order, and the reasons. The steps have the
//! same names in the model (`crates/rootlock-model`) and in `docs/protocol.md`.
//!
//! Nothing here waits for a lock, knows of a queue, starts a thread or sets a timer: every function
//! is one attempt, which ends. Read in this order:
//!
//! | module | what it is |
//! | --- | --- |
//! | [`names`], [`terms`] | the names of a lock's files; the times of a lease |
//! | [`ledger`], [`record`], [`promise`] | how a grant is recorded: in the guard, and in the lock file's times |
//! | [`lockfile`], [`guard`] | the two files; a section of the guard, in which every step happens |
//! | [`grant`], [`run`] | from a kernel lock to a grant; several grants under one stamp |
//! | [`beat`] | refreshes a lease |
//! | [`watch`], [`expiry`] | when a lock may be taken over (the first is pure) |
//! | [`recover`] | the takeover |
//! | [`inspect`] | inspects a lock without taking it |
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
pub mod record;
pub mod recover;
pub mod run;
pub mod terms;
pub mod watch;

pub use fault::{Fault, FaultKind};
pub use holder::Holder;
pub use lock_dir::LockDir;
pub use names::Names;
pub use terms::Terms;
