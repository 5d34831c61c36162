//! Ends a blocked `flock` of another thread with a signal, whose handler does nothing and is
//! installed without `SA_RESTART`, so that the call returns `EINTR`. Nothing else ends the call:
//! neither `close(2)` nor a flag.
//!
//! The signal must be unused: its disposition must be the default when it is first needed. If none
//! is left, [`Interrupt::fire`] does nothing, and a cancelled waiter releases its lock as soon as
//! the kernel grants it.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::{mem, ptr};

/// Makes this thread interruptible for as long as the value lives.
pub struct Interruptible {
    interrupt: Arc<Interrupt>,
    /// Refers to the thread that created it, so it must stay there.
    not_send: PhantomData<*const ()>,
}

/// Interrupts that thread; harmless when it is not in a call, or gone.
#[derive(Debug)]
pub struct Interrupt {
    /// `Some` exactly while the thread is certainly alive; the mutex keeps it so during the call
    /// that refers to it.
    thread: Mutex<Option<Thread>>,
}

/// A thread's handle; musl and the BSDs make it a pointer.
#[derive(Clone, Copy, Debug)]
struct Thread(libc::pthread_t);

// SAFETY: it only identifies the thread to others, and nothing is read through it.
unsafe impl Send for Thread {}

impl Interruptible {
    pub fn this_thread() -> Self {
        // SAFETY: no preconditions.
        let thread = Thread(unsafe { libc::pthread_self() });
        let thread = signal().map(|signal| {
            let_only(signal);
            thread
        });
        Self {
            interrupt: Arc::new(Interrupt { thread: Mutex::new(thread) }),
            not_send: PhantomData,
        }
    }

    pub fn interrupt(&self) -> Arc<Interrupt> {
        Arc::clone(&self.interrupt)
    }
}

impl Drop for Interruptible {
    fn drop(&mut self) {
        *self.interrupt.thread.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Interrupt {
    /// The signal may arrive just before the thread enters the call, and is then lost: fire again
    /// until the thread has answered.
    pub fn fire(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(Thread(thread)), Some(signal)) = (*thread, signal()) {
            // SAFETY: the thread is alive: before it ends it clears the slot, for which it needs
            // the mutex that is held here. The signal has a handler.
            unsafe { libc::pthread_kill(thread, signal) };
        }
    }
}

extern "C" fn do_nothing(_signal: libc::c_int) {}

/// The signal, with its handler installed on the first call; `None` when all are taken.
fn signal() -> Option<libc::c_int> {
    static SIGNAL: OnceLock<Option<libc::c_int>> = OnceLock::new();
    *SIGNAL.get_or_init(|| candidates().find(|&signal| claim(signal)))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn candidates() -> impl Iterator<Item = libc::c_int> {
    // From the top: other users of real-time signals (debuggers, timers) count from the bottom.
    (libc::SIGRTMIN()..libc::SIGRTMAX()).rev()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn candidates() -> impl Iterator<Item = libc::c_int> {
    [libc::SIGIO, libc::SIGURG].into_iter()
}

/// Installs the handler if the signal's disposition is still the default and the signal can be
/// sent.
fn claim(signal: libc::c_int) -> bool {
    // SAFETY: `sigaction` is plain data for which zero is valid; both pointers are to locals.
    unsafe {
        let mut before: libc::sigaction = mem::zeroed();
        if libc::sigaction(signal, ptr::null(), &mut before) != 0
            || before.sa_sigaction != libc::SIG_DFL
        {
            return false;
        }
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = do_nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // Deliberately without SA_RESTART.
        action.sa_flags = 0;
        libc::sigemptyset(&mut action.sa_mask);
        if libc::sigaction(signal, &action, ptr::null_mut()) != 0 {
            return false;
        }
        // An emulated processor (qemu's user mode) silently accepts handlers for signals that it
        // can't send, the topmost ones. So one is sent to this thread, whose handler does nothing.
        let sent = libc::pthread_kill(libc::pthread_self(), signal) == 0;
        if !sent {
            libc::sigaction(signal, &before, ptr::null_mut());
        }
        sent
    }
}

/// Blocks every other signal on this thread: one of the program's own would also end the wait, and
/// cost it its place in the kernel's queue.
fn let_only(signal: libc::c_int) {
    // SAFETY: `sigset_t` is plain data that `sigfillset` initialises.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigfillset(&mut set);
        libc::sigdelset(&mut set, signal);
        libc::pthread_sigmask(libc::SIG_SETMASK, &set, ptr::null_mut());
    }
}
