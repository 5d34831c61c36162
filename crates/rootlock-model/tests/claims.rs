//! The claims are not empty: each is refuted where it should be.

mod common;

use rootlock_model::claims::Claim;
use rootlock_model::protocol::Lock;
use rootlock_model::setup::{Setup, Variant, Wall};

fn is_refuted(claim: Claim, setup: Setup) -> bool {
    let setup = Setup { claims: vec![claim], ..setup };
    common::is_refuted(Lock(setup))
}

#[test]
fn every_claim_can_be_refuted() {
    let broken = |variant| Setup { variant, ..Setup::protocol(2) };
    for (claim, setup) in [
        (Claim::ExclusiveInLease, broken(Variant::Naive)),
        (Claim::ExclusiveInLease, Setup { foreign_unlink: true, ..Setup::protocol(2) }),
        (Claim::ExclusiveInLease, Setup { wall: Wall::Lying, ..Setup::protocol(2) }),
        (Claim::ExclusiveOnTime, broken(Variant::NoLookAgain)),
        (Claim::ExclusiveUnfrozen, broken(Variant::UnguardedAcquire)),
        (Claim::RobbedLearns, broken(Variant::Naive)),
        (Claim::TokensRise, broken(Variant::UnguardedAcquire)),
        (Claim::NameStays, broken(Variant::UnguardedAcquire)),
        (Claim::TakenAsWatched, broken(Variant::NoLookAgain)),
        (Claim::GrantedAlone, broken(Variant::Naive)),
    ] {
        assert!(is_refuted(claim, setup.clone()), "{claim:?} in {setup:?}");
    }
}
