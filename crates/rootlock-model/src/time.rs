//! The passing of time: what grows older, and what can't wait.

use crate::protocol::Lock;
use crate::setup::{RefusedBeat, Variant};
use crate::state::{Guard, Phase, Process, State};

impl Lock {
    /// Whether a tick may pass: no running process has something urgent to do.
    pub(crate) fn may_tick(&self, s: &State) -> bool {
        (0..self.0.processes).all(|i| s.processes[i].frozen || !self.is_urgent(s, i))
    }

    fn is_urgent(&self, s: &State, i: usize) -> bool {
        let p = &s.processes[i];
        if p.guard != Guard::None {
            return true;
        }
        if !self.beat_is_due(p) {
            return false;
        }
        // Without a guard nothing can refuse a beat.
        if self.0.variant == Variant::Naive || self.must_fail(p) {
            return true;
        }
        match self.0.refused_beat {
            RefusedBeat::Retry => s.guard_is_free(Guard::Shared, i),
            RefusedBeat::Skip | RefusedBeat::SignOfLife => !p.beat_refused,
        }
    }

    pub(crate) fn beat_is_due(&self, p: &Process) -> bool {
        p.phase == Phase::Holding && p.age >= self.0.timing.beat
    }

    /// The lease is over by the holder's own clock.
    pub(crate) fn must_fail(&self, p: &Process) -> bool {
        p.phase == Phase::Holding && p.age > self.0.timing.lease()
    }

    /// A tick, for a machine that is awake or asleep.
    pub(crate) fn tick(&self, s: &State, awake: bool) -> State {
        let stale = self.0.timing.stale;
        let older = |age: u8| stale.min(age + 1);
        let mut next = *s;
        next.wall_age = older(s.wall_age);
        for p in &mut next.processes[..self.0.processes] {
            if p.is_aging() {
                p.age = older(p.age);
            }
            if awake {
                p.sighting = p.sighting.map(older);
                p.beat_refused = false;
            }
        }
        next
    }

    /// Whether what this process saw has stayed the same for as long as it takes.
    pub fn watched_long_enough(&self, s: &State, p: &Process) -> bool {
        let timing = self.0.timing;
        let needed = match self.0.own_stale {
            Some(own) if !s.ledger.names_l => own,
            _ if s.wall_age >= timing.stale => timing.short_watch,
            _ => timing.stale,
        };
        p.sighting.is_some_and(|ticks| ticks >= needed)
    }
}
