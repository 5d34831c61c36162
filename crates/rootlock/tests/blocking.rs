//! A user whose own thread blocks for its request, and requests with a limit of time.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rootlock::{
    Answer, ErrorKind, Event, Mode, Observer, Options, Place, Released, Request, Root, Session,
};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(20);
const DEADLINE: Duration = Duration::from_secs(30);

const WRITER: Request<'static> = Request {
    file_name: Root::LOCK_FILE,
    mode: Mode::Exclusive,
    options: Options {
        heartbeat: Duration::from_secs(10),
        stale: Duration::from_secs(30),
        recover: true,
        wait: true,
    },
    notify_waiting: false,
    has_logger: false,
};

const READER: Request<'static> = Request { mode: Mode::Shared, ..WRITER };

struct Told(Mutex<Sender<(u64, Event)>>);

impl Observer for Told {
    fn observe(&self, tag: u64, event: Event) {
        let _ = self.0.lock().expect("no panic").send((tag, event));
    }
}

/// A user, and what its observer is told.
struct User {
    session: Session,
    told: Receiver<(u64, Event)>,
    root: Root,
}

impl User {
    fn new(directory: &Path) -> Self {
        let (tell, told) = channel();
        let session = Session::new(Arc::new(Told(Mutex::new(tell))));
        Self { session, told, root: Root::open(directory).expect("opens") }
    }

    fn ask(&self, tag: u64, request: Request<'_>, limit: Option<Duration>) -> Answer {
        let place = Place::Root(self.root.clone());
        self.session.acquire(tag, place, request, limit).expect("asks")
    }

    fn hold(&self, tag: u64, request: Request<'_>) {
        self.take(tag, request, None);
    }

    /// Takes a lock that nobody has.
    fn take(&self, tag: u64, request: Request<'_>, limit: Option<Duration>) {
        // A process that has just had it steps back for those who may wait where it can't know of them.
        let answer = self.ask(tag, request, limit);
        if cfg!(not(target_os = "linux")) && answer == Answer::Later {
            let (told, event) = self.hears();
            assert_eq!(told, tag);
            return granted(&event);
        }
        assert!(matches!(answer, Answer::Granted(_)), "it is free");
    }

    fn wait(&self, tag: u64, request: Request<'_>) {
        assert_eq!(self.ask(tag, request, None), Answer::Later);
    }

    /// Asks, and blocks until something comes of it.
    fn block(&self, tag: u64, request: Request<'_>, limit: Option<Duration>) -> Event {
        self.session.block(tag);
        match self.ask(tag, request, limit) {
            Answer::Granted(token) => Event::Granted(token),
            Answer::Later => self.next(tag),
        }
    }

    fn next(&self, tag: u64) -> Event {
        self.session.next(tag, Some(DEADLINE)).expect("something happens")
    }

    fn hears(&self) -> (u64, Event) {
        self.told.recv_timeout(DEADLINE).expect("something happens")
    }

    fn hears_nothing(&self) {
        assert!(self.told.try_recv().is_err());
    }

    fn release(&self, tag: u64) {
        let released = self.session.release(tag).expect("it is held");
        assert!(matches!(released, Released::Done(Ok(())) | Released::Later));
    }
}

/// It is refused, and ends as every other request that is cancelled.
fn refused(user: &User, tag: u64, event: &Event) {
    assert!(matches!(event, Event::Deadlock), "{event:?}");
    user.session.cancel(tag);
    let event = user.next(tag);
    let Event::Failed(error) = &event else { panic!("{event:?}") };
    assert!(matches!(error.kind(), ErrorKind::Cancelled), "{error}");
    user.session.unblock(tag);
}

fn granted(event: &Event) {
    assert!(matches!(event, Event::Granted(_)), "{event:?}");
}

fn held(event: &Event) {
    let Event::Failed(error) = event else { panic!("{event:?}") };
    assert!(matches!(error.kind(), ErrorKind::Held), "{error}");
    assert_eq!(error.holder().map(|holder| holder.pid), Some(std::process::id()));
}

#[test]
fn a_thread_blocks_until_another_user_releases() {
    let directory = tempfile::tempdir().expect("made");
    let (holder, user) = (User::new(directory.path()), User::new(directory.path()));
    holder.hold(1, WRITER);
    thread::scope(|scope| {
        let blocked = scope.spawn(|| {
            let user = user;
            granted(&user.block(1, WRITER, Some(LONG)));
            user.hears_nothing();
            user
        });
        holder.release(1);
        blocked.join().expect("is granted").release(1);
    });
    holder.hold(2, WRITER);
}

#[test]
fn a_thread_that_blocks_is_in_line_with_everybody() {
    let directory = tempfile::tempdir().expect("made");
    let (holder, user) = (User::new(directory.path()), User::new(directory.path()));
    holder.hold(1, WRITER);
    holder.wait(2, WRITER);
    user.session.block(1);
    assert_eq!(user.ask(1, WRITER, None), Answer::Later);
    holder.wait(3, WRITER);
    holder.release(1);
    let (tag, event) = holder.hears();
    assert_eq!(tag, 2, "who came before");
    granted(&event);
    holder.release(2);
    granted(&user.next(1));
    holder.hears_nothing();
    user.release(1);
    let (tag, event) = holder.hears();
    assert_eq!(tag, 3);
    granted(&event);
}

#[test]
fn a_wait_ends_with_its_limit_and_tells_who_holds_the_lock() {
    let directory = tempfile::tempdir().expect("made");
    let (holder, user) = (User::new(directory.path()), User::new(directory.path()));
    holder.hold(1, WRITER);
    held(&user.block(1, WRITER, Some(SHORT)));
    user.session.unblock(1);
    // For an observer as well.
    assert_eq!(user.ask(2, READER, Some(SHORT)), Answer::Later);
    let (tag, event) = user.hears();
    assert_eq!(tag, 2);
    held(&event);
    holder.release(1);
    // Nothing is left.
    user.take(3, WRITER, Some(LONG));
}

#[test]
fn a_request_that_is_cancelled_before_its_limit_was_cancelled() {
    let directory = tempfile::tempdir().expect("made");
    let (holder, user) = (User::new(directory.path()), User::new(directory.path()));
    holder.hold(1, WRITER);
    assert_eq!(user.ask(1, WRITER, Some(LONG)), Answer::Later);
    user.session.cancel(1);
    let (_, event) = user.hears();
    let Event::Failed(error) = &event else { panic!("{event:?}") };
    assert!(matches!(error.kind(), ErrorKind::Cancelled), "{error}");
}

#[test]
fn a_wait_for_what_only_the_blocked_thread_can_release_is_refused() {
    let directory = tempfile::tempdir().expect("made");
    let user = User::new(directory.path());
    for (own, wanted) in [(WRITER, WRITER), (WRITER, READER), (READER, WRITER)] {
        user.hold(1, own);
        refused(&user, 2, &user.block(2, wanted, None));
        user.release(1);
    }
    user.hold(1, READER);
    granted(&user.block(2, READER, None));
}

#[test]
fn what_the_blocked_thread_has_in_line_lets_it_pass() {
    let directory = tempfile::tempdir().expect("made");
    let (holder, user) = (User::new(directory.path()), User::new(directory.path()));
    for (before, wanted) in [(WRITER, WRITER), (WRITER, READER), (READER, WRITER)] {
        holder.hold(1, WRITER);
        user.wait(1, before);
        user.wait(2, before);
        // Another user's keeps its place.
        holder.wait(2, WRITER);
        user.session.block(3);
        assert_eq!(user.ask(3, wanted, None), Answer::Later);
        holder.release(1);
        granted(&holder.hears().1);
        holder.release(2);
        granted(&user.next(3));
        user.hears_nothing();
        user.session.unblock(3);
        user.release(3);
        for expected in [1, 2] {
            let (tag, event) = user.hears();
            assert_eq!(tag, expected, "in their order");
            granted(&event);
            if before.mode == Mode::Exclusive {
                user.release(tag);
            }
        }
        if before.mode == Mode::Shared {
            user.release(1);
            user.release(2);
        }
    }
}

#[test]
fn what_has_let_a_blocked_thread_pass_can_still_be_cancelled_and_has_its_limit() {
    let directory = tempfile::tempdir().expect("made");
    let (holder, user) = (User::new(directory.path()), User::new(directory.path()));
    holder.hold(1, WRITER);
    user.wait(1, WRITER);
    assert_eq!(user.ask(2, WRITER, Some(DEADLINE / 60)), Answer::Later);
    user.session.block(3);
    assert_eq!(user.ask(3, WRITER, None), Answer::Later);
    user.session.cancel(1);
    let (tag, event) = user.hears();
    assert!(matches!((tag, &event), (1, Event::Failed(_))), "{event:?}");
    let (tag, event) = user.hears();
    assert_eq!(tag, 2);
    held(&event);
    holder.release(1);
    granted(&user.next(3));
}

#[test]
fn readers_of_one_user_are_granted_together_unless_a_writer_is_in_line_between_them() {
    let directory = tempfile::tempdir().expect("made");
    let (holder, user) = (User::new(directory.path()), User::new(directory.path()));
    holder.hold(1, WRITER);
    user.wait(1, READER);
    user.session.block(2);
    assert_eq!(user.ask(2, READER, None), Answer::Later);
    holder.release(1);
    granted(&user.next(2));
    granted(&user.hears().1);
    holder.wait(2, WRITER);
    refused(&user, 3, &user.block(3, READER, None));
    user.release(1);
    user.release(2);
    granted(&holder.hears().1);
}

/// As in a function that is called back by the first.
#[test]
fn a_thread_that_blocks_for_a_lock_can_not_block_for_it_again() {
    let directory = tempfile::tempdir().expect("made");
    let (holder, user) = (User::new(directory.path()), User::new(directory.path()));
    holder.hold(1, WRITER);
    user.session.block(1);
    assert_eq!(user.ask(1, WRITER, None), Answer::Later);
    refused(&user, 2, &user.block(2, WRITER, None));
    holder.release(1);
    granted(&user.next(1));
}

#[test]
fn a_wait_that_comes_to_depend_on_the_blocked_thread_is_refused_then() {
    let directory = tempfile::tempdir().expect("made");
    let (holder, user) = (User::new(directory.path()), User::new(directory.path()));
    holder.hold(1, READER);
    user.session.block(1);
    assert_eq!(user.ask(1, WRITER, None), Answer::Later);
    assert!(user.session.next(1, Some(Duration::ZERO)).is_none(), "another user's is waited for");
    // One attempt stands in no line, so it overtakes.
    let once = Request { options: Options { wait: false, ..READER.options }, ..READER };
    user.wait(2, once);
    granted(&user.hears().1);
    refused(&user, 1, &user.next(1));
}

#[test]
fn one_attempt_is_told_that_the_lock_is_held_by_whomever() {
    let directory = tempfile::tempdir().expect("made");
    let user = User::new(directory.path());
    user.hold(1, WRITER);
    let once = Request { options: Options { wait: false, ..WRITER.options }, ..WRITER };
    held(&user.block(2, once, Some(Duration::ZERO)));
}

#[test]
fn what_a_thread_has_not_taken_is_told_the_observer() {
    let directory = tempfile::tempdir().expect("made");
    let (holder, user) = (User::new(directory.path()), User::new(directory.path()));
    holder.hold(1, WRITER);
    user.session.block(1);
    assert_eq!(user.ask(1, WRITER, None), Answer::Later);
    user.session.cancel(1);
    while user.session.next(1, Some(DEADLINE)).is_none() {}
    user.session.unblock(1);
    assert!(user.session.next(1, None).is_none(), "nobody blocks for it any more");
    user.session.block(2);
    assert_eq!(user.ask(2, WRITER, None), Answer::Later);
    holder.release(1);
    // Kept until somebody asks, or does not block any more.
    while user.session.release(2).is_none() {
        thread::yield_now();
    }
    user.hears_nothing();
    user.session.unblock(2);
    granted(&user.hears().1);
}

#[test]
fn a_user_that_is_gone_leaves_no_limit_behind() {
    let directory = tempfile::tempdir().expect("made");
    let (holder, user) = (User::new(directory.path()), User::new(directory.path()));
    holder.hold(1, WRITER);
    assert_eq!(user.ask(1, WRITER, Some(SHORT)), Answer::Later);
    user.session.close();
    holder.release(1);
    holder.hold(2, WRITER);
    user.hears_nothing();
}
