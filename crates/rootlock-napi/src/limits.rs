//! The defaults and limits of a lock's options: the engine decides, the face reports in Node's words.

use napi_derive::napi;
use rootlock::{Options, Root};

/// The default `file_name`.
#[napi]
pub const DEFAULT_FILE_NAME: &str = Root::LOCK_FILE;

/// The longest `file_name`, in bytes of UTF-8.
#[napi]
pub const MAX_FILE_NAME_BYTES: u32 = Root::MAX_FILE_NAME_BYTES as u32;

/// The default `heartbeat_ms`.
#[napi]
pub const DEFAULT_HEARTBEAT_MS: u32 = Options::DEFAULT.heartbeat.as_millis() as u32;

/// The shortest `heartbeat_ms`.
#[napi]
pub const MIN_HEARTBEAT_MS: u32 = Options::MIN_HEARTBEAT.as_millis() as u32;

/// The default `stale_ms`.
#[napi]
pub const DEFAULT_STALE_MS: u32 = Options::DEFAULT.stale.as_millis() as u32;

/// `stale_ms` is at least this many times `heartbeat_ms`.
#[napi]
pub const MIN_STALE_IN_HEARTBEATS: u32 = Options::MIN_STALE_IN_HEARTBEATS;
