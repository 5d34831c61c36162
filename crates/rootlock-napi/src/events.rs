//! What an environment is told: one threadsafe function that does not keep it alive.

use std::cell::RefCell;
use std::collections::HashMap;

use napi::Status;
use napi::bindgen_prelude::Function;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use rootlock::{Details, Level};

use crate::convert::{BindingError, BindingHolder, BindingLockState, number};

/// Something that happened to a request.
#[napi(object, object_from_js = false)]
pub struct BindingEvent {
    /// The request's key.
    pub key: f64,
    /// What happened.
    #[napi(
        ts_type = "'waiting' | 'granted' | 'failed' | 'lost' | 'released' | 'opened' | 'inspected' \
                   | 'log'"
    )]
    pub kind: &'static str,
    /// `granted`.
    pub token: Option<f64>,
    /// `waiting`.
    pub holder: Option<BindingHolder>,
    /// `failed`; `released` if that failed.
    pub error: Option<BindingError>,
    /// `lost`.
    #[napi(ts_type = "'hijacked' | 'heartbeat-failed'")]
    pub reason: Option<&'static str>,
    /// `inspected`.
    pub state: Option<BindingLockState>,
    /// `log`.
    #[napi(ts_type = "'warn' | 'error'")]
    pub level: Option<&'static str>,
    /// `log`.
    pub message: Option<String>,
    /// `log`.
    pub details: Option<HashMap<String, String>>,
}

impl BindingEvent {
    pub(crate) fn new(key: u64, kind: &'static str) -> Self {
        Self {
            key: number(key),
            kind,
            token: None,
            holder: None,
            error: None,
            reason: None,
            state: None,
            level: None,
            message: None,
            details: None,
        }
    }

    pub(crate) fn log(key: u64, level: Level, message: &str, details: &Details) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            level: Some(match level {
                Level::Warn => "warn",
                Level::Error => "error",
            }),
            message: Some(message.to_owned()),
            details: Some(details.iter().map(owned).collect()),
            ..Self::new(key, "log")
        }
    }
}

/// `Weak`: a lock that is held must not keep the event loop alive; the face keeps it alive for as
/// long as something is waited for. Unbounded: an event that is dropped is a promise that never
/// settles.
type OnEvent = ThreadsafeFunction<BindingEvent, (), BindingEvent, Status, false, true, 0>;

/// The way into JavaScript.
pub(crate) struct Channel {
    on_event: OnEvent,
}

thread_local! {
    /// During a call from JavaScript that answers with the events it causes: of which channel, and
    /// those so far.
    static COLLECTED: RefCell<Option<(*const Channel, Vec<BindingEvent>)>> =
        const { RefCell::new(None) };
}

impl Channel {
    pub(crate) fn new(on_event: Function<'_, BindingEvent, ()>) -> napi::Result<Self> {
        let on_event =
            on_event.build_threadsafe_function::<BindingEvent>().weak::<true>().build()?;
        Ok(Self { on_event })
    }

    /// An environment that has ended hears nothing any more, and that is fine.
    pub(crate) fn send(&self, event: BindingEvent) {
        let event = COLLECTED.with_borrow_mut(|collected| match collected {
            Some((channel, events)) if std::ptr::eq(*channel, self) => {
                events.push(event);
                None
            }
            _ => Some(event),
        });
        if let Some(event) = event {
            let _ = self.on_event.call(event, ThreadsafeFunctionCallMode::NonBlocking);
        }
    }

    /// Runs what a call from JavaScript asks for, on its thread, and returns the events that it
    /// causes at once for this environment: a lock that goes from caller to caller need not take
    /// the way around through the event loop.
    pub(crate) fn collect<T>(&self, call: impl FnOnce() -> T) -> (T, Vec<BindingEvent>) {
        COLLECTED.set(Some((self, Vec::new())));
        let result = call();
        let events = COLLECTED.take().map(|(_, events)| events).unwrap_or_default();
        (result, events)
    }
}
