//! One JavaScript environment: its locks and waits, which end with it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use napi::Env;
use napi::bindgen_prelude::{ClassInstance, Either, Either3, Function};
use napi_derive::napi;
use rootlock::{
    Acquired, Details, Error, Events, Holder, Level, Lock, LostReason, Released, Root, Wait,
};
use tokio::runtime::{Builder, Runtime};

use crate::convert::{BindingError, millis, number};
use crate::events::{BindingEvent, Channel};
use crate::request::{BindingRequest, OwnedRequest};

/// A directory kept open for JavaScript.
#[napi]
pub struct BindingRoot {
    /// `None` once closed.
    root: Option<Root>,
}

#[napi]
impl BindingRoot {
    /// Closes the directory; locks and waits that were begun with it go on.
    #[napi]
    pub fn close(&mut self) {
        self.root = None;
    }

    fn open(&self) -> napi::Result<Root> {
        // The face asks nothing of a root that it has closed.
        self.root.clone().ok_or_else(|| napi::Error::from_reason("root is closed"))
    }
}

/// The locks and waits of one environment.
#[napi]
pub struct BindingEnvironment {
    shared: Arc<Shared>,
}

struct Shared {
    channel: Channel,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// The environment has ended: what comes now is given back.
    closed: bool,
    entries: HashMap<u64, Entry>,
}

enum Entry {
    /// Asked for; not yet known whether it waits.
    Asked,
    Waiting(Wait),
    Held(Lock),
}

/// What JavaScript names a place by: a path, or a directory that it keeps open.
type Place<'a> = Either<ClassInstance<'a, BindingRoot>, String>;

/// What may block does so on Tokio's blocking threads: never on the event loop, and not in libuv's
/// pool either, whose four threads are for everybody. The runtime itself has no thread; those of
/// the pool come when needed and go when idle.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_current_thread()
        .thread_name("rootlock-blocking")
        .thread_keep_alive(Duration::from_secs(1))
        .build()
        .expect("a runtime without drivers needs nothing from the system")
});

fn next_key() -> u64 {
    static KEYS: AtomicU64 = AtomicU64::new(1);
    KEYS.fetch_add(1, Ordering::Relaxed)
}

#[napi]
impl BindingEnvironment {
    /// Makes the environment's table, and the hook that ends everything in it.
    #[napi(constructor)]
    pub fn new(env: Env, on_event: Function<'_, BindingEvent, ()>) -> napi::Result<Self> {
        let shared = Arc::new(Shared { channel: Channel::new(on_event)?, table: Mutex::default() });
        // A worker that is terminated gives JavaScript no last word, but runs this.
        env.add_env_cleanup_hook(Arc::clone(&shared), |shared| shared.close())?;
        Ok(Self { shared })
    }

    /// Asks for a lock. Answers with the request's key: positive when it was granted at once,
    /// negative when an event will tell, `granted` or `failed`. Or with why it failed at once.
    #[napi]
    pub fn acquire(
        &self,
        #[napi(ts_arg_type = "BindingRoot | string")] place: Place<'_>,
        request: &BindingRequest,
        shared: bool,
        tell: bool,
    ) -> napi::Result<Either<f64, BindingError>> {
        let place = match place {
            Either::A(root) => Ok(root.open()?),
            Either::B(path) => Root::open_cached(&path).ok_or(path),
        };
        let request = request.with(shared, tell);
        let key = next_key();
        self.shared.table().entries.insert(key, Entry::Asked);
        if let Ok(root) = &place
            && root.is_local()
        {
            return Ok(match self.shared.answer(key, root, &request) {
                Ok(true) => Either::A(number(key)),
                Ok(false) => Either::A(-number(key)),
                Err(error) => Either::B((&error).into()),
            });
        }
        let shared = Arc::clone(&self.shared);
        RUNTIME.spawn_blocking(move || shared.answer_later(key, place, &request));
        Ok(Either::A(-number(key)))
    }

    /// The fencing token of a lock that is held.
    #[napi]
    pub fn token(&self, key: f64) -> f64 {
        match self.shared.table().entries.get(&key_of(key)) {
            Some(Entry::Held(lock)) => number(lock.token()),
            _ => 0.0,
        }
    }

    /// Ends a wait; `failed` tells when nothing is left of it. Does nothing if it has ended.
    #[napi]
    pub fn cancel(&self, key: f64) {
        self.shared.cancel(key_of(key));
    }

    /// Releases a lock. Answers `true` when that is done, `false` when the `released` event will
    /// tell, with the error; or with the events of this environment that it caused, when it is
    /// done and there are any.
    #[napi]
    pub fn release(&self, key: f64) -> Either3<bool, Vec<BindingEvent>, BindingError> {
        let entry = self.shared.table().entries.remove(&key_of(key));
        let Some(Entry::Held(lock)) = entry else { return Either3::A(true) };
        let channel = &self.shared.channel;
        let (released, events) = channel.collect(|| lock.unlock());
        if let Released::Done(Ok(())) = released {
            return if events.is_empty() { Either3::A(true) } else { Either3::B(events) };
        }
        for event in events {
            channel.send(event);
        }
        match released {
            Released::Done(Err(error)) => Either3::C((&error).into()),
            _ => Either3::A(false),
        }
    }

    /// Opens a directory: `opened` or `failed` tells.
    #[napi]
    pub fn open_root(&self, path: String) -> f64 {
        let key = next_key();
        let shared = Arc::clone(&self.shared);
        RUNTIME.spawn_blocking(move || {
            shared.channel.send(match Root::open(&path) {
                Ok(root) => BindingEvent {
                    root: Some(BindingRoot { root: Some(root) }),
                    ..BindingEvent::new(key, "opened")
                },
                Err(error) => failed(key, &error),
            });
        });
        number(key)
    }

    /// Looks at a lock: `inspected` or `failed` tells.
    #[napi]
    pub fn inspect(
        &self,
        #[napi(ts_arg_type = "BindingRoot | string")] place: Place<'_>,
        file_name: String,
        stale_ms: f64,
    ) -> napi::Result<f64> {
        let place = match place {
            Either::A(root) => Ok(root.open()?),
            Either::B(path) => Err(path),
        };
        let key = next_key();
        let shared = Arc::clone(&self.shared);
        RUNTIME.spawn_blocking(move || {
            let seen = place
                .or_else(Root::open)
                .and_then(|root| root.inspect(&file_name, millis(stale_ms)));
            shared.channel.send(match seen {
                Ok(seen) => {
                    BindingEvent { state: Some(seen.into()), ..BindingEvent::new(key, "inspected") }
                }
                Err(error) => failed(key, &error),
            });
        });
        Ok(number(key))
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks where that can't block: whether it was granted.
    fn answer(
        self: &Arc<Self>,
        key: u64,
        root: &Root,
        request: &OwnedRequest,
    ) -> Result<bool, Error> {
        let asked = self.ask(key, root, request);
        match asked {
            Ok(Some(lock)) => {
                self.table().entries.insert(key, Entry::Held(lock));
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error) => {
                self.table().entries.remove(&key);
                Err(error)
            }
        }
    }

    /// Opens and asks where that may block.
    fn answer_later(
        self: &Arc<Self>,
        key: u64,
        place: Result<Root, String>,
        request: &OwnedRequest,
    ) {
        let result = place.or_else(Root::open).and_then(|root| {
            // Nothing is created for somebody who has left meanwhile.
            if self.table().entries.contains_key(&key) {
                self.ask(key, &root, request)
            } else {
                Ok(None)
            }
        });
        match result {
            Ok(Some(lock)) => self.settled(key, Ok(lock)),
            Ok(None) => {}
            Err(error) => self.settled(key, Err(error)),
        }
    }

    fn ask(
        self: &Arc<Self>,
        key: u64,
        root: &Root,
        request: &OwnedRequest,
    ) -> Result<Option<Lock>, Error> {
        let events: Arc<dyn Events> = Arc::clone(self) as _;
        let wait = match root.acquire(key, request.as_request(), events)? {
            Acquired::Now(lock) => return Ok(Some(lock)),
            Acquired::Later(wait) => wait,
        };
        let unwanted = match self.table().entries.get_mut(&key) {
            Some(entry @ Entry::Asked) => {
                *entry = Entry::Waiting(wait.clone());
                false
            }
            // Granted already.
            Some(_) => false,
            // Cancelled; or failed already, and then there is nothing left to cancel.
            None => true,
        };
        if unwanted {
            wait.cancel();
        }
        Ok(None)
    }

    fn cancel(&self, key: u64) {
        let mut table = self.table();
        match table.entries.get(&key) {
            Some(Entry::Waiting(wait)) => {
                let wait = wait.clone();
                // The end of the wait may be told before this returns, and needs the table.
                drop(table);
                wait.cancel();
            }
            Some(Entry::Asked) => {
                // It may hang in opening the directory; whatever comes of it is given back.
                table.entries.remove(&key);
                drop(table);
                self.channel.send(BindingEvent::new(key, "failed"));
            }
            // Granted: the face gives it back when it hears of it.
            Some(Entry::Held(_)) | None => {}
        }
    }

    /// The environment ends: waits are cancelled, locks released, and nobody is told.
    fn close(&self) {
        let entries = {
            let mut table = self.table();
            table.closed = true;
            std::mem::take(&mut table.entries)
        };
        for entry in entries.into_values() {
            match entry {
                Entry::Waiting(wait) => wait.cancel(),
                Entry::Held(lock) => drop(lock),
                Entry::Asked => {}
            }
        }
    }
}

impl Events for Shared {
    fn waiting(&self, key: u64, holder: Option<&Holder>) {
        self.channel.send(BindingEvent {
            holder: holder.map(Into::into),
            ..BindingEvent::new(key, "waiting")
        });
    }

    fn settled(&self, key: u64, result: Result<Lock, Error>) {
        let event = match result {
            Ok(lock) => {
                let token = number(lock.token());
                let mut table = self.table();
                let wanted = !table.closed && table.entries.contains_key(&key);
                if !wanted {
                    // Released outside of the mutex, by falling out of scope.
                    drop(table);
                    return;
                }
                table.entries.insert(key, Entry::Held(lock));
                BindingEvent { token: Some(token), ..BindingEvent::new(key, "granted") }
            }
            Err(error) => {
                if self.table().entries.remove(&key).is_none() {
                    return;
                }
                failed(key, &error)
            }
        };
        self.channel.send(event);
    }

    fn lost(&self, key: u64, reason: LostReason) {
        self.channel
            .send(BindingEvent { reason: Some(reason.as_str()), ..BindingEvent::new(key, "lost") });
    }

    fn released(&self, key: u64, result: Result<(), Error>) {
        self.channel.send(BindingEvent {
            error: result.err().as_ref().map(Into::into),
            ..BindingEvent::new(key, "released")
        });
    }

    fn log(&self, key: u64, level: Level, message: &str, details: &Details) {
        self.channel.send(BindingEvent::log(key, level, message, details));
    }
}

fn failed(key: u64, error: &Error) -> BindingEvent {
    BindingEvent { error: Some(error.into()), ..BindingEvent::new(key, "failed") }
}

/// Keys come back as they were given out.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a whole number below 2^53 that `number` made"
)]
fn key_of(key: f64) -> u64 {
    key as u64
}
