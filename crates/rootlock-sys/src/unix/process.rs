//! The identity of this process, and whether a recorded process has certainly ended.

use std::fs;

use rustix::process::Pid;

use crate::FileId;
pub use crate::KernelLock;
use crate::Mode;

/// The machine's name.
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Differs after every boot of the machine.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn boot() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

#[cfg(target_vendor = "apple")]
pub fn boot() -> Option<String> {
    let mut buffer = [0_u8; 64];
    let mut length = buffer.len();
    // SAFETY: the name is a C string, the buffer is as long as `length` says, nothing is set.
    let result = unsafe {
        libc::sysctlbyname(
            c"kern.bootsessionuuid".as_ptr(),
            buffer.as_mut_ptr().cast(),
            &mut length,
            std::ptr::null_mut(),
            0,
        )
    };
    if result != 0 {
        return None;
    }
    let text = buffer.get(..length)?.split(|&byte| byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub fn boot() -> Option<String> {
    None
}

/// The namespaces of this process's pid and start time, as one number; zero where there is only one
/// of each. In another time namespace the same process has another start time.
pub fn namespace() -> u64 {
    use std::os::unix::fs::MetadataExt;
    let of = |kind| fs::metadata(format!("/proc/self/ns/{kind}")).map_or(0, |file| file.ino());
    // The kernel's namespace numbers have 32 bits.
    of("pid") | of("time") << 32
}

/// When a process started, in the system's own units. With the pid, it identifies the process
/// forever, even though pids are reused.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn start_time(pid: u32) -> Option<u64> {
    // The main thread's, which is the process's: qemu's user mode (a container of another
    // processor) makes up `/proc/PID/stat` for the process itself, so that others would think it
    // had ended.
    let stat = fs::read_to_string(format!("/proc/{pid}/task/{pid}/stat")).ok()?;
    // The second field is the name in parentheses and may itself contain spaces and parentheses.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(target_vendor = "apple")]
pub fn start_time(pid: u32) -> Option<u64> {
    let size = size_of::<libc::proc_bsdinfo>() as libc::c_int;
    // SAFETY: `proc_bsdinfo` is plain data for which zero is valid, and `size` is its size.
    let (info, filled) = unsafe {
        let mut info: libc::proc_bsdinfo = std::mem::zeroed();
        let filled = libc::proc_pidinfo(
            pid as libc::c_int,
            libc::PROC_PIDTBSDINFO,
            0,
            (&raw mut info).cast(),
            size,
        );
        (info, filled)
    };
    (filled == size).then(|| info.pbi_start_tvsec * 1_000_000 + info.pbi_start_tvusec)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub fn start_time(_pid: u32) -> Option<u64> {
    None
}

/// Whether the process with this pid and start time, of this boot and these namespaces, has
/// certainly ended. Any doubt means no.
pub fn is_gone(pid: u32, start: u64) -> bool {
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    match rustix::process::test_kill_process(id) {
        Err(rustix::io::Errno::SRCH) => true,
        _ => start_time(pid).is_some_and(|now| now != start),
    }
}

/// A descriptor that becomes readable when that process ends; `None` if it has ended, or the system has none. What
/// a pid means now is compared after it was opened, so that it is no later process.
#[cfg(target_os = "linux")]
pub fn end_of(pid: u32, start: u64) -> Option<std::os::fd::OwnedFd> {
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let pid = i32::try_from(pid).ok()?;
    let end = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    (start_time(pid.unsigned_abs()) == Some(start)).then_some(end)
}

/// The command line of a process, as words; empty if unknown.
pub fn arguments(pid: u32) -> Vec<String> {
    match fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(line) => String::from_utf8_lossy(&line)
            .trim_end_matches('\0')
            .split('\0')
            .map(str::to_owned)
            .collect(),
        Err(_) if pid == std::process::id() => {
            std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect()
        }
        Err(_) => Vec::new(),
    }
}

/// The processes that hold a `flock` on a file, according to the kernel; `None` where it does not
/// report them. Leaves out holders in namespaces that this process can't see.
pub fn lock_owners(file: FileId) -> Option<Vec<(u32, Mode)>> {
    let owners = kernel_locks(file)?.into_iter().filter(|lock| !lock.waits);
    Some(owners.map(|lock| (lock.pid, lock.mode)).collect())
}

/// Whether the system reports who holds a lock and who waits for it.
pub const REPORTS_LOCKS: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// The same, with those that wait for it; each process once.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn kernel_locks(file: FileId) -> Option<Vec<KernelLock>> {
    let locks = read_whole("/proc/locks").ok()?;
    let inode = file.index.to_string();
    let device =
        format!("{:02x}:{:02x}", rustix::fs::major(file.volume), rustix::fs::minor(file.volume));
    let lock = |line: &str| {
        // "1: FLOCK  ADVISORY  WRITE 4242 fd:00:1234 0 EOF"; a waiter's line has "->" before FLOCK.
        let mut fields = line.split_ascii_whitespace().skip(1).peekable();
        let waits = fields.next_if_eq(&"->").is_some();
        if fields.next()? != "FLOCK" {
            return None;
        }
        let mode = match fields.nth(1)? {
            "WRITE" => Mode::Exclusive,
            _ => Mode::Shared,
        };
        let pid = fields.next()?.parse().ok()?;
        let (on, of) = fields.next()?.rsplit_once(':')?;
        (on == device && of == inode).then_some(KernelLock { waits, pid, mode })
    };
    let mut found = Vec::new();
    for lock in locks.lines().filter_map(lock) {
        // The kernel reports a page at a time, by index: a lock added elsewhere in between shifts
        // one that was already reported to the next page.
        if !found.contains(&lock) {
            found.push(lock);
        }
    }
    Some(found)
}

/// A file of `/proc` in as few calls as it takes: for each of `/proc/locks` the kernel stops all locking, and
/// `read_to_string` would begin with 32 bytes, because such files have no size.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn read_whole(path: &str) -> std::io::Result<String> {
    use std::io::Read;

    let mut text = String::with_capacity(1 << 14);
    fs::File::open(path)?.take(u64::MAX).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn kernel_locks(_file: FileId) -> Option<Vec<KernelLock>> {
    None
}
