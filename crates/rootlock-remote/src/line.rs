//! The line of this process's requests for one lock, and the leases that it has. A pure state machine: events
//! come in as calls; [`crate::entry`] holds it under a mutex, and its task does what it says.
//!
//! ```text
//!            enqueue           claim           granted            end
//!  (request) ───────▶ queued ─────────▶ served ────────▶ leased ───────▶ (gone)
//!                      │  ▲               │ │
//!               cancel │  └── requeue ────┘ └─ failed ─▶ (error)
//!                      ▼
//!                 (cancelled)
//! ```
//!
//! One request at a time is served: it is the first in line, and no lease of this process excludes it. So one
//! connection serves a lock, and nobody overtakes.

use std::collections::BTreeMap;

use rootlock::Mode;

/// A place in line: ascending.
pub(crate) type Key = u64;

/// What a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wants {
    pub(crate) mode: Mode,
    /// Waits, rather than settling for one attempt.
    pub(crate) waits: bool,
}

struct Served {
    key: Key,
    /// No longer wanted.
    cancelled: bool,
    /// It can't have the lock at once: who does not wait is refused behind it.
    held_up: bool,
    /// It waits at the server, and the wait can go on for another one.
    waiting: bool,
}

/// What became of a request that is cancelled.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cancelled<P> {
    /// Nothing is left of it: tell.
    Gone(P),
    /// It is being served: whoever does so tells.
    Served,
    /// It has ended.
    Nothing,
}

pub(crate) struct Line<P> {
    /// In order; the one that is served is the first of them, until it is granted or fails.
    queued: BTreeMap<Key, (Wants, P)>,
    served: Option<Served>,
    leases: BTreeMap<Key, Mode>,
}

impl<P: Clone> Line<P> {
    pub(crate) fn new() -> Self {
        Self { queued: BTreeMap::new(), served: None, leases: BTreeMap::new() }
    }

    pub(crate) fn enqueue(&mut self, key: Key, wants: Wants, payload: P) {
        self.queued.insert(key, (wants, payload));
    }

    /// The first in line, if it can be served now.
    pub(crate) fn claim(&mut self) -> Option<(Key, Wants, P)> {
        if self.served.is_some() {
            return None;
        }
        let (&key, (wants, payload)) = self.queued.first_key_value()?;
        if self.is_excluded(wants.mode) {
            return None;
        }
        self.served = Some(Served { key, cancelled: false, held_up: false, waiting: false });
        Some((key, *wants, payload.clone()))
    }

    /// Whether the next in line could be served without the server's lock changing hands.
    pub(crate) fn next_mode(&self) -> Option<Mode> {
        self.queued.values().next().map(|(wants, _)| wants.mode)
    }

    fn is_excluded(&self, mode: Mode) -> bool {
        match mode {
            Mode::Exclusive => !self.leases.is_empty(),
            Mode::Shared => self.leases.values().any(|lease| *lease == Mode::Exclusive),
        }
    }

    /// The request that is served can't have the lock at once.
    pub(crate) fn is_held_up(&mut self, key: Key) {
        if let Some(served) = self.served.as_mut().filter(|served| served.key == key) {
            served.held_up = true;
        }
    }

    /// The request that is served waits at the server.
    pub(crate) fn waits(&mut self, key: Key) {
        self.is_held_up(key);
        if let Some(served) = self.served.as_mut().filter(|served| served.key == key) {
            served.waiting = true;
        }
    }

    /// The server has ended the wait: from now on it can't go on for another one. Returns whom it was for
    /// in the end.
    pub(crate) fn answered(&mut self) -> Option<(Key, Wants, P)> {
        self.served.as_mut()?.waiting = false;
        self.served()
    }

    /// Those that do not wait, and can't be served at once: they are refused.
    pub(crate) fn take_refused(&mut self) -> Vec<P> {
        let held_up = self.served.as_ref().is_some_and(|served| served.held_up);
        let mut refused = Vec::new();
        let mut blocked = false;
        let served = self.served.as_ref().map(|served| served.key);
        let keys: Vec<_> = self.queued.iter().map(|(key, (wants, _))| (*key, *wants)).collect();
        for (key, wants) in keys {
            if Some(key) == served {
                blocked |= held_up;
                continue;
            }
            let is_refused = blocked || self.is_excluded(wants.mode);
            if is_refused && !wants.waits {
                refused.extend(self.queued.remove(&key).map(|(_, payload)| payload));
            }
            // Whoever waits for a lease of this process keeps out those behind.
            blocked |= is_refused;
        }
        refused
    }

    /// The request that is served: another one than before, if the wait was passed on.
    pub(crate) fn served(&self) -> Option<(Key, Wants, P)> {
        let key = self.served.as_ref()?.key;
        self.queued.get(&key).map(|(wants, payload)| (key, *wants, payload.clone()))
    }

    /// Whether the request that is served is still wanted.
    pub(crate) fn is_wanted(&self, key: Key) -> bool {
        self.served.as_ref().is_some_and(|served| served.key == key && !served.cancelled)
    }

    /// The server has granted it: whether it is still wanted, and leased now. If not, it is gone.
    pub(crate) fn granted(&mut self, key: Key) -> bool {
        let wanted = self.is_wanted(key);
        let Some((wants, _)) = self.queued.remove(&key) else { return false };
        self.served = None;
        if wanted {
            self.leases.insert(key, wants.mode);
        }
        wanted
    }

    /// Nothing comes of it: it is gone.
    pub(crate) fn failed(&mut self, key: Key) {
        self.served.take_if(|served| served.key == key);
        self.queued.remove(&key);
    }

    /// A request is no longer wanted.
    pub(crate) fn cancel(&mut self, key: Key) -> Cancelled<P> {
        if let Some(served) = self.served.as_mut().filter(|served| served.key == key) {
            served.cancelled = true;
            return Cancelled::Served;
        }
        self.queued.remove(&key).map_or(Cancelled::Nothing, |(_, payload)| Cancelled::Gone(payload))
    }

    /// A request that waits at the server is cancelled, and the next one wants the same: the wait goes on for
    /// that.
    pub(crate) fn pass_wait_on(
        &mut self,
        key: Key,
        same: impl FnOnce(&P) -> bool,
    ) -> Option<(Key, Wants, P)> {
        let served = self.served.as_ref().filter(|served| served.key == key && served.waiting)?;
        let (mode, _) = self.queued.get(&served.key).map(|(wants, _)| (wants.mode, ()))?;
        let (&next, (wants, payload)) = self.queued.range(key + 1..).next()?;
        if wants.mode != mode || !wants.waits || !same(payload) {
            return None;
        }
        let next = (next, *wants, payload.clone());
        self.queued.remove(&key);
        self.served = Some(Served { key: next.0, cancelled: false, held_up: true, waiting: true });
        Some(next)
    }

    /// A lease ends, or is lost. Whether it was there.
    pub(crate) fn end(&mut self, key: Key) -> bool {
        self.leases.remove(&key).is_some()
    }

    pub(crate) fn has_leases(&self) -> bool {
        !self.leases.is_empty()
    }

    /// Nobody is in line, and nothing is leased.
    pub(crate) fn is_empty(&self) -> bool {
        self.queued.is_empty() && self.leases.is_empty()
    }

    /// Whether a request is in line, or its lease is not over.
    pub(crate) fn has(&self, key: Key) -> bool {
        self.queued.contains_key(&key) || self.leases.contains_key(&key)
    }

    /// All that wait.
    pub(crate) fn all(&self) -> impl Iterator<Item = &P> {
        self.queued.values().map(|(_, payload)| payload)
    }

    /// Requests give up their places for new ones at the end of the line; all at once, so that they stay in their order. The one
    /// that waits at the server can do so only if the wait can go on for the first of those who stay. Returns who
    /// has moved.
    pub(crate) fn fall_back(
        &mut self,
        moves: &[(Key, Key)],
        same: impl FnOnce(&P, &P) -> bool,
        renew: impl Fn(&P, Key) -> P,
    ) -> Vec<Key> {
        let moves_too = |key: Key| moves.iter().any(|(old, _)| *old == key);
        let mut stays = None;
        if let Some(served) = self.served.as_ref().filter(|served| moves_too(served.key)) {
            let of = |key: Key| self.queued.get(&key);
            let mut behind =
                self.queued.range(served.key + 1..).filter(|(key, _)| !moves_too(**key));
            let next = behind.next().filter(|(_, (wants, payload))| {
                served.waiting
                    && !served.cancelled
                    && wants.waits
                    && of(served.key)
                        .is_some_and(|(own, it)| own.mode == wants.mode && same(it, payload))
            });
            match next {
                Some((&key, _)) => {
                    self.served =
                        Some(Served { key, cancelled: false, held_up: true, waiting: true });
                }
                None => stays = Some(served.key),
            }
        }
        let mut moved = Vec::new();
        for &(old, new) in moves.iter().filter(|(old, _)| Some(*old) != stays) {
            if let Some((wants, payload)) = self.queued.remove(&old) {
                self.queued.insert(new, (wants, renew(&payload, new)));
                moved.push(old);
            }
        }
        moved
    }

    /// Whether a queued request can't be granted before a lease of this process ends.
    pub(crate) fn waits_for(&self, key: Key, held: Mode) -> bool {
        self.queued.contains_key(&key) && self.excludes(held, 0, key)
    }

    /// The same of a lease that another request before it will have.
    pub(crate) fn waits_behind(&self, key: Key, before: Key) -> bool {
        let (Some((wants, _)), true) = (self.queued.get(&before), self.queued.contains_key(&key))
        else {
            return false;
        };
        before < key && self.excludes(wants.mode, before, key)
    }

    fn excludes(&self, held: Mode, from: Key, key: Key) -> bool {
        held == Mode::Exclusive
            || self.queued.range(from..=key).any(|(_, (wants, _))| wants.mode == Mode::Exclusive)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const X: Wants = Wants { mode: Mode::Exclusive, waits: true };
    const S: Wants = Wants { mode: Mode::Shared, waits: true };

    fn line(all: &[Wants]) -> Line<u64> {
        let mut line = Line::new();
        for (key, wants) in (1..).zip(all) {
            line.enqueue(key, *wants, key);
        }
        line
    }

    fn serve(line: &mut Line<u64>) -> Option<u64> {
        let (key, ..) = line.claim()?;
        assert!(line.granted(key));
        Some(key)
    }

    #[test]
    fn readers_share_and_do_not_overtake_a_writer() {
        let mut line = line(&[S, S, X, S]);
        assert_eq!(serve(&mut line), Some(1));
        assert_eq!(serve(&mut line), Some(2));
        assert_eq!(serve(&mut line), None);
        assert!(line.waits_for(3, Mode::Shared) && line.waits_for(4, Mode::Shared));
        assert!(line.end(1) && line.end(2));
        assert_eq!(serve(&mut line), Some(3));
        assert!(line.waits_for(4, Mode::Exclusive) && !line.end(1));
        assert!(line.end(3));
        assert_eq!(serve(&mut line), Some(4));
    }

    #[test]
    fn whoever_does_not_wait_is_refused_when_somebody_is_in_the_way() {
        let once = |wants| Wants { waits: false, ..wants };
        let mut line = line(&[X, once(X)]);
        assert_eq!(line.take_refused(), [0; 0], "it may be its turn yet");
        let (key, ..) = line.claim().expect("first");
        line.waits(key);
        assert_eq!(line.take_refused(), [2]);
        let mut line = self::line(&[S, once(S), once(X), S]);
        assert_eq!(serve(&mut line), Some(1));
        assert_eq!(line.take_refused(), [3], "a reader is not kept out by a reader");
        assert_eq!(serve(&mut line), Some(2));
    }

    #[test]
    fn a_wait_at_the_server_goes_on_for_the_next_who_wants_the_same() {
        let mut line = line(&[X, X, S]);
        let (key, ..) = line.claim().expect("first");
        assert_eq!(line.pass_wait_on(key, |_| true), None, "it does not wait yet");
        line.waits(key);
        assert_eq!(line.cancel(key), Cancelled::Served);
        assert_eq!(line.pass_wait_on(key, |_| true), Some((2, X, 2)));
        assert_eq!(line.pass_wait_on(2, |_| true), None, "a reader wants another lock");
        assert!(line.is_wanted(2) && !line.is_wanted(1));
    }

    #[derive(Clone, Debug)]
    enum Event {
        Enqueue(bool, bool),
        Claim,
        Granted,
        Failed,
        Waits,
        PassOn,
        Cancel(u64),
        End(u64),
        FallBack(u64, u64),
        Refuse,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => (any::<bool>(), any::<bool>()).prop_map(|(shared, waits)| Event::Enqueue(shared, waits)),
            4 => Just(Event::Claim),
            4 => Just(Event::Granted),
            1 => Just(Event::Failed),
            2 => Just(Event::Waits),
            1 => Just(Event::PassOn),
            2 => (0..20_u64).prop_map(Event::Cancel),
            4 => (0..20_u64).prop_map(Event::End),
            2 => (0..20_u64, 0..3_u64).prop_map(|(from, more)| Event::FallBack(from, from + more)),
            1 => Just(Event::Refuse),
        ]
    }

    proptest! {
        #[test]
        fn nobody_overtakes_is_forgotten_or_excluded(events in prop::collection::vec(event(), 0..120)) {
            let mut line = Line::new();
            let (mut next, mut last_granted) = (1, 0);
            // Who is in line, with what it wants; and who holds what.
            let mut waiting: BTreeMap<u64, Wants> = BTreeMap::new();
            let mut leases: BTreeMap<u64, Mode> = BTreeMap::new();
            let mut served: Option<(u64, bool)> = None;
            let mut waits_there = false;
            for event in events {
                match event {
                    Event::Enqueue(shared, waits) => {
                        let mode = if shared { Mode::Shared } else { Mode::Exclusive };
                        line.enqueue(next, Wants { mode, waits }, next);
                        waiting.insert(next, Wants { mode, waits });
                        next += 1;
                    }
                    Event::Claim => {
                        let claim = line.claim();
                        let first = waiting.first_key_value();
                        let free = first.filter(|(_, wants)| leases.values().all(|held| {
                            *held == Mode::Shared && wants.mode == Mode::Shared
                        }));
                        match claim {
                            Some((key, ..)) => {
                                prop_assert!(served.is_none());
                                prop_assert_eq!(Some(key), free.map(|(key, _)| *key));
                                (served, waits_there) = (Some((key, true)), false);
                            }
                            None => prop_assert!(served.is_some() || free.is_none()),
                        }
                    }
                    Event::Granted => if let Some((key, wanted)) = served.take() {
                        prop_assert_eq!(line.granted(key), wanted);
                        let wants = waiting.remove(&key).expect("was in line");
                        if wanted {
                            prop_assert!(key > last_granted);
                            last_granted = key;
                            leases.insert(key, wants.mode);
                        }
                    },
                    Event::Failed => if let Some((key, _)) = served.take() {
                        line.failed(key);
                        waiting.remove(&key);
                    },
                    Event::Waits => if let Some((key, _)) = served {
                        line.waits(key);
                        waits_there = true;
                    },
                    Event::PassOn => if let Some((key, false)) = served
                        && let Some((to, ..)) = line.pass_wait_on(key, |_| true) {
                            prop_assert!(waits_there);
                            waiting.remove(&key);
                            prop_assert_eq!(waiting.first_key_value().map(|(key, _)| *key), Some(to));
                            served = Some((to, true));
                        },
                    Event::Cancel(key) => match line.cancel(key) {
                        Cancelled::Gone(told) => {
                            prop_assert_eq!(told, key);
                            prop_assert!(waiting.remove(&key).is_some());
                        }
                        Cancelled::Served => {
                            prop_assert_eq!(served.map(|(served, _)| served), Some(key));
                            served = Some((key, false));
                        }
                        Cancelled::Nothing => prop_assert!(!waiting.contains_key(&key)),
                    },
                    Event::End(key) => prop_assert_eq!(line.end(key), leases.remove(&key).is_some()),
                    Event::FallBack(from, to) => {
                        let moves: Vec<_> = (from..=to).zip(next..).collect();
                        next += to + 1 - from;
                        let moved = line.fall_back(&moves, |_, _| true, |_, new| new);
                        let staying = waiting.keys().find(|key| !(from..=to).contains(key)).copied();
                        for (old, new) in moves {
                            let is_served = served.is_some_and(|(key, _)| key == old);
                            let in_line = waiting.contains_key(&old);
                            prop_assert!(in_line || !moved.contains(&old));
                            prop_assert!(!in_line || is_served || moved.contains(&old));
                            if !moved.contains(&old) {
                                continue;
                            }
                            if is_served {
                                prop_assert_eq!((served, waits_there), (Some((old, true)), true));
                                // The wait goes on for the first of those who stay.
                                let on = line.served().expect("goes on").0;
                                prop_assert_eq!(Some(on), staying);
                                served = Some((on, true));
                            }
                            let wants = waiting.remove(&old).expect("in line");
                            waiting.insert(new, wants);
                        }
                    }
                    Event::Refuse => for refused in line.take_refused() {
                        prop_assert!(waiting.remove(&refused).is_some_and(|wants| !wants.waits));
                        prop_assert!(served.is_none_or(|(served, _)| served != refused));
                    },
                }
                let all: Vec<_> = line.all().copied().collect();
                let expected: Vec<_> = waiting.keys().copied().collect();
                prop_assert_eq!(all, expected);
                prop_assert_eq!(line.is_empty(), waiting.is_empty() && leases.is_empty());
                let writers = leases.values().filter(|mode| **mode == Mode::Exclusive).count();
                prop_assert!(writers == 0 || leases.len() == 1);
            }
        }
    }
}
