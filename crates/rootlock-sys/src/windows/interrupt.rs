//! Ends a blocked `LockFileEx` of another thread, with `CancelSynchronousIo`. That ends any call on
//! a file that the thread is in, so it is used only while the thread says that it waits for a lock:
//! it must not end a write to the ledger, or what a program does in a callback.
//!
//! Overlapped calls, which `CancelIoEx` would end, are not an option: a file opened for them can't
//! be used by blocking code, std's `File` included, and a cancelled request can still be granted.

use std::cell::RefCell;
use std::io;
use std::marker::PhantomData;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use windows_sys::Win32::Foundation::{DuplicateHandle, ERROR_OPERATION_ABORTED};
use windows_sys::Win32::System::IO::CancelSynchronousIo;
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentThread, THREAD_TERMINATE,
};

thread_local! {
    /// This thread's interrupt, if it has one.
    static INTERRUPT: RefCell<Option<Arc<Interrupt>>> = const { RefCell::new(None) };
}

/// Makes this thread interruptible for as long as the value lives.
pub struct Interruptible {
    interrupt: Arc<Interrupt>,
    /// Refers to the thread that created it, so it must stay there.
    not_send: PhantomData<*const ()>,
}

/// Interrupts that thread; harmless when it does not wait for a lock, or is gone.
#[derive(Debug)]
pub struct Interrupt {
    /// `None` when the system gave no handle: then [`Interrupt::fire`] does nothing, and a
    /// cancelled waiter gives its lock back as soon as the kernel grants it.
    thread: Option<OwnedHandle>,
    /// Whether the thread is in [`interruptibly`]. The mutex keeps it there during the call that
    /// interrupts it.
    waits: Mutex<bool>,
}

impl Interruptible {
    pub fn this_thread() -> Self {
        let interrupt = Arc::new(Interrupt { thread: this_thread(), waits: Mutex::new(false) });
        INTERRUPT.set(Some(Arc::clone(&interrupt)));
        Self { interrupt, not_send: PhantomData }
    }

    pub fn interrupt(&self) -> Arc<Interrupt> {
        Arc::clone(&self.interrupt)
    }
}

impl Drop for Interruptible {
    fn drop(&mut self) {
        INTERRUPT.set(None);
    }
}

impl Interrupt {
    /// May come just before the thread enters the call, and is then lost: fire again until the
    /// thread has answered.
    pub fn fire(&self) {
        let waits = self.waits();
        if let (Some(thread), true) = (&self.thread, *waits) {
            // SAFETY: the handle is open and has the required access right.
            unsafe { CancelSynchronousIo(thread.as_raw_handle()) };
        }
    }

    fn waits(&self) -> MutexGuard<'_, bool> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a call that this thread's [`Interrupt`], if it has one, may end with
/// [`io::ErrorKind::Interrupted`].
pub(crate) fn interruptibly<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let interrupt = INTERRUPT.with_borrow(Clone::clone);
    let say = |waits| {
        if let Some(interrupt) = &interrupt {
            *interrupt.waits() = waits;
        }
    };
    say(true);
    let result = call();
    say(false);
    result.map_err(|error| match error.raw_os_error() {
        Some(code) if code == ERROR_OPERATION_ABORTED as i32 => io::ErrorKind::Interrupted.into(),
        _ => error,
    })
}

/// A handle that refers to this thread wherever it is used; `GetCurrentThread` refers to its user.
fn this_thread() -> Option<OwnedHandle> {
    let mut handle = ptr::null_mut();
    // SAFETY: pseudo handles need no care, and there is room for the new one.
    let duplicated = unsafe {
        DuplicateHandle(
            GetCurrentProcess(),
            GetCurrentThread(),
            GetCurrentProcess(),
            &mut handle,
            // `CancelSynchronousIo` needs this right, oddly.
            THREAD_TERMINATE,
            // Not inherited by child processes.
            0,
            0,
        )
    };
    // SAFETY: the handle was just created and belongs to nobody else.
    (duplicated != 0).then(|| unsafe { OwnedHandle::from_raw_handle(handle) })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::Mode;
    use crate::platform::is_wine;
    use crate::{Create, Dir, flock};

    #[test]
    fn a_blocked_lock_can_be_interrupted_and_retried() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let dir = Dir::open(directory.path()).expect("opens");
        let holder = dir.open_file("file", Create::IfMissing).expect("opens");
        let waiter = dir.open_file("file", Create::IfMissing).expect("opens");
        assert!(flock::try_lock(&holder, Mode::Exclusive).expect("locks"));
        let (sender, receiver) = mpsc::channel();
        let (answer, answered) = mpsc::channel();
        let waiting = thread::spawn(move || {
            let interruptible = Interruptible::this_thread();
            sender.send(interruptible.interrupt()).expect("somebody listens");
            let ended = flock::lock(&waiter, Mode::Exclusive).map_err(|error| error.kind());
            answer.send(()).expect("somebody listens");
            if ended.is_err() {
                flock::lock(&waiter, Mode::Exclusive).expect("locks");
            }
            ended
        });
        let interrupt = receiver.recv().expect("sent");
        for _ in 0..1000 {
            interrupt.fire();
            if answered.recv_timeout(Duration::from_millis(1)).is_ok() {
                break;
            }
        }
        flock::unlock(&holder).expect("unlocks");
        let ended = waiting.join().expect("ends");
        // Wine can't cancel a lock: there the wait ends when the holder releases.
        let expected = if is_wine() { Ok(()) } else { Err(io::ErrorKind::Interrupted) };
        assert_eq!(ended, expected);
    }
}
