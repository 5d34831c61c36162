//! A held lock: its beats, its loss and its release.
//!
//! Only the thread that holds the mutex of `file` uses the descriptor: a beat on a thread of the
//! pool, or the release. A release that meets a beat leaves its work to the beating thread, so the
//! heartbeat is joined without anybody waiting for it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rootlock_protocol::beat::{Beat, Found, Known};
use rootlock_protocol::grant::{Grant, Moment, Wanted};
use rootlock_protocol::lockfile::LockFile;
use rootlock_protocol::{LockDir, Terms};
use rootlock_sys::sync::{self, Mutex};
use rootlock_sys::{FileId, Locality, clock, is_fork};

use crate::entry::{self, LockEntry, Waiter};
use crate::events::{Details, Events, Level, LostReason};
use crate::timer::{self, Task, TimerKey};
use crate::{Mode, Released, pool};

/// One grant, from its beginning to its release.
pub struct Lease {
    pub(crate) entry: Arc<LockEntry>,
    /// The key of the waiter that it was granted to.
    pub(crate) key: u64,
    /// How its [`Events`] identify it.
    tag: u64,
    /// The directory's path as the caller gave it; for messages only.
    pub(crate) path: Arc<Path>,
    pub(crate) mode: Mode,
    pub(crate) grant: Grant,
    pub(crate) terms: Terms,
    /// Since when it has been this process's turn, on the awake clock.
    pub(crate) turn_since: Duration,
    events: Arc<dyn Events>,
    /// What the lock file's name must refer to.
    id: FileId,
    /// `None` once released.
    file: Mutex<Option<LockFile>>,
    phase: Mutex<Phase>,
}

/// Never locked during a call on a file.
enum Phase {
    Held(Held),
    Lost(LostReason),
    /// Released, or about to be, by the thread that has the descriptor.
    Released {
        was_lost: bool,
    },
}

/// When the lease was refreshed, and what is due.
struct Held {
    /// On the clock that counts sleep: others count the lease from here.
    refreshed: Duration,
    beat: Option<TimerKey>,
    /// When it counts as lost, unless it is refreshed first.
    expiry: Option<TimerKey>,
    /// The expiry was postponed once, because this process itself had been stopped, or slept.
    put_off: bool,
    /// A failing beat was reported; the next one is not, until one succeeds.
    reported: bool,
    /// What the beats have found.
    known: Known,
}

impl Lease {
    /// Starts the heartbeat of a lock that was just granted.
    pub(crate) fn start(
        entry: Arc<LockEntry>,
        waiter: &Waiter,
        grant: Grant,
        turn_since: Duration,
        file: LockFile,
    ) -> io::Result<Arc<Self>> {
        let terms = waiter.terms;
        let lease = Arc::new(Self {
            entry,
            key: waiter.key,
            tag: waiter.tag,
            path: Arc::clone(&waiter.path),
            mode: waiter.mode,
            grant,
            terms,
            turn_since,
            events: Arc::clone(&waiter.events),
            id: file.id(),
            file: Mutex::new(Some(file)),
            phase: Mutex::new(Phase::Held(Held {
                refreshed: grant.from.since_boot,
                beat: None,
                expiry: None,
                put_off: false,
                reported: false,
                known: Known { recorded: grant.recorded, guard_gone: None },
            })),
        });
        let due = match grant.recorded {
            true => next_beat(grant.from.awake, terms.heartbeat),
            // Most grants of a run are over before.
            false => grant.record_due(),
        };
        if let Phase::Held(held) = &mut *sync::lock(&lease.phase) {
            held.beat = Some(lease.beat_at(due)?);
        }
        Ok(lease)
    }

    /// How long a lease may go unrefreshed before its holder counts it as lost: one heartbeat
    /// before others may take it.
    fn patience(&self) -> Duration {
        self.terms.stale - self.terms.heartbeat
    }

    fn beat_at(self: &Arc<Self>, due: Duration) -> io::Result<TimerKey> {
        let lease = Arc::clone(self);
        timer::set(due, move |moment| {
            lease.beat_begins(moment.now);
            Some(lease)
        })
    }

    /// A beat is about to be tried: sets the expiry in case it never comes back.
    fn beat_begins(self: &Arc<Self>, now: Duration) {
        let mut phase = sync::lock(&self.phase);
        let Phase::Held(held) = &mut *phase else { return };
        held.beat = None;
        if held.expiry.is_some() {
            return;
        }
        let unrefreshed = clock::since_boot().saturating_sub(held.refreshed);
        let left = self.patience().saturating_sub(unrefreshed);
        // After a sleep or a stop the time may be over already: the beat gets its chance first.
        held.put_off |= left < self.grace();
        held.expiry = self.expiry_in(now, left.max(self.grace()));
    }

    /// Refreshes the lease; on a thread of the pool.
    fn beat(self: &Arc<Self>) {
        let slot = sync::lock(&self.file);
        let known = match &*sync::lock(&self.phase) {
            Phase::Held(held) => Some(held.known),
            _ => None,
        };
        if let (Some(file), Some(known)) = (slot.as_ref(), known) {
            let Self { grant, mode, terms, .. } = *self.as_ref();
            let (found, known) = Beat { grant, mode, terms, known }.run(&self.entry.files, file);
            if let Phase::Held(held) = &mut *sync::lock(&self.phase) {
                held.known = known;
            }
            match found {
                Found::Refreshed(at) => self.refreshed(at),
                Found::Failed(why) => {
                    self.report(&why);
                    self.beat_failed(clock::awake());
                }
                Found::Hijacked => self.lose(LostReason::Hijacked),
            }
        }
        drop(slot);
        // A release that came meanwhile could not get the descriptor, and left the rest to this
        // thread. The release tries for the descriptor after setting the phase; this thread checks
        // the phase after giving the descriptor up: one of the two sees the other.
        if matches!(*sync::lock(&self.phase), Phase::Released { .. }) {
            self.finish_elsewhere();
        }
    }

    fn refreshed(self: &Arc<Self>, at: Moment) {
        let mut phase = sync::lock(&self.phase);
        let Phase::Held(held) = &mut *phase else { return };
        held.refreshed = at.since_boot;
        held.put_off = false;
        held.reported = false;
        let due = next_beat(at.awake, self.terms.heartbeat);
        // The timer's thread exists: it stays as long as there are timers, and this lease has one.
        held.beat = self.beat_at(due).ok();
        if let Some(key) = held.expiry.take() {
            timer::clear(key);
        }
    }

    /// Retries after a tenth of a heartbeat, well before a watch of 1.2 heartbeats is over; the
    /// expiry stands.
    fn beat_failed(self: &Arc<Self>, now: Duration) {
        if let Phase::Held(held) = &mut *sync::lock(&self.phase) {
            held.beat = self.beat_at(now + self.terms.heartbeat / 10).ok();
        }
    }

    fn report(&self, why: &str) {
        let now = clock::since_boot();
        match &mut *sync::lock(&self.phase) {
            // The first beat of a grant within a run comes early, for the record's sake: nothing is at stake yet.
            Phase::Held(held) if now.saturating_sub(held.refreshed) < self.terms.heartbeat / 2 => {
                return;
            }
            Phase::Held(held) if !held.reported => held.reported = true,
            _ => return,
        }
        self.events.log(
            self.tag,
            Level::Warn,
            "heartbeat failed, trying again",
            &self.details().with("reason", why),
        );
    }

    /// The expiry is due: the lease is lost, unless it was refreshed meanwhile, or this process was
    /// stopped and its beat has not had a chance since.
    fn expire(self: &Arc<Self>, now: Duration, late: Duration) {
        {
            let mut phase = sync::lock(&self.phase);
            let Phase::Held(held) = &mut *phase else { return };
            held.expiry = None;
            let unrefreshed = clock::since_boot().saturating_sub(held.refreshed);
            if unrefreshed < self.patience() {
                held.expiry = self.expiry_in(now, self.patience() - unrefreshed);
                return;
            }
            let late = late.max(unrefreshed - self.patience());
            if late > self.terms.heartbeat / 10 && !held.put_off {
                held.put_off = true;
                held.expiry = self.expiry_in(now, self.grace());
                return;
            }
        }
        self.lose(LostReason::HeartbeatFailed);
    }

    /// How long a beat may take after a stop before it counts as failed. Even so, the lease counts
    /// as lost half a heartbeat before the earliest takeover.
    fn grace(&self) -> Duration {
        self.terms.heartbeat / 2
    }

    /// In a heartbeat at most: the machine may sleep in between, which the lease counts but the
    /// timer's clock does not.
    fn expiry_in(self: &Arc<Self>, now: Duration, left: Duration) -> Option<TimerKey> {
        let lease = Arc::clone(self);
        let due = now + left.min(self.terms.heartbeat);
        let expire = move |moment: timer::Moment| {
            lease.expire(moment.now, moment.late);
            None
        };
        timer::set(due, expire).ok()
    }

    fn lose(self: &Arc<Self>, reason: LostReason) {
        {
            let mut phase = sync::lock(&self.phase);
            let Phase::Held(held) = &*phase else { return };
            held.clear_timers();
            *phase = Phase::Lost(reason);
        }
        self.entry.lost(self);
        self.events.log(self.tag, Level::Error, "lock was lost", &{
            self.details().with("reason", reason.as_str())
        });
        self.events.lost(self.tag, reason);
    }

    /// Whether it was lost before it was released.
    pub(crate) fn was_lost(&self) -> bool {
        matches!(*sync::lock(&self.phase), Phase::Lost(_) | Phase::Released { was_lost: true })
    }

    pub(crate) fn wanted(&self) -> Wanted {
        Wanted { mode: self.mode, terms: self.terms }
    }

    fn details(&self) -> Details {
        self.entry.details(&self.path).with("token", &self.grant.token.to_string())
    }

    /// Why the lock was lost, as far as this process can know now.
    ///
    /// All threads of a process that was stopped for longer than its lease wake up at once, so a
    /// caller may ask before the timer has run. Therefore this also checks the clock and, if the
    /// lease has ended by it, the file: a takeover puts another file in its place. The same file
    /// still being there is no refresh; the beat and the expiry decide, with their grace.
    ///
    /// In a fork it is lost: nothing beats there.
    pub(crate) fn lost(self: &Arc<Self>) -> Option<LostReason> {
        if is_fork() {
            return Some(LostReason::HeartbeatFailed);
        }
        let unrefreshed = match &*sync::lock(&self.phase) {
            Phase::Held(held) => clock::since_boot().saturating_sub(held.refreshed),
            Phase::Lost(reason) => return Some(*reason),
            Phase::Released { .. } => return None,
        };
        if unrefreshed < self.patience() {
            return None;
        }
        let reason = match self.entry.files.locality {
            Locality::Local => self.is_replaced().then_some(LostReason::Hijacked)?,
            // Looking may block for as long as the storage hangs.
            Locality::Remote if unrefreshed < self.patience() + self.grace() => return None,
            Locality::Remote => LostReason::HeartbeatFailed,
        };
        self.lose(reason);
        Some(reason)
    }

    /// Not through `file`, which a beat may be using.
    fn is_replaced(&self) -> bool {
        let LockDir { dir, names, .. } = &self.entry.files;
        dir.stat(&names.lock).is_ok_and(|stat| stat.is_none_or(|stat| stat.id != self.id))
    }

    /// Stops the heartbeat, releases the kernel lock and closes the descriptor, in that order,
    /// because a beat after the release would refresh another holder's lease. Only the first call
    /// does it.
    pub(crate) fn release(self: &Arc<Self>) -> Released {
        if is_fork() {
            // The lock is the parent's; and a thread that is not here may have a mutex.
            return Released::Done(Ok(()));
        }
        {
            let mut phase = sync::lock(&self.phase);
            match &*phase {
                Phase::Held(held) => held.clear_timers(),
                Phase::Lost(_) => {}
                Phase::Released { .. } => return Released::Done(Ok(())),
            }
            *phase = Phase::Released { was_lost: matches!(*phase, Phase::Lost(_)) };
        }
        if entry::defers(self) {
            return Released::Later;
        }
        if self.entry.files.locality == Locality::Remote {
            let lease = Arc::clone(self);
            // Without a thread it is done here: late is better than never.
            return match pool::run(move || lease.finish_elsewhere()) {
                Ok(()) => Released::Later,
                Err(_) => self.finish_here(),
            };
        }
        self.finish_here()
    }

    fn finish_here(self: &Arc<Self>) -> Released {
        match sync::try_lock(&self.file) {
            // A beat has the descriptor, and does the rest when it is done with it.
            None => Released::Later,
            Some(mut slot) => match slot.take() {
                None => Released::Later,
                Some(file) => {
                    drop(slot);
                    Released::Done(self.entry.give_back(self, file))
                }
            },
        }
    }

    /// The rest of a release that has returned [`Released::Later`].
    pub(crate) fn finish_elsewhere(self: &Arc<Self>) {
        let file = sync::lock(&self.file).take();
        if let Some(file) = file {
            let result = self.entry.give_back(self, file);
            self.events.released(self.tag, result);
        }
    }
}

impl Held {
    fn clear_timers(&self) {
        for key in [self.beat, self.expiry].into_iter().flatten() {
            timer::clear(key);
        }
    }
}

impl Task for Lease {
    fn volume(&self) -> u64 {
        self.entry.volume()
    }

    fn run(self: Arc<Self>) {
        self.beat();
    }

    fn has_no_thread(self: Arc<Self>, now: Duration) {
        self.beat_failed(now);
    }
}

/// When the beat after `now` is due: within a heartbeat, on a grid of an eighth of one, so that the
/// beats of thousands of locks coincide.
fn next_beat(now: Duration, heartbeat: Duration) -> Duration {
    let grid = (heartbeat / 8).as_nanos().max(1);
    let latest = (now + heartbeat).as_nanos();
    Duration::from_nanos(u64::try_from(latest - latest % grid).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beats_of_one_interval_coincide_and_none_is_late() {
        let heartbeat = Duration::from_secs(10);
        let mut moments: Vec<_> = (0..1000)
            .map(|milli| {
                let now = Duration::from_millis(50_000 + milli);
                let beat = next_beat(now, heartbeat);
                assert!(beat <= now + heartbeat && beat > now + heartbeat * 7 / 8);
                beat
            })
            .collect();
        moments.dedup();
        assert!(moments.len() <= 2);
    }
}
