//! One JavaScript environment: its locks and waits, which end with it.
//!
//! JavaScript names a request, the lock that comes of it and an open directory by numbers of its
//! own, and options are numbers too: they cross the border in nanoseconds, where objects would
//! take as long as locking does.

use std::collections::{HashMap, hash_map};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use napi::Env;
use napi::bindgen_prelude::{Either, Either3, Function};
use napi_derive::napi;
use rootlock::{
    Acquired, Details, Error, Events, Holder, Level, Lock, LostReason, Mode, Operation, Options,
    Released, Request, Root, Wait,
};

use crate::ask::{ASK_RECOVER, ASK_REPORT, ASK_SHARED, ASK_TELL, ASK_WAIT};
use crate::blocking;
use crate::convert::{BindingError, millis, number};
use crate::events::{Arguments, BindingEvent, Channel, Event};
use crate::lines::Lines;

/// The locks and waits of one environment.
#[napi]
pub struct BindingEnvironment {
    shared: Arc<Shared>,
}

/// A request for a lock.
struct Ask {
    key: u64,
    /// `None`: the default.
    file_name: Option<String>,
    mode: Mode,
    options: Options,
    tell: bool,
    report: bool,
}

struct Shared {
    channel: Channel,
    table: Mutex<Table>,
    /// Some [`Entry::Asking`] is none any more.
    asked: Condvar,
    /// What may block in opening or asking, in a line for each lock: whoever calls first is first.
    lines: Lines<LineName, (Result<Root, String>, Ask)>,
}

/// The path of the directory, and the file's name.
type LineName = (PathBuf, Option<String>);

fn line_name(place: &Result<Root, String>, ask: &Ask) -> LineName {
    (path_of(place), ask.file_name.clone())
}

fn path_of(place: &Result<Root, String>) -> PathBuf {
    match place {
        Ok(root) => root.path().to_owned(),
        Err(path) => PathBuf::from(path),
    }
}

/// How long an abort waits for a thread that is asking: on storage that answers it is done by then.
const ASKING: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Table {
    /// The environment has ended: what comes now is given back.
    closed: bool,
    /// Requests and locks, by key.
    entries: HashMap<u64, Entry>,
    /// Directories kept open, by number.
    roots: HashMap<u64, Root>,
}

enum Entry {
    /// Asked for; nothing was touched yet.
    Asked,
    /// A thread is just taking it or getting in line, and may be making files.
    Asking {
        /// Not wanted any more.
        cancelled: bool,
    },
    Waiting(Wait),
    Held(Lock),
}

/// What JavaScript names a place by: a path, or the number of a directory that it keeps open.
type Place = Either<String, f64>;

#[napi]
impl BindingEnvironment {
    /// Makes the environment's table, and the hook that ends everything in it.
    #[napi(constructor)]
    pub fn new(
        env: Env,
        #[napi(ts_arg_type = "(key: number, token: number, event?: BindingEvent) => void")]
        on_event: Function<'_, Arguments, ()>,
    ) -> napi::Result<Self> {
        let channel = Channel::new(on_event)?;
        let shared = Arc::new(Shared {
            channel,
            table: Mutex::default(),
            asked: Condvar::new(),
            lines: Lines::default(),
        });
        // A worker that is terminated gives JavaScript no last word, but runs this.
        env.add_env_cleanup_hook(Arc::clone(&shared), |shared| shared.close())?;
        Ok(Self { shared })
    }

    /// Asks for a lock. Answers with its fencing token when it is granted at once; with zero when an
    /// event will tell, a grant or `failed`; or with why it failed at once. The face has checked
    /// the options; the core checks what matters again.
    #[napi]
    pub fn acquire(
        &self,
        key: f64,
        #[napi(ts_arg_type = "string | number")] place: Place,
        file_name: Option<String>,
        heartbeat_ms: f64,
        stale_ms: f64,
        ask: u32,
    ) -> napi::Result<Either<f64, BindingError>> {
        let ask = Ask {
            key: whole(key),
            file_name,
            mode: if ask & ASK_SHARED == 0 { Mode::Exclusive } else { Mode::Shared },
            options: Options {
                heartbeat: millis(heartbeat_ms),
                stale: millis(stale_ms),
                recover: ask & ASK_RECOVER != 0,
                wait: ask & ASK_WAIT != 0,
            },
            tell: ask & ASK_TELL != 0,
            report: ask & ASK_REPORT != 0,
        };
        let place = self.shared.place(place)?;
        // While somebody who came before is still opening or asking, nobody overtakes.
        let busy = self.shared.lines.is_busy(|| line_name(&place, &ask));
        let place = match place {
            Err(path) if !busy => Root::open_cached(&path).ok_or(path),
            place => place,
        };
        self.shared.table().entries.insert(ask.key, Entry::Asked);
        if let Ok(root) = &place
            && !busy
            && root.is_local()
        {
            return Ok(match self.shared.answer(root, &ask) {
                // Those who asked before are told before.
                Ok(Some(token)) if self.shared.channel.is_behind() => {
                    self.shared.channel.send(Event::Granted(ask.key, token));
                    Either::A(0.0)
                }
                Ok(token) => Either::A(token.map_or(0.0, number)),
                Err(error) => Either::B((&error).into()),
            });
        }
        self.shared.line_up(place, ask);
        Ok(Either::A(0.0))
    }

    /// Ends a wait; `failed` tells when nothing is left of it. Does nothing if it has ended.
    #[napi]
    pub fn cancel(&self, key: f64) {
        self.shared.cancel(whole(key));
    }

    /// Releases a lock. Answers `true` when that is done, `false` when the `released` event will
    /// tell, with the error; or, when it is done, with the key and the token of the caller in this
    /// environment that the lock went on to.
    #[napi]
    pub fn release(&self, key: f64) -> Either3<bool, Vec<f64>, BindingError> {
        let entry = self.shared.table().entries.remove(&whole(key));
        let Some(Entry::Held(lock)) = entry else { return Either3::A(true) };
        let channel = &self.shared.channel;
        let (released, events) = channel.collect(|| lock.unlock());
        if let (Released::Done(Ok(())), [Event::Granted(key, token)]) = (&released, &events[..]) {
            return Either3::B(vec![number(*key), number(*token)]);
        }
        for event in events {
            channel.send(event);
        }
        match released {
            Released::Done(Ok(())) => Either3::A(true),
            Released::Done(Err(error)) => Either3::C((&error).into()),
            Released::Later => Either3::A(false),
        }
    }

    /// Why a lock is not held any more, as far as can be known now; nothing while it is, or once it is
    /// released. The `lost` event comes later, if it comes.
    #[napi(ts_return_type = "'hijacked' | 'heartbeat-failed' | null")]
    pub fn lost(&self, key: f64) -> Option<&'static str> {
        let key = whole(key);
        // Out of the table while it is asked: what a loss sets going may need the table.
        let held = {
            let mut table = self.shared.table();
            match table.entries.entry(key) {
                hash_map::Entry::Occupied(entry) if matches!(entry.get(), Entry::Held(_)) => {
                    entry.remove()
                }
                _ => return None,
            }
        };
        let reason = match &held {
            Entry::Held(lock) => lock.lost(),
            _ => None,
        };
        self.shared.table().entries.insert(key, held);
        reason.map(LostReason::as_str)
    }

    /// Whether a lock that is held is the one that would be asked for there.
    #[napi]
    pub fn is_lock_of(
        &self,
        key: f64,
        #[napi(ts_arg_type = "string | number")] place: Place,
        file_name: String,
    ) -> napi::Result<bool> {
        let place = self.shared.place(place)?;
        let place = place.or_else(|path| Root::open_cached(&path).ok_or(path));
        Ok(match (self.shared.table().entries.get(&whole(key)), place) {
            (Some(Entry::Held(lock)), Ok(root)) => lock.is_of(&root, &file_name),
            // Where to look may block, the same words must do.
            (Some(Entry::Held(lock)), Err(path)) => {
                lock.root_path() == Path::new(&path) && lock.file_name() == file_name
            }
            _ => false,
        })
    }

    /// Opens a directory, which is called by the key from then on: `opened` or `failed` tells.
    #[napi]
    pub fn open_root(&self, key: f64, path: String) {
        let key = whole(key);
        let shared = Arc::clone(&self.shared);
        self.shared.run_blocking(key, Operation::Open, PathBuf::from(&path), move || {
            let event = match Root::open(&path) {
                Ok(root) => {
                    shared.table().roots.insert(key, root);
                    BindingEvent::new(key, "opened")
                }
                Err(error) => failed(key, &error),
            };
            shared.channel.send(event);
        });
    }

    /// Closes a directory; locks and waits that were begun with it go on.
    #[napi]
    pub fn close_root(&self, number: f64) {
        let root = self.shared.table().roots.remove(&whole(number));
        // Closed outside of the mutex.
        drop(root);
    }

    /// Looks at a lock: `inspected` or `failed` tells.
    #[napi]
    pub fn inspect(
        &self,
        key: f64,
        #[napi(ts_arg_type = "string | number")] place: Place,
        file_name: String,
        stale_ms: f64,
    ) -> napi::Result<()> {
        let key = whole(key);
        let place = self.shared.place(place)?;
        let shared = Arc::clone(&self.shared);
        let path = path_of(&place);
        self.shared.run_blocking(key, Operation::Inspect, path, move || {
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
        Ok(())
    }

    /// Looks at all that can be seen of a lock: `surveyed` or `failed` tells.
    #[napi]
    pub fn survey(&self, key: f64, path: String, file_name: String) {
        let key = whole(key);
        let shared = Arc::clone(&self.shared);
        self.shared.run_blocking(key, Operation::Inspect, PathBuf::from(&path), move || {
            let seen = Root::open(&path).and_then(|root| root.survey(&file_name));
            shared.channel.send(match seen {
                Ok(seen) => {
                    BindingEvent { survey: Some(seen.into()), ..BindingEvent::new(key, "surveyed") }
                }
                Err(error) => failed(key, &error),
            });
        });
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A directory that is open, or a path.
    fn place(&self, place: Place) -> napi::Result<Result<Root, String>> {
        match place {
            Either::A(path) => Ok(Err(path)),
            Either::B(number) => match self.table().roots.get(&whole(number)) {
                Some(root) => Ok(Ok(root.clone())),
                // The face asks nothing of a root that it has closed.
                None => Err(napi::Error::from_reason("root is closed")),
            },
        }
    }

    /// Asks where that can't block: the token if it was granted.
    fn answer(self: &Arc<Self>, root: &Root, ask: &Ask) -> Result<Option<u64>, Error> {
        match self.ask(root, ask) {
            Ok(Some(lock)) => {
                let token = lock.token();
                self.table().entries.insert(ask.key, Entry::Held(lock));
                Ok(Some(token))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                self.table().entries.remove(&ask.key);
                Err(error)
            }
        }
    }

    /// Opens and asks where that may block, when those who came before have.
    fn line_up(self: &Arc<Self>, place: Result<Root, String>, ask: Ask) {
        let line = line_name(&place, &ask);
        let path = path_of(&place);
        if !self.lines.join(line.clone(), (place, ask)) {
            return;
        }
        let work = {
            let (shared, line) = (Arc::clone(self), line.clone());
            move || {
                while let Some((place, ask)) = shared.lines.next(&line) {
                    shared.answer_later(place, &ask);
                }
            }
        };
        if let Err(error) = blocking::run(Operation::Acquire, &path, work) {
            // There is but one: all who ask do so on this thread.
            if let Some((_, ask)) = self.lines.next(&line) {
                self.settled(ask.key, Err(error));
            }
            self.lines.next(&line);
        }
    }

    /// Does what may block where it blocks nobody.
    fn run_blocking(
        &self,
        key: u64,
        operation: Operation,
        path: PathBuf,
        job: impl FnOnce() + Send + 'static,
    ) {
        if let Err(error) = blocking::run(operation, &path, job) {
            self.channel.send(failed(key, &error));
        }
    }

    /// Opens and asks where that may block.
    fn answer_later(self: &Arc<Self>, place: Result<Root, String>, ask: &Ask) {
        let result = place.or_else(Root::open).and_then(|root| {
            match self.table().entries.get_mut(&ask.key) {
                Some(entry) => *entry = Entry::Asking { cancelled: false },
                // Nothing is created for somebody who has left meanwhile.
                None => return Ok(None),
            }
            self.ask(&root, ask)
        });
        match result {
            Ok(Some(lock)) => self.settled(ask.key, Ok(lock)),
            Ok(None) => {}
            Err(error) => self.settled(ask.key, Err(error)),
        }
        self.asked.notify_all();
    }

    fn ask(self: &Arc<Self>, root: &Root, ask: &Ask) -> Result<Option<Lock>, Error> {
        let events: Arc<dyn Events> = Arc::clone(self) as _;
        let Ask { key, file_name, mode, options, tell, report } = ask;
        let request = Request {
            file_name: file_name.as_deref().unwrap_or(Root::LOCK_FILE),
            mode: *mode,
            options: *options,
            tell: *tell,
            report: *report,
        };
        let wait = match root.acquire(*key, request, events)? {
            Acquired::Now(lock) => return Ok(Some(lock)),
            Acquired::Later(wait) => wait,
        };
        let unwanted = match self.table().entries.get_mut(key) {
            Some(entry @ (Entry::Asked | Entry::Asking { .. })) => {
                let cancelled = matches!(entry, Entry::Asking { cancelled: true });
                *entry = Entry::Waiting(wait.clone());
                cancelled
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

    fn cancel(self: &Arc<Self>, key: u64) {
        let mut table = self.table();
        match table.entries.get_mut(&key) {
            Some(Entry::Waiting(wait)) => {
                let wait = wait.clone();
                // The end of the wait may be told before this returns, and needs the table.
                drop(table);
                wait.cancel();
            }
            Some(Entry::Asked) => {
                // It may hang in opening the directory, and stops there.
                table.entries.remove(&key);
                drop(table);
                self.channel.send(BindingEvent::new(key, "failed"));
            }
            Some(Entry::Asking { cancelled }) => {
                // Told when nothing is made any more: by the thread that asks, unless it hangs.
                *cancelled = true;
                let shared = Arc::clone(self);
                let give_up = move || shared.give_up_asking(key);
                // Without a thread the one that asks tells, when it comes back.
                let _ = blocking::run(Operation::Acquire, Path::new(""), give_up);
            }
            // Granted: the face gives it back when it hears of it.
            Some(Entry::Held(_)) | None => {}
        }
    }

    /// Ends a request whose thread does not come back; whatever comes of it is given back.
    fn give_up_asking(&self, key: u64) {
        let asking =
            |table: &mut Table| matches!(table.entries.get(&key), Some(Entry::Asking { .. }));
        let (mut table, _) = self
            .asked
            .wait_timeout_while(self.table(), ASKING, asking)
            .unwrap_or_else(PoisonError::into_inner);
        if asking(&mut table) {
            table.entries.remove(&key);
            drop(table);
            self.channel.send(BindingEvent::new(key, "failed"));
        }
    }

    /// The environment ends: waits are cancelled, locks released, and nobody is told.
    fn close(&self) {
        let Table { entries, roots, .. } =
            std::mem::replace(&mut *self.table(), Table { closed: true, ..Table::default() });
        for entry in entries.into_values() {
            match entry {
                Entry::Waiting(wait) => wait.cancel(),
                Entry::Held(lock) => drop(lock),
                Entry::Asked | Entry::Asking { .. } => {}
            }
        }
        drop(roots);
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
                let token = lock.token();
                let mut table = self.table();
                match table.entries.get(&key) {
                    Some(Entry::Asking { cancelled: true }) => {
                        table.entries.remove(&key);
                        // Released outside of the mutex, and before it is told.
                        drop(table);
                        drop(lock);
                        BindingEvent::new(key, "failed").into()
                    }
                    Some(_) if !table.closed => {
                        table.entries.insert(key, Entry::Held(lock));
                        Event::Granted(key, token)
                    }
                    _ => {
                        // Released outside of the mutex, by falling out of scope.
                        drop(table);
                        return;
                    }
                }
            }
            Err(error) => {
                if self.table().entries.remove(&key).is_none() {
                    return;
                }
                failed(key, &error).into()
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

/// JavaScript's own numbers: whole and below 2^53.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and small")]
fn whole(number: f64) -> u64 {
    number as u64
}
