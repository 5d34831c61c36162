//! Contenders do not keep each other from the lock.

mod common;

use rootlock_model::progress::search;
use rootlock_model::protocol::Lock;
use rootlock_model::setup::Setup;

fn no_livelock(what: &str, setup: Setup) {
    common::no_livelock(what, &Lock(Setup { symmetry: false, ..setup }));
}

#[test]
fn two_exclusive_or_shared_have_no_livelock() {
    no_livelock("two, shared", Setup { shared: true, ..Setup::protocol(2) });
}

#[test]
fn two_exclusive_have_no_livelock_among_foreign_unlinks() {
    no_livelock("two, foreign unlink", Setup { foreign_unlink: true, ..Setup::protocol(2) });
}

#[test]
fn three_exclusive_have_no_livelock() {
    no_livelock("three", Setup::protocol(3));
}

/// The search can find a livelock: a process that only ever tries under the guard never recovers.
#[test]
fn attempts_instead_of_a_watch_are_a_livelock() {
    let setup = Setup { attempts: true, symmetry: false, ..Setup::protocol(2) };
    assert!(search(&Lock(setup)).livelocks > 0);
}
