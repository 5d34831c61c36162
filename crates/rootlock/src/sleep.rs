//! The rules for sleep, stops and clocks that are set, tested with clocks that a test sets
//! ([`rootlock_sys::clock`]) and everything else real. The clocks are the process's: one test at a
//! time.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use std::{fs, thread};

use crate::{
    Acquired, Details, Error, Events, Holder, Level, Lock, LostReason, Mode, Options, Request, Root,
};
use rootlock_sys::{clock, flock};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Keeps other tests from setting the clocks; for every test that judges by them.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: i64 = 24 * 3600 * 1_000_000_000;

/// Beats often, but leaves a busy machine the time for it; and its lease is long: whatever happens
/// soon happens because a clock was set.
const HOLDER: Options = Options {
    heartbeat: Duration::from_millis(300),
    stale: Duration::from_secs(600),
    recover: true,
    wait: true,
};

/// Its lease ends soon.
const CONTENDER: Options =
    Options { heartbeat: Duration::from_millis(50), stale: Duration::from_millis(600), ..HOLDER };

#[derive(Default)]
struct Heard {
    lock: Mutex<Option<Lock>>,
    lost: Mutex<Option<LostReason>>,
}

impl Events for Heard {
    fn waiting(&self, _tag: u64, _holder: Option<&Holder>) {}

    fn settled(&self, _tag: u64, result: Result<Lock, Error>) {
        *self.lock.lock().expect("whole") = result.ok();
    }

    fn lost(&self, _tag: u64, reason: LostReason) {
        *self.lost.lock().expect("whole") = Some(reason);
    }

    fn released(&self, _tag: u64, _result: Result<(), Error>) {}

    fn log(&self, _tag: u64, _level: Level, _message: &str, _details: &Details) {}
}

struct Scene {
    directory: tempfile::TempDir,
    heard: Arc<Heard>,
    _alone: MutexGuard<'static, ()>,
}

impl Scene {
    fn open() -> Self {
        let alone = alone();
        let directory = tempfile::tempdir().expect("made");
        Self { directory, heard: Arc::default(), _alone: alone }
    }

    fn root(&self) -> Root {
        Root::open(self.directory.path()).expect("opens")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn ask(&self, options: Options) -> Acquired {
        let request = Request { options, ..Request::default() };
        self.root().acquire(0, request, Arc::clone(&self.heard) as _).expect("asked")
    }

    fn hold(&self) -> Lock {
        match self.ask(HOLDER) {
            Acquired::Now(lock) => lock,
            Acquired::Later(_) => panic!("it is free"),
        }
    }

    /// A foreign program's lock, on a file that already exists.
    fn foreign(&self, name: &str) -> File {
        let file = File::create(self.file(name)).expect("made");
        assert!(flock::try_lock(&file, Mode::Exclusive).expect("locks"), "nobody has it");
        file
    }

    fn lost(&self) -> Option<LostReason> {
        *self.heard.lost.lock().expect("whole")
    }

    /// Waits for some beats.
    fn beats(&self, count: usize) -> HashSet<SystemTime> {
        let mut times = HashSet::from([modified(&self.file(".lock"))]);
        eventually("it beats", || {
            times.insert(modified(&self.file(".lock")));
            times.len() > count
        });
        times
    }

    /// Asks for a lock that a foreign program holds, lets something happen to the clocks, and
    /// returns how long the takeover took.
    fn taken_over_in(&self, meanwhile: impl FnOnce()) -> Duration {
        let _foreign = self.foreign(".lock");
        let begun = Instant::now();
        assert!(matches!(self.ask(CONTENDER), Acquired::Later(_)));
        // It has looked once or twice.
        thread::park_timeout(CONTENDER.stale / 5);
        meanwhile();
        eventually("it is taken over", || self.heard.lock.lock().expect("whole").is_some());
        begun.elapsed()
    }
}

fn modified(file: &Path) -> SystemTime {
    fs::metadata(file).and_then(|metadata| metadata.modified()).expect("is there")
}

fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never happened that {what}");
        thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn a_holder_that_nobody_preempted_keeps_its_lock_through_any_sleep() {
    let scene = Scene::open();
    let lock = scene.hold();
    for _ in 0..3 {
        clock::sleep(HOUR);
        scene.beats(3);
        assert_eq!(scene.lost(), None);
    }
    assert!(lock.is_held());
}

#[test]
fn a_holder_that_was_stopped_for_long_and_not_preempted_keeps_its_lock() {
    let scene = Scene::open();
    let lock = scene.hold();
    for _ in 0..3 {
        clock::stop(HOUR);
        scene.beats(3);
        assert_eq!(scene.lost(), None);
    }
    assert!(lock.is_held());
}

#[test]
fn a_holder_that_was_preempted_while_asleep_is_notified() {
    let scene = Scene::open();
    let lock = scene.hold();
    clock::sleep(HOUR);
    fs::write(scene.file("other"), "").expect("made");
    fs::rename(scene.file("other"), scene.file(".lock")).expect("put in its place");
    eventually("the loss is reported", || scene.lost().is_some());
    assert_eq!(scene.lost(), Some(LostReason::Hijacked));
    assert!(!lock.is_held());
}

/// Its own lease counts sleep, because others do not sleep with it.
#[test]
fn sleep_counts_for_a_holder_whose_beats_fail() {
    let scene = Scene::open();
    let lock = scene.hold();
    let sitter = scene.foreign(".lock.guard");
    scene.beats(2);
    assert_eq!(scene.lost(), None, "ten minutes are not over");
    clock::sleep(HOLDER.stale);
    eventually("the loss is reported", || scene.lost().is_some());
    assert_eq!(scene.lost(), Some(LostReason::HeartbeatFailed));
    assert!(!lock.is_held());
    drop(sitter);
}

#[test]
fn setting_the_wall_clock_neither_ends_a_lease_nor_stops_its_beats() {
    let scene = Scene::open();
    let lock = scene.hold();
    // By less than an hour too: a file time only slightly ahead is kept and moved forward.
    for by in [DAY, -2 * DAY, DAY / 100, -DAY / 50, DAY + DAY / 100] {
        clock::set(by);
        scene.beats(3);
        assert_eq!(scene.lost(), None, "set by {by} ns");
    }
    assert!(lock.is_held());
}

/// A contender compares what it sees: an old time that recurred would be no sign of life.
#[test]
fn no_beat_repeats_a_time_even_if_the_wall_clock_is_set_back_repeatedly() {
    let scene = Scene::open();
    let lock = scene.hold();
    let mut last = modified(&scene.file(".lock"));
    for _ in 0..10 {
        clock::set(-60_000_000_000);
        let before = last;
        eventually("it beats", || {
            last = modified(&scene.file(".lock"));
            last != before
        });
        assert!(last > before, "a beat goes forward");
    }
    drop(lock);
    clock::set(600_000_000_000);
}

#[test]
fn tokens_rise_even_if_the_wall_clock_is_set_back() {
    let scene = Scene::open();
    let mut last = 0;
    for by in [0, -DAY, DAY / 2, -3 * DAY, 3 * DAY + DAY / 2] {
        clock::set(by);
        let lock = scene.hold();
        assert!(lock.token() > last, "set by {by} ns");
        last = lock.token();
    }
}

#[test]
fn a_contender_watches_for_the_full_time_even_if_the_wall_clock_is_set() {
    for by in [DAY, -DAY] {
        let scene = Scene::open();
        let took = scene.taken_over_in(|| clock::set(by));
        clock::set(-by);
        assert!(took >= CONTENDER.stale, "set by {by} ns: after {took:?}");
    }
}

#[test]
fn time_asleep_does_not_count_as_watched() {
    let scene = Scene::open();
    let took = scene.taken_over_in(|| clock::sleep(HOUR));
    assert!(took >= CONTENDER.stale, "after {took:?}");
}

/// It counts the time between two looks only up to the interval at which it looks anyway: a sixth.
#[test]
fn time_stopped_does_not_count_as_watched() {
    let scene = Scene::open();
    let took = scene.taken_over_in(|| clock::stop(HOUR));
    assert!(took >= CONTENDER.stale * 4 / 6, "after {took:?}");
}

#[test]
fn a_file_time_in_the_future_does_not_change_when_a_lock_is_taken_over() {
    let scene = Scene::open();
    let future = SystemTime::now() + HOUR * 24 * 365;
    let _foreign = scene.foreign(".lock");
    File::options()
        .write(true)
        .open(scene.file(".lock"))
        .and_then(|file| file.set_modified(future))
        .expect("set");
    let begun = Instant::now();
    assert!(matches!(scene.ask(CONTENDER), Acquired::Later(_)));
    eventually("it is taken over", || scene.heard.lock.lock().expect("whole").is_some());
    assert!(begun.elapsed() >= CONTENDER.stale, "after the whole watch");
}
