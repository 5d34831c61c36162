//! A site: one lock file of one directory, as this process sees it. Everybody in the process who
//! wants that lock meets here, whatever thread they come from: the line of those who wait, the one
//! wait in the kernel for whoever is first, the watch, and the guard.
//!
//! The state's mutex is a leaf: no call on a file and no call to [`Events`] is made under it.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::error::{Fault, Refusal};
use crate::events::{Details, Events, Level};
use crate::grant::{self, Grant, Moment, Verdict, Wanted};
use crate::guard::{Guard, Patience};
use crate::hands::{self, Then};
use crate::heart::{self, Timer};
use crate::holder::Process;
use crate::kernel_wait::{self, KernelWait};
use crate::lease::Lease;
use crate::ledger::{Ledger, Record};
use crate::lockfile::LockFile;
use crate::options::{Names, Options, Terms};
use crate::recover::{self, Attempt};
use crate::root::{Acquired, Wait};
use crate::sync::{self, Mutex, thread};
use crate::sys::{Dir, FileId, Locality, Stat, clock, process};
use crate::watch::{self, Promise, Sighting, Watch};
use crate::{Error, ErrorKind, Holder, Lock, Mode, Operation};

/// For how long this process may keep the lock to itself (from caller to caller, or by asking again
/// at once) while another one waits; as in parking_lot's eventual fairness.
const TURN: Duration = Duration::from_millis(1);

/// Who asks again so soon has not given anybody else a chance: the kernel wakes the next in its
/// queue, but gives the lock to whoever asks first.
const AT_ONCE: Duration = Duration::from_micros(200);

/// For how long to stay away after a turn, so that whoever was woken gets there first.
const STEP_BACK: Duration = Duration::from_micros(200);

/// When a waiter first looks at what it waits for: most waits are over by then.
const FIRST_LOOK: Duration = Duration::from_millis(100);

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

/// A time during which the lock was this process's, but for moments.
#[derive(Clone, Copy)]
struct Turn {
    since: Duration,
    ended: Duration,
}

#[derive(Clone, Copy, Default)]
struct Claimed {
    /// The grant is made by the thread that waits in the kernel, which may be blocked again.
    by_wait: bool,
    /// Not wanted any more: whoever makes the grant gives it back.
    gone: bool,
}

/// A takeover that the system refused, kept for the message of a wait that ends without the lock.
struct Refused {
    text: String,
    refusal: Refusal,
}

/// Somebody who wants the lock.
pub(crate) struct Waiter {
    /// Its place in line; unique in the process.
    pub(crate) key: u64,
    /// What its [`Events`] know it by.
    pub(crate) tag: u64,
    pub(crate) mode: Mode,
    pub(crate) terms: Terms,
    recover: bool,
    pub(crate) events: Arc<dyn Events>,
    /// Whether it was told that it waits; `None` when it does not want to hear of it.
    told: Option<Arc<Mutex<bool>>>,
}

/// A waiter taken out of line for a grant. It goes back by [`Site::unclaim`] or is settled.
pub(crate) struct Claim {
    pub(crate) waiter: Waiter,
}

/// What a look came to.
struct Judgement {
    /// The lock may be taken over now.
    over: bool,
    /// For how long it must be watched unchanged, as it looks now.
    needed: Duration,
}

/// What the thread that waits in the kernel does next.
pub(crate) enum Next {
    Wait(Mode),
    Leave,
}

/// All sites of the process that somebody uses, and what is remembered of those nobody uses just
/// now.
#[derive(Default)]
struct Registry {
    sites: HashMap<SiteId, Weak<Site>>,
    memories: HashMap<SiteId, Memory>,
}

/// What a site leaves to the next one that comes to the same place.
struct Memory {
    /// Repeated short tries add up.
    watch: Option<Watch>,
    /// Whoever asks again at once does so through a new site, if it names the place by a path.
    turn: Option<Turn>,
    not_before: Duration,
    left: Duration,
}

/// How many places are remembered; the oldest go first.
const MEMORIES: usize = 256;

static REGISTRY: Mutex<Option<Registry>> = Mutex::new(None);

impl Site {
    /// The site of a lock file, shared by all who use it at the moment.
    pub(crate) fn of(
        dir: &Arc<Dir>,
        id: FileId,
        path: &Path,
        names: Names,
        locality: Locality,
    ) -> Arc<Self> {
        let id = (id, Arc::clone(&names.lock));
        let mut registry = sync::lock(&REGISTRY);
        let registry = registry.get_or_insert_default();
        if let Some(site) = registry.sites.get(&id).and_then(Weak::upgrade) {
            return site;
        }
        let (watch, state) = match registry.memories.remove(&id) {
            Some(Memory { watch, turn, not_before, .. }) => {
                (watch, State { turn, not_before, ..State::default() })
            }
            None => (None, State::default()),
        };
        let site = Arc::new(Self {
            id: id.clone(),
            dir: Arc::clone(dir),
            path: path.to_owned(),
            names,
            locality,
            guard: Guard::default(),
            exact_times: AtomicBool::new(false),
            state: Mutex::new(state),
            watch: Mutex::new(watch),
        });
        registry.sites.insert(id, Arc::downgrade(&site));
        site
    }

    pub(crate) fn volume(&self) -> u64 {
        self.id.0.volume
    }

    pub(crate) fn details(&self) -> Details {
        Details::default().with("path", &self.lock_path().to_string_lossy())
    }

    pub(crate) fn lock_path(&self) -> PathBuf {
        self.path.join(&*self.names.lock)
    }

    // ---- taking -------------------------------------------------------------------------------

    /// Takes the lock at once if it is free and nobody waits; else gets in line, or makes one
    /// thorough attempt on another thread, as the options say.
    ///
    /// Does not wait. On a local file system it does not block either.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        tag: u64,
        mode: Mode,
        options: &Options,
        tell: bool,
        events: Arc<dyn Events>,
    ) -> Result<Acquired, Error> {
        static KEYS: AtomicU64 = AtomicU64::new(0);
        let key = KEYS.fetch_add(1, Ordering::Relaxed);
        let waiter = Waiter {
            key,
            tag,
            mode,
            terms: options.terms(),
            recover: options.recover,
            events,
            told: tell.then(Arc::default),
        };
        let waiter = match self.is_quiet() {
            Some(since) => match self.take_if_free(waiter, since)? {
                Ok(lock) => return Ok(Acquired::Now(lock)),
                Err(waiter) => waiter,
            },
            None => waiter,
        };
        if options.wait { self.wait_in_line(waiter) } else { self.try_once(waiter) }
            .map(|()| Acquired::Later(Wait::new(self, key)))
            .map_err(|fault| fault.into_error(Operation::Acquire, &self.path))
    }

    /// Whether a newcomer would overtake nobody and would not find the lock taken by this process:
    /// since when it is this process's turn.
    fn is_quiet(&self) -> Option<Duration> {
        let now = clock::awake();
        let since = {
            let state = sync::lock(&self.state);
            if !state.line.is_empty() || !state.claimed.is_empty() || state.exclusive.is_some() {
                return None;
            }
            match state.turn {
                Some(turn) if now.saturating_sub(turn.ended) < AT_ONCE => turn.since,
                _ => now,
            }
        };
        let since = self.turn_goes_on(since, now);
        if since.is_none() {
            self.step_back(now);
        }
        since
    }

    /// Whether this process may go on having the lock that it has had since then: from when its
    /// turn counts now.
    fn turn_goes_on(&self, since: Duration, now: Duration) -> Option<Duration> {
        if now.saturating_sub(since) < TURN {
            return Some(since);
        }
        // Over a network the announcements would be locks like any other.
        let others_wait = match self.locality {
            Locality::Local => self.guard.others_wait(&self.dir, &self.names),
            Locality::Remote => None,
        };
        // Nobody waits: another turn, and no need to ask before it is over.
        (others_wait == Some(false)).then_some(now)
    }

    fn step_back(&self, now: Duration) {
        let mut state = sync::lock(&self.state);
        state.turn = None;
        state.not_before = now + STEP_BACK;
    }

    /// Remembers that this process has just had the lock, unless its turn is over.
    fn end_turn(&self, lease: &Lease) {
        let ended = clock::awake();
        let mut state = sync::lock(&self.state);
        if state.not_before <= ended {
            state.turn = Some(Turn { since: lease.turn_since, ended });
        }
    }

    /// Lets whoever was woken get there first; on the thread that is about to wait in the kernel.
    pub(crate) fn wait_for_turn(&self) {
        let not_before = sync::lock(&self.state).not_before;
        let left = not_before.saturating_sub(clock::awake());
        if !left.is_zero() {
            thread::park_timeout(left);
        }
    }

    /// What those who wait queue on; `None` where nobody does, because over a network it would be a
    /// lock like any other.
    pub(crate) fn queue(&self) -> Option<Arc<File>> {
        match self.locality {
            Locality::Local => self.guard.for_queue(&self.dir, &self.names),
            Locality::Remote => None,
        }
    }

    /// The fast path: `open` → `try_lock` → claim, without patience for anything.
    fn take_if_free(
        self: &Arc<Self>,
        waiter: Waiter,
        since: Duration,
    ) -> Result<Result<Lock, Waiter>, Error> {
        let attempt = || -> Result<Option<(Grant, LockFile)>, Fault> {
            let file = LockFile::open(&self.dir, &self.names)?;
            if !file.try_lock(&self.names, waiter.mode)? {
                return Ok(None);
            }
            match grant::claim(self, &file, self.wanted(&waiter), Patience::Spin, || ())? {
                Verdict::Granted(grant) => Ok(Some((grant, file))),
                // Not a moment for the fast path.
                Verdict::Moved | Verdict::GuardBusy => Ok(None),
            }
        };
        let error = |fault: Fault| fault.into_error(Operation::Acquire, &self.path);
        let Some((grant, file)) = attempt().map_err(error)? else { return Ok(Err(waiter)) };
        if waiter.mode == Mode::Exclusive {
            sync::lock(&self.state).exclusive = Some(waiter.key);
            // Somebody may have begun to wait in the kernel since it was quiet here.
            self.recheck_wait();
        }
        match self.start_lease(&waiter, grant, since, file) {
            Ok(lock) => Ok(Ok(lock)),
            Err(fault) => {
                self.no_longer_exclusive(waiter.key);
                Err(error(fault))
            }
        }
    }

    pub(crate) fn wanted(&self, waiter: &Waiter) -> Wanted {
        let behind = match waiter.mode {
            Mode::Exclusive => sync::lock(&self.state).line.len(),
            // Readers are not served from one another's hand.
            Mode::Shared => 0,
        };
        Wanted { mode: waiter.mode, terms: waiter.terms, behind }
    }

    fn start_lease(
        self: &Arc<Self>,
        waiter: &Waiter,
        grant: Grant,
        turn_since: Duration,
        file: LockFile,
    ) -> Result<Lock, Fault> {
        Lease::start(Arc::clone(self), waiter, grant, turn_since, file)
            .map(Lock::new)
            .map_err(Fault::io("pthread_create", &self.names.lock))
    }

    fn wait_in_line(self: &Arc<Self>, waiter: Waiter) -> Result<(), Fault> {
        let key = waiter.key;
        let (tell, heartbeat) = (waiter.told.is_some(), waiter.terms.heartbeat);
        let look = {
            let mut state = sync::lock(&self.state);
            state.line.insert(key, waiter);
            !std::mem::replace(&mut state.looking, true)
        };
        let first_look = clock::awake() + FIRST_LOOK.min(heartbeat / 5);
        let fault = |call| Fault::io(call, &self.names.lock);
        let begun = (|| {
            if look {
                heart::set(first_look, Timer::Look(Arc::clone(self)))
                    .map_err(fault("pthread_create"))?;
            }
            if tell {
                let site = Arc::clone(self);
                hands::run(Then::Linger, move || site.tell_those_in_line())
                    .map_err(fault("pthread_create"))?;
            }
            self.wait_if_needed().map_err(fault("pthread_create"))
        })();
        if begun.is_err() {
            let mut state = sync::lock(&self.state);
            if look {
                state.looking = false;
            }
            if state.line.remove(&key).is_none() {
                // Somebody else is already settling it.
                return Ok(());
            }
        }
        begun
    }

    /// Starts the wait in the kernel if somebody needs it and there is none.
    fn wait_if_needed(self: &Arc<Self>) -> std::io::Result<()> {
        let wait = {
            let mut state = sync::lock(&self.state);
            if state.line.is_empty() || state.kernel.is_some() || state.exclusive.is_some() {
                return Ok(());
            }
            let wait = Arc::<KernelWait>::default();
            state.kernel = Some(Arc::clone(&wait));
            wait
        };
        let site = Arc::clone(self);
        let started = hands::run(Then::Linger, {
            let wait = Arc::clone(&wait);
            move || kernel_wait::run(&site, &wait)
        });
        if started.is_err() {
            sync::lock(&self.state).kernel = None;
        }
        started
    }

    /// The same where nobody is there to be told of a failure: whoever is first in line is.
    fn keep_waiting(self: &Arc<Self>) {
        while let Err(error) = self.wait_if_needed() {
            self.fail_first(Fault::io("pthread_create", &self.names.lock)(error));
        }
    }

    /// One thorough attempt on a hand.
    fn try_once(self: &Arc<Self>, waiter: Waiter) -> Result<(), Fault> {
        let claim = self.claim_new(waiter);
        let key = claim.waiter.key;
        let site = Arc::clone(self);
        hands::run(Then::Linger, move || site.try_under_guard(claim)).map_err(|error| {
            sync::lock(&self.state).claimed.remove(&key);
            Fault::io("pthread_create", &self.names.lock)(error)
        })
    }

    fn try_under_guard(self: &Arc<Self>, claim: Claim) {
        // Under the guard: who only looks (`inspect`) holds the kernel lock for a moment, but does
        // so in a section, and so can't be in the way here.
        match self.attempt(&claim) {
            Ok(Attempt::Granted { grant, file }) => self.settle_granted(claim, grant, file),
            Ok(Attempt::TookOver { grant, file, from }) => {
                self.log_takeover(&claim, grant.token, from);
                self.settle_granted(claim, grant, file);
            }
            Ok(Attempt::Refused(fault)) => {
                self.note_refusal(&claim, fault);
                self.settle_error(claim, ErrorKind::Held);
            }
            Ok(Attempt::Held | Attempt::GuardBusy) => self.settle_error(claim, ErrorKind::Held),
            Err(fault) => self.settle_fault(claim, fault),
        }
    }

    fn attempt(&self, claim: &Claim) -> Result<Attempt, Fault> {
        let Waiter { terms, recover, .. } = claim.waiter;
        let wanted = self.wanted(&claim.waiter);
        recover::attempt(self, wanted, |stat, looked, ledger| {
            // Looked at even by who may not take over: the memory is the process's.
            self.judge(stat, looked, ledger, terms).over && recover
        })
    }

    // ---- waiting ------------------------------------------------------------------------------

    /// What the thread of `wait` does next.
    pub(crate) fn next_for(&self, wait: &Arc<KernelWait>) -> Next {
        let mut state = sync::lock(&self.state);
        if !state.is_current(wait) {
            return Next::Leave;
        }
        match state.line.first_key_value() {
            Some((_, waiter)) if state.exclusive.is_none() => Next::Wait(waiter.mode),
            _ => {
                state.kernel = None;
                Next::Leave
            }
        }
    }

    /// Takes the first in line out of it, if it is one that the caller can serve.
    pub(crate) fn claim_first(
        &self,
        wait: Option<&Arc<KernelWait>>,
        fits: impl FnOnce(&Waiter) -> bool,
    ) -> Option<Claim> {
        let mut state = sync::lock(&self.state);
        if wait.is_some_and(|wait| !state.is_current(wait)) {
            return None;
        }
        let first = state.line.first_entry().filter(|first| fits(first.get()))?;
        let waiter = first.remove();
        state.claimed.insert(waiter.key, Claimed { by_wait: wait.is_some(), gone: false });
        Some(Claim { waiter })
    }

    fn claim_new(&self, waiter: Waiter) -> Claim {
        sync::lock(&self.state).claimed.insert(waiter.key, Claimed::default());
        Claim { waiter }
    }

    /// Puts a waiter back where it was, or lets it go.
    pub(crate) fn unclaim(self: &Arc<Self>, claim: Claim) {
        let gone = {
            let mut state = sync::lock(&self.state);
            let gone = state.end_claim(&claim.waiter);
            if gone {
                state.leaving.push(claim.waiter);
            } else {
                state.line.insert(claim.waiter.key, claim.waiter);
            }
            gone
        };
        if gone {
            self.see_off_soon();
        }
        self.keep_waiting();
    }

    /// Whether a claimed waiter has left meanwhile.
    pub(crate) fn is_cancelled(&self, claim: &Claim) -> bool {
        sync::lock(&self.state).claimed.get(&claim.waiter.key).is_some_and(|claimed| claimed.gone)
    }

    /// Ends a wait. Its end is told as for every other wait, when nothing of it is left.
    pub(crate) fn cancel(self: &Arc<Self>, key: u64) {
        let (wait, see_off) = {
            let mut state = sync::lock(&self.state);
            if let Some(claimed) = state.claimed.get_mut(&key) {
                claimed.gone = true;
                // It may be waiting for the guard.
                let by_wait = claimed.by_wait;
                (state.kernel.clone().filter(|_| by_wait), false)
            } else if let Some(waiter) = state.line.remove(&key) {
                state.leaving.push(waiter);
                // The wait in the kernel goes on for the next; if there is none, it ends first.
                match &state.kernel {
                    Some(wait) if !state.serves_first(wait) => {
                        (Some(Arc::clone(wait)), !state.line.is_empty())
                    }
                    _ => (None, true),
                }
            } else {
                return;
            }
        };
        if let Some(wait) = wait {
            wait.stop(self);
        }
        if see_off {
            self.see_off_soon();
        }
    }

    /// Gives up on a thread that no signal brings back: those who left are told, those in line get
    /// another thread. When the kernel lets the old one go, it gives back what it was granted.
    pub(crate) fn abandon(self: &Arc<Self>, wait: &Arc<KernelWait>) {
        {
            let mut state = sync::lock(&self.state);
            if !state.is_current(wait) {
                return;
            }
            state.kernel = None;
        }
        self.see_off_soon();
        self.keep_waiting();
    }

    fn see_off_soon(self: &Arc<Self>) {
        let site = Arc::clone(self);
        if hands::run(Then::Linger, move || site.see_off()).is_err() {
            self.see_off();
        }
    }

    /// Tells those who left, with what is known of the holder.
    pub(crate) fn see_off(&self) {
        let leaving = std::mem::take(&mut sync::lock(&self.state).leaving);
        if leaving.is_empty() {
            return;
        }
        let holder = self.last_known_holder();
        for waiter in leaving {
            let error = self.error(ErrorKind::Cancelled, holder.clone());
            waiter.settle(holder.as_ref(), Err(error));
        }
    }

    fn tell_those_in_line(&self) {
        let told: Vec<_> = {
            let state = sync::lock(&self.state);
            let waiting = state.line.values();
            waiting.filter_map(|waiter| waiter.teller()).collect()
        };
        if told.is_empty() {
            return;
        }
        let holder = self.find_holder();
        for tell in told {
            tell(holder.as_ref());
        }
    }

    // ---- settling -----------------------------------------------------------------------------

    pub(crate) fn settle_granted(self: &Arc<Self>, claim: Claim, grant: Grant, file: LockFile) {
        self.settle_granted_since(claim, grant, file, clock::awake());
    }

    fn settle_granted_since(
        self: &Arc<Self>,
        claim: Claim,
        grant: Grant,
        file: LockFile,
        since: Duration,
    ) {
        let Claim { waiter } = claim;
        let cancelled = {
            let mut state = sync::lock(&self.state);
            let cancelled = state.end_claim(&waiter);
            state.refusal = None;
            let exclusive = waiter.mode == Mode::Exclusive && !cancelled;
            state.exclusive = exclusive.then_some(waiter.key);
            cancelled
        };
        if cancelled {
            // Given back before the wait's end is told.
            let _ = file.release(&self.names);
            sync::lock(&self.state).leaving.push(waiter);
            self.see_off_soon();
            self.keep_waiting();
            return;
        }
        match self.start_lease(&waiter, grant, since, file) {
            Ok(lock) => waiter.settle(None, Ok(lock)),
            Err(fault) => {
                self.no_longer_exclusive(waiter.key);
                waiter.settle(None, Err(fault.into_error(Operation::Acquire, &self.path)));
                self.keep_waiting();
            }
        }
    }

    pub(crate) fn settle_fault(&self, claim: Claim, fault: Fault) {
        sync::lock(&self.state).end_claim(&claim.waiter);
        let error = fault.into_error(Operation::Acquire, &self.path);
        claim.waiter.settle(None, Err(error));
    }

    fn settle_error(&self, claim: Claim, kind: ErrorKind) {
        let cancelled = sync::lock(&self.state).end_claim(&claim.waiter);
        let holder = self.find_holder();
        let kind = if cancelled { ErrorKind::Cancelled } else { kind };
        let error = self.error(kind, holder.clone());
        claim.waiter.settle(holder.as_ref(), Err(error));
    }

    /// A permanent error met while waiting: it is the first in line's.
    pub(crate) fn fail_first(self: &Arc<Self>, fault: Fault) {
        if let Some(claim) = self.claim_first(None, |_| true) {
            self.settle_fault(claim, fault);
        }
    }

    fn error(&self, kind: ErrorKind, holder: Option<Holder>) -> Error {
        let refusal = sync::lock(&self.state).refusal.clone();
        Error::new(Operation::Acquire, &self.lock_path(), kind)
            .with_holder(holder)
            .with_refusal(refusal.map(|refused| refused.refusal.copy()))
    }

    // ---- watching -----------------------------------------------------------------------------

    /// Looks on a hand; the heart itself touches no file.
    pub(crate) fn look_soon(self: Arc<Self>) {
        let site = Arc::clone(&self);
        if hands::run(Then::Linger, move || site.look()).is_err() {
            self.look_later(FIRST_LOOK);
        }
    }

    fn look_later(self: &Arc<Self>, after: Duration) {
        if heart::set(clock::awake() + after, Timer::Look(Arc::clone(self))).is_err() {
            sync::lock(&self.state).looking = false;
        }
    }

    /// Looks at what is waited for, and takes it over when its time has come.
    fn look(self: &Arc<Self>) {
        let (terms, recoverer, wait, own) = {
            let mut state = sync::lock(&self.state);
            let Some(terms) = state.line.values().next().map(|first| first.terms) else {
                state.looking = false;
                return;
            };
            let recoverer = state.line.values().find(|waiter| waiter.recover);
            let recoverer = recoverer.map(|waiter| (waiter.key, waiter.terms));
            (terms, recoverer, state.kernel.clone(), state.exclusive.is_some())
        };
        let mut needed = terms.stale;
        let looked = clock::awake();
        // An error here is one of the wait's too, and it is the wait that reports it.
        if let Ok(seen) = self.dir.stat(&self.names.lock) {
            if let Some(wait) = wait {
                wait.skip_queue(self);
                let moved = wait
                    .waits_for()
                    .is_some_and(|(file, _)| seen.as_ref().is_none_or(|stat| stat.id != file));
                if moved {
                    // It waits for a file that has no name any more.
                    wait.stop(self);
                }
            }
            if let (Some(stat), Some((key, terms)), false) = (seen, recoverer, own) {
                let ledger = self.guard.peek(&self.dir, &self.names);
                if self.locality == Locality::Remote {
                    sync::lock(&self.state).holder = crate::inspect::holder(&stat, &ledger);
                }
                let judgement = self.judge(&stat, looked, &ledger, terms);
                needed = judgement.needed;
                if judgement.over {
                    self.recover(key);
                }
            }
        }
        self.look_later(watch::interval(needed));
    }

    /// Judges what was seen at `looked` or after, for a contender with `terms`.
    fn judge(&self, stat: &Stat, looked: Duration, ledger: &Ledger, terms: Terms) -> Judgement {
        let age = clock::wall() - stat.modified;
        let holder = ledger.of(stat.id).map(|record| Promise {
            terms: record.terms,
            // A release does not clear the record: the lock may be another program's by now. Only
            // asked when it matters.
            is_holders: watch::is_old(terms, record.terms, age)
                && crate::inspect::is_holders(record, stat),
        });
        let needed = watch::needed(terms, holder, age);
        let sighting = Sighting::from(stat);
        let watched = {
            let mut watch = sync::lock(&self.watch);
            let watch = watch.get_or_insert_with(|| Watch::begin(sighting, looked));
            watch.look(sighting, looked, needed);
            watch.watched()
        };
        Judgement { over: watched >= needed || self.is_orphan(stat, ledger), needed }
    }

    /// Whether the lock is held by nobody but a descriptor that its dead holder left to a child:
    /// proof needs no watch. The ledger alone is none, because a program that keeps no ledger may
    /// have locked the file since; the kernel must name the same process.
    fn is_orphan(&self, stat: &Stat, ledger: &Ledger) -> bool {
        let record = ledger.of(stat.id).filter(|record| record.mode == Mode::Exclusive);
        record.and_then(Record::process).filter(Process::is_gone).is_some_and(|dead| {
            process::lock_owners(stat.id)
                .is_some_and(|owners| owners == [(dead.pid, Mode::Exclusive)])
        })
    }

    fn recover(self: &Arc<Self>, key: u64) {
        let claim = {
            let mut state = sync::lock(&self.state);
            let Some(waiter) = state.line.remove(&key) else { return };
            state.claimed.insert(key, Claimed::default());
            Claim { waiter }
        };
        match self.attempt(&claim) {
            Ok(Attempt::Granted { grant, file }) => {
                self.settle_granted(claim, grant, file);
                self.recheck_wait();
            }
            Ok(Attempt::TookOver { grant, file, from }) => {
                self.log_takeover(&claim, grant.token, from);
                self.settle_granted(claim, grant, file);
                self.recheck_wait();
            }
            Ok(Attempt::Held) => self.unclaim(claim),
            Ok(Attempt::GuardBusy) => {
                let busy = std::io::Error::other("another process is stopped inside the guard");
                self.note_refusal(&claim, Fault::io("flock", &self.names.guard)(busy));
                self.unclaim(claim);
            }
            Ok(Attempt::Refused(fault)) => {
                self.note_refusal(&claim, fault);
                self.unclaim(claim);
            }
            Err(fault) => {
                self.settle_fault(claim, fault);
                self.recheck_wait();
            }
        }
    }

    /// Makes the wait in the kernel look again whom it serves.
    fn recheck_wait(self: &Arc<Self>) {
        let wait = sync::lock(&self.state).kernel.clone();
        if let Some(wait) = wait {
            wait.stop(self);
        }
    }

    fn log_takeover(&self, claim: &Claim, token: u64, from: Option<Holder>) {
        let mut details = self.details().with("token", &token.to_string());
        if let Some(from) = from {
            details = details.with("from", &from.to_string());
        }
        claim.waiter.log(Level::Warn, crate::events::TOOK_OVER, &details);
    }

    /// Logged once for as long as the reason stays the same; told again in the error.
    fn note_refusal(&self, claim: &Claim, fault: Fault) {
        let text = fault.to_string();
        let refused = Arc::new(Refused { refusal: fault.into_refusal(&self.path), text });
        {
            let mut state = sync::lock(&self.state);
            if state.refusal.as_ref().is_some_and(|before| before.text == refused.text) {
                return;
            }
            state.refusal = Some(Arc::clone(&refused));
        }
        let details = self.details().with("reason", &refused.text);
        claim.waiter.log(Level::Warn, "could not take over a stale lock", &details);
    }

    /// Who holds the lock just now, as far as can be told. Reads files.
    fn find_holder(&self) -> Option<Holder> {
        self.find_holder_by(crate::inspect::holder)
    }

    fn find_holder_by(&self, who: impl FnOnce(&Stat, &Ledger) -> Option<Holder>) -> Option<Holder> {
        let stat = self.dir.stat(&self.names.lock).ok()??;
        let ledger = self.guard.peek(&self.dir, &self.names);
        let holder = who(&stat, &ledger);
        sync::lock(&self.state).holder.clone_from(&holder);
        holder
    }

    /// The same for somebody who wants to go: where looking may take for ever, who it was when
    /// somebody last looked.
    fn last_known_holder(&self) -> Option<Holder> {
        let (known, own) = {
            let state = sync::lock(&self.state);
            (state.holder.clone(), state.exclusive.is_some())
        };
        match self.locality {
            Locality::Local => {
                self.find_holder_by(|stat, ledger| crate::inspect::likely_holder(stat, ledger, own))
            }
            Locality::Remote => known,
        }
    }

    // ---- giving back --------------------------------------------------------------------------

    /// A lease of this site was lost: it keeps nobody from waiting for the next.
    pub(crate) fn lost(self: &Arc<Self>, lease: &Lease) {
        self.no_longer_exclusive(lease.key);
        self.keep_waiting();
    }

    fn no_longer_exclusive(&self, key: u64) {
        let mut state = sync::lock(&self.state);
        state.exclusive.take_if(|own| *own == key);
    }

    /// The end of a release, after the heartbeat was stopped: hands the kernel lock to the next in
    /// line if that is fair to other processes, else gives it to the kernel.
    pub(crate) fn give_back(self: &Arc<Self>, lease: &Lease, file: LockFile) -> Result<(), Error> {
        let Some(file) = self.hand_over(lease, file) else { return Ok(()) };
        let released = file.release(&self.names);
        self.end_turn(lease);
        self.keep_waiting();
        released.map_err(|fault| fault.into_error(Operation::Release, &self.path))
    }

    /// Gives the kernel lock to the next in line without giving it to the kernel in between: as the
    /// next grant of a run, else as any other, with a section of its own. Returns the file if nobody
    /// could be served.
    fn hand_over(self: &Arc<Self>, lease: &Lease, file: LockFile) -> Option<LockFile> {
        let somebody_wants_it = {
            let mut state = sync::lock(&self.state);
            if state.exclusive != Some(lease.key) {
                // Shared, or lost.
                return Some(file);
            }
            let wants = state.line.values().next().is_some_and(|first| {
                // From exclusive to shared the kernel lock would be free for a moment.
                first.mode == Mode::Exclusive
            });
            if !wants {
                state.exclusive = None;
            }
            wants
        };
        if !somebody_wants_it {
            return Some(file);
        }
        let now = clock::awake();
        let since = self.turn_goes_on(lease.turn_since, now);
        if since.is_none() {
            self.step_back(now);
        }
        let (claim, since) = {
            let mut state = sync::lock(&self.state);
            // It may have been lost, or nobody may want it any more, since the first look.
            let own = state.exclusive.take_if(|own| *own == lease.key);
            let first = state.line.first_entry();
            let (Some(_), Some(since), Some(first)) = (own, since, first) else {
                return Some(file);
            };
            if first.get().mode != Mode::Exclusive {
                return Some(file);
            }
            let waiter = first.remove();
            state.claimed.insert(waiter.key, Claimed::default());
            // Still this process's: nobody needs to wait in the kernel.
            state.exclusive = Some(waiter.key);
            (Claim { waiter }, since)
        };
        let key = claim.waiter.key;
        let run = lease.grant.next(Moment::now()).filter(|_| claim.waiter.terms == lease.terms);
        let verdict = match run {
            Some(grant) => Ok(Verdict::Granted(grant)),
            None => grant::claim(self, &file, self.wanted(&claim.waiter), Patience::Spin, || ()),
        };
        match verdict {
            Ok(Verdict::Granted(grant)) => {
                self.settle_granted_since(claim, grant, file, since);
                self.recheck_wait();
                None
            }
            // What is wrong, if anything, the wait in the kernel will find out.
            Ok(Verdict::Moved | Verdict::GuardBusy) | Err(_) => {
                self.no_longer_exclusive(key);
                self.unclaim(claim);
                Some(file)
            }
        }
    }
}

impl State {
    /// Whether the waiter left meanwhile.
    fn end_claim(&mut self, waiter: &Waiter) -> bool {
        self.claimed.remove(&waiter.key).is_some_and(|claimed| claimed.gone)
    }

    fn is_current(&self, wait: &Arc<KernelWait>) -> bool {
        self.kernel.as_ref().is_some_and(|current| Arc::ptr_eq(current, wait))
    }

    /// Whether what the thread waits for is what the first in line wants.
    fn serves_first(&self, wait: &KernelWait) -> bool {
        match (self.line.values().next(), wait.waits_for()) {
            (Some(first), Some((_, mode))) => first.mode == mode,
            // It is about to look at the line anyway.
            (Some(_), None) => true,
            (None, _) => false,
        }
    }
}

impl Waiter {
    fn log(&self, level: Level, message: &str, details: &Details) {
        self.events.log(self.tag, level, message, details);
    }

    /// Tells, once, that the lock was not free.
    fn teller(&self) -> Option<impl FnOnce(Option<&Holder>) + use<>> {
        let told = Arc::clone(self.told.as_ref()?);
        let (events, tag) = (Arc::clone(&self.events), self.tag);
        Some(move |holder: Option<&Holder>| {
            // Locked while it is told, so that nobody settles the wait before.
            let mut told = sync::lock(&told);
            if !std::mem::replace(&mut *told, true) {
                events.waiting(tag, holder);
            }
        })
    }

    /// Told only to who has heard that it waits, or does not want to: that comes first.
    pub(crate) fn granting(&self) {
        if self.told.as_ref().is_none_or(|told| *sync::lock(told)) {
            self.events.granting(self.tag);
        }
    }

    fn settle(self, holder: Option<&Holder>, result: Result<Lock, Error>) {
        if let Some(tell) = self.teller() {
            tell(holder);
        }
        self.events.settled(self.tag, result);
    }
}

impl Drop for Site {
    /// Leaves what it knows to the next one that comes here.
    fn drop(&mut self) {
        let mut registry = sync::lock(&REGISTRY);
        let Some(registry) = registry.as_mut() else { return };
        // Another one may have been made since this one's last reference went.
        if registry.sites.get(&self.id).is_some_and(|site| site.strong_count() == 0) {
            registry.sites.remove(&self.id);
        }
        let state = sync::lock(&self.state);
        let memory = Memory {
            watch: sync::lock(&self.watch).take(),
            turn: state.turn,
            not_before: state.not_before,
            left: clock::awake(),
        };
        if registry.memories.len() >= MEMORIES && !registry.memories.contains_key(&self.id) {
            let oldest = registry.memories.iter().min_by_key(|(_, memory)| memory.left);
            if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                registry.memories.remove(&oldest);
            }
        }
        registry.memories.insert(self.id.clone(), memory);
    }
}
