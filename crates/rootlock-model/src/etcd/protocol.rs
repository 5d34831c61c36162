//! The protocol, step by step: what each step needs, and what it does.

use stateright::{Model, Property};

use super::setup::{Setup, Variant};
use super::state::{Answer, Client, Phase, Renewal, Request, State, Watch};
use crate::setup::Timing;
use crate::state::{MOST, Mode, Terms};

/// The model: a protocol and what may happen to it.
#[derive(Clone, Debug)]
pub struct Etcd(pub Setup);

/// One atomic step of a client, or of the cluster for that client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Makes a lease and reads `base`; then sends `enqueue`, or waits for the end of the quarantine, which the first one begins.
    Session(Mode, Terms),
    /// The quarantine is over: raises `base`, if nobody has, and sends `enqueue`.
    Raise,
    /// Has no answer to `enqueue`, and sends it again; the first may still come.
    Retry,
    /// Hears where it stands, after `enqueue` and `look`: first in line and in time, that is the
    /// grant (`confirm`).
    Hear,
    /// Is told by its watch, or by the end of it, and sends `look`.
    Look,
    /// Reads the clock, and renews its lease. A holder's is on its way for a while.
    Beat,
    /// Hears that its beat has found the lease alive, or that it has not.
    Refresh,
    /// `heartbeat-failed`, by the holder's own clock.
    FailHeartbeat,
    /// Is told by its watch that its key is gone.
    Robbed,
    /// Sends `release`.
    Release,
    /// Sends `cancel`.
    Cancel,
    /// Hears that its key is deleted.
    Released,
    /// Keeps the lock and its key for the next in line in the same process, with a token that is
    /// the revision of a new write.
    HandOver,
    /// Fault: dies; another client takes its place.
    Crash,
    /// Cluster: carries a request out.
    Run,
    /// Cluster: carries another `enqueue` out, after a retry or a `cancel`.
    RunLate,
    /// Cluster: carries a beat out.
    Renew,
    /// Cluster: begins a watch (`await`).
    Await,
    /// Cluster: ends a lease that was not renewed for its TTL, and deletes its key.
    EndLease,
    /// Cluster: ends a lease early.
    EndEarly,
    /// Fault: the member of a watch is paused.
    Pause,
    /// A waiter on the same host deletes the key of a process that has ended.
    Bury,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 25] = {
        use Step::*;
        [
            Session(Mode::Exclusive, Terms::Usual),
            Session(Mode::Exclusive, Terms::Hasty),
            Session(Mode::Shared, Terms::Usual),
            Session(Mode::Shared, Terms::Hasty),
            Raise,
            Retry,
            Hear,
            Look,
            Beat,
            Refresh,
            FailHeartbeat,
            Robbed,
            Release,
            Cancel,
            Released,
            HandOver,
            Crash,
            Run,
            RunLate,
            Renew,
            Await,
            EndLease,
            EndEarly,
            Pause,
            Bury,
        ]
    };

    /// Whether the client does not take it.
    pub(crate) fn is_clusters(self) -> bool {
        use Step::*;
        matches!(self, Run | RunLate | Renew | Await | EndLease | EndEarly | Pause | Bury)
    }
}

/// Something that happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// A client takes a step, or the cluster for it.
    Of(u8, Step),
    /// Time passes, for all.
    Tick,
    /// A new leader gives each lease its full TTL again.
    Elect,
    /// The cluster is restored from a snapshot that has the leases and keys of these clients (a
    /// bit each), and no others.
    Restore(u8),
}

impl Model for Etcd {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut s = State { terms: self.narrowest(), ..State::default() };
        if self.0.moved {
            s.directory = 1;
            s.granted = [1; 2];
            s.last = if self.0.variant == Variant::NoBase { 0 } else { 1 };
        }
        vec![self.settled(s)]
    }

    fn actions(&self, s: &State, actions: &mut Vec<Action>) {
        for i in 0..self.0.clients {
            let enabled = |step: &Step| self.step(s, i, *step).is_some();
            actions.extend(
                Step::ALL.into_iter().filter(enabled).map(|step| Action::Of(i as u8, step)),
            );
        }
        actions.push(Action::Tick);
        if self.0.elections {
            actions.push(Action::Elect);
        }
        if self.0.restores {
            let leases = (0..MOST).filter(|&i| s.clients[i].lease).fold(0, |set, i| set | 1 << i);
            let kept = (0..1 << MOST).filter(|kept| kept & leases == *kept);
            actions.extend(kept.map(Action::Restore));
        }
    }

    fn next_state(&self, s: &State, action: Action) -> Option<State> {
        let next = self.settled(match action {
            Action::Of(i, step) => self.step(s, usize::from(i), step)?,
            Action::Tick => self.tick(s),
            Action::Elect => self.elect(s),
            Action::Restore(kept) => self.restore(s, kept),
        });
        (next != *s).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        self.0.claims.iter().map(|claim| claim.property()).collect()
    }
}

impl Etcd {
    /// The state after a step of client `i`, or of the cluster for it; `None` if that step is not
    /// to be taken.
    pub fn step(&self, s: &State, i: usize, step: Step) -> Option<State> {
        use Phase::*;
        use Step::*;
        let Setup { variant, .. } = self.0;
        let from_answer = variant == Variant::LeaseFromAnswer;
        let mut next = *s;
        let c = &mut next.clients[i];
        let lease = self.timing(c.terms).lease();
        // In a restored cluster every header tells.
        let foreign = c.stale && variant != Variant::NoClusterCheck;
        match (c.phase, step) {
            // ---- Acquire ----
            (Idle, Session(mode, terms)) if self.may_ask_for(mode, terms) => {
                *c = Client { mode, terms, ..Client::default() };
                if !s.foreign_base || variant == Variant::NoQuarantine {
                    self.enqueue(c);
                    self.raise(&mut next);
                } else {
                    let sat_out = if variant == Variant::OwnQuarantine { terms } else { s.terms };
                    c.phase = Quarantined;
                    next.quarantine.get_or_insert(self.timing(sat_out).stale);
                    if variant == Variant::RaisesFirst {
                        self.raise(&mut next);
                    }
                }
            }
            (Quarantined, Raise) if c.stale => *c = Client::default(),
            (Quarantined, Raise)
                if s.quarantine == Some(0)
                    || !s.foreign_base && variant != Variant::RaisesFirst =>
            {
                self.enqueue(c);
                self.raise(&mut next);
            }
            (Enqueuing, Retry) if self.0.retries => c.late = true,
            (Enqueuing | Looking, Hear) => match c.answer.take()? {
                Answer::First => {
                    c.age = if from_answer { 0 } else { c.age };
                    self.confirm(&mut next, i);
                }
                Answer::Blocked(blocker) => (c.phase, c.blocker) = (Waiting, blocker),
                _ => c.phase = Gone,
            },
            (Waiting, Look) if self.is_told(s, c) => {
                if variant == Variant::NoLook {
                    self.confirm(&mut next, i);
                } else {
                    c.phase = Looking;
                    c.request = Some(Request::Look);
                }
            }

            // ---- Beat ----
            (Enqueuing | Waiting | Looking | Confirming, Beat) if c.age > 0 => {
                // No time between sending and arrival is the worst for whoever counts from sending.
                if foreign || !c.lease {
                    c.phase = Gone;
                } else {
                    (c.idle, c.age) = (0, 0);
                    if c.phase == Confirming {
                        self.confirm(&mut next, i);
                    }
                }
            }
            (Holding, Beat) if c.beat == Renewal::None && c.age > 0 => {
                c.beat = Renewal::Sent;
                c.pending = 0;
            }
            (Holding, Refresh) => {
                let Renewal::Answered(alive) = c.beat else { return None };
                c.beat = Renewal::None;
                if alive {
                    c.age = if from_answer { 0 } else { c.age.min(c.pending) };
                } else {
                    c.phase = Gone;
                }
            }
            (Holding, FailHeartbeat) if c.age > lease => c.phase = Gone,
            (Holding, Robbed) if !c.key => c.phase = Gone,

            // ---- Release ----
            (Holding, Release) if self.0.releases => self.delete(c),
            (Waiting | Looking | Confirming, Cancel) if self.0.cancels => self.delete(c),
            (Enqueuing, Cancel) if self.0.cancels => {
                c.late |= c.request.is_some();
                self.delete(c);
            }
            (Quarantined, Cancel) if self.0.cancels => *c = Client::default(),
            (Releasing, Released) if c.answer == Some(Answer::Deleted) => {
                // Its other locks need the lease.
                (c.phase, c.kept) = (Gone, c.late);
            }
            (Holding, HandOver) if variant == Variant::HandsOver && c.key => {
                next.last += 1;
                c.revision = next.last;
                self.confirm(&mut next, i);
            }

            // ---- The end of a client ----
            (Idle | Gone, Crash) => return None,
            (_, Crash) if self.0.crashes => c.phase = Gone,

            // ---- Cluster ----
            (_, Run) => self.run(&mut next, i)?,
            (_, RunLate) if c.late => {
                c.late = false;
                let Client { request, answer, .. } = *c;
                c.request = Some(Request::Enqueue);
                self.run(&mut next, i)?;
                let c = &mut next.clients[i];
                (c.request, c.answer) = (request, answer);
            }
            (_, Renew) if c.beat == Renewal::Sent => {
                let careless = variant == Variant::UncheckedBeat || self.0.renews_revoked;
                c.beat = Renewal::Answered(!foreign && (c.lease || careless));
                c.idle = 0;
            }
            (Waiting, Await) if c.watch == Watch::None => {
                c.missed = !s.has_key(c.blocker);
                let past = match variant {
                    Variant::WatchFromRead => true,
                    Variant::WatchFromNow => false,
                    _ => c.missed,
                };
                c.watch = if past { Watch::Unsynced } else { Watch::Synced };
            }
            (Waiting, Pause) if self.0.pauses && c.watch != Watch::None => c.watch = Watch::Silent,
            (_, EndLease)
                if c.lease
                    && !c.kept
                    && (c.phase == Gone || c.idle >= self.timing(c.terms).stale) =>
            {
                (c.lease, c.key) = (false, false);
            }
            (_, EndEarly) if self.0.early_ends && c.lease => (c.lease, c.key) = (false, false),
            (phase, Bury)
                if c.key
                    && !c.kept
                    && (phase == Gone
                        || phase == Holding && variant == Variant::BuriesTheFrozen) =>
            {
                c.key = false;
            }
            _ => return None,
        }
        Some(next)
    }

    /// Whether the watch of a waiter says that it is time to look.
    fn is_told(&self, s: &State, c: &Client) -> bool {
        let deaf = c.missed && self.0.variant == Variant::WatchFromNow;
        let told = match c.watch {
            Watch::None | Watch::Unsynced => false,
            Watch::Synced => !c.key || !s.has_key(c.blocker) && !deaf,
            // The pings are not answered: on to the next endpoint.
            Watch::Silent => self.0.variant != Variant::NoPings,
        };
        told || c.stale
    }

    fn enqueue(&self, c: &mut Client) {
        let Client { mode, terms, .. } = *c;
        let request = Some(Request::Enqueue);
        let phase = Phase::Enqueuing;
        *c = Client { phase, mode, terms, lease: true, request, ..Client::default() };
    }

    fn delete(&self, c: &mut Client) {
        c.phase = Phase::Releasing;
        c.request = Some(Request::Delete);
        c.answer = None;
    }

    /// First in line: a grant, if the lease can still be counted on.
    fn confirm(&self, next: &mut State, i: usize) {
        let c = &mut next.clients[i];
        let in_time = c.age <= self.timing(c.terms).lease();
        if !in_time && self.0.variant != Variant::NoConfirm {
            c.phase = Phase::Confirming;
            return;
        }
        c.phase = Phase::Holding;
        next.granted_late |= !in_time;
        let [exclusive, shared] = next.granted;
        let earlier = match c.mode {
            Mode::Exclusive => exclusive.max(shared),
            Mode::Shared => exclusive,
        };
        next.token_fell |= c.revision <= earlier;
        let highest = &mut next.granted[c.mode as usize];
        *highest = c.revision.max(*highest);
    }

    /// `base` is raised above all tokens that were given, because they are behind the clock.
    fn raise(&self, next: &mut State) {
        if !std::mem::take(&mut next.foreign_base) || self.0.variant == Variant::NoRaise {
            return;
        }
        if !matches!(self.0.variant, Variant::AnyQuarantine | Variant::RaisesFirst) {
            next.quarantine = None;
        }
        let given = next.clients.iter().map(|c| c.revision).chain(next.granted);
        next.last = given.fold(next.last, u8::max);
    }

    /// A request is carried out.
    fn run(&self, next: &mut State, i: usize) -> Option<()> {
        let first = |s: &State| s.blocker(i).map_or(Answer::First, Answer::Blocked);
        let foreign = next.clients[i].stale && self.0.variant != Variant::NoClusterCheck;
        let c = &mut next.clients[i];
        let request = c.request.take()?;
        let answer = match request {
            // Sent twice, it finds its key.
            Request::Enqueue if c.key => first(next),
            // Of another cluster, but `base` may be as known.
            Request::Enqueue if c.lease && (!c.stale || next.foreign_base) => {
                next.last += 1;
                (c.key, c.revision) = (true, next.last);
                next.terms = next.terms.widest(c.terms);
                first(next)
            }
            Request::Look if c.key => first(next),
            Request::Enqueue | Request::Look => Answer::NoKey,
            Request::Delete => {
                c.key = false;
                // It also changes what an `enqueue` compares.
                c.late &= self.0.variant == Variant::NoFence;
                Answer::Deleted
            }
        };
        let c = &mut next.clients[i];
        let refused = foreign && request != Request::Delete;
        c.answer = Some(if refused { Answer::NoKey } else { answer });
        Some(())
    }

    fn elect(&self, s: &State) -> State {
        let mut next = *s;
        for c in &mut next.clients {
            c.idle = 0;
        }
        // As with any lease: longer never harms, and one that is over is gone.
        next.quarantine = s.quarantine.map(|left| match left {
            0 => 0,
            _ => self.timing(s.terms).stale,
        });
        next
    }

    fn restore(&self, s: &State, kept: u8) -> State {
        let mut next = *s;
        next.foreign_base = true;
        if self.0.variant != Variant::AnyQuarantine {
            next.quarantine = None;
        }
        next.last = 0;
        if self.0.old_snapshots {
            next.terms = self.narrowest();
        }
        for (i, c) in next.clients[..self.0.clients].iter_mut().enumerate() {
            c.stale = true;
            c.idle = 0;
            if kept & 1 << i == 0 {
                (c.lease, c.key) = (false, false);
            } else if c.key {
                next.last = next.last.max(c.revision);
            }
        }
        next
    }

    fn tick(&self, s: &State) -> State {
        let mut next = *s;
        next.quarantine = s.quarantine.map(|left| left.saturating_sub(1));
        for c in &mut next.clients[..self.0.clients] {
            c.idle += 1;
            c.age += 1;
            c.pending += 1;
            if c.watch == Watch::Unsynced {
                c.watch = Watch::Synced;
                next.told_late |= !c.missed && !s.has_key(c.blocker);
            }
        }
        next
    }

    /// States that differ in nothing that counts are one.
    fn settled(&self, mut s: State) -> State {
        use Phase::*;
        let longest = self.0.timing.stale;
        for c in &mut s.clients[..self.0.clients] {
            let Client { phase, mode, terms, lease, key, stale, kept, revision, request, .. } = *c;
            let late = if c.late { Some(Request::Enqueue) } else { request };
            let late = late.filter(|&request| request != Request::Look);
            if phase == Gone {
                let gone = Client { phase, mode, terms, lease, stale, kept, ..Client::default() };
                *c = Client { key, revision, request: late, ..gone };
            }
            if phase == Idle || phase == Gone && !(lease && (key || late == Some(Request::Enqueue)))
            {
                *c = Client::default();
            }
            let beyond = self.timing(c.terms).lease() + 1;
            let counts = matches!(c.phase, Enqueuing | Waiting | Looking | Confirming | Holding);
            c.age = if counts { c.age.min(beyond) } else { 0 };
            c.idle = if c.lease && c.phase != Gone { c.idle.min(longest) } else { 0 };
            if c.phase != Holding {
                c.beat = Renewal::None;
            }
            let beats = c.beat != Renewal::None;
            c.pending = if beats { c.pending.min(beyond) } else { 0 };
            if c.phase != Waiting {
                (c.blocker, c.watch, c.missed) = (0, Watch::None, false);
            }
            if !c.key && !matches!(c.phase, Enqueuing | Waiting | Looking | Confirming) {
                c.revision = 0;
            }
        }
        if self.0.symmetry {
            s.clients[..self.0.clients].sort_unstable();
        }
        s.rank_tokens();
        s
    }

    fn narrowest(&self) -> Terms {
        if self.0.hasty.is_some() { Terms::Hasty } else { Terms::Usual }
    }

    fn may_ask_for(&self, mode: Mode, terms: Terms) -> bool {
        (self.0.shared || mode == Mode::Exclusive)
            && (self.0.hasty.is_some() || terms == Terms::Usual)
    }

    pub(crate) fn timing(&self, terms: Terms) -> Timing {
        match terms {
            Terms::Usual => self.0.timing,
            Terms::Hasty => self.0.hasty.unwrap_or(self.0.timing),
        }
    }

    /// Whether a lease still runs.
    pub(crate) fn is_in_lease(&self, c: &Client) -> bool {
        c.is_holder() && c.age <= self.timing(c.terms).lease()
    }
}
