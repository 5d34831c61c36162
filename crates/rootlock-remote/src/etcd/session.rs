//! A session: the lease of this process for one cluster and one pair of terms, its beats, and the locks that count on it.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use rootlock::LostReason;
use rootlock_sys::{clock, sync};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::cluster::{ANSWER, Cluster, Failed, LEASE_GRANT, LEASE_REVOKE, LEASE_TIME_TO_LIVE};
use super::keys::Base;
use super::wire;
use crate::fault::Fault;
use crate::line::Key;
use crate::lock::{Lease, expire};
use crate::runtime::Runtime;
use crate::terms::{Refreshed, Terms};

/// The names of the steps, in errors.
pub(super) const SESSION: &str = "session";
const BEAT: &str = "beat";

/// How often leases are looked after while a beat is unanswered.
const LOOK: Duration = Duration::from_secs(1);

/// The least time that a member gets to answer a beat.
const BEAT_ANSWER: Duration = Duration::from_millis(100);

/// A session. Dropping it gives the lease back.
pub(crate) struct Session {
    pub(super) cluster: Arc<Cluster>,
    runtime: Arc<Runtime>,
    pub(super) terms: Terms,
    pub(super) lease: i64,
    /// What `enqueue` compares with.
    known: Mutex<Known>,
    pub(crate) refreshed: Arc<Refreshed>,
    /// Numbers its keys.
    numbers: AtomicU64,
    leases: Mutex<BTreeMap<Key, Arc<Lease>>>,
    /// Why it is over, once it is.
    over: watch::Sender<Option<Fault>>,
    /// A beat is to come now, or nobody needs any.
    beat: Arc<Notify>,
    /// A beat was answered.
    beaten: Notify,
    /// Keeps the place where others find this session.
    _slot: Arc<Slot>,
}

/// `base` and the session's number, at these revisions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) base: Base,
    pub(super) base_revision: i64,
    pub(super) number_revision: i64,
}

/// Where those who want the same session meet.
struct Slot {
    cluster: super::Target,
    terms: Terms,
    session: tokio::sync::Mutex<Weak<Session>>,
}

static SLOTS: Mutex<Vec<Weak<Slot>>> = Mutex::new(Vec::new());

/// What `session` came to.
pub(super) enum Opened {
    Session(Arc<Session>),
    /// The cluster was restored: leases of the one before may be alive for so long.
    Quarantine(Duration),
}

impl Slot {
    fn of(cluster: &Cluster, terms: &Terms) -> Arc<Self> {
        let mut slots = sync::lock(&SLOTS);
        slots.retain(|slot| slot.strong_count() > 0);
        let found = slots.iter().filter_map(Weak::upgrade);
        for slot in found {
            if slot.terms == *terms && slot.cluster.is_same(&cluster.target) {
                return slot;
            }
        }
        let slot = Arc::new(Self {
            cluster: cluster.target.clone(),
            terms: *terms,
            session: tokio::sync::Mutex::default(),
        });
        slots.push(Arc::downgrade(&slot));
        slot
    }
}

impl Session {
    /// `session`: the one that this process has, or a new one.
    pub(super) async fn of(
        runtime: &Arc<Runtime>,
        cluster: &Arc<Cluster>,
        terms: &Terms,
    ) -> Result<Opened, Fault> {
        let slot = Slot::of(cluster, terms);
        let mut place = slot.session.lock().await;
        if let Some(session) = place.upgrade().filter(|session| !session.is_over()) {
            return Ok(Opened::Session(session));
        }
        if let Some(left) = super::steps::settle_base(cluster, terms).await? {
            return Ok(Opened::Quarantine(left));
        }
        let session = Self::open(runtime, cluster, terms, Arc::clone(&slot)).await?;
        *place = Arc::downgrade(&session);
        Ok(Opened::Session(session))
    }

    async fn open(
        runtime: &Arc<Runtime>,
        cluster: &Arc<Cluster>,
        terms: &Terms,
        slot: Arc<Slot>,
    ) -> Result<Arc<Self>, Fault> {
        let lease = new_id();
        let moment = clock::since_boot();
        let granted = grant(cluster, lease, terms.stale).await?;
        if granted < terms.stale {
            let words =
                format!("the cluster grants a lease of {granted:?}, not of {:?}", terms.stale);
            return Err(Fault::new(SESSION, ErrorKind::Unsupported, words));
        }
        let known = super::steps::register(cluster, lease, terms).await?;
        let session = Arc::new(Self {
            cluster: Arc::clone(cluster),
            runtime: Arc::clone(runtime),
            terms: *terms,
            lease,
            known: Mutex::new(known),
            refreshed: Arc::default(),
            numbers: AtomicU64::new(1),
            leases: Mutex::default(),
            over: watch::Sender::new(None),
            beat: Arc::default(),
            beaten: Notify::new(),
            _slot: slot,
        });
        session.refreshed.raise(moment);
        runtime.spawn(beats(Arc::downgrade(&session), Arc::clone(&session.beat)));
        Ok(session)
    }

    pub(super) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn known(&self) -> Known {
        *sync::lock(&self.known)
    }

    /// Changes what is known. Answers may come in any order: whoever has an older one changes nothing.
    pub(super) fn learn(&self, learn: impl FnOnce(&mut Known)) {
        learn(&mut sync::lock(&self.known));
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.borrow().is_some()
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) -> Fault {
        let mut over = self.over.subscribe();
        let end = over.wait_for(Option::is_some).await;
        end.ok().and_then(|fault| fault.clone()).unwrap_or_else(|| Fault::silent(SESSION))
    }

    /// The cluster has ended the lease, or is another one: all locks are lost.
    pub(super) fn end(&self, why: &str) {
        let fault = Fault::away(SESSION, ErrorKind::ConnectionReset, why);
        let is_first = self.over.send_if_modified(|over| {
            let is_first = over.is_none();
            over.get_or_insert(fault);
            is_first
        });
        if is_first {
            for lease in self.leases() {
                lease.lose(LostReason::Hijacked);
            }
            self.beat.notify_one();
        }
    }

    /// A header of an answer: from the cluster that this session is with?
    pub(super) fn hears(&self, header: Option<&wire::Header>) {
        let expected = self.known().base.cluster;
        if header.is_some_and(|header| header.cluster_id != expected) {
            self.end("another cluster answers: it was restored, or replaced");
        }
    }

    /// A transaction that was sent when that revision was the highest has shown this one.
    pub(super) fn sees(&self, revision: i64, known: i64) {
        if self.cluster.sees(revision, known) {
            self.end("revisions have gone back: the cluster was restored");
            let cluster = Arc::clone(&self.cluster);
            // If nobody hears it, whoever opens the next session says it again.
            self.spawn(async move { super::steps::disown_base(&cluster).await });
        }
    }

    fn leases(&self) -> Vec<Arc<Lease>> {
        sync::lock(&self.leases).values().cloned().collect()
    }

    /// A lease counts on this session from now on.
    pub(super) fn carries(&self, lease: &Arc<Lease>) {
        sync::lock(&self.leases).insert(lease.key, Arc::clone(lease));
        if self.is_over() {
            lease.lose(LostReason::Hijacked);
        }
    }

    pub(crate) fn has_ended(&self, key: Key) {
        sync::lock(&self.leases).remove(&key);
    }

    /// `confirm`: the moment that a grant now counts from, after a beat if the last one was too long ago.
    pub(super) async fn confirm(&self) -> Result<Duration, Fault> {
        loop {
            let beaten = self.beaten.notified();
            let moment = self.refreshed.get();
            if self.terms.confirms(moment, clock::since_boot()) {
                return Ok(moment);
            }
            self.beat.notify_one();
            tokio::select! { biased;
                fault = self.ended() => return Err(fault),
                () = beaten => {}
                // It may have come in between.
                () = sleep(self.terms.heartbeat) => {}
            }
        }
    }

    /// A background job that is worth doing only while the session lives.
    pub(super) fn spawn<T: Send + 'static>(&self, job: impl Future<Output = T> + Send + 'static) {
        self.runtime.spawn(job);
    }

    /// How long a member gets at least to answer a beat before the next one is asked.
    fn least_patience(&self) -> Duration {
        (self.terms.heartbeat / 4).max(BEAT_ANSWER)
    }

    /// One beat, until a member answers: whether the lease lives.
    async fn beat(&self, stream: &mut Option<BeatStream>, patience: &mut Duration) -> bool {
        let (mut look, mut put_off) = (Duration::ZERO, false);
        let (least, most) = (self.least_patience(), self.terms.patience() / 2);
        let mut unanswered = 0;
        loop {
            let moment = clock::since_boot();
            let asking = async {
                match timeout(*patience, keep_alive(&self.cluster, self.lease, stream)).await {
                    Ok(answer) => answer,
                    Err(_) => Err(Fault::silent(BEAT).into()),
                }
            };
            let answer = {
                let mut asking = std::pin::pin!(asking);
                loop {
                    let looks_at = clock::since_boot() + look;
                    tokio::select! { biased;
                        answer = &mut asking => break answer,
                        () = sleep(look) => {}
                    }
                    look = LOOK.min(self.terms.heartbeat);
                    look = look.min(expire(&self.leases(), looks_at, &mut put_off));
                }
            };
            match answer {
                Ok(answer) if answer.ttl > 0 => {
                    self.hears(answer.header.as_ref());
                    self.refreshed.raise(moment);
                    let took = clock::since_boot().saturating_sub(moment);
                    *patience = (took * 2).min(most).max(least);
                    self.beaten.notify_waiters();
                    return !self.is_over();
                }
                Ok(_) | Err(Failed::NoLease) => {
                    self.end("the cluster has ended the session's lease");
                    return false;
                }
                Err(_) => {
                    let at = stream.take().map_or_else(|| self.cluster.current(), |old| old.at);
                    self.cluster.turn_from(at);
                    unanswered += 1;
                    // Once all have been asked: the way may be long, or the connections dead.
                    if unanswered % self.cluster.size() == 0 {
                        *patience = (*patience * 2).min(most).max(least);
                        self.cluster.reconnect(at);
                    }
                    // A member that refuses at once is not asked all the time.
                    let looks_at = clock::since_boot() + BEAT_ANSWER;
                    sleep(BEAT_ANSWER.min(self.terms.heartbeat / 4)).await;
                    expire(&self.leases(), looks_at, &mut put_off);
                }
            }
            if self.is_over() {
                return false;
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.beat.notify_one();
        if self.is_over() {
            return;
        }
        let (cluster, id) = (Arc::clone(&self.cluster), self.lease);
        // If nobody hears it, the lease ends by itself.
        self.runtime.spawn(async move {
            let revoke = wire::LeaseRevokeRequest { id };
            cluster.call(SESSION, LEASE_REVOKE, revoke, ANSWER).await.map(drop)
        });
    }
}

/// The beats of a session, for as long as somebody has it.
async fn beats(session: Weak<Session>, now: Arc<Notify>) {
    let mut stream = None;
    let Some(mut patience) = session.upgrade().map(|session| session.least_patience()) else {
        return;
    };
    loop {
        let Some(due) = session.upgrade().map(|session| {
            let beaten = clock::since_boot().saturating_sub(session.refreshed.get());
            session.terms.heartbeat.saturating_sub(beaten)
        }) else {
            return;
        };
        tokio::select! { biased;
            () = now.notified() => {}
            () = sleep(due) => {}
        }
        let Some(session) = session.upgrade() else { return };
        if session.is_over() || !session.beat(&mut stream, &mut patience).await {
            return;
        }
    }
}

/// A stream of beats and their answers, with one member.
struct BeatStream {
    at: usize,
    send: mpsc::Sender<wire::LeaseKeepAliveRequest>,
    answers: Streaming<wire::LeaseKeepAliveResponse>,
}

async fn keep_alive(
    cluster: &Cluster,
    id: i64,
    stream: &mut Option<BeatStream>,
) -> Result<wire::LeaseKeepAliveResponse, Failed> {
    let broken = || Failed::from(Fault::silent(BEAT));
    // Others may have found that the member does not answer.
    if stream.as_ref().is_some_and(|stream| stream.at != cluster.current()) {
        *stream = None;
    }
    if stream.is_none() {
        let at = cluster.current();
        let (send, requests) = mpsc::channel(1);
        // The first one goes along: some members answer the opening of a stream only with its first answer.
        send.send(wire::LeaseKeepAliveRequest { id }).await.map_err(|_| broken())?;
        let requests = ReceiverStream::new(requests);
        let answers = cluster.beat_at(at, BEAT, requests).await?;
        *stream = Some(BeatStream { at, send, answers });
    } else if let Some(stream) = stream {
        let request = wire::LeaseKeepAliveRequest { id };
        stream.send.send(request).await.map_err(|_| broken())?;
    }
    let answers = stream.as_mut().map(|stream| stream.answers.message()).ok_or_else(broken)?;
    answers.await.ok().flatten().ok_or_else(broken)
}

/// Asks for the lease; its id is ours, so that asking twice does no harm. How long it is.
pub(super) async fn grant(cluster: &Cluster, id: i64, time: Duration) -> Result<Duration, Fault> {
    let ttl = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let ask = wire::LeaseGrantRequest { ttl, id };
    let seconds = match cluster.call(SESSION, LEASE_GRANT, ask, ANSWER).await {
        Ok(granted) => granted.ttl,
        // An earlier attempt has arrived after all.
        Err(Failed::LeaseExists) => {
            let ask = wire::LeaseTimeToLiveRequest { id };
            let answer = cluster.call(SESSION, LEASE_TIME_TO_LIVE, ask, ANSWER).await;
            answer.map_err(|failed| failed.into_fault(SESSION))?.granted_ttl
        }
        Err(failed) => return Err(failed.into_fault(SESSION)),
    };
    Ok(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// One that nobody else has.
pub(super) fn new_id() -> i64 {
    let random = RandomState::new().build_hasher().finish();
    i64::try_from(random >> 1).unwrap_or(i64::MAX).max(1)
}
