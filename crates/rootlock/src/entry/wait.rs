//! A wait in the kernel: one thread of an entry, blocked in `flock` for the first request in the
//! queue.
//!
//! The kernel keeps the order between processes and wakes nobody before their turn; nothing is
//! polled. The wait belongs to the entry, not to a waiter: when the first in the queue changes, it
//! goes on for the next one.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::{Claim, LockEntry};
use crate::Mode;
use crate::queue::{Next, WaitId, Wants};
use rootlock_protocol::Fault;
use rootlock_protocol::grant::{self, Verdict};
use rootlock_protocol::guard::Patience;
use rootlock_protocol::lockfile::LockFile;
use rootlock_sys::sync::{self, thread};
use rootlock_sys::{Interruptible, Locality, clock, waiters};

/// The thread's work, until the queue is empty.
pub(super) fn run(entry: &Arc<LockEntry>, id: WaitId) {
    let interruptible = Interruptible::this_thread();
    sync::lock(&entry.state).interrupts.push((id, interruptible.interrupt()));
    let mut file: Option<LockFile> = None;
    let mut place = Place::new(entry.kernel_queue());
    while let Next::Wait(wants) = entry.step(|queue| queue.next(id, clock::awake())) {
        if !place.take(entry, id, wants) {
            continue;
        }
        match attempt(entry, id, wants.mode, file.take()) {
            Ok(Some(kept)) => file = Some(kept),
            // The next wait queues like anybody else's.
            Ok(None) => place.leave(),
            Err(fault) => {
                place.leave();
                entry.fail_first(fault);
            }
        }
    }
    if entry.files.locality == Locality::Remote {
        // Closing also asks the server, and may hang.
        entry.tell_cancelled();
    }
    // The file is closed before cancelled requests are notified: an aborted wait leaves nothing
    // behind.
    drop(file);
    drop(place);
    sync::lock(&entry.state).interrupts.retain(|(wait, _)| *wait != id);
    entry.tell_cancelled();
}

/// This process's place in the queue of waiting processes. Only the process at its head waits for
/// the lock itself, because at every release the kernel wakes all that do, though one gets it.
struct Place {
    queue: Option<Arc<File>>,
    /// At the head of the queue, or outside it: the process may wait for the lock.
    taken: bool,
    /// As a writer.
    announced: bool,
}

impl Place {
    fn new(queue: Option<Arc<File>>) -> Self {
        Self { queue, taken: false, announced: false }
    }

    /// Waits until this process may wait for the lock; `false` when the wait was stopped.
    fn take(&mut self, entry: &Arc<LockEntry>, id: WaitId, wants: Wants) -> bool {
        if !self.taken {
            entry.wait_for_turn();
        }
        let Some(queue) = &self.queue else { return true };
        if !self.taken {
            match block(entry, id, || waiters::queue_up(queue)) {
                Blocked::Stopped => return false,
                Blocked::Done => {}
                // There is no queue, or the kernel has no room for one: safety does not need it.
                Blocked::Skipped => waiters::announce(queue),
            }
            self.taken = true;
        }
        // Not before, because a reader that is before it in the queue may give way to it.
        if wants.mode == Mode::Exclusive {
            if !std::mem::replace(&mut self.announced, true) {
                waiters::announce_writer(queue);
            }
            return true;
        }
        if std::mem::take(&mut self.announced) {
            waiters::withdraw_writer(queue);
        }
        let Some(before) = wants.gives_way else { return true };
        let gives_way = || waiters::give_way(queue, before).map(|()| true);
        !matches!(block(entry, id, gives_way), Blocked::Stopped)
    }

    fn leave(&mut self) {
        self.announced = false;
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

/// How it went to block for a place.
enum Blocked {
    Done,
    /// The wait is to look at the queue again.
    Stopped,
    /// It is not to block, or can't.
    Skipped,
}

fn block(entry: &Arc<LockEntry>, id: WaitId, call: impl FnOnce() -> io::Result<bool>) -> Blocked {
    let queues_up = sync::lock(&entry.state).queue.queues_up(id, clock::awake());
    match queues_up {
        None => return Blocked::Stopped,
        Some(false) => return Blocked::Skipped,
        Some(true) => {}
    }
    let result = call();
    sync::lock(&entry.state).queue.runs(id);
    match result {
        Ok(true) => Blocked::Done,
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Blocked::Stopped,
        Ok(false) | Err(_) => Blocked::Skipped,
    }
}

/// One wait and, if the kernel grants it, one claim. Returns the file if it can be waited on again.
fn attempt(
    entry: &Arc<LockEntry>,
    id: WaitId,
    mode: Mode,
    file: Option<LockFile>,
) -> Result<Option<LockFile>, Fault> {
    let kept = || entry.kept.take().map(|kept| kept.file);
    let file = match file.or_else(kept) {
        // The file may have been replaced: that may be why the wait was stopped.
        Some(file) if file.check_identity(&entry.files.dir, &entry.files.names)?.is_some() => file,
        // Creates nothing while somebody may be removing the directory: until the name refers to
        // another file, wait for this one.
        Some(file) => {
            LockFile::open_existing(&entry.files.dir, &entry.files.names)?.unwrap_or(file)
        }
        None => LockFile::open(&entry.files.dir, &entry.files.names)?,
    };
    let locks = sync::lock(&entry.state).queue.locks(id, file.id(), mode, clock::awake());
    if !locks {
        return Ok(Some(file));
    }
    let granted = file.lock(&entry.files.names, mode);
    sync::lock(&entry.state).queue.runs(id);
    if !granted? {
        return Ok(Some(file));
    }
    let claim = sync::lock(&entry.state).queue.claim_for_wait(id, mode);
    // If nobody wants it any more, dropping the file gives it back.
    if let Some(claim) = claim {
        grant_to(entry, claim, file);
    }
    Ok(None)
}

/// Makes a grant of a kernel lock that this thread waited for.
fn grant_to(entry: &Arc<LockEntry>, claim: Claim, file: LockFile) {
    let enough = || !sync::lock(&entry.state).queue.is_wanted(claim.key);
    let wanted = claim.payload.wanted();
    match grant::claim(&entry.files, &file, wanted, Patience::Until(&enough)) {
        Ok(Verdict::Granted(grant)) => {
            entry.settle_new(claim, grant, file);
            // The thread that was woken may need this processor: cleaning up here can wait.
            thread::yield_now();
        }
        // Closed before the request returns to the queue, so that it does not wait for itself.
        Ok(Verdict::Moved | Verdict::GuardBusy) => {
            drop(file);
            entry.requeue(claim.key);
        }
        Err(fault) => {
            drop(file);
            entry.settle_fault(&claim, fault);
        }
    }
}

impl LockEntry {
    /// The wait met a permanent error: the first request fails with it.
    fn fail_first(self: &Arc<Self>, fault: Fault) {
        let first = sync::lock(&self.state).queue.fail_first();
        if let Some(waiter) = first {
            waiter.settle_fault(fault);
        }
    }

    /// Lets the process that was woken go first.
    fn wait_for_turn(&self) {
        let not_before = sync::lock(&self.state).queue.not_before();
        let left = not_before.saturating_sub(clock::awake());
        if !left.is_zero() {
            thread::park_timeout(left);
        }
    }

    /// The file that waiting processes queue on; `None` over a network, where the queue would be a
    /// lock like any other.
    fn kernel_queue(&self) -> Option<Arc<File>> {
        match self.files.locality {
            Locality::Local => self.files.guard.for_queue(&self.files.dir, &self.files.names),
            Locality::Remote => None,
        }
    }
}
