//! Decides whether a lock may be taken over: because the [watch] says so, or because its
//! holder is certainly dead.

use std::time::Duration;

use rootlock_sys::{Stat, clock};

use crate::inspect::{is_holders, is_orphan};
use crate::ledger::Ledger;
use crate::terms::Terms;
use crate::watch::{self, HolderTerms, Sighting, Watch};

/// The result of a check.
pub struct Judgement {
    /// The lock may be taken over now.
    pub expired: bool,
    /// How long it must be watched unchanged, judging by the latest look.
    pub needed: Duration,
}

/// Judges what was seen at `looked` or later, for a contender with `terms`. `watch` is what this
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
        // A release does not clear the record, so another program may hold the lock by now. Checked
        // only when it matters.
        is_holders: watch::is_old(terms, record.terms, age) && is_holders(record, stat),
    });
    let needed = watch::needed(terms, holder, age);
    let watched = watched(watch, Sighting::from(stat), looked, needed);
    // If a dead holder's descriptor, leaked to a child, is all that keeps the lock, no watch is
    // needed. That must be proved: the ledger alone is not enough, because a program that keeps no
    // ledger may have locked the file since.
    let orphan = is_orphan(stat, ledger) == Some(true);
    Judgement { expired: watched >= needed || orphan, needed }
}

/// The same when there is no lock file. It is recreated only after it has been missing for as long
/// as an old one is watched, because somebody may be removing the directory.
pub fn judge_missing(watch: &mut Option<Watch>, looked: Duration, terms: Terms) -> Judgement {
    let needed = terms.stale;
    let expired = watched(watch, Sighting::MISSING, looked, needed) >= needed;
    Judgement { expired, needed }
}

/// How long this has been seen, including the look at `looked`.
fn watched(
    watch: &mut Option<Watch>,
    sighting: Sighting,
    looked: Duration,
    needed: Duration,
) -> Duration {
    let watch = watch.get_or_insert_with(|| Watch::begin(sighting, looked));
    watch.look(sighting, looked, needed);
    watch.watched()
}
