//! One user of many locks, such as a JavaScript environment: its requests and locks, which end with
//! it, under numbers that it chooses.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::Mode;
use crate::backend::Backend;
use crate::entry::Acquired;
use crate::events::{Details, Events, Level, LostReason, Released};
use crate::limits::Limits;
use crate::mailbox::Mailbox;
use crate::options::{Options, Request};
use crate::queue::GIVE_UP;
use crate::requests::{Cancel, Granted, Requests, Tag};
use crate::{Error, Holder, Operation, error, pool, timer};
use rootlock_sys::clock;
use rootlock_sys::sync::{self, Mutex};

/// Receives the events of a [`Session`]'s requests, each with the request's tag. Called from any
/// thread; must not block.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn observe(&self, tag: u64, event: Event);
}

/// Something that happened to a request.
#[derive(Debug)]
pub enum Event {
    /// The lock was not free at once. Sent once for a wait, before its end.
    Waiting(Option<Holder>),
    /// The request can't be granted before a lock is released that it was made inside of, or that only
    /// the thread can release that blocks for the request. It waits on.
    Deadlock,
    /// The lock is held, with this fencing token.
    Granted(u64),
    /// The request has failed.
    Failed(Error),
    /// The request was cancelled before anything was known of the lock.
    Cancelled,
    /// The lock was lost.
    Lost(LostReason),
    /// A release that was left to another thread is done.
    Released(Result<(), Error>),
    /// Something that an operator should know.
    Log(Level, String, Details),
}

/// Where a lock is.
pub enum Place<B: Backend> {
    /// In a root that is open.
    Root(B::Root),
    /// In the root that this path leads to.
    Path(B::Path),
}

/// The immediate result of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The lock is held, with this fencing token.
    Granted(u64),
    /// The observer will be notified.
    Later,
}

/// The requests and locks of one user.
pub struct Session<B: Backend> {
    inner: Arc<Inner<B>>,
}

struct Inner<B: Backend> {
    observer: Arc<dyn Observer>,
    requests: Mutex<RequestsOf<B>>,
    /// The locks inside which requests were made that do not wait yet.
    within: Mutex<HashMap<Tag, Vec<Tag>>>,
    /// The events of requests that the user's thread blocks for.
    mailbox: Mailbox<Event>,
    limits: Limits,
    /// The locks that are being released: few, but where that is left to another thread.
    releasing: Mutex<Vec<Tag>>,
}

type RequestsOf<B> = Requests<Line, Job<B>, <B as Backend>::Wait, <B as Backend>::Lock>;

/// The root's path, and the lock's name.
type Line = (PathBuf, String);

/// A request for which something must be done that may block.
struct Job<B: Backend> {
    place: Place<B>,
    file_name: String,
    mode: Mode,
    options: Options,
    notify_waiting: bool,
    has_logger: bool,
}

impl<B: Backend> Place<B> {
    /// The root's path, as it was given.
    pub fn path(&self) -> &Path {
        match self {
            Self::Root(root) => B::path(root),
            Self::Path(path) => B::shown(path),
        }
    }

    /// Opens the root, which may block, unless it is open.
    ///
    /// # Errors
    /// Those of [`Backend::open`].
    pub fn open(self) -> Result<B::Root, Error> {
        match self {
            Self::Root(root) => Ok(root),
            Self::Path(path) => B::open(&path),
        }
    }
}

impl<B: Backend> Clone for Place<B> {
    fn clone(&self) -> Self {
        match self {
            Self::Root(root) => Self::Root(root.clone()),
            Self::Path(path) => Self::Path(path.clone()),
        }
    }
}

impl<B: Backend> fmt::Debug for Place<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(root) => f.debug_tuple("Root").field(root).finish(),
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
        }
    }
}

impl<B: Backend> Session<B> {
    /// A session whose user is notified of everything through `observer`.
    pub fn new(observer: Arc<dyn Observer>) -> Self {
        Self {
            inner: Arc::new(Inner {
                observer,
                requests: Mutex::new(Requests::new()),
                within: Mutex::default(),
                mailbox: Mailbox::new(),
                limits: Limits::default(),
                releasing: Mutex::default(),
            }),
        }
    }

    /// Asks for a lock, under a tag that must not be in use. Never blocks, but for a few system
    /// calls on a local file system. Of several requests by the same path, the first to ask is
    /// served first.
    ///
    /// A wait that is longer than its limit, if it has one, fails with [`ErrorKind::Held`](crate::ErrorKind::Held). If the
    /// storage has not answered by then, and not in a second either, the request is
    /// [cancelled](Event::Cancelled).
    ///
    /// # Errors
    /// Any reason why the lock can't be taken that is known at once, except that it is held.
    pub fn acquire(
        &self,
        tag: u64,
        place: Place<B>,
        request: Request<'_>,
        limit: Option<Duration>,
    ) -> Result<Answer, Error> {
        // One attempt ends by itself.
        let Some(limit) = limit.filter(|_| request.options.wait) else {
            return self.ask(tag, place, request);
        };
        self.inner.limits.begin(tag);
        let path = place.path().to_owned();
        let answer = self.ask(tag, place, request);
        if !matches!(answer, Ok(Answer::Later)) {
            self.inner.limits.end(tag);
            return answer;
        }
        let inner = Arc::downgrade(&self.inner);
        let passed = move || inner.upgrade().into_iter().for_each(|inner| inner.limit_passed(tag));
        self.inner.limits.set(tag, limit, passed).map_err(|error| {
            // Nobody would keep the time.
            self.inner.limits.end(tag);
            self.inner.abandon(tag);
            Error::io(Operation::Acquire, &path, "pthread_create", error)
        })?;
        answer
    }

    fn ask(&self, tag: u64, place: Place<B>, request: Request<'_>) -> Result<Answer, Error> {
        let line = || (place.path().to_owned(), request.file_name.to_owned());
        let busy = self.inner.requests().is_busy(line);
        let place = match place {
            // Nobody overtakes an earlier request that is still opening or asking.
            Place::Path(path) if !busy => match B::open_cached(&path) {
                Some(root) => Place::Root(root),
                None => Place::Path(path),
            },
            place => place,
        };
        self.inner.requests().ask(tag);
        match &place {
            Place::Root(root) if !busy && B::is_prompt(root) => {
                self.inner.answer(root, tag, request)
            }
            _ => {
                self.inner.line_up(place, tag, request);
                Ok(Answer::Later)
            }
        }
    }

    /// Ends a wait. [`Event::Failed`] or [`Event::Cancelled`] follows when nothing of it is left.
    /// Does nothing if it has ended.
    pub fn cancel(&self, tag: u64) {
        self.inner.cancel(tag);
    }

    /// Why a lock was lost, if it was: as far as can be known now.
    pub fn lost(&self, tag: u64) -> Option<LostReason> {
        let lease = B::lease(self.inner.requests().held(tag)?);
        // Asked outside the mutex: this may notify others of the loss.
        B::lost(&lease)
    }

    /// Declares that a request was made while some locks of this user are held for it. Returns
    /// whether it waits for one of them, and so for itself; [`Event::Deadlock`] follows if that
    /// turns out later.
    pub fn is_within(&self, tag: u64, outer: Vec<u64>) -> bool {
        sync::lock(&self.inner.within).insert(tag, outer);
        let waits = self.inner.waits_for_itself(tag);
        if !self.inner.requests().is_opening(tag) {
            self.inner.forget(tag);
        }
        waits
    }

    /// Releases a lock; `None` when there is none to release.
    pub fn release(&self, tag: u64) -> Option<Released> {
        let lock = self.inner.requests().release(tag)?;
        // Another thread may be done with it before this one hears that it is left to it.
        self.inner.releasing().push(tag);
        let released = B::unlock(lock);
        if matches!(released, Released::Done(_)) {
            self.inner.has_released(tag);
        }
        Some(released)
    }

    /// Whether a release is left to another thread and not done.
    pub fn is_releasing(&self, tag: u64) -> bool {
        self.inner.releasing().contains(&tag)
    }

    // Blocking.

    /// From now on the events of a request are kept for [`Session::next`], because the user's own thread
    /// blocks for them; until [`Session::unblock`]. To be called before the request is made. A request that
    /// could only be granted when that thread does something is answered by [`Event::Deadlock`]: a lock
    /// that it waits for is the same user's. The user's requests that are in line before let it pass.
    pub fn block(&self, tag: u64) {
        self.inner.mailbox.open(tag);
    }

    /// Blocks until something has happened to a request, and returns what; `None` if nothing has for so
    /// long, or [`Session::block`] was not called.
    pub fn next(&self, tag: u64, at_most: Option<Duration>) -> Option<Event> {
        self.inner.mailbox.take(tag, at_most)
    }

    /// The user's thread does not block any more: what nobody has taken is left to the observer.
    pub fn unblock(&self, tag: u64) {
        for event in self.inner.mailbox.close(tag) {
            self.inner.observer.observe(tag, event);
        }
    }

    /// Ends everything: waits are cancelled and locks released, and nobody is notified.
    pub fn close(&self) {
        let (waits, locks) = self.inner.requests().close();
        self.inner.limits.clear();
        B::end(waits, locks);
    }
}

impl<B: Backend> Inner<B> {
    fn requests(&self) -> sync::MutexGuard<'_, RequestsOf<B>> {
        sync::lock(&self.requests)
    }

    fn releasing(&self) -> sync::MutexGuard<'_, Vec<Tag>> {
        sync::lock(&self.releasing)
    }

    fn has_released(&self, tag: Tag) {
        self.releasing().retain(|releasing| *releasing != tag);
    }

    /// Tells the thread that blocks for the request, else the observer.
    fn tell(&self, tag: Tag, event: Event) {
        if let Some(event) = self.mailbox.put(tag, event) {
            self.observer.observe(tag, event);
        }
    }

    /// Tells that a request has ended of which nothing more is known.
    fn tell_cancelled(&self, tag: Tag) {
        self.limits.end(tag);
        self.tell(tag, Event::Cancelled);
    }

    /// Asks where that can't block.
    fn answer(
        self: &Arc<Self>,
        root: &B::Root,
        tag: Tag,
        request: Request<'_>,
    ) -> Result<Answer, Error> {
        match self.ask(root, tag, request) {
            Ok(Some(lock)) => {
                let token = B::token(&lock);
                Ok(match self.granted(tag, lock) {
                    true => Answer::Granted(token),
                    false => Answer::Later,
                })
            }
            Ok(None) => Ok(Answer::Later),
            Err(error) => {
                self.requests().failed(tag);
                Err(error)
            }
        }
    }

    fn ask(
        self: &Arc<Self>,
        root: &B::Root,
        tag: Tag,
        request: Request<'_>,
    ) -> Result<Option<B::Lock>, Error> {
        match B::acquire(root, tag, request, Arc::clone(self) as _)? {
            Acquired::Now(lock) => Ok(Some(lock)),
            Acquired::Later(wait) => {
                let unwanted = self.requests().waits(tag, wait.clone());
                if unwanted.is_some() || self.limits.has_passed(tag) {
                    B::cancel(&wait);
                } else if self.waits_for_itself(tag) || self.blocks_itself(tag) {
                    self.tell(tag, Event::Deadlock);
                }
                Ok(None)
            }
        }
    }

    /// Reported once, when the request is queued.
    fn waits_for_itself(&self, tag: Tag) -> bool {
        let Some(wait) = self.requests().waiting(tag).cloned() else { return false };
        let outer = sync::lock(&self.within).remove(&tag).unwrap_or_default();
        outer.into_iter().any(|outer| {
            let lease = self.requests().held(outer).map(B::lease);
            // A lost lock keeps nobody out.
            lease.is_some_and(|lease| B::lost(&lease).is_none() && B::waits_for(&wait, &lease))
        })
    }

    /// Whether the user's thread blocks for a request that waits for what only this thread can end. The
    /// user's other requests let it pass: what they were granted could not be released before.
    fn blocks_itself(&self, tag: Tag) -> bool {
        let blocked = self.mailbox.tags();
        if !blocked.contains(&tag) {
            return false;
        }
        let (wait, mut before, leases) = {
            let requests = self.requests();
            let Some(wait) = requests.waiting(tag).cloned() else { return false };
            let others = requests.all_waiting().filter(|(_, other)| B::is_behind(&wait, other));
            let before: Vec<_> = others.map(|(tag, other)| (tag, other.clone())).collect();
            let leases: Vec<_> = requests.all_held().map(B::lease).collect();
            (wait, before, leases)
        };
        // In the order that they are in.
        before.sort_by_key(|(_, other)| B::key(other));
        if before.iter().any(|(other, _)| blocked.contains(other)) {
            return true;
        }
        // All at once, so that they stay in their order.
        let (others, places): (Vec<_>, Vec<_>) = before.into_iter().unzip();
        for (other, behind) in others.into_iter().zip(B::fall_back(&places)) {
            let Some(behind) = behind else { continue };
            self.requests().moved(other, behind.clone());
            // Its limit may have passed meanwhile, and have found it in neither place.
            if self.limits.has_passed(other) {
                B::cancel(&behind);
            }
        }
        leases.iter().any(|lease| B::lost(lease).is_none() && B::waits_for(&wait, lease))
    }

    /// A lock of the user's is now held: whoever waits for it on the user's own thread does so in vain.
    fn tell_blocked(&self, granted: Tag) {
        for tag in self.mailbox.tags() {
            if tag == granted {
                continue;
            }
            let (wait, lease) = {
                let requests = self.requests();
                let lease = requests.held(granted).map(B::lease);
                (requests.waiting(tag).cloned(), lease)
            };
            if let (Some(wait), Some(lease)) = (wait, lease)
                && B::waits_for(&wait, &lease)
            {
                self.tell(tag, Event::Deadlock);
            }
        }
    }

    /// Whether the lock is the user's now.
    fn granted(&self, tag: Tag, lock: B::Lock) -> bool {
        self.forget(tag);
        let granted = self.requests().granted(tag, lock);
        match granted {
            Granted::Kept => {
                self.tell_blocked(tag);
                return true;
            }
            // Released outside the mutex, and before the user is told.
            Granted::Cancelled(lock) => {
                drop(lock);
                self.tell_cancelled(tag);
            }
            Granted::Unwanted(lock) => drop(lock),
        }
        false
    }

    /// The limit of a request has passed.
    fn limit_passed(self: &Arc<Self>, tag: Tag) {
        let is_opening = || self.requests().is_opening(tag);
        let inner = Arc::downgrade(self);
        let again = move || inner.upgrade().into_iter().for_each(|inner| inner.limit_passed(tag));
        if self.limits.passes(tag, is_opening, again) {
            self.cancel(tag);
        }
    }

    /// Ends a request of which its user will not be told anything.
    fn abandon(&self, tag: Tag) {
        let (wait, lock) = self.requests().abandon(tag);
        if let Some(wait) = wait {
            B::cancel(&wait);
        }
        drop(lock);
    }

    fn forget(&self, tag: Tag) {
        sync::lock(&self.within).remove(&tag);
    }

    /// Opens and asks where that may block, after earlier requests have.
    fn line_up(self: &Arc<Self>, place: Place<B>, tag: Tag, request: Request<'_>) {
        let Request { file_name, mode, options, notify_waiting, has_logger } = request;
        let line = (place.path().to_owned(), file_name.to_owned());
        let file_name = file_name.to_owned();
        let job = Job { place, file_name, mode, options, notify_waiting, has_logger };
        if !self.requests().line_up(line.clone(), tag, job) {
            return;
        }
        let work = {
            let (inner, line) = (Arc::clone(self), line.clone());
            move || {
                loop {
                    let next = inner.requests().next(&line);
                    let Some((tag, job)) = next else { return };
                    inner.answer_later(tag, job);
                }
            }
        };
        if let Err(error) = pool::run(work) {
            loop {
                let next = self.requests().next(&line);
                let Some((tag, job)) = next else { return };
                let error = error::copy(&error);
                let path = job.place.path();
                self.settled(
                    tag,
                    Err(Error::io(Operation::Acquire, path, "pthread_create", error)),
                );
            }
        }
    }

    fn answer_later(self: &Arc<Self>, tag: Tag, job: Job<B>) {
        let Job { place, file_name, mode, options, notify_waiting, has_logger } = job;
        let result = place.open().and_then(|root| {
            if !self.requests().begin(tag) {
                // Creates nothing for a user who has left meanwhile.
                return Ok(None);
            }
            let request =
                Request { file_name: &file_name, mode, options, notify_waiting, has_logger };
            self.ask(&root, tag, request)
        });
        match result {
            Ok(Some(lock)) => self.settled(tag, Ok(lock)),
            Ok(None) => {}
            Err(error) => self.settled(tag, Err(error)),
        }
    }

    fn cancel(self: &Arc<Self>, tag: Tag) {
        let cancel = self.requests().cancel(tag);
        match cancel {
            Cancel::Tell => self.tell_cancelled(tag),
            // Its end may be told before this returns, and needs the requests.
            Cancel::Wait(wait) => B::cancel(&wait),
            Cancel::GiveUpLater => {
                let inner = Arc::clone(self);
                // Without the timer, the asking thread reports it when it comes back.
                let _ = timer::set(clock::awake() + GIVE_UP, move |_| {
                    if inner.requests().give_up(tag) {
                        inner.tell_cancelled(tag);
                    }
                    None
                });
            }
            Cancel::Nothing => {}
        }
    }
}

impl<B: Backend> Events<B::Lock> for Inner<B> {
    fn waiting(&self, tag: u64, holder: Option<&Holder>) {
        self.tell(tag, Event::Waiting(holder.cloned()));
    }

    fn settled(&self, tag: u64, result: Result<B::Lock, Error>) {
        match result {
            Ok(lock) => {
                let token = B::token(&lock);
                if self.granted(tag, lock) {
                    self.limits.end(tag);
                    self.tell(tag, Event::Granted(token));
                }
            }
            Err(error) => {
                self.forget(tag);
                let error = if self.limits.end(tag) { error.of_limit() } else { error };
                if self.requests().failed(tag) {
                    self.tell(tag, Event::Failed(error));
                }
            }
        }
    }

    fn lost(&self, tag: u64, reason: LostReason) {
        self.tell(tag, Event::Lost(reason));
    }

    fn released(&self, tag: u64, result: Result<(), Error>) {
        self.has_released(tag);
        self.tell(tag, Event::Released(result));
    }

    fn log(&self, tag: u64, level: Level, message: &str, details: &Details) {
        self.tell(tag, Event::Log(level, message.to_owned(), details.clone()));
    }
}
