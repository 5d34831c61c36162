//! P keeps what it promises, in every state that it can get into.

use std::time::Instant;

use rootlock_model::claims::{Claim, SAFETY};
use rootlock_model::protocol::Lock;
use rootlock_model::setup::{DeadHolder, RefusedBeat, Setup, Start, Timing, Variant, Wall};
use stateright::{Checker, Model};

/// What is promised when wall clocks lie.
const SAFETY_IN_LIES: [Claim; 5] = [
    Claim::ExclusiveOnTime,
    Claim::RobbedLearns,
    Claim::TokensRise,
    Claim::NameStays,
    Claim::TakenAsWatched,
];

/// What is promised when a foreign program unlinks L.
const SAFETY_IN_MIXED_FLEETS: [Claim; 2] = [Claim::RobbedLearns, Claim::TokensRise];

fn with(claims: &[Claim], more: &[Claim]) -> Vec<Claim> {
    [claims, more].concat()
}

/// Visits all states; panics with the trace if a claim is refuted or something is never seen.
fn holds(what: &str, setup: Setup) {
    let start = Instant::now();
    let checker = Lock(setup).checker().threads(2).spawn_bfs().join();
    println!(
        "{what}: {} states, {} steps, {:.1?}",
        checker.unique_state_count(),
        checker.state_count(),
        start.elapsed()
    );
    checker.assert_properties();
}

#[test]
fn two_exclusive() {
    holds(
        "two, exclusive",
        Setup {
            claims: with(
                &SAFETY,
                &[Claim::GrantedAlone, Claim::SeesTakeover, Claim::SeesRobbedBeat],
            ),
            ..Setup::protocol(2)
        },
    );
}

#[test]
fn two_exclusive_that_make_the_file() {
    holds("two, exclusive, no file", Setup { start: Start::Missing, ..Setup::protocol(2) });
}

#[test]
fn two_exclusive_or_shared() {
    holds(
        "two, shared",
        Setup {
            shared: true,
            claims: with(
                &SAFETY,
                &[
                    Claim::GrantedAlone,
                    Claim::SeesTakeover,
                    Claim::SeesRobbedBeat,
                    Claim::SeesHeartbeatFail,
                    Claim::SeesSharing,
                ],
            ),
            ..Setup::protocol(2)
        },
    );
}

#[test]
fn two_with_a_tick_of_a_fifth_of_a_beat() {
    holds(
        "two, fine time",
        Setup {
            timing: Timing::FINE,
            claims: with(&SAFETY, &[Claim::GrantedAlone]),
            ..Setup::protocol(2)
        },
    );
}

#[test]
fn two_with_a_tick_of_a_fifth_of_a_beat_and_lying_clocks() {
    holds(
        "two, fine time, lying clocks",
        Setup {
            timing: Timing::FINE,
            wall: Wall::Lying,
            claims: SAFETY_IN_LIES.to_vec(),
            ..Setup::protocol(2)
        },
    );
}

#[test]
fn two_on_a_machine_that_sleeps() {
    holds(
        "two, shared, sleep, attempts",
        Setup {
            shared: true,
            sleeps: true,
            attempts: true,
            claims: with(&SAFETY, &[Claim::GrantedAlone]),
            ..Setup::protocol(2)
        },
    );
}

#[test]
fn three_exclusive() {
    holds(
        "three, exclusive",
        Setup {
            attempts: true,
            claims: with(&SAFETY, &[Claim::GrantedAlone, Claim::SeesTakeover]),
            ..Setup::protocol(3)
        },
    );
}

#[test]
fn three_exclusive_or_shared() {
    holds("three, shared", Setup { shared: true, ..Setup::protocol(3) });
}

#[test]
fn a_lying_clock_robs_nobody_who_beats_on_time() {
    holds(
        "three, lying clocks",
        Setup {
            wall: Wall::Lying,
            claims: with(&SAFETY_IN_LIES, &[Claim::SeesTakeover]),
            ..Setup::protocol(3)
        },
    );
    holds(
        "two, shared, lying clocks, sleep",
        Setup {
            shared: true,
            sleeps: true,
            wall: Wall::Lying,
            claims: with(&SAFETY_IN_LIES, &[Claim::GrantedAlone]),
            ..Setup::protocol(2)
        },
    );
}

#[test]
fn a_sign_of_life_keeps_whoever_never_froze() {
    holds(
        "three, lying clocks, signs of life",
        Setup {
            wall: Wall::Lying,
            refused_beat: RefusedBeat::SignOfLife,
            claims: with(&SAFETY_IN_LIES[..4], &[Claim::ExclusiveUnfrozen]),
            ..Setup::protocol(3)
        },
    );
    holds(
        "three, honest clocks, signs of life",
        Setup {
            refused_beat: RefusedBeat::SignOfLife,
            claims: SAFETY[..6].to_vec(),
            ..Setup::protocol(3)
        },
    );
}

#[test]
fn a_foreign_unlink_is_noticed_and_lowers_no_token() {
    holds(
        "two, shared, foreign unlink",
        Setup {
            shared: true,
            foreign_unlink: true,
            claims: with(&SAFETY_IN_MIXED_FLEETS, &[Claim::GrantedAlone, Claim::SeesRobbedBeat]),
            ..Setup::protocol(2)
        },
    );
    holds(
        "three, foreign unlink",
        Setup {
            foreign_unlink: true,
            claims: SAFETY_IN_MIXED_FLEETS.to_vec(),
            ..Setup::protocol(3)
        },
    );
}

/// A takeover without a watch is not [`Claim::TakenAsWatched`].
#[test]
fn a_holder_proven_dead_is_robbed_without_a_watch() {
    for variant in [Variant::Protocol, Variant::LedgerAfterRename] {
        holds(
            &format!("two, shared, dead holders, {variant:?}"),
            Setup {
                variant,
                shared: true,
                dead_holder: DeadHolder::RobbedIfNamed,
                claims: with(&SAFETY[..6], &[Claim::GrantedAlone]),
                ..Setup::protocol(2)
            },
        );
    }
    holds(
        "three, dead holders",
        Setup {
            dead_holder: DeadHolder::RobbedIfNamed,
            claims: SAFETY[..6].to_vec(),
            ..Setup::protocol(3)
        },
    );
}

#[test]
fn a_ledger_written_after_the_rename_keeps_holders_from_hasty_contenders() {
    holds(
        "two, shared, hasty, ledger last",
        Setup {
            variant: Variant::LedgerAfterRename,
            shared: true,
            own_stale: Some(1),
            dead_holder: DeadHolder::RobbedIfNamed,
            claims: with(&SAFETY[..6], &[Claim::GrantedAlone]),
            ..Setup::protocol(2)
        },
    );
}

#[test]
#[ignore = "some minutes: cargo test -- --ignored three_with_all_switches"]
fn three_with_all_switches() {
    let all = Setup {
        shared: true,
        sleeps: true,
        attempts: true,
        dead_holder: DeadHolder::RobbedIfNamed,
        ..Setup::protocol(3)
    };
    holds("three, all", Setup { claims: SAFETY[..6].to_vec(), ..all.clone() });
    holds(
        "three, all, ledger last, hasty, signs of life",
        Setup {
            variant: Variant::LedgerAfterRename,
            own_stale: Some(1),
            refused_beat: RefusedBeat::SignOfLife,
            claims: SAFETY[..6].to_vec(),
            ..all.clone()
        },
    );
    holds(
        "three, all, lying clocks",
        Setup { wall: Wall::Lying, claims: SAFETY_IN_LIES[..4].to_vec(), ..all.clone() },
    );
    holds(
        "three, all, foreign unlink",
        Setup {
            foreign_unlink: true,
            claims: with(&SAFETY_IN_MIXED_FLEETS, &[Claim::GrantedAlone]),
            ..all
        },
    );
}

#[test]
#[ignore = "some seconds: cargo test -- --ignored four_exclusive"]
fn four_exclusive() {
    holds("four, exclusive", Setup::protocol(4));
}
