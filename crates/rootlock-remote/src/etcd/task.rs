//! The task of an entry on etcd: serves the first in line, from `enqueue` to `confirm`.

use std::io::ErrorKind as IoErrorKind;
use std::sync::Arc;
use std::time::Duration;

use rootlock::LostReason;
use rootlock_protocol::holder::Process;
use rootlock_sys::{clock, process};
use tokio::time::{sleep, timeout};

use super::Cluster;
use super::keys::LockKeys;
use super::session::{Opened, Session};
use super::steps::{Blocker, Stands, Ticket};
use crate::backoff::Backoff;
use crate::entry::{Entry, Stop, Waiter};
use crate::fault::Fault;
use crate::line::Key;
use crate::lock::{Lease, Lock};

/// How long a session is kept that nobody needs: programs that lock again and again make no new one.
const LINGER: Duration = Duration::from_secs(2);

/// How long a cancelled request waits for an answer: members that answer have done so.
const GIVE_UP: Duration = Duration::from_millis(100);

/// How long a release may take before its user goes on without the answer.
const RELEASE: Duration = Duration::from_secs(1);

/// A lock that is held for longer than this is watched.
const SETTLED: Duration = Duration::from_millis(20);

/// How long a request that has not waited yet puts up with a cluster that does not answer: an election may be on. If nobody
/// listens at all, it fails at once.
const PATIENCE: Duration = Duration::from_secs(5);

struct Seat {
    cluster: Arc<Cluster>,
    keys: LockKeys,
    /// The last one that was used.
    session: Option<Arc<Session>>,
}

pub(crate) async fn run(entry: Arc<Entry>, cluster: Arc<Cluster>) {
    let keys = LockKeys::of(&cluster.target, &entry.name);
    let mut seat = Seat { cluster, keys, session: None };
    loop {
        if let Some((key, _, waiter)) = entry.claim() {
            seat.serve(&entry, key, waiter).await;
            continue;
        }
        entry.tell_waiting();
        let rests = entry.state().line.is_empty();
        let lingers = if seat.session.is_some() { LINGER } else { Duration::ZERO };
        tokio::select! { biased;
            () = entry.wake.notified() => {}
            () = sleep(lingers), if rests => {
                let mut state = entry.state();
                if state.line.is_empty() {
                    state.running = false;
                    return;
                }
            }
        }
    }
}

/// A lease was released by its user: its key goes.
pub(crate) async fn release(lease: Arc<Lease>) {
    give_back(&lease).await;
    lease.entry.has_ended(lease.key);
    lease.tell_released();
}

/// A lease was lost: if only by this process's own clock, its key is still there.
pub(crate) async fn give_back(lease: &Arc<Lease>) {
    let Some(ticket) = &lease.ticket else { return };
    ticket.session.has_ended(lease.key);
    remove_within(RELEASE, ticket).await;
}

/// The key of a request that is not wanted any more.
async fn remove(ticket: &Ticket) {
    remove_within(GIVE_UP, ticket).await;
}

/// Deletes a key. If no member answers in time, it goes on in the background until one does or the session is over.
async fn remove_within(time: Duration, ticket: &Ticket) {
    let ticket = ticket.clone();
    let session = Arc::clone(&ticket.session);
    let removing =
        until_answered(Arc::clone(&session), async move || ticket.session.release(&ticket).await);
    let mut removing = Box::pin(removing);
    if timeout(time, removing.as_mut()).await.is_err() {
        session.spawn(removing);
    }
}

/// Repeats a step until it is answered, or the session is over, and with it all keys. Also what is refused: rights come back.
async fn until_answered(session: Arc<Session>, step: impl AsyncFn() -> Result<(), Fault>) {
    let mut backoff = Backoff::new();
    while step().await.is_err() && !session.is_over() {
        sleep(backoff.take()).await;
    }
}

impl Seat {
    /// Serves the first in line until it is granted, or fails.
    async fn serve(&mut self, entry: &Arc<Entry>, key: Key, waiter: Arc<Waiter>) {
        let (mut key, mut waiter) = (key, waiter);
        let mut away = Away::new();
        loop {
            let fault = match self.acquire(entry, &mut key, &mut waiter, &mut away).await {
                Ok((ticket, token, moment)) => {
                    grant(entry, key, &waiter, ticket, token, moment).await;
                    return;
                }
                Err(Stop::Unwanted) => {
                    entry.has_failed(key);
                    entry.settle_cancelled(&waiter);
                    return;
                }
                Err(Stop::Held) => {
                    entry.settle_held(key, &waiter);
                    return;
                }
                Err(Stop::Fault(fault)) => fault,
            };
            // Whoever tries again does not wait at the cluster meanwhile.
            entry.follow(&mut key, &mut waiter);
            if !away.puts_up_with(&fault, &waiter) {
                entry.has_failed(key);
                waiter.settle_fault(&fault);
                return;
            }
            away.pause(entry, key, &waiter, &fault).await;
        }
    }

    async fn session(&mut self, entry: &Arc<Entry>, waiter: &Waiter) -> Result<Opened, Fault> {
        if let Some(session) = &self.session
            && session.terms == waiter.terms
            && !session.is_over()
        {
            return Ok(Opened::Session(Arc::clone(session)));
        }
        Session::of(&entry.runtime, &self.cluster, &waiter.terms).await
    }

    /// `session`, after a quarantine if there is one.
    async fn open(
        &mut self,
        entry: &Arc<Entry>,
        key: Key,
        waiter: &Arc<Waiter>,
    ) -> Result<Arc<Session>, Stop> {
        let mut warned = false;
        loop {
            if !entry.is_wanted(key) {
                return Err(Stop::Unwanted);
            }
            let opened = tokio::select! { biased;
                opened = self.session(entry, waiter) => opened?,
                () = entry.unwanted(key) => return Err(Stop::Unwanted),
            };
            match opened {
                Opened::Session(session) => {
                    self.session = Some(Arc::clone(&session));
                    return Ok(session);
                }
                Opened::Quarantine(left) => {
                    if !std::mem::replace(&mut warned, true) {
                        let words = format!("a lease may last for {left:?} more");
                        let fault = Fault::away("quarantine", IoErrorKind::TimedOut, words);
                        let message = "the cluster was restored, and holders may not know: sitting out their leases";
                        waiter.warn(message, &fault);
                    }
                    if !waiter.waits {
                        return Err(Stop::Held);
                    }
                    entry.state().line.is_held_up(key);
                    entry.sit_out(key, left).await?;
                }
            }
        }
    }

    /// From `session` to `confirm`: the place in line, the token, and the moment that the lease counts from.
    async fn acquire(
        &mut self,
        entry: &Arc<Entry>,
        key: &mut Key,
        waiter: &mut Arc<Waiter>,
        away: &mut Away,
    ) -> Result<(Ticket, u64, Duration), Stop> {
        let session = self.open(entry, *key, waiter).await?;
        away.reached |= session.refreshed.get() >= away.called;
        loop {
            let (ticket, stands) = self.enqueue(entry, *key, waiter, &session, away).await?;
            let first = match stands {
                Stands::First => true,
                stands => self.wait(entry, key, waiter, &ticket, stands, away).await?,
            };
            // From here on the place goes on to nobody else.
            entry.follow(key, waiter);
            if !first {
                // Its key is gone, and the session is not.
                if ticket.may_return {
                    remove(&ticket).await;
                }
                let fault =
                    Fault::away("look", IoErrorKind::NotFound, "somebody has deleted the key");
                waiter.warn("lost the place in line, and waits at its end", &fault);
                continue;
            }
            let confirming = tokio::select! { biased;
                moment = session.confirm() => moment.map_err(Stop::from),
                () = entry.unwanted(*key) => Err(Stop::Unwanted),
            };
            match confirming.and_then(|moment| Ok((session.token(&ticket)?, moment))) {
                Ok((token, moment)) => return Ok((ticket, token, moment)),
                Err(stop) => {
                    remove(&ticket).await;
                    return Err(stop);
                }
            }
        }
    }

    /// `enqueue`, until it is answered.
    async fn enqueue(
        &self,
        entry: &Arc<Entry>,
        key: Key,
        waiter: &Arc<Waiter>,
        session: &Arc<Session>,
        away: &mut Away,
    ) -> Result<(Ticket, Stands), Stop> {
        let own = self.keys.own(waiter.mode, session.lease, session.next_number());
        let mut unanswered = false;
        loop {
            let answer = {
                let asking =
                    session.enqueue(&self.keys, &own, waiter.mode, waiter.waits, &mut unanswered);
                let mut asking = std::pin::pin!(asking);
                tokio::select! { biased;
                    answer = &mut asking => Some(answer),
                    () = entry.unwanted(key) => timeout(GIVE_UP, asking).await.ok(),
                }
            };
            if matches!(answer, Some(Ok(_))) {
                away.is_back(entry);
            }
            let fault = match answer {
                Some(Ok(Some((ticket, stands)))) if entry.is_wanted(key) => {
                    return Ok((ticket, stands));
                }
                Some(Ok(Some((ticket, _)))) => {
                    remove(&ticket).await;
                    return Err(Stop::Unwanted);
                }
                Some(Ok(None)) => {
                    if entry.is_wanted(key) && session.bury_all(&self.keys).await? {
                        continue;
                    }
                    let holder = session.holder(&self.keys).await;
                    entry.state().holder = holder;
                    return Err(Stop::Held);
                }
                Some(Err(fault)) => fault,
                None => Fault::silent("enqueue"),
            };
            let is_over = session.is_over();
            let goes_on = away.puts_up_with(&fault, waiter) && entry.is_wanted(key);
            if !is_over && !goes_on {
                // It may yet arrive.
                let (session, own) = (Arc::clone(session), own.clone());
                let cancelling = Arc::clone(&session);
                session.spawn(until_answered(Arc::clone(&session), async move || {
                    cancelling.cancel(&own).await
                }));
            }
            if !entry.is_wanted(key) {
                return Err(Stop::Unwanted);
            }
            if is_over || !goes_on {
                return Err(fault.into());
            }
            away.pause(entry, key, waiter, &fault).await;
        }
    }

    /// `await` and `look`, until nobody is before it: `false` if its key is gone.
    async fn wait(
        &self,
        entry: &Arc<Entry>,
        key: &mut Key,
        waiter: &mut Arc<Waiter>,
        ticket: &Ticket,
        stands: Stands,
        away: &mut Away,
    ) -> Result<bool, Stop> {
        let session = &ticket.session;
        entry.state().line.waits(*key);
        let mut stands = stands;
        let mut told = false;
        loop {
            let blocker = match stands {
                Stands::First => return Ok(true),
                Stands::Gone => return Ok(false),
                Stands::Behind(blocker) => blocker,
            };
            let telling = async {
                if !told {
                    let holder = session.holder(&self.keys).await;
                    entry.state().holder = holder;
                }
                told = true;
                entry.tell_waiting();
                std::future::pending::<()>().await;
            };
            let watched = [ticket.key.as_slice(), &blocker.key];
            let watching = session.watch(&watched, blocker.seen_at);
            let burying = bury(session, &blocker);
            let (mut telling, mut watching, mut burying) =
                (Box::pin(telling), Box::pin(watching), Box::pin(burying));
            let looking = sleep(session.terms.heartbeat);
            let mut looking = std::pin::pin!(looking);
            let fault = loop {
                tokio::select! { biased;
                    told = &mut watching => break told.err(),
                    () = &mut burying => break None,
                    fault = session.ended() => return Err(fault.into()),
                    () = entry.wake.notified() => {}
                    // A member that stands still tells nothing either.
                    () = &mut looking => break None,
                    () = &mut telling => {}
                }
                if !is_wanted(entry, key, waiter) {
                    remove(ticket).await;
                    return Err(Stop::Unwanted);
                }
                // Somebody may have joined, who waits too.
                entry.tell_waiting();
            };
            drop((telling, watching, burying));
            if let Some(fault) = fault {
                away.pause(entry, *key, waiter, &fault).await;
            }
            stands = loop {
                let looked = tokio::select! { biased;
                    looked = session.look(&self.keys, ticket, waiter.mode) => Some(looked),
                    () = entry.unwanted(*key) => None,
                };
                match looked {
                    Some(Ok(stands)) => {
                        away.is_back(entry);
                        break stands;
                    }
                    Some(Err(fault)) if session.is_over() => return Err(fault.into()),
                    Some(Err(fault)) if !fault.passes => {
                        remove(ticket).await;
                        return Err(fault.into());
                    }
                    Some(Err(fault)) => away.pause(entry, *key, waiter, &fault).await,
                    None => {}
                }
                if !is_wanted(entry, key, waiter) {
                    remove(ticket).await;
                    return Err(Stop::Unwanted);
                }
            };
        }
    }
}

/// Whether anybody of this process wants the place in line: whoever had it, or the next who wants the same.
fn is_wanted(entry: &Arc<Entry>, key: &mut Key, waiter: &mut Arc<Waiter>) -> bool {
    if entry.is_wanted(*key) {
        return true;
    }
    let Some((next, next_waiter)) = entry.pass_on(*key, waiter) else { return false };
    (*key, *waiter) = (next, next_waiter);
    true
}

/// The cluster is away: pauses that get longer, and one message.
struct Away {
    since: Duration,
    /// The same moment, on the clock that counts sleep.
    called: Duration,
    /// The cluster has answered since then: what fails from there on is a cluster that has gone away.
    reached: bool,
    backoff: Backoff,
    warned: bool,
}

impl Away {
    fn new() -> Self {
        Self {
            since: clock::awake(),
            called: clock::since_boot(),
            reached: false,
            backoff: Backoff::new(),
            warned: false,
        }
    }

    /// Whether a request goes on after such a fault.
    fn puts_up_with(&self, fault: &Fault, waiter: &Waiter) -> bool {
        let goes_on = waiter.waits && (self.reached || waiter.has_waited());
        let may_pass = fault.kind() != IoErrorKind::ConnectionRefused
            && clock::awake().saturating_sub(self.since) < PATIENCE;
        fault.passes && (goes_on || may_pass)
    }

    fn is_back(&mut self, entry: &Entry) {
        self.backoff.reset();
        entry.is_back();
    }

    async fn pause(&mut self, entry: &Arc<Entry>, key: Key, waiter: &Arc<Waiter>, fault: &Fault) {
        // One member less is no news.
        if self.backoff.has_grown() && !std::mem::replace(&mut self.warned, true) {
            waiter.warn("the server is away, trying again", fault);
        }
        entry.is_away(fault);
        entry.state().line.is_held_up(key);
        let over = sleep(self.backoff.take());
        let mut over = std::pin::pin!(over);
        while entry.is_wanted(key) {
            // Whoever does not wait is refused meanwhile.
            entry.tell_waiting();
            tokio::select! { biased;
                () = entry.wake.notified() => {}
                () = &mut over => return,
            }
        }
    }
}

async fn grant(
    entry: &Arc<Entry>,
    key: Key,
    waiter: &Arc<Waiter>,
    ticket: Ticket,
    token: u64,
    moment: Duration,
) {
    let session = Arc::clone(&ticket.session);
    let lease = || Lease::new(entry, waiter, token, moment, &session.refreshed).by(ticket.clone());
    match entry.granted(key, lease) {
        Some(lease) => {
            let watched = Arc::downgrade(&lease);
            waiter.settle(Ok(Lock { lease: Arc::clone(&lease) }));
            session.carries(&lease);
            drop(lease);
            session.spawn(watch_held(watched));
        }
        // Given back before its user is told.
        None => {
            remove(&ticket).await;
            entry.has_failed(key);
            entry.settle_cancelled(waiter);
        }
    }
}

/// Tells at once if somebody deletes the key of a lock that is held for longer than a moment.
async fn watch_held(lease: std::sync::Weak<Lease>) {
    sleep(SETTLED).await;
    let mut seen_at = None;
    let mut backoff = Backoff::new();
    loop {
        let Some((ticket, heartbeat)) = lease.upgrade().and_then(|lease| {
            lease.is_held().then(|| (lease.ticket.clone(), lease.terms.heartbeat))
        }) else {
            return;
        };
        let Some(ticket) = ticket else { return };
        let from = *seen_at.get_or_insert(ticket.revision);
        let watched = [ticket.key.as_slice()];
        let watching = ticket.session.watch(&watched, from);
        let mut watching = std::pin::pin!(watching);
        let told = loop {
            tokio::select! { biased;
                told = &mut watching => break told,
                _ = ticket.session.ended() => return,
                // Nothing tells this task that its lock was released.
                () = sleep(heartbeat) => {}
            }
            if lease.upgrade().is_none_or(|lease| !lease.is_held()) {
                return;
            }
        };
        match told {
            Ok(()) => {
                if let Some(lease) = lease.upgrade() {
                    lease.lose(LostReason::Hijacked);
                }
                return;
            }
            // The session's beats are all that is left to tell.
            Err(fault) if !fault.passes => return,
            Err(_) => sleep(backoff.take()).await,
        }
        // What was watched for may be compacted by now.
        match ticket.session.find(&ticket).await {
            Ok(Some(revision)) => seen_at = Some(revision),
            Ok(None) => {
                if let Some(lease) = lease.upgrade() {
                    lease.lose(LostReason::Hijacked);
                }
                return;
            }
            Err(_) => {}
        }
    }
}

/// `bury`: on the same host and boot, whoever waits sees that a process has ended, and need not wait for its lease.
async fn bury(session: &Session, blocker: &Blocker) {
    let Some(record) = blocker.record.as_ref().filter(|record| !record.own) else {
        return std::future::pending().await;
    };
    let Process { pid, start, .. } = record.process;
    if !record.process.is_neighbour() || start == 0 {
        return std::future::pending().await;
    }
    until_gone(pid, start, session.terms.heartbeat).await;
    // If nobody answers, the next look comes soon enough.
    let _ = session.bury(blocker).await;
}

/// Until that process has ended. Where the system tells nobody, it is looked after so often.
async fn until_gone(pid: u32, start: u64, every: Duration) {
    #[cfg(target_os = "linux")]
    if let Some(end) = process::end_of(pid, start) {
        #[expect(deprecated, reason = "for types that may change their descriptor: this one can't")]
        let end = tokio::io::unix::AsyncFd::new(end);
        if let Ok(end) = end
            && end.readable().await.is_ok()
        {
            return;
        }
    }
    while !process::is_gone(pid, start) {
        sleep(every).await;
    }
}
