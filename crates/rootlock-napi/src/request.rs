//! What a lock is asked for.

use napi_derive::napi;
use rootlock::{Mode, Options, Request};

use crate::convert::millis;

/// What a lock is asked for: made once for every set of options, because reading it off a
/// JavaScript object for every lock would take as long as locking. Checked by the face; the core
/// checks what matters again.
#[napi]
pub struct BindingRequest {
    file_name: Box<str>,
    options: Options,
}

#[napi]
impl BindingRequest {
    /// The lock file's name, and `LockOptions`.
    #[napi(constructor)]
    pub fn new(
        file_name: String,
        heartbeat_ms: f64,
        stale_ms: f64,
        recover: bool,
        wait: bool,
    ) -> Self {
        Self {
            file_name: file_name.into(),
            options: Options {
                heartbeat: millis(heartbeat_ms),
                stale: millis(stale_ms),
                recover,
                wait,
            },
        }
    }

    pub(crate) fn with(&self, shared: bool, tell: bool) -> OwnedRequest {
        let mode = if shared { Mode::Shared } else { Mode::Exclusive };
        OwnedRequest { file_name: self.file_name.clone(), options: self.options, mode, tell }
    }
}

/// The same, fit to be taken to another thread.
pub(crate) struct OwnedRequest {
    file_name: Box<str>,
    options: Options,
    mode: Mode,
    tell: bool,
}

impl OwnedRequest {
    pub(crate) fn as_request(&self) -> Request<'_> {
        let Self { file_name, options, mode, tell } = self;
        Request { file_name, mode: *mode, options: *options, tell: *tell }
    }
}
