//! A path and where it begins: the system resolves it, even after a `chdir`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rootlock_sys::Dir;

/// A path to a directory, as it was given at some moment.
#[derive(Clone, Debug)]
pub struct Located {
    /// For a relative path, the current directory at that moment.
    base: Option<Arc<Dir>>,
    path: PathBuf,
    /// The absolute form, if the path is relative; for messages only.
    shown: Option<PathBuf>,
}

impl Located {
    /// Captures a path from the current directory. Opens only that directory, and only for a
    /// relative path on Unix.
    pub fn here(path: PathBuf) -> Self {
        // Windows itself resolves paths as text. An empty path is left for the system to refuse.
        let relative = cfg!(unix) && path.is_relative() && !path.as_os_str().is_empty();
        let base = relative.then(|| Dir::open(Path::new(".")).ok().map(Arc::new)).flatten();
        let shown = path.is_relative().then(|| absolute(&path));
        Self { base, path, shown }
    }

    /// How messages show it.
    pub fn shown(&self) -> &Path {
        self.shown.as_deref().unwrap_or(&self.path)
    }

    pub(crate) fn open(&self) -> std::io::Result<Dir> {
        Dir::open_from(self.base.as_deref(), &self.path)
    }

    pub(crate) fn open_cached(&self) -> Option<Dir> {
        Dir::open_cached(self.base.as_deref(), &self.path)
    }
}

/// The path as text, joined to the current directory's if it is relative and that has a name: for
/// messages only, because text can't tell where `link/..` leads.
pub fn absolute(path: &Path) -> PathBuf {
    if path.is_absolute() || path.as_os_str().is_empty() {
        return path.to_owned();
    }
    let Ok(here) = std::env::current_dir() else {
        // It was removed: the system still knows where the path begins.
        return path.to_owned();
    };
    let Some(mut steps) = path.to_str() else { return here.join(path) };
    // Leading `.` steps are left out.
    while let Some(rest) = steps.strip_prefix("./") {
        steps = rest.trim_start_matches('/');
    }
    if matches!(steps, "" | ".") { here } else { here.join(steps) }
}
