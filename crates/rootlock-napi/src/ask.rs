//! The bits of the `ask` argument of [`crate::environment::BindingEnvironment::acquire`], and the
//! ranges of its times.

use napi_derive::napi;
use rootlock::Options;

/// The shortest `heartbeat_ms`.
#[napi]
pub const MIN_HEARTBEAT_MS: u32 = Options::MIN_HEARTBEAT.as_millis() as u32;

/// `stale_ms` is at least this many times `heartbeat_ms`.
#[napi]
pub const MIN_STALE_IN_HEARTBEATS: u32 = Options::MIN_STALE_IN_HEARTBEATS;

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
