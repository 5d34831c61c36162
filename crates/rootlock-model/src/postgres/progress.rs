//! No livelock: whoever waits is granted the lock in the end, or somebody else is.
//!
//! From some moment on those who hold the lock are frozen for good, nothing more goes wrong, and
//! whoever has the server's lock and no grant yet is neither stopped nor cut off: no time passes
//! while a statement of such a client is on its way, or while it has a step to take.

use super::protocol::{Action, Postgres, Step};
use super::state::{Phase, State};
use crate::progress::{Contest, Move};

impl Contest for Postgres {
    /// The clients, and the server for each of them.
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
            let acts = !matches!(c.phase, Phase::Holding | Phase::Gone);
            let beats =
                c.idle >= self.timing(c.terms).beat && self.step(s, i, Step::Beat).is_some();
            let writes = self.step(s, i, Step::WriteLedger).is_some();
            !(acts && c.has_lock && (!c.is_quiet() || beats || writes))
        })
    }

    fn kind(&self, s: &State, action: Action, next: &State) -> Move {
        use Step::*;
        let (i, step) = match action {
            Action::Tick => return Move::Tick,
            Action::Restart | Action::Flush => return Move::Past,
            Action::Of(i, step) => (usize::from(i), step),
        };
        let c = &s.clients[i];
        let past = match step {
            Crash | HandOver | EndEarly | FailHeartbeat => true,
            Cancel => c.phase == Phase::Waiting,
            Release => true,
            HitCancel(false) => c.statement.is_some(),
            _ => c.is_holder() && !step.is_servers(),
        };
        if past {
            return Move::Past;
        }
        let actor = if step.is_servers() { self.0.clients + i } else { i };
        let grants = next.clients[i].is_holder() && !c.is_holder();
        Move::Step { actor, must: !matches!(step, Connect(..)), grants }
    }
}
