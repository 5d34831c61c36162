//! The queue of this process's requests for one lock. It decides which request is next, which thread
//! makes its grant, and which requests are notified.
//!
//! A pure state machine. Events come in as calls, effects go out as values; no clock, thread or
//! file is in here, so that a test can play every order of them. [`crate::entry`] holds the machine
//! under a mutex and carries the effects out.
//!
//! ```text
//!              enqueue            claim              granted
//!   (request) ─────────▶ queued ─────────▶ granting ─────────▶ (lease)
//!                         │  ▲              │   │  │
//!                  cancel │  └── requeue ───┘   │  └─ failed ─▶ (error)
//!                         ▼                     │
//!                     cancelled ◀── requeue, failed, give_up: if cancelled meanwhile
//!                         │
//!                         └─ take_cancelled ─▶ (notified)
//! ```
//!
//! One thread of the process, the *wait*, blocks in the kernel for the first request. A signal
//! stops it; the signal may come a moment too early, so it is sent again until the thread answers
//! by looking at the queue. A thread that never does is abandoned, and another one starts.

use std::collections::BTreeMap;
use std::ops::RangeBounds;
use std::time::Duration;

use crate::Mode;
use rootlock_sys::{FileId, Nanos};

/// A request's place in the queue: unique in the process, and ascending.
pub(crate) type Key = u64;

/// Identifies a wait in the kernel; unique in the queue.
pub(crate) type WaitId = u64;

/// How long after a stop the thread is interrupted again; then after twice as long, and so on.
const NUDGE: Duration = Duration::from_millis(1);

/// A thread that is about to block has done so after this time, but for a machine that stands still just then.
/// The signal is not lost on it, and whether to repeat it need not be looked at so soon.
const BLOCKED: Duration = Duration::from_millis(1);

/// After this many nudges, an eighth of a second, the thread is abandoned: it hangs in a call that
/// no signal ends.
const NUDGES: u32 = 7;

/// How long a cancelled request waits for the thread that makes its grant: on storage that answers,
/// the thread is done by then.
pub(crate) const GIVE_UP: Duration = Duration::from_millis(100);

/// How long this process may keep the lock to itself (passing it from caller to caller, or asking
/// again at once) while another one waits; as in parking_lot's eventual fairness.
const TURN: Duration = Duration::from_millis(1);

/// A process that asks again this soon has given no other a chance: the kernel wakes the next one
/// in its queue, but gives the lock to the first that asks.
const AT_ONCE: Duration = Duration::from_micros(200);

/// On a busy machine the one that was woken may not have run by then: until this time is over, it is
/// looked for where that can be known.
const SOON: Duration = Duration::from_millis(2);

/// How long to stay away after a turn, so that the process that was woken goes first.
const STEP_BACK: Duration = Duration::from_micros(200);

/// When a newcomer may try the lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Try {
    /// Since when it would be this process's turn.
    pub(crate) since: Duration,
    /// No other has had a chance since the last one.
    pub(crate) at_once: bool,
}

/// What a request wants, as far as the order of requests depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wants {
    pub(crate) mode: Mode,
    /// May take over an abandoned lock.
    pub(crate) recover: bool,
    /// Is to be notified that it waits.
    pub(crate) notify: bool,
    /// How soon the lock is to be looked at for it.
    pub(crate) first_look: Duration,
    /// A reader lets writers of other processes go first that have waited since before this time.
    pub(crate) gives_way: Option<Nanos>,
}

impl Wants {
    /// Whether nobody else's queue is joined, in which somebody may wait for this very process.
    fn goes_ahead(self) -> bool {
        self.mode == Mode::Shared && self.gives_way.is_none()
    }
}

/// What the machine wants done, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Start a thread for a wait; [`Queue::wait_failed`] if the system has none.
    StartWait(WaitId),
    /// Interrupt the thread of a wait, and call [`Queue::nudge`] after that time.
    Interrupt(WaitId, Duration),
    /// Call [`Queue::give_up`] after [`GIVE_UP`].
    GiveUpLater(Key),
    /// Call [`Queue::take_cancelled`] on another thread, and notify those requests.
    TellCancelled,
    /// Call [`Queue::take_unnotified`] on another thread, and notify those requests.
    Notify,
}

/// Who makes a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worker {
    /// The thread of a wait, which may block again.
    Wait(WaitId),
    /// Somebody whose work is bounded on storage that answers: a thread of the pool making one
    /// attempt, or a release that hands over.
    Other,
}

struct Request<P> {
    wants: Wants,
    payload: P,
}

struct Granting<P> {
    request: Request<P>,
    worker: Worker,
    /// No longer wanted: the thread that makes the grant releases it.
    cancelled: bool,
}

/// What the thread of a wait is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// About to look at the queue, or working for nobody in particular.
    Running,
    /// In the kernel's queue of waiting processes, or behind a writer.
    QueueingUp,
    /// Waiting for the lock.
    Locking(FileId, Mode),
    /// Making a grant.
    Granting,
}

struct Wait {
    id: WaitId,
    /// It has not looked at the queue yet.
    fresh: bool,
    doing: Doing,
    /// Since when it is blocked, if it is.
    since: Duration,
    /// How often it was interrupted since it was asked to look at the queue again; `None` if it was
    /// not asked, or has answered.
    stopping: Option<u32>,
    /// It must stay out of the kernel's queue: the process at the head may be stopped.
    skip_queue: bool,
}

/// When the lock is looked at next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Not at all.
    Never,
    /// At this time.
    At(Duration),
    /// Somebody is looking, and looks again at this time at the latest.
    Now(Option<Duration>),
}

/// The periods during which this process had the lock, but for moments.
#[derive(Clone, Copy, Default)]
pub(crate) struct Turns {
    /// The last turn: since when, and when it ended.
    last: Option<(Duration, Duration)>,
    /// When the next turn may begin.
    not_before: Duration,
}

/// What the thread of a wait does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Waits in the kernel, for this.
    Wait(Wants),
    /// Closes its files, notifies cancelled requests, and ends.
    Leave,
}

/// Whom a look is for.
#[derive(Clone, Debug)]
pub(crate) struct LookFor<P> {
    /// The first request in the queue.
    pub(crate) first: P,
    /// It may be giving way to writers that have waited since before this time.
    pub(crate) gives_way: Option<Nanos>,
    /// The first request that may take over, unless this process itself has the lock.
    pub(crate) recoverer: Option<(Key, P)>,
}

/// A request taken out of the queue for a grant.
#[derive(Debug)]
pub(crate) struct Claim<P> {
    pub(crate) key: Key,
    pub(crate) payload: P,
}

pub(crate) struct Queue<P> {
    queued: BTreeMap<Key, Request<P>>,
    granting: BTreeMap<Key, Granting<P>>,
    cancelled: Vec<P>,
    /// Somebody is about to notify the cancelled requests.
    telling: bool,
    /// In order of arrival; some may not wait any more.
    unnotified: Vec<Key>,
    /// This process's own exclusive holder: while there is one, no thread waits in the kernel.
    holder: Option<Key>,
    wait: Option<Wait>,
    waits: WaitId,
    look: Look,
    turns: Turns,
}

impl<P: Clone> Queue<P> {
    pub(crate) fn new(turns: Turns) -> Self {
        Self {
            queued: BTreeMap::new(),
            granting: BTreeMap::new(),
            cancelled: Vec::new(),
            telling: false,
            unnotified: Vec::new(),
            holder: None,
            wait: None,
            waits: 0,
            look: Look::Never,
            turns,
        }
    }

    /// Whether this process itself holds the lock exclusively.
    pub(crate) fn is_own(&self) -> bool {
        self.holder.is_some()
    }

    /// How many callers wait, if any, and what the first of them wants.
    pub(crate) fn callers(&self) -> Option<(Mode, usize)> {
        Some((self.first()?.mode, self.queued.len()))
    }

    // Asking.

    /// Whether a newcomer may try the lock at once: it would overtake nobody, and this process does
    /// not have the lock.
    pub(crate) fn may_try(&self, now: Duration) -> Option<Try> {
        if !self.queued.is_empty() || !self.granting.is_empty() || self.holder.is_some() {
            return None;
        }
        match self.turns.last {
            Some((since, ended)) if now.saturating_sub(ended) < SOON => {
                Some(Try { since, at_once: now.saturating_sub(ended) < AT_ONCE })
            }
            _ => Some(Try { since: now, at_once: false }),
        }
    }

    /// A newcomer that tried has acquired the lock.
    pub(crate) fn took(&mut self, key: Key, mode: Mode) -> Vec<Effect> {
        if mode == Mode::Shared {
            return Vec::new();
        }
        self.holder = Some(key);
        // A thread may have begun to wait in the kernel meanwhile.
        self.stop_wait().into_iter().collect()
    }

    /// A request joins the queue.
    pub(crate) fn enqueue(
        &mut self,
        key: Key,
        wants: Wants,
        payload: P,
        now: Duration,
    ) -> Vec<Effect> {
        self.queued.insert(key, Request { wants, payload });
        self.look_by(now + wants.first_look);
        let mut effects = Vec::new();
        if wants.notify {
            if self.unnotified.is_empty() {
                effects.push(Effect::Notify);
            }
            self.unnotified.push(key);
        }
        effects.extend(self.wait_if_needed());
        effects
    }

    /// A request gives up its place for a new one, at the end of the line: whether it was in line.
    pub(crate) fn fall_back(
        &mut self,
        key: Key,
        new: Key,
        renew: impl FnOnce(&P) -> P,
    ) -> (bool, Vec<Effect>) {
        let Some(Request { wants, payload }) = self.queued.remove(&key) else {
            return (false, Vec::new());
        };
        self.queued.insert(new, Request { wants, payload: renew(&payload) });
        for unnotified in &mut self.unnotified {
            if *unnotified == key {
                *unnotified = new;
            }
        }
        (true, self.wait_for_first().into_iter().collect())
    }

    /// A request that does not wait: somebody makes one attempt for it.
    pub(crate) fn attempt(&mut self, key: Key, wants: Wants, payload: P) {
        let request = Request { wants, payload };
        let granting = Granting { request, worker: Worker::Other, cancelled: false };
        self.granting.insert(key, granting);
    }

    /// Whether a queued request can't be granted before a lease of this process, held in the mode
    /// `held`, ends: because one of the two is exclusive, or an exclusive request is queued between
    /// them.
    pub(crate) fn waits_for(&self, key: Key, held: Mode) -> bool {
        self.queued.contains_key(&key) && self.excludes(held, ..key, key)
    }

    /// A request that can't be granted before a shared lease of this process ends, because it gives way
    /// to a writer that waits for that lease: from now on it does not, and neither do those before it.
    pub(crate) fn goes_ahead(&mut self, key: Key) -> Vec<Effect> {
        for (_, request) in self.queued.range_mut(..=key) {
            request.wants.gives_way = None;
        }
        self.wait_for_first().into_iter().collect()
    }

    /// The same of a lease that another request in line before it will have.
    pub(crate) fn waits_behind(&self, key: Key, before: Key) -> bool {
        let (Some(other), true) = (self.queued.get(&before), self.queued.contains_key(&key)) else {
            return false;
        };
        before < key && self.excludes(other.wants.mode, before..key, key)
    }

    /// Whether a lease excludes a request, or somebody who is in line between them.
    fn excludes(&self, held: Mode, between: impl RangeBounds<Key>, key: Key) -> bool {
        let exclusive = |request: &Request<P>| request.wants.mode == Mode::Exclusive;
        held == Mode::Exclusive
            || self.queued.get(&key).is_some_and(exclusive)
            || self.queued.range(between).any(|(_, request)| exclusive(request))
    }

    // Granting.

    fn claim(&mut self, key: Key, worker: Worker) -> Option<Claim<P>> {
        let request = self.queued.remove(&key)?;
        let payload = request.payload.clone();
        self.granting.insert(key, Granting { request, worker, cancelled: false });
        Some(Claim { key, payload })
    }

    /// The kernel has granted a wait in this mode: claims the first request, if it wants that mode.
    pub(crate) fn claim_for_wait(&mut self, id: WaitId, mode: Mode) -> Option<Claim<P>> {
        let wait = self.wait.as_mut().filter(|wait| wait.id == id)?;
        let (&key, _) =
            self.queued.first_key_value().filter(|(_, first)| first.wants.mode == mode)?;
        wait.doing = Doing::Granting;
        self.claim(key, Worker::Wait(id))
    }

    /// The time for a takeover has come, for a request that may still be queued.
    pub(crate) fn claim_for_takeover(&mut self, key: Key) -> Option<Claim<P>> {
        self.claim(key, Worker::Other)
    }

    /// The holder is about to release: whether the lock can go on to a queued request. If not, the
    /// lock counts as released here.
    pub(crate) fn may_hand_over(&mut self, holder: Key) -> bool {
        if self.holder != Some(holder) {
            // Shared, or lost.
            return false;
        }
        if !self.first_is_exclusive() {
            self.holder = None;
            return false;
        }
        true
    }

    /// The holder releases: the request that the lock goes on to, if it may. This process keeps it.
    pub(crate) fn claim_for_hand_over(&mut self, holder: Key, may: bool) -> Option<Claim<P>> {
        self.holder.take_if(|own| *own == holder)?;
        // Going from exclusive to shared, the kernel lock would be free for a moment.
        if !may || !self.first_is_exclusive() {
            return None;
        }
        let (&key, _) = self.queued.first_key_value()?;
        self.holder = Some(key);
        self.claim(key, Worker::Other)
    }

    fn first_is_exclusive(&self) -> bool {
        self.first().is_some_and(|first| first.mode == Mode::Exclusive)
    }

    fn first(&self) -> Option<Wants> {
        self.queued.values().next().map(|first| first.wants)
    }

    /// Whether a request is still wanted; for whoever makes its grant.
    pub(crate) fn is_wanted(&self, key: Key) -> bool {
        self.granting.get(&key).is_some_and(|granting| !granting.cancelled)
    }

    /// The grant is made: whether it is wanted. If not, its maker gives the lock back and then
    /// calls [`Queue::requeue`].
    pub(crate) fn granted(&mut self, key: Key) -> (bool, Vec<Effect>) {
        if !self.is_wanted(key) {
            self.holder.take_if(|own| *own == key);
            return (false, Vec::new());
        }
        let Some(granting) = self.granting.remove(&key) else { return (false, Vec::new()) };
        if granting.request.wants.mode == Mode::Exclusive {
            self.holder = Some(key);
        }
        self.look_never_if_empty();
        // A wait that made the grant looks at the queue next anyway. Any other is blocked on a lock
        // that is this process's now, or on a file that was replaced.
        let made_it =
            self.wait.as_ref().is_some_and(|wait| granting.worker == Worker::Wait(wait.id));
        let interrupt = if made_it { None } else { self.stop_wait() };
        (true, interrupt.into_iter().collect())
    }

    /// The attempt led to no grant, but did not fail for good: the request returns to its place.
    pub(crate) fn requeue(&mut self, key: Key, now: Duration) -> Vec<Effect> {
        self.holder.take_if(|own| *own == key);
        let mut effects = Vec::new();
        match self.granting.remove(&key) {
            Some(Granting { cancelled: false, request, .. }) => {
                self.look_by(now + request.wants.first_look);
                self.queued.insert(key, request);
            }
            Some(Granting { request, .. }) => effects.extend(self.end(request)),
            // Given up.
            None => {}
        }
        effects.extend(self.wait_for_first());
        effects
    }

    /// No grant will come of it. Returns the request if it is to be told why; a cancelled one is
    /// told that it was cancelled.
    pub(crate) fn failed(&mut self, key: Key) -> (Option<P>, Vec<Effect>) {
        self.holder.take_if(|own| *own == key);
        let mut effects = Vec::new();
        let failed = match self.granting.remove(&key) {
            Some(Granting { cancelled: false, request, .. }) => Some(request.payload),
            Some(Granting { request, .. }) => {
                effects.extend(self.end(request));
                None
            }
            None => None,
        };
        self.look_never_if_empty();
        effects.extend(self.wait_for_first());
        (failed, effects)
    }

    /// Nobody can wait: the first request fails with the reason.
    pub(crate) fn fail_first(&mut self) -> Option<P> {
        let (_, request) = self.queued.pop_first()?;
        self.look_never_if_empty();
        Some(request.payload)
    }

    /// A lease ended, or was lost: it no longer keeps anybody from waiting.
    pub(crate) fn ended(&mut self, holder: Key) -> Vec<Effect> {
        self.holder.take_if(|own| *own == holder);
        self.wait_if_needed().into_iter().collect()
    }

    // Cancelling.

    /// A request is no longer wanted. It is notified when nothing of it is left.
    pub(crate) fn cancel(&mut self, key: Key) -> Vec<Effect> {
        if let Some(granting) = self.granting.get_mut(&key) {
            if std::mem::replace(&mut granting.cancelled, true) {
                return Vec::new();
            }
            // A wait may be blocked on the guard; one that was abandoned is not nudged again.
            let interrupt = match (granting.worker, &mut self.wait) {
                (Worker::Wait(id), Some(wait)) if wait.id == id => stop(wait),
                (Worker::Wait(id), _) => Some(Effect::Interrupt(id, NUDGE)),
                (Worker::Other, _) => None,
            };
            return interrupt.into_iter().chain([Effect::GiveUpLater(key)]).collect();
        }
        let Some(request) = self.queued.remove(&key) else { return Vec::new() };
        self.look_never_if_empty();
        let first = self.first();
        let Some(wait) = self.wait.as_mut().filter(|wait| !wait.serves(first)) else {
            return self.end(request);
        };
        let interrupt = stop(wait);
        if first.is_none() {
            // The wait ends with the last request, and is the last that is left of it.
            self.cancelled.push(request.payload);
            return interrupt.into_iter().collect();
        }
        interrupt.into_iter().chain(self.end(request)).collect()
    }

    /// The maker of a cancelled request's grant has had its time: the request is notified without
    /// it. When the thread comes back, nobody wants what it brings.
    pub(crate) fn give_up(&mut self, key: Key) -> Vec<Effect> {
        match self.granting.remove(&key) {
            Some(Granting { cancelled: true, request, .. }) => {
                let mut effects = self.end(request);
                effects.extend(self.wait_for_first());
                effects
            }
            Some(granting) => {
                self.granting.insert(key, granting);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    fn end(&mut self, request: Request<P>) -> Vec<Effect> {
        self.look_never_if_empty();
        self.cancelled.push(request.payload);
        self.tell_cancelled()
    }

    fn tell_cancelled(&mut self) -> Vec<Effect> {
        if self.cancelled.is_empty() || std::mem::replace(&mut self.telling, true) {
            return Vec::new();
        }
        vec![Effect::TellCancelled]
    }

    /// The requests to notify that they were cancelled.
    pub(crate) fn take_cancelled(&mut self) -> Vec<P> {
        self.telling = false;
        std::mem::take(&mut self.cancelled)
    }

    /// The requests that wait and have not been notified of it.
    pub(crate) fn take_unnotified(&mut self) -> Vec<P> {
        let keys = std::mem::take(&mut self.unnotified);
        let waiting = |key| {
            let granting = || self.granting.get(&key).map(|granting| &granting.request);
            self.queued.get(&key).or_else(granting).map(|request| request.payload.clone())
        };
        keys.into_iter().filter_map(waiting).collect()
    }

    // The wait in the kernel.

    fn wait_if_needed(&mut self) -> Option<Effect> {
        if self.queued.is_empty() || self.wait.is_some() || self.holder.is_some() {
            return None;
        }
        self.waits += 1;
        let id = self.waits;
        self.wait = Some(Wait {
            id,
            fresh: true,
            doing: Doing::Running,
            since: Duration::ZERO,
            stopping: None,
            skip_queue: false,
        });
        Some(Effect::StartWait(id))
    }

    /// The same; and a wait for something else looks at the queue again.
    fn wait_for_first(&mut self) -> Option<Effect> {
        let first = self.first();
        match self.wait.as_mut().filter(|wait| !wait.serves(first)) {
            Some(unserved) => stop(unserved),
            None => self.wait_if_needed(),
        }
    }

    fn stop_wait(&mut self) -> Option<Effect> {
        self.wait.as_mut().and_then(stop)
    }

    fn current(&mut self, id: WaitId) -> Option<&mut Wait> {
        self.wait.as_mut().filter(|wait| wait.id == id)
    }

    /// The system has no thread for a wait: the first request fails, and the next gets another try.
    pub(crate) fn wait_failed(&mut self, id: WaitId) -> (Option<P>, Vec<Effect>) {
        let failed = self.wait.take_if(|wait| wait.id == id).and_then(|_| self.fail_first());
        (failed, self.wait_if_needed().into_iter().collect())
    }

    /// The thread of a wait answers: what it does next.
    pub(crate) fn next(&mut self, id: WaitId, now: Duration) -> (Next, Vec<Effect>) {
        let first = self.first();
        let own = self.holder.is_some();
        let Some(wait) = self.current(id) else { return (Next::Leave, Vec::new()) };
        match first {
            Some(wants) if !own => {
                wait.stopping = None;
                wait.doing = Doing::Running;
                if std::mem::take(&mut wait.fresh) {
                    self.look_by(now + wants.first_look);
                }
                // A request may have joined behind the last one, which left.
                (Next::Wait(wants), self.tell_cancelled())
            }
            _ => {
                self.wait = None;
                (Next::Leave, Vec::new())
            }
        }
    }

    /// Whether the thread of a wait first joins the kernel's queue, or lets a writer go first; `None`
    /// when it is to look at this queue again instead.
    pub(crate) fn queues_up(&mut self, id: WaitId, now: Duration) -> Option<bool> {
        let first = self.first();
        let wait = self.current(id).filter(|wait| wait.stopping.is_none())?;
        if wait.skip_queue || first.is_some_and(Wants::goes_ahead) {
            return Some(false);
        }
        (wait.doing, wait.since) = (Doing::QueueingUp, now);
        Some(true)
    }

    /// Whether the thread of a wait blocks for the lock, rather than looking at the queue again.
    pub(crate) fn locks(&mut self, id: WaitId, file: FileId, mode: Mode, now: Duration) -> bool {
        // Whom it queued up for may have left meanwhile.
        let serves = self.first().is_some_and(|first| first.mode == mode);
        let Some(wait) = self.current(id).filter(|wait| serves && wait.stopping.is_none()) else {
            return false;
        };
        (wait.doing, wait.since) = (Doing::Locking(file, mode), now);
        true
    }

    /// The thread of a wait is no longer blocked.
    pub(crate) fn runs(&mut self, id: WaitId) {
        if let Some(wait) = self.current(id) {
            wait.doing = Doing::Running;
        }
    }

    /// Whether the thread of a wait is in the kernel, as good as certainly.
    pub(crate) fn is_blocked(&self, id: WaitId, now: Duration) -> bool {
        self.wait.as_ref().is_some_and(|wait| {
            wait.id == id
                && matches!(wait.doing, Doing::QueueingUp | Doing::Locking(..))
                && now.saturating_sub(wait.since) >= BLOCKED
        })
    }

    /// The time after an interrupt has passed.
    pub(crate) fn nudge(&mut self, id: WaitId) -> Vec<Effect> {
        let Some(wait) = self.current(id) else { return Vec::new() };
        let Some(nudges) = &mut wait.stopping else { return Vec::new() };
        *nudges += 1;
        if *nudges < NUDGES {
            return vec![Effect::Interrupt(id, NUDGE * (1 << *nudges))];
        }
        self.wait = None;
        let mut effects = self.tell_cancelled();
        effects.extend(self.wait_if_needed());
        effects
    }

    // Looking.

    /// When to look next.
    pub(crate) fn look(&self) -> Look {
        self.look
    }

    fn look_by(&mut self, time: Duration) {
        self.look = match self.look {
            Look::Never => Look::At(time),
            Look::At(due) => Look::At(due.min(time)),
            Look::Now(due) => Look::Now(Some(due.map_or(time, |due| due.min(time)))),
        };
    }

    fn look_never_if_empty(&mut self) {
        // Whoever is looking finds out by itself.
        if self.queued.is_empty() && matches!(self.look, Look::At(_)) {
            self.look = Look::Never;
        }
    }

    /// The time to look may have come.
    pub(crate) fn begin_look(&mut self, now: Duration) -> Option<LookFor<P>> {
        if !matches!(self.look, Look::At(due) if due <= now) {
            return None;
        }
        let Some(first) = self.queued.values().next() else {
            self.look = Look::Never;
            return None;
        };
        let is_queueing_up = self.wait.as_ref().is_some_and(|wait| wait.doing == Doing::QueueingUp);
        self.look = Look::Now(None);
        let recoverer = self.queued.iter().find(|(_, request)| request.wants.recover);
        let recoverer = recoverer.filter(|_| self.holder.is_none());
        Some(LookFor {
            first: first.payload.clone(),
            gives_way: first.wants.gives_way.filter(|_| is_queueing_up),
            recoverer: recoverer.map(|(key, request)| (*key, request.payload.clone())),
        })
    }

    /// A look saw this file under the lock's name; and whether the first request gives way to a writer
    /// that does wait.
    pub(crate) fn saw(&mut self, file: Option<FileId>, gives_way: bool) -> Vec<Effect> {
        let Some(wait) = &mut self.wait else { return Vec::new() };
        if gives_way && wait.doing == Doing::QueueingUp {
            return Vec::new();
        }
        // The process at the head of the kernel's queue may be stopped: nobody stays in it for
        // long.
        wait.skip_queue = true;
        let stops = match wait.doing {
            Doing::QueueingUp => true,
            // It waits for a file whose name refers to another by now. While no file has the name,
            // somebody may be removing the directory, so it goes on waiting.
            Doing::Locking(id, _) => file.is_some_and(|file| file != id),
            Doing::Running | Doing::Granting => false,
        };
        if stops { stop(wait).into_iter().collect() } else { Vec::new() }
    }

    /// A look is over.
    pub(crate) fn end_look(&mut self, again: Duration) {
        let Look::Now(due) = self.look else { return };
        self.look = Look::Never;
        if !self.queued.is_empty() {
            self.look = Look::At(due.map_or(again, |due| due.min(again)));
        }
    }

    // Turns between processes.

    pub(crate) fn step_back(&mut self, now: Duration) {
        self.turns = Turns { last: None, not_before: now + STEP_BACK };
    }

    /// This process has just had the lock; forgotten if it is to stay away for now.
    pub(crate) fn end_turn(&mut self, since: Duration, now: Duration) {
        if self.turns.not_before <= now {
            self.turns.last = Some((since, now));
        }
    }

    /// When the next turn may begin.
    pub(crate) fn not_before(&self) -> Duration {
        self.turns.not_before
    }

    pub(crate) fn turns(&self) -> Turns {
        self.turns
    }
}

impl Wait {
    /// Whether the thread waits for what the first request wants.
    fn serves(&self, first: Option<Wants>) -> bool {
        match (first, self.doing) {
            (Some(first), Doing::Locking(_, mode)) => first.mode == mode,
            (Some(first), Doing::QueueingUp) => !first.goes_ahead(),
            // It is about to look at the queue, or works for another.
            (Some(_), _) | (None, Doing::Granting) => true,
            (None, _) => false,
        }
    }
}

/// Whether this process may go on having the lock, which it has had since `since`: returns since
/// when its turn counts now. `others_wait` is asked only when the turn is over, and may not know.
pub(crate) fn turn(
    since: Duration,
    now: Duration,
    others_wait: impl FnOnce() -> Option<bool>,
) -> Option<Duration> {
    if now.saturating_sub(since) < TURN {
        return Some(since);
    }
    // Nobody waits: another turn, and no need to ask before it is over.
    (others_wait() == Some(false)).then_some(now)
}

/// Makes the thread of a wait look at the queue again.
fn stop(wait: &mut Wait) -> Option<Effect> {
    if wait.stopping.is_some() {
        return None;
    }
    wait.stopping = Some(0);
    Some(Effect::Interrupt(wait.id, NUDGE))
}

#[cfg(test)]
mod tests;
