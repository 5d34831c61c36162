//! All entries of the process, so that requests for one lock find the same entry; and what is
//! remembered of entries that are not in use.

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

/// All entries of the process that are in use, and what is remembered of those that are not.
#[derive(Default)]
struct Registry {
    entries: HashMap<EntryId, Weak<LockEntry>>,
    memories: HashMap<FileName, Memory>,
}

/// What an entry leaves to the next one that comes to the same place.
struct Memory {
    /// Repeated short tries add up.
    watch: Option<Watch>,
    /// A caller that asks again at once does so through a new entry, if it locks by path.
    turns: Turns,
    left: Duration,
}

/// What is remembered is the file's, by whatever mount.
type FileName = (FileId, Arc<str>);

fn file_name((directory, _, name): &EntryId) -> FileName {
    (*directory, Arc::clone(name))
}

/// How many places are remembered; the oldest go first.
const MEMORIES: usize = 256;

static REGISTRY: Mutex<Option<Registry>> = Mutex::new(None);

impl LockEntry {
    /// The entry of a lock file, shared by all who use it at the moment: by whatever path, because
    /// the directory is open and nothing of the path is used, but not by whatever mount, because
    /// that decides what the open directory may be used for. An entry of the same directory on
    /// another mount is met in the kernel, as another process's would be.
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
    /// Leaves what it knows to the next one that comes here.
    fn drop(&mut self) {
        let mut registry = sync::lock(&REGISTRY);
        let Some(registry) = registry.as_mut() else { return };
        // Another one may have been made since this one's last reference went.
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
