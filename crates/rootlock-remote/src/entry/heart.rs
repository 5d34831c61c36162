//! The heartbeat of a session that has the lock: beats, and when a lease is over without them.

use std::sync::Arc;
use std::time::Duration;

use rootlock::LostReason;
use rootlock_sys::clock;
use tokio::time::sleep;

use super::Entry;
use crate::protocol::Session;
use crate::terms::{Overdue, overdue};

/// How often a beat that is not answered is looked after, when no lease is in danger.
const IDLE: Duration = Duration::from_secs(1);

/// Beats until the session is over. To be aborted before the lock is released.
pub(super) async fn run(entry: Arc<Entry>, session: Arc<Session>) {
    loop {
        let due = {
            let state = entry.state();
            let beaten = clock::since_boot().saturating_sub(state.refreshed);
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
                let mut state = entry.state();
                state.refreshed = state.refreshed.max(moment);
                return true;
            }
            () = sleep(look) => {}
        }
        let leases: Vec<_> = entry.state().leases.values().cloned().collect();
        let had_leases = !leases.is_empty();
        let (refreshed, heartbeat) = {
            let state = entry.state();
            (state.refreshed, state.heartbeat)
        };
        look = IDLE.min(heartbeat);
        let mut puts_off = false;
        for lease in leases {
            let refreshed = refreshed.max(lease.moment);
            match overdue(&lease.terms, refreshed, looks_at, clock::since_boot(), put_off) {
                Overdue::Not(left) => look = look.min(left),
                Overdue::PutOff(grace) => {
                    puts_off = true;
                    look = look.min(grace);
                }
                Overdue::Lost => lease.lose(LostReason::HeartbeatFailed),
            }
        }
        put_off |= puts_off;
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
