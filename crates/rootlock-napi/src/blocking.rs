//! Runs what may block on Tokio's blocking threads: never on the event loop, and not in libuv's
//! pool either, whose four threads all addons share. The runtime itself has no thread; those of its
//! pool start when needed and end when idle.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
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

/// Runs a job on a path.
///
/// # Errors
///
/// The system gives no thread. If Tokio has no thread at all, it panics in that case; beyond this
/// frame the panic would end the process, because it can't unwind through Node's frames.
/// end the process, because a panic can't unwind through Node's.
pub(crate) fn run(
    operation: Operation,
    path: &Path,
    job: impl FnOnce() + Send + 'static,
) -> Result<(), Error> {
    // Tokio would panic, and print the panic, so try for a thread of our own first: the jobs here
    // open and look at directories, which takes longer than starting a thread.
    if let Err(error) = thread::Builder::new().spawn(|| ()) {
        return Err(Error::io(operation, path, "pthread_create", error));
    }
    // Tokio keeps a job that it could not start: whoever comes first takes it out.
    let job = Arc::new(Mutex::new(Some(job)));
    let take = |job: &Mutex<Option<_>>| job.lock().unwrap_or_else(PoisonError::into_inner).take();
    loop {
        let queued = Arc::clone(&job);
        let started = catch_unwind(AssertUnwindSafe(|| {
            RUNTIME.spawn_blocking(move || {
                if let Some(job) = take(&queued) {
                    job();
                }
            });
        }));
        if started.is_ok() {
            return Ok(());
        }
        // The panic does not carry the system's error, so ask the system again. If it has a thread
        // by now, so has Tokio.
        if let Err(error) = thread::Builder::new().spawn(|| ()) {
            return match take(&job) {
                Some(_) => Err(Error::io(operation, path, "pthread_create", error)),
                // A thread of the pool that had been busy took it.
                None => Ok(()),
            };
        }
    }
}
