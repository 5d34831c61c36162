//! One JavaScript environment: its locks and waits, which end with it.
//!
//! JavaScript names a request, the lock that comes of it and an open directory by numbers of its
//! own, and options are numbers too: they cross the border in nanoseconds, where objects would
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

use crate::ask::{ASK_BLOCK, ASK_LOGGER, ASK_NOTIFY, ASK_RECOVER, ASK_SHARED, ASK_WAIT};
use crate::blocking;
use crate::convert::{BindingError, BindingLockState, limit, millis, number};
use crate::events::{Arguments, BindingEvent, Channel, Event};

/// The locks and waits of one environment.
#[napi]
pub struct BindingEnvironment {
    channel: Arc<Channel>,
    session: Arc<Session>,
    /// Directories kept open, by number.
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
    /// Makes the environment's table, and the hook that ends everything in it.
    #[napi(constructor)]
    pub fn new(
        env: Env,
        #[napi(ts_arg_type = "(key: number, token: number, event?: BindingEvent) => void")]
        on_event: Function<'_, Arguments, ()>,
    ) -> napi::Result<Self> {
        let channel = Arc::new(Channel::new(on_event)?);
        let session = Arc::new(Session::new(Arc::clone(&channel) as Arc<dyn Observer>));
        // A worker that is terminated gives JavaScript no last word, but runs this.
        env.add_env_cleanup_hook(Arc::clone(&session), |session| session.close())?;
        Ok(Self { channel, session, roots: Arc::default() })
    }

    /// Asks for a lock. Returns its fencing token if it is granted at once; zero if an event follows, a
    /// grant or `failed`; or the error if it failed at once. The face has checked the options; the core
    /// checks again what matters. A wait fails after `limit_ms`, which may be infinite.
    #[napi]
    #[allow(clippy::too_many_arguments, reason = "an object takes as long as locking does")]
    pub fn acquire(
        &self,
        key: f64,
        #[napi(ts_arg_type = "string | number")] place: Either<String, f64>,
        file_name: Option<String>,
        heartbeat_ms: f64,
        stale_ms: f64,
        limit_ms: f64,
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
        let (key, place) = (whole(key), self.place(place)?);
        let blocks = ask & ASK_BLOCK != 0;
        if blocks {
            self.session.block(key);
        }
        let answer = self.session.acquire(key, place, request, limit(limit_ms));
        if blocks && !matches!(answer, Ok(Answer::Later)) {
            self.session.unblock(key);
        }
        Ok(match answer {
            // Earlier grants that are still on their way are delivered first, but to whoever blocks:
            // nothing is delivered meanwhile.
            Ok(Answer::Granted(token)) if !blocks && !self.channel.is_empty() => {
                self.channel.send(Event::Granted(key, token));
                Either::A(0.0)
            }
            Ok(Answer::Granted(token)) => Either::A(number(token)),
            Ok(Answer::Later) => Either::A(0.0),
            Err(error) => Either::B((&error).into()),
        })
    }

    /// Blocks until something has happened to a request that was made with `ASK_BLOCK`, or to a release
    /// that was blocked for: its token if it was granted, else the event; `null` if nothing has for so
    /// long, which may be infinite. The last event ends the blocking.
    #[napi]
    pub fn next(&self, key: f64, at_most_ms: f64) -> Option<Either<f64, BindingEvent>> {
        let key = whole(key);
        let event = Event::of(key, self.session.next(key, limit(at_most_ms))?);
        if event.is_last() {
            self.session.unblock(key);
        }
        Some(match event {
            Event::Granted(_, token) => Either::A(number(token)),
            Event::Other(event) => Either::B(*event),
        })
    }

    /// Ends a wait; `failed` follows when nothing is left of it. Does nothing if it has ended.
    #[napi]
    pub fn cancel(&self, key: f64) {
        self.session.cancel(whole(key));
    }

    /// Why a lock was lost, as far as is known here: the `lost` event may still be on its way.
    #[napi(ts_return_type = "'hijacked' | 'heartbeat-failed' | null")]
    pub fn lost(&self, key: f64) -> Option<&'static str> {
        self.session.lost(whole(key)).map(rootlock::LostReason::as_str)
    }

    /// Says that a request was made inside of what the locks with these keys are held for: whether it
    /// waits for one of them. A `deadlock` event tells if that turns out later.
    #[napi]
    pub fn is_within(&self, key: f64, outer: Vec<f64>) -> bool {
        self.session.is_within(whole(key), outer.into_iter().map(whole).collect())
    }

    /// Releases a lock. Returns `true` if that is done, and `false` if the `released` event follows, with
    /// any error. If it is done and the lock went on to another caller in this environment, returns that
    /// caller's key and token. If `blocks`, the `released` event is kept for [`BindingEnvironment::next`].
    #[napi]
    pub fn release(&self, key: f64, blocks: bool) -> Either3<bool, Vec<f64>, BindingError> {
        let key = whole(key);
        if blocks {
            self.session.block(key);
        }
        let (released, events) = self.channel.collect(|| self.session.release(key));
        if blocks && !matches!(released, Some(Released::Later)) {
            self.session.unblock(key);
        }
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

    /// Whether the release of a lock is not done: then its `released` event is blocked for.
    #[napi]
    pub fn block_release(&self, key: f64) -> bool {
        let key = whole(key);
        self.session.block(key);
        let is_releasing = self.session.is_releasing(key);
        if !is_releasing {
            self.session.unblock(key);
        }
        is_releasing
    }

    /// Opens a directory, which is called by the key from then on: `opened` or `failed` tells.
    #[napi]
    pub fn open_root(&self, key: f64, path: String) {
        let roots = Arc::clone(&self.roots);
        self.answer_later(key, Operation::Open, located(path), move |key, root| {
            roots.lock().insert(key, root);
            Ok(BindingEvent::new(key, "opened"))
        });
    }

    /// The same, where that may block: the error if there is one.
    #[napi]
    pub fn open_root_sync(&self, key: f64, path: String) -> Option<BindingError> {
        match located(path).open() {
            Ok(root) => {
                self.roots.lock().insert(whole(key), root);
                None
            }
            Err(error) => Some((&error).into()),
        }
    }

    /// Closes a directory; locks and waits that were begun with it go on.
    #[napi]
    pub fn close_root(&self, number: f64) {
        let root = self.roots.lock().remove(&whole(number));
        // Closed outside of the mutex.
        drop(root);
    }

    /// Looks at a lock: `inspected` or `failed` tells.
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

    /// The same, where that may block.
    #[napi]
    pub fn inspect_sync(
        &self,
        #[napi(ts_arg_type = "string | number")] place: Either<String, f64>,
        file_name: String,
        stale_ms: f64,
    ) -> napi::Result<Either<BindingLockState, BindingError>> {
        let root = self.place(place)?.open();
        let seen = root.and_then(|root| root.inspect(&file_name, millis(stale_ms)));
        Ok(match seen {
            Ok(state) => Either::A(state.into()),
            Err(error) => Either::B((&error).into()),
        })
    }

    /// Looks at all that can be seen of a lock: `diagnosed` or `failed` tells.
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
                // The face asks nothing of a root that it has closed.
                None => Err(napi::Error::from_reason("root is closed")),
            },
        }
    }

    /// Opens a directory and asks something of it where that blocks nobody.
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

/// A directory that JavaScript names by a path, from where the process is now.
fn located(path: String) -> Place {
    Place::Path(Located::here(path.into()))
}

/// JavaScript's own numbers: whole and below 2^53.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and small")]
fn whole(number: f64) -> u64 {
    number as u64
}
