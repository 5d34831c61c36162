//! The protocol with one rule changed, and the shortest way into the hole that this makes.

use super::claims::Claim;
use super::protocol::{Action, Postgres, Step};
use super::setup::{Setup, Variant};
use super::state::{Answer, Phase, State, Statement};
use crate::setup::Timing;
use crate::state::{Mode, Terms};
use crate::trace::{Hole, Told, Turn};

/// The rules, each broken.
pub fn holes() -> Vec<Hole<Postgres>> {
    let hole = |title, variant, claim, setup: Setup, moral| Hole {
        title,
        moral,
        model: Postgres(Setup { variant, claims: vec![claim], symmetry: false, ..setup }),
    };
    // Only what the story needs.
    let calm = |clients| Setup {
        restarts: false,
        releases: false,
        crashes: false,
        cancels: false,
        ..Setup::protocol(clients)
    };
    let hasty =
        |clients| Setup { timing: Timing::SMALL, hasty: Some(Timing::SHORT), ..calm(clients) };
    let restarts = |clients| Setup { restarts: true, ..calm(clients) };
    vec![
        hole(
            "a lease that counts from the receipt of the answer",
            Variant::LeaseFromAnswer,
            Claim::ExclusiveInLease,
            calm(2),
            "The server counts from when it heard from P1. An answer may take any time, or wait for \
             a frozen process. So the clock is read before sending.",
        ),
        hole(
            "a token that comes late is a grant",
            Variant::NoConfirm,
            Claim::GrantedInLease,
            calm(1),
            "The answer to `write_ledger` took longer than T − h. So the client writes again.",
        ),
        hole(
            "the token is written before the lock is asked for",
            Variant::TokenBeforeLock,
            Claim::TokensRise,
            calm(2),
            "Tokens are given in one order, and the lock in another. So the token is written by \
             whoever has the server's lock, in the same session.",
        ),
        hole(
            "no base: the first token is one",
            Variant::NoBase,
            Claim::TokensRise,
            Setup { moved: true, ..calm(1) },
            "The lock was a directory's, whose tokens are microseconds. Every store would refuse \
             the new ones. So the clock is the base.",
        ),
        hole(
            "commits are answered before they are on disk",
            Variant::EarlyCommit,
            Claim::TokensRise,
            Setup { crashes: true, ..restarts(2) },
            "The server crashes, and forgets a token that was told. So a session sets \
             `synchronous_commit = on`. Failing over to a standby that lacks the last commits is \
             the same story, and there nothing but the clock helps.",
        ),
        hole(
            "commits are answered early, and `held` is forgotten",
            Variant::EarlyCommit,
            Claim::ExclusiveInLease,
            restarts(2),
            "As before; what is forgotten is that the lock was held.",
        ),
        hole(
            "two clients share a session",
            Variant::SharedSession,
            Claim::ExclusiveConnected,
            calm(2),
            "Behind a transaction pooler two clients have one session, and a session that has the \
             lock is granted it again. So `connect` refuses such poolers.",
        ),
        hole(
            "no quarantine after a restart",
            Variant::NoQuarantine,
            Claim::ExclusiveInLease,
            restarts(2),
            "Advisory locks are gone, the lease of the holder is not. So the row says in which \
             instance it is held.",
        ),
        hole(
            "the new instance is written before the quarantine",
            Variant::InstanceFirst,
            Claim::ExclusiveInLease,
            Setup { crashes: true, ..restarts(2) },
            "As first designed. P2's `write_ledger` says that the row is held in this instance, and \
             then P2 is lost, or its answer is. The next one sees no other instance, and sits out \
             nothing. So `write_ledger` changes nothing until the quarantine is over.",
        ),
        hole(
            "a quarantine of one's own T",
            Variant::OwnQuarantine,
            Claim::ExclusiveInLease,
            Setup { restarts: true, ..hasty(2) },
            "P1's terms are the wider ones. So the row says the widest T of its holders.",
        ),
        hole(
            "a quarantine that counts from the server's start",
            Variant::SinceStart,
            Claim::ExclusiveInLease,
            restarts(2),
            "After the crash of one backend the server makes its memory anew, and has started long ago. So a marker in \
             that memory has its time too.",
        ),
        hole(
            "a release from quarantine clears `held`",
            Variant::ClearsUngranted,
            Claim::ExclusiveInLease,
            Setup { cancels: true, ..restarts(2) },
            "P2 gives up before it is granted the lock. What is held is not P2's to clear.",
        ),
        hole(
            "a release that does not clear `held`",
            Variant::KeepsHeld,
            Claim::QuarantinedForAReason,
            Setup { releases: true, ..restarts(1) },
            "After a restart the next one sits out a lease that was given back.",
        ),
        hole(
            "readers clear `held`",
            Variant::ReadersClear,
            Claim::ExclusiveInLease,
            Setup { shared: true, releases: true, ..restarts(2) },
            "Another reader still has the lock. So only a writer, who was alone, clears `held`.",
        ),
        hole(
            "a release that unlocks first, and clears `held` after that",
            Variant::UnlockFirst,
            Claim::ExclusiveInLease,
            Setup { releases: true, ..restarts(2) },
            "Somebody is granted the lock in between, whose `held` is cleared. So the row is changed \
             before the lock is given back, in one statement.",
        ),
        hole(
            "readers write down their own terms",
            Variant::LastReadersTerms,
            Claim::ExclusiveInLease,
            Setup { shared: true, restarts: true, ..hasty(2) },
            "P1 shares the lock on wide terms, and P2 joins on hasty ones. So readers keep the \
             widest.",
        ),
        hole(
            "a beat that any session may answer",
            Variant::UncheckedBeat,
            Claim::ExclusiveInLease,
            Setup { reroutes: true, ..calm(2) },
            "P1's session has ended; a driver that reconnects, or a pooler, takes its beat to \
             another one, which answers. So a beat looks for the lock of its own session.",
        ),
        hole(
            "a beat that finds anybody's lock",
            Variant::AnybodysLock,
            Claim::ExclusiveInLease,
            Setup { reroutes: true, ..calm(2) },
            "As before, and the lock that is found is P2's.",
        ),
        hole(
            "a backstop that goes by one's own T",
            Variant::OwnBackstop,
            Claim::ExclusiveInLease,
            Setup { stuck_clock: true, ..hasty(2) },
            "The server's clock was set back, so that its timeouts do not come. P2 has P1's session \
             terminated, as it may, but too early.",
        ),
        hole(
            "a cancel request that is not waited for",
            Variant::CancelForgotten,
            Claim::NothingStranded,
            Setup { cancels: true, ..calm(1) },
            "The grant came first. The request is still on its way when P1 gives the lock back, and \
             ends that instead; the connection goes back to a pool, with the lock. So a connection \
             is used again only when the cancel request's own connection was closed by the server.",
        ),
        hole(
            "an error for a lock that was granted",
            Variant::TrustsCancelled,
            Claim::NothingStranded,
            Setup { cancels: true, ..calm(1) },
            "The server grants the lock, and the cancel request ends the statement just then. The answer is an \
             error, and an error does not take back a session's lock. So after an error the lock is looked for in \
             `pg_locks`. This one was found by running, after the model had taken the answer at its word.",
        ),
        hole(
            "not a variant: a session that the server ends early",
            Variant::Protocol,
            Claim::ExclusiveInLease,
            Setup { early_ends: true, ..calm(2) },
            "This one stays open: the server's clock steps forward, somebody terminates the \
             session, or the connection breaks at the server's end only. P1 is told at once if it \
             can be reached, and believes in its lease until it is told.",
        ),
    ]
}

impl Told for Postgres {
    fn clients(&self) -> usize {
        self.0.clients
    }

    fn replaces(&self, s: &State, action: Action) -> Option<usize> {
        match action {
            Action::Of(i, Step::EndGone | Step::EndIdle | Step::EndEarly)
                if s.clients[usize::from(i)].phase == Phase::Gone =>
            {
                Some(i.into())
            }
            _ => None,
        }
    }

    fn tell(&self, s: &State, action: Action, next: &State) -> (Turn, String) {
        use Step::*;
        let (i, step) = match action {
            Action::Tick => return (Turn::Tick, String::new()),
            Action::Restart => return (Turn::Server, "restarts: **all sessions are over**".into()),
            Action::Flush => return (Turn::Server, "writes its log to disk".into()),
            Action::Of(i, step) => (usize::from(i), step),
        };
        let (c, after) = (&s.clients[i], &next.clients[i]);
        let name = format!("{{{i}}}");
        let grants = if after.is_holder() && !c.is_holder() { " (it holds the lock)" } else { "" };
        let what = match step {
            Connect(mode, terms) => {
                let shared = if mode == Mode::Shared { ", to share it" } else { "" };
                let hasty = if terms == Terms::Hasty { ", on hasty terms" } else { "" };
                let asks =
                    if after.phase == Phase::Writing { "write_ledger" } else { "lock_server" };
                format!("`connect`, `{asks}`{shared}{hasty}")
            }
            LockServer => format!("hears that it has the server's lock{grants}"),
            WriteLedger => "`moment`, `write_ledger`".into(),
            Quarantine => format!("`quarantine` for {} ticks", after.quarantine),
            Confirm if after.phase == Phase::Locked => "`confirm`: its token comes too late".into(),
            Confirm => format!("`confirm`: hears its token{grants}"),
            Beat => "`moment`, `beat`".into(),
            Refresh if after.is_holder() => "hears that its beat is good".into(),
            Refresh => "hears that its lock is gone".into(),
            FailHeartbeat => "gives its lock up for lost".into(),
            Disconnect => "hears that its session is over".into(),
            HandOver => "stops its heartbeat, to hand the lock over".into(),
            Release => "`release`".into(),
            Released => "is told the end of its release".into(),
            Cancel => "`cancel`".into(),
            Cancelled => "hears the end of `lock_server`".into(),
            Crash => "**is lost**".into(),
            Run => {
                let statement = match c.statement {
                    Some(Statement::Lock) => "grants {i} its lock",
                    Some(Statement::Write { .. }) => match after.answer {
                        Some(Answer::Held(_)) if next.row == s.row => {
                            "runs {i}'s `write_ledger`: held in another instance"
                        }
                        Some(Answer::Held(_)) => {
                            "runs {i}'s `write_ledger`: was held in another instance"
                        }
                        _ => "runs {i}'s `write_ledger`",
                    },
                    Some(Statement::Beat) if c.session => "runs {i}'s `beat`",
                    Some(Statement::Beat) => "runs {i}'s `beat` **in another session**",
                    Some(Statement::Release { .. }) if after.statement.is_some() => {
                        "runs the first half of {i}'s `release`: unlocks"
                    }
                    Some(Statement::Release { .. }) => "runs {i}'s `release`",
                    Some(Statement::Clear) => {
                        "runs the second half of {i}'s `release`: **clears `held`**"
                    }
                    None => "",
                };
                return (Turn::Server, statement.replace("{i}", &name));
            }
            HitCancel(true) => return (Turn::Server, format!("**cancels what {name} sent**")),
            HitGrant => {
                return (
                    Turn::Server,
                    format!("grants {name} its lock, **and cancels the statement**"),
                );
            }
            HitCancel(false) => {
                return (Turn::Server, format!("finds nothing of {name} to cancel"));
            }
            EndIdle => return (Turn::Server, format!("**ends the idle session of {name}**")),
            EndGone => return (Turn::Server, format!("learns that {name} is no more")),
            EndEarly => return (Turn::Server, format!("**ends the session of {name} early**")),
            Terminate => {
                return (
                    Turn::Server,
                    format!("terminates {name}'s session, as a waiter wants it"),
                );
            }
        };
        (Turn::Client(i), what)
    }
}
