//! A site: one lock file of one directory, as this process sees it. Everybody in the process who
//! wants that lock meets here, whatever thread they come from: the line of those who wait, the one
//! wait in the kernel for whoever is first, the watch, and the guard.
//!
//! The state's mutex is a leaf: no call on a file and no call to [`crate::Events`] is made under it.

mod give_back;
mod line;
mod look;
mod registry;
mod settle;
mod take;
mod turn;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::Holder;
use crate::events::Details;
use crate::guard::Guard;
use crate::kernel_wait::KernelWait;
use crate::options::Names;
use crate::sync::Mutex;
use crate::sys::{Dir, FileId, Locality};
use crate::watch::Watch;

use line::Claimed;
pub(crate) use line::{Claim, Next, Waiter};
use look::Refused;
use turn::Turn;

pub(crate) struct Site {
    id: SiteId,
    pub(crate) dir: Arc<Dir>,
    /// The root's path as it was given, for messages only.
    pub(crate) path: PathBuf,
    pub(crate) names: Names,
    pub(crate) locality: Locality,
    pub(crate) guard: Guard,
    /// The file system has shown that it keeps times to the nanosecond.
    pub(crate) exact_times: AtomicBool,
    state: Mutex<State>,
    watch: Mutex<Option<Watch>>,
}

/// The directory and the lock file's name.
type SiteId = (FileId, Arc<str>);

#[derive(Default)]
struct State {
    /// Those who wait, by key: keys rise, so this is first come, first served.
    line: BTreeMap<u64, Waiter>,
    /// Those for whom somebody is just making a grant.
    claimed: BTreeMap<u64, Claimed>,
    /// Those who left and have not been told yet.
    leaving: Vec<Waiter>,
    /// The key of this process's own exclusive holder: as long as there is one, nobody needs to wait in the
    /// kernel or watch.
    exclusive: Option<u64>,
    /// This process's last turn.
    turn: Option<Turn>,
    /// When the next one may begin, on the awake clock.
    not_before: Duration,
    kernel: Option<Arc<KernelWait>>,
    /// A look is due, or under way.
    looking: bool,
    /// Who held the lock when somebody last looked.
    holder: Option<Holder>,
    refusal: Option<Arc<Refused>>,
}

impl Site {
    pub(crate) fn volume(&self) -> u64 {
        self.id.0.volume
    }

    /// Whether it is the site of that name in that directory.
    pub(crate) fn is_of(&self, dir: FileId, name: &str) -> bool {
        self.id.0 == dir && &*self.id.1 == name
    }

    pub(crate) fn details(&self) -> Details {
        Details::default().with("path", &self.lock_path().to_string_lossy())
    }

    pub(crate) fn lock_path(&self) -> PathBuf {
        self.path.join(&*self.names.lock)
    }
}
