//! What a person wants to know of a lock and its cluster, and whether the cluster keeps locks at all.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::time::Duration;

use rootlock::{LockOwner, LockState, Mode, State};

use super::cluster::{ANSWER, Cluster, Failed, LEASE_TIME_TO_LIVE, OPEN, RANGE, STATUS};
use super::keys::{self, Base, LockKeys, Record};
use super::session::{grant, new_id};
use super::steps::{created_at, delete, found, op, put, range, revision, txn, under};
use super::wire::{self, Answer, Operation};
use crate::fault::Fault;
use crate::root::Found;

const LOOK: &str = "look";
const PROVE: &str = "prove_exclusion";

/// Since then, no live lease is revoked by a leader that has stood still.
const OLDEST: (u32, u32, u32) = (3, 5, 13);

/// How often the proof is tried: an answer may get lost.
const PROOFS: u32 = 3;

/// How long its key may be there.
const PROOF: Duration = Duration::from_secs(10);

/// A lock and its cluster, without taking it.
pub(crate) async fn ask(cluster: &Cluster, name: &str) -> Result<Found, Fault> {
    let keys = LockKeys::of(&cluster.target, name);
    let fault = |failed: Failed| failed.into_fault(LOOK);
    let answer = cluster
        .call(LOOK, RANGE, under(keys.all(), wire::ASCEND, 0), ANSWER)
        .await
        .map_err(fault)?;
    let base = range(keys::base(&cluster.target), Vec::new());
    let base = cluster.call(LOOK, RANGE, base, ANSWER).await.map_err(fault)?;
    let base = base.kvs.first().and_then(|kv| Base::parse(&kv.value));
    let (server, settings) = facts(cluster).await?;
    let (state, terms) = state(&keys, &answer.kvs, base.as_ref());
    let age = match answer.kvs.first() {
        Some(kv) => age(cluster, kv.lease).await,
        None => None,
    };
    Ok(Found { state: LockState { age, ..state }, terms, server, settings })
}

/// Since the last beat of a lease, in whole seconds.
async fn age(cluster: &Cluster, id: i64) -> Option<Duration> {
    let ask = wire::LeaseTimeToLiveRequest { id };
    let answer = cluster.call(LOOK, LEASE_TIME_TO_LIVE, ask, ANSWER).await.ok()?;
    let age = answer.granted_ttl.checked_sub(answer.ttl)?;
    (answer.ttl >= 0).then(|| Duration::from_secs(u64::try_from(age).unwrap_or(0)))
}

/// Those who hold the lock are the first in line, and if that is a reader, all readers before the first writer.
fn state(
    keys: &LockKeys,
    line: &[wire::KeyValue],
    base: Option<&Base>,
) -> (LockState, Option<(Duration, Duration)>) {
    let line: Vec<_> = line
        .iter()
        .filter_map(|kv| Some((keys.mode(&kv.key)?, kv, Record::parse(&kv.value))))
        .collect();
    let first = line.first();
    let holding = match first {
        None => 0,
        Some((Mode::Exclusive, ..)) => 1,
        Some(_) => line.iter().take_while(|(mode, ..)| *mode == Mode::Shared).count(),
    };
    let owner = |(mode, _, record): &(Mode, &wire::KeyValue, Option<Record>)| LockOwner {
        pid: record.as_ref().map_or(0, |record| record.process.pid),
        mode: *mode,
        command: record.as_ref().map(|record| record.process.command.clone()),
        callers: None,
    };
    let state = match first {
        None => State::Free,
        Some((Mode::Exclusive, ..)) => State::Exclusive,
        Some((Mode::Shared, ..)) => State::Shared,
    };
    let holder = first.and_then(|(mode, kv, record)| {
        let token = base.and_then(|base| base.token(kv.create_revision));
        Some(record.as_ref()?.holder(*mode, token))
    });
    let terms = first.and_then(|(_, _, record)| record.as_ref()?.terms);
    let (holders, waiters) = line.split_at(holding);
    let owners = |line: &[_]| Some(line.iter().map(owner).collect());
    let state =
        LockState { state, holder, age: None, holders: owners(holders), waiters: owners(waiters) };
    (state, terms)
}

/// The version, and what else is worth knowing of the members.
async fn facts(cluster: &Cluster) -> Result<(String, String), Fault> {
    let mut version: Option<String> = None;
    let mut members = Vec::new();
    let mut ids = BTreeSet::new();
    let (mut first, mut forbidden) = (None, None);
    for at in 0..cluster.size() {
        match cluster.call_at(at, OPEN, &STATUS, wire::StatusRequest {}, ANSWER).await {
            Ok(status) => {
                let size = status.db_size / (1 << 20);
                let leader = if status.leader == 0 { ", without a leader" } else { "" };
                members.push(format!("{} with {size} MiB{leader}", status.version));
                ids.extend(status.header.map(|header| header.cluster_id));
                // Any of them may be the leader.
                if version.as_ref().is_none_or(|version| number(&status.version) < number(version))
                {
                    version = Some(status.version);
                }
            }
            // Only administrators are told.
            Err(Failed::Fault(fault)) if fault.kind() == ErrorKind::PermissionDenied => {
                forbidden = Some(fault);
            }
            Err(failed) => {
                let fault = failed.into_fault(OPEN);
                members.push(format!("away ({})", fault.words()));
                first.get_or_insert(fault);
            }
        }
    }
    if ids.len() > 1 {
        let words = "the URL names members of different clusters: two could have one lock; name those of one";
        return Err(Fault::new(OPEN, ErrorKind::InvalidInput, words));
    }
    if version.is_none() && forbidden.is_some() {
        return Ok(("etcd".into(), "its version is told only to administrators".into()));
    }
    let Some(version) = version else { return Err(first.unwrap_or_else(|| Fault::silent(OPEN))) };
    let warning = match number(&version) {
        Some(it) if it < (3, 5, 23) || ((3, 6, 0)..(3, 6, 5)).contains(&it) => {
            ", renews what it has revoked (mended in 3.5.23 and 3.6.5)"
        }
        _ => "",
    };
    let settings = format!("members: {}{warning}", members.join("; "));
    Ok((format!("etcd {version}"), settings))
}

fn number(version: &str) -> Option<(u32, u32, u32)> {
    let mut parts = version.split(['.', '-', '+']).map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?))
}

/// Whether the cluster is one that keeps locks: its version, and transactions as they are needed. What only looks like etcd may
/// lack a part of them.
pub(crate) async fn prove(cluster: &Cluster) -> Result<(), Fault> {
    let (server, _) = facts(cluster).await?;
    // A user who may not ask for it has it from an administrator.
    let version = server.strip_prefix("etcd ");
    if version.is_some_and(|version| number(version).is_none_or(|number| number < OLDEST)) {
        let words = format!(
            "this is {server}, whose leader may revoke live leases after it has stood still: 3.5.13 or later is needed"
        );
        return Err(Fault::new(PROVE, ErrorKind::Unsupported, words));
    }
    for _ in 0..PROOFS {
        if keeps_to_transactions(cluster).await? {
            return Ok(());
        }
    }
    let words = "this server does not keep to its transactions: two might get a lock at once";
    Err(Fault::new(PROVE, ErrorKind::Unsupported, words))
}

/// One attempt. What is sent again because it was not answered makes it fail.
async fn keeps_to_transactions(cluster: &Cluster) -> Result<bool, Fault> {
    let fault = |failed: Failed| failed.into_fault(PROVE);
    let id = new_id();
    let proof = format!("{}/proof/", cluster.target.prefix).into_bytes();
    let key = [&proof[..], format!("{id:x}").as_bytes()].concat();
    // It ends by itself, also when this process does before it can delete its key.
    grant(cluster, id, PROOF).await?;
    let putting = wire::TxnRequest {
        compare: vec![created_at(&key, 0)],
        success: vec![
            put(&key, Vec::new(), id),
            op(Operation::Range(under(proof, wire::DESCEND, 2))),
        ],
        failure: Vec::new(),
    };
    let deleting = wire::TxnRequest { success: vec![delete(&key)], ..Default::default() };
    let run = async |request: &wire::TxnRequest| {
        txn(cluster, PROVE, request.clone()).await.map_err(fault)
    };
    let (first, second) = (run(&putting).await?, run(&putting).await?);
    let removed = run(&deleting).await?;
    let sees_itself =
        found(&first, 1).iter().any(|kv| kv.key == key && kv.create_revision == revision(&first));
    let was_there = matches!(
        removed.responses.first().and_then(|it| it.response.as_ref()),
        Some(Answer::Delete(answer)) if answer.deleted == 1
    );
    Ok(first.succeeded && sees_itself && !second.succeeded && was_there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert_eq!(number("3.5.13"), Some((3, 5, 13)));
        assert_eq!(number("3.6.0-rc.1"), Some((3, 6, 0)));
        assert!(number("3.10.0").is_some_and(|version| version > OLDEST));
        assert_eq!(number("four"), None);
    }
}
