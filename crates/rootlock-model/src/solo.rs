//! One process left alone: is it granted the lock, and when?
//!
//! Stateright's own `eventually` does not see runs that end in a cycle, and here all do. So the
//! question is put to every state instead: what if from now on only this process runs? It knows
//! nothing of that; its steps are those of the protocol, and what it can't do without time it
//! waits for.

use crate::protocol::{Lock, Step};
use crate::state::{Guard, Mode, Phase, State};

/// More steps than any acquire and recovery has.
const PLENTY: usize = 200;

/// How many ticks pass until process `i` is granted the lock if every other process stands still
/// for good where it is; `Some(None)` for never.
///
/// `None` when the question does not arise: it holds the lock, is frozen itself, or somebody else
/// stands inside the guard.
pub fn ticks_until_grant(lock: &Lock, s: &State, i: usize) -> Option<Option<u8>> {
    let p = &s.processes[i];
    if p.frozen || p.is_holder() || !s.guard_is_free(Guard::Exclusive, i) {
        return None;
    }
    if p.phase == Phase::Idle && lock.0.shared {
        let [exclusive, shared] =
            [Mode::Exclusive, Mode::Shared].map(|mode| run(lock, *s, i, mode));
        return Some(exclusive.zip(shared).map(|(a, b)| a.max(b)));
    }
    Some(run(lock, *s, i, p.mode))
}

fn run(lock: &Lock, mut s: State, i: usize, mode: Mode) -> Option<u8> {
    use Step::*;
    let steps = [
        Open(mode),
        LockKernel,
        Look,
        LockGuard,
        CheckIdentity,
        Stamp,
        ReadLedger,
        WriteLedger,
        UnlockGuard,
        LookAgain,
        TryLock { granted: true },
        TryLock { granted: false },
        CreateTemporary,
        Rename,
    ];
    let mut ticks = 0;
    for _ in 0..PLENTY {
        let phase = s.processes[i].phase;
        if phase == Phase::Holding {
            return Some(ticks);
        }
        let next = steps
            .into_iter()
            // A wait does not depend on attempts under the guard.
            .filter(|step| (phase, *step) != (Phase::Waiting, LockGuard))
            .find_map(|step| lock.step(&s, i, step));
        s = next.unwrap_or_else(|| {
            ticks += 1;
            lock.tick(&s, true)
        });
    }
    None
}
