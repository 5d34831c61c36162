//! A model of rootlock's lock protocol, and a checker that visits every reachable state.
//! [`postgres`] and [`etcd`] are the protocols on these; all that follows is about the one on a
//! directory.
//!
//! # Reading it
//!
//! [`protocol`] is the protocol, one atomic step per `match` arm, named as in the code and in
//! `docs/protocol.md`. One function covers P (which is what the code does), the naive protocol that
//! P replaces, and P with one rule changed ([`setup::Variant`]). [`claims`] is what must hold,
//! [`setup`] what may go wrong. `stories.md` has the shortest way into every hole.
//!
//! # Time
//!
//! Time is a step of its own, [`protocol::Action::Tick`], which passes for all processes at once.
//! Durations are in ticks ([`setup::Timing`]): h = 1, 1.2 h = 2, T = 4, the smallest numbers for
//! which h < 1.2 h < T − h < T. A second set has a tick of h/5, in which 1.2 h is exact. Only ages
//! are kept, and none counts beyond T, so that runs of any length have finitely many states.
//!
//! A **running** process does not let time pass while it has something urgent to do: the steps of a
//! section of the guard, and a beat that is due, with or without the guard. Everything else may
//! take any time. A process is **frozen** during a tick that passes although it has something
//! urgent to do. It keeps its locks; and it may freeze at any step inside a section and while it
//! holds the lock, for any time, or forever. A **crash** at any step frees its locks; another
//! process, which knows nothing, takes its place. When the machine **sleeps**, the clocks of leases
//! and files go on, those of watches and timers do not.
//!
//! A **lease** runs while at most T − h ticks have passed since the `moment` of the holder's last
//! refresh. It runs for a frozen holder too: the claims count any holder inside its lease, running
//! or frozen. A holder is **on time** while at most h ticks have passed. `fail_heartbeat` may come
//! at any time after the lease: how and how soon the program hears of its end is up to lease.rs.
//!
//! A **cold** file (R2) is one that was left unlocked for longer than any T before the run starts;
//! within a run a file also turns cold when nobody stamps it for T. A wall clock is [honest or
//! lying](setup::Wall): with lying ones, any file may look old at any time.
//!
//! # What is abstracted
//!
//! - A watcher remembers not times but whether what it saw is unchanged. So two sightings are equal
//!   only if nothing happened in between: `stamp` always changes something, and neither it nor
//!   anybody else can set *all* of identity, mtime and ctime back.
//! - All the time between two looks counts as watched, however long; the code counts at most a sixth
//!   of what is needed. Only the time inside a recoverer's own section counts as in the code: as one
//!   look.
//! - Kernel locks go to any compatible waiter: stronger than first in, first out, for safety.
//! - `try_lock` may fail although nobody is known to hold the lock: because a descriptor leaked to a
//!   child, or because a wait that was given up is just being granted.
//! - The rule for dead holders is wider than the code's ([`setup::DeadHolder::Proven`]).
//! - The ledger is read and written whole: its two slots ensure that. The note of a begun takeover
//!   repeats the holder's record and is left out; so are leftover temporary files, which have no
//!   influence. Tokens are only compared: by how much they rise does not matter.
//! - A new file's time is that of the `moment` before its creation.
//! - A process is one sequence of steps. A lock passed on inside a process is `stop_heartbeat`
//!   followed by `lock_guard` instead of `unlock_kernel`. A wait is given up before a recovery.
//! - A run of grants, passed on without a release for a millisecond, is one grant: one stamp, one
//!   lease. A run over a release is a step of its own, `check_stamp`; its millisecond is less than a
//!   tick, and two tokens are set aside. A program that unlinks L meanwhile may see its tokens fall;
//!   the model does not show that.
//! - A refused beat is retried in the next tick at the latest; the code retries after h/10.
//! - The code's attempts that have not watched (`wait: false`) are [`setup::Setup::attempts`].
//! - Failing system calls are left out (a failing `stamp` is a beat that did not happen, as if frozen).
//!
//! # What is shown
//!
//! The following holds for any number of ticks, freezes, crashes, abandoned waits and releases. Only
//! the number of processes is bounded: 2 and 3, exclusive and shared (4, exclusive, in a separate test
//! of the first claims). `tests/protocol.rs` has each combination by name.
//!
//! - with honest wall clocks, no two incompatible holders are inside their leases at once, even when
//!   contenders have shorter terms than holders;
//! - with lying ones, no two of them are on time at once ("a live holder is never preempted"), and none
//!   that never froze since its last refresh is preempted inside its lease (but see the last story);
//! - a preempted holder learns of it at its next beat, even if a foreign program unlinked L, and even
//!   if the guard refuses that beat;
//! - tokens rise, even then;
//! - the first and the last of these hold even if a foreign program removes the guard when nobody is
//!   inside it (for readers on different terms: if nobody freezes);
//! - the invariants I1 to I3 of `docs/protocol.md`;
//! - from every state in which nobody else is inside the guard, every process is granted the lock
//!   within T by its own steps alone, wherever all the others stopped for good ([`solo`]);
//! - no livelock: if from some moment on the holders of the lock are frozen outside the guard, nobody
//!   else freezes, crashes or gives up, and whoever can take a step takes one in the end,
//!   then there is another grant, or nobody wants one ([`progress`]; 2 processes, exclusive and
//!   shared, and 3 exclusive).
//!
//! # What is not
//!
//! - **Exclusion beyond the lease.** A frozen holder that wakes is a second one until its next
//!   check. Only a resource that checks the token stops it.
//! - **Exclusion with a foreign program that unlinks L.** It is detected, not prevented.
//! - **Progress while a frozen process is inside the guard.** Everybody waits for it; holders then
//!   lose their locks as `heartbeat-failed`. It preempts nobody.
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
