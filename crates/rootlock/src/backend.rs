//! What a [session](crate::session) needs of the engine beneath it, and no more: so a directory and a
//! server get their requests, limits, deadlocks and calls that block from the same code.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use crate::Error;
use crate::entry::Acquired;
use crate::events::{Events, LostReason, Released};
use crate::options::Request;

/// An engine. Nothing of it is called while a mutex of the session is held that its events need.
pub trait Backend: Sized + 'static {
    /// What leads to a root that has to be opened first.
    type Path: Clone + Debug + Send + 'static;
    /// Where locks are: a directory, or a name space on a server.
    type Root: Clone + Debug + Send + 'static;
    /// A held lock. Dropping it releases it.
    type Lock: Send + 'static;
    /// A lock without the power to release it.
    type Lease;
    /// A pending wait. Dropping it does not end it.
    type Wait: Clone + Send + 'static;

    /// How messages show a path.
    fn shown(path: &Self::Path) -> &Path;
    /// How messages show a root.
    fn path(root: &Self::Root) -> &Path;
    /// Opens a root, which may block.
    ///
    /// # Errors
    /// The reason why it can't be opened.
    fn open(path: &Self::Path) -> Result<Self::Root, Error>;
    /// Opens a root if that can't block. `None` says nothing about the root.
    fn open_cached(path: &Self::Path) -> Option<Self::Root>;
    /// Whether [`Backend::acquire`] can't block.
    fn is_prompt(root: &Self::Root) -> bool;
    /// Asks for a lock. If an [`Acquired::Later`] is settled before this returns, `events` is called first.
    ///
    /// # Errors
    /// Any reason why the lock can't be acquired that is known at once, except that it is held.
    fn acquire(
        root: &Self::Root,
        tag: u64,
        request: Request<'_>,
        events: Arc<dyn Events<Self::Lock>>,
    ) -> Result<Acquired<Self::Lock, Self::Wait>, Error>;

    /// The fencing token.
    fn token(lock: &Self::Lock) -> u64;
    /// The lock's lease, to be asked when it is no longer at hand.
    fn lease(lock: &Self::Lock) -> Self::Lease;
    /// Why it was lost, if it was, as far as can be known now.
    fn lost(lease: &Self::Lease) -> Option<LostReason>;
    /// Releases a lock; does not block.
    fn unlock(lock: Self::Lock) -> Released;

    /// Ends a wait, if it has not ended; that is reported when nothing of it is left.
    fn cancel(wait: &Self::Wait);
    /// Ends all of a user's whose thread ends, and perhaps the process with it. May block for a moment, if others would
    /// have to wait for longer otherwise.
    fn end(waits: Vec<Self::Wait>, locks: Vec<Self::Lock>) {
        waits.iter().for_each(Self::cancel);
        drop(locks);
    }
    /// Whether a wait can't end before that lease of this process does.
    fn waits_for(wait: &Self::Wait, lease: &Self::Lease) -> bool;
    /// Whether a wait can't end before another of this process has, and the lease that comes of it.
    fn is_behind(wait: &Self::Wait, other: &Self::Wait) -> bool;
    /// Gives up places in line, of one lock and in their order, for places at its end, in the same order: the waits that go
    /// on there; `None` for one that is not in line any more, or can't leave its place.
    fn fall_back(waits: &[Self::Wait]) -> Vec<Option<Self::Wait>>;
    /// A wait's place in line: ascending.
    fn key(wait: &Self::Wait) -> u64;
}
