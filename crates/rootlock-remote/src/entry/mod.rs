//! An entry is one lock of one server, as this process sees it. All requests of the process for it meet here.
//! The [line](crate::line) decides who is next; one task of the runtime, which is the
//! [engine](crate::server)'s, does at the server what it says.
//!
//! Under the state's mutex nobody waits, and no event is told.

mod waiter;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use rootlock::{Holder, LostReason, Mode};
use rootlock_sys::{clock, sync};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::fault::Fault;
use crate::line::{Cancelled, Key, Line, Wants};
use crate::lock::Lease;
use crate::runtime::Runtime;
use crate::server::Server;
use crate::terms::{Refreshed, Terms};
pub(crate) use waiter::Waiter;

pub(crate) struct Entry {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) server: Server,
    pub(crate) name: String,
    /// The last beat that found the lock, if its session serves only this lock.
    pub(crate) refreshed: Arc<Refreshed>,
    state: Mutex<State>,
    /// Something is to be done by the task.
    pub(crate) wake: Notify,
    /// Beats are to come sooner.
    pub(crate) quicker: Notify,
    /// A request has failed, or a lease is over.
    gone: Notify,
}

pub(crate) struct State {
    pub(crate) line: Line<Arc<Waiter>>,
    pub(crate) leases: BTreeMap<Key, Arc<Lease>>,
    /// Released here, and not yet at the server.
    pub(crate) releasing: Vec<Arc<Lease>>,
    /// How often to beat.
    pub(crate) heartbeat: Duration,
    /// The holder that the server named last.
    pub(crate) holder: Option<Holder>,
    /// Why the server could not be asked the last time.
    away: Option<Fault>,
    /// The task runs.
    pub(crate) running: bool,
}

/// How long the end of a thread may take for what it leaves at a server.
const SEE_OFF: Duration = Duration::from_millis(250);

/// The entries of this process.
static ENTRIES: Mutex<Vec<Weak<Entry>>> = Mutex::new(Vec::new());

/// Why a request is not served any more.
pub(crate) enum Stop {
    /// It is not wanted, and nothing of it is left but the session.
    Unwanted,
    /// It does not wait, and the lock is held.
    Held,
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Entry {
    /// The entry of a lock, by whatever root it is reached.
    pub(crate) fn of(runtime: &Arc<Runtime>, server: &Server, name: &str) -> Arc<Self> {
        let mut entries = sync::lock(&ENTRIES);
        entries.retain(|entry| entry.strong_count() > 0);
        let found = entries.iter().filter_map(Weak::upgrade);
        for entry in found {
            if entry.name == name && entry.server.is_same(server) {
                return entry;
            }
        }
        let entry = Arc::new(Self {
            runtime: Arc::clone(runtime),
            server: server.clone(),
            name: name.to_owned(),
            refreshed: Arc::default(),
            state: Mutex::new(State {
                line: Line::new(),
                leases: BTreeMap::new(),
                releasing: Vec::new(),
                heartbeat: Duration::MAX,
                holder: None,
                away: None,
                running: false,
            }),
            wake: Notify::new(),
            quicker: Notify::new(),
            gone: Notify::new(),
        });
        entries.push(Arc::downgrade(&entry));
        entry
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        sync::lock(&self.state)
    }

    pub(crate) fn enqueue(self: &Arc<Self>, waiter: Waiter) {
        let starts = {
            let mut state = self.state();
            state.line.enqueue(waiter.key, waiter.wants(), Arc::new(waiter));
            !std::mem::replace(&mut state.running, true)
        };
        if starts {
            self.runtime.spawn(self.server.clone().serve(Arc::clone(self)));
        } else {
            self.wake.notify_one();
        }
    }

    pub(crate) fn cancel(&self, key: Key) {
        let cancelled = self.state().line.cancel(key);
        match cancelled {
            Cancelled::Gone(waiter) => self.settle_cancelled(&waiter),
            Cancelled::Served => self.wake.notify_one(),
            Cancelled::Nothing => {}
        }
    }

    /// Puts requests behind all others, in their order: their new keys.
    pub(crate) fn fall_back(&self, keys: &[Key]) -> Vec<Option<Key>> {
        let moves: Vec<_> = keys.iter().map(|key| (*key, Waiter::new_key())).collect();
        let moved = self.state().line.fall_back(
            &moves,
            |waiter, next| waiter.waits_like(next),
            |waiter, new| Arc::new(waiter.at(new)),
        );
        self.wake.notify_one();
        let new = |(old, new): (Key, Key)| moved.contains(&old).then_some(new);
        moves.into_iter().map(new).collect()
    }

    pub(crate) fn waits_for(&self, key: Key, held: Mode) -> bool {
        self.state().line.waits_for(key, held)
    }

    pub(crate) fn waits_behind(&self, key: Key, before: Key) -> bool {
        self.state().line.waits_behind(key, before)
    }

    /// A lease was released by its user.
    pub(crate) fn release(&self, lease: Arc<Lease>) {
        self.server.release(&self.runtime, lease);
    }

    /// The same, for the task to do.
    pub(crate) fn release_later(&self, lease: Arc<Lease>) {
        self.state().releasing.push(lease);
        self.wake.notify_one();
    }

    /// A lease was lost: it keeps nobody of this process out any more.
    pub(crate) fn has_lost(&self, lease: &Arc<Lease>) {
        self.has_ended(lease.key);
        self.server.has_lost(&self.runtime, lease);
    }

    /// A lease is over.
    pub(crate) fn has_ended(&self, key: Key) {
        {
            let mut state = self.state();
            state.line.end(key);
            state.leases.remove(&key);
        }
        self.gone.notify_waiters();
        self.wake.notify_one();
    }

    /// Nothing comes of a request that was served.
    pub(crate) fn has_failed(&self, key: Key) {
        self.state().line.failed(key);
        self.gone.notify_waiters();
    }

    /// A request that was served does not wait, and the lock is held.
    pub(crate) fn settle_held(&self, key: Key, waiter: &Waiter) {
        self.has_failed(key);
        let holder = self.state().holder();
        waiter.is_told_that_it_waits(holder.as_ref());
        waiter.settle_held(holder);
    }

    /// A request was not wanted any more, and nothing of it is left.
    pub(crate) fn settle_cancelled(&self, waiter: &Waiter) {
        let (holder, unknown) = {
            let state = self.state();
            (state.holder(), state.unknown(waiter))
        };
        waiter.settle_cancelled(holder, unknown.as_ref());
    }

    /// The server can't be asked.
    pub(crate) fn is_away(&self, fault: &Fault) {
        self.state().away = Some(fault.clone());
    }

    pub(crate) fn is_back(&self) {
        self.state().away = None;
    }

    /// The server has granted a request: its lease, if it is still wanted.
    pub(crate) fn granted(&self, key: Key, lease: impl FnOnce() -> Lease) -> Option<Arc<Lease>> {
        let mut state = self.state();
        let lease = state.line.granted(key).then(|| Arc::new(lease()))?;
        state.leases.insert(key, Arc::clone(&lease));
        Some(lease)
    }

    /// Waits until leases are over that the request which is served can't know of.
    pub(crate) async fn sit_out(&self, key: Key, time: Duration) -> Result<(), Stop> {
        self.tell_waiting();
        // On the clock that stands still in sleep: what it has counted has passed for everybody.
        let until = clock::awake() + time;
        loop {
            let left = until.saturating_sub(clock::awake());
            if left.is_zero() {
                return Ok(());
            }
            tokio::select! { biased;
                () = self.wake.notified() => {}
                () = sleep(left) => {}
            }
            if !self.is_wanted(key) {
                return Err(Stop::Unwanted);
            }
            self.tell_waiting();
        }
    }

    async fn until_gone(&self, key: Key) {
        loop {
            let gone = self.gone.notified();
            if !self.state().line.has(key) {
                return;
            }
            gone.await;
        }
    }

    /// Blocks until these have gone from the server too, but not for long: the process may be about to end.
    pub(crate) fn see_off(all: Vec<(Arc<Self>, Key)>) {
        let Some((first, _)) = all.first() else { return };
        let runtime = Arc::clone(&first.runtime);
        let leaving = async {
            for (entry, key) in all {
                entry.until_gone(key).await;
            }
        };
        // If no answer comes in time, the end of the leases must do.
        let _ = runtime.block_on(async { tokio::time::timeout(SEE_OFF, leaving).await });
    }

    /// The session is over, and with it all leases.
    pub(crate) fn lose_all(&self, reason: LostReason) {
        let leases: Vec<_> = self.state().leases.values().cloned().collect();
        leases.iter().for_each(|lease| lease.lose(reason));
    }

    /// Tells those who are in line that they wait, and those who would not that they can't have it.
    pub(crate) fn tell_waiting(&self) {
        let (refused, waiting, holder) = {
            let mut state = self.state();
            let refused = state.line.take_refused();
            (refused, state.line.all().cloned().collect::<Vec<_>>(), state.holder())
        };
        for waiter in refused {
            waiter.is_told_that_it_waits(holder.as_ref());
            waiter.settle_held(holder.clone());
        }
        for waiter in waiting {
            waiter.is_told_that_it_waits(holder.as_ref());
        }
    }

    /// Whether a request that is served is still wanted.
    pub(crate) fn is_wanted(&self, key: Key) -> bool {
        self.state().line.is_wanted(key)
    }

    /// Waits until a request that is served is no longer wanted, or is another one.
    pub(crate) async fn unwanted(&self, key: Key) {
        while self.is_wanted(key) {
            self.wake.notified().await;
        }
    }

    /// A wait at the server is over, and may have gone on for another request meanwhile, which is served from here on.
    pub(crate) fn follow(&self, key: &mut Key, waiter: &mut Arc<Waiter>) {
        if let Some((now, _, served)) = self.state().line.answered() {
            (*key, *waiter) = (now, served);
        }
    }

    /// A request that waits at the server is not wanted any more: whether the wait goes on for the next.
    pub(crate) fn pass_on(&self, key: Key, waiter: &Arc<Waiter>) -> Option<(Key, Arc<Waiter>)> {
        let next = {
            let mut state = self.state();
            let served = state.line.served();
            if let Some((now, _, waiter)) = served.filter(|(now, ..)| *now != key) {
                // It fell back in line.
                return Some((now, waiter));
            }
            state.line.pass_wait_on(key, |next| next.waits_like(waiter))
        };
        let (next, _, next_waiter) = next?;
        self.settle_cancelled(waiter);
        Some((next, next_waiter))
    }

    pub(crate) fn claim(&self) -> Option<(Key, Wants, Arc<Waiter>)> {
        self.state().line.claim()
    }

    /// The session has the lock, as of now.
    pub(crate) fn has_locked(&self, moment: Duration, terms: &Terms) {
        let mut state = self.state();
        state.heartbeat = terms.heartbeat;
        self.refreshed.raise(moment);
    }

    /// Beats at least this often from now on.
    pub(crate) fn beat_within(&self, terms: &Terms) {
        let mut state = self.state();
        if terms.heartbeat < state.heartbeat {
            state.heartbeat = terms.heartbeat;
            self.quicker.notify_one();
        }
    }

    pub(crate) fn shown(server: &Server, name: &str) -> Arc<Path> {
        Arc::from(Path::new(&format!("{}#{name}", server.shown())))
    }
}

impl State {
    /// Why it is not known whether the lock is held, if it is not.
    fn unknown(&self, waiter: &Waiter) -> Option<Fault> {
        if !self.leases.is_empty() {
            return None;
        }
        let silent = || (!waiter.has_waited()).then(|| Fault::silent("connect"));
        self.away.clone().or_else(silent)
    }

    /// Of the lock, as far as known: this process, else whom the server named.
    pub(crate) fn holder(&self) -> Option<Holder> {
        self.leases.values().next().map(|lease| lease.holder()).or_else(|| self.holder.clone())
    }
}
