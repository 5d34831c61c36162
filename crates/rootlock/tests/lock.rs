//! Locks within one process: every lock has its own open file, so threads exclude each other as
//! processes do.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rootlock::{ErrorKind, Lock, Mode, Options, Request, Root, State};

/// Long enough for any machine; reached only when something never happens.
const DEADLINE: Duration = Duration::from_secs(30);

/// Short, so as not to cost much; only ever proves that something blocks.
const QUIET: Duration = Duration::from_millis(100);

fn root() -> (tempfile::TempDir, Root) {
    let directory = tempfile::tempdir().expect("temporary directory");
    let root = Root::open(directory.path()).expect("opens");
    (directory, root)
}

fn shared() -> Request<'static> {
    Request { mode: Mode::Shared, ..Request::default() }
}

fn no_wait(request: Request<'static>) -> Request<'static> {
    Request { options: Options { wait: false, ..request.options }, ..request }
}

/// Asks for the lock on another thread.
fn asks(root: &Root, request: Request<'static>) -> mpsc::Receiver<Lock> {
    let (sender, receiver) = mpsc::channel();
    let root = root.clone();
    thread::spawn(move || sender.send(root.lock(request).expect("locks")));
    receiver
}

fn must_block(waiter: &mpsc::Receiver<Lock>) {
    assert!(waiter.recv_timeout(QUIET).is_err(), "acquired a lock that somebody else holds");
}

fn must_be_held(root: &Root, request: Request<'static>) {
    let error = root.lock(no_wait(request)).expect_err("somebody holds it");
    assert!(matches!(error.kind(), ErrorKind::Held), "{error}");
    assert_eq!(error.holder().expect("known").pid, std::process::id());
}

#[test]
fn a_lock_can_be_taken_again_after_it_was_released() {
    let (_directory, root) = root();
    let mut last = 0;
    for _ in 0..100 {
        let lock = root.lock(Request::default()).expect("locks");
        assert!(lock.token() > last, "tokens rise");
        last = lock.token();
    }
}

#[test]
fn a_writer_keeps_out_writers_and_readers() {
    let (_directory, root) = root();
    let _writer = root.lock(Request::default()).expect("locks");
    must_be_held(&root, Request::default());
    must_be_held(&root, shared());
}

#[test]
fn readers_share_and_keep_out_a_writer() {
    let (_directory, root) = root();
    let readers: Vec<_> = (0..10).map(|_| root.lock(shared()).expect("locks")).collect();
    must_be_held(&root, Request::default());
    drop(readers);
    drop(root.lock(no_wait(Request::default())).expect("free"));
}

#[test]
fn a_waiter_acquires_the_lock_when_the_holder_releases() {
    let (_directory, root) = root();
    for (holds, asked) in [
        (Request::default(), Request::default()),
        (Request::default(), shared()),
        (shared(), Request::default()),
    ] {
        let holder = root.lock(holds).expect("locks");
        let waiter = asks(&root, asked);
        must_block(&waiter);
        drop(holder);
        drop(waiter.recv_timeout(DEADLINE).expect("handed over"));
    }
}

#[test]
fn two_roots_of_one_directory_share_one_lock() {
    let (directory, root) = root();
    let _holder = root.lock(Request::default()).expect("locks");
    let again = Root::open(directory.path().join(".")).expect("opens");
    must_be_held(&again, Request::default());
}

#[test]
fn every_caller_is_shown_the_path_that_it_used() {
    let (directory, root) = root();
    let holder = root.lock(Request::default()).expect("locks");
    let other = directory.path().join(".");
    let again = Root::open(&other).expect("opens");
    let error = again.lock(no_wait(Request::default())).expect_err("somebody holds it");
    // As text: `Path` considers the two equal.
    assert_eq!(error.path().as_os_str(), other.join(Root::LOCK_FILE).as_os_str());
    drop(holder);
    let holder = again.lock(Request::default()).expect("free");
    let path = format!("{:?}", other.join(Root::LOCK_FILE));
    assert!(format!("{holder:?}").contains(&path), "{holder:?} is at {path}");
}

#[test]
fn locks_of_different_names_are_independent() {
    let (_directory, root) = root();
    let _holder = root.lock(Request::default()).expect("locks");
    let other = Request { file_name: "other.lock", ..Request::default() };
    drop(root.lock(no_wait(other)).expect("another lock"));
}

#[test]
fn an_exclusive_section_is_never_entered_twice() {
    use std::sync::atomic::{AtomicU32, Ordering};
    static INSIDE: AtomicU32 = AtomicU32::new(0);
    let (_directory, root) = root();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let lock = root.lock(Request::default()).expect("locks");
                    assert_eq!(INSIDE.fetch_add(1, Ordering::SeqCst), 0, "two are inside");
                    INSIDE.fetch_sub(1, Ordering::SeqCst);
                    drop(lock);
                }
            });
        }
    });
}

#[test]
fn inspect_reports_how_the_lock_is_held_and_takes_nothing() {
    let (directory, root) = root();
    let stale = Options::default().stale;
    let look = || root.inspect(Root::LOCK_FILE, stale).expect("looks");
    assert_eq!(look().state, State::Free);
    assert!(!directory.path().join(Root::LOCK_FILE).exists(), "nothing is made");
    let writer = root.lock(Request::default()).expect("locks");
    let seen = look();
    assert_eq!(seen.state, State::Exclusive);
    assert_eq!(seen.holder.expect("known").token, Some(writer.token()));
    drop(writer);
    let reader = root.lock(shared()).expect("locks");
    assert_eq!(look().state, State::Shared);
    drop(reader);
    assert_eq!(look().state, State::Free);
}

#[cfg(target_os = "linux")]
#[test]
fn a_released_lock_leaves_no_descriptor_and_no_thread() {
    use std::time::Instant;
    let (_directory, root) = root();
    let count =
        |what: &str| std::fs::read_dir(format!("/proc/self/{what}")).expect("Linux").count();
    drop(root.lock(Request::default()).expect("locks"));
    let descriptors = count("fd");
    for _ in 0..100 {
        drop(root.lock(Request::default()).expect("locks"));
    }
    let begun = Instant::now();
    // Other tests run in parallel and have their own descriptors.
    while count("fd") > descriptors {
        assert!(begun.elapsed() < DEADLINE, "{} descriptors, were {descriptors}", count("fd"));
        thread::yield_now();
    }
}
