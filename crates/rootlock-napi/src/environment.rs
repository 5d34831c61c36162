//! One JavaScript environment: its locks and waits, which end with it.
//!
//! JavaScript chooses numbers that identify a request, the lock that comes of it, and an open
//! directory. Options are numbers too: they cross the border in nanoseconds, where objects would
//! take as long as locking does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use napi::Env;
use napi::bindgen_prelude::{Either, Either3, Function};
use napi_derive::napi;
use rootlock::{
    Answer, Error, Located, Mode, Observer, Operation, Options, Place, Released, Request, Root,
    Session,
};

use crate::ask::{ASK_LOGGER, ASK_NOTIFY, ASK_RECOVER, ASK_SHARED, ASK_WAIT};
use crate::blocking;
use crate::convert::{BindingError, millis, number};
use crate::events::{Arguments, BindingEvent, Channel, Event};

/// The locks and waits of one environment.
#[napi]
pub struct BindingEnvironment {
    channel: Arc<Channel>,
    session: Arc<Session>,
    /// Open directories, by number.
    roots: Arc<Roots>,
}

#[derive(Default)]
struct Roots(Mutex<HashMap<u64, Root>>);

impl Roots {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Root>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[napi]
impl BindingEnvironment {
    /// Creates the environment's table, and the hook that ends everything in it.
    #[napi(constructor)]
    pub fn new(
        env: Env,
        #[napi(ts_arg_type = "(key: number, token: number, event?: BindingEvent) => void")]
        on_event: Function<'_, Arguments, ()>,
    ) -> napi::Result<Self> {
        let channel = Arc::new(Channel::new(on_event)?);
        let session = Arc::new(Session::new(Arc::clone(&channel) as Arc<dyn Observer>));
        // JavaScript gets no last word in a worker that is terminated, but this hook runs.
        env.add_env_cleanup_hook(Arc::clone(&session), |session| session.close())?;
        Ok(Self { channel, session, roots: Arc::default() })
    }

    /// Asks for a lock. Returns its fencing token if it is granted at once, zero if an event (a
    /// grant or `failed`) follows, or the error if it failed at once. The face has checked the
    /// options; the engine checks again what matters.
    #[napi]
    pub fn acquire(
        &self,
        key: f64,
        #[napi(ts_arg_type = "string | number")] place: Either<String, f64>,
        file_name: Option<String>,
        heartbeat_ms: f64,
        stale_ms: f64,
        ask: u32,
    ) -> napi::Result<Either<f64, BindingError>> {
        let request = Request {
            file_name: file_name.as_deref().unwrap_or(Root::LOCK_FILE),
            mode: if ask & ASK_SHARED == 0 { Mode::Exclusive } else { Mode::Shared },
            options: Options {
                heartbeat: millis(heartbeat_ms),
                stale: millis(stale_ms),
                recover: ask & ASK_RECOVER != 0,
                wait: ask & ASK_WAIT != 0,
            },
            notify_waiting: ask & ASK_NOTIFY != 0,
            has_logger: ask & ASK_LOGGER != 0,
        };
        let key = whole(key);
        Ok(match self.session.acquire(key, self.place(place)?, request) {
            // Earlier grants that are still on their way are delivered first.
            Ok(Answer::Granted(token)) if !self.channel.is_empty() => {
                self.channel.send(Event::Granted(key, token));
                Either::A(0.0)
            }
            Ok(Answer::Granted(token)) => Either::A(number(token)),
            Ok(Answer::Later) => Either::A(0.0),
            Err(error) => Either::B((&error).into()),
        })
    }

    /// Ends a wait; `failed` follows when nothing of it is left. Does nothing if it has ended.
    #[napi]
    pub fn cancel(&self, key: f64) {
        self.session.cancel(whole(key));
    }

    /// Why a lock was lost, as far as is known here: the `lost` event may still be on its way.
    #[napi(ts_return_type = "'hijacked' | 'heartbeat-failed' | null")]
    pub fn lost(&self, key: f64) -> Option<&'static str> {
        self.session.lost(whole(key)).map(rootlock::LostReason::as_str)
    }

    /// Declares that a request was made while the locks with these keys are held for it. Returns
    /// whether it waits for one of them; a `deadlock` event follows if that turns out later.
    #[napi]
    pub fn is_within(&self, key: f64, outer: Vec<f64>) -> bool {
        self.session.is_within(whole(key), outer.into_iter().map(whole).collect())
    }

    /// Releases a lock. Returns `true` if that is done, and `false` if the `released` event
    /// follows, with any error. If it is done and the lock went on to another caller in this
    /// environment, returns that caller's key and token.
    #[napi]
    pub fn release(&self, key: f64) -> Either3<bool, Vec<f64>, BindingError> {
        let (released, events) = self.channel.collect(|| self.session.release(whole(key)));
        if let (Some(Released::Done(Ok(()))), [Event::Granted(key, token)]) =
            (&released, &events[..])
            && self.channel.is_empty()
        {
            return Either3::B(vec![number(*key), number(*token)]);
        }
        for event in events {
            self.channel.send(event);
        }
        match released {
            None | Some(Released::Done(Ok(()))) => Either3::A(true),
            Some(Released::Done(Err(error))) => Either3::C((&error).into()),
            Some(Released::Later) => Either3::A(false),
        }
    }

    /// Opens a directory, identified by the key from then on; `opened` or `failed` follows.
    #[napi]
    pub fn open_root(&self, key: f64, path: String) {
        let roots = Arc::clone(&self.roots);
        self.answer_later(key, Operation::Open, located(path), move |key, root| {
            roots.lock().insert(key, root);
            Ok(BindingEvent::new(key, "opened"))
        });
    }

    /// Closes a directory; locks and waits that were begun with it go on.
    #[napi]
    pub fn close_root(&self, number: f64) {
        let root = self.roots.lock().remove(&whole(number));
        // Closed outside the mutex.
        drop(root);
    }

    /// Inspects a lock; `inspected` or `failed` follows.
    #[napi]
    pub fn inspect(
        &self,
        key: f64,
        #[napi(ts_arg_type = "string | number")] place: Either<String, f64>,
        file_name: String,
        stale_ms: f64,
    ) -> napi::Result<()> {
        let place = self.place(place)?;
        self.answer_later(key, Operation::Inspect, place, move |key, root| {
            let seen = root.inspect(&file_name, millis(stale_ms))?;
            Ok(BindingEvent { state: Some(seen.into()), ..BindingEvent::new(key, "inspected") })
        });
        Ok(())
    }

    /// Diagnoses a lock; `diagnosed` or `failed` follows.
    #[napi]
    pub fn diagnose(&self, key: f64, path: String, file_name: String) {
        let place = located(path);
        self.answer_later(key, Operation::Inspect, place, move |key, root| {
            let seen = root.diagnose(&file_name)?;
            Ok(BindingEvent { diagnosis: Some(seen.into()), ..BindingEvent::new(key, "diagnosed") })
        });
    }
}

impl BindingEnvironment {
    /// A directory that is open, or a path.
    fn place(&self, place: Either<String, f64>) -> napi::Result<Place> {
        match place {
            Either::A(path) => Ok(located(path)),
            Either::B(number) => match self.roots.lock().get(&whole(number)) {
                Some(root) => Ok(Place::Root(root.clone())),
                // The face requests nothing of a root that it has closed.
                None => Err(napi::Error::from_reason("root is closed")),
            },
        }
    }

    /// Opens a directory and queries it on a thread that may block.
    fn answer_later(
        &self,
        key: f64,
        operation: Operation,
        place: Place,
        ask: impl FnOnce(u64, Root) -> Result<BindingEvent, Error> + Send + 'static,
    ) {
        let key = whole(key);
        let path = place.path().to_owned();
        let channel = Arc::clone(&self.channel);
        let job = move || {
            let answer = place.open().and_then(|root| ask(key, root));
            channel.send(answer.unwrap_or_else(|error| BindingEvent::failed(key, &error)));
        };
        if let Err(error) = blocking::run(operation, &path, job) {
            self.channel.send(BindingEvent::failed(key, &error));
        }
    }
}

/// A directory that JavaScript gives by a path, relative to the present current directory.
fn located(path: String) -> Place {
    Place::Path(Located::here(path.into()))
}

/// JavaScript's own numbers: whole and below 2^53.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and small")]
fn whole(number: f64) -> u64 {
    number as u64
}
