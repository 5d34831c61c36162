//! Many processes race for one lock, many times, in the two situations in which a design that
//! recovers stale locks can give one lock to two (R1 and R2 in docs/protocol.md).
//!
//! The same harness runs against rootlock and against a naive variant: it must find the holes of
//! the latter, or it proves nothing about the former.
#![cfg(unix)]

#[path = "races/naive.rs"]
mod naive;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime};

use rootlock::{Options, Request, Root};

const STALE: Duration = Duration::from_millis(150);

/// Longer than a busy machine keeps a thread from beating: nobody is to be preempted rightly. An
/// emulated processor needs longer.
fn options() -> Options {
    let times = if std::env::var_os("ROOTLOCK_EMULATED").is_some() { 5 } else { 1 };
    Options {
        heartbeat: Duration::from_millis(200) * times,
        stale: Duration::from_millis(600) * times,
        recover: true,
        wait: true,
    }
}

/// Set in a child, whose main function is then the test `racer`.
const DIRECTORY: &str = "ROOTLOCK_RACE_DIRECTORY";
const DESIGN: &str = "ROOTLOCK_RACE_DESIGN";

/// What the racers lock with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Design {
    Rootlock,
    Naive,
}

/// The state of the lock file at the start.
#[derive(Clone, Copy, Debug)]
enum Start {
    /// R2: nobody holds it, and it is old because nobody has held it for long.
    Cold,
    /// R1: held by somebody who does not beat.
    Abandoned,
}

/// A race that goes on until `rounds` are over or two processes were inside together.
struct Race {
    directory: tempfile::TempDir,
    racers: Vec<Racer>,
    round: u64,
}

struct Racer {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Race {
    fn new(design: Design, racers: usize) -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        fs::write(directory.path().join("round"), 0_u64.to_le_bytes()).expect("writes");
        let racers = (0..racers).map(|_| Racer::start(design, directory.path())).collect();
        Self { directory, racers, round: 0 }
    }

    /// Whether two processes were inside together.
    #[expect(clippy::disallowed_methods, reason = "the abandoned holder is a foreign program")]
    fn run(&mut self, start: Start) -> bool {
        let path = self.directory.path().join(".lock");
        let file =
            File::options().write(true).create(true).truncate(false).open(&path).expect("opens");
        if matches!(start, Start::Abandoned) {
            // Nobody holds it between two rounds; but a release that met a beat leaves its end to that.
            fs4::FileExt::lock(&file).expect("locks");
        }
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_577_836_800))
            .expect("sets");
        for racer in &mut self.racers {
            racer.commands.write_all(b"ready\n").expect("writes");
            assert_eq!(racer.answer(), "ready");
        }
        self.round += 1;
        let go =
            File::options().write(true).open(self.directory.path().join("round")).expect("opens");
        go.write_all_at(&self.round.to_le_bytes(), 0).expect("writes");
        // Every racer answers before any is judged, so that none is in the middle of something.
        let answers: Vec<_> = self.racers.iter_mut().map(Racer::answer).collect();
        drop(file);
        answers.iter().any(|answer| answer != "alone")
    }
}

impl Racer {
    fn start(design: Design, directory: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("known"))
            .args(["--exact", "racer", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, directory)
            .env(DESIGN, format!("{design:?}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let commands = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, commands, answers }
    }

    /// The racer's next answer; skips what the test runner prints around it.
    fn answer(&mut self) -> String {
        loop {
            let mut line = String::new();
            let read = self.answers.read_line(&mut line).expect("reads");
            assert!(read > 0, "a racer ended early");
            if let Some((_, answer)) = line.trim_end().split_once("racer: ") {
                return answer.to_owned();
            }
        }
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test, but the child process's main function.
#[test]
fn racer() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let naive = std::env::var(DESIGN).is_ok_and(|design| design == format!("{:?}", Design::Naive));
    let rounds = File::open(directory.join("round")).expect("opens");
    let say = |what: &str| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "racer: {what}").and_then(|()| out.flush()).expect("the parent listens");
    };
    let root = Root::open(&directory).expect("opens");
    let mut number = [0; 8];
    for _ in std::io::stdin().lock().lines() {
        rounds.read_exact_at(&mut number, 0).expect("reads");
        let before = number;
        say("ready");
        // Spins instead of waiting: all must start at the same moment.
        while number == before {
            rounds.read_exact_at(&mut number, 0).expect("reads");
        }
        let alone = if naive {
            let lock = naive::lock(&directory, STALE).expect("locks");
            let alone = be_inside(&directory);
            drop(lock);
            alone
        } else {
            let lock =
                root.lock(Request { options: options(), ..Request::default() }).expect("locks");
            let alone = be_inside(&directory);
            assert!(lock.is_held(), "nobody was frozen, so nobody may be preempted");
            drop(lock);
            alone
        };
        say(if alone { "alone" } else { "not alone" });
    }
}

/// Is inside for a moment; returns whether nobody else was.
fn be_inside(directory: &Path) -> bool {
    let marker = directory.join("inside");
    let alone = File::options().write(true).create_new(true).open(&marker).is_ok();
    for _ in 0..20 {
        let mut nothing = [0; 1];
        let _ = File::open("/dev/zero").and_then(|mut zero| zero.read_exact(&mut nothing));
        std::thread::yield_now();
    }
    // If two were inside, the first may have removed it already.
    alone && fs::remove_file(&marker).is_ok()
}

fn nobody_meets(racers: usize, start: Start, rounds: u32) {
    let mut race = Race::new(Design::Rootlock, racers);
    for round in 0..rounds {
        assert!(!race.run(start), "two held one lock: {start:?}, round {round}");
    }
}

fn somebody_meets(racers: usize, start: Start, rounds: u32) {
    let mut race = Race::new(Design::Naive, racers);
    assert!(
        (0..rounds).any(|_| race.run(start)),
        "the harness did not find the hole that is there, {start:?}, in {rounds} rounds"
    );
}

#[test]
fn a_cold_lock_file_is_never_given_to_two_of_2_processes() {
    nobody_meets(2, Start::Cold, 500);
}

#[test]
fn a_cold_lock_file_is_never_given_to_two_of_6_processes() {
    nobody_meets(6, Start::Cold, 150);
}

#[test]
fn an_abandoned_lock_file_is_never_given_to_two_of_2_processes() {
    nobody_meets(2, Start::Abandoned, 20);
}

#[test]
fn an_abandoned_lock_file_is_never_given_to_two_of_6_processes() {
    nobody_meets(6, Start::Abandoned, 20);
}

#[test]
fn the_harness_finds_the_cold_file_hole_of_the_naive_design() {
    somebody_meets(2, Start::Cold, 5_000);
}

#[test]
fn the_harness_finds_the_two_recoverers_hole_of_the_naive_design() {
    somebody_meets(4, Start::Abandoned, 5_000);
}
