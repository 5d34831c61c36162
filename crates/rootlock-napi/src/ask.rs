//! The bits of the `ask` argument of [`crate::environment::acquire`], and the ranges of its times.

use napi_derive::napi;

/// As a reader rather than a writer.
#[napi]
pub const ASK_SHARED: u32 = 1;

/// Wait until it is free, rather than make one attempt.
#[napi]
pub const ASK_WAIT: u32 = 2;

/// Take over an abandoned lock.
#[napi]
pub const ASK_RECOVER: u32 = 4;

/// Send an event if the lock was not free.
#[napi]
pub const ASK_NOTIFY: u32 = 8;

/// There is a logger.
#[napi]
pub const ASK_LOGGER: u32 = 16;

/// Events are kept for [`crate::environment::next`], because JavaScript blocks for
/// them.
#[napi]
pub const ASK_BLOCK: u32 = 32;
