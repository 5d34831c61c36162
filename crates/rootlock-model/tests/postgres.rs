//! The protocol on PostgreSQL keeps what it promises, and each of its rules is needed.

mod common;

use common::with;
use rootlock_model::postgres::claims::{Claim, SAFETY};
use rootlock_model::postgres::protocol::Postgres;
use rootlock_model::postgres::setup::{Setup, Variant};
use rootlock_model::postgres::stories::holes;
use rootlock_model::progress::Progress;
use rootlock_model::setup::Timing;
use rootlock_model::trace::page;

/// What is promised when sessions may end early. Tokens rise in the order of their writing; a
/// client may hear of its grant after the next one does.
const SAFETY_OF_THE_CONNECTED: [Claim; 3] =
    [Claim::ExclusiveConnected, Claim::GrantedInLease, Claim::NothingStranded];

fn holds(what: &str, setup: Setup) {
    common::holds(what, Postgres(setup));
}

#[test]
fn two_exclusive() {
    let sees =
        [Claim::SeesTakeover, Claim::SeesQuarantine, Claim::SeesLateToken, Claim::SeesCancelRace];
    holds("two, exclusive", Setup { claims: with(&SAFETY, &sees), ..Setup::protocol(2) });
    holds("two, exclusive, long T", Setup { timing: Timing::LONG, ..Setup::protocol(2) });
}

#[test]
fn two_exclusive_or_shared() {
    let sees = [Claim::SeesSharing, Claim::SeesQuarantine];
    holds(
        "two, shared",
        Setup { shared: true, claims: with(&SAFETY, &sees), ..Setup::protocol(2) },
    );
}

#[test]
fn two_on_different_terms() {
    let hasty = Some(Timing::SHORT);
    holds("two, hasty", Setup { timing: Timing::SMALL, hasty, ..Setup::protocol(2) });
    holds(
        "two, hasty, server's clock set back",
        Setup { timing: Timing::SMALL, hasty, stuck_clock: true, ..Setup::protocol(2) },
    );
}

#[test]
fn the_server_keeps_the_session_of_a_lease() {
    let setup = Setup {
        shared: true,
        restarts: false,
        claims: with(&SAFETY, &[Claim::LeasedIsConnected]),
        ..Setup::protocol(2)
    };
    holds("two, shared, no restart", setup.clone());
    holds(
        "two, shared, no restart, server's clock set back",
        Setup { stuck_clock: true, ..setup.clone() },
    );
    holds("two, shared, no restart, other sessions answer", Setup { reroutes: true, ..setup });
}

/// What is left is what the server's lock itself gives.
#[test]
fn sessions_that_end_early_are_exclusive_while_they_last() {
    holds(
        "two, shared, early ends",
        Setup {
            shared: true,
            early_ends: true,
            claims: SAFETY_OF_THE_CONNECTED.to_vec(),
            ..Setup::protocol(2)
        },
    );
}

#[test]
fn tokens_rise_over_the_move_from_a_directory() {
    holds("two, moved", Setup { moved: true, ..Setup::protocol(2) });
}

/// Then a crash of the server may cost a quarantine, and nothing else.
#[test]
fn a_release_need_not_be_on_disk() {
    let claims = SAFETY.into_iter().filter(|&claim| claim != Claim::QuarantinedForAReason);
    holds(
        "two, lazy releases",
        Setup { lazy_releases: true, claims: claims.collect(), ..Setup::protocol(2) },
    );
}

#[test]
fn three_exclusive() {
    holds("three, exclusive", Setup::protocol(3));
}

#[test]
#[ignore = "some minutes: cargo test -p rootlock-model -- --ignored postgres_with_all_switches"]
fn postgres_with_all_switches() {
    let hasty = Some(Timing::SHORT);
    holds(
        "two, shared, hasty",
        Setup { shared: true, timing: Timing::SMALL, hasty, ..Setup::protocol(2) },
    );
    let claims = SAFETY.into_iter().filter(|&claim| claim != Claim::QuarantinedForAReason);
    holds(
        "two, shared, lazy releases",
        Setup { shared: true, lazy_releases: true, claims: claims.collect(), ..Setup::protocol(2) },
    );
    no_livelock("two, shared", Setup { shared: true, ..Setup::protocol(2) });
    holds(
        "three, shared, no cancels",
        Setup { shared: true, cancels: false, ..Setup::protocol(3) },
    );
}

// ---- Progress ----

/// Fairness is about individuals.
fn individuals(setup: Setup) -> Postgres {
    Postgres(Setup { symmetry: false, ..setup })
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
    no_livelock(
        "two, shared, no cancels",
        Setup { shared: true, cancels: false, ..Setup::protocol(2) },
    );
    no_livelock("two, server's clock set back", Setup { stuck_clock: true, ..Setup::protocol(2) });
    no_livelock("two, early ends", Setup { early_ends: true, ..Setup::protocol(2) });
}

#[test]
fn whoever_has_no_timeout_is_waited_for_forever() {
    let setup = Setup { variant: Variant::NoTimeout, ..Setup::protocol(2) };
    assert!(search_for_livelocks("no timeout", setup).livelocks > 0);
}

// ---- Each rule is needed, and each claim can be refuted ----

#[test]
fn every_broken_rule_is_found_and_the_stories_file_is_up_to_date() {
    let update = "run: cargo run -p rootlock-model --example stories";
    assert!(page(holes()) == include_str!("../stories-postgres.md"), "{update}");
}

#[test]
fn every_claim_can_be_refuted() {
    let broken = |variant, claim| Setup { variant, claims: vec![claim], ..Setup::protocol(2) };
    let from_answer = broken(Variant::LeaseFromAnswer, Claim::LeasedIsConnected);
    for setup in [
        broken(Variant::NoQuarantine, Claim::ExclusiveInLease),
        broken(Variant::SharedSession, Claim::ExclusiveConnected),
        Setup { restarts: false, ..from_answer },
        broken(Variant::TokenBeforeLock, Claim::TokensRise),
        broken(Variant::NoConfirm, Claim::GrantedInLease),
        broken(Variant::KeepsHeld, Claim::QuarantinedForAReason),
        broken(Variant::CancelForgotten, Claim::NothingStranded),
        broken(Variant::TrustsCancelled, Claim::NothingStranded),
    ] {
        assert!(common::is_refuted(Postgres(setup.clone())), "{setup:?}");
    }
}
