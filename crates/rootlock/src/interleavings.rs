//! Tests that run several threads in thousands of orders. `npm run check -- interleavings` builds
//! the crate with [shuttle](https://docs.rs/shuttle)'s threads, mutexes and condition variables in
//! place of the system's, and with a clock that the test sets. The files and the kernel locks are
//! real.
//!
//! A wait ends only by being woken, or when a test lets its time pass. So a missing wake-up is a
//! deadlock, which shuttle reports with the order that leads to it.

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex, PoisonError};
    use std::time::{Duration, SystemTime};

    use shuttle::sync::mpsc;
    use shuttle::thread;

    use crate::Acquired;
    use crate::events::{Details, Events, Level, LostReason};
    use crate::pool;
    use crate::{
        Answer, Error, Event, Holder, Lock, Mode, Observer, Options, Place, Released, Request,
        Root, Session, timer,
    };
    use rootlock_sys::flock;
    use rootlock_sys::shuttle::clock;
    use rootlock_sys::shuttle::thread::alive;

    const START: Duration = Duration::from_secs(1_000);
    const HEARTBEAT: Duration = Duration::from_secs(10);

    /// Runs a test in many orders: at random, and with few but well-placed switches.
    fn explore(test: impl Fn() + Send + Sync + 'static) {
        // The process has one timer and one pool: one test at a time.
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let test = Arc::new(test);
        for few_switches in [false, true] {
            let test = Arc::clone(&test);
            let run = move || {
                clock::set(START);
                test();
                // Everything that is left ends when its time has passed.
                while alive() > 0 {
                    pass_time(Duration::from_secs(2));
                    thread::yield_now();
                }
            };
            if few_switches {
                shuttle::check_pct(run, 2_000, 3);
            } else {
                shuttle::check_random(run, 2_000);
            }
        }
    }

    fn pass_time(time: Duration) {
        clock::set(clock::awake() + time);
        timer::time_passes();
        pool::time_passes();
    }

    /// Counts the events.
    #[derive(Default)]
    struct Told {
        lost: AtomicUsize,
        released: AtomicUsize,
    }

    impl Told {
        fn lost(&self) -> usize {
            self.lost.load(Ordering::SeqCst)
        }

        fn released(&self) -> usize {
            self.released.load(Ordering::SeqCst)
        }
    }

    impl Events for Told {
        fn waiting(&self, _tag: u64, _holder: Option<&Holder>) {}

        fn settled(&self, _tag: u64, _result: Result<Lock, Error>) {}

        fn lost(&self, _tag: u64, _reason: LostReason) {
            self.lost.fetch_add(1, Ordering::SeqCst);
        }

        fn released(&self, _tag: u64, result: Result<(), Error>) {
            result.expect("releases");
            self.released.fetch_add(1, Ordering::SeqCst);
        }

        fn log(&self, _tag: u64, _level: Level, _message: &str, _details: &Details) {}
    }

    fn acquire(root: &Root, file_name: &str, heartbeat: Duration, told: &Arc<Told>) -> Lock {
        let options = Options { heartbeat, stale: heartbeat * 3, recover: true, wait: true };
        let request = Request { file_name, options, ..Request::default() };
        let events: Arc<dyn Events> = Arc::<Told>::clone(told);
        match root.acquire(0, request, events).expect("locks") {
            Acquired::Now(lock) => lock,
            Acquired::Later(_) => panic!("nobody else wants it"),
        }
    }

    /// A held lock, and its file opened once more.
    struct Held {
        directory: tempfile::TempDir,
        file: File,
        told: Arc<Told>,
        lock: Lock,
    }

    fn held() -> Held {
        let directory = tempfile::tempdir().expect("temporary directory");
        let root = Root::open(directory.path()).expect("opens");
        let told = Arc::<Told>::default();
        let lock = acquire(&root, ".lock", HEARTBEAT, &told);
        let file = File::open(directory.path().join(".lock")).expect("opens");
        assert!(!is_free(&file));
        Held { directory, file, told, lock }
    }

    fn is_free(file: &File) -> bool {
        let free = flock::try_lock(file, Mode::Exclusive).expect("asks");
        if free {
            flock::unlock(file).expect("unlocks");
        }
        free
    }

    fn modified(path: &Path) -> SystemTime {
        fs::metadata(path).and_then(|data| data.modified()).expect("is there")
    }

    /// Lets due timers fire while the lock is being released, each on its own thread.
    fn release_while_time_passes<const N: usize>(lock: Lock, times: [Duration; N]) -> Released {
        let time = thread::spawn(move || times.into_iter().for_each(pass_time));
        let release = thread::spawn(move || lock.unlock());
        time.join().expect("passes");
        release.join().expect("releases")
    }

    /// Waits, forever if need be, for what another thread does.
    fn until(done: impl Fn() -> bool) {
        while !done() {
            thread::yield_now();
        }
    }

    /// Exactly one of the two that could have done it has given the lock back, and has reported it.
    fn is_given_back_once(released: &Released, told: &Told, file: &File) {
        match released {
            Released::Done(result) => {
                assert!(result.is_ok());
                assert!(is_free(file));
            }
            Released::Later => until(|| told.released() > 0),
        }
        assert!(is_free(file));
        let later = usize::from(matches!(released, Released::Later));
        assert_eq!(told.released(), later);
    }

    #[test]
    fn every_job_is_done_once() {
        explore(|| {
            let done = Arc::new(AtomicUsize::new(0));
            let (says, hears) = mpsc::channel();
            let clients: Vec<_> = (0..2)
                .map(|_| {
                    let (done, says) = (Arc::clone(&done), says.clone());
                    thread::spawn(move || {
                        for _ in 0..3 {
                            let (done, says) = (Arc::clone(&done), says.clone());
                            let job = move || {
                                done.fetch_add(1, Ordering::SeqCst);
                                says.send(()).expect("is heard");
                            };
                            pool::run(job).expect("runs");
                        }
                    })
                })
                .collect();
            for _ in 0..6 {
                hears.recv().expect("is said");
            }
            for client in clients {
                client.join().expect("ends");
            }
            assert_eq!(done.load(Ordering::SeqCst), 6);
        });
    }

    #[test]
    fn jobs_are_done_while_idle_threads_leave() {
        explore(|| {
            let (says, hears) = mpsc::channel();
            let time = thread::spawn(|| (0..4).for_each(|_| pass_time(Duration::from_secs(1))));
            for _ in 0..4 {
                let says = says.clone();
                pool::run(move || says.send(()).expect("is heard")).expect("runs");
                hears.recv().expect("is said");
            }
            time.join().expect("passes");
        });
    }

    #[test]
    fn a_release_that_meets_a_beat_gives_the_lock_back_once() {
        explore(|| {
            let Held { directory: _directory, file, told, lock } = held();
            let released = release_while_time_passes(lock, [HEARTBEAT]);
            is_given_back_once(&released, &told, &file);
            assert_eq!(told.lost(), 0);
        });
    }

    #[test]
    fn a_release_that_meets_a_loss_gives_the_lock_back_once() {
        explore(|| {
            let Held { directory, file, told, lock } = held();
            fs::remove_file(directory.path().join(".lock")).expect("removes");
            let released = release_while_time_passes(lock, [HEARTBEAT]);
            is_given_back_once(&released, &told, &file);
            assert!(told.lost() <= 1);
        });
    }

    #[test]
    fn a_release_that_meets_an_expiry_gives_the_lock_back_once() {
        explore(|| {
            let Held { directory, file, told, lock } = held();
            // Somebody is stopped inside the guard: no beat gets through.
            let guard = File::open(directory.path().join(".lock.guard")).expect("opens");
            assert!(flock::try_lock(&guard, Mode::Exclusive).expect("asks"));
            let released = release_while_time_passes(lock, [HEARTBEAT, HEARTBEAT, HEARTBEAT / 2]);
            is_given_back_once(&released, &told, &file);
            assert!(told.lost() <= 1);
        });
    }

    #[test]
    fn a_preempted_holder_is_notified_once_whatever_finds_it_first() {
        explore(|| {
            let Held { directory, file: _file, told, lock } = held();
            fs::remove_file(directory.path().join(".lock")).expect("removes");
            let time = thread::spawn(|| (0..4).for_each(|_| pass_time(HEARTBEAT)));
            until(|| told.lost() > 0);
            time.join().expect("passes");
            assert!(!lock.is_held());
            assert!(matches!(lock.unlock(), Released::Done(Ok(())) | Released::Later));
            assert_eq!(told.lost(), 1);
        });
    }

    #[test]
    fn the_timer_wakes_earlier_for_a_shorter_heartbeat() {
        explore(|| {
            let directory = tempfile::tempdir().expect("temporary directory");
            let root = Root::open(directory.path()).expect("opens");
            let told = Arc::<Told>::default();
            let slow = acquire(&root, "slow", HEARTBEAT, &told);
            let fast = acquire(&root, "fast", HEARTBEAT / 10, &told);
            let path = directory.path().join("fast");
            let granted = modified(&path);
            pass_time(HEARTBEAT / 10);
            until(|| modified(&path) != granted);
            for lock in [slow, fast] {
                let _ = lock.unlock();
            }
            assert_eq!(told.lost(), 0);
        });
    }

    #[test]
    fn a_timer_that_is_about_to_stop_serves_a_new_lock() {
        explore(|| {
            let directory = tempfile::tempdir().expect("temporary directory");
            let root = Root::open(directory.path()).expect("opens");
            let told = Arc::<Told>::default();
            // It stops a second after this.
            drop(acquire(&root, "first", HEARTBEAT, &told));
            let time = thread::spawn(|| {
                pass_time(Duration::from_millis(600));
                pass_time(Duration::from_millis(600));
            });
            let lock = acquire(&root, "second", HEARTBEAT, &told);
            time.join().expect("passes");
            let path = directory.path().join("second");
            let granted = modified(&path);
            pass_time(HEARTBEAT);
            until(|| modified(&path) != granted);
            assert!(lock.is_held());
            let _ = lock.unlock();
        });
    }

    /// Counts what a session's user is told.
    #[derive(Default)]
    struct Observed {
        granted: Mutex<Vec<u64>>,
        failed: Mutex<Vec<u64>>,
    }

    impl Observer for Observed {
        fn observe(&self, tag: u64, event: Event) {
            let told = match event {
                Event::Granted(_) => &self.granted,
                Event::Failed(_) | Event::Cancelled => &self.failed,
                Event::Lost(reason) => panic!("{tag} is lost: {reason:?}"),
                _ => return,
            };
            told.lock().unwrap_or_else(PoisonError::into_inner).push(tag);
        }
    }

    impl Observed {
        fn granted(&self) -> Vec<u64> {
            self.granted.lock().unwrap_or_else(PoisonError::into_inner).clone()
        }

        fn failed(&self) -> Vec<u64> {
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
        }
    }

    /// A session that has the lock, with two more requests queued.
    fn queued() -> (tempfile::TempDir, File, Arc<Observed>, Arc<Session>) {
        let directory = tempfile::tempdir().expect("temporary directory");
        let root = Root::open(directory.path()).expect("opens");
        let observed = Arc::<Observed>::default();
        let session = Arc::new(Session::new(Arc::clone(&observed) as _));
        let ask = |tag| {
            let place = Place::Root(root.clone());
            session.acquire(tag, place, Request::default(), None).expect("asks")
        };
        assert!(matches!(ask(1), Answer::Granted(_)));
        assert_eq!([ask(2), ask(3)], [Answer::Later, Answer::Later]);
        let file = File::open(directory.path().join(".lock")).expect("opens");
        (directory, file, observed, session)
    }

    #[test]
    fn a_hand_over_that_meets_a_cancellation_settles_every_request_once() {
        explore(|| {
            let (_directory, file, observed, session) = queued();
            let cancels = {
                let session = Arc::clone(&session);
                thread::spawn(move || session.cancel(2))
            };
            session.release(1);
            cancels.join().expect("cancels");
            until(|| observed.granted().contains(&2) || observed.failed().contains(&2));
            if observed.granted().contains(&2) {
                session.release(2);
            }
            until(|| observed.granted().contains(&3));
            session.release(3);
            until(|| is_free(&file));
            assert_eq!(observed.granted().len() + observed.failed().len(), 2);
        });
    }

    #[test]
    fn a_hand_over_that_meets_the_end_of_its_session_leaves_the_lock_free() {
        explore(|| {
            let (_directory, file, observed, session) = queued();
            let ends = {
                let session = Arc::clone(&session);
                thread::spawn(move || session.close())
            };
            session.release(1);
            ends.join().expect("ends");
            until(|| is_free(&file));
            assert!(observed.granted().len() <= 1);
            assert_eq!(observed.failed().len(), 0, "the user is gone");
        });
    }

    /// Two users of one lock, which the first has.
    fn held_by_another() -> (tempfile::TempDir, File, Arc<Session>, Arc<Session>, Place) {
        let directory = tempfile::tempdir().expect("temporary directory");
        let place = Place::Root(Root::open(directory.path()).expect("opens"));
        let session = || Arc::new(Session::new(Arc::<Observed>::default() as _));
        let (holder, user) = (session(), session());
        let answer = holder.acquire(1, place.clone(), Request::default(), None);
        assert!(matches!(answer, Ok(Answer::Granted(_))));
        let file = File::open(directory.path().join(".lock")).expect("opens");
        (directory, file, holder, user, place)
    }

    #[test]
    fn a_thread_that_blocks_is_woken_whether_it_gets_the_lock_or_its_time_is_up() {
        explore(|| {
            let (_directory, file, holder, user, place) = held_by_another();
            user.block(1);
            let limit = Some(Duration::from_secs(1));
            let answer = user.acquire(1, place, Request::default(), limit);
            assert_eq!(answer.expect("asks"), Answer::Later);
            let time = thread::spawn(|| pass_time(Duration::from_secs(2)));
            let releases = thread::spawn(move || holder.release(1));
            let event = user.next(1, None);
            assert!(matches!(event, Some(Event::Granted(_) | Event::Failed(_))), "{event:?}");
            user.unblock(1);
            user.release(1);
            time.join().expect("passes");
            releases.join().expect("releases");
            until(|| is_free(&file));
        });
    }

    #[test]
    fn a_thread_that_blocks_passes_what_it_has_in_line_or_is_told_that_it_can_not() {
        explore(|| {
            let (_directory, file, holder, user, place) = held_by_another();
            let ask = |tag| user.acquire(tag, place.clone(), Request::default(), None);
            assert_eq!(ask(1).expect("asks"), Answer::Later);
            let releases = thread::spawn(move || holder.release(1));
            user.block(2);
            if ask(2).expect("asks") == Answer::Later {
                loop {
                    match user.next(2, None) {
                        Some(Event::Granted(_) | Event::Failed(_)) => break,
                        // Told by whoever sees it, perhaps twice.
                        Some(Event::Deadlock) => user.cancel(2),
                        event => panic!("{event:?}"),
                    }
                }
            }
            user.unblock(2);
            user.release(2);
            until(|| user.release(1).is_some());
            releases.join().expect("releases");
            until(|| is_free(&file));
        });
    }
}
