//! One advisory lock per directory, shared between processes, threads and languages.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let store = tempfile::tempdir()?;
//! use rootlock::{Request, Root};
//!
//! let root = Root::open(store.path())?;
//! let lock = root.lock(Request::default())?;
//! println!("mine, with fencing token {}", lock.token());
//! drop(lock);
//! # Ok(())
//! # }
//! ```
//!
//! The lock is a kernel lock (`flock(2)`, `LockFileEx`) on a file in the directory: it dies with
//! its holder. A heartbeat on a native thread makes it a lease as well: a holder that is stopped,
//! or whose descriptor outlives it, loses the lock to a waiter that has seen the file unchanged for
//! long enough. No two leases that exclude each other are ever live at once. The protocol is in
//! `docs/protocol.md`; its steps have the same names there and here.
//!
//! The lock is *advisory*: it excludes only those who ask for it. And a holder that was stopped,
//! lost its lock and wakes up again may still write before it learns of the loss: only a resource
//! that compares [`Lock::token`]s stops that.
//!
//! A process that has used this crate and forks may execute another program. A fork that goes on in the same program has no lock
//! of its parent's, leaves the parent's locks alone, and can't lock: every request fails.
//!
//! # Layout
//! From the outside in: [`Session`], [`Root`] and [`Lock`] are the face. `session` is generic over a
//! [`Backend`]: `directory` is the one in this crate, `rootlock-remote` has another. `requests` and `queue` are
//! pure state machines that decide which request is next and who is notified; `session` and `entry`
//! carry that out with real files, threads and timers. `lease` is the life of a held lock; `timer`
//! and `pool` are the threads. The steps on the files are in `rootlock-protocol`, the system in
//! `rootlock-sys`.

mod backend;
mod diagnose;
mod dir_cache;
mod directory;
mod entry;
mod error;
mod events;
mod inspect;
#[cfg(shuttle)]
mod interleavings;
mod lease;
mod limits;
mod located;
mod lock;
mod mailbox;
mod options;
mod pool;
mod queue;
mod recent;
mod requests;
mod root;
pub mod session;
#[cfg(all(test, not(shuttle)))]
mod sleep;
mod timer;

pub use backend::Backend;
pub use diagnose::Diagnosis;
pub use directory::{Directory, Place, Session, place};
pub use entry::{Acquired, Wait};
pub use error::{Error, ErrorKind, Operation, Refusal};
pub use events::{Details, Events, Level, LostReason, Released, TOOK_OVER};
pub use located::{Located, absolute};
pub use lock::Lock;
pub use options::{Options, Request};
pub use root::Root;
pub use session::{Answer, Event, Observer};

pub use rootlock_protocol::Holder;
pub use rootlock_protocol::inspect::{LockOwner, LockState, State};
pub use rootlock_sys::{FileSystem, Mode, Reach};
