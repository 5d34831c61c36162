//! A lock that is held: its beats, its loss and its release.
//!
//! The descriptor is used by one thread at a time, the one that has `file` locked: a beat on a
//! hand, or the release. A release that meets a beat leaves the work to the thread that beats,
//! which is how the heartbeat is joined without anybody waiting for it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Fault;
use crate::events::{Details, Events, Level, LostReason};
use crate::grant::{Grant, Moment};
use crate::guard::{Patience, Section};
use crate::hands::{self, Then};
use crate::heart::{self, Timer, TimerKey};
use crate::ledger::Record;
use crate::lockfile::LockFile;
use crate::options::Terms;
use crate::site::{Site, Waiter};
use crate::sync::{self, Mutex};
use crate::sys::{FileId, Locality, clock};
use crate::{Mode, Released};

/// One grant, from its beginning to its release.
pub(crate) struct Lease {
    pub(crate) site: Arc<Site>,
    /// The key of the waiter that it was granted to.
    pub(crate) key: u64,
    /// What its [`Events`] know it by.
    tag: u64,
    pub(crate) mode: Mode,
    pub(crate) grant: Grant,
    pub(crate) terms: Terms,
    /// Since when it has been this process's turn, on the awake clock.
    pub(crate) turn_since: Duration,
    events: Arc<dyn Events>,
    /// What the lock file's name must stand for.
    id: FileId,
    /// `None` once released.
    file: Mutex<Option<LockFile>>,
    pulse: Mutex<Pulse>,
}

/// When the lease was refreshed and what is due. Never locked during a call on a file.
struct Pulse {
    phase: Phase,
    /// On the clock that counts sleep: for so long may others count on the last refresh.
    refreshed: Duration,
    beat: Option<TimerKey>,
    verdict: Option<TimerKey>,
    /// The verdict was put off once because this process itself had been stopped, or slept.
    put_off: bool,
    /// A failing beat was reported; the next one is not, until one succeeds.
    reported: bool,
    /// The ledger's record is this grant's own.
    recorded: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Held,
    Lost(LostReason),
    /// Released, or about to be by whoever has the descriptor.
    Released,
}

/// What a beat found.
enum Beat {
    Refreshed(Moment),
    Hijacked,
    Failed(String),
    Released,
}

impl Lease {
    /// Starts the heartbeat of a lock that was just granted.
    pub(crate) fn start(
        site: Arc<Site>,
        waiter: &Waiter,
        grant: Grant,
        turn_since: Duration,
        file: LockFile,
    ) -> io::Result<Arc<Self>> {
        let terms = waiter.terms;
        let lease = Arc::new(Self {
            site,
            key: waiter.key,
            tag: waiter.tag,
            mode: waiter.mode,
            grant,
            terms,
            turn_since,
            events: Arc::clone(&waiter.events),
            id: file.id(),
            file: Mutex::new(Some(file)),
            pulse: Mutex::new(Pulse {
                phase: Phase::Held,
                refreshed: grant.from.since_boot,
                beat: None,
                verdict: None,
                put_off: false,
                reported: false,
                recorded: grant.recorded,
            }),
        });
        let mut pulse = sync::lock(&lease.pulse);
        let due = match grant.recorded {
            true => heart::next_beat(grant.from.awake, terms.heartbeat),
            // Most of a run are over before.
            false => grant.record_due(),
        };
        pulse.beat = Some(heart::set(due, Timer::Beat(Arc::clone(&lease)))?);
        drop(pulse);
        Ok(lease)
    }

    /// What its beats may hang on together with others'.
    pub(crate) fn volume(&self) -> u64 {
        self.site.volume()
    }

    /// How long a lease may go unrefreshed before its holder counts it as lost: one heartbeat
    /// before others may take it.
    fn patience(&self) -> Duration {
        self.terms.stale - self.terms.heartbeat
    }

    /// A beat is about to be tried: sets the verdict for the case that it never comes back.
    pub(crate) fn beat_begins(self: &Arc<Self>, now: Duration) {
        let mut pulse = sync::lock(&self.pulse);
        pulse.beat = None;
        if pulse.phase != Phase::Held || pulse.verdict.is_some() {
            return;
        }
        let unrefreshed = clock::since_boot().saturating_sub(pulse.refreshed);
        let left = self.patience().saturating_sub(unrefreshed);
        // After sleep or a stop the time may be over already: the beat gets its chance first.
        pulse.put_off |= left < self.grace();
        self.set_verdict(&mut pulse, now, left.max(self.grace()));
    }

    /// Refreshes the lease; on a hand.
    pub(crate) fn beat(self: &Arc<Self>) {
        let slot = sync::lock(&self.file);
        let found = self.try_beat(slot.as_ref());
        match found {
            Beat::Released => {}
            Beat::Refreshed(at) => self.refreshed(at),
            Beat::Failed(why) => {
                self.report(&why);
                self.beat_failed(clock::awake());
            }
            Beat::Hijacked => self.lose(LostReason::Hijacked),
        }
        drop(slot);
        // A release that came meanwhile could not have the descriptor and left the rest to us. It
        // tries for the descriptor after it has set the phase; this looks at the phase after it
        // has given the descriptor up: one of the two sees the other.
        if sync::lock(&self.pulse).phase == Phase::Released {
            self.finish_late();
        }
    }

    /// `lock_guard` → `check_identity` → `stamp` → `unlock_guard`; before the last, for a grant of a
    /// run that goes on, its own `write_ledger`.
    fn try_beat(&self, file: Option<&LockFile>) -> Beat {
        let Some(file) = file else { return Beat::Released };
        let recorded = {
            let pulse = sync::lock(&self.pulse);
            if pulse.phase != Phase::Held {
                return Beat::Released;
            }
            pulse.recorded
        };
        let mode = if recorded { Mode::Shared } else { Mode::Exclusive };
        let Site { dir, names, guard, .. } = &*self.site;
        // The identity is looked at even when the refresh can't be done: a holder that was robbed
        // must hear of it.
        let section = guard.enter(dir, names, mode, self.guard_patience());
        let stat = match file.check_identity(dir, names) {
            Ok(Some(stat)) => stat,
            Ok(None) => return Beat::Hijacked,
            Err(fault) => return Beat::Failed(fault.to_string()),
        };
        // Before the stamp: the lease must not count from later than others see.
        let at = Moment::now();
        let stamped = file.stamp(names, stat.modified, &self.site.exact_times);
        match (section, stamped) {
            (Ok(Some(section)), Ok(())) => {
                if !recorded && self.record(&section, file).is_ok() {
                    sync::lock(&self.pulse).recorded = true;
                }
                Beat::Refreshed(at)
            }
            (Ok(Some(_)), Err(fault)) | (Err(fault), _) => Beat::Failed(fault.to_string()),
            // Outside of a section the stamp may fall between a recoverer's second look and its
            // rename, so it does not prolong the lease. But whoever still watches must see a sign
            // of life: a busy guard is no reason to be robbed.
            (Ok(None), _) => Beat::Failed(format!("{} is held by somebody", names.guard)),
        }
    }

    /// Makes the ledger's record this grant's own. Others only read it in messages, so a failure is
    /// none of the beat: the next one tries again.
    fn record(&self, section: &Section<'_>, file: &LockFile) -> Result<(), Fault> {
        let ledger = section.read_ledger()?;
        let Grant { token, granted_at, .. } = self.grant;
        let own = |run: &&Record| (run.token..=run.last).contains(&token);
        let Some(run) = ledger.of(file.id()).filter(own) else { return Ok(()) };
        section.write_ledger(&ledger, &Record { token, granted_at, ..run.clone() })
    }

    fn refreshed(self: &Arc<Self>, at: Moment) {
        let mut pulse = sync::lock(&self.pulse);
        if pulse.phase != Phase::Held {
            return;
        }
        pulse.refreshed = at.since_boot;
        pulse.put_off = false;
        pulse.reported = false;
        let due = heart::next_beat(at.awake, self.terms.heartbeat);
        self.set_beat(&mut pulse, due);
        if let Some(key) = pulse.verdict.take() {
            heart::clear(key);
        }
    }

    /// Tries again after a tenth of a heartbeat, well before a watch of 1.2 heartbeats is over; the
    /// verdict stands.
    pub(crate) fn beat_failed(self: &Arc<Self>, now: Duration) {
        let mut pulse = sync::lock(&self.pulse);
        if pulse.phase == Phase::Held {
            self.set_beat(&mut pulse, now + self.terms.heartbeat / 10);
        }
    }

    fn report(&self, why: &str) {
        {
            let mut pulse = sync::lock(&self.pulse);
            if pulse.reported || pulse.phase != Phase::Held {
                return;
            }
            pulse.reported = true;
        }
        self.events.log(
            self.tag,
            Level::Warn,
            "heartbeat failed, trying again",
            &self.details().with("reason", why),
        );
    }

    /// The verdict is due: lost, unless it was refreshed meanwhile, or this process was stopped
    /// and its beat has not had a chance since.
    pub(crate) fn judge(self: &Arc<Self>, now: Duration, late: Duration) {
        {
            let mut pulse = sync::lock(&self.pulse);
            pulse.verdict = None;
            if pulse.phase != Phase::Held {
                return;
            }
            let unrefreshed = clock::since_boot().saturating_sub(pulse.refreshed);
            if unrefreshed < self.patience() {
                self.set_verdict(&mut pulse, now, self.patience() - unrefreshed);
                return;
            }
            let late = late.max(unrefreshed - self.patience());
            if late > self.terms.heartbeat / 10 && !pulse.put_off {
                pulse.put_off = true;
                self.set_verdict(&mut pulse, now, self.grace());
                return;
            }
        }
        self.lose(LostReason::HeartbeatFailed);
    }

    /// How long a beat waits for the guard: the beats of other locks wait behind it, and it is
    /// tried again soon.
    fn guard_patience(&self) -> Patience<'static> {
        const MOST: Duration = Duration::from_millis(50);
        Patience::AtMost((self.terms.heartbeat / 10).min(MOST))
    }

    /// How long a beat may take after a stop before it counts as failed; with it the verdict is
    /// still half a heartbeat before the earliest takeover.
    fn grace(&self) -> Duration {
        self.terms.heartbeat / 2
    }

    fn set_beat(self: &Arc<Self>, pulse: &mut Pulse, due: Duration) {
        // The thread is there: it stays for as long as there are timers, and this lease has one.
        pulse.beat = heart::set(due, Timer::Beat(Arc::clone(self))).ok();
    }

    /// For a heartbeat at most: the machine may sleep in between, which the heart's clock does not
    /// count and the lease does.
    fn set_verdict(self: &Arc<Self>, pulse: &mut Pulse, now: Duration, left: Duration) {
        let due = now + left.min(self.terms.heartbeat);
        pulse.verdict = heart::set(due, Timer::Verdict(Arc::clone(self))).ok();
    }

    fn lose(&self, reason: LostReason) {
        {
            let mut pulse = sync::lock(&self.pulse);
            if pulse.phase != Phase::Held {
                return;
            }
            pulse.phase = Phase::Lost(reason);
            clear_timers(&mut pulse);
        }
        self.site.lost(self);
        self.events.log(self.tag, Level::Error, "lock was lost", &{
            self.details().with("reason", reason.as_str())
        });
        self.events.lost(self.tag, reason);
    }

    fn details(&self) -> Details {
        self.site.details().with("token", &self.grant.token.to_string())
    }

    /// Why it is not held any more, as far as this process can know now.
    ///
    /// A process that was stopped for longer than its lease wakes up with all of its threads at once:
    /// whoever asks may come before the heart has. So the clock is asked too, and if the lease is
    /// over by it, the file: whoever takes a lock over puts another one in its place. That it is
    /// still this one is no refresh; that is left to the beat and the verdict, with their grace.
    pub(crate) fn lost(self: &Arc<Self>) -> Option<LostReason> {
        let unrefreshed = {
            let pulse = sync::lock(&self.pulse);
            match pulse.phase {
                Phase::Held => clock::since_boot().saturating_sub(pulse.refreshed),
                Phase::Lost(reason) => return Some(reason),
                Phase::Released => return None,
            }
        };
        if unrefreshed < self.patience() {
            return None;
        }
        let reason = match self.site.locality {
            Locality::Local => self.is_replaced().then_some(LostReason::Hijacked)?,
            // To look may block for as long as the storage hangs.
            Locality::Remote if unrefreshed < self.patience() + self.grace() => return None,
            Locality::Remote => LostReason::HeartbeatFailed,
        };
        self.lose(reason);
        Some(reason)
    }

    /// Not by way of `file`, which a beat may have.
    fn is_replaced(&self) -> bool {
        let Site { dir, names, .. } = &*self.site;
        dir.stat(&names.lock).is_ok_and(|stat| stat.is_none_or(|stat| stat.id != self.id))
    }

    /// Stops the heartbeat, releases the kernel lock, closes the descriptor; in that order, because
    /// a beat after the release would refresh somebody else's lease. Only the first call does it.
    pub(crate) fn release(self: &Arc<Self>) -> Released {
        {
            let mut pulse = sync::lock(&self.pulse);
            if pulse.phase == Phase::Released {
                return Released::Done(Ok(()));
            }
            pulse.phase = Phase::Released;
            clear_timers(&mut pulse);
        }
        if self.site.locality == Locality::Remote {
            let lease = Arc::clone(self);
            // Without a thread it is done here: late is better than never.
            return match hands::run(Then::Linger, move || lease.finish_late()) {
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
                    Released::Done(self.site.give_back(self, file))
                }
            },
        }
    }

    fn finish_late(self: &Arc<Self>) {
        let file = sync::lock(&self.file).take();
        if let Some(file) = file {
            let result = self.site.give_back(self, file);
            self.events.released(self.tag, result);
        }
    }
}

fn clear_timers(pulse: &mut Pulse) {
    for key in [pulse.beat.take(), pulse.verdict.take()].into_iter().flatten() {
        heart::clear(key);
    }
}
