//! The protocol, step by step: what each step needs, and what it does.

use stateright::{Model, Property};

use super::setup::{Setup, Variant};
use super::state::{Answer, Client, Phase, Row, State, Statement};
use crate::setup::Timing;
use crate::state::{Mode, Terms};

/// The model: a protocol and what may happen to it.
#[derive(Clone, Debug)]
pub struct Postgres(pub Setup);

/// One atomic step of a client, or of the server for that client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Connects, and sends `lock_server`.
    Connect(Mode, Terms),
    /// Hears that it has the server's lock.
    LockServer,
    /// Reads the clock (`moment`), and sends `write_ledger`.
    WriteLedger,
    /// Hears that the row is held in another instance.
    Quarantine,
    /// Hears its token. In time, that is the grant; if not, it writes again.
    Confirm,
    /// Reads the clock, and sends a beat.
    Beat,
    /// Hears that the beat has found the lock, or that it has not.
    Refresh,
    /// `heartbeat-failed`, by the holder's own clock.
    FailHeartbeat,
    /// Hears that the connection is no more.
    Disconnect,
    /// Stops the heartbeat, for the next in line in the same process.
    HandOver,
    /// Sends `release`.
    Release,
    /// Hears that the lock is given back.
    Released,
    /// Sends a cancel request.
    Cancel,
    /// Hears the end of what was cancelled.
    Cancelled,
    /// Fault: dies, or gives its connection up; another client takes its place.
    Crash,
    /// Server: a statement arrives and runs.
    Run,
    /// Server: a cancel request ends a statement; or finds none that runs.
    HitCancel(bool),
    /// Server: grants the lock, and a cancel request ends the statement just then. An error does not take
    /// back a session's lock.
    HitGrant,
    /// Server: ends a session that was idle for its T.
    EndIdle,
    /// Server: learns that a client is gone.
    EndGone,
    /// Server, told at once: ends a session.
    EndEarly,
    /// A waiter has watched this session idle for T, and has it terminated.
    Terminate,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 26] = {
        use Step::*;
        [
            Connect(Mode::Exclusive, Terms::Usual),
            Connect(Mode::Exclusive, Terms::Hasty),
            Connect(Mode::Shared, Terms::Usual),
            Connect(Mode::Shared, Terms::Hasty),
            LockServer,
            WriteLedger,
            Quarantine,
            Confirm,
            Beat,
            Refresh,
            FailHeartbeat,
            Disconnect,
            HandOver,
            Release,
            Released,
            Cancel,
            Cancelled,
            Crash,
            Run,
            HitCancel(true),
            HitCancel(false),
            HitGrant,
            EndIdle,
            EndGone,
            EndEarly,
            Terminate,
        ]
    };

    /// Whether the server takes it.
    pub(crate) fn is_servers(self) -> bool {
        use Step::*;
        matches!(self, Run | HitCancel(_) | HitGrant | EndIdle | EndGone | EndEarly | Terminate)
    }
}

/// Something that happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// A client takes a step, or the server for it.
    Of(u8, Step),
    /// Time passes, for all.
    Tick,
    /// The server restarts: its memory, and with it all sessions and advisory locks, is gone.
    Restart,
    /// What was committed is on disk.
    Flush,
}

impl Model for Postgres {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut s = State { row: Row { current: true, ..Row::default() }, ..State::default() };
        s.flushed = s.row;
        if self.0.moved {
            s.directory = 1;
            s.granted = [1; 2];
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
        if self.0.restarts {
            actions.push(Action::Restart);
        }
        if self.keeps_flushed() {
            actions.push(Action::Flush);
        }
    }

    fn next_state(&self, s: &State, action: Action) -> Option<State> {
        let next = self.settled(match action {
            Action::Of(i, step) => self.step(s, usize::from(i), step)?,
            Action::Tick => self.tick(s),
            Action::Restart => self.restart(s),
            Action::Flush => State { flushed: s.row, ..*s },
        });
        (next != *s).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        self.0.claims.iter().map(|claim| claim.property()).collect()
    }
}

impl Postgres {
    /// The state after a step of client `i`, or of the server for it; `None` if that step is not
    /// to be taken.
    pub fn step(&self, s: &State, i: usize, step: Step) -> Option<State> {
        use Phase::*;
        use Step::*;
        let Setup { variant, .. } = self.0;
        let token_first = variant == Variant::TokenBeforeLock;
        let mut next = *s;
        let c = &mut next.clients[i];
        let lease = self.timing(c.terms).lease();
        match (c.phase, step) {
            // ---- Acquire ----
            (Idle, Connect(mode, terms)) if !c.session && self.may_ask_for(mode, terms) => {
                let statement = Some(Statement::Lock);
                *c = Client { phase: Waiting, mode, terms, statement, session: true, ..*c };
                if token_first {
                    (c.phase, c.statement) = (Writing, Some(Statement::Write { waited: true }));
                }
            }
            (Waiting, LockServer) if c.answer == Some(Answer::Locked) => {
                c.answer = None;
                c.phase = Locked;
                if token_first {
                    c.age = 0;
                    self.grant(&mut next, i);
                }
            }
            (Locked, WriteLedger) => {
                c.phase = Writing;
                c.pending = 0;
                c.statement = Some(Statement::Write { waited: false });
            }
            (Writing, Quarantine) => {
                let Some(Answer::Held(left)) = c.answer else { return None };
                c.answer = None;
                c.phase = Quarantined;
                c.quarantine = left;
            }
            (Quarantined, WriteLedger) if c.quarantine == 0 && c.session => {
                c.phase = Writing;
                c.pending = 0;
                c.statement = Some(Statement::Write { waited: true });
            }
            (Quarantined, Beat) if c.session && c.idle > 0 => {
                // No lease counts from it, so that it is all the same when it arrives.
                c.idle = 0;
            }
            (Writing, Confirm) if c.answer == Some(Answer::Token) => {
                c.answer = None;
                if token_first {
                    (c.phase, c.statement) = (Waiting, Some(Statement::Lock));
                    return Some(next);
                }
                c.age = if variant == Variant::LeaseFromAnswer { 0 } else { c.pending };
                if c.age > lease && variant != Variant::NoConfirm {
                    (c.phase, c.token) = (Locked, 0);
                } else {
                    self.grant(&mut next, i);
                }
            }

            // ---- Beat ----
            (Holding, Beat) if c.is_quiet() && c.age > 0 => {
                c.pending = 0;
                c.statement = Some(Statement::Beat);
            }
            (Holding, Refresh) => {
                let Some(Answer::Found(found)) = c.answer else { return None };
                c.answer = None;
                if !found {
                    self.leave(c);
                } else if variant == Variant::LeaseFromAnswer {
                    c.age = 0;
                } else {
                    c.age = c.age.min(c.pending);
                }
            }
            (Holding, FailHeartbeat) if c.age > lease => self.leave(c),

            // ---- Release ----
            (Holding, HandOver) if self.0.releases && c.is_quiet() => c.phase = Locked,
            (Holding, Release) if self.0.releases && c.is_quiet() => self.release(c),
            (Locked | Quarantined, Release) if self.0.cancels && c.session => self.release(c),
            (Releasing, Released) if c.answer == Some(Answer::Released) => *c = Client::default(),
            (Releasing, Released) if c.answer == Some(Answer::Cancelled) => {
                // Only if a cancel is forgotten: the connection is kept, and so is the lock.
                c.answer = None;
                c.phase = Idle;
            }
            (Waiting, Cancel) if self.0.cancels => {
                c.phase = Cancelling;
                c.cancel = true;
            }
            (Cancelling, Cancel) if !c.cancel && c.session && c.answer.is_none() => {
                // It came before the statement: again.
                c.cancel = true;
            }
            (Cancelling, Cancelled) if !c.cancel || variant == Variant::CancelForgotten => {
                match c.answer? {
                    Answer::Locked => {
                        c.answer = None;
                        self.release(c);
                    }
                    // Found in `pg_locks`; that nobody looks there is a rule left out.
                    _ if c.has_lock => {
                        c.answer = None;
                        match variant {
                            Variant::TrustsCancelled => c.phase = Idle,
                            _ => self.release(c),
                        }
                    }
                    _ => *c = Client::default(),
                }
            }

            // ---- The end of a connection ----
            (Idle | Gone, Disconnect) => return None,
            (_, Disconnect) if !c.session => *c = Client::default(),
            (Idle | Gone, Crash) => return None,
            (_, Crash) if self.0.crashes => self.leave(c),

            // ---- Server ----
            (_, Run) => return self.run(s, i),
            (_, HitCancel(hit)) if c.cancel => {
                c.cancel = false;
                if hit {
                    c.statement.take()?;
                    c.answer = Some(Answer::Cancelled);
                }
            }
            (_, HitGrant)
                if c.cancel && c.statement == Some(Statement::Lock) && s.lock_is_free(i) =>
            {
                (c.cancel, c.statement, c.has_lock) = (false, None, true);
                c.answer = Some(Answer::Cancelled);
            }
            (Gone, EndGone) => self.end_session(&mut next, i),
            (_, EndIdle)
                if c.has_lock
                    && c.idle >= self.timing(c.terms).stale
                    && !self.0.stuck_clock
                    && variant != Variant::NoTimeout =>
            {
                self.end_session(&mut next, i);
            }
            (_, EndEarly) if self.0.early_ends && c.session => self.end_session(&mut next, i),
            (_, Terminate) if self.0.stuck_clock && c.has_lock => {
                let idle = c.idle;
                let mut waiters = s.others(i).filter(|w| w.phase == Waiting);
                if !waiters.any(|w| idle >= self.backstop(s, w)) {
                    return None;
                }
                self.end_session(&mut next, i);
            }
            _ => return None,
        }
        Some(next)
    }

    /// A statement arrives and runs.
    fn run(&self, s: &State, i: usize) -> Option<State> {
        let Setup { variant, .. } = self.0;
        let mut next = *s;
        let c = &mut next.clients[i];
        let statement = c.statement.take()?;
        if !c.session {
            // Only a beat is left of what was sent to a session that has ended.
            let anybody = s.clients.iter().any(|c| c.has_lock);
            c.answer = Some(Answer::Found(match variant {
                Variant::UncheckedBeat => true,
                Variant::AnybodysLock => anybody,
                _ => false,
            }));
            return Some(next);
        }
        c.idle = 0;
        match statement {
            Statement::Lock if s.lock_is_free(i) || variant == Variant::SharedSession => {
                c.has_lock = true;
                c.answer = Some(Answer::Locked);
            }
            Statement::Lock => return None,
            Statement::Write { waited } => self.write_ledger(&mut next, i, waited),
            Statement::Beat => c.answer = Some(Answer::Found(c.has_lock)),
            Statement::Release { clears } if variant == Variant::UnlockFirst => {
                c.has_lock = false;
                c.statement = clears.then_some(Statement::Clear);
                c.answer = (!clears).then_some(Answer::Released);
            }
            Statement::Release { clears } => {
                (c.has_lock, c.granted) = (false, false);
                c.answer = Some(Answer::Released);
                next.row.held &= !clears;
            }
            Statement::Clear => {
                c.granted = false;
                c.answer = Some(Answer::Released);
                next.row.held = false;
            }
        }
        Some(next)
    }

    /// One commit. It changes nothing while leases of another instance may be alive.
    fn write_ledger(&self, next: &mut State, i: usize, waited: bool) {
        let Setup { variant, .. } = self.0;
        let row = next.row;
        let c = &mut next.clients[i];
        let told = if variant == Variant::OwnQuarantine { c.terms } else { row.terms };
        let left = match variant {
            Variant::NoQuarantine => 0,
            _ => self.timing(told).stale.saturating_sub(next.since),
        };
        let other = row.held && !row.current && !waited && left > 0;
        c.answer = Some(if other { Answer::Held(left) } else { Answer::Token });
        if other && variant != Variant::InstanceFirst {
            return;
        }
        let base = if variant == Variant::NoBase { 0 } else { next.directory };
        let token = row.token.max(base) + 1;
        let mut terms = c.terms;
        let joins = c.mode == Mode::Shared && row.held && row.current;
        if joins && variant != Variant::LastReadersTerms {
            terms = terms.widest(row.terms);
        }
        next.row = Row { token, current: true, held: true, terms };
        if variant != Variant::EarlyCommit {
            next.flushed = next.row;
        }
        if !other {
            c.token = token;
            c.granted = true;
            next.unreleased = c.mode == Mode::Shared;
        }
    }

    fn grant(&self, next: &mut State, i: usize) {
        let c = &mut next.clients[i];
        let token = std::mem::take(&mut c.token);
        c.phase = Phase::Holding;
        next.granted_late |= c.age > self.timing(c.terms).lease();
        let [exclusive, shared] = next.granted;
        let earlier = match c.mode {
            Mode::Exclusive => exclusive.max(shared),
            Mode::Shared => exclusive,
        };
        next.token_fell |= token <= earlier;
        let highest = &mut next.granted[c.mode as usize];
        *highest = token.max(*highest);
    }

    fn release(&self, c: &mut Client) {
        let clears = match self.0.variant {
            Variant::KeepsHeld => false,
            Variant::ClearsUngranted => c.mode == Mode::Exclusive,
            Variant::ReadersClear => c.granted,
            _ => c.granted && c.mode == Mode::Exclusive,
        };
        c.phase = Phase::Releasing;
        c.statement = Some(Statement::Release { clears });
    }

    /// The client is no more, or has given its connection up; its session is, until the server learns that.
    fn leave(&self, c: &mut Client) {
        c.phase = Phase::Gone;
    }

    fn end_session(&self, next: &mut State, i: usize) {
        let c = &mut next.clients[i];
        next.unreleased |= c.granted;
        c.end_session();
    }

    fn restart(&self, s: &State) -> State {
        let mut next = *s;
        if self.keeps_flushed() {
            next.row = s.flushed;
        }
        next.row.current = false;
        if self.0.variant != Variant::SinceStart {
            next.since = 0;
        }
        for i in 0..self.0.clients {
            self.end_session(&mut next, i);
        }
        next
    }

    fn tick(&self, s: &State) -> State {
        let mut next = *s;
        next.since += 1;
        for c in &mut next.clients[..self.0.clients] {
            c.idle += 1;
            c.age += 1;
            c.pending += 1;
            c.quarantine = c.quarantine.saturating_sub(1);
        }
        next
    }

    /// States that differ in nothing that counts are one.
    fn settled(&self, mut s: State) -> State {
        use Phase::*;
        let longest = self.0.timing.stale;
        for c in &mut s.clients[..self.0.clients] {
            if c.phase == Gone {
                let statement = c.statement.filter(|&statement| statement != Statement::Beat);
                let Client { mode, terms, session, has_lock, granted, .. } = *c;
                let left = session && (has_lock || statement.is_some());
                *c = if left {
                    let gone = Client { phase: Gone, mode, terms, session, ..Client::default() };
                    Client { has_lock, granted, statement, ..gone }
                } else {
                    Client::default()
                };
            }
            if !c.session {
                // What is sent is lost, but for a beat that finds its way to another session.
                let kept = |&statement: &Statement| self.0.reroutes && statement == Statement::Beat;
                c.statement = c.statement.filter(kept);
            }
            let writes = matches!(c.statement, Some(Statement::Write { .. } | Statement::Beat));
            let asked = matches!(c.answer, Some(Answer::Token | Answer::Found(_)));
            let beyond = self.timing(c.terms).lease() + 1;
            let holds = c.phase == Holding;
            c.age = if holds { c.age.min(beyond) } else { 0 };
            c.pending =
                if c.phase != Gone && (writes || asked) { c.pending.min(beyond) } else { 0 };
            c.idle = if c.has_lock && c.phase != Gone { c.idle.min(longest) } else { 0 };
            if c.phase != Quarantined {
                c.quarantine = 0;
            }
        }
        // No quarantine is longer. What the row says of this instance needs none.
        s.since = if s.row.current { longest } else { s.since.min(longest) };
        if !self.keeps_flushed() {
            s.flushed = Row::default();
        }
        if self.0.symmetry {
            s.clients[..self.0.clients].sort_unstable();
        }
        s.rank_tokens();
        s
    }

    /// The T after which a waiter has a session terminated.
    fn backstop(&self, s: &State, waiter: &Client) -> u8 {
        let own = self.timing(waiter.terms).stale;
        match self.0.variant {
            Variant::OwnBackstop => own,
            _ => own.max(self.timing(s.row.terms).stale),
        }
    }

    /// Whether an answer may come before what it says is on disk.
    fn keeps_flushed(&self) -> bool {
        self.0.lazy_releases || self.0.variant == Variant::EarlyCommit
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
