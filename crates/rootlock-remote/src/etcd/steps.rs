//! The steps on the cluster, each one attempt; by the names of `docs/protocol-etcd.md`.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use rootlock::{Holder, Mode};
use tokio_stream::StreamExt;

use super::cluster::{ANSWER, Cluster, Failed, LEASE_TIME_TO_LIVE, RANGE, TXN};
use super::keys::{self, Base, LockKeys, Record};
use super::session::{Known, SESSION, Session};
use super::wire::{self, Answer, Operation, Value};
use crate::fault::Fault;
use crate::terms::Terms;

const ENQUEUE: &str = "enqueue";
const AWAIT: &str = "await";
const LOOK: &str = "look";
const RELEASE: &str = "release";

/// A place in line at the cluster.
#[derive(Clone)]
pub(crate) struct Ticket {
    pub(crate) session: Arc<Session>,
    pub(super) key: Vec<u8>,
    /// Its create revision.
    pub(super) revision: i64,
    /// One of the attempts to put it was not answered, and may arrive yet: after the key is deleted it would put it again.
    pub(super) may_return: bool,
}

/// Who is before somebody in line, and nearest.
#[derive(Clone, Debug)]
pub(super) struct Blocker {
    pub(super) key: Vec<u8>,
    pub(super) revision: i64,
    pub(super) record: Option<Record>,
    /// The revision of the answer that it stood in.
    pub(super) seen_at: i64,
}

/// What `enqueue` or `look` found.
pub(super) enum Stands {
    First,
    Behind(Blocker),
    /// The key is gone, or was not put.
    Gone,
}

pub(super) fn range(key: Vec<u8>, end: Vec<u8>) -> wire::RangeRequest {
    wire::RangeRequest { key, range_end: end, ..Default::default() }
}

pub(super) fn under(prefix: Vec<u8>, sort_order: i32, limit: i64) -> wire::RangeRequest {
    let end = keys::end_of(&prefix);
    let sort_target = wire::BY_CREATE_REVISION;
    wire::RangeRequest { sort_order, sort_target, limit, ..range(prefix, end) }
}

pub(super) fn op(operation: Operation) -> wire::RequestOp {
    wire::RequestOp { request: Some(operation) }
}

pub(super) fn get(key: &[u8]) -> wire::RequestOp {
    op(Operation::Range(range(key.to_vec(), Vec::new())))
}

pub(super) fn put(key: &[u8], value: Vec<u8>, lease: i64) -> wire::RequestOp {
    op(Operation::Put(wire::PutRequest { key: key.to_vec(), value, lease }))
}

pub(super) fn delete(key: &[u8]) -> wire::RequestOp {
    op(Operation::Delete(wire::DeleteRangeRequest { key: key.to_vec() }))
}

pub(super) fn created_at(key: &[u8], revision: i64) -> wire::Compare {
    let value = Some(Value::CreateRevision(revision));
    wire::Compare { target: wire::CREATE, key: key.to_vec(), value, ..Default::default() }
}

fn changed_at(key: &[u8], revision: i64) -> wire::Compare {
    let value = Some(Value::ModRevision(revision));
    wire::Compare { target: wire::MOD, key: key.to_vec(), value, ..Default::default() }
}

/// The keys in the answer to the operation at this place.
pub(super) fn found(answer: &wire::TxnResponse, at: usize) -> &[wire::KeyValue] {
    match answer.responses.get(at).and_then(|it| it.response.as_ref()) {
        Some(Answer::Range(range)) => &range.kvs,
        _ => &[],
    }
}

pub(super) fn revision(answer: &wire::TxnResponse) -> i64 {
    answer.header.as_ref().map_or(0, |header| header.revision)
}

pub(super) async fn txn(
    cluster: &Cluster,
    step: &'static str,
    request: wire::TxnRequest,
) -> Result<wire::TxnResponse, Failed> {
    cluster.call(step, TXN, request, ANSWER).await
}

/// Reads `base`, makes it if it is missing, and raises it when the cluster was restored and the leases of the one before are
/// over; if they may not be, returns for how long. The cluster itself counts that, from when the first one asked: so those
/// who do not wait get there too.
pub(super) async fn settle_base(
    cluster: &Cluster,
    terms: &Terms,
) -> Result<Option<Duration>, Fault> {
    let (key, quarantine) = (keys::base(&cluster.target), keys::quarantine(&cluster.target));
    let fault = |failed: Failed| failed.into_fault(SESSION);
    for _ in 0..4 {
        if cluster.has_gone_back() {
            disown_base(cluster).await?;
        }
        let request =
            wire::TxnRequest { success: vec![get(&key), get(&quarantine)], ..Default::default() };
        let known = cluster.seen();
        let answer = txn(cluster, SESSION, request).await.map_err(fault)?;
        if cluster.sees(revision(&answer), known) {
            continue;
        }
        let Some(header) = answer.header.clone() else { return Err(Fault::silent(SESSION)) };
        let mut change = wire::TxnRequest::default();
        match found(&answer, 0).first() {
            None => {
                let base = Base::new(header.cluster_id, terms.stale);
                change.compare.push(changed_at(&key, 0));
                change.success.push(put(&key, base.text(), 0));
            }
            Some(kv) => {
                let base = parse_base(cluster, &kv.value)?;
                if base.cluster == header.cluster_id {
                    return Ok(None);
                }
                change.compare.push(changed_at(&key, kv.mod_revision));
                if base.sits_out != Some(header.cluster_id) {
                    // A key from before the restore would end by the lease that it had there.
                    let lease = super::session::new_id();
                    super::session::grant(cluster, lease, base.stale).await?;
                    let begun = Base { sits_out: Some(header.cluster_id), ..base };
                    change.success.push(put(&key, begun.text(), 0));
                    change.success.push(put(&quarantine, Vec::new(), lease));
                } else if let Some(kv) = found(&answer, 1).first() {
                    let ask = wire::LeaseTimeToLiveRequest { id: kv.lease };
                    let left = cluster.call(SESSION, LEASE_TIME_TO_LIVE, ask, ANSWER).await;
                    let left = left.map_or(0, |left| u64::try_from(left.ttl).unwrap_or(0));
                    // Whole seconds: the rest of one may be left.
                    return Ok(Some(Duration::from_secs(left.min(base.stale.as_secs()) + 1)));
                } else {
                    let raised = base.raised(header.cluster_id, header.revision);
                    change.success.push(put(&key, raised.text(), 0));
                }
            }
        }
        // Somebody else may have been first: what is there now counts.
        txn(cluster, SESSION, change).await.map_err(fault)?;
    }
    Err(Fault::away(SESSION, ErrorKind::ResourceBusy, "somebody keeps changing the key base"))
}

/// The revisions have gone back: the cluster was restored under the id that it had. `base` says so to everybody, who then do as in
/// any restored cluster.
pub(super) async fn disown_base(cluster: &Cluster) -> Result<(), Fault> {
    let key = keys::base(&cluster.target);
    let fault = |failed: Failed| failed.into_fault(SESSION);
    let request = wire::TxnRequest { success: vec![get(&key)], ..Default::default() };
    let answer = txn(cluster, SESSION, request).await.map_err(fault)?;
    let id = answer.header.as_ref().map_or(0, |header| header.cluster_id);
    let base = match found(&answer, 0).first() {
        Some(kv) => Some((kv, parse_base(cluster, &kv.value)?)).filter(|(_, it)| it.cluster == id),
        None => None,
    };
    let Some((kv, base)) = base else {
        cluster.has_told_that();
        return Ok(());
    };
    let change = wire::TxnRequest {
        compare: vec![changed_at(&key, kv.mod_revision)],
        success: vec![put(&key, base.disowned().text(), 0)],
        failure: Vec::new(),
    };
    // If somebody else was first, it is looked at again.
    if txn(cluster, SESSION, change).await.map_err(fault)?.succeeded {
        cluster.has_told_that();
    }
    Ok(())
}

fn parse_base(cluster: &Cluster, text: &[u8]) -> Result<Base, Fault> {
    Base::parse(text).ok_or_else(|| {
        let words = format!(
            "the key {}/base can't be read: somebody has changed it; with tokens that must not fall, restore it, else \
             delete it",
            cluster.target.prefix
        );
        Fault::new(SESSION, ErrorKind::InvalidData, words)
    })
}

/// Puts the number of a new session, and reads `base`.
pub(super) async fn register(cluster: &Cluster, lease: i64, terms: &Terms) -> Result<Known, Fault> {
    let key = keys::session(&cluster.target, lease);
    let base_key = keys::base(&cluster.target);
    let request = wire::TxnRequest {
        compare: vec![created_at(&key, 0)],
        success: vec![put(&key, Record::text(terms), lease), get(&base_key)],
        // Arrived, and not answered, before.
        failure: vec![get(&key), get(&base_key)],
    };
    let answer = txn(cluster, SESSION, request).await.map_err(|it| it.into_fault(SESSION))?;
    let number_revision = match answer.succeeded {
        true => revision(&answer),
        false => found(&answer, 0).first().map_or(0, |kv| kv.mod_revision),
    };
    let cluster_id = answer.header.as_ref().map_or(0, |header| header.cluster_id);
    let Some(kv) = found(&answer, 1).first() else {
        return Err(Fault::away(SESSION, ErrorKind::NotFound, "somebody has deleted the key base"));
    };
    let base = parse_base(cluster, &kv.value)?;
    if base.cluster != cluster_id {
        let words = "the cluster was restored just now";
        return Err(Fault::away(SESSION, ErrorKind::ConnectionReset, words));
    }
    Ok(Known { base, base_revision: kv.mod_revision, number_revision })
}

impl Session {
    async fn txn(
        &self,
        step: &'static str,
        request: wire::TxnRequest,
    ) -> Result<wire::TxnResponse, Fault> {
        self.txn_telling(step, request, &mut false).await
    }

    /// The same; says whether an attempt was not answered.
    async fn txn_telling(
        &self,
        step: &'static str,
        request: wire::TxnRequest,
        unanswered: &mut bool,
    ) -> Result<wire::TxnResponse, Fault> {
        let known = self.cluster.seen();
        match self.cluster.call_telling(step, TXN, request, ANSWER, unanswered).await {
            Ok(answer) => {
                self.hears(answer.header.as_ref());
                self.sees(revision(&answer), known);
                if self.is_over() { Err(self.ended().await) } else { Ok(answer) }
            }
            Err(Failed::NoLease) => {
                self.end("the cluster has ended the session's lease");
                Err(self.ended().await)
            }
            Err(failed) => Err(failed.into_fault(step)),
        }
    }

    /// `enqueue`: nothing if it does not wait, and somebody has the lock or waits for it. Asked again with the same key,
    /// it puts nothing twice. Says whether an attempt was not answered.
    pub(super) async fn enqueue(
        self: &Arc<Self>,
        lock: &LockKeys,
        key: &[u8],
        mode: Mode,
        waits: bool,
        unanswered: &mut bool,
    ) -> Result<Option<(Ticket, Stands)>, Fault> {
        let base_key = keys::base(&self.cluster.target);
        let session_key = keys::session(&self.cluster.target, self.lease);
        // Refused when others of this session cancel, or `base` is widened: each time something is learnt.
        loop {
            let Known { base, base_revision, number_revision } = self.known();
            let excluding = lock.excluding(mode);
            let mut request = wire::TxnRequest {
                compare: vec![
                    changed_at(&base_key, base_revision),
                    changed_at(&session_key, number_revision),
                    created_at(key, 0),
                ],
                success: vec![
                    put(key, Record::text(&self.terms), self.lease),
                    op(Operation::Range(under(excluding.clone(), wire::DESCEND, 2))),
                ],
                failure: vec![get(&base_key), get(&session_key), get(key)],
            };
            let wider = Base { stale: self.terms.stale, ..base };
            let widens = wider.stale > base.stale;
            if widens {
                request.success.push(put(&base_key, wider.text(), 0));
            }
            if !waits {
                // Nobody has the lock or waits for it: all keys there, if there are any, would be from the beginning.
                let nobody = wire::Compare {
                    range_end: keys::end_of(&excluding),
                    ..created_at(&excluding, 0)
                };
                request.compare.push(nobody);
            }
            let answer = self.txn_telling(ENQUEUE, request, unanswered).await?;
            let ticket = |revision| {
                let (session, key, may_return) = (Arc::clone(self), key.to_vec(), *unanswered);
                Ticket { session, key, revision, may_return }
            };
            if answer.succeeded {
                let revision = revision(&answer);
                if widens {
                    self.learn(|known| {
                        if revision > known.base_revision {
                            (known.base, known.base_revision) = (wider, revision);
                        }
                    });
                }
                let before = found(&answer, 1).iter().find(|kv| kv.create_revision < revision);
                return Ok(Some((ticket(revision), Stands::behind(before, lock, revision)?)));
            }
            if let Some(kv) = found(&answer, 2).first() {
                let ticket = ticket(kv.create_revision);
                let stands = self.look(lock, &ticket, mode).await?;
                return Ok(Some((ticket, stands)));
            }
            let (Some(base), Some(number)) = (found(&answer, 0).first(), found(&answer, 1).first())
            else {
                self.end("somebody has deleted the session's key, or base");
                return Err(self.ended().await);
            };
            if (base.mod_revision, number.mod_revision) == (base_revision, number_revision) {
                // Both were as known: somebody is there.
                return Ok(None);
            }
            let text = parse_base(&self.cluster, &base.value)?;
            if text.cluster != self.known().base.cluster {
                self.end("the cluster was restored, or replaced");
                return Err(self.ended().await);
            }
            self.learn(|known| {
                if base.mod_revision > known.base_revision {
                    (known.base, known.base_revision) = (text, base.mod_revision);
                }
                known.number_revision = known.number_revision.max(number.mod_revision);
            });
        }
    }

    /// `look`: where a ticket stands.
    pub(super) async fn look(
        &self,
        lock: &LockKeys,
        ticket: &Ticket,
        mode: Mode,
    ) -> Result<Stands, Fault> {
        let mut before = under(lock.excluding(mode), wire::DESCEND, 1);
        before.max_create_revision = ticket.revision - 1;
        let request = wire::TxnRequest {
            compare: Vec::new(),
            success: vec![get(&ticket.key), op(Operation::Range(before))],
            failure: Vec::new(),
        };
        let answer = self.txn(LOOK, request).await?;
        let own = found(&answer, 0).first();
        if own.is_none_or(|kv| kv.create_revision != ticket.revision) {
            return Ok(Stands::Gone);
        }
        Stands::behind(found(&answer, 1).first(), lock, revision(&answer))
    }

    /// Whether a key is still there, as of the revision.
    pub(super) async fn find(&self, ticket: &Ticket) -> Result<Option<i64>, Fault> {
        let request = wire::TxnRequest { success: vec![get(&ticket.key)], ..Default::default() };
        let answer = self.txn(LOOK, request).await?;
        let own = found(&answer, 0).first();
        Ok(own.filter(|kv| kv.create_revision == ticket.revision).map(|_| revision(&answer)))
    }

    /// Who has the lock.
    pub(super) async fn holder(&self, lock: &LockKeys) -> Option<Holder> {
        let request = under(lock.all(), wire::ASCEND, 1);
        let answer = self.cluster.call(LOOK, RANGE, request, ANSWER).await.ok()?;
        let kv = answer.kvs.first()?;
        let record = Record::parse(&kv.value)?;
        let token = self.known().base.token(kv.create_revision);
        Some(record.holder(lock.mode(&kv.key)?, token))
    }

    /// The token of a grant.
    pub(super) fn token(&self, ticket: &Ticket) -> Result<u64, Fault> {
        self.known().base.token(ticket.revision).ok_or_else(|| {
            let words = "the key base is beyond what a token can be: somebody has changed it";
            Fault::new(ENQUEUE, ErrorKind::InvalidData, words)
        })
    }

    /// `await`: until one of these keys is gone. From the revision after the one that was read, so that nothing is missed,
    /// and nothing waits for the server's next round.
    pub(super) async fn watch(&self, keys: &[&[u8]], seen_at: i64) -> Result<(), Fault> {
        let creates: Vec<_> = keys
            .iter()
            .map(|key| wire::WatchRequest {
                action: Some(wire::WatchAction::Create(wire::WatchCreateRequest {
                    key: key.to_vec(),
                    start_revision: seen_at + 1,
                    filters: vec![wire::NO_PUT],
                })),
            })
            .collect();
        // The end of the requests would be the end of the watch.
        let requests = tokio_stream::iter(creates).chain(tokio_stream::pending());
        let at = self.cluster.current();
        let fault = |failed: Failed| {
            self.cluster.turn_from(at);
            failed.into_fault(AWAIT)
        };
        let opening = self.cluster.watch_at(at, AWAIT, requests);
        let mut events = opening.await.map_err(fault)?;
        loop {
            let Ok(Some(told)) = events.message().await else {
                return Err(fault(Fault::silent(AWAIT).into()));
            };
            self.hears(told.header.as_ref());
            if told.canceled {
                // Compacted, or without a leader.
                let words = "the member has ended the watch";
                let ended = Fault::away(AWAIT, ErrorKind::ConnectionReset, words);
                return Err(match told.compact_revision {
                    0 => fault(ended.into()),
                    _ => ended,
                });
            }
            if told.events.iter().any(|event| event.kind == 1) {
                return Ok(());
            }
        }
    }

    /// `release`, and `cancel` of what was answered.
    pub(super) async fn release(&self, ticket: &Ticket) -> Result<(), Fault> {
        match ticket.may_return {
            true => self.cancel(&ticket.key).await,
            false => self.remove(&ticket.key, ticket.revision).await,
        }
    }

    /// `bury`: a waiter has seen that whoever put this key has ended.
    pub(super) async fn bury(&self, blocker: &Blocker) -> Result<(), Fault> {
        self.remove(&blocker.key, blocker.revision).await
    }

    /// Buries all in a lock's line whose processes have ended on this very host: whether there were any.
    pub(super) async fn bury_all(&self, lock: &LockKeys) -> Result<bool, Fault> {
        let request = under(lock.all(), wire::ASCEND, 0);
        let answer = self.cluster.call(LOOK, RANGE, request, ANSWER).await;
        let answer = answer.map_err(|failed| failed.into_fault(LOOK))?;
        let mut buried = false;
        for kv in &answer.kvs {
            must_be_ours(kv, lock)?;
            if Record::parse(&kv.value).is_some_and(|record| record.process.is_gone()) {
                self.remove(&kv.key, kv.create_revision).await?;
                buried = true;
            }
        }
        Ok(buried)
    }

    async fn remove(&self, key: &[u8], revision: i64) -> Result<(), Fault> {
        let request = wire::TxnRequest {
            compare: vec![created_at(key, revision)],
            success: vec![delete(key)],
            failure: Vec::new(),
        };
        self.txn(RELEASE, request).await.map(drop)
    }

    /// `cancel` of an `enqueue` that is unanswered: it changes nothing if it comes later.
    pub(super) async fn cancel(&self, key: &[u8]) -> Result<(), Fault> {
        let session_key = keys::session(&self.cluster.target, self.lease);
        let request = wire::TxnRequest {
            compare: Vec::new(),
            success: vec![delete(key), put(&session_key, Record::text(&self.terms), self.lease)],
            failure: Vec::new(),
        };
        let answer = match self.txn(RELEASE, request).await {
            // Nothing can be put, so nothing comes back either: at least the key can go.
            Err(fault) if fault.kind() == ErrorKind::StorageFull => {
                let request = wire::TxnRequest { success: vec![delete(key)], ..Default::default() };
                let _ = self.txn(RELEASE, request).await;
                return Err(fault);
            }
            answer => answer?,
        };
        let revision = revision(&answer);
        self.learn(|known| known.number_revision = known.number_revision.max(revision));
        Ok(())
    }
}

/// Whoever waited for a key that no session ends would wait forever.
fn must_be_ours(kv: &wire::KeyValue, lock: &LockKeys) -> Result<(), Fault> {
    if lock.is_ours(&kv.key, kv.lease) {
        return Ok(());
    }
    let words = format!(
        "somebody else has put the key {:?} among those of the lock: delete it, or use another prefix",
        String::from_utf8_lossy(&kv.key)
    );
    Err(Fault::new(LOOK, ErrorKind::InvalidData, words))
}

impl Stands {
    fn behind(
        before: Option<&wire::KeyValue>,
        lock: &LockKeys,
        seen_at: i64,
    ) -> Result<Self, Fault> {
        let Some(kv) = before else { return Ok(Self::First) };
        must_be_ours(kv, lock)?;
        Ok(Self::Behind(Blocker::of(kv, seen_at)))
    }
}

impl Blocker {
    fn of(kv: &wire::KeyValue, seen_at: i64) -> Self {
        let record = Record::parse(&kv.value);
        Self { key: kv.key.clone(), revision: kv.create_revision, record, seen_at }
    }
}
