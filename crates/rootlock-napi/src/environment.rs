//! One JavaScript environment: its locks and waits, which end with it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use napi::Env;
use napi::bindgen_prelude::{ClassInstance, Either, Function};
use napi_derive::napi;
use rootlock::{
    Acquired, Details, Error, Events, Holder, Level, Lock, LostReason, Released, Root, Wait,
};
use tokio::runtime::{Builder, Runtime};

use crate::convert::{BindingError, BindingRequest, millis, number};
use crate::events::{BindingEvent, Channel};

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

/// The answer to a request.
#[napi(object, object_from_js = false)]
pub struct BindingAnswer {
    /// What events will call the request.
    pub key: f64,
    /// Granted at once, with this fencing token.
    pub token: Option<f64>,
    /// Failed at once.
    pub error: Option<BindingError>,
}

/// The answer to a release.
#[napi(object, object_from_js = false)]
pub struct BindingReleased {
    /// Whether it is done; else the `released` event tells.
    pub done: bool,
    /// What went wrong.
    pub error: Option<BindingError>,
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

    /// Asks for a lock. Answers at once, or an event does: `granted` or `failed`.
    #[napi]
    pub fn acquire(
        &self,
        #[napi(ts_arg_type = "BindingRoot | string")] place: Place<'_>,
        request: BindingRequest,
    ) -> napi::Result<BindingAnswer> {
        let place = match place {
            Either::A(root) => Ok(root.open()?),
            Either::B(path) => Root::open_cached(&path).ok_or(path),
        };
        let key = next_key();
        self.shared.table().entries.insert(key, Entry::Asked);
        if let Ok(root) = &place
            && root.is_local()
        {
            return Ok(self.shared.answer(key, root, &request));
        }
        let shared = Arc::clone(&self.shared);
        RUNTIME.spawn_blocking(move || shared.answer_later(key, place, &request));
        Ok(BindingAnswer { key: number(key), token: None, error: None })
    }

    /// Ends a wait; `failed` tells when nothing is left of it. Does nothing if it has ended.
    #[napi]
    pub fn cancel(&self, key: f64) {
        self.shared.cancel(key_of(key));
    }

    /// Releases a lock.
    #[napi]
    pub fn release(&self, key: f64) -> BindingReleased {
        let lock = self.shared.table().entries.remove(&key_of(key));
        let result = match lock {
            Some(Entry::Held(lock)) => lock.unlock(),
            _ => Released::Done(Ok(())),
        };
        match result {
            Released::Done(result) => {
                BindingReleased { done: true, error: result.err().as_ref().map(Into::into) }
            }
            Released::Later => BindingReleased { done: false, error: None },
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

    /// Asks where that can't block.
    fn answer(self: &Arc<Self>, key: u64, root: &Root, request: &BindingRequest) -> BindingAnswer {
        let mut answer = BindingAnswer { key: number(key), token: None, error: None };
        match self.ask(key, root, request) {
            Ok(Some(lock)) => {
                answer.token = Some(number(lock.token()));
                self.table().entries.insert(key, Entry::Held(lock));
            }
            Ok(None) => {}
            Err(error) => {
                self.table().entries.remove(&key);
                answer.error = Some((&error).into());
            }
        }
        answer
    }

    /// Opens and asks where that may block.
    fn answer_later(
        self: &Arc<Self>,
        key: u64,
        place: Result<Root, String>,
        request: &BindingRequest,
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
        request: &BindingRequest,
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
