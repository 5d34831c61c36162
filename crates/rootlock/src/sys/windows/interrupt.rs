//! Ends a blocked `LockFileEx` of another thread: `CancelSynchronousIo`, which ends whatever call
//! on a file that thread is in. Calls that are not meant are done again ([`super::retry`]).
//!
//! Not by overlapped calls, which `CancelIoEx` would end: a file opened for them can't be used by
//! anything that waits, std's `File` included, and a cancelled request can still be granted.

use std::marker::PhantomData;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use windows_sys::Win32::Foundation::DuplicateHandle;
use windows_sys::Win32::System::IO::CancelSynchronousIo;
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentThread, THREAD_TERMINATE,
};

/// Lets a thread be interrupted for as long as this value lives on it.
pub(crate) struct Interruptible {
    interrupt: Arc<Interrupt>,
    /// Names the thread that made it, so it must not leave it.
    not_send: PhantomData<*const ()>,
}

/// Interrupts that thread; harmless when it is not in a call, or gone.
#[derive(Debug)]
pub(crate) struct Interrupt {
    /// `Some` exactly while the thread wants to be interrupted: what it does with files later is
    /// nobody's to end. `None` too when the system gave no handle; then [`Interrupt::fire`] does
    /// nothing.
    thread: Mutex<Option<OwnedHandle>>,
}

impl Interruptible {
    pub(crate) fn new() -> Self {
        Self {
            interrupt: Arc::new(Interrupt { thread: Mutex::new(this_thread()) }),
            not_send: PhantomData,
        }
    }

    pub(crate) fn interrupt(&self) -> Arc<Interrupt> {
        Arc::clone(&self.interrupt)
    }
}

impl Drop for Interruptible {
    fn drop(&mut self) {
        *self.interrupt.thread.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Interrupt {
    /// May come just before the thread enters the call and is then lost: fire again until the
    /// thread has answered.
    pub(crate) fn fire(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = &*thread {
            // SAFETY: the handle is open and has the right that the call asks for.
            unsafe { CancelSynchronousIo(thread.as_raw_handle()) };
        }
    }
}

/// A handle that means this thread wherever it is used; `GetCurrentThread` means whoever uses it.
fn this_thread() -> Option<OwnedHandle> {
    let mut handle = ptr::null_mut();
    // SAFETY: the pseudo handles need no care, and there is room for the new one.
    let duplicated = unsafe {
        DuplicateHandle(
            GetCurrentProcess(),
            GetCurrentThread(),
            GetCurrentProcess(),
            &mut handle,
            // The right that `CancelSynchronousIo` needs, oddly.
            THREAD_TERMINATE,
            // Not inherited by child processes.
            0,
            0,
        )
    };
    // SAFETY: the handle was just made and is nobody else's.
    (duplicated != 0).then(|| unsafe { OwnedHandle::from_raw_handle(handle) })
}
