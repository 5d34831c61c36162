//! What keeps the locks: directories, or servers in the binding of `@rootlock/remote`.

#[cfg(not(feature = "remote"))]
pub(crate) use rootlock::{Place, Root, Session, place};
#[cfg(feature = "remote")]
pub(crate) use rootlock_remote::{Place, Root, Session, place};
