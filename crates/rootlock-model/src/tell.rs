//! Traces as stories: one sentence for each step.

use stateright::Model;

use crate::protocol::{Action, Lock, Step};
use crate::setup::Variant;
use crate::state::{Mode, Phase, State};

/// One numbered sentence per step, then what is wrong in the end.
pub(crate) fn story(lock: &Lock, actions: &[Action]) -> String {
    let mut names: Vec<String> =
        (1..=lock.0.processes).map(|number| format!("P{number}")).collect();
    let mut s = lock.init_states()[0];
    let mut lines = Vec::new();
    let mut rest = actions;
    while let Some((&action, tail)) = rest.split_first() {
        rest = tail;
        let mut next = lock.next_state(&s, action).expect("a trace can be walked");
        let line = match action {
            Action::Tick => {
                let mut ticks = 1;
                while let Some((Action::Tick, tail)) = rest.split_first() {
                    rest = tail;
                    ticks += 1;
                    next = lock.next_state(&next, action).expect("a trace can be walked");
                }
                let plural = if ticks == 1 { "tick passes" } else { "ticks pass" };
                format!("— {ticks} {plural}.")
            }
            Action::Sleep => "— the machine sleeps for a tick.".into(),
            Action::ForeignUnlink => "— a foreign program unlinks L.".into(),
            Action::Of(i, step) => {
                let i = usize::from(i);
                let line = format!("{} {}", names[i], sentence(lock, &names, &s, &next, i, step));
                if step == Step::Crash {
                    names[i].push('′');
                }
                line
            }
        };
        lines.push(format!("{}. {line}", lines.len() + 1));
        s = next;
    }
    let ending = lock.0.claims.iter().find_map(|claim| claim.offenders(lock, &s));
    if let Some((i, j)) = ending {
        let how = |i: usize| {
            let p = &s.processes[i];
            let age = match p.age {
                0 => "in this tick".into(),
                1 => "a tick ago".into(),
                ticks => format!("{ticks} ticks ago"),
            };
            let mode = match p.mode {
                Mode::Exclusive => "exclusively",
                Mode::Shared => "shared",
            };
            format!("{} ({mode}; refreshed {age})", names[i])
        };
        lines.push(format!(
            "\n**Both believe that they hold the lock:** {} and {}.",
            how(i),
            how(j)
        ));
    }
    lines.join("\n")
}

fn sentence(
    lock: &Lock,
    names: &[String],
    s: &State,
    next: &State,
    i: usize,
    step: Step,
) -> String {
    let naive = lock.0.variant == Variant::Naive;
    let (p, after) = (&s.processes[i], &next.processes[i]);
    let file = if s.is_l(p.file) { "L" } else { "its file, which is no longer L" };
    let started_over = after.phase == Phase::Idle;
    match step {
        Step::Open(mode) => {
            let makes = if s.linked { "opens L" } else { "makes L anew" };
            let shared = if mode == Mode::Shared { ", to share it" } else { "" };
            format!("`open`: {makes}{shared}.")
        }
        Step::LockKernel => format!("`lock_kernel`: gets the kernel lock on {file}."),
        Step::LockGuard => match p.phase {
            Phase::Stale => "`lock_guard`: enters the guard to recover.".into(),
            Phase::Holding => "`lock_guard`: enters the guard for a beat.".into(),
            _ => "`lock_guard`: enters the guard.".into(),
        },
        Step::CheckIdentity if started_over => {
            "`check_identity`: its file is no longer L; starts over.".into()
        }
        Step::CheckIdentity if p.is_holder() && !after.is_holder() => {
            "`check_identity`: learns that it was robbed.".into()
        }
        Step::CheckIdentity => "`check_identity`: its file is L.".into(),
        Step::Stamp if naive && !p.is_holder() => {
            format!("`stamp`: refreshes {file}. It holds the lock.")
        }
        Step::Stamp => format!("`stamp`: refreshes {file}."),
        Step::ReadLedger => "`write_ledger`: reads the last token …".into(),
        Step::WriteLedger => "… and writes the next one.".into(),
        Step::UnlockGuard if p.is_holder() => "`unlock_guard`: the beat is done.".into(),
        Step::UnlockGuard => "`unlock_guard`: it holds the lock.".into(),
        Step::Look if naive => "`look`: was refused, and sees an old L.".into(),
        Step::Look if started_over => "`look`: L is another file; starts over.".into(),
        Step::Look if after.phase == Phase::Waiting => {
            "`look`: sees L; its stopwatch starts.".into()
        }
        Step::Look if !lock.watched_long_enough(s, p) => {
            "`look`: the ledger's holder is dead; it shall recover.".into()
        }
        Step::Look => "`look`: L is unchanged for long enough; it shall recover.".into(),
        Step::LookAgain if after.phase == Phase::Waiting => {
            "`look_again`: L has changed; leaves the guard and goes on waiting.".into()
        }
        Step::LookAgain if lock.watched_long_enough(s, p) => {
            "`look_again`: L is still as it was.".into()
        }
        Step::LookAgain if lock.0.variant == Variant::NoLookAgain => {
            "does **not** look again: L has changed meanwhile.".into()
        }
        Step::LookAgain => "`look_again`: the ledger's holder is still dead.".into(),
        Step::TryLock { granted: true } => "`try_lock`: nobody has the kernel lock.".into(),
        Step::TryLock { granted: false } => {
            format!("`try_lock`: refused{}.", owners(names, s, i, " by "))
        }
        Step::CreateTemporary => "`create_temporary`: makes and locks a new file beside L.".into(),
        Step::Rename => {
            format!("`rename`: puts it in L's place{}.", owners(names, s, i, ", under "))
        }
        Step::Unlink => {
            format!("unlinks L{}, and starts over.", owners(names, s, i, ", under "))
        }
        Step::RefuseBeat => "is due to beat, but somebody is inside the guard.".into(),
        Step::FailHeartbeat => "`heartbeat-failed`: gives its lock up for lost.".into(),
        Step::StopHeartbeat => "stops its heartbeat, to release.".into(),
        Step::UnlockKernel => "`unlock_kernel`: gives the kernel lock back.".into(),
        Step::GiveUp => "gives up waiting.".into(),
        Step::Freeze => "is frozen.".into(),
        Step::Wake => "wakes.".into(),
        Step::Crash => {
            format!("dies; {}′ starts in its place.", names[i])
        }
    }
}

/// Who else has the kernel lock on L.
fn owners(names: &[String], s: &State, i: usize, preposition: &str) -> String {
    let owners: Vec<&str> = names
        .iter()
        .enumerate()
        .filter(|&(j, _)| {
            let p = &s.processes[j];
            j != i && p.has_kernel_lock() && s.is_l(p.file)
        })
        .map(|(_, name)| name.as_str())
        .collect();
    if owners.is_empty() { String::new() } else { format!("{preposition}{}", owners.join(" and ")) }
}
