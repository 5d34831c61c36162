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
use crate::guard::{Entered, Guard, Patience};
use crate::hands::{self, Then};
use crate::heart::{self, Timer, TimerKey};
use crate::ledger::{Ledger, Record};
use crate::lockfile::LockFile;
use crate::options::Terms;
use crate::site::{Site, Waiter};
use crate::sync::{self, Mutex};
use crate::sys::{Locality, Stat, clock};
use crate::{Mode, Released, promise};

/// For how long a guard must have been missing before its holder makes it anew.
const GUARD_GONE: Duration = Duration::from_secs(3);

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
    /// Since when the guard has been missing, on the awake clock.
    guard_gone: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Held,
    Lost,
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
            file: Mutex::new(Some(file)),
            pulse: Mutex::new(Pulse {
                phase: Phase::Held,
                refreshed: grant.from.since_boot,
                beat: None,
                verdict: None,
                put_off: false,
                reported: false,
                recorded: grant.recorded,
                guard_gone: None,
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

    /// `lock_guard` → `check_identity` → `read_ledger` → `stamp` → `unlock_guard`; before the last, a
    /// `write_ledger` if the ledger has no record of this grant: a run has gone on, or the guard was
    /// removed and made anew.
    ///
    /// Makes a guard that is missing only after a while: a directory that somebody is just removing
    /// shall not be filled again.
    fn try_beat(&self, file: Option<&LockFile>) -> Beat {
        let Some(file) = file else { return Beat::Released };
        let (recorded, make) = {
            let pulse = sync::lock(&self.pulse);
            if pulse.phase != Phase::Held {
                return Beat::Released;
            }
            let gone = pulse.guard_gone.map(|since| clock::awake().saturating_sub(since));
            let make = gone.is_some_and(|gone| gone >= GUARD_GONE.max(self.terms.heartbeat));
            (pulse.recorded, make)
        };
        let beat = |mode| {
            self.beat_in(file, mode, recorded, make)
                .unwrap_or_else(|fault| Some(Beat::Failed(fault.to_string())))
        };
        let first = if recorded && !make { Mode::Shared } else { Mode::Exclusive };
        let found = beat(first).or_else(|| beat(Mode::Exclusive));
        found.unwrap_or_else(|| Beat::Failed("the ledger can't be written".into()))
    }

    /// One try; `None` when the ledger must be written, and the section is a shared one.
    fn beat_in(
        &self,
        file: &LockFile,
        mode: Mode,
        recorded: bool,
        make: bool,
    ) -> Result<Option<Beat>, Fault> {
        let Site { dir, names, guard, exact_times, .. } = &*self.site;
        let own = || file.check_identity(dir, names);
        if make && own()?.is_none() {
            return Ok(Some(Beat::Hijacked));
        }
        let patience = self.guard_patience();
        let entered = match make {
            true => guard
                .enter(dir, names, mode, patience)
                .map(|section| section.map_or(Entered::Busy, Entered::Yes)),
            false => guard.enter_existing(dir, names, mode, patience),
        };
        // The identity is looked at even when the refresh can't be done: a holder that was robbed
        // must hear of it.
        let Some(stat) = own()? else { return Ok(Some(Beat::Hijacked)) };
        let stamp = |stale| file.stamp_in_time(names, stat.modified, stale, exact_times);
        // Outside of a section the stamp may fall between a recoverer's second look and its rename,
        // so it does not prolong the lease. But whoever still watches must see a sign of life: a
        // busy guard is no reason to be robbed.
        let sign_of_life = |why: String| {
            stamp(self.promised(&stat))?;
            Ok(Some(Beat::Failed(why)))
        };
        let mut section = match entered {
            Ok(Entered::Yes(section)) => section,
            Ok(Entered::Busy) => {
                return sign_of_life(format!("{} is held by somebody", names.guard));
            }
            Ok(Entered::Missing) => {
                sync::lock(&self.pulse).guard_gone.get_or_insert_with(clock::awake);
                let at = Moment::now();
                stamp(self.promised(&stat))?;
                // A recoverer would make the guard before it looks. Whoever makes one after this
                // sees the stamp: the same as in a section.
                if !Guard::is_missing(dir, names)? {
                    return Ok(Some(Beat::Failed(format!("{} has just been made", names.guard))));
                }
                // One may have come, somebody may have taken over in it, and it may have gone.
                if own()?.is_none() {
                    return Ok(Some(Beat::Hijacked));
                }
                return Ok(Some(Beat::Refreshed(at)));
            }
            // Nothing is done to a lock whose guard may be somebody's data.
            Err(fault) if fault.is_not_ours() => return Err(fault),
            Err(fault) => return sign_of_life(fault.to_string()),
        };
        sync::lock(&self.pulse).guard_gone = None;
        let ledger = section.read_ledger()?;
        let terms = ledger.terms_for(self.mode, self.terms, &stat);
        let record = self.record(&ledger, recorded, terms, file);
        if record.is_some() && mode == Mode::Shared {
            return Ok(None);
        }
        // Before the stamp: the lease must not count from later than others see.
        let at = Moment::now();
        stamp(terms.stale)?;
        section.keep_fresh();
        if mode == Mode::Exclusive {
            // What the file itself promises will do until the next beat.
            let written =
                record.is_none_or(|record| section.write_ledger(&ledger, &record).is_ok());
            sync::lock(&self.pulse).recorded = written;
        }
        Ok(Some(Beat::Refreshed(at)))
    }

    /// The T to say on the file by somebody who can't read the ledger: of readers, the longest.
    fn promised(&self, stat: &Stat) -> Duration {
        match self.mode {
            Mode::Exclusive => self.terms.stale,
            Mode::Shared => {
                promise::read(stat).map_or(self.terms.stale, |said| said.max(self.terms.stale))
            }
        }
    }

    /// What is to be written into the ledger: this grant's own record instead of the one of its
    /// run's first, which others only read in messages; or one with its terms, if there is none.
    fn record(
        &self,
        ledger: &Ledger,
        recorded: bool,
        terms: Terms,
        file: &LockFile,
    ) -> Option<Record> {
        let Grant { token, granted_at, .. } = self.grant;
        let own = |run: &&Record| (run.token..=run.last).contains(&token);
        let run = ledger.of(file.id()).filter(own).filter(|_| !recorded);
        run.map(|run| Record { token, granted_at, ..run.clone() })
            .or_else(|| self.grant.missing_record(ledger, self.mode, terms, file.id()))
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
            pulse.phase = Phase::Lost;
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

    /// Whether nobody has told it otherwise.
    pub(crate) fn is_held(&self) -> bool {
        sync::lock(&self.pulse).phase == Phase::Held
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
