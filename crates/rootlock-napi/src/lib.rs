//! The border to Node-API: conversion only. Nothing here decides anything about locking. It is compiled twice: for
//! directories, and with the feature `remote` for servers.
//!
//! JavaScript opens an [environment] for each of its own (main thread or worker). Requests are answered
//! at once or by an event; all events of an environment go through one threadsafe function. There are no promises on this side: each would be a
//! threadsafe function of its own, and libuv checks all of them at every wake-up, which is quadratic
//! with ten thousand waiters. `src/` makes the promises.

pub mod absolute_path;
pub mod ask;
pub mod events;
pub mod limits;

mod blocking;
mod convert;
mod engine;
pub mod environment;
mod io_error;

/// Compared with the face's own version: mismatched halves of two releases must not lock.
#[napi_derive::napi]
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
