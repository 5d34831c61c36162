//! A pool of threads for work that may take long: waits in the kernel, looks at files, beats. A
//! thread is started when a job needs one, stays idle for a moment, and then ends. The pool knows
//! nothing of locks.
//!
//! A thread that hangs in a call on dead storage holds up only its own job.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use rootlock_sys::sync::{self, Condvar, Mutex, thread};

/// How long an idle thread stays: longer than the pauses of a busy program, but not long for one
/// that is done.
const LINGER: Duration = Duration::from_secs(1);

/// Jobs do not recurse and keep little on the stack.
const STACK: usize = 256 * 1024;

type Job = Box<dyn FnOnce() + Send>;

struct Pool {
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    jobs: VecDeque<Job>,
    idle: usize,
}

static POOL: Pool =
    Pool { state: Mutex::new(State { jobs: VecDeque::new(), idle: 0 }), wake: Condvar::new() };

/// Runs a job on an idle thread or a new one. Fails when none is idle and the system gives no more
/// threads.
pub(crate) fn run(job: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let mut state = sync::lock(&POOL.state);
    state.jobs.push_back(Box::new(job));
    if state.jobs.len() <= state.idle {
        POOL.wake.notify_one();
        return Ok(());
    }
    let spawned = thread::Builder::new().name("rootlock-pool".into()).stack_size(STACK).spawn(work);
    if let Err(error) = spawned {
        state.jobs.pop_back();
        return Err(error);
    }
    Ok(())
}

/// Lets waits that are due time out; nothing else does under shuttle.
#[cfg(shuttle)]
pub(crate) fn time_passes() {
    let _state = sync::lock(&POOL.state);
    sync::time_passes(&POOL.wake);
}

fn work() {
    let mut state = sync::lock(&POOL.state);
    loop {
        if let Some(job) = state.jobs.pop_front() {
            drop(state);
            job();
            state = sync::lock(&POOL.state);
            continue;
        }
        state.idle += 1;
        state = sync::wait(&POOL.wake, state, LINGER);
        state.idle -= 1;
        if state.jobs.is_empty() {
            return;
        }
    }
}
