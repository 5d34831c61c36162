//! What the checker sees of clients and server at one moment.

use crate::state::{MOST, Mode, Terms};

/// Where a client stands: what it heard or did last.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// Wants nothing, or is about to start (over).
    #[default]
    Idle,
    /// Has asked for the server's lock.
    Waiting,
    /// Was told that it has it, or has stopped the heartbeat to hand the lock over.
    Locked,
    /// Has asked for a token.
    Writing,
    /// Was told that leases of another instance may be alive, and sits them out.
    Quarantined,
    /// Was granted the lock.
    Holding,
    /// Its program has left the queue: it waits for the end of what it had asked for.
    Cancelling,
    /// Has asked to give the lock back.
    Releasing,
    /// Is no more, or has given its connection up. The server may not know it.
    Gone,
}

/// A statement that has not run yet: it is on its way, or waits at the server.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Statement {
    /// `lock_server`.
    Lock,
    /// `write_ledger`.
    Write {
        /// The old instance's leases were sat out.
        waited: bool,
    },
    /// `beat`.
    Beat,
    /// `release`.
    Release {
        /// It clears `held`.
        clears: bool,
    },
    /// The second half of a release in two statements.
    Clear,
}

/// An answer on its way.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Answer {
    /// To `lock_server`: it is yours.
    Locked,
    /// To whatever ran when a cancel request came.
    Cancelled,
    /// To `write_ledger`: the token is [`Client::token`].
    Token,
    /// To `write_ledger`: held in another instance, whose leases may last for so many ticks more; nothing was written.
    Held(u8),
    /// To `beat`.
    Found(bool),
    /// To `release`.
    Released,
}

/// One client with its one connection, and the server's session for it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Client {
    /// Where it stands.
    pub phase: Phase,
    /// How it wants or has the lock.
    pub mode: Mode,
    /// On what terms; the session's timeout is their T.
    pub terms: Terms,
    /// The server has a session for it.
    pub session: bool,
    /// That session has the lock.
    pub has_lock: bool,
    /// `held` in the row speaks of its own grant.
    pub granted: bool,
    /// A cancel request is on its way.
    pub cancel: bool,
    /// What it has sent.
    pub statement: Option<Statement>,
    /// What it will hear.
    pub answer: Option<Answer>,
    /// Ticks since the session heard from it. Kept only while the session has the lock.
    pub idle: u8,
    /// Ticks since the moment that its lease counts from.
    pub age: u8,
    /// Ticks since the moment of what is on its way.
    pub pending: u8,
    /// Ticks that are left of its quarantine.
    pub quarantine: u8,
    /// The token that it will hear.
    pub token: u8,
}

impl Client {
    /// Whether the program behind it believes that it has the lock.
    pub fn is_holder(&self) -> bool {
        self.phase == Phase::Holding
    }

    /// Whether the program behind it waits for the lock.
    pub fn is_waiting(&self) -> bool {
        use Phase::*;
        matches!(self.phase, Waiting | Locked | Writing | Quarantined)
    }

    /// Whether a step of its own is due, or an answer.
    pub(crate) fn is_quiet(&self) -> bool {
        self.statement.is_none() && self.answer.is_none()
    }

    /// The session is over, and with it the lock. The client is not told by this.
    pub(crate) fn end_session(&mut self) {
        let Self { phase, mode, terms, answer, age, pending, quarantine, token, statement, .. } =
            *self;
        *self = Self {
            phase,
            mode,
            terms,
            answer,
            age,
            pending,
            quarantine,
            token,
            statement,
            ..Self::default()
        };
    }
}

/// The lock's row.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Row {
    /// The last token.
    pub token: u8,
    /// `instance` is the one that runs.
    pub current: bool,
    /// Somebody was granted the lock, and no writer has given it back since.
    pub held: bool,
    /// The widest terms of those whom `held` is about.
    pub terms: Terms,
}

/// The world.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct State {
    /// Those beyond the run's number stay as they are.
    pub clients: [Client; MOST],
    /// The row.
    pub row: Row,
    /// The row as it would be after a restart. Kept only where a commit is answered too early.
    pub flushed: Row,
    /// Ticks since the instance began: the server counts quarantine from there. Kept only while the row speaks of another one.
    pub since: u8,
    /// The last token of the directory that the lock was moved from.
    pub directory: u8,
    /// The highest token with which the lock was granted, by [`Mode`].
    pub granted: [u8; 2],
    /// A token was not higher than those of earlier grants that it must not be shared with.
    pub token_fell: bool,
    /// A grant came when its lease was over.
    pub granted_late: bool,
    /// Somebody's grant ended without a release, or was shared, and no writer came since.
    pub unreleased: bool,
}

impl State {
    /// Whether the server would grant its lock to this client.
    pub fn lock_is_free(&self, i: usize) -> bool {
        let wanted = self.clients[i].mode;
        self.others(i).all(|c| !c.has_lock || c.mode.is_compatible_with(wanted))
    }

    pub(crate) fn others(&self, i: usize) -> impl Iterator<Item = &Client> {
        self.clients.iter().enumerate().filter(move |&(j, _)| j != i).map(|(_, c)| c)
    }

    /// Of tokens only the order counts.
    pub(crate) fn rank_tokens(&mut self) {
        let mut tokens = [0; MOST + 6];
        let fixed = [self.row.token, self.flushed.token, self.directory];
        tokens[1..4].copy_from_slice(&fixed);
        tokens[4..6].copy_from_slice(&self.granted);
        for (token, c) in tokens[6..].iter_mut().zip(&self.clients) {
            *token = c.token;
        }
        tokens.sort_unstable();
        let rank = |token: &mut u8| {
            let below = tokens.windows(2).filter(|pair| pair[0] < pair[1] && pair[1] <= *token);
            *token = below.count() as u8;
        };
        let clients = self.clients.iter_mut().map(|c| &mut c.token);
        let row = [&mut self.row.token, &mut self.flushed.token, &mut self.directory];
        row.into_iter().chain(&mut self.granted).chain(clients).for_each(rank);
    }
}
