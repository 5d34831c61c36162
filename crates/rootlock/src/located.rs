//! A path, and where it begins: the system resolves it, also after a `chdir`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rootlock_sys::Dir;

/// A path to a directory, as it was named at some moment.
#[derive(Clone, Debug)]
pub struct Located {
    /// What was the current directory then, for a relative path.
    base: Option<Arc<Dir>>,
    path: PathBuf,
    /// The same made absolute, if it is not; for messages only.
    shown: Option<PathBuf>,
}

impl Located {
    /// Names a directory from the current one. Opens nothing but that, for a relative path on Unix.
    pub fn here(path: PathBuf) -> Self {
        // Windows itself resolves paths as text. An empty path is the system's to refuse.
        let relative = cfg!(unix) && path.is_relative() && !path.as_os_str().is_empty();
        let base = relative.then(|| Dir::open(Path::new(".")).ok().map(Arc::new)).flatten();
        let shown = path.is_relative().then(|| absolute(&path));
        Self { base, path, shown }
    }

    /// How messages name it.
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

/// A path as text behind the current directory's, if it is relative and that has a name: for messages,
/// because no text tells where `link/..` leads.
pub fn absolute(path: &Path) -> PathBuf {
    if path.is_absolute() || path.as_os_str().is_empty() {
        return path.to_owned();
    }
    let Ok(here) = std::env::current_dir() else {
        // It was removed: the system still knows where the path begins.
        return path.to_owned();
    };
    let Some(mut steps) = path.to_str() else { return here.join(path) };
    // Steps that lead nowhere are left out in front.
    while let Some(rest) = steps.strip_prefix("./") {
        steps = rest.trim_start_matches('/');
    }
    if matches!(steps, "" | ".") { here } else { here.join(steps) }
}
