//! The events of an environment, delivered by one threadsafe function that does not keep it alive.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use napi::Status;
use napi::bindgen_prelude::{FnArgs, Function};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use rootlock::{Details, Error, Level, Observer};

use crate::convert::{BindingDiagnosis, BindingError, BindingHolder, BindingLockState, number};

/// The message of the `log` event that comes before the `granted` one of a takeover.
#[napi]
pub const TOOK_OVER: &str = rootlock::TOOK_OVER;

/// Something that happened to a request.
#[napi(object, object_from_js = false)]
pub struct BindingEvent {
    /// The request's key.
    pub key: f64,
    /// What happened.
    #[napi(
        ts_type = "'waiting' | 'deadlock' | 'failed' | 'lost' | 'released' | 'opened' | 'inspected' | 'diagnosed' \
                   | 'log'"
    )]
    pub kind: &'static str,
    /// `waiting`.
    pub holder: Option<BindingHolder>,
    /// `failed`; `released` if that failed.
    pub error: Option<BindingError>,
    /// `lost`.
    #[napi(ts_type = "'hijacked' | 'heartbeat-failed'")]
    pub reason: Option<&'static str>,
    /// `inspected`.
    pub state: Option<BindingLockState>,
    /// `diagnosed`.
    pub diagnosis: Option<BindingDiagnosis>,
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
            holder: None,
            error: None,
            reason: None,
            state: None,
            diagnosis: None,
            level: None,
            message: None,
            details: None,
        }
    }

    pub(crate) fn failed(key: u64, error: &Error) -> Self {
        Self { error: Some(error.into()), ..Self::new(key, "failed") }
    }

    fn log(key: u64, level: Level, message: String, details: &Details) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            level: Some(match level {
                Level::Warn => "warn",
                Level::Error => "error",
            }),
            message: Some(message),
            details: Some(details.iter().map(owned).collect()),
            ..Self::new(key, "log")
        }
    }
}

/// The callback's arguments: a grant's key and token, or a zero token and the event.
pub(crate) type Arguments = FnArgs<(f64, f64, Option<BindingEvent>)>;

/// An event to deliver.
pub(crate) enum Event {
    /// A lock, by key and token.
    Granted(u64, u64),
    Other(Box<BindingEvent>),
}

impl From<BindingEvent> for Event {
    fn from(event: BindingEvent) -> Self {
        Self::Other(Box::new(event))
    }
}

impl Event {
    pub(crate) fn of(key: u64, event: rootlock::Event) -> Self {
        use rootlock::Event as Of;
        let new = |kind| BindingEvent::new(key, kind);
        Self::from(match event {
            Of::Granted(token) => return Self::Granted(key, token),
            Of::Waiting(holder) => {
                BindingEvent { holder: holder.as_ref().map(Into::into), ..new("waiting") }
            }
            Of::Failed(error) => BindingEvent::failed(key, &error),
            Of::Deadlock => new("deadlock"),
            Of::Cancelled => new("failed"),
            Of::Lost(reason) => BindingEvent { reason: Some(reason.as_str()), ..new("lost") },
            Of::Released(result) => {
                BindingEvent { error: result.err().as_ref().map(Into::into), ..new("released") }
            }
            Of::Log(level, message, details) => BindingEvent::log(key, level, message, &details),
        })
    }

    /// Whether nothing more is waited for after it.
    pub(crate) fn is_last(&self) -> bool {
        match self {
            Self::Granted(..) => true,
            Self::Other(event) => matches!(event.kind, "failed" | "released"),
        }
    }

    fn arguments(self) -> Arguments {
        match self {
            Self::Granted(key, token) => (number(key), number(token), None).into(),
            Self::Other(event) => (event.key, 0.0, Some(*event)).into(),
        }
    }
}

/// `Weak`: a held lock must not keep the event loop alive; the face keeps it alive while something
/// is waited for. Unbounded: a dropped event would be a promise that never settles.
type OnEvent = ThreadsafeFunction<Event, (), Arguments, Status, false, true, 0>;

/// The way into JavaScript.
pub(crate) struct Channel {
    on_event: OnEvent,
    /// How many events are on their way.
    sent: Arc<AtomicUsize>,
}

thread_local! {
    /// During a call from JavaScript that returns the events it causes: the channel, and the events
    /// so far.
    static COLLECTED: RefCell<Option<(*const Channel, Vec<Event>)>> = const { RefCell::new(None) };
}

impl Channel {
    pub(crate) fn new(on_event: Function<'_, Arguments, ()>) -> napi::Result<Self> {
        let sent = Arc::<AtomicUsize>::default();
        let on_its_way = Arc::clone(&sent);
        let on_event = on_event
            .build_threadsafe_function::<Event>()
            .weak::<true>()
            .build_callback(move |call| {
                on_its_way.fetch_sub(1, Ordering::Relaxed);
                Ok(call.value.arguments())
            })?;
        Ok(Self { on_event, sent })
    }

    /// Whether no event is on its way: only then may a call return what happened after it.
    pub(crate) fn is_empty(&self) -> bool {
        self.sent.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn send(&self, event: impl Into<Event>) {
        let event = event.into();
        let event = COLLECTED.with_borrow_mut(|collected| match collected {
            Some((channel, events)) if std::ptr::eq(*channel, self) => {
                events.push(event);
                None
            }
            _ => Some(event),
        });
        if let Some(event) = event {
            self.sent.fetch_add(1, Ordering::Relaxed);
            // An environment that has ended receives nothing any more, and that is fine.
            let _ = self.on_event.call(event, ThreadsafeFunctionCallMode::NonBlocking);
        }
    }

    /// Runs a call from JavaScript, on its thread, and returns the events that it causes at once
    /// for this environment: a lock that goes from caller to caller need not take the detour
    /// through the event loop.
    pub(crate) fn collect<T>(&self, call: impl FnOnce() -> T) -> (T, Vec<Event>) {
        COLLECTED.set(Some((self, Vec::new())));
        let result = call();
        let events = COLLECTED.take().map(|(_, events)| events).unwrap_or_default();
        (result, events)
    }
}

impl Observer for Channel {
    fn observe(&self, key: u64, event: rootlock::Event) {
        self.send(Event::of(key, event));
    }
}
