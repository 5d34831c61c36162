//! The passing of time: what ages, and what can't wait.

use crate::protocol::Lock;
use crate::setup::{Timing, Variant};
use crate::state::{Guard, Phase, Process, Run, State, Terms};

impl Lock {
    /// The durations of these terms.
    pub(crate) fn timing(&self, terms: Terms) -> Timing {
        match terms {
            Terms::Usual => self.0.timing,
            Terms::Hasty => self.0.hasty.unwrap_or(self.0.timing),
        }
    }

    /// Whether a process must be frozen for a tick to pass.
    pub(crate) fn is_anything_urgent(&self, s: &State) -> bool {
        (0..self.0.processes).any(|i| self.is_urgent(s, i))
    }

    /// Whether a process has something to do that it would not put off if it were running.
    pub(crate) fn is_urgent(&self, s: &State, i: usize) -> bool {
        let p = &s.processes[i];
        if p.frozen {
            return false;
        }
        if p.guard != Guard::None
            || p.is_unguarded()
            || matches!(p.phase, Phase::BeatRefused | Phase::BeatRefusedIdentified)
        {
            return true;
        }
        self.beat_is_due(p)
            && match self.0.variant {
                // Without a guard nothing can refuse a beat.
                Variant::Naive => true,
                Variant::NoSignOfLife => s.guard_is_free(Guard::Shared, i),
                _ => !p.beat_refused,
            }
    }

    pub(crate) fn beat_is_due(&self, p: &Process) -> bool {
        p.phase == Phase::Holding && p.awake >= self.timing(p.terms).beat
    }

    /// Whether a lease still runs.
    pub(crate) fn is_in_lease(&self, p: &Process) -> bool {
        p.age <= self.timing(p.terms).lease()
    }

    /// Whether the last beat is at most one interval ago.
    pub(crate) fn is_on_time(&self, p: &Process) -> bool {
        p.age <= self.timing(p.terms).beat
    }

    /// The lease is over by the holder's own clock, and its timers have told it to look.
    pub(crate) fn may_fail(&self, p: &Process) -> bool {
        self.beat_is_due(p) && !self.is_in_lease(p)
    }

    /// A tick, for a machine that is awake or asleep.
    pub(crate) fn tick(&self, s: &State, awake: bool) -> State {
        let stale = self.0.timing.stale;
        let older = |age: u8| stale.min(age + 1);
        let mut next = *s;
        next.wall_age = older(s.wall_age);
        for (i, p) in next.processes[..self.0.processes].iter_mut().enumerate() {
            if p.is_aging() {
                p.age = older(p.age);
                p.was_frozen |= awake && self.is_urgent(s, i);
                if awake {
                    p.awake = self.timing(p.terms).beat.min(p.awake + 1);
                }
            }
            // A run is over long before a tick is.
            p.run = p.run.filter(|_| self.0.variant == Variant::LongRuns);
            p.run = p.run.map(|run| Run { age: older(run.age), ..run });
            if p.is_judging() || p.is_unguarded() {
                p.seen.age = older(p.seen.age);
            }
            if awake {
                p.beat_refused = false;
                if p.is_entering() || p.is_judging() {
                    if p.is_entering() || self.0.variant == Variant::CountsToTheJudgement {
                        p.seen.since = (stale / 6).min(p.seen.since + 1);
                    }
                } else {
                    p.sighting = p.sighting.map(older);
                }
            }
        }
        next
    }

    /// Whether what this process saw has stayed unchanged for as long as needed.
    pub fn watched_long_enough(&self, s: &State, p: &Process) -> bool {
        self.watched_for(s, p) > 0
    }

    /// For how long it had to stay unchanged; zero, if it has not.
    pub(crate) fn watched_for(&self, s: &State, p: &Process) -> u8 {
        if p.is_taking() {
            return p.seen.watched;
        }
        let needed = self.needed(s, p);
        let watched = if p.is_judging() { Some(self.watched_inside(s, p)) } else { p.sighting };
        watched.filter(|&ticks| ticks >= needed).map_or(0, |_| needed)
    }

    /// For how long it has to stay unchanged.
    fn needed(&self, s: &State, p: &Process) -> u8 {
        let own = self.timing(p.terms);
        if !s.ledger.names_l {
            let promised = s.promised.map_or(0, |terms| self.timing(terms).stale);
            return own.stale.max(promised);
        }
        let holder = self.timing(s.ledger.terms);
        let stale = own.stale.max(holder.stale);
        let age = if p.is_judging() { p.seen.age } else { s.wall_age };
        if age >= stale { holder.short_watch } else { stale }
    }

    /// What a section adds to a watch: no more than one look.
    pub(crate) fn watched_inside(&self, s: &State, p: &Process) -> u8 {
        p.seen.watched + p.seen.since.min(self.needed(s, p) / 6)
    }
}
