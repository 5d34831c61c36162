//! Tokio's runtime: one thread for all servers of the process, from the first root that is opened until
//! the last lock and root are gone.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::runtime::{Builder, EnterGuard, Handle, Runtime as Tokio};
use tokio::task::JoinHandle;

/// Whoever has it keeps the thread.
pub(crate) struct Runtime {
    handle: Handle,
    tokio: Option<Tokio>,
}

static SHARED: Mutex<Weak<Runtime>> = Mutex::new(Weak::new());

impl Runtime {
    /// The one that runs, or a new one.
    pub(crate) fn shared() -> io::Result<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = shared.upgrade() {
            return Ok(runtime);
        }
        // One worker: a beat is a few microseconds of work, and nothing here computes.
        let tokio = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("rootlock-remote")
            .enable_all()
            .build()?;
        let runtime = Arc::new(Self { handle: tokio.handle().clone(), tokio: Some(tokio) });
        *shared = Arc::downgrade(&runtime);
        Ok(runtime)
    }

    /// For as long as that is kept, what needs a runtime finds this one.
    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }

    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.handle.spawn(task)
    }

    /// Blocks the caller's thread, which is none of the runtime's.
    pub(crate) fn block_on<F: Future>(&self, task: F) -> F::Output {
        self.handle.block_on(task)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // May happen on its own thread, which can't wait for itself.
        if let Some(tokio) = self.tokio.take() {
            tokio.shutdown_background();
        }
    }
}
