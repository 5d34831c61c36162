//! One JavaScript environment: its locks and waits, which end with it.
//!
//! JavaScript chooses numbers that identify an environment, a request, the lock that comes of it, and
//! an open directory. Options are numbers too: they cross the border in nanoseconds, where an object,
//! even one of a class, would take as long as locking does.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use napi::Env;
use napi::bindgen_prelude::{Either, Either4, Function};
use napi_derive::napi;
use rootlock::{Answer, Error, Mode, Observer, Operation, Options, Released, Request};

use crate::ask::{ASK_BLOCK, ASK_LOGGER, ASK_NOTIFY, ASK_RECOVER, ASK_SHARED, ASK_WAIT};
use crate::blocking;
use crate::convert::{BindingError, BindingLockState, limit, millis, number};
use crate::engine::{Place, Root, Session, place};
use crate::events::{Arguments, BindingEvent, Channel, Event};

/// The locks and waits of one environment.
struct Environment {
    channel: Arc<Channel>,
    session: Session,
    /// Open directories, by number.
    roots: Arc<Roots>,
}

thread_local! {
    /// The environments of this thread, by number: one for each copy of the face.
    static ENVIRONMENTS: RefCell<Vec<Option<Rc<Environment>>>> = const { RefCell::new(Vec::new()) };
}

#[derive(Default)]
struct Roots(Mutex<HashMap<u64, Root>>);

impl Roots {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Root>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens an environment, identified by the number from then on; it ends with JavaScript's own.
#[napi]
pub fn open_environment(
    env: Env,
    #[napi(ts_arg_type = "(key: number, token: number, event?: BindingEvent) => void")]
    on_event: Function<'_, Arguments, ()>,
) -> napi::Result<u32> {
    let channel = Arc::new(Channel::new(on_event)?);
    let session = Session::new(Arc::clone(&channel) as Arc<dyn Observer>);
    let environment = Rc::new(Environment { channel, session, roots: Arc::default() });
    let number = ENVIRONMENTS.with_borrow_mut(|environments| {
        environments.push(Some(environment));
        environments.len() - 1
    });
    // JavaScript gets no last word in a worker that is terminated, but this hook runs.
    env.add_env_cleanup_hook(number, |number| {
        let ended = ENVIRONMENTS.with_borrow_mut(|environments| environments[number].take());
        if let Some(environment) = ended {
            environment.session.close();
        }
    })?;
    Ok(number as u32)
}

fn find(number: u32) -> napi::Result<Rc<Environment>> {
    ENVIRONMENTS
        .with_borrow(|environments| environments.get(number as usize)?.clone())
        .ok_or_else(|| napi::Error::from_reason("no such environment"))
}

/// Asks for a lock. Returns its fencing token if it is granted at once, zero if an event (a grant or
/// `failed`) follows, or the error if it failed at once. The face has checked the options; the engine
/// checks again what matters. A wait fails after `limit_ms`, which may be infinite.
#[napi]
#[allow(clippy::too_many_arguments, reason = "an object would take as long as locking does")]
pub fn acquire(
    environment: u32,
    key: f64,
    root: f64,
    path: Option<String>,
    file_name: Option<String>,
    heartbeat_ms: f64,
    stale_ms: f64,
    limit_ms: f64,
    ask: u32,
) -> napi::Result<Either<f64, BindingError>> {
    let request = Request {
        file_name: file_name.as_deref().unwrap_or(rootlock::Root::LOCK_FILE),
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
    let environment = find(environment)?;
    let Environment { channel, session, .. } = &*environment;
    let place = environment.place(root, path)?;
    let blocks = ask & ASK_BLOCK != 0;
    if blocks {
        session.block(key);
    }
    let answer = session.acquire(key, place, request, limit(limit_ms));
    if blocks && !matches!(answer, Ok(Answer::Later)) {
        session.unblock(key);
    }
    Ok(match answer {
        // Earlier grants that are still on their way are delivered first, but to whoever blocks:
        // nothing is delivered meanwhile.
        Ok(Answer::Granted(token)) if !blocks && !channel.is_empty() => {
            channel.send(Event::Granted(key, token));
            Either::A(0.0)
        }
        Ok(Answer::Granted(token)) => Either::A(number(token)),
        Ok(Answer::Later) => Either::A(0.0),
        Err(error) => Either::B((&error).into()),
    })
}

/// Blocks until something has happened to a request that was made with `ASK_BLOCK`, or to a release
/// that is blocked for: its token if it was granted, else the event; `null` if nothing has for so
/// long, which may be infinite. The last event ends the blocking.
#[napi]
pub fn next(
    environment: u32,
    key: f64,
    at_most_ms: f64,
) -> napi::Result<Option<Either<f64, BindingEvent>>> {
    let environment = find(environment)?;
    let key = whole(key);
    let Some(event) = environment.session.next(key, limit(at_most_ms)) else { return Ok(None) };
    let event = Event::of(key, event);
    if event.is_last() {
        environment.session.unblock(key);
    }
    Ok(Some(match event {
        Event::Granted(_, token) => Either::A(number(token)),
        Event::Other(event) => Either::B(*event),
    }))
}

/// Ends a wait; `failed` follows when nothing of it is left. Does nothing if it has ended.
#[napi]
pub fn cancel(environment: u32, key: f64) -> napi::Result<()> {
    find(environment)?.session.cancel(whole(key));
    Ok(())
}

/// Why a lock was lost, as far as is known here: the `lost` event may still be on its way.
#[napi(ts_return_type = "'hijacked' | 'heartbeat-failed' | null")]
pub fn lost(environment: u32, key: f64) -> napi::Result<Option<&'static str>> {
    Ok(find(environment)?.session.lost(whole(key)).map(rootlock::LostReason::as_str))
}

/// Declares that a request was made while the locks with these keys are held for it. Returns whether
/// it waits for one of them; a `deadlock` event follows if that turns out later.
#[napi]
pub fn is_within(environment: u32, key: f64, outer: Vec<f64>) -> napi::Result<bool> {
    let outer = outer.into_iter().map(whole).collect();
    Ok(find(environment)?.session.is_within(whole(key), outer))
}

/// Releases a lock. Returns `true` if that is done, and `false` if the `released` event follows, with
/// any error. If it is done and the lock went on to another caller in this environment, returns that
/// caller's key and token. If the lock was lost and the caller does not know it yet, releases nothing
/// and returns the reason. If `blocks`, the `released` event is kept for [`next`].
#[napi(
    ts_return_type = "boolean | [key: number, token: number] | BindingError | 'hijacked' | 'heartbeat-failed'"
)]
pub fn release(
    environment: u32,
    key: f64,
    knows_loss: bool,
    blocks: bool,
) -> napi::Result<Either4<bool, Vec<f64>, BindingError, &'static str>> {
    let Environment { channel, session, .. } = &*find(environment)?;
    let key = whole(key);
    if !knows_loss && let Some(reason) = session.lost(key) {
        return Ok(Either4::D(reason.as_str()));
    }
    if blocks {
        session.block(key);
    }
    let (released, events) = channel.collect(|| session.release(key));
    if blocks && !matches!(released, Some(Released::Later)) {
        session.unblock(key);
    }
    if let (Some(Released::Done(Ok(()))), [Event::Granted(key, token)]) = (&released, &events[..])
        && channel.is_empty()
    {
        return Ok(Either4::B(vec![number(*key), number(*token)]));
    }
    for event in events {
        channel.send(event);
    }
    Ok(match released {
        None | Some(Released::Done(Ok(()))) => Either4::A(true),
        Some(Released::Done(Err(error))) => Either4::C((&error).into()),
        Some(Released::Later) => Either4::A(false),
    })
}

/// Whether the release of a lock is not done: then its `released` event is blocked for.
#[napi]
pub fn block_release(environment: u32, key: f64) -> napi::Result<bool> {
    let session = &find(environment)?.session;
    let key = whole(key);
    session.block(key);
    let is_releasing = session.is_releasing(key);
    if !is_releasing {
        session.unblock(key);
    }
    Ok(is_releasing)
}

/// Opens a directory, identified by the key from then on; `opened` or `failed` follows.
#[napi]
pub fn open_root(environment: u32, key: f64, path: String) -> napi::Result<()> {
    let environment = find(environment)?;
    let roots = Arc::clone(&environment.roots);
    environment.answer_later(key, Operation::Open, place(path), move |key, root| {
        roots.lock().insert(key, root);
        Ok(BindingEvent::new(key, "opened"))
    });
    Ok(())
}

/// The same, where that may block: the error if there is one.
#[napi]
pub fn open_root_sync(
    environment: u32,
    key: f64,
    path: String,
) -> napi::Result<Option<BindingError>> {
    Ok(match place(path).open() {
        Ok(root) => {
            find(environment)?.roots.lock().insert(whole(key), root);
            None
        }
        Err(error) => Some((&error).into()),
    })
}

/// Closes a directory; locks and waits that were begun with it go on.
#[napi]
pub fn close_root(environment: u32, root: f64) -> napi::Result<()> {
    let root = find(environment)?.roots.lock().remove(&whole(root));
    // Closed outside the mutex.
    drop(root);
    Ok(())
}

/// Inspects a lock; `inspected` or `failed` follows.
#[napi]
pub fn inspect(
    environment: u32,
    key: f64,
    root: f64,
    path: Option<String>,
    file_name: String,
    stale_ms: f64,
) -> napi::Result<()> {
    let environment = find(environment)?;
    let place = environment.place(root, path)?;
    environment.answer_later(key, Operation::Inspect, place, move |key, root| {
        let seen = root.inspect(&file_name, millis(stale_ms))?;
        Ok(BindingEvent { state: Some(seen.into()), ..BindingEvent::new(key, "inspected") })
    });
    Ok(())
}

/// The same, where that may block.
#[napi]
pub fn inspect_sync(
    environment: u32,
    root: f64,
    path: Option<String>,
    file_name: String,
    stale_ms: f64,
) -> napi::Result<Either<BindingLockState, BindingError>> {
    let root = find(environment)?.place(root, path)?.open();
    let seen = root.and_then(|root| root.inspect(&file_name, millis(stale_ms)));
    Ok(match seen {
        Ok(state) => Either::A(state.into()),
        Err(error) => Either::B((&error).into()),
    })
}

/// Diagnoses a lock; `diagnosed` or `failed` follows.
#[napi]
pub fn diagnose(environment: u32, key: f64, path: String, file_name: String) -> napi::Result<()> {
    find(environment)?.answer_later(key, Operation::Inspect, place(path), move |key, root| {
        let seen = root.diagnose(&file_name)?;
        Ok(BindingEvent { diagnosis: Some(seen.into()), ..BindingEvent::new(key, "diagnosed") })
    });
    Ok(())
}

impl Environment {
    /// A path, or the number of an open directory.
    fn place(&self, root: f64, path: Option<String>) -> napi::Result<Place> {
        if let Some(path) = path {
            return Ok(place(path));
        }
        match self.roots.lock().get(&whole(root)) {
            Some(root) => Ok(Place::Root(root.clone())),
            // The face requests nothing of a root that it has closed.
            None => Err(napi::Error::from_reason("root is closed")),
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

/// JavaScript's own numbers: whole and below 2^53.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and small")]
fn whole(number: f64) -> u64 {
    number as u64
}
