//! Where relative paths begin.

use napi_derive::napi;

/// The current directory, as the system calls it now; `None` when it has no name (it was removed) or
/// none in UTF-8. Node's own answer is remembered, and may be the name of another directory by now.
#[napi]
pub fn current_directory() -> Option<String> {
    std::env::current_dir().ok()?.into_os_string().into_string().ok()
}
