//! What may block: never on the event loop, and not in libuv's pool either, whose four threads are for
//! everybody. Tokio's blocking threads do it. The runtime itself has no thread; those of the pool
//! come when needed and go when idle.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use rootlock::{Error, Operation};
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_current_thread()
        .thread_name("rootlock-blocking")
        .thread_keep_alive(Duration::from_secs(1))
        .build()
        .expect("a runtime without drivers needs nothing from the system")
});

/// Runs a job that does something to a path. A job that was refused may run all the same, when there
/// is a thread again: it must find that nobody wants it any more.
///
/// # Errors
/// The system gives no thread. Tokio panics then, if it has none at all; past this frame that would
/// end the process, because a panic can't unwind through Node's.
pub(crate) fn run(
    operation: Operation,
    path: &Path,
    job: impl FnOnce() + Send + 'static,
) -> Result<(), Error> {
    // Unwind safe: Tokio's locks are free again by then, and the job is in its queue.
    let started = catch_unwind(AssertUnwindSafe(|| {
        RUNTIME.spawn_blocking(job);
    }));
    started.map_err(|_| {
        // Tokio's panic does not carry the system's error, so the system is asked again.
        let refused = thread::Builder::new().spawn(|| ()).err();
        let error = refused.unwrap_or_else(|| io::ErrorKind::WouldBlock.into());
        Error::io(operation, path, "pthread_create", error)
    })
}
