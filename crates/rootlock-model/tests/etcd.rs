//! The protocol on etcd keeps what it promises, and each of its rules is needed.

mod common;

use common::with;
use rootlock_model::etcd::claims::{Claim, SAFETY};
use rootlock_model::etcd::protocol::Etcd;
use rootlock_model::etcd::setup::{Setup, Variant};
use rootlock_model::etcd::stories::holes;
use rootlock_model::progress::Progress;
use rootlock_model::setup::Timing;
use rootlock_model::trace::page;

/// What is promised when leases may end early. Tokens rise in the order of the line; a client may
/// hear of its grant after the next one does.
const SAFETY_OF_THE_KEY: [Claim; 4] =
    [Claim::ExclusiveWithKey, Claim::FirstInLine, Claim::GrantedInLease, Claim::ToldAtOnce];

/// Clients that freeze, are cut off and release; nothing else happens.
fn alone(setup: Setup) -> Setup {
    Setup { elections: false, pauses: false, crashes: false, cancels: false, ..setup }
}

fn holds(what: &str, setup: Setup) {
    common::holds(what, Etcd(setup));
}

#[test]
fn two_exclusive() {
    let sees = [Claim::LeasedHasKey, Claim::SeesTakeover, Claim::SeesConfirm, Claim::SeesLateKey];
    holds("two, exclusive", Setup { claims: with(&SAFETY, &sees), ..Setup::protocol(2) });
    holds("two, exclusive, long T", Setup { timing: Timing::LONG, ..Setup::protocol(2) });
}

#[test]
fn two_exclusive_or_shared() {
    let sees = [Claim::LeasedHasKey, Claim::SeesSharing];
    holds(
        "two, shared, no pauses",
        Setup { shared: true, pauses: false, claims: with(&SAFETY, &sees), ..Setup::protocol(2) },
    );
}

#[test]
fn two_on_different_terms() {
    holds(
        "two, hasty, no pauses",
        Setup {
            timing: Timing::SMALL,
            hasty: Some(Timing::SHORT),
            pauses: false,
            ..Setup::protocol(2)
        },
    );
}

#[test]
fn a_restore_costs_nobody_its_lease() {
    let restores = Setup { restores: true, ..Setup::protocol(2) };
    holds(
        "two, restores",
        Setup { claims: with(&SAFETY, &[Claim::SeesQuarantine]), ..restores.clone() },
    );
    holds(
        "two, hasty, restores, no faults else",
        Setup { timing: Timing::SMALL, hasty: Some(Timing::SHORT), ..alone(restores) },
    );
}

/// What is left is what the line itself gives.
#[test]
fn leases_that_end_early_are_exclusive_while_they_last() {
    holds(
        "two, early ends",
        Setup { early_ends: true, claims: SAFETY_OF_THE_KEY.to_vec(), ..Setup::protocol(2) },
    );
}

#[test]
fn tokens_rise_over_the_move_from_a_directory() {
    holds("two, moved", Setup { moved: true, ..Setup::protocol(2) });
}

#[test]
fn whatever_is_sent_twice_is_done_once() {
    let retries = Setup { retries: true, pauses: false, ..Setup::protocol(2) };
    holds("two, enqueue sent twice", retries.clone());
    let retries = Setup { elections: false, crashes: false, cancels: false, ..retries };
    no_livelock("two, retries, no faults else", retries.clone());
    let broken = Setup { variant: Variant::NoFence, ..retries };
    assert!(search_for_livelocks("two, retries, no fence", broken).livelocks > 0);
}

#[test]
fn three_exclusive() {
    holds("three, exclusive, no faults else", alone(Setup::protocol(3)));
}

#[test]
#[ignore = "some minutes: cargo test -p rootlock-model -- --ignored etcd_with_all_switches"]
fn etcd_with_all_switches() {
    holds("two, shared, restores", Setup { shared: true, restores: true, ..Setup::protocol(2) });
    holds(
        "two, shared, hasty",
        Setup {
            shared: true,
            timing: Timing::SMALL,
            hasty: Some(Timing::SHORT),
            ..Setup::protocol(2)
        },
    );
    holds("three, exclusive, no pauses", Setup { pauses: false, ..Setup::protocol(3) });
    no_livelock("two, early ends", Setup { early_ends: true, ..Setup::protocol(2) });
    no_livelock(
        "two, shared, quiet",
        Setup { shared: true, elections: false, pauses: false, ..Setup::protocol(2) },
    );
}

// ---- Progress ----

/// Fairness is about individuals.
fn individuals(setup: Setup) -> Etcd {
    Etcd(Setup { symmetry: false, ..setup })
}

fn search_for_livelocks(what: &str, setup: Setup) -> Progress {
    common::search_for_livelocks(what, &individuals(setup))
}

fn no_livelock(what: &str, setup: Setup) {
    common::no_livelock(what, &individuals(setup));
}

#[test]
fn nobody_waits_forever() {
    no_livelock("two", Setup::protocol(2));
    no_livelock("two, shared, no faults else", alone(Setup { shared: true, ..Setup::protocol(2) }));
    no_livelock(
        "two, restores",
        Setup { restores: true, elections: false, pauses: false, ..Setup::protocol(2) },
    );
}

#[test]
fn each_rule_against_waiting_forever_is_needed() {
    for variant in [Variant::WatchFromNow, Variant::NoPings, Variant::NoFence] {
        let setup = Setup { variant, ..Setup::protocol(2) };
        assert!(search_for_livelocks("broken", setup).livelocks > 0, "{variant:?}");
    }
}

// ---- Each rule is needed, and each claim can be refuted ----

#[test]
fn every_broken_rule_is_found_and_the_stories_file_is_up_to_date() {
    let update = "run: cargo run -p rootlock-model --example stories";
    assert!(page(holes()) == include_str!("../stories-etcd.md"), "{update}");
}

#[test]
fn every_claim_can_be_refuted() {
    let broken = |variant, claim| Setup { variant, claims: vec![claim], ..Setup::protocol(2) };
    for setup in [
        broken(Variant::LeaseFromAnswer, Claim::ExclusiveInLease),
        Setup { clients: 3, ..broken(Variant::NoLook, Claim::ExclusiveWithKey) },
        Setup { clients: 3, ..broken(Variant::NoLook, Claim::FirstInLine) },
        broken(Variant::LeaseFromAnswer, Claim::LeasedHasKey),
        Setup { moved: true, ..broken(Variant::NoBase, Claim::TokensRise) },
        broken(Variant::NoConfirm, Claim::GrantedInLease),
        broken(Variant::WatchFromRead, Claim::ToldAtOnce),
    ] {
        assert!(common::is_refuted(Etcd(setup.clone())), "{setup:?}");
    }
}
