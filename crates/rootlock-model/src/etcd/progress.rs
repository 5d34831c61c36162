//! No livelock: whoever waits is granted the lock in the end, or somebody else is.
//!
//! From some moment on those who hold the lock are frozen for good, nothing more goes wrong, and
//! whoever waits is neither stopped nor cut off: no time passes while such a client has something
//! on its way, or a step to take.

use super::protocol::{Action, Etcd, Step};
use super::state::{Phase, State, Watch};
use crate::progress::{Contest, Move};

impl Contest for Etcd {
    /// The clients, and the cluster for each of them.
    fn actors(&self) -> usize {
        assert!(!self.0.symmetry, "fairness is about individuals");
        2 * self.0.clients
    }

    fn is_wanted(&self, s: &State) -> bool {
        s.clients.iter().any(|c| c.is_waiting())
    }

    fn is_open(&self, _: &State) -> bool {
        true
    }

    fn may_tick(&self, s: &State) -> bool {
        (0..self.0.clients).all(|i| {
            let c = &s.clients[i];
            let can = |step| self.step(s, i, step).is_some();
            let beats = c.age >= self.timing(c.terms).beat && can(Step::Beat);
            let awaits = c.phase == Phase::Waiting && c.watch == Watch::None;
            let asks = c.request.is_some() || c.answer.is_some();
            let busy = asks || awaits || beats || can(Step::Look) || can(Step::Raise);
            !busy || matches!(c.phase, Phase::Holding | Phase::Gone)
        })
    }

    fn kind(&self, s: &State, action: Action, next: &State) -> Move {
        use Step::*;
        let (i, step) = match action {
            Action::Tick => return Move::Tick,
            Action::Elect | Action::Restore(_) => return Move::Past,
            Action::Of(i, step) => (usize::from(i), step),
        };
        let c = &s.clients[i];
        let stops = matches!(step, Retry | Crash | Cancel | HandOver | Release | EndEarly | Pause);
        if stops || c.is_holder() && !step.is_clusters() {
            return Move::Past;
        }
        let actor = if step.is_clusters() { self.0.clients + i } else { i };
        let grants = next.clients[i].is_holder() && !c.is_holder();
        Move::Step { actor, must: !matches!(step, Session(..)), grants }
    }
}
