//! One process left alone: is it granted the lock, and when?
//!
//! Stateright's own `eventually` does not see runs that end in a cycle, and here all do. So the
//! question is put to every state instead: what if from now on only this process runs? It does not
//! know that; its steps are those of the protocol, and where it needs time to pass, it waits.

use crate::protocol::{Lock, Step};
use crate::state::{Guard, Mode, Phase, State, Terms};

/// More steps than any acquire and recovery has.
const PLENTY: usize = 200;

/// How many ticks pass until process `i` is granted the lock if every other process stays for good
/// where it is; `Some(None)` for never.
///
/// `None` when the question does not arise: it holds the lock, or another process is inside the
/// guard.
pub fn ticks_until_grant(lock: &Lock, s: &State, i: usize) -> Option<Option<u8>> {
    let p = &s.processes[i];
    if p.frozen || p.is_holder() || !s.guard_is_free(Guard::Exclusive, i) {
        return None;
    }
    if p.phase != Phase::Idle {
        return Some(run(lock, *s, i, (p.mode, p.terms)));
    }
    let wishes = [Mode::Exclusive, Mode::Shared]
        .into_iter()
        .flat_map(|mode| [Terms::Usual, Terms::Hasty].map(|terms| (mode, terms)))
        .filter(|&(mode, terms)| lock.may_ask_for(mode, terms));
    Some(
        wishes.map(|wish| run(lock, *s, i, wish)).try_fold(0, |most, ticks| Some(most.max(ticks?))),
    )
}

fn run(lock: &Lock, mut s: State, i: usize, (mode, terms): (Mode, Terms)) -> Option<u8> {
    use Step::*;
    let steps = [
        Open(mode, terms),
        LockKernel,
        Look,
        LockGuard,
        CheckIdentity,
        ReadLedger,
        Moment,
        Stamp,
        TryLock { granted: true },
        TryLock { granted: false },
        LookAgain,
        CreateTemporary,
        Rename,
        WriteLedger,
        UnlockGuard,
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
