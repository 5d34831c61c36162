//! Plays every order of events for the requests of one user.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Event {
    /// Asks where that may block, in one of two lines.
    Ask(bool),
    /// Asks where that can't block.
    AskHere(Outcome),
    /// A line's thread advances by one step.
    Step(bool, Outcome),
    /// A wait comes to its end.
    EndWait(u8, bool),
    Cancel(u8),
    GiveUp(u8),
    Release(u8),
    /// Nobody would keep its time.
    Abandon(u8),
    Close,
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Now,
    Later,
    Fault,
}

fn event() -> impl Strategy<Value = Event> {
    let outcome = || prop_oneof![Just(Outcome::Now), Just(Outcome::Later), Just(Outcome::Fault)];
    prop_oneof![
        4 => any::<bool>().prop_map(Event::Ask),
        2 => outcome().prop_map(Event::AskHere),
        8 => (any::<bool>(), outcome()).prop_map(|(line, outcome)| Event::Step(line, outcome)),
        4 => any::<(u8, bool)>().prop_map(|(wait, granted)| Event::EndWait(wait, granted)),
        3 => any::<u8>().prop_map(Event::Cancel),
        2 => any::<u8>().prop_map(Event::GiveUp),
        3 => any::<u8>().prop_map(Event::Release),
        1 => any::<u8>().prop_map(Event::Abandon),
        1 => Just(Event::Close),
    ]
}

/// Where a line's thread is.
#[derive(Clone, Copy)]
enum At {
    Next,
    Opened(Tag),
    Began(Tag),
}

struct World {
    requests: Requests<bool, (), Tag, Tag>,
    tags: Tag,
    threads: BTreeMap<bool, At>,
    served: BTreeMap<bool, Vec<Tag>>,
    /// In the lock's queue; a cancelled wait still has to come to its end.
    waits: BTreeMap<Tag, bool>,
    give_ups: Vec<Tag>,
    /// Locks that the user has, according to the machine or to what it was told.
    locks: BTreeSet<Tag>,
    released: BTreeSet<Tag>,
    told: BTreeSet<Tag>,
    cancelled: BTreeSet<Tag>,
    closed: bool,
}

impl World {
    fn tell(&mut self, tag: Tag) {
        assert!(!self.closed, "the user is gone");
        assert!(self.told.insert(tag), "{tag} is told once");
    }

    fn granted(&mut self, tag: Tag) {
        match self.requests.granted(tag, tag) {
            Granted::Kept => {
                assert!(!self.cancelled.contains(&tag), "{tag} was cancelled");
                self.locks.insert(tag);
                self.tell(tag);
            }
            Granted::Cancelled(lock) => {
                assert_eq!(lock, tag);
                assert!(self.cancelled.contains(&tag));
                self.released.insert(lock);
                self.tell(tag);
            }
            Granted::Unwanted(lock) => {
                assert!(self.closed || self.told.contains(&tag));
                self.released.insert(lock);
            }
        }
    }

    fn failed(&mut self, tag: Tag) {
        if self.requests.failed(tag) {
            self.tell(tag);
        }
    }

    fn outcome(&mut self, tag: Tag, outcome: Outcome) {
        match outcome {
            Outcome::Now => self.granted(tag),
            Outcome::Fault => self.failed(tag),
            Outcome::Later => {
                let cancel = self.requests.waits(tag, tag).is_some();
                self.waits.insert(tag, cancel);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Ask(line) if !self.closed => {
                self.tags += 1;
                self.requests.ask(self.tags);
                if self.requests.line_up(line, self.tags, ()) {
                    assert!(self.threads.insert(line, At::Next).is_none(), "one thread a line");
                }
                assert!(self.requests.is_busy(|| line));
            }
            Event::AskHere(outcome) if !self.closed => {
                self.tags += 1;
                self.requests.ask(self.tags);
                self.outcome(self.tags, outcome);
            }
            Event::Step(line, outcome) => {
                let Some(at) = self.threads.get(&line).copied() else { return };
                let at = match at {
                    At::Next => match self.requests.next(&line) {
                        Some((tag, ())) => At::Opened(tag),
                        None => {
                            self.threads.remove(&line);
                            return;
                        }
                    },
                    At::Opened(tag) if self.requests.begin(tag) => {
                        let served = self.served.entry(line).or_default();
                        assert!(served.iter().all(|before| *before < tag), "first come");
                        served.push(tag);
                        At::Began(tag)
                    }
                    At::Opened(_) => At::Next,
                    At::Began(tag) => {
                        self.outcome(tag, outcome);
                        At::Next
                    }
                };
                self.threads.insert(line, at);
            }
            Event::EndWait(index, granted) => {
                let Some(tag) = pick(index, self.waits.keys()) else { return };
                let cancelled = self.waits.remove(&tag).expect("picked");
                if granted && !cancelled { self.granted(tag) } else { self.failed(tag) }
            }
            Event::Cancel(tag) if self.tags > 0 => {
                let tag = 1 + Tag::from(tag) % self.tags;
                let cancel = self.requests.cancel(tag);
                if cancel != Cancel::Nothing {
                    self.cancelled.insert(tag);
                }
                match cancel {
                    Cancel::Tell => self.tell(tag),
                    Cancel::Wait(wait) => {
                        self.waits.entry(wait).and_modify(|cancelled| *cancelled = true);
                    }
                    Cancel::GiveUpLater => self.give_ups.push(tag),
                    Cancel::Nothing => {}
                }
            }
            Event::GiveUp(index) if !self.give_ups.is_empty() => {
                let index = usize::from(index) % self.give_ups.len();
                let tag = self.give_ups.swap_remove(index);
                if self.requests.give_up(tag) {
                    self.tell(tag);
                }
            }
            Event::Release(index) => {
                let Some(tag) = pick(index, self.locks.iter()) else { return };
                assert_eq!(self.requests.release(tag), Some(tag));
                self.locks.remove(&tag);
                self.released.insert(tag);
            }
            Event::Abandon(tag) if self.tags > 0 && !self.closed => {
                let tag = 1 + Tag::from(tag) % self.tags;
                let (wait, lock) = self.requests.abandon(tag);
                if let Some(wait) = wait {
                    self.waits.entry(wait).and_modify(|cancelled| *cancelled = true);
                }
                if let Some(lock) = lock {
                    assert!(self.locks.remove(&lock));
                    self.released.insert(lock);
                }
                // The call has told it; nothing else does.
                self.told.insert(tag);
            }
            Event::Close if !self.closed => {
                self.closed = true;
                let (waits, locks) = self.requests.close();
                for wait in waits {
                    self.waits.entry(wait).and_modify(|cancelled| *cancelled = true);
                }
                for lock in locks {
                    assert!(self.locks.remove(&lock));
                    self.released.insert(lock);
                }
                assert!(self.locks.is_empty(), "every lock is given back");
            }
            _ => {}
        }
    }
}

fn pick<'a>(index: u8, all: impl Iterator<Item = &'a Tag>) -> Option<Tag> {
    let all: Vec<_> = all.copied().collect();
    (!all.is_empty()).then(|| all[usize::from(index) % all.len()])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn every_request_is_told_once_and_nothing_outlives_its_user(
        events in vec(event(), 1..60),
        closes in any::<bool>(),
    ) {
        let mut world = World {
            requests: Requests::new(),
            tags: 0,
            threads: BTreeMap::new(),
            served: BTreeMap::new(),
            waits: BTreeMap::new(),
            give_ups: Vec::new(),
            locks: BTreeSet::new(),
            released: BTreeSet::new(),
            told: BTreeSet::new(),
            cancelled: BTreeSet::new(),
            closed: false,
        };
        for event in events {
            world.happen(event);
        }
        if closes {
            world.happen(Event::Close);
        }
        while !world.threads.is_empty() || !world.waits.is_empty() || !world.give_ups.is_empty() {
            world.happen(Event::Step(false, Outcome::Later));
            world.happen(Event::Step(true, Outcome::Now));
            world.happen(Event::GiveUp(0));
            world.happen(Event::EndWait(0, true));
        }
        for tag in 1..=world.tags {
            prop_assert!(world.closed || world.told.contains(&tag), "{tag} was never told");
        }
        if world.closed {
            prop_assert!(world.locks.is_empty(), "{:?} outlive their user", world.locks);
        }
    }
}
