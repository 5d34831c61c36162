//! A crowd of threads of one process uses one lock in every way at once: what the sanitizers watch,
//! and what must hold without them.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rootlock::{
    Acquired, Details, Error, ErrorKind, Events, Holder, Level, Lock, LostReason, Mode, Options,
    Request, Root,
};

const THREADS: u64 = 6;

/// `ROOTLOCK_CROWD` makes longer runs.
fn rounds() -> u64 {
    std::env::var("ROOTLOCK_CROWD").map_or(200, |rounds| rounds.parse().expect("a number"))
}

/// Collects panics on the crate's own threads, which would otherwise go unnoticed.
static WRONG: AtomicBool = AtomicBool::new(false);

/// Forwards the outcome of a wait.
struct Settled(Mutex<Sender<Result<Lock, Error>>>);

impl Events for Settled {
    fn waiting(&self, _tag: u64, _holder: Option<&Holder>) {}

    fn settled(&self, _tag: u64, result: Result<Lock, Error>) {
        let _ = self.0.lock().expect("no panic").send(result);
    }

    fn lost(&self, _tag: u64, reason: LostReason) {
        eprintln!("lost, though everybody beats: {reason:?}");
        WRONG.store(true, Ordering::SeqCst);
    }

    fn released(&self, _tag: u64, result: Result<(), Error>) {
        if let Err(error) = result {
            eprintln!("{error}");
            WRONG.store(true, Ordering::SeqCst);
        }
    }

    fn log(&self, _tag: u64, _level: Level, _message: &str, _details: &Details) {}
}

fn settled() -> (Arc<dyn Events>, Receiver<Result<Lock, Error>>) {
    let (sender, receiver) = channel();
    (Arc::new(Settled(Mutex::new(sender))), receiver)
}

/// The same numbers every time, so that only the machine's schedule differs.
struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// Who is inside: each reader adds one, a writer subtracts a million.
#[derive(Default)]
struct Inside {
    count: AtomicI64,
    /// The last writer's token: its grants are in order.
    token: AtomicU64,
}

const WRITER: i64 = -1_000_000;

impl Inside {
    fn visit(&self, mode: Mode, token: u64) {
        let weight = if mode == Mode::Exclusive { WRITER } else { 1 };
        let before = self.count.fetch_add(weight, Ordering::SeqCst);
        match mode {
            Mode::Exclusive => {
                assert_eq!(before, 0, "a writer is alone");
                let last = self.token.swap(token, Ordering::SeqCst);
                assert!(token > last, "token {token} after {last}");
            }
            Mode::Shared => assert!(before >= 0, "no reader beside a writer"),
        }
        thread::yield_now();
        self.count.fetch_sub(weight, Ordering::SeqCst);
    }
}

#[test]
fn a_crowd_that_waits_cancels_and_reads_is_excluded_correctly() {
    let store = tempfile::tempdir().expect("made");
    let inside = Inside::default();
    let kept = Root::open(store.path()).expect("open");
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (inside, store, kept) = (&inside, store.path(), &kept);
            scope.spawn(move || {
                let mut random = Random(number + 1);
                for _ in 0..rounds() {
                    let root = if random.below(2) == 0 {
                        kept.clone()
                    } else {
                        Root::open(store).expect("open")
                    };
                    come_and_go(&root, &mut random, inside);
                }
            });
        }
    });
    assert!(!WRONG.load(Ordering::SeqCst));
    let lock = kept.lock(Request::default()).expect("free when all have left");
    assert!(lock.token() > inside.token.load(Ordering::SeqCst));
}

fn come_and_go(root: &Root, random: &mut Random, inside: &Inside) {
    let mode = if random.below(4) == 0 { Mode::Shared } else { Mode::Exclusive };
    let options = Options {
        heartbeat: Duration::from_millis(50),
        stale: Duration::from_secs(60),
        wait: random.below(8) > 0,
        ..Options::default()
    };
    let (events, outcome) = settled();
    let request =
        Request { mode, options, notify_waiting: random.below(2) == 0, ..Request::default() };
    let lock = match root.acquire(0, request, events).expect("asked") {
        Acquired::Now(lock) => lock,
        Acquired::Later(wait) => {
            let cancelled = random.below(2) == 0;
            if cancelled {
                for _ in 0..random.below(50) {
                    thread::yield_now();
                }
                wait.cancel();
            }
            let result = outcome.recv_timeout(Duration::from_secs(60)).expect("every wait ends");
            match result {
                Ok(lock) => lock,
                Err(error) => {
                    match error.kind() {
                        ErrorKind::Cancelled => assert!(cancelled),
                        ErrorKind::Held => assert!(!options.wait),
                        other => panic!("{other:?}"),
                    }
                    return;
                }
            }
        }
    };
    inside.visit(mode, lock.token());
    // Some stay for a beat.
    if random.below(64) == 0 {
        thread::park_timeout(Duration::from_millis(60));
    }
    if random.below(2) == 0 { drop(lock) } else { drop(lock.unlock()) }
}
