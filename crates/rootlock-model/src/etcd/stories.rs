//! The protocol with one rule changed, and the shortest way into the hole that this makes.

use super::claims::Claim;
use super::protocol::{Action, Etcd, Step};
use super::setup::{Setup, Variant};
use super::state::{Answer, Phase, Renewal, Request, State, Watch};
use crate::setup::Timing;
use crate::state::{Mode, Terms};
use crate::trace::{Hole, Told, Turn};

/// The rules, each broken; then what cluster and operator may do to the protocol itself.
pub fn holes() -> Vec<Hole<Etcd>> {
    let hole = |title, variant, claim, setup: Setup, moral| Hole {
        title,
        moral,
        model: Etcd(Setup { variant, claims: vec![claim], symmetry: false, ..setup }),
    };
    // Only what the story needs.
    let calm = |clients| Setup {
        elections: false,
        pauses: false,
        releases: false,
        crashes: false,
        cancels: false,
        ..Setup::protocol(clients)
    };
    let restores = |clients| Setup { restores: true, ..calm(clients) };
    let hasty =
        |clients| Setup { timing: Timing::SMALL, hasty: Some(Timing::SHORT), ..restores(clients) };
    vec![
        hole(
            "a lease that counts from the receipt of the answer",
            Variant::LeaseFromAnswer,
            Claim::ExclusiveInLease,
            calm(2),
            "The leader counts from when it heard from P1. An answer may take any time, or wait for \
             a frozen process. So the clock is read before sending.",
        ),
        hole(
            "whoever is first in line is granted the lock, however old its last beat is",
            Variant::NoConfirm,
            Claim::GrantedInLease,
            calm(1),
            "The answer took longer than T − h: the key is perhaps no more. So a client that is \
             first in line beats before it is granted the lock.",
        ),
        hole(
            "whoever is told that its blocker left is granted the lock",
            Variant::NoLook,
            Claim::ExclusiveInLease,
            Setup { cancels: true, ..calm(3) },
            "The nearest one before P3 only waited, and left. So a client looks at the line again.",
        ),
        hole(
            "a beat whose TTL is not looked at",
            Variant::UncheckedBeat,
            Claim::ExclusiveInLease,
            calm(2),
            "A keep-alive of a lease that is no more is answered too, with a TTL of 0.",
        ),
        hole(
            "a watch that begins with the revision that was read",
            Variant::WatchFromRead,
            Claim::ToldAtOnce,
            Setup { releases: true, ..calm(2) },
            "Nothing is missed, but the server takes such a watch for one that has to catch up, and \
             serves it with its next round. (A tick is 100 ms here.) So it begins with the \
             revision after that.",
        ),
        hole(
            "a process that hands its key over to the next in line inside of it",
            Variant::HandsOver,
            Claim::TokensRise,
            Setup { releases: true, ..calm(2) },
            "The one who takes over needs a token of its own, and can only have a later revision than \
             that of P2, who waits. So there is no hand-over: the next in line inside of a process \
             is next in the cluster's line.",
        ),
        hole(
            "no base: the revision is the token",
            Variant::NoBase,
            Claim::TokensRise,
            Setup { moved: true, ..calm(1) },
            "The lock was a directory's, whose tokens are microseconds.",
        ),
        hole(
            "a restored cluster, and `base` as it was",
            Variant::NoRaise,
            Claim::TokensRise,
            Setup { releases: true, ..restores(1) },
            "Revisions have gone back.",
        ),
        hole(
            "a restored cluster that is used at once",
            Variant::NoQuarantine,
            Claim::ExclusiveInLease,
            restores(2),
            "As first designed, with a higher base and nothing more. P1's key is not in the \
             snapshot; its lease is not over. So nobody enqueues in a restored cluster before the \
             widest T is over.",
        ),
        hole(
            "`base` is raised before the quarantine",
            Variant::RaisesFirst,
            Claim::ExclusiveInLease,
            Setup { crashes: true, ..restores(2) },
            "Then nobody else knows that the cluster was restored. So it is raised after it.",
        ),
        hole(
            "a quarantine of one's own T",
            Variant::OwnQuarantine,
            Claim::ExclusiveInLease,
            hasty(2),
            "P1's terms are the wider ones. So `base` says the widest that it has seen.",
        ),
        hole(
            "a quarantine that does not say of which cluster it is",
            Variant::AnyQuarantine,
            Claim::ExclusiveInLease,
            restores(2),
            "The cluster is restored twice. The second snapshot shows the quarantine of the first time, which is long over. \
             So `base` says of which cluster it is.",
        ),
        hole(
            "a session that goes on in a restored cluster",
            Variant::NoClusterCheck,
            Claim::ExclusiveInLease,
            restores(2),
            "P2's lease is in the snapshot, and P1's key is not. So a session ends with its cluster: \
             the cluster id is in every answer.",
        ),
        hole(
            "whoever says nothing is buried",
            Variant::BuriesTheFrozen,
            Claim::ExclusiveInLease,
            calm(2),
            "P1 was only frozen. So only a process that the kernel has seen to end is buried.",
        ),
        hole(
            "not a variant: a lease that ends early",
            Variant::Protocol,
            Claim::ExclusiveInLease,
            Setup { early_ends: true, ..calm(2) },
            "This one stays open: a stuck old leader (before 3.5.13; refused), somebody who revokes \
             leases or deletes keys. P1 is told at once by its watch if it can be reached, and \
             believes in its lease until it is told.",
        ),
        hole(
            "not a variant: servers that renew a lease that was revoked",
            Variant::Protocol,
            Claim::ExclusiveInLease,
            Setup { renews_revoked: true, ..calm(2) },
            "Before 3.5.23 and 3.6.5. Only the watch on the held key tells.",
        ),
        hole(
            "not a variant: a snapshot from before the widest terms",
            Variant::Protocol,
            Claim::ExclusiveInLease,
            Setup { old_snapshots: true, ..hasty(2) },
            "This one stays open: the snapshot knows nothing of a T as long as P1's.",
        ),
    ]
}

impl Told for Etcd {
    const SERVER: &'static str = "The cluster";

    fn clients(&self) -> usize {
        self.0.clients
    }

    fn replaces(&self, s: &State, action: Action) -> Option<usize> {
        let Action::Of(i, _) = action else { return None };
        let i = usize::from(i);
        let next = stateright::Model::next_state(self, s, action)?;
        let phases = (s.clients[i].phase, next.clients[i].phase);
        (phases == (Phase::Gone, Phase::Idle)).then_some(i)
    }

    fn tell(&self, s: &State, action: Action, next: &State) -> (Turn, String) {
        use Step::*;
        let (i, step) = match action {
            Action::Tick => return (Turn::Tick, String::new()),
            Action::Elect => {
                return (Turn::Server, "elects a leader: **each lease gets its full TTL**".into());
            }
            Action::Restore(kept) => {
                let kept: Vec<String> = (0..self.0.clients)
                    .filter(|i| kept & 1 << i != 0)
                    .map(|i| format!("{{{i}}}"))
                    .collect();
                let with = match kept.as_slice() {
                    [] => "without any lease".into(),
                    kept => format!("with the lease of {} alone", kept.join(" and ")),
                };
                return (Turn::Server, format!("**is restored from a snapshot** {with}"));
            }
            Action::Of(i, step) => (usize::from(i), step),
        };
        let (c, after) = (&s.clients[i], &next.clients[i]);
        let name = format!("{{{i}}}");
        let of_cluster = |what: String| (Turn::Server, what);
        let what = match step {
            Session(mode, terms) => {
                let shared = if mode == Mode::Shared { ", to share it" } else { "" };
                let hasty = if terms == Terms::Hasty { ", on hasty terms" } else { "" };
                if after.phase == Phase::Quarantined {
                    let raises = if next.foreign_base { "" } else { ", `raise`" };
                    let left = next.quarantine.unwrap_or(0);
                    format!("`session`{hasty}{raises}, `quarantine` for {left} ticks")
                } else if s.foreign_base {
                    format!("`session`, `raise`, `enqueue`{shared}{hasty}")
                } else {
                    format!("`session`, `enqueue`{shared}{hasty}")
                }
            }
            Raise if after.phase == Phase::Idle => {
                "learns that there is yet another cluster".into()
            }
            Raise if s.foreign_base => "`raise`, `enqueue`".into(),
            Raise => "`enqueue`".into(),
            Retry => "`enqueue` again".into(),
            Hear => match (c.answer, after.phase) {
                (Some(Answer::First), Phase::Holding) => {
                    "hears that it is first, `confirm` (it holds the lock)".into()
                }
                (Some(Answer::First), _) => "hears that it is first, `confirm`: too late".into(),
                (Some(Answer::Blocked(_)), _) => "hears whom it waits for".into(),
                _ => "hears that it has no key".into(),
            },
            Look if after.is_holder() => "is told that its blocker left (it holds the lock)".into(),
            Look => "is told, `look`".into(),
            Beat if after.is_holder() && !c.is_holder() => "`beat` (it holds the lock)".into(),
            Beat if after.phase == Phase::Gone => "`beat`: its session is over".into(),
            Beat if c.is_holder() => "`moment`, `beat`".into(),
            Beat => "`beat`".into(),
            Refresh if after.is_holder() => "hears that its beat is good".into(),
            Refresh => "hears that its lock is gone".into(),
            FailHeartbeat => "gives its lock up for lost".into(),
            Robbed => "is told that its key is gone".into(),
            Release => "`release`".into(),
            Cancel => "`cancel`".into(),
            Released => "hears that its key is deleted".into(),
            HandOver => "hands its key over, with a token of its own".into(),
            Crash => "**is lost**".into(),
            Run => {
                return of_cluster(match c.request {
                    Some(Request::Enqueue) if after.key => format!("puts {name}'s key"),
                    Some(Request::Enqueue) => format!("refuses {name}'s key"),
                    Some(Request::Look) => format!("answers {name}'s `look`"),
                    Some(Request::Delete) => format!("deletes {name}'s key"),
                    None => String::new(),
                });
            }
            RunLate => return of_cluster(format!("carries {name}'s other `enqueue` out")),
            Renew if !c.lease && after.beat == Renewal::Answered(true) => {
                return of_cluster(format!(
                    "answers {name}'s `beat` **on a lease that is no more**"
                ));
            }
            Renew => return of_cluster(format!("answers {name}'s `beat`")),
            Await if after.watch == Watch::Unsynced => {
                return of_cluster(format!("begins {name}'s watch, which has to catch up"));
            }
            Await => return of_cluster(format!("begins {name}'s watch")),
            EndLease => {
                return of_cluster(format!("**ends the lease of {name}**, deletes its key"));
            }
            EndEarly => {
                return of_cluster(format!("**ends the lease of {name} early**, deletes its key"));
            }
            Pause => return of_cluster(format!("pauses the member of {name}'s watch")),
            Bury => {
                return of_cluster(format!("deletes {name}'s key, as a waiter on its host asks"));
            }
        };
        (Turn::Client(i), what)
    }
}
