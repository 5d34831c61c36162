//! How messages name a directory.

use std::path::Path;

use napi_derive::napi;

/// A path as text behind the current directory's, as the system calls that now: Node's own answer is
/// remembered, and may be the name of another directory by now. The path as it came if that has no
/// name, or none in UTF-8.
#[napi]
pub fn absolute_path(path: String) -> String {
    let absolute = rootlock::absolute(Path::new(&path));
    absolute.into_os_string().into_string().unwrap_or(path)
}
