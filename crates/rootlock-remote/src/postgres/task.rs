//! The task of an entry: it has the connection, serves the first in line, and gives the lock back.

use std::io::ErrorKind as IoErrorKind;
use std::sync::Arc;
use std::time::Duration;

use rootlock::{LostReason, Mode};
use rootlock_sys::clock;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::backstop::Backstop;
use super::heart;
use super::look::Seen;
use super::session::{Session, Tried, Written};
use super::url::Target;
use crate::backoff::Backoff;
use crate::entry::{Entry, Stop, Waiter};
use crate::fault::{Failure, Fault};
use crate::line::Key;
use crate::lock::{Lease, Lock};
use crate::terms::{IdleTimeout, Terms};

/// How long a connection is kept that nobody needs: programs that lock again and again do not connect anew.
const LINGER: Duration = Duration::from_secs(2);

/// How long a cancelled request waits for a statement that is not a wait: a server that answers has done so.
const GIVE_UP: Duration = Duration::from_millis(100);

/// How long a wait at the server may take to end when it is cancelled.
const CANCEL: Duration = Duration::from_secs(1);

/// How long this process may pass the lock on among its own callers before others at the server have their turn.
const TURN: Duration = Duration::from_millis(50);

/// How often a request puts up with a statement that somebody cancels.
const CANCELLED: u32 = 3;

/// The connection, and what its session has.
struct Seat {
    target: Arc<Target>,
    session: Option<Arc<Session>>,
    timeout: Option<IdleTimeout>,
    locked: Option<Locked>,
    backstop: Backstop,
}

/// The session has the server's lock.
struct Locked {
    mode: Mode,
    /// `held` in the row is about a grant of this session.
    wrote: bool,
    /// On the clock that counts sleep.
    since: Duration,
    heart: JoinHandle<()>,
}

pub(crate) async fn run(entry: Arc<Entry>, target: Arc<Target>) {
    let mut seat =
        Seat { target, session: None, timeout: None, locked: None, backstop: Backstop::default() };
    loop {
        seat.forget_if_ended(&entry);
        seat.end_leases(&entry).await;
        if let Some((key, _, waiter)) = entry.claim() {
            seat.serve(&entry, key, waiter).await;
            continue;
        }
        entry.tell_waiting();
        let rests = entry.state().line.is_empty();
        let lingers = seat.lingers();
        tokio::select! { biased;
            () = entry.wake.notified() => {}
            () = seat.ended() => {}
            () = sleep(lingers), if rests => {
                let mut state = entry.state();
                if state.line.is_empty() && state.releasing.is_empty() {
                    state.running = false;
                    // Its connection says goodbye.
                    return;
                }
            }
        }
    }
}

impl Seat {
    fn lingers(&self) -> Duration {
        match &self.session {
            Some(_) => LINGER,
            None => Duration::ZERO,
        }
    }

    /// Waits for the end of the session, if there is one.
    async fn ended(&self) {
        match &self.session {
            Some(session) => drop(session.ended().await),
            None => std::future::pending().await,
        }
    }

    /// The session is over: so are its lock and its leases.
    fn forget_if_ended(&mut self, entry: &Arc<Entry>) {
        if self.session.as_ref().is_some_and(|session| session.has_ended()) {
            self.abandon(entry);
        }
    }

    /// Closes the connection at once.
    fn abandon(&mut self, entry: &Arc<Entry>) {
        if let Some(locked) = self.locked.take() {
            locked.heart.abort();
            entry.lose_all(LostReason::Hijacked);
        }
        if let Some(session) = self.session.take() {
            session.give_up();
        }
        self.timeout = None;
    }

    /// What was released: the lock goes on to the next in line, or back to the server.
    async fn end_leases(&mut self, entry: &Arc<Entry>) {
        let (released, keeps, has_leases) = {
            let mut state = entry.state();
            let released = std::mem::take(&mut state.releasing);
            for lease in &released {
                state.line.end(lease.key);
                state.leases.remove(&lease.key);
            }
            let next = state.line.next_mode();
            let keeps = self.locked.as_ref().is_some_and(|locked| {
                next == Some(locked.mode) && clock::since_boot().saturating_sub(locked.since) < TURN
            });
            (released, keeps, state.line.has_leases())
        };
        if !has_leases && !keeps && self.locked.is_some() {
            self.give_back(entry).await;
        }
        if has_leases && !released.is_empty() {
            self.narrow(entry).await;
        }
        for lease in released {
            entry.has_ended(lease.key);
            lease.tell_released();
        }
    }

    /// A reader has left: the server waits no longer for the others than the most patient of them.
    async fn narrow(&mut self, entry: &Arc<Entry>) {
        let terms: Vec<_> = entry.state().leases.values().map(|lease| lease.terms).collect();
        let longest = terms.iter().map(Terms::idle_timeout).reduce(IdleTimeout::longest);
        let patient = terms.iter().max_by_key(|terms| terms.stale);
        let (Some(session), Some(longest), Some(patient)) = (&self.session, longest, patient)
        else {
            return;
        };
        if self.timeout == Some(longest) {
            return;
        }
        match timeout(CANCEL, session.set_times(patient, longest)).await {
            Ok(Ok(())) => self.timeout = Some(longest),
            // The beats find out what has become of the session; until then, it is not as it should be.
            _ => self.abandon(entry),
        }
    }

    /// `release`. If the server does not answer, its end of the session does the same.
    async fn give_back(&mut self, entry: &Arc<Entry>) {
        let (Some(locked), Some(session)) = (self.locked.take(), &self.session) else { return };
        locked.heart.abort();
        let release = session.release(locked.mode, locked.wrote);
        if !matches!(timeout(CANCEL, release).await, Ok(Ok(()))) {
            self.abandon(entry);
        }
    }

    /// Serves the first in line until it is granted, or fails.
    async fn serve(&mut self, entry: &Arc<Entry>, key: Key, waiter: Arc<Waiter>) {
        let (mut key, mut waiter) = (key, waiter);
        let mut backoff = Backoff::new();
        let (mut warned, mut cancelled, mut reached) = (false, 0, false);
        loop {
            let is_kept = self.session.is_some();
            let served = self.acquire(entry, &mut key, &mut waiter).await;
            let fault = match served {
                Ok((token, moment)) => {
                    self.grant(entry, key, &waiter, token, moment).await;
                    return;
                }
                Err(Stop::Unwanted) => {
                    entry.has_failed(key);
                    self.give_back_unless_leased(entry).await;
                    entry.settle_cancelled(&waiter);
                    return;
                }
                Err(Stop::Held) => {
                    entry.settle_held(key, &waiter);
                    return;
                }
                Err(Stop::Fault(fault)) => fault,
            };
            // It has connected: what fails from here on is a server that has gone away.
            reached |= self.session.is_some();
            // Whoever tries again does not wait at the server meanwhile.
            entry.follow(&mut key, &mut waiter);
            self.abandon(entry);
            // Somebody cancels statements: it is not for those of a lock that they did.
            let is_cancelled = fault.kind() == IoErrorKind::Interrupted;
            if is_cancelled && cancelled < CANCELLED {
                cancelled += 1;
                continue;
            }
            let goes_on = waiter.waits && (waiter.has_waited() || reached && !is_cancelled);
            if !fault.passes || !(is_kept || goes_on) {
                entry.has_failed(key);
                waiter.settle_fault(&fault);
                return;
            }
            if is_kept {
                // It may have been over for long.
                continue;
            }
            entry.is_away(&fault);
            if !std::mem::replace(&mut warned, true) {
                waiter.warn("the server is away, trying again", &fault);
            }
            entry.state().line.is_held_up(key);
            entry.tell_waiting();
            tokio::select! { biased;
                () = entry.unwanted(key) => {}
                () = sleep(backoff.take()) => {}
            }
        }
    }

    async fn give_back_unless_leased(&mut self, entry: &Arc<Entry>) {
        if self.locked.is_some() && !entry.state().line.has_leases() {
            self.give_back(entry).await;
        }
    }

    async fn grant(
        &mut self,
        entry: &Arc<Entry>,
        key: Key,
        waiter: &Arc<Waiter>,
        token: u64,
        moment: Duration,
    ) {
        let lease = || Lease::new(entry, waiter, token, moment, &entry.refreshed);
        match entry.granted(key, lease) {
            Some(lease) => {
                entry.beat_within(&waiter.terms);
                waiter.settle(Ok(Lock { lease }));
            }
            // Given back before its user is told.
            None => {
                self.give_back_unless_leased(entry).await;
                entry.has_failed(key);
                entry.settle_cancelled(waiter);
            }
        }
    }

    /// The steps of `docs/protocol-postgres.md`, from `connect` to `confirm`: the token, and the moment that its
    /// lease counts from.
    async fn acquire(
        &mut self,
        entry: &Arc<Entry>,
        key: &mut Key,
        waiter: &mut Arc<Waiter>,
    ) -> Result<(u64, Duration), Stop> {
        // It was kept for somebody who has left, and wanted it in another mode.
        if self.locked.as_ref().is_some_and(|locked| locked.mode != waiter.mode) {
            self.give_back(entry).await;
        }
        let session = self.connect(entry, *key).await?;
        entry.is_back();
        let mut written = match &self.locked {
            Some(locked) => {
                // A hand-over, or another reader.
                let timeout = match (locked.mode, self.timeout) {
                    (Mode::Shared, Some(timeout)) => timeout.longest(waiter.terms.idle_timeout()),
                    _ => waiter.terms.idle_timeout(),
                };
                self.set_times(entry, *key, &session, &waiter.terms, timeout).await?;
                match waiter.mode {
                    Mode::Exclusive => entry.has_locked(entry.refreshed.get(), &waiter.terms),
                    Mode::Shared => entry.beat_within(&waiter.terms),
                }
                None
            }
            None => {
                let timeout = waiter.terms.idle_timeout();
                self.set_times(entry, *key, &session, &waiter.terms, timeout).await?;
                let moment = clock::since_boot();
                let trying = session.try_lock(waiter.mode, &waiter.terms);
                match self.unless_given_up(entry, *key, trying).await? {
                    Tried::Locked(written) => {
                        self.has_locked(entry, &session, waiter, moment);
                        Some(written)
                    }
                    Tried::Held => {
                        self.wait(entry, &session, key, waiter).await?;
                        None
                    }
                }
            }
        };
        let mut waited = false;
        loop {
            let answer = match written.take() {
                Some(written) => written,
                None => {
                    let timeout = self.timeout.unwrap_or_else(|| waiter.terms.idle_timeout());
                    let writing = session.write(waiter.mode, &waiter.terms, timeout, waited);
                    self.unless_given_up(entry, *key, writing).await?
                }
            };
            match answer {
                Written::Token { token, moment } => {
                    if let Some(locked) = &mut self.locked {
                        locked.wrote = true;
                    }
                    // `confirm`.
                    if waiter.terms.confirms(moment, clock::since_boot()) {
                        return Ok((token, moment));
                    }
                }
                Written::Quarantine(stale) => {
                    self.quarantine(entry, &session, *key, waiter, stale).await?;
                    waited = true;
                }
            }
            if !entry.is_wanted(*key) {
                return Err(Stop::Unwanted);
            }
        }
    }

    /// `connect`, unless there is a session.
    async fn connect(&mut self, entry: &Arc<Entry>, key: Key) -> Result<Arc<Session>, Stop> {
        if !entry.is_wanted(key) {
            return Err(Stop::Unwanted);
        }
        if let Some(session) = &self.session {
            return Ok(Arc::clone(session));
        }
        let opening = Session::open(&entry.runtime, &self.target, &self.target.root, &entry.name);
        let session = tokio::select! { biased;
            session = opening => Arc::new(session?),
            () = entry.unwanted(key) => return Err(Stop::Unwanted),
        };
        self.session = Some(Arc::clone(&session));
        Ok(session)
    }

    async fn set_times(
        &mut self,
        entry: &Arc<Entry>,
        key: Key,
        session: &Session,
        terms: &Terms,
        timeout: IdleTimeout,
    ) -> Result<(), Stop> {
        if self.timeout != Some(timeout) {
            self.unless_given_up(entry, key, session.set_times(terms, timeout)).await?;
            self.timeout = Some(timeout);
        }
        Ok(())
    }

    /// A statement that is answered at once by a server that answers. If it is not wanted any more and not
    /// answered, the connection is closed: whatever it has done is over with its session.
    async fn unless_given_up<T>(
        &mut self,
        entry: &Arc<Entry>,
        key: Key,
        statement: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Stop> {
        let mut statement = std::pin::pin!(statement);
        tokio::select! { biased;
            answer = &mut statement => return Ok(answer?),
            () = entry.unwanted(key) => {}
        }
        match timeout(GIVE_UP, statement).await {
            Ok(answer) => Ok(answer?),
            Err(_) if entry.state().line.has_leases() => {
                // Others of this process have the lock in this session: the statement changes nothing for them.
                Err(Stop::Unwanted)
            }
            Err(_) => {
                self.abandon(entry);
                Err(Stop::Unwanted)
            }
        }
    }

    fn has_locked(
        &mut self,
        entry: &Arc<Entry>,
        session: &Arc<Session>,
        waiter: &Waiter,
        moment: Duration,
    ) {
        entry.has_locked(moment, &waiter.terms);
        let heart = entry.runtime.spawn(heart::run(Arc::clone(entry), Arc::clone(session)));
        let since = clock::since_boot();
        self.locked = Some(Locked { mode: waiter.mode, wrote: false, since, heart });
    }

    /// `lock_server`, the wait: in slices, until the server grants it to whoever is served then.
    async fn wait(
        &mut self,
        entry: &Arc<Entry>,
        session: &Arc<Session>,
        key: &mut Key,
        waiter: &mut Arc<Waiter>,
    ) -> Result<(), Stop> {
        let root = Arc::clone(&self.target);
        let place = (root.root.as_str(), entry.name.as_str());
        let see = |seen: Seen| entry.state().holder = seen.holder;
        if !waiter.waits {
            if let Ok(seen) = session.look(place.0, place.1).await {
                see(seen);
            }
            return Err(Stop::Held);
        }
        entry.state().line.waits(*key);
        loop {
            self.end_silent(session, waiter).await;
            let mut looked = None;
            let answer = {
                let tell = |seen: Seen| {
                    looked = Some((seen.silent.clone(), clock::since_boot()));
                    see(seen);
                    entry.tell_waiting();
                };
                let mut slice = std::pin::pin!(session.wait(waiter.mode, place, tell));
                loop {
                    tokio::select! { biased;
                        answer = &mut slice => break answer,
                        () = entry.wake.notified() => {}
                    }
                    if entry.is_wanted(*key) {
                        // Somebody has joined, who waits too.
                        entry.tell_waiting();
                        continue;
                    }
                    if let Some((next, next_waiter)) = entry.pass_on(*key, waiter) {
                        (*key, *waiter) = (next, next_waiter);
                        continue;
                    }
                    let cancelled = self.cancel(entry, session, slice.as_mut()).await;
                    if cancelled.is_ok() || self.found_locked(session).await? {
                        self.has_locked(entry, session, waiter, clock::since_boot());
                    }
                    return Err(Stop::Unwanted);
                }
            };
            if let Some((silent, at)) = looked {
                self.backstop.sees(silent, at);
            }
            match answer {
                Ok(()) => {
                    entry.follow(key, waiter);
                    self.has_locked(entry, session, waiter, clock::since_boot());
                    return Ok(());
                }
                // Somebody else's cancel request is no reason to stop.
                Err(Failure::Slice | Failure::Cancelled) => {
                    if self.found_locked(session).await? {
                        entry.follow(key, waiter);
                        self.has_locked(entry, session, waiter, clock::since_boot());
                        return Ok(());
                    }
                }
                Err(Failure::Fault(fault)) => return Err(fault.into()),
            }
        }
    }

    /// The backstop: between two slices, ends a session that the server should have ended.
    async fn end_silent(&mut self, session: &Session, waiter: &Waiter) {
        let Some(silent) = self.backstop.due(&waiter.terms, clock::since_boot()) else { return };
        // Whoever may not end it waits for the server.
        if let Ok(true) = session.end(silent).await {
            let words = format!("{} was silent for longer than its lease", silent.pid);
            let fault = Fault::away("backstop", IoErrorKind::TimedOut, words);
            waiter.warn("the server's clock was set back, and it keeps a session that it should have ended: ended it", &fault);
        }
    }

    /// Whether the session has the lock although its wait was ended: the server may have granted it just
    /// before, and an error does not take back a session's lock.
    async fn found_locked(&self, session: &Session) -> Result<bool, Fault> {
        // Abandoned: whatever it had ends with it.
        if self.session.is_none() {
            return Ok(false);
        }
        session.find_lock().await
    }

    /// `cancel`: `Ok` if the server has granted the lock meanwhile.
    async fn cancel(
        &mut self,
        entry: &Arc<Entry>,
        session: &Session,
        mut slice: std::pin::Pin<&mut impl Future<Output = Result<(), Failure>>>,
    ) -> Result<(), ()> {
        let cancelling = async {
            loop {
                // It may come before the statement, and is over when its own connection is: both are waited for.
                let (sent, answer) = tokio::join!(
                    session.send_cancel(),
                    timeout(Duration::from_millis(20), slice.as_mut())
                );
                if let Ok(answer) = answer {
                    return sent.map(|()| answer);
                }
                if sent.is_err() {
                    return Err(Fault::silent("cancel"));
                }
            }
        };
        match timeout(CANCEL, cancelling).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(Failure::Cancelled | Failure::Slice))) => Err(()),
            // Nobody knows what is on its way: the session ends.
            _ => {
                self.abandon(entry);
                Err(())
            }
        }
    }

    /// `quarantine`: leases of another instance may be alive. The lock is kept, with beats.
    async fn quarantine(
        &mut self,
        entry: &Arc<Entry>,
        session: &Session,
        key: Key,
        waiter: &Waiter,
        stale: Duration,
    ) -> Result<(), Stop> {
        entry.state().line.is_held_up(key);
        let fault = Fault::away(
            "quarantine",
            IoErrorKind::TimedOut,
            format!("the lease may last for {stale:?} more"),
        );
        waiter.warn(
            "the server has restarted, and the last holder may not know: sitting out its lease",
            &fault,
        );
        if !waiter.waits {
            return Err(Stop::Held);
        }
        tokio::select! { biased;
            fault = session.ended() => Err(fault.into()),
            sat_out = entry.sit_out(key, stale) => sat_out,
        }
    }
}
