//! What the checker sees of clients and cluster at one moment.

use crate::state::{MOST, Mode, Terms};

/// Where a client stands: what it heard or did last.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// Wants nothing, or is about to start (over).
    #[default]
    Idle,
    /// Has found a base of another cluster, and sits out the leases that there may be.
    Quarantined,
    /// Has asked for a place in line.
    Enqueuing,
    /// Knows its place, and watches its blocker and its own key.
    Waiting,
    /// Has asked whether it is first.
    Looking,
    /// Is first in line, but its lease is over or nearly so.
    Confirming,
    /// Was granted the lock.
    Holding,
    /// Has asked for its key to be deleted.
    Releasing,
    /// Is no more, or has retired its session. The cluster may not know it.
    Gone,
}

/// A request that the cluster has not carried out yet.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Request {
    /// `enqueue`.
    Enqueue,
    /// `look`.
    Look,
    /// `release` or `cancel`.
    Delete,
}

/// An answer on its way.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Answer {
    /// Nobody is before you.
    First,
    /// The nearest one before you has this create revision.
    Blocked(u8),
    /// You have no key, or no lease.
    NoKey,
    /// Your key is deleted.
    Deleted,
}

/// A holder's beat.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Renewal {
    /// None is on its way.
    #[default]
    None,
    /// On its way.
    Sent,
    /// Its answer is on its way: whether the lease is alive.
    Answered(bool),
}

/// A waiter's watch, at the server.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Watch {
    /// Not there yet.
    #[default]
    None,
    /// It begins with a revision that is past: it is served with the next round, every 100 ms.
    Unsynced,
    /// It is told at once.
    Synced,
    /// Its member is paused: it is told nothing.
    Silent,
}

/// One client with its session (a lease), and its key in one lock's line.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Client {
    /// Where it stands.
    pub phase: Phase,
    /// How it wants or has the lock.
    pub mode: Mode,
    /// On what terms; their T is the lease's TTL.
    pub terms: Terms,
    /// The cluster has its lease.
    pub lease: bool,
    /// The cluster has its key, at [`Client::revision`].
    pub key: bool,
    /// Its session is of a cluster that was replaced by a restored one.
    pub stale: bool,
    /// The process goes on renewing its lease, for other locks.
    pub kept: bool,
    /// Another `enqueue` is still on its way.
    pub late: bool,
    /// The create revision of its key; with the base, its token.
    pub revision: u8,
    /// What it waits for: a create revision.
    pub blocker: u8,
    /// Its watch.
    pub watch: Watch,
    /// The blocker had left before the watch was there.
    pub missed: bool,
    /// What it has asked for.
    pub request: Option<Request>,
    /// What it will hear.
    pub answer: Option<Answer>,
    /// Its beat, while it holds the lock.
    pub beat: Renewal,
    /// Ticks since the lease was renewed, or a leader gave it its TTL again.
    pub idle: u8,
    /// Ticks since the moment that its lease counts from.
    pub age: u8,
    /// Ticks since the moment of the beat that is on its way.
    pub pending: u8,
}

impl Client {
    /// Whether the program behind it believes that it has the lock.
    pub fn is_holder(&self) -> bool {
        self.phase == Phase::Holding
    }

    /// Whether the program behind it waits for the lock.
    pub fn is_waiting(&self) -> bool {
        use Phase::*;
        matches!(self.phase, Quarantined | Enqueuing | Waiting | Looking | Confirming)
    }
}

/// The world.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct State {
    /// Those beyond the run's number stay as they are.
    pub clients: [Client; MOST],
    /// Base and revision together: the last token that was given.
    pub last: u8,
    /// `base` names another cluster than this one.
    pub foreign_base: bool,
    /// Ticks that are left of the quarantine that somebody has begun, as the cluster counts them.
    pub quarantine: Option<u8>,
    /// The widest terms that `base` has seen.
    pub terms: Terms,
    /// The last token of the directory that the lock was moved from.
    pub directory: u8,
    /// The highest token with which the lock was granted, by [`Mode`].
    pub granted: [u8; 2],
    /// A token was not higher than those of earlier grants that it must not be shared with.
    pub token_fell: bool,
    /// A grant came when its lease was over.
    pub granted_late: bool,
    /// A watch that was there when its blocker left was not told at once.
    pub told_late: bool,
}

impl State {
    /// The nearest one before this client in line, if there is one.
    pub fn blocker(&self, i: usize) -> Option<u8> {
        let c = &self.clients[i];
        let before =
            |b: &&Client| b.key && b.revision < c.revision && !b.mode.is_compatible_with(c.mode);
        self.clients.iter().filter(before).map(|b| b.revision).max()
    }

    /// Whether the key with this create revision is there.
    pub fn has_key(&self, revision: u8) -> bool {
        self.clients.iter().any(|c| c.key && c.revision == revision)
    }

    /// Of tokens only the order counts.
    pub(crate) fn rank_tokens(&mut self) {
        let mut tokens = [0; 3 * MOST + 5];
        tokens[1..5].copy_from_slice(&[
            self.last,
            self.directory,
            self.granted[0],
            self.granted[1],
        ]);
        for (tokens, c) in tokens[5..].chunks_exact_mut(3).zip(&self.clients) {
            tokens[0] = c.revision;
            tokens[1] = c.blocker;
            if let Some(Answer::Blocked(blocker)) = c.answer {
                tokens[2] = blocker;
            }
        }
        tokens.sort_unstable();
        let rank = |token: &mut u8| {
            let below = tokens.windows(2).filter(|pair| pair[0] < pair[1] && pair[1] <= *token);
            *token = below.count() as u8;
        };
        [&mut self.last, &mut self.directory].into_iter().chain(&mut self.granted).for_each(rank);
        for c in &mut self.clients {
            rank(&mut c.revision);
            rank(&mut c.blocker);
            if let Some(Answer::Blocked(blocker)) = &mut c.answer {
                rank(blocker);
            }
        }
    }
}
