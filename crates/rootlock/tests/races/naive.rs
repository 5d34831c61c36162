//! The design that rootlock comes from, as it was: a stale lock file is unlinked, and nobody guards
//! the unlinking. Here so that the harness can be seen to fail; never to be used.
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
            // Fresh first, then the check: the seed's own order.
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

/// Lets others in between now and then, where the seed writes to its log or is preempted: the holes
/// are there without it, but take longer to find.
fn dawdle() {
    static TURN: AtomicU32 = AtomicU32::new(0);
    let turn = TURN.fetch_add(1, Ordering::Relaxed).wrapping_mul(7) + std::process::id();
    for _ in 0..turn % 8 {
        std::thread::yield_now();
    }
}
