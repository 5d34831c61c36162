//! The heartbeat of a session that has the lock: beats, and when a lease is over without them.

use std::sync::Arc;
use std::time::Duration;

use rootlock::LostReason;
use rootlock_sys::clock;
use tokio::time::sleep;

use super::session::Session;
use crate::entry::Entry;
use crate::lock::expire;

/// How often a beat that is not answered is looked after, when no lease is in danger.
const IDLE: Duration = Duration::from_secs(1);

/// Beats until the session is over. To be aborted before the lock is released.
pub(super) async fn run(entry: Arc<Entry>, session: Arc<Session>) {
    loop {
        let due = {
            let state = entry.state();
            let beaten = clock::since_boot().saturating_sub(entry.refreshed.get());
            state.heartbeat.saturating_sub(beaten)
        };
        tokio::select! { biased;
            _ = session.ended() => break,
            () = sleep(due) => {}
            () = entry.quicker.notified() => continue,
        }
        if !beat(&entry, &session).await {
            break;
        }
    }
    entry.lose_all(LostReason::Hijacked);
    session.give_up();
    entry.wake.notify_one();
}

/// One beat: whether it found the lock.
async fn beat(entry: &Arc<Entry>, session: &Session) -> bool {
    let moment = clock::since_boot();
    let mut answer = std::pin::pin!(session.beat());
    let (mut look, mut put_off) = (Duration::ZERO, false);
    loop {
        let looks_at = clock::since_boot() + look;
        tokio::select! { biased;
            found = &mut answer => {
                if !matches!(found, Ok(true)) {
                    return false;
                }
                entry.refreshed.raise(moment);
                return true;
            }
            () = sleep(look) => {}
        }
        let (leases, heartbeat): (Vec<_>, _) = {
            let state = entry.state();
            (state.leases.values().cloned().collect(), state.heartbeat)
        };
        look = IDLE.min(heartbeat);
        let had_leases = !leases.is_empty();
        look = look.min(expire(&leases, looks_at, &mut put_off));
        if had_leases && entry.state().leases.is_empty() {
            // The connection is closed with the last lease.
            return false;
        }
        // In quarantine there is no lease; but a session that does not answer is none either.
        if !had_leases && clock::since_boot().saturating_sub(moment) > heartbeat * 2 {
            return false;
        }
    }
}
