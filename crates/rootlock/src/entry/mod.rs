//! An entry is one lock file of one directory, as this process sees it. All requests of the process
//! for that lock meet here, from whatever thread. The [queue](crate::queue) decides which is next;
//! the entry carries its decisions out, with real files, threads and timers.
//!
//! While the state's mutex is held, only the timer's may be taken, no file is touched and no
//! [`crate::Events`] is called.

mod acquire;
mod acquired;
mod give_back;
mod kept;
mod look;
mod registry;
mod settle;
mod wait;
mod waiter;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rootlock_protocol::watch::Watch;
use rootlock_protocol::{Fault, LockDir};
use rootlock_sys::sync::{self, Mutex};
use rootlock_sys::{FileId, Interrupt, Locality, Nanos, clock};

use crate::events::Details;
use crate::pool;
use crate::queue::{Effect, GIVE_UP, Key, Queue, WaitId};
use crate::timer;
use crate::{Holder, Mode};

pub use acquired::{Acquired, Wait};
use kept::KeptFile;
use look::LookTimer;
pub(crate) use settle::defers;
pub(crate) use waiter::{Claim, Waiter};

pub(crate) struct LockEntry {
    id: EntryId,
    pub(crate) files: LockDir,
    state: Mutex<State>,
    watch: Mutex<Option<Watch>>,
    kept: KeptFile,
}

/// The directory, the mount by which it was reached, and the lock file's name.
type EntryId = (FileId, u64, Arc<str>);

struct State {
    queue: Queue<Arc<Waiter>>,
    /// The threads that wait in the kernel, or did and have not ended yet.
    interrupts: Vec<(WaitId, Arc<Interrupt>)>,
    look_timer: LookTimer,
    /// The holder that the last look found.
    holder: Option<Holder>,
    /// A takeover that the system refused, for the message of a wait that ends without the lock.
    refusal: Option<Arc<Fault>>,
}

impl State {
    fn new(queue: Queue<Arc<Waiter>>) -> Self {
        Self {
            queue,
            interrupts: Vec::new(),
            look_timer: LookTimer::default(),
            holder: None,
            refusal: None,
        }
    }
}

impl LockEntry {
    pub(crate) fn volume(&self) -> u64 {
        self.id.0.volume
    }

    pub(crate) fn details(&self, path: &Path) -> Details {
        Details::default().with("path", &self.lock_path(path).to_string_lossy())
    }

    pub(crate) fn lock_path(&self, path: &Path) -> PathBuf {
        path.join(&*self.files.names.lock)
    }

    /// Whether both are the same lock, reached by the same mount: another mount has another entry.
    pub(crate) fn is_lock_of(&self, other: &Self) -> bool {
        let ((directory, _, name), (other, _, other_name)) = (&self.id, &other.id);
        directory == other && name == other_name
    }

    /// One step of the queue; carries out its effects.
    fn step<T>(
        self: &Arc<Self>,
        event: impl FnOnce(&mut Queue<Arc<Waiter>>) -> (T, Vec<Effect>),
    ) -> T {
        let (result, effects) = {
            let mut state = sync::lock(&self.state);
            let (result, effects) = event(&mut state.queue);
            self.keep_look_timer(&mut state);
            (result, effects)
        };
        self.carry_out(effects);
        result
    }

    /// The same for a step that returns only effects.
    fn tell(self: &Arc<Self>, event: impl FnOnce(&mut Queue<Arc<Waiter>>) -> Vec<Effect>) {
        self.step(|queue| ((), event(queue)));
    }

    fn carry_out(self: &Arc<Self>, effects: Vec<Effect>) {
        let mut effects = effects;
        // The effects of a failure are carried out here too, rather than recursively.
        while !effects.is_empty() {
            let mut more = Vec::new();
            for effect in effects {
                match effect {
                    Effect::StartWait(id) => more.extend(self.start_wait(id)),
                    Effect::Interrupt(id, again_after) => self.interrupt(id, again_after),
                    Effect::GiveUpLater(key) => more.extend(self.give_up_later(key)),
                    Effect::TellCancelled => self.on_pool(|entry| entry.tell_cancelled()),
                    Effect::Notify => self.on_pool(|entry| entry.notify_waiting()),
                }
            }
            effects = more;
        }
    }

    /// Runs a job that reads files on a thread of the pool, or here if there is none.
    fn on_pool(self: &Arc<Self>, job: impl FnOnce(&Arc<Self>) + Copy + Send + 'static) {
        let entry = Arc::clone(self);
        if pool::run(move || job(&entry)).is_err() {
            job(self);
        }
    }

    fn start_wait(self: &Arc<Self>, id: WaitId) -> Vec<Effect> {
        let entry = Arc::clone(self);
        let Err(error) = pool::run(move || wait::run(&entry, id)) else { return Vec::new() };
        let (first, effects) = {
            let mut state = sync::lock(&self.state);
            state.queue.wait_failed(id)
        };
        if let Some(waiter) = first {
            let fault = Fault::io("pthread_create", &self.files.names.lock)(error);
            waiter.settle_fault(fault);
        }
        effects
    }

    fn interrupt(self: &Arc<Self>, id: WaitId, again_after: Duration) {
        let now = clock::awake();
        let (interrupt, is_blocked) = {
            let state = sync::lock(&self.state);
            let own = state.interrupts.iter().find(|(wait, _)| *wait == id);
            (own.map(|(_, interrupt)| Arc::clone(interrupt)), state.queue.is_blocked(id, now))
        };
        if let Some(interrupt) = interrupt {
            interrupt.fire();
        }
        let entry = Arc::clone(self);
        let nudge = move |_| {
            entry.tell(|queue| queue.nudge(id));
            None
        };
        // The timer's thread would take the processor that this one needs to wake up on.
        let slack = if is_blocked { look::FIRST_LOOK } else { Duration::ZERO };
        // Without the timer, one signal must do.
        let _ = timer::set_with_slack(now + again_after, slack, nudge);
    }

    fn give_up_later(self: &Arc<Self>, key: Key) -> Vec<Effect> {
        let entry = Arc::clone(self);
        let set = timer::set(clock::awake() + GIVE_UP, move |_| {
            entry.tell(|queue| queue.give_up(key));
            None
        });
        match set {
            Ok(_) => Vec::new(),
            Err(_) => sync::lock(&self.state).queue.give_up(key),
        }
    }

    /// How many callers of this process wait, if any, and what the first of them wants.
    pub(crate) fn callers(&self) -> Option<(Mode, usize)> {
        sync::lock(&self.state).queue.callers()
    }

    /// Whether another process announces that it waits; `None` when that can't be known.
    fn others_wait(&self) -> Option<bool> {
        match self.files.locality {
            Locality::Local => self.files.guard.others_wait(&self.files.dir, &self.files.names),
            // Over a network, an announcement would be a lock like any other.
            Locality::Remote => None,
        }
    }

    /// Whether a writer of another process has waited since before that time.
    fn writers_wait(&self, before: Nanos) -> bool {
        let LockDir { dir, names, guard, locality, .. } = &self.files;
        *locality == Locality::Local && guard.writers_wait(dir, names, before)
    }
}
