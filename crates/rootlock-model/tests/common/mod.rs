//! What the tests of every protocol do: visit all states of a model, or search it for livelocks.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Instant;

use rootlock_model::progress::{Contest, Progress, search};
use stateright::{Checker, Model};

pub(crate) fn with<C: Clone>(claims: &[C], more: &[C]) -> Vec<C> {
    [claims, more].concat()
}

/// What the checker asks of a model.
pub(crate) trait Checkable:
    Model<State: Clone + Debug + Hash + PartialEq + Send + Sync, Action: Clone + Debug + PartialEq>
    + Send
    + Sync
    + 'static
{
}

impl<M> Checkable for M where
    M: Model<
            State: Clone + Debug + Hash + PartialEq + Send + Sync,
            Action: Clone + Debug + PartialEq,
        > + Send
        + Sync
        + 'static
{
}

/// Visits all states; panics with the trace if a claim is refuted or something is never seen.
pub(crate) fn holds(what: &str, model: impl Checkable) {
    let start = Instant::now();
    let checker = model.checker().threads(2).spawn_bfs().join();
    println!(
        "{what}: {} states, {} steps, {:.1?}",
        checker.unique_state_count(),
        checker.state_count(),
        start.elapsed()
    );
    checker.assert_properties();
}

/// Whether a claim of the model is refuted, or something is never seen.
pub(crate) fn is_refuted(model: impl Checkable) -> bool {
    !model.checker().spawn_bfs().join().discoveries().is_empty()
}

pub(crate) fn search_for_livelocks(what: &str, model: &impl Contest) -> Progress {
    let start = Instant::now();
    let progress = search(model);
    println!("{what}: {progress:?}, {:.1?}", start.elapsed());
    progress
}

pub(crate) fn no_livelock(what: &str, model: &impl Contest) {
    let progress = search_for_livelocks(what, model);
    let Progress { livelocks, dead_ends, .. } = progress;
    assert_eq!((livelocks, dead_ends), (0, 0), "{what}: {progress:?}");
}
