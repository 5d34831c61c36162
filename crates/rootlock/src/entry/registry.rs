//! All entries of the process, so that requests for one lock find the same entry; and what is
//! remembered of entries no longer in use.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rootlock_protocol::watch::Watch;
use rootlock_protocol::{LockDir, Names};
use rootlock_sys::sync::{self, Mutex};
use rootlock_sys::{Dir, FileId, Locality, clock};

use super::kept::KeptFile;
use super::{EntryId, LockEntry, State};
use crate::queue::{Queue, Turns};

/// All entries that are in use, and what is remembered of those that are not.
#[derive(Default)]
struct Registry {
    entries: HashMap<EntryId, Weak<LockEntry>>,
    memories: HashMap<FileName, Memory>,
}

/// What an entry leaves to its successor.
struct Memory {
    /// Short tries, made again and again, add up.
    watch: Option<Watch>,
    /// A caller that locks by path and asks again at once does so through a new entry.
    turns: Turns,
    left: Duration,
}

/// The memory belongs to the file, whatever the mount.
type FileName = (FileId, Arc<str>);

fn file_name((directory, _, name): &EntryId) -> FileName {
    (*directory, Arc::clone(name))
}

/// How many files are remembered; the oldest are forgotten first.
const MEMORIES: usize = 256;

static REGISTRY: Mutex<Option<Registry>> = Mutex::new(None);

impl LockEntry {
    /// The entry of a lock file, shared by all who use it at the moment. The path does not matter,
    /// because the directory is open. The mount does, because it decides what the open directory
    /// may be used for: an entry of the same directory on another mount is met in the kernel, like
    /// another process's.
    pub(crate) fn of(
        dir: &Arc<Dir>,
        mount: u64,
        id: FileId,
        names: Names,
        locality: Locality,
    ) -> Arc<Self> {
        let id = (id, mount, Arc::clone(&names.lock));
        let mut registry = sync::lock(&REGISTRY);
        let registry = registry.get_or_insert_default();
        if let Some(entry) = registry.entries.get(&id).and_then(Weak::upgrade) {
            return entry;
        }
        let (watch, turns) = match registry.memories.remove(&file_name(&id)) {
            Some(Memory { watch, turns, .. }) => (watch, turns),
            None => (None, Turns::default()),
        };
        let entry = Arc::new(Self {
            id: id.clone(),
            files: LockDir::new(Arc::clone(dir), names, locality),
            state: Mutex::new(State::new(Queue::new(turns))),
            watch: Mutex::new(watch),
            kept: KeptFile::default(),
        });
        registry.entries.insert(id, Arc::downgrade(&entry));
        entry
    }
}

impl Drop for LockEntry {
    /// Leaves what it knows to its successor.
    fn drop(&mut self) {
        let mut registry = sync::lock(&REGISTRY);
        let Some(registry) = registry.as_mut() else { return };
        // A successor may have been created since this one's last reference was dropped.
        if registry.entries.get(&self.id).is_some_and(|entry| entry.strong_count() == 0) {
            registry.entries.remove(&self.id);
        }
        let memory = Memory {
            watch: sync::lock(&self.watch).take(),
            turns: sync::lock(&self.state).queue.turns(),
            left: clock::awake(),
        };
        let file_name = file_name(&self.id);
        if registry.memories.len() >= MEMORIES && !registry.memories.contains_key(&file_name) {
            let oldest = registry.memories.iter().min_by_key(|(_, memory)| memory.left);
            if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                registry.memories.remove(&oldest);
            }
        }
        registry.memories.insert(file_name, memory);
    }
}
