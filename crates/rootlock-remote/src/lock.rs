//! A held lock, and its lease.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, SystemTime};

use rootlock::{Details, Events, Holder, Level, LostReason, Mode, Released};
use rootlock_protocol::holder::Process;
use rootlock_sys::clock;

use crate::entry::{Entry, Waiter};
use crate::etcd::Ticket;
use crate::line::Key;
use crate::terms::{Overdue, Refreshed, Terms, overdue};

/// A held lock. Dropping it releases it.
#[must_use = "dropping a lock releases it"]
pub struct Lock {
    pub(crate) lease: Arc<Lease>,
}

/// One grant, from its beginning to its release.
pub struct Lease {
    pub(crate) entry: Arc<Entry>,
    pub(crate) key: Key,
    pub(crate) tag: u64,
    pub(crate) path: Arc<Path>,
    pub(crate) mode: Mode,
    pub(crate) terms: Terms,
    pub(crate) token: u64,
    /// The clock when its token was asked for.
    pub(crate) moment: Duration,
    /// The beats of its session.
    pub(crate) refreshed: Arc<Refreshed>,
    /// Its place at the server, if it has one of its own.
    pub(crate) ticket: Option<Ticket>,
    since: SystemTime,
    events: Arc<dyn Events<Lock>>,
    phase: AtomicU8,
}

const HELD: u8 = 0;
const RELEASED: u8 = 1;
const HIJACKED: u8 = 2;
const FAILED: u8 = 3;

impl Lease {
    pub(crate) fn new(
        entry: &Arc<Entry>,
        waiter: &Waiter,
        token: u64,
        moment: Duration,
        refreshed: &Arc<Refreshed>,
    ) -> Self {
        Self {
            entry: Arc::clone(entry),
            key: waiter.key,
            tag: waiter.tag,
            path: Arc::clone(&waiter.path),
            mode: waiter.mode,
            terms: waiter.terms,
            token,
            moment,
            refreshed: Arc::clone(refreshed),
            ticket: None,
            since: SystemTime::now(),
            events: Arc::clone(&waiter.events),
            phase: AtomicU8::new(HELD),
        }
    }

    /// The same, with a place of its own at the server.
    pub(crate) fn by(self, ticket: Ticket) -> Self {
        Self { ticket: Some(ticket), ..self }
    }

    pub(crate) fn is_held(&self) -> bool {
        self.phase.load(Ordering::Acquire) == HELD
    }

    /// Ends it once. Whether it was this call that did.
    fn leave(&self, to: u8) -> bool {
        self.phase.compare_exchange(HELD, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// It is lost: its user is told, once.
    pub(crate) fn lose(self: &Arc<Self>, reason: LostReason) {
        let to = match reason {
            LostReason::Hijacked => HIJACKED,
            LostReason::HeartbeatFailed => FAILED,
        };
        if !self.leave(to) {
            return;
        }
        self.entry.has_lost(self);
        let details = Details::default()
            .with("path", &self.path.to_string_lossy())
            .with("token", &self.token.to_string())
            .with("reason", reason.as_str());
        self.events.log(self.tag, Level::Error, "lock was lost", &details);
        self.events.lost(self.tag, reason);
    }

    /// Why it was lost, as far as can be known now. A caller may ask when its process has just woken up, and
    /// the heart has not yet: then the clock decides.
    pub(crate) fn lost(self: &Arc<Self>) -> Option<LostReason> {
        match self.phase.load(Ordering::Acquire) {
            HIJACKED => return Some(LostReason::Hijacked),
            FAILED => return Some(LostReason::HeartbeatFailed),
            RELEASED => return None,
            _ => {}
        }
        let refreshed = self.refreshed.get().max(self.moment);
        let unrefreshed = clock::since_boot().saturating_sub(refreshed);
        if unrefreshed < self.terms.patience() + self.terms.grace() {
            return None;
        }
        self.lose(LostReason::HeartbeatFailed);
        // It may have been released, or found lost for another reason, at the same time.
        match self.phase.load(Ordering::Acquire) {
            HIJACKED => Some(LostReason::Hijacked),
            FAILED => Some(LostReason::HeartbeatFailed),
            _ => None,
        }
    }

    /// Releases it. A lost lock is not an error here.
    pub(crate) fn release(self: &Arc<Self>) -> Released {
        if !self.leave(RELEASED) {
            return Released::Done(Ok(()));
        }
        self.entry.release(Arc::clone(self));
        Released::Later
    }

    pub(crate) fn tell_released(&self) {
        self.events.released(self.tag, Ok(()));
    }

    pub(crate) fn holder(&self) -> Holder {
        let Process { pid, hostname, command, .. } = Process::this();
        Holder {
            pid: *pid,
            hostname: Some(hostname.clone()),
            command: Some(command.clone()).filter(|command| !command.is_empty()),
            acquired_at: Some(self.since),
            mode: self.mode,
            token: Some(self.token),
            own: true,
        }
    }
}

/// Ends the leases whose beat has been unanswered for too long. They were to be looked at by `due`; returns how soon to look
/// again. `put_off` says whether this process was found to have been stopped during this beat, which is
/// put up with once.
pub(crate) fn expire(leases: &[Arc<Lease>], due: Duration, put_off: &mut bool) -> Duration {
    let mut look = Duration::MAX;
    let mut puts_off = false;
    for lease in leases {
        let refreshed = lease.refreshed.get().max(lease.moment);
        match overdue(&lease.terms, refreshed, due, clock::since_boot(), *put_off) {
            Overdue::Not(left) => look = look.min(left),
            Overdue::PutOff(grace) => {
                puts_off = true;
                look = look.min(grace);
            }
            Overdue::Lost => lease.lose(LostReason::HeartbeatFailed),
        }
    }
    *put_off |= puts_off;
    look
}

impl Lock {
    /// The fencing token: strictly greater than the token of every earlier grant of this lock, to anybody.
    pub fn token(&self) -> u64 {
        self.lease.token
    }

    /// How it is held.
    pub fn mode(&self) -> Mode {
        self.lease.mode
    }

    /// Why it was lost, if that is known.
    pub fn lost(&self) -> Option<LostReason> {
        self.lease.lost()
    }

    /// Stops the heartbeat, and has the server unlock.
    pub fn unlock(self) -> Released {
        self.lease.release()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Nobody is left to tell, and releasing again does nothing.
        let _ = self.lease.release();
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lease { path, mode, token, .. } = &*self.lease;
        let mut out = f.debug_struct("Lock");
        out.field("path", path).field("mode", mode).field("token", token).finish_non_exhaustive()
    }
}
