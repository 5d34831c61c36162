//! A user of locks, whose events are kept.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rootlock::{Error, ErrorKind, Event, LostReason, Mode, Observer, Options, Released, Request};
use rootlock_remote::{Place, Root, Session};

pub(crate) struct User {
    pub(crate) session: Session,
    events: Mutex<Receiver<(u64, Event)>>,
    next: AtomicU64,
}

struct Told(Mutex<Sender<(u64, Event)>>);

impl Observer for Told {
    fn observe(&self, tag: u64, event: Event) {
        let _ = self.0.lock().expect("sound").send((tag, event));
    }
}

impl User {
    pub(crate) fn new() -> Self {
        let (tell, events) = channel();
        let session = Session::new(Arc::new(Told(Mutex::new(tell))));
        Self { session, events: Mutex::new(events), next: AtomicU64::new(1) }
    }

    /// Asks, and does not wait for the answer.
    pub(crate) fn ask(&self, root: &Root, mode: Mode, options: Options) -> u64 {
        let tag = self.next.fetch_add(1, Ordering::Relaxed);
        let request = Request { mode, options, notify_waiting: true, ..Request::default() };
        self.session.acquire(tag, Place::Root(root.clone()), request, None).expect("asks");
        tag
    }

    /// The next event that is no message for operators.
    pub(crate) fn next(&self) -> (u64, Event) {
        loop {
            let event = self.events.lock().expect("sound").recv_timeout(Duration::from_secs(60));
            match event.expect("an event comes in a minute") {
                (_, Event::Log(..)) => {}
                event => return event,
            }
        }
    }

    /// The token of this request, which may have to wait.
    #[track_caller]
    pub(crate) fn granted(&self, tag: u64) -> u64 {
        loop {
            match self.next() {
                (of, Event::Granted(token)) if of == tag => return token,
                (_, Event::Waiting(_)) => {}
                other => panic!("{tag} is not granted, but {other:?}"),
            }
        }
    }

    #[track_caller]
    /// Releases each of these when it is granted, until all have been: in their order, with tokens that rise.
    pub(crate) fn are_served_in_order(&self, tags: &[u64]) {
        let began = Instant::now();
        let (mut granted, mut last) = (Vec::new(), 0);
        while granted.len() < tags.len() {
            match self.next() {
                (tag, Event::Granted(token)) => {
                    assert!(token > last);
                    last = token;
                    granted.push(tag);
                    self.session.release(tag);
                }
                (_, Event::Waiting(_) | Event::Released(Ok(()))) => {}
                other => panic!("{other:?}"),
            }
        }
        eprintln!("{} in {:?}", tags.len(), began.elapsed());
        assert_eq!(granted, tags);
    }

    pub(crate) fn lock(&self, root: &Root, mode: Mode, options: Options) -> (u64, u64) {
        let tag = self.ask(root, mode, options);
        (tag, self.granted(tag))
    }

    #[track_caller]
    pub(crate) fn failed(&self, tag: u64) -> Error {
        loop {
            match self.next() {
                (of, Event::Failed(error)) if of == tag => return error,
                (_, Event::Waiting(_)) => {}
                other => panic!("{tag} does not fail, but {other:?}"),
            }
        }
    }

    #[track_caller]
    pub(crate) fn lost(&self, tag: u64) -> LostReason {
        match self.next() {
            (of, Event::Lost(reason)) if of == tag => reason,
            other => panic!("{tag} is not lost, but {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn waits(&self, tag: u64) {
        match self.next() {
            (of, Event::Waiting(_)) if of == tag => {}
            other => panic!("{tag} does not wait, but {other:?}"),
        }
    }

    /// Releases, and waits until that is done.
    #[track_caller]
    pub(crate) fn release(&self, tag: u64) {
        match self.session.release(tag) {
            Some(Released::Done(result)) => result.expect("released"),
            Some(Released::Later) => match self.next() {
                (of, Event::Released(result)) if of == tag => result.expect("released"),
                other => panic!("{tag} is not released, but {other:?}"),
            },
            None => panic!("there is no lock {tag}"),
        }
    }
}

pub(crate) fn open(url: &str) -> Root {
    rootlock_remote::place(url.to_owned()).open().unwrap_or_else(|error| panic!("{error}"))
}

/// Short, so that a test need not wait for long.
pub(crate) fn hasty() -> Options {
    Options {
        heartbeat: Duration::from_millis(300),
        stale: Duration::from_millis(900),
        ..Options::default()
    }
}

pub(crate) fn once() -> Options {
    Options { wait: false, ..Options::default() }
}

/// Releases a lock while another user, as of another process, cancels its wait for it; in every order of the two, more or
/// less. In the end the lock is free.
pub(crate) fn release_meets_cancel(here: &Root, there: &Root, options: Options, step: Duration) {
    let (user, other) = (User::new(), User::new());
    for round in 0..200_u32 {
        let (held, _) = user.lock(here, Mode::Exclusive, options);
        let waits = other.ask(there, Mode::Exclusive, options);
        other.waits(waits);
        thread::scope(|scope| {
            scope.spawn(|| user.release(held));
            scope.spawn(|| {
                // Every order of the two, more or less.
                let until = Instant::now() + step * (round % 100);
                while Instant::now() < until {
                    std::hint::spin_loop();
                }
                other.session.cancel(waits);
            });
        });
        match other.next() {
            (_, Event::Granted(_)) => other.release(waits),
            (_, Event::Failed(error)) => assert!(matches!(error.kind(), ErrorKind::Cancelled)),
            event => panic!("{event:?}"),
        }
        let (free, _) = user.lock(here, Mode::Exclusive, once());
        user.release(free);
    }
}
