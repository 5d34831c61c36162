//! A model of rootlock's lock protocol, and a checker that visits every state it can get into.
//! [`postgres`] and [`etcd`] are the protocols on these; all that follows is about the one on a
//! directory.
//!
//! # Reading it
//!
//! [`protocol`] is the protocol, one atomic step per `match` arm, named as in the code and in
//! `docs/protocol.md`. P, which is what the code does, the naive protocol it replaces, and P with
//! one rule changed are the same function ([`setup::Variant`]). [`claims`] is what must hold,
//! [`setup`] what may go wrong. `stories.md` has the shortest way into every hole.
//!
//! # Time
//!
//! Time is a step of its own, [`protocol::Action::Tick`], for all at once. Lengths are in ticks
//! ([`setup::Timing`]): h = 1, 1.2 h = 2, T = 4, the smallest numbers for which h < 1.2 h < T − h
//! < T; a second set has a tick of h/5, in which 1.2 h is exact. Only ages are kept, and none
//! counts beyond T, so that runs of any length have finitely many states.
//!
//! A **running** process does not let time pass while it has something urgent to do: the steps of
//! a section of the guard, and a beat that is due, with or without the guard. All else may take
//! any time. A process is **frozen** during a tick that passes although it has something urgent to
//! do; it keeps its locks, and that may be at any step inside a section and while it holds the
//! lock, for any time, or forever. A **crash** at any step frees its locks; another process, which
//! knows nothing, takes its place. When the machine **sleeps**, the clocks of leases and files go
//! on, those of watches and timers do not.
//!
//! A **lease** runs while at most T − h ticks have passed since the `moment` of the holder's last
//! refresh. It runs for a frozen holder too: the claims count a holder inside its lease whether or
//! not it runs. A holder is **on time** while at most h ticks have passed. `fail_heartbeat` may come
//! at any time after the lease: what the program hears of its end, and how soon, is lease.rs's.
//!
//! A **cold** file (R2) is one that was left unlocked for longer than any T before the run starts;
//! within a run a file gets cold too, when nobody stamps it for T. A wall clock is
//! [honest or lying](setup::Wall): if lying, any file may look old at any time.
//!
//! # What is abstracted
//!
//! - A watcher does not remember times but whether what it saw is unchanged. So two sightings are
//!   taken to be equal only if nothing happened in between: `stamp` always changes something, and
//!   neither it nor anybody else can set *all* of identity, mtime and ctime back.
//! - All the time between two looks counts as watched, however long; the code counts a sixth of
//!   what is needed at most. Only the time inside a recoverer's own section is counted as the code
//!   does: as one look.
//! - Kernel locks go to any compatible waiter: stronger than first in, first out, for safety.
//! - `try_lock` may fail although nobody is known to hold the lock: that is a descriptor leaked to
//!   a child, or a wait that was given up and is being granted just then.
//! - The rule for dead holders is wider than the code's ([`setup::DeadHolder::Proven`]).
//! - The ledger is read and written whole: its two slots are for that. The note of a takeover that
//!   was begun repeats the holder's record and is left out; so are left-over temporary files, which
//!   have no influence. Tokens are only compared: how much they rise does not matter.
//! - A new file's time is that of the `moment` before its making.
//! - A process is one sequence of steps. A lock passed on inside a process is `stop_heartbeat`
//!   followed by `lock_guard` instead of `unlock_kernel`. A wait is given up before a recovery.
//! - A run of grants, passed on without a section for a millisecond, is one grant: one stamp, one
//!   lease. That a program which unlinks L meanwhile may see its tokens fall is not shown here.
//! - A refused beat is tried again in the next tick, at the latest; the code tries after h/10.
//! - The code's attempts that have not watched (`wait: false`) are [`setup::Setup::attempts`].
//! - Failing system calls are left out (a failing `stamp` is a beat not done, as if frozen).
//!
//! # What is shown
//!
//! With any number of ticks, freezes, crashes, waits given up and releases; nothing is bounded but
//! the number of processes: 2 and 3, exclusive and shared (4, exclusive, in a test of its own for
//! the first claims). `tests/protocol.rs` has each combination by name.
//!
//! - with honest wall clocks, no two incompatible holders are inside their leases at once, also
//!   when contenders have shorter terms than holders;
//! - with lying ones, no two of them are on time at once ("a live heart is never preempted"), and none
//!   that never froze since its last refresh is preempted inside its lease (but see the last story);
//! - a preempted holder learns it at its next beat, also if a foreign program unlinked L, and also if
//!   the guard refuses that beat;
//! - tokens rise, also then;
//! - the first and the last also if a foreign program removes the guard when nobody is inside it (for
//!   readers on different terms: if nobody freezes);
//! - the invariants I1 to I3 of `docs/protocol.md`;
//! - from every state in which nobody else is inside the guard, every process is granted the lock
//!   within T by its own steps alone, wherever all the others stopped for good ([`solo`]);
//! - no livelock: if from some moment on those who hold the lock are frozen outside the guard, and
//!   nobody else freezes, crashes or gives up, and whoever can take a step takes one in the end,
//!   then there is another grant, or nobody wants one ([`progress`]; 2 processes, exclusive and
//!   shared, and 3 exclusive).
//!
//! # What is not
//!
//! - **Exclusion beyond the lease.** A frozen holder that wakes is a second one until its next
//!   check. Only a resource that checks the token stops it.
//! - **Exclusion with a foreign program that unlinks L.** It is detected, not prevented.
//! - **Progress while a frozen process is inside the guard.** Everybody waits for it; holders then
//!   lose their locks as `heartbeat-failed`. Nobody is preempted by it.
//! - That the code is this model. The names are the same so that a reader can compare.
//! - Stateright identifies states by 64-bit hashes: a collision could hide a state. For the
//!   largest run, 46 million states, the chance is about one in 18 000.

pub mod claims;
pub mod etcd;
pub mod postgres;
pub mod progress;
pub mod protocol;
pub mod setup;
pub mod solo;
pub mod state;
pub mod stories;
mod tell;
mod time;
pub mod trace;
