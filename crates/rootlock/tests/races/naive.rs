//! The design that rootlock replaces, unchanged: it unlinks a stale lock file, and nothing guards
//! the unlink. It shows that the harness can fail, and must never be used.
#![expect(clippy::disallowed_methods, reason = "it locks the way that rootlock must not")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

pub(crate) fn lock(root: &Path, stale: Duration) -> io::Result<File> {
    let path = root.join(".lock");
    loop {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        if fs4::FileExt::try_lock(&file).is_ok() {
            dawdle();
            // First fresh, then the check: the original's own order.
            file.set_modified(SystemTime::now())?;
            let named = std::fs::metadata(&path);
            if named.is_ok_and(|named| named.ino() == file.metadata().map_or(0, |own| own.ino())) {
                return Ok(file);
            }
        } else if let Ok(modified) = std::fs::metadata(&path).and_then(|named| named.modified())
            && modified.elapsed().unwrap_or_default() >= stale
        {
            dawdle();
            let _ = std::fs::remove_file(&path);
        }
        std::thread::yield_now();
    }
}

/// Lets others in now and then, where the original writes to its log or is preempted: the holes are
/// there without it, but take longer to find.
fn dawdle() {
    static TURN: AtomicU32 = AtomicU32::new(0);
    let turn = TURN.fetch_add(1, Ordering::Relaxed).wrapping_mul(7) + std::process::id();
    for _ in 0..turn % 8 {
        std::thread::yield_now();
    }
}
