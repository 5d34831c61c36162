//! A cache of directories that are locked by path again and again: they stay open for a moment, with
//! the guards of their locks, because opening and closing them takes as long as locking does.
//! Each use resolves the path anew, and the cached directory serves only if the path still leads to
//! it. A directory that is used once is not cached, so a caller can unlock and then unmount it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::located::Located;
use crate::pool;
use crate::root::Root;
use crate::timer;
use rootlock_sys::sync::{self, Mutex};
use rootlock_sys::{FileId, clock};

/// How long a directory stays cached after its last use, and how soon after one use a second must
/// follow for it to be cached at all.
const MOMENT: Duration = Duration::from_millis(100);

/// The most directories that are cached: each takes three descriptors.
const MOST: usize = 64;

/// How many uses of uncached directories are remembered.
const VISITS: usize = 16;

struct Cached {
    root: Root,
    used: Duration,
}

struct State {
    /// By path, character for character: callers are shown the path that they used.
    roots: Option<HashMap<OsString, Cached>>,
    visits: [Option<((u64, FileId), Duration)>; VISITS],
    next_visit: usize,
}

static STATE: Mutex<State> =
    Mutex::new(State { roots: None, visits: [const { None }; VISITS], next_visit: 0 });

/// Opens a directory if that can't block: it is cached, or it is on a mount known to be local and
/// the kernel has the path in memory. `None` says nothing about the directory.
pub(crate) fn open(located: &Located) -> Option<Root> {
    let (dir, path) = (located.open_cached()?, located.shown());
    let (mount, id) = dir.mount_and_id()?;
    if let Some(root) = find(path, mount, id) {
        return Some(root);
    }
    let root = Root::of_local(dir, mount, id, path)?;
    visit(&root);
    Some(root)
}

/// The directory cached under a path, if the path still leads to it, by the same mount: another,
/// read-only mount may have been put over it.
fn find(path: &Path, mount: u64, id: FileId) -> Option<Root> {
    let mut state = sync::lock(&STATE);
    let kept = state.roots.as_mut()?.get_mut(path.as_os_str())?;
    if kept.root.mount_and_id() != (mount, id) {
        return None;
    }
    kept.used = clock::awake();
    Some(kept.root.clone())
}

/// Caches a directory that was just opened, if it had been open a moment before.
fn visit(root: &Root) {
    let now = clock::awake();
    let replaced = {
        let mut state = sync::lock(&STATE);
        let id = root.mount_and_id();
        let visit = state.visits.iter_mut().flatten().find(|visit| visit.0 == id);
        let again = match visit {
            Some((_, last)) => now.saturating_sub(std::mem::replace(last, now)) < MOMENT,
            None => {
                let next = state.next_visit;
                state.visits[next] = Some((id, now));
                state.next_visit = (next + 1) % VISITS;
                false
            }
        };
        let roots = state.roots.get_or_insert_default();
        let known = roots.contains_key(root.path().as_os_str());
        if !again || !known && roots.len() >= MOST {
            return;
        }
        // Without the timer nothing would evict it, so it is not cached.
        if roots.is_empty() && set_timer(now).is_err() {
            return;
        }
        roots.insert(root.path().as_os_str().to_owned(), Cached { root: root.clone(), used: now })
    };
    // Closed outside the mutex.
    drop(replaced);
}

/// Evicts directories not used lately; on the pool, because the timer's thread closes no file.
fn evict(now: Duration) {
    let mut state = sync::lock(&STATE);
    let roots = state.roots.get_or_insert_default();
    let idle: Vec<_> =
        roots.extract_if(|_, kept| now.saturating_sub(kept.used) >= MOMENT).collect();
    if !roots.is_empty() && set_timer(now).is_err() {
        roots.clear();
    }
    drop(state);
    if !idle.is_empty() {
        // If the pool has no thread, dropping the job closes them here.
        let _ = pool::run(move || drop(idle));
    }
}

fn set_timer(now: Duration) -> std::io::Result<()> {
    let evict = |moment: timer::Moment| {
        evict(moment.now);
        None
    };
    timer::set(now + MOMENT, evict).map(drop)
}
