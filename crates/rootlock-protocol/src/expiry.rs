//! Decides whether a lock may be taken over: because the [watch](crate::watch) says so, or because its
//! holder is certainly dead.

use std::time::Duration;

use rootlock_sys::{Mode, Stat, clock, process};

use crate::holder::Process;
use crate::inspect::is_holders;
use crate::ledger::{Ledger, Record};
use crate::terms::Terms;
use crate::watch::{self, HolderTerms, Sighting, Watch};

/// The result of a check.
pub struct Judgement {
    /// The lock may be taken over now.
    pub expired: bool,
    /// For how long it must be watched unchanged, as it looks now.
    pub needed: Duration,
}

/// Judges what was seen at `looked` or after, for a contender with `terms`; `watch` is what this
/// process has seen so far.
pub fn judge(
    watch: &mut Option<Watch>,
    stat: &Stat,
    looked: Duration,
    ledger: &Ledger,
    terms: Terms,
) -> Judgement {
    let age = clock::wall() - stat.modified;
    let holder = ledger.of(stat.id).map(|record| HolderTerms {
        terms: record.terms,
        // A release does not clear the record: the lock may be another program's by now. Only
        // asked when it matters.
        is_holders: watch::is_old(terms, record.terms, age) && is_holders(record, stat),
    });
    let needed = watch::needed(terms, holder, age);
    let sighting = Sighting::from(stat);
    let watch = watch.get_or_insert_with(|| Watch::begin(sighting, looked));
    watch.look(sighting, looked, needed);
    Judgement { expired: watch.watched() >= needed || is_orphan(stat, ledger), needed }
}

/// Whether the lock is held by nobody but a descriptor that its dead holder left to a child: proof
/// needs no watch. The ledger alone is none, because a program that keeps no ledger may have locked
/// the file since; the kernel must name the same process.
fn is_orphan(stat: &Stat, ledger: &Ledger) -> bool {
    let record = ledger.of(stat.id).filter(|record| record.mode == Mode::Exclusive);
    record.and_then(Record::process).filter(Process::is_gone).is_some_and(|dead| {
        process::lock_owners(stat.id).is_some_and(|owners| owners == [(dead.pid, Mode::Exclusive)])
    })
}
