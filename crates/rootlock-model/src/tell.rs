//! Traces as stories: one line for each turn, that is, for what one process does until another one
//! moves or time passes.

use stateright::Model;

use crate::protocol::{Action, Lock, Step};
use crate::setup::Variant;
use crate::state::{Mode, Phase, State, Terms};

/// A numbered line for each turn, then what is wrong in the end.
pub(crate) fn story(lock: &Lock, actions: &[Action]) -> String {
    let mut names: Vec<String> =
        (1..=lock.0.processes).map(|number| format!("P{number}")).collect();
    let mut s = lock.init_states()[0];
    let mut lines = Vec::new();
    let mut rest = actions;
    while let Some(&action) = rest.first() {
        let line = match action {
            Action::Tick => {
                let steps = turn(lock, &mut s, &mut rest, |next| next == Action::Tick);
                let frozen: Vec<&str> = (0..lock.0.processes)
                    .filter(|&i| steps.iter().any(|(before, ..)| lock.is_urgent(before, i)))
                    .map(|i| names[i].as_str())
                    .collect();
                let ticks = match steps.len() {
                    1 => "1 tick passes".into(),
                    ticks => format!("{ticks} ticks pass"),
                };
                let frozen = match frozen.as_slice() {
                    [] => String::new(),
                    [one] => format!(", **{one} is frozen**"),
                    more => format!(", **{} are frozen**", more.join(" and ")),
                };
                format!("— {ticks}{frozen}.")
            }
            Action::Sleep => {
                turn(lock, &mut s, &mut rest, |_| false);
                "— the machine sleeps for a tick.".into()
            }
            Action::ForeignUnlink => {
                turn(lock, &mut s, &mut rest, |_| false);
                "— a foreign program unlinks L.".into()
            }
            Action::RemoveGuard => {
                turn(lock, &mut s, &mut rest, |_| false);
                "— a cleaner of old files removes the guard.".into()
            }
            Action::Of(i, first) => {
                // A crash ends a turn: the process that takes its place is another one.
                let same = |next| {
                    first != Step::Crash
                        && matches!(next, Action::Of(j, step) if i == j && step != Step::Crash)
                };
                let steps = turn(lock, &mut s, &mut rest, same);
                let i = usize::from(i);
                let told: Vec<String> = steps
                    .iter()
                    .map(|(before, action, after)| {
                        let Action::Of(_, step) = action else { unreachable!("one process's") };
                        phrase(lock, &names, before, after, i, *step)
                    })
                    .collect();
                let line = format!("{} {}.", names[i], told.join(", "));
                if first == Step::Crash {
                    names[i].push('′');
                }
                line
            }
        };
        lines.push(format!("{}. {line}", lines.len() + 1));
    }
    if s.token_fell {
        lines.push("\n**A token fell:** the last one is lower than one before it.".into());
    }
    let ending = lock.0.claims.iter().find_map(|claim| claim.offenders(lock, &s));
    if let Some((i, j)) = ending {
        let how = |i: usize| {
            let p = &s.processes[i];
            let mode = match p.mode {
                Mode::Exclusive => "exclusive",
                Mode::Shared => "shared",
            };
            let ticks = if p.age == 1 { "tick" } else { "ticks" };
            format!("{} ({mode}, refreshed {} {ticks} ago)", names[i], p.age)
        };
        lines.push(format!(
            "\n**Both believe that they hold the lock:** {} and {}.",
            how(i),
            how(j)
        ));
    }
    lines.join("\n")
}

/// Takes the first of the rest and what continues it, each with the states before and after.
fn turn(
    lock: &Lock,
    s: &mut State,
    rest: &mut &[Action],
    goes_on: impl Fn(Action) -> bool,
) -> Vec<(State, Action, State)> {
    let mut steps = Vec::new();
    while let Some((&action, tail)) = rest.split_first() {
        if !steps.is_empty() && !goes_on(action) {
            break;
        }
        let next = lock.next_state(s, action).expect("a trace can be walked");
        steps.push((*s, action, next));
        *s = next;
        *rest = tail;
    }
    steps
}

fn phrase(lock: &Lock, names: &[String], s: &State, next: &State, i: usize, step: Step) -> String {
    let naive = lock.0.variant == Variant::Naive;
    let (p, after) = (&s.processes[i], &next.processes[i]);
    let beats = p.is_holder();
    let started_over = after.phase == Phase::Idle;
    let waits_on = after.phase == Phase::Waiting;
    let remark = |name: &str, remark: &str| format!("`{name}` ({remark})");
    let plain = |name: &str| format!("`{name}`");
    match step {
        Step::Open(mode, terms) => {
            let mut remarks = Vec::new();
            if mode == Mode::Shared && p.phase == Phase::Idle {
                remarks.push("to share it");
            }
            if terms == Terms::Hasty && p.phase == Phase::Idle {
                remarks.push("on hasty terms");
            }
            if !s.linked {
                remarks.push("makes L anew");
            }
            if remarks.is_empty() { plain("open") } else { remark("open", &remarks.join(", ")) }
        }
        Step::LockKernel if s.is_l(p.file) => plain("lock_kernel"),
        Step::LockKernel => remark("lock_kernel", "on a file that is no longer L"),
        Step::LockGuard if beats => remark("lock_guard", "to beat"),
        Step::LockGuard if p.phase == Phase::Stale => remark("lock_guard", "to recover"),
        Step::LockGuard => plain("lock_guard"),
        Step::CheckIdentity if beats && !after.is_holder() => {
            remark("check_identity", "learns that it was preempted")
        }
        Step::CheckIdentity if started_over || waits_on => {
            remark("check_identity", "its file is no longer L")
        }
        Step::CheckIdentity => plain("check_identity"),
        Step::CheckStamp => remark("check_stamp", "L is as it stamped it"),
        Step::ReadLedger => plain("read_ledger"),
        Step::Moment if p.phase == Phase::Unlocked => {
            remark("moment", "only now; it holds the lock")
        }
        Step::Moment if p.phase == Phase::Resuming => {
            remark("moment", "the run goes on; it holds the lock")
        }
        Step::Moment => plain("moment"),
        Step::Stamp if naive && !beats => remark("stamp", "it holds the lock"),
        Step::Stamp => plain("stamp"),
        Step::WriteLedger => plain("write_ledger"),
        Step::UnlockGuard if beats => remark("unlock_guard", "the beat is done"),
        Step::UnlockGuard if after.is_holder() => remark("unlock_guard", "it holds the lock"),
        Step::UnlockGuard => plain("unlock_guard"),
        Step::Look if naive => remark("look", "was refused, and L is old"),
        Step::Look if started_over => remark("look", "L is another file"),
        Step::Look if waits_on => remark("look", "its stopwatch starts"),
        Step::Look if lock.watched_long_enough(s, p) => remark("look", "unchanged for long enough"),
        Step::Look => remark("look", "the ledger's holder is dead"),
        Step::TryLock { granted: true } => remark("try_lock", "nobody has the kernel lock"),
        Step::TryLock { granted: false } => {
            remark("try_lock", &format!("refused{}", owners(names, s, i, " by ")))
        }
        Step::LookAgain if waits_on => {
            remark("look_again", "no reason: leaves the guard, goes on waiting")
        }
        Step::LookAgain if lock.watched_long_enough(s, p) => {
            remark("look_again", "still unchanged")
        }
        Step::LookAgain if lock.0.variant == Variant::NoLookAgain => {
            "**does not look again**".into()
        }
        Step::LookAgain => remark("look_again", "the ledger's holder is still dead"),
        Step::CreateTemporary => plain("create_temporary"),
        Step::Rename => remark("rename", &format!("over L{}", owners(names, s, i, ", under "))),
        Step::Unlink => {
            remark("unlink", &format!("of L{}; starts over", owners(names, s, i, ", under ")))
        }
        Step::MissGuard if p.phase == Phase::BeatUnguardedStamped => {
            "does not look for a guard".into()
        }
        Step::MissGuard => "is due to beat, and there is no guard".into(),
        Step::FindGuard => "finds that there is a guard (the beat does not count)".into(),
        Step::RefuseBeat => "is due to beat and can't have the guard".into(),
        Step::FailHeartbeat => remark("fail_heartbeat", "gives its lock up for lost"),
        Step::StopHeartbeat => plain("stop_heartbeat"),
        Step::UnlockKernel => plain("unlock_kernel"),
        Step::GiveUp => "gives up waiting".into(),
        Step::Crash => format!("**dies**; {}′ starts in its place", names[i]),
    }
}

/// The other process that has the kernel lock on L.
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
