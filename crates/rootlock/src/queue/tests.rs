//! Plays every order of events against a small world: a kernel lock that others want too, threads
//! that are interrupted, hang and come back, timers, and jobs that run late.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const FILE: FileId = FileId { volume: 1, index: 1 };

#[derive(Clone, Debug)]
enum Event {
    /// Joins the queue.
    Ask {
        shared: bool,
        recover: bool,
        notify: bool,
    },
    /// Tries at once if it may, else joins the queue.
    Try,
    /// Settles for one attempt.
    TryOnce {
        shared: bool,
    },
    Cancel(u8),
    FallBack(u8),
    GoAhead(u8),
    /// A wait's thread advances by one step, if it is not blocked.
    Step(u8),
    /// A thread hangs in a call that no signal ends, or comes back.
    Hang(u8),
    /// The system has no thread for the next wait.
    NoThread,
    /// An attempt or a hand-over ends.
    Work(u8, Outcome),
    Timer(u8),
    TellCancelled,
    Notify,
    /// A lease is released; whether this process's turn goes on.
    Release(u8, bool),
    Lose(u8),
    /// Another process takes or releases the kernel lock.
    Other,
    Look {
        moved: bool,
        over: bool,
        gives_way: bool,
    },
    Time(u16),
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Grant,
    Nothing,
    Fault,
}

fn event() -> impl Strategy<Value = Event> {
    let outcome = prop_oneof![Just(Outcome::Grant), Just(Outcome::Nothing), Just(Outcome::Fault)];
    let index = any::<u8>;
    prop_oneof![
        4 => (any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(shared, recover, notify)| Event::Ask { shared, recover, notify }),
        1 => Just(Event::Try),
        1 => any::<bool>().prop_map(|shared| Event::TryOnce { shared }),
        3 => index().prop_map(Event::Cancel),
        1 => index().prop_map(Event::FallBack),
        1 => index().prop_map(Event::GoAhead),
        8 => index().prop_map(Event::Step),
        1 => index().prop_map(Event::Hang),
        1 => Just(Event::NoThread),
        2 => (index(), outcome).prop_map(|(index, outcome)| Event::Work(index, outcome)),
        3 => index().prop_map(Event::Timer),
        1 => Just(Event::TellCancelled),
        1 => Just(Event::Notify),
        3 => (index(), any::<bool>()).prop_map(|(index, may)| Event::Release(index, may)),
        1 => index().prop_map(Event::Lose),
        1 => Just(Event::Other),
        2 => (any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(moved, over, gives_way)| Event::Look { moved, over, gives_way }),
        2 => any::<u16>().prop_map(Event::Time),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Granted,
    Failed,
    Cancelled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Queue,
    QueueingUp(Mode),
    Open(Mode),
    Lock(Mode),
    Grant(Key),
}

struct Thread {
    at: At,
    interrupted: bool,
    hangs: bool,
}

#[derive(Clone, Copy, Debug)]
enum Timer {
    Nudge(WaitId),
    GiveUp(Key),
}

/// Somebody who makes a grant, but is no wait.
#[derive(Clone, Copy, Debug)]
struct Work {
    key: Key,
    /// This process has the kernel lock already: a hand-over.
    has_lock: bool,
    /// Back to the queue if nothing comes of it.
    waits: bool,
}

/// Who has the kernel lock.
#[derive(Default)]
struct Kernel {
    writer: bool,
    readers: usize,
}

impl Kernel {
    fn take(&mut self, mode: Mode) -> bool {
        match mode {
            _ if self.writer => false,
            Mode::Exclusive if self.readers > 0 => false,
            Mode::Exclusive => {
                self.writer = true;
                true
            }
            Mode::Shared => {
                self.readers += 1;
                true
            }
        }
    }

    fn free(&mut self, mode: Mode) {
        match mode {
            Mode::Exclusive => self.writer = false,
            Mode::Shared => self.readers -= 1,
        }
    }
}

struct World {
    queue: Queue<Key>,
    now: Duration,
    keys: Key,
    modes: BTreeMap<Key, Mode>,
    kernel: Kernel,
    other: bool,
    threads: BTreeMap<WaitId, Thread>,
    no_thread: bool,
    /// Attempts and hand-overs in progress; the latter have the kernel lock.
    work: Vec<Work>,
    timers: Vec<Timer>,
    tell: bool,
    notify: bool,
    leases: Vec<Key>,
    /// Cancelled before they were told anything.
    cancelled: BTreeSet<Key>,
    told: BTreeMap<Key, Told>,
    notified: BTreeSet<Key>,
}

impl World {
    fn new() -> Self {
        Self {
            queue: Queue::new(Turns::default()),
            now: Duration::from_secs(1),
            keys: 0,
            modes: BTreeMap::new(),
            kernel: Kernel::default(),
            other: false,
            threads: BTreeMap::new(),
            no_thread: false,
            work: Vec::new(),
            timers: Vec::new(),
            tell: false,
            notify: false,
            leases: Vec::new(),
            cancelled: BTreeSet::new(),
            told: BTreeMap::new(),
            notified: BTreeSet::new(),
        }
    }

    fn request(&mut self, shared: bool) -> Key {
        let key = self.keys;
        self.keys += 1;
        self.modes.insert(key, if shared { Mode::Shared } else { Mode::Exclusive });
        key
    }

    fn wants(&self, key: Key, recover: bool, notify: bool) -> Wants {
        let mode = self.modes[&key];
        let gives_way = (mode == Mode::Shared).then_some(1);
        Wants { mode, recover, notify, first_look: Duration::from_millis(100), gives_way }
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::StartWait(id) if std::mem::take(&mut self.no_thread) => {
                    let (failed, more) = self.queue.wait_failed(id);
                    if let Some(key) = failed {
                        self.tell(key, Told::Failed);
                    }
                    self.carry_out(more);
                }
                Effect::StartWait(id) => {
                    let thread = Thread { at: At::Queue, interrupted: false, hangs: false };
                    assert!(self.threads.insert(id, thread).is_none(), "ids are unique");
                }
                Effect::Interrupt(id, _) => {
                    if let Some(thread) = self.threads.get_mut(&id) {
                        thread.interrupted = true;
                    }
                    self.timers.push(Timer::Nudge(id));
                }
                Effect::GiveUpLater(key) => self.timers.push(Timer::GiveUp(key)),
                Effect::TellCancelled => {
                    assert!(!self.tell, "one such job at a time");
                    self.tell = true;
                }
                Effect::Notify => self.notify = true,
            }
        }
    }

    fn tell(&mut self, key: Key, told: Told) {
        assert_eq!(self.told.insert(key, told), None, "{key} is told once");
        if told != Told::Cancelled {
            assert!(!self.cancelled.contains(&key), "{key} was cancelled, then {told:?}");
        }
    }

    fn tell_cancelled(&mut self) {
        self.tell = false;
        for key in self.queue.take_cancelled() {
            assert!(self.cancelled.contains(&key));
            self.tell(key, Told::Cancelled);
        }
    }

    /// Somebody has made a grant, and has the kernel lock.
    fn granted(&mut self, key: Key) {
        let (wanted, effects) = self.queue.granted(key);
        self.carry_out(effects);
        if wanted {
            self.tell(key, Told::Granted);
            self.leases.push(key);
        } else {
            self.kernel.free(self.modes[&key]);
            let effects = self.queue.requeue(key, self.now);
            self.carry_out(effects);
        }
    }

    fn failed(&mut self, key: Key) {
        let (failed, effects) = self.queue.failed(key);
        self.carry_out(effects);
        if let Some(key) = failed {
            self.tell(key, Told::Failed);
        }
    }

    fn first_queued(&self) -> Option<Key> {
        self.queue.queued.keys().next().copied()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Ask { shared, recover, notify } => {
                let key = self.request(shared);
                self.enqueue(key, recover, notify);
            }
            Event::Try => {
                let key = self.request(false);
                if self.queue.may_try(self.now).is_some() && self.kernel.take(Mode::Exclusive) {
                    let effects = self.queue.took(key, Mode::Exclusive);
                    self.carry_out(effects);
                    self.tell(key, Told::Granted);
                    self.leases.push(key);
                } else {
                    self.enqueue(key, true, false);
                }
            }
            Event::TryOnce { shared } => {
                let key = self.request(shared);
                let wants = self.wants(key, true, false);
                self.queue.attempt(key, wants, key);
                self.work.push(Work { key, has_lock: false, waits: false });
            }
            Event::Cancel(index) => {
                if self.modes.is_empty() {
                    return;
                }
                let key = pick(index, self.modes.keys()).expect("there are some");
                if !self.told.contains_key(&key) {
                    self.cancelled.insert(key);
                }
                let effects = self.queue.cancel(key);
                self.carry_out(effects);
            }
            Event::FallBack(index) => {
                if let Some(key) = pick(index, self.queue.queued.keys()) {
                    let new = self.request(self.modes[&key] == Mode::Shared);
                    let (moved, effects) = self.queue.fall_back(key, new, |_| new);
                    assert!(moved, "{key} is in line");
                    self.carry_out(effects);
                    // The new key is the request's only one.
                    if self.notified.contains(&key) {
                        self.notified.insert(new);
                    }
                    self.modes.remove(&key);
                }
            }
            Event::Step(index) => {
                if let Some(id) = pick(index, self.threads.keys()) {
                    self.step(id);
                }
            }
            Event::Hang(index) => {
                if let Some(id) = pick(index, self.threads.keys()) {
                    let thread = self.threads.get_mut(&id).expect("picked");
                    thread.hangs = !thread.hangs;
                }
            }
            Event::NoThread => self.no_thread = true,
            Event::Work(index, outcome) => {
                if !self.work.is_empty() {
                    let work = self.work.swap_remove(usize::from(index) % self.work.len());
                    self.work(work, outcome);
                }
            }
            Event::Timer(index) => {
                if !self.timers.is_empty() {
                    let effects =
                        match self.timers.swap_remove(usize::from(index) % self.timers.len()) {
                            Timer::Nudge(id) => self.queue.nudge(id),
                            Timer::GiveUp(key) => self.queue.give_up(key),
                        };
                    self.carry_out(effects);
                }
            }
            Event::TellCancelled => {
                if self.tell {
                    self.tell_cancelled();
                }
            }
            Event::Notify => {
                if std::mem::take(&mut self.notify) {
                    for key in self.queue.take_unnotified() {
                        assert!(!self.told.contains_key(&key), "{key} does not wait");
                        assert!(self.notified.insert(key), "{key} is notified once");
                    }
                }
            }
            Event::Release(index, may) => {
                if !self.leases.is_empty() {
                    let key = self.leases.swap_remove(usize::from(index) % self.leases.len());
                    self.release(key, may);
                }
            }
            Event::Lose(index) => {
                if let Some(key) = pick(index, self.leases.iter()) {
                    let effects = self.queue.ended(key);
                    self.carry_out(effects);
                }
            }
            Event::Other => {
                if self.other {
                    self.kernel.free(Mode::Exclusive);
                    self.other = false;
                } else {
                    self.other = self.kernel.take(Mode::Exclusive);
                }
            }
            Event::GoAhead(index) => {
                if let Some(key) = pick(index, self.queue.queued.keys()) {
                    let effects = self.queue.goes_ahead(key);
                    self.carry_out(effects);
                }
            }
            Event::Look { moved, over, gives_way } => self.look(moved, over, gives_way),
            Event::Time(micros) => self.now += Duration::from_micros(micros.into()),
        }
    }

    fn enqueue(&mut self, key: Key, recover: bool, notify: bool) {
        let wants = self.wants(key, recover, notify);
        let effects = self.queue.enqueue(key, wants, key, self.now);
        self.carry_out(effects);
    }

    /// One step of a wait's thread, following [`crate::entry`]'s.
    fn step(&mut self, id: WaitId) {
        let Thread { at, interrupted, hangs } = self.threads[&id];
        if hangs {
            return;
        }
        let next = match at {
            At::Queue => {
                let (next, effects) = self.queue.next(id, self.now);
                self.carry_out(effects);
                match next {
                    Next::Leave => {
                        self.threads.remove(&id);
                        self.tell_cancelled();
                        return;
                    }
                    Next::Wait(Wants { mode, .. }) => match self.queue.queues_up(id, self.now) {
                        None => At::Queue,
                        Some(true) => At::QueueingUp(mode),
                        Some(false) => At::Open(mode),
                    },
                }
            }
            At::QueueingUp(mode) => {
                self.queue.runs(id);
                if interrupted { At::Queue } else { At::Open(mode) }
            }
            At::Open(mode) if self.queue.locks(id, FILE, mode, self.now) => At::Lock(mode),
            At::Open(_) => At::Queue,
            At::Lock(mode) => {
                let granted = self.kernel.take(mode);
                if !granted && !interrupted {
                    return;
                }
                self.queue.runs(id);
                let first = self.first_queued();
                match granted.then(|| self.queue.claim_for_wait(id, mode)) {
                    Some(Some(claim)) => {
                        assert_eq!(Some(claim.key), first, "first come, first served");
                        At::Grant(claim.key)
                    }
                    Some(None) => {
                        self.kernel.free(mode);
                        At::Queue
                    }
                    None => At::Queue,
                }
            }
            At::Grant(key) => {
                self.granted(key);
                At::Queue
            }
        };
        // A signal that comes between two calls is lost.
        let thread = Thread { at: next, interrupted: false, hangs: false };
        self.threads.insert(id, thread);
    }

    fn work(&mut self, Work { key, has_lock, waits }: Work, outcome: Outcome) {
        let mode = self.modes[&key];
        match outcome {
            Outcome::Grant if has_lock || self.kernel.take(mode) => self.granted(key),
            Outcome::Fault if !has_lock => self.failed(key),
            Outcome::Nothing | Outcome::Grant if !waits => self.failed(key),
            _ => {
                let effects = self.queue.requeue(key, self.now);
                self.carry_out(effects);
                if has_lock {
                    self.kernel.free(mode);
                }
            }
        }
    }

    fn release(&mut self, key: Key, may: bool) {
        if self.queue.may_hand_over(key) {
            let first = self.first_queued();
            if let Some(claim) = self.queue.claim_for_hand_over(key, may) {
                assert_eq!(Some(claim.key), first, "first come, first served");
                self.work.push(Work { key: claim.key, has_lock: true, waits: true });
                return;
            }
        }
        self.kernel.free(self.modes[&key]);
        let effects = self.queue.ended(key);
        self.carry_out(effects);
    }

    fn look(&mut self, moved: bool, over: bool, gives_way: bool) {
        if let Look::At(due) = self.queue.look() {
            self.now = self.now.max(due);
        }
        let Some(what) = self.queue.begin_look(self.now) else { return };
        let gives_way = gives_way && what.gives_way.is_some();
        let effects = self.queue.saw((!moved).then_some(FILE), gives_way);
        self.carry_out(effects);
        if let Some((key, _)) = what.recoverer.filter(|_| over)
            && let Some(claim) = self.queue.claim_for_takeover(key)
        {
            self.work.push(Work { key: claim.key, has_lock: false, waits: true });
        }
        self.queue.end_look(self.now + Duration::from_secs(1));
    }

    fn check(&self) {
        let exclusive = self.leases.iter().filter(|key| self.modes[key] == Mode::Exclusive).count();
        assert!(exclusive <= 1, "one exclusive lease at most");
        let waits = self.queue.wait.is_some();
        assert!(
            self.queue.queued.is_empty() || self.queue.is_own() || waits,
            "a request is queued, and no thread waits for it"
        );
        if let (Some(wait), Some(first)) = (&self.queue.wait, self.queue.queued.values().next())
            && wait.stopping.is_none()
        {
            let Wants { mode, gives_way, .. } = first.wants;
            match wait.doing {
                // While a takeover is tried, it is not known who will be the first.
                Doing::Locking(_, locking) => assert!(
                    locking == mode || !self.queue.granting.is_empty(),
                    "waits for the first"
                ),
                Doing::QueueingUp => assert!(
                    mode == Mode::Exclusive || gives_way.is_some(),
                    "waits behind a writer that may wait for this process"
                ),
                Doing::Running | Doing::Granting => {}
            }
        }
        assert!(
            self.queue.queued.is_empty() || self.queue.look() != Look::Never,
            "a request is queued, and nobody will look"
        );
    }

    /// Lets everything in progress come to its end, without anything new.
    fn come_to_rest(&mut self) {
        for _ in 0..10_000 {
            if self.other {
                self.happen(Event::Other);
            }
            for thread in self.threads.values_mut() {
                thread.hangs = false;
            }
            let ids: Vec<_> = self.threads.keys().copied().collect();
            if ids.is_empty() && self.work.is_empty() && self.timers.is_empty() {
                if !self.leases.is_empty() {
                    self.happen(Event::Release(0, true));
                } else if self.tell || self.notify {
                    self.happen(Event::TellCancelled);
                    self.happen(Event::Notify);
                } else {
                    return;
                }
                continue;
            }
            ids.into_iter().for_each(|id| self.step(id));
            self.happen(Event::Work(0, Outcome::Grant));
            self.happen(Event::Timer(0));
            self.happen(Event::Release(0, false));
            self.check();
        }
        panic!("it never comes to rest");
    }
}

fn pick<'a, T: Copy + 'a>(index: u8, all: impl Iterator<Item = &'a T>) -> Option<T> {
    let all: Vec<_> = all.copied().collect();
    (!all.is_empty()).then(|| all[usize::from(index) % all.len()])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn every_request_is_settled_once_and_nobody_is_forgotten(events in vec(event(), 1..80)) {
        let mut world = World::new();
        for event in events {
            world.happen(event);
            world.check();
        }
        world.come_to_rest();
        for key in world.modes.keys() {
            prop_assert!(world.told.contains_key(key), "{key} was never told");
            let cancelled = world.cancelled.contains(key);
            prop_assert_eq!(cancelled, world.told[key] == Told::Cancelled);
        }
        prop_assert!(!world.kernel.writer && world.kernel.readers == 0, "nothing keeps the lock");
        prop_assert!(world.queue.queued.is_empty());
        prop_assert!(world.queue.granting.is_empty());
        prop_assert_eq!(world.queue.look(), Look::Never);
    }
}
