//! A model of rootlock's lock protocol, and a checker that visits every state it can get into.
//!
//! # Reading it
//!
//! [`protocol`] is the protocol, one atomic step per `match` arm, named as in the code and in
//! `docs/protocol.md`. P, the naive protocol it replaces, and P with one rule left out are the
//! same function ([`setup::Variant`]). [`claims`] is what must hold, [`setup`] what may go wrong.
//! `stories.md` has the shortest way into every hole that was left open on purpose.
//!
//! # Time
//!
//! Time is a step of its own, [`protocol::Action::Tick`], for all at once. Lengths are in ticks
//! ([`setup::Timing`]): h = 1, 1.2 h = 2, T = 4, the smallest numbers for which h < 1.2 h < T − h
//! < T; a second set has a tick of h/5, in which 1.2 h is exact. Only ages are kept, and none
//! counts beyond T, so that runs of any length have finitely many states.
//!
//! A **running** process does not let time pass while it has something urgent to do: the steps of
//! a section of the guard, a beat that is due and not refused by the guard, the verdict
//! `heartbeat-failed`. All else may take any time: that is also how a process is modelled that is
//! frozen elsewhere (between `lock_kernel` and `lock_guard`, say).
//!
//! A **frozen** process takes no step and keeps its locks; it may freeze at any step inside a
//! section of the guard and while it holds the lock, and wake after any time, or never. A
//! **crash** at any step frees its locks; another process, which knows nothing, takes its place.
//!
//! A **lease** runs while at most T − h ticks have passed since the holder's last `stamp`. It runs
//! for a frozen holder too: the claims count a holder inside its lease whether or not it runs. A
//! holder **beats on time** while at most h ticks have passed.
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
//! - Kernel locks go to any compatible waiter: stronger than first in, first out, for safety.
//! - `try_lock` may fail although nobody is known to hold the lock: that is a descriptor leaked to
//!   a child, or a wait that was given up and is being granted just then.
//! - `write_ledger` is two steps, `read_ledger` and `write_ledger`, so that races would show.
//!   A write is whole or not there. Tokens are only compared: how much they rise does not matter.
//! - A process is one sequence of steps. A lock passed on inside a process is `stop_heartbeat`
//!   followed by `lock_guard` instead of `unlock_kernel`. A wait is given up before a recovery.
//! - The code asks `try_lock` before it looks again, and also where it has not watched. Both orders
//!   are in the model: the second as [`setup::Setup::attempts`].
//! - Left-over temporary files have no influence and are left out; so are failing system calls
//!   (a failing `stamp` is a beat not done, as if frozen).
//!
//! # What is shown
//!
//! With any number of ticks, freezes, crashes, waits given up and releases; nothing is bounded but
//! the number of processes: 2 and 3, exclusive and shared (4, exclusive, in a test of its own for
//! the first claim and the invariants). `tests/protocol.rs` has each combination by name.
//!
//! - with honest wall clocks, no two incompatible holders are inside their leases at once;
//! - with lying ones, no two of them beat on time at once ("a live heart is never robbed");
//! - a robbed holder learns it at its next beat, also if a foreign program unlinked L;
//! - tokens rise, also then;
//! - the invariants I1 to I3 of `docs/protocol.md`;
//! - from every state in which nobody else is inside the guard, every process that is not frozen
//!   is granted the lock within T by its own steps alone, wherever all the others stopped for
//!   good ([`solo`]);
//! - no livelock: if from some moment on nobody freezes, wakes, crashes or gives up, whoever can
//!   take a step takes one in the end, and no frozen process is inside the guard, then there is
//!   another grant, or nobody wants one, or a live holder keeps the lock ([`progress`]; 2
//!   processes, exclusive and shared, and 3 exclusive).
//!
//! # What is not
//!
//! - **Exclusion beyond the lease.** A frozen holder that wakes is a second one until its next
//!   check. Only a resource that checks the token stops it.
//! - **Exclusion with a foreign program that unlinks L.** It is detected, not prevented.
//! - **Progress while a frozen process is inside the guard.** Everybody waits for it, beats
//!   included: holders then lose their locks as `heartbeat-failed`. Nobody is robbed by it.
//! - That the code is this model. The names are the same so that a reader can compare.
//! - Stateright identifies states by 64-bit hashes: a collision could hide a state. For the
//!   largest run, 22 million states, the chance is about one in a hundred thousand.

pub mod claims;
pub mod progress;
pub mod protocol;
pub mod setup;
pub mod solo;
pub mod state;
pub mod stories;
mod tell;
mod time;
