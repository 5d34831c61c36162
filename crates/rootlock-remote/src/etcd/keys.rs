//! The keys and what stands in them. Pure. Whatever is read may have been written by anybody.

use std::time::{Duration, SystemTime};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use rootlock::{Holder, Mode};
use rootlock_protocol::holder::Process;

use super::url::Target;
use crate::record::PROCESS;
use crate::terms::{Terms, millis};

/// The greatest token that JavaScript counts exactly.
const MOST: u64 = (1 << 53) - 1;

/// A text that a person writes into a key is cut to this.
const LONGEST: usize = 1000;

const ESCAPED: &AsciiSet = &CONTROLS.add(b'%').add(b'\n');

/// The range of the keys that begin with this, as etcd wants its end.
pub(super) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    // Ours end in a slash, so there is always a next one.
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

/// The keys of a lock.
#[derive(Clone, Debug)]
pub(super) struct LockKeys {
    all: String,
}

impl LockKeys {
    pub(super) fn of(target: &Target, name: &str) -> Self {
        Self { all: format!("{}/lock/{name}/", target.prefix) }
    }

    /// All who hold it or wait for it.
    pub(super) fn all(&self) -> Vec<u8> {
        self.all.clone().into_bytes()
    }

    fn of_mode(&self, mode: Mode) -> String {
        format!("{}{}/", self.all, if mode == Mode::Exclusive { 'x' } else { 's' })
    }

    /// Those that exclude a request of this mode.
    pub(super) fn excluding(&self, mode: Mode) -> Vec<u8> {
        match mode {
            Mode::Exclusive => self.all(),
            Mode::Shared => self.of_mode(Mode::Exclusive).into_bytes(),
        }
    }

    pub(super) fn own(&self, mode: Mode, lease: i64, number: u64) -> Vec<u8> {
        format!("{}{lease:x}-{number}", self.of_mode(mode)).into_bytes()
    }

    /// Whether a key under the lock's is one that a session has put there, and that ends with it.
    pub(super) fn is_ours(&self, key: &[u8], lease: i64) -> bool {
        let name = self.mode(key).and_then(|_| key.get(self.all.len() + 2..));
        let parts = name.and_then(|name| std::str::from_utf8(name).ok()?.split_once('-'));
        parts.is_some_and(|(session, number)| {
            i64::from_str_radix(session, 16).is_ok() && number.parse::<u64>().is_ok() && lease != 0
        })
    }

    /// How the owner of a key has the lock, or wants it.
    pub(super) fn mode(&self, key: &[u8]) -> Option<Mode> {
        match key.strip_prefix(self.all.as_bytes())? {
            [b'x', b'/', ..] => Some(Mode::Exclusive),
            [b's', b'/', ..] => Some(Mode::Shared),
            _ => None,
        }
    }
}

pub(super) fn base(target: &Target) -> Vec<u8> {
    format!("{}/base", target.prefix).into_bytes()
}

/// There for as long as leases of the cluster before a restore may be alive.
pub(super) fn quarantine(target: &Target) -> Vec<u8> {
    format!("{}/quarantine", target.prefix).into_bytes()
}

pub(super) fn session(target: &Target, lease: i64) -> Vec<u8> {
    format!("{}/session/{lease:x}", target.prefix).into_bytes()
}

/// What `base` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) cluster: u64,
    /// A token is these plus a create revision.
    pub(super) micros: u64,
    /// The widest T that any session has had.
    pub(super) stale: Duration,
    /// The cluster in which leases of the one before are being sat out.
    pub(super) sits_out: Option<u64>,
}

impl Base {
    pub(super) fn new(cluster: u64, stale: Duration) -> Self {
        Self { cluster, micros: now_micros(), stale, sits_out: None }
    }

    /// `raise`: for another cluster, whose snapshot shows this revision. All tokens of the one before are below.
    pub(super) fn raised(self, cluster: u64, revision: i64) -> Self {
        let highest = self.micros.saturating_add(revision.unsigned_abs());
        Self { cluster, micros: highest.max(now_micros()), sits_out: None, ..self }
    }

    /// The same of no cluster: for one that was restored under the id that it had.
    pub(super) fn disowned(self) -> Self {
        Self { cluster: 0, sits_out: None, ..self }
    }

    pub(super) fn token(&self, create_revision: i64) -> Option<u64> {
        let revision = u64::try_from(create_revision).ok()?;
        self.micros.checked_add(revision).filter(|token| *token <= MOST)
    }

    pub(super) fn text(&self) -> Vec<u8> {
        let mut fields = vec![
            ("cluster", format!("{:x}", self.cluster)),
            ("micros", self.micros.to_string()),
            ("stale_ms", millis(self.stale).to_string()),
        ];
        fields.extend(self.sits_out.map(|cluster| ("sits_out", format!("{cluster:x}"))));
        lines(fields.iter().map(|(name, value)| (*name, value.as_str())))
    }

    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let fields = Fields::of(text)?;
        let cluster = |name| u64::from_str_radix(&fields.text(name)?, 16).ok();
        Some(Self {
            cluster: cluster("cluster")?,
            sits_out: cluster("sits_out"),
            micros: fields.number("micros").filter(|micros| *micros <= MOST)?,
            stale: Duration::from_millis(fields.number("stale_ms")?),
        })
    }
}

fn now_micros() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

/// Who has put a key, for people and for neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) process: Process,
    pub(super) since: Option<SystemTime>,
    pub(super) terms: Option<(Duration, Duration)>,
    /// It is this very process.
    pub(super) own: bool,
}

impl Record {
    /// This process's.
    pub(super) fn text(terms: &Terms) -> Vec<u8> {
        let Process { pid, start, boot, namespace, hostname, command } = Process::this();
        let since = now_micros() / 1000;
        let fields = [
            ("host", hostname.clone()),
            ("command", command.clone()),
            ("pid", pid.to_string()),
            ("start", start.to_string()),
            ("boot", boot.clone()),
            ("namespace", namespace.to_string()),
            ("process", PROCESS.clone()),
            ("since_ms", since.to_string()),
            ("heartbeat_ms", millis(terms.heartbeat).to_string()),
            ("stale_ms", millis(terms.stale).to_string()),
        ];
        lines(fields.iter().map(|(name, value)| (*name, value.as_str())))
    }

    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let fields = Fields::of(text)?;
        let process = Process {
            pid: fields.number("pid").and_then(|pid| u32::try_from(pid).ok())?,
            start: fields.number("start").unwrap_or(0),
            boot: fields.text("boot").unwrap_or_default(),
            namespace: fields.number("namespace").unwrap_or(0),
            hostname: fields.text("host").unwrap_or_default(),
            command: fields.text("command").unwrap_or_default(),
        };
        let millis = |name| fields.number(name).map(Duration::from_millis);
        let since = millis("since_ms").and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
        let terms = millis("heartbeat_ms").zip(millis("stale_ms"));
        let own = fields.text("process").as_ref() == Some(&*PROCESS);
        Some(Self { process, since, terms, own })
    }

    pub(super) fn holder(&self, mode: Mode, token: Option<u64>) -> Holder {
        let Process { pid, hostname, command, .. } = &self.process;
        Holder {
            pid: *pid,
            hostname: Some(hostname.clone()).filter(|it| !it.is_empty()),
            command: Some(command.clone()).filter(|it| !it.is_empty()),
            acquired_at: self.since,
            mode,
            token,
            own: self.own,
        }
    }
}

fn lines<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut text = String::new();
    for (name, value) in fields {
        let value: String = value.chars().take(LONGEST).collect();
        text.push_str(name);
        text.push('=');
        text.extend(utf8_percent_encode(&value, ESCAPED));
        text.push('\n');
    }
    text.into_bytes()
}

struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    fn of(text: &'a [u8]) -> Option<Self> {
        std::str::from_utf8(text).ok().map(Self)
    }

    fn text(&self, name: &str) -> Option<String> {
        let value = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        let value = percent_decode_str(value).decode_utf8().ok()?;
        Some(value.chars().take(LONGEST).collect())
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TERMS: Terms =
        Terms { stale: Duration::from_secs(3), heartbeat: Duration::from_secs(1), recover: true };

    #[test]
    fn what_is_written_can_be_read() {
        let record = Record::parse(&Record::text(&TERMS)).expect("ours");
        assert!(record.own);
        assert_eq!(&record.process, Process::this());
        assert_eq!(record.terms, Some((TERMS.heartbeat, TERMS.stale)));
        let base = Base::new(0xabc, TERMS.stale);
        assert_eq!(Base::parse(&base.text()), Some(base));
    }

    #[test]
    fn only_what_a_session_has_put_is_taken_for_a_place_in_line() {
        let target = Target::parse("etcd://localhost/p").expect("a URL");
        let keys = LockKeys::of(&target, "a");
        for mode in [Mode::Exclusive, Mode::Shared] {
            let own = keys.own(mode, 0x7f3, 4);
            assert!(keys.is_ours(&own, 0x7f3) && keys.mode(&own) == Some(mode));
            assert!(!keys.is_ours(&own, 0), "nothing ends it");
        }
        for foreign in [
            "p/lock/a/",
            "p/lock/a/foo",
            "p/lock/a/x/",
            "p/lock/a/x/zz",
            "p/lock/a/x/7f3-",
            "p/lock/a/base",
            "p/lock/a/x/7f3-4/x",
            "p/lock/b/x/7f3-4",
        ] {
            assert!(!keys.is_ours(foreign.as_bytes(), 1), "{foreign}");
        }
        assert!(!keys.is_ours(b"p/lock/a/x/\xff-1", 1));
    }

    #[test]
    fn a_raised_base_is_above_all_tokens_that_its_snapshot_shows() {
        let future = now_micros() + (1 << 40);
        let base = Base { cluster: 1, micros: future, stale: TERMS.stale, sits_out: Some(2) };
        let raised = base.raised(2, 1000);
        assert!(raised.token(1) > base.token(1000));
        assert_eq!((raised.cluster, raised.stale, raised.sits_out), (2, TERMS.stale, None));
        assert_eq!(Base::parse(&base.text()), Some(base));
        assert_eq!(Base { micros: MOST, ..base }.token(1), None);
        assert_eq!(base.token(-1), None);
    }

    #[test]
    fn a_hostile_command_stays_in_its_line() {
        let text = lines([("command", "a\npid=1\n%"), ("pid", "2")].into_iter());
        let fields = Fields::of(&text).expect("text");
        assert_eq!(fields.number("pid"), Some(2));
        assert_eq!(fields.text("command").as_deref(), Some("a\npid=1\n%"));
    }

    #[test]
    fn a_reader_is_excluded_by_writers_and_a_writer_by_all() {
        let target = Target::parse("etcd://a/p").expect("a URL");
        let keys = LockKeys::of(&target, "n");
        let (writer, reader) = (keys.own(Mode::Exclusive, 1, 1), keys.own(Mode::Shared, 1, 2));
        let in_range = |key: &[u8], range: Vec<u8>| *key >= *range && *key < *end_of(&range);
        assert!(in_range(&writer, keys.excluding(Mode::Shared)));
        assert!(!in_range(&reader, keys.excluding(Mode::Shared)));
        assert!(in_range(&reader, keys.excluding(Mode::Exclusive)));
        assert_eq!(keys.mode(&reader), Some(Mode::Shared));
        let other = LockKeys::of(&target, "n2").own(Mode::Exclusive, 1, 1);
        assert!(!in_range(&other, keys.all()) && keys.mode(&other).is_none());
    }

    proptest! {
        #[test]
        fn nothing_that_somebody_writes_does_harm(text: Vec<u8>, line in "(pid|micros|since_ms|cluster)=[0-9a-f%\n-]{0,30}") {
            for text in [text.as_slice(), line.as_bytes()] {
                let _ = Record::parse(text).map(|record| record.holder(Mode::Shared, None));
                let _ = Base::parse(text).and_then(|base| base.raised(1, i64::MIN).token(i64::MAX));
            }
        }
    }
}
