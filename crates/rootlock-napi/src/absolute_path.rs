//! How messages name a directory.

use std::path::Path;

use napi_derive::napi;

/// The path as text, joined to the current directory's as the system reports it now: Node caches
/// its own answer, which may name another directory by now. If the current directory has no name,
/// or none in UTF-8, returns the path unchanged.
#[napi]
pub fn absolute_path(path: String) -> String {
    let absolute = rootlock::absolute(Path::new(&path));
    absolute.into_os_string().into_string().unwrap_or(path)
}
