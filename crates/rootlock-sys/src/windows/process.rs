//! The identity of this process, and whether a recorded process has certainly ended.

use std::ffi::OsString;
use std::os::windows::ffi::OsStringExt;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::{io, ptr};

use windows_sys::Win32::Foundation::{ERROR_INVALID_PARAMETER, FILETIME, WAIT_OBJECT_0};
use windows_sys::Win32::System::SystemInformation::{
    ComputerNamePhysicalDnsHostname, GetComputerNameExW,
};
use windows_sys::Win32::System::Threading::{
    GetProcessTimes, OpenProcess, PROCESS_ACCESS_RIGHTS, PROCESS_NAME_WIN32,
    PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE, QueryFullProcessImageNameW,
    WaitForSingleObject,
};

use crate::FileId;
pub use crate::KernelLock;
use crate::Mode;

/// The machine's name.
pub fn hostname() -> String {
    let mut length = 0;
    // SAFETY: without a buffer the call only returns the required length.
    unsafe {
        GetComputerNameExW(ComputerNamePhysicalDnsHostname, ptr::null_mut(), &mut length);
    }
    let mut name = vec![0; length as usize];
    // SAFETY: the buffer is as long as `length` says.
    let found = unsafe {
        GetComputerNameExW(ComputerNamePhysicalDnsHostname, name.as_mut_ptr(), &mut length)
    };
    if found == 0 {
        return String::new();
    }
    String::from_utf16_lossy(name.get(..length as usize).unwrap_or_default())
}

/// Nothing on Windows is certain both to differ after every boot and to stay the same until then:
/// the boot time moves when the clock is set, and the registry's counter is missing from containers
/// and from Wine. Little is lost: no handle of ours is inherited, so a process's lock ends with it.
pub fn boot() -> Option<String> {
    None
}

/// There is only one.
pub fn namespace() -> u64 {
    0
}

/// When a process started, in the system's own units. With the pid, it identifies the process
/// forever, even though pids are reused.
pub fn start_time(pid: u32) -> Option<u64> {
    started(&open(pid, PROCESS_QUERY_LIMITED_INFORMATION).ok()?)
}

/// Whether the process with this pid and start time, of this boot and pid namespace, has certainly
/// ended. Any doubt means no.
pub fn is_gone(pid: u32, start: u64) -> bool {
    // Pids are multiples of four; the system would round down.
    if pid == 0 || !pid.is_multiple_of(4) {
        return false;
    }
    match open(pid, PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE) {
        // Somebody may keep a handle to a process that has ended, and with it its pid. The exit
        // code does not help: it is set before the process's files are closed.
        Ok(process) => has_ended(&process) || started(&process).is_some_and(|now| now != start),
        // No such process. If access is denied, there is one, whichever it is.
        Err(error) => error.raw_os_error() == Some(ERROR_INVALID_PARAMETER as i32),
    }
}

/// The command line of a process, as words; empty if unknown. For another process, only its
/// program.
pub fn arguments(pid: u32) -> Vec<String> {
    let arguments: Vec<_> = if pid == std::process::id() {
        std::env::args_os().collect()
    } else {
        program(pid).into_iter().collect()
    };
    arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect()
}

/// Not reported as it is on Linux.
pub fn lock_owners(_file: FileId) -> Option<Vec<(u32, Mode)>> {
    None
}

/// It does not report who holds a lock.
pub const REPORTS_LOCKS: bool = false;

/// Nor are these.
pub fn kernel_locks(_file: FileId) -> Option<Vec<KernelLock>> {
    None
}

fn open(pid: u32, access: PROCESS_ACCESS_RIGHTS) -> io::Result<OwnedHandle> {
    // SAFETY: no preconditions.
    let handle = unsafe { OpenProcess(access, 0, pid) };
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle was just opened and belongs to nobody else.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

fn has_ended(process: &OwnedHandle) -> bool {
    // SAFETY: the handle is open and may be waited for; zero means without waiting.
    unsafe { WaitForSingleObject(process.as_raw_handle(), 0) == WAIT_OBJECT_0 }
}

/// By the wall clock of that moment; all that matters is that it does not change.
fn started(process: &OwnedHandle) -> Option<u64> {
    let [mut created, mut exited, mut kernel, mut user] = [FILETIME::default(); 4];
    // SAFETY: the handle is open, and there is room for the four times.
    let known = unsafe {
        GetProcessTimes(process.as_raw_handle(), &mut created, &mut exited, &mut kernel, &mut user)
    };
    (known != 0).then(|| u64::from(created.dwHighDateTime) << 32 | u64::from(created.dwLowDateTime))
}

fn program(pid: u32) -> Option<OsString> {
    let process = open(pid, PROCESS_QUERY_LIMITED_INFORMATION).ok()?;
    // The longest path on this system.
    let mut path = vec![0; 32_768];
    let mut length = path.len() as u32;
    // SAFETY: the handle is open, and the buffer is as long as `length` says.
    let known = unsafe {
        QueryFullProcessImageNameW(
            process.as_raw_handle(),
            PROCESS_NAME_WIN32,
            path.as_mut_ptr(),
            &mut length,
        )
    };
    (known != 0).then(|| OsString::from_wide(path.get(..length as usize).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_not_gone() {
        let pid = std::process::id();
        let start = start_time(pid).expect("known");
        assert!(!is_gone(pid, start));
        assert!(is_gone(pid, start + 1), "another one had this pid");
    }

    #[test]
    fn a_child_that_ended_is_gone_even_while_its_handle_is_open() {
        let mut child = std::process::Command::new(std::env::current_exe().expect("known"))
            .arg("--list")
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("starts");
        let start = start_time(child.id()).expect("known");
        child.wait().expect("ends");
        assert!(is_gone(child.id(), start));
    }

    #[test]
    fn an_invalid_pid_is_not_gone() {
        assert!(!is_gone(0, 1));
        assert!(!is_gone(std::process::id() + 1, 1));
        assert!(is_gone(0xffff_fffc, 1), "one that nobody has is");
    }
}
