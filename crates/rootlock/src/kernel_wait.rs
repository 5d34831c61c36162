//! A wait in the kernel: one thread of a site, blocked in `flock` for whoever is first in line.
//!
//! The kernel keeps the order between processes and wakes nobody before it is their turn; nothing
//! is polled. The wait belongs to the site, not to a waiter: when the first in line changes, it
//! goes on for the next one.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::Mode;
use crate::error::Fault;
use crate::grant::{self, Verdict};
use crate::guard::Patience;
use crate::heart::{self, Timer};
use crate::lockfile::LockFile;
use crate::site::{Claim, Next, Site};
use crate::sync::{self, Mutex, thread};
use crate::sys::{FileId, Interrupt, Interruptible, Locality, clock, waiters};

/// How soon a stop is asked for again: a signal that came just before the call is lost.
const NUDGE: Duration = Duration::from_millis(1);

/// After so many the thread is left to itself: it hangs in a call that no signal ends.
const NUDGES: u32 = 20;

/// The shared part of a wait: how others stop it.
#[derive(Debug, Default)]
pub(crate) struct KernelWait {
    asks: Mutex<Asks>,
    /// The thread shall look again at what it waits for.
    stop: AtomicBool,
    /// The thread shall not queue, or not any more.
    skip_queue: AtomicBool,
}

#[derive(Debug, Default)]
struct Asks {
    interrupt: Option<Arc<Interrupt>>,
    /// What the thread waits for, while it waits.
    waits_for: Option<(FileId, Mode)>,
    /// How often a stop was asked for since the thread last answered.
    nudges: u32,
}

impl KernelWait {
    /// What the thread is blocked on.
    pub(crate) fn waits_for(&self) -> Option<(FileId, Mode)> {
        sync::lock(&self.asks).waits_for
    }

    /// Makes the thread look again at the line and at the file.
    pub(crate) fn stop(self: &Arc<Self>, site: &Arc<Site>) {
        if !self.stop.swap(true, Ordering::SeqCst) {
            sync::lock(&self.asks).nudges = 0;
            self.fire(site);
        }
    }

    /// Makes the thread wait for the lock without queueing: whoever is at the head of the queue may
    /// be stopped.
    pub(crate) fn skip_queue(self: &Arc<Self>, site: &Arc<Site>) {
        if !self.skip_queue.swap(true, Ordering::SeqCst) && self.waits_for().is_none() {
            self.stop(site);
        }
    }

    fn fire(self: &Arc<Self>, site: &Arc<Site>) {
        let interrupt = sync::lock(&self.asks).interrupt.clone();
        if let Some(interrupt) = interrupt {
            interrupt.fire();
        }
        // Without the heart the one signal must do.
        let _ =
            heart::set(clock::awake() + NUDGE, Timer::Nudge(Arc::clone(site), Arc::clone(self)));
    }

    /// Asks again while the thread has not answered.
    pub(crate) fn nudge(self: &Arc<Self>, site: &Arc<Site>) {
        if !self.stop.load(Ordering::SeqCst) {
            return;
        }
        let nudges = {
            let mut asks = sync::lock(&self.asks);
            asks.nudges += 1;
            asks.nudges
        };
        if nudges < NUDGES {
            self.fire(site);
        } else {
            site.abandon(self);
        }
    }

    fn answer(&self) {
        self.stop.store(false, Ordering::SeqCst);
    }

    fn set_waits_for(&self, what: Option<(FileId, Mode)>) {
        sync::lock(&self.asks).waits_for = what;
    }
}

/// The thread's work: until nobody is in line.
pub(crate) fn run(site: &Arc<Site>, wait: &Arc<KernelWait>) {
    let interruptible = Interruptible::new();
    sync::lock(&wait.asks).interrupt = Some(interruptible.interrupt());
    let mut file: Option<LockFile> = None;
    let mut place = Place::new(site.queue());
    loop {
        // Cleared before the line is looked at: what is asked from here on is seen in `lock`.
        wait.answer();
        let mode = match site.next_for(wait) {
            Next::Wait(mode) => mode,
            Next::Leave => break,
        };
        if !place.take(site, wait) {
            continue;
        }
        match step(site, wait, mode, file.take()) {
            Ok(Some(kept)) => file = Some(kept),
            // The next wait is one like any other's.
            Ok(None) => place.leave(),
            Err(fault) => {
                place.leave();
                site.fail_first(fault);
            }
        }
    }
    if site.locality == Locality::Remote {
        // Closing asks the server too, and may hang.
        site.see_off();
    }
    // The file is closed before those who left are told: an aborted wait leaves nothing behind.
    drop(file);
    drop(place);
    sync::lock(&wait.asks).interrupt = None;
    site.see_off();
}

/// This process's place among those that wait. Only the head of the queue waits for the lock itself,
/// because the kernel wakes all who do at every release, though one gets it.
struct Place {
    queue: Option<Arc<File>>,
    /// At the head of the queue, or beside it: the lock may be waited for.
    taken: bool,
}

impl Place {
    fn new(queue: Option<Arc<File>>) -> Self {
        Self { queue, taken: false }
    }

    /// Waits for the lock's turn to be waited for: `false` when the wait was stopped.
    fn take(&mut self, site: &Site, wait: &KernelWait) -> bool {
        if self.taken {
            return true;
        }
        site.wait_for_turn();
        let skip = wait.skip_queue.load(Ordering::SeqCst);
        if let Some(queue) = self.queue.as_ref().filter(|_| !skip) {
            if wait.stop.load(Ordering::SeqCst) {
                return false;
            }
            match waiters::queue_up(queue) {
                Ok(true) => {
                    self.taken = true;
                    return true;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return false,
                // There is none, or the kernel has no room for it: nobody needs it to be safe.
                Ok(false) | Err(_) => {}
            }
        }
        if let Some(queue) = &self.queue {
            waiters::announce(queue);
        }
        self.taken = true;
        true
    }

    fn leave(&mut self) {
        if std::mem::take(&mut self.taken)
            && let Some(queue) = &self.queue
        {
            waiters::leave(queue);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

/// One wait and, if the kernel grants, one claim. Returns the file if it can be waited on again.
fn step(
    site: &Arc<Site>,
    wait: &Arc<KernelWait>,
    mode: Mode,
    file: Option<LockFile>,
) -> Result<Option<LockFile>, Fault> {
    let file = match file {
        // It may have been replaced: that may be why the wait was stopped.
        Some(file) if file.check_identity(&site.dir, &site.names)?.is_some() => file,
        _ => LockFile::open(&site.dir, &site.names)?,
    };
    wait.set_waits_for(Some((file.id(), mode)));
    let stopped = wait.stop.load(Ordering::SeqCst);
    let granted = if stopped { Ok(false) } else { file.lock(&site.names, mode) };
    wait.set_waits_for(None);
    if !granted? {
        return Ok(Some(file));
    }
    let Some(claim) = site.claim_first(Some(wait), |waiter| waiter.mode == mode) else {
        // Nobody wants it any more: dropping the file gives it back.
        return Ok(None);
    };
    grant_to(site, claim, file);
    Ok(None)
}

/// Makes a grant of a kernel lock that was waited for.
fn grant_to(site: &Arc<Site>, claim: Claim, file: LockFile) {
    let enough = || site.is_cancelled(&claim);
    let wanted = site.wanted(&claim.waiter);
    match grant::claim(site, &file, wanted, Patience::Until(&enough)) {
        Ok(Verdict::Granted(grant)) => {
            site.settle_granted(claim, grant, file);
            // Whoever was woken up may need this processor: cleaning up here can wait.
            thread::yield_now();
        }
        // Closed before the waiter goes back in line, so that it does not wait for itself.
        Ok(Verdict::Moved | Verdict::GuardBusy) => {
            drop(file);
            site.unclaim(claim);
        }
        Err(fault) => {
            drop(file);
            site.settle_fault(claim, fault);
        }
    }
}
