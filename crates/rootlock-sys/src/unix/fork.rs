//! Whether this process is a fork that runs the program of its parent: it shares the parent's open files, and with them their
//! locks, but has none of its threads.

use std::process;
use std::sync::OnceLock;
#[cfg(target_os = "linux")]
use std::sync::atomic::{AtomicU8, Ordering};

/// Made by the first process that asks.
enum Mark {
    /// Memory that is zeroed in a fork. Reading it costs no system call.
    #[cfg(target_os = "linux")]
    Wiped(&'static AtomicU8),
    Pid(u32),
}

static MARK: OnceLock<Mark> = OnceLock::new();

/// Whether this process was forked from the one that asked first.
pub fn is_fork() -> bool {
    match MARK.get_or_init(Mark::make) {
        #[cfg(target_os = "linux")]
        Mark::Wiped(mark) => mark.load(Ordering::Relaxed) == 0,
        Mark::Pid(pid) => *pid != process::id(),
    }
}

impl Mark {
    fn make() -> Self {
        #[cfg(target_os = "linux")]
        if let Some(mark) = wiped_in_forks() {
            mark.store(1, Ordering::Relaxed);
            return Self::Wiped(mark);
        }
        Self::Pid(process::id())
    }
}

/// A byte that is zero in every fork; since Linux 4.14.
#[cfg(target_os = "linux")]
fn wiped_in_forks() -> Option<&'static AtomicU8> {
    const PAGE: usize = 4096;
    let (access, kind) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: new memory, at no particular place.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), PAGE, access, kind, -1, 0) };
    if page == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the memory was just mapped, and is nobody else's.
    if unsafe { libc::madvise(page, PAGE, libc::MADV_WIPEONFORK) } != 0 {
        // SAFETY: as above; nothing refers to it.
        unsafe { libc::munmap(page, PAGE) };
        return None;
    }
    // SAFETY: it stays mapped forever, and is only used as this atomic.
    Some(unsafe { AtomicU8::from_ptr(page.cast()) })
}
