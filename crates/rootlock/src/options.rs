//! How a lock is taken and kept.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::{Error, Operation};

/// Shared or exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// One holder, and no other of either mode.
    Exclusive,
    /// Any number of holders, none of them exclusive.
    Shared,
}

/// The times of a lease, and whether somebody else's may be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How often the lock file's modification time is refreshed while the lock is held.
    /// Default: 10 s. Minimum: [`Options::MIN_HEARTBEAT`].
    pub heartbeat: Duration,
    /// How long a lock file must have been left alone to count as abandoned. A holder that could
    /// not refresh it for `stale - heartbeat` counts its own lock as lost.
    /// Default: 30 s. Minimum: 3 × `heartbeat`.
    pub stale: Duration,
    /// Whether to take over an abandoned lock, or to wait for the kernel to free it. Default: yes.
    pub recover: bool,
    /// Whether to wait for a lock that somebody holds, or to fail. Default: wait.
    pub wait: bool,
}

impl Options {
    /// The shortest interval between two beats.
    pub const MIN_HEARTBEAT: Duration = Duration::from_millis(50);

    /// `stale` is at least so many heartbeats: one may be late, and one may just have been missed.
    pub const MIN_STALE_IN_HEARTBEATS: u32 = 3;

    /// The one place that decides what terms there may be; the face only says it in its own words.
    pub(crate) fn check(&self, root: &Path) -> Result<(), Error> {
        let invalid = |what: String| Err(Error::invalid(Operation::Acquire, root, what));
        if self.heartbeat < Self::MIN_HEARTBEAT {
            return invalid(format!(
                "heartbeat must be at least {:?}, got {:?}",
                Self::MIN_HEARTBEAT,
                self.heartbeat
            ));
        }
        let least = self.heartbeat.saturating_mul(Self::MIN_STALE_IN_HEARTBEATS);
        // A third of something has been rounded, and so has the whole, by whoever writes it as a
        // fraction of seconds: a part in a thousand millions is nobody's intention.
        let rounding = self.stale / 1_000_000_000 + Duration::from_nanos(2);
        if self.stale.saturating_add(rounding) < least {
            return invalid(format!(
                "stale must be at least {} heartbeats, that is {least:?}, got {:?}",
                Self::MIN_STALE_IN_HEARTBEATS,
                self.stale
            ));
        }
        Ok(())
    }

    pub(crate) fn terms(&self) -> Terms {
        Terms { heartbeat: self.heartbeat, stale: self.stale }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(10),
            stale: Duration::from_secs(30),
            recover: true,
            wait: true,
        }
    }
}

/// The terms of a lease: what its holder promises, and what others wait for before they end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) heartbeat: Duration,
    pub(crate) stale: Duration,
}

impl Terms {
    /// The widest terms with this T: beats are no further apart than that allows.
    pub(crate) fn promised(stale: Duration) -> Self {
        Self { heartbeat: stale / Options::MIN_STALE_IN_HEARTBEATS, stale }
    }

    /// Terms that are safe for a holder of either.
    pub(crate) fn widest(self, other: Self) -> Self {
        Self { heartbeat: self.heartbeat.max(other.heartbeat), stale: self.stale.max(other.stale) }
    }
}

/// The name of the lock file, and the names derived from it; shared, because thousands of locks have
/// the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Names {
    /// `L`: carries the kernel lock and, as its modification time, the heartbeat.
    pub(crate) lock: Arc<str>,
    /// `G`: held for a few calls only; its content is the ledger.
    pub(crate) guard: Arc<str>,
    /// What becomes the lock file in a takeover. Only who holds the guard touches it.
    pub(crate) temporary: Arc<str>,
}

impl Names {
    /// The lock file's name unless the caller has one.
    pub(crate) const DEFAULT: &str = ".lock";

    /// The longest name that leaves room for the derived ones within the 255 bytes that file
    /// systems allow.
    const MAX_BYTES: usize = 240;

    /// What the names of a lock's other files end in.
    const GUARD: &str = ".guard";
    const TEMPORARY: &str = ".next";

    /// Accepts a plain file name: with a separator it could lead out of the directory. And only one
    /// that no file system can take for another lock's guard or temporary file, or for another name
    /// of another lock's file: it would have a second guard.
    pub(crate) fn new(lock: &str, root: &Path) -> Result<Self, Error> {
        let invalid = |expected: String| {
            let what = format!("file name must be {expected}, got {lock:?}");
            Err(Error::invalid(Operation::Acquire, root, what))
        };
        let plain = !lock.is_empty()
            && lock != "."
            && lock != ".."
            && lock.len() <= Self::MAX_BYTES
            && !lock.contains(['/', '\\', '\0', ':']);
        if !plain {
            return invalid(format!(
                "a plain name of at most {} bytes without separators",
                Self::MAX_BYTES
            ));
        }
        // Of nothing but these, it is at least no other's.
        if lock.ends_with(ENDINGS) && !lock.trim_end_matches(ENDINGS).is_empty() {
            return invalid("a name that does not end in a dot or a space".into());
        }
        if is_short(lock) {
            return invalid("a name that is not a short one (8.3) of another".into());
        }
        let folded = fold(lock);
        if folded.ends_with(Self::GUARD) || folded.ends_with(Self::TEMPORARY) {
            return invalid(format!(
                "a name that does not end in {} or {}, in whatever case, with what is not ASCII \
                 left out",
                Self::GUARD,
                Self::TEMPORARY
            ));
        }
        static OF_DEFAULT: LazyLock<Names> = LazyLock::new(|| Names::from(Names::DEFAULT));
        Ok(if lock == Self::DEFAULT { OF_DEFAULT.clone() } else { Self::from(lock) })
    }

    fn from(lock: &str) -> Self {
        Self {
            lock: lock.into(),
            guard: format!("{lock}{}", Self::GUARD).into(),
            temporary: format!("{lock}{}", Self::TEMPORARY).into(),
        }
    }
}

/// What some file systems leave out at the end of a name.
const ENDINGS: [char; 2] = ['.', ' '];

/// A name as the least particular file system compares it: without regard to case, without
/// characters that some ignore, and without dots and spaces at the end.
fn fold(name: &str) -> String {
    let ascii = name.chars().filter(char::is_ascii).collect::<String>();
    ascii.trim_end_matches(ENDINGS).to_ascii_lowercase()
}

/// Whether Windows may have made the name for a longer one: `LOCK~1.GUA`.
fn is_short(name: &str) -> bool {
    let (base, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let ends_in_number = base.rsplit_once('~').is_some_and(|(_, number)| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    ends_in_number && base.len() <= 8 && extension.len() <= 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn refusal(name: &str) -> Option<String> {
        let error = Names::new(name, Path::new("/root")).err()?;
        assert!(matches!(error.kind(), ErrorKind::InvalidArgument(_)), "{error}");
        assert_eq!(error.path(), Path::new("/root"));
        Some(error.to_string())
    }

    #[test]
    fn a_name_that_is_or_could_be_another_locks_derived_name_is_refused() {
        for name in [
            ".lock.guard",
            ".lock.next",
            ".guard",
            ".next",
            "x.GUARD",
            "x.Next",
            "x.gu\u{200c}ard",
            "x.guard\u{feff}",
            "x\u{200d}.n\u{ad}ext",
            "x.guard.\u{200b}",
            "x.guard \u{301}",
        ] {
            let error = refusal(name).unwrap_or_else(|| panic!("{name:?} is accepted"));
            assert!(error.contains(".guard or .next") && error.contains(&format!("{name:?}")));
        }
    }

    #[test]
    fn a_name_by_which_a_file_system_could_find_another_file_is_refused() {
        for name in ["x.", "x ", "x.guard.", ".lock. .", "x.guard::$DATA", "x:y"] {
            assert!(refusal(name).is_some(), "{name:?} is accepted");
        }
        for name in ["LOCK~1", "LOCK~1.GUA", "a~12.nex", "DATA~1.LOC"] {
            assert!(refusal(name).is_some(), "{name:?} is accepted");
        }
    }

    #[test]
    fn other_names_are_accepted() {
        for name in [
            ".lock",
            "guard",
            "next",
            "x.guards",
            "x.guard.lock",
            "x.next.1",
            "my.lock",
            "sperre-für-alle",
            "ロック",
            "x.n\u{e4}chste",
            "backup~",
            "a long name~1.lock",
            "~x",
            " ",
            "...",
        ] {
            assert_eq!(refusal(name), None);
        }
    }

    #[test]
    fn a_third_of_any_time_is_a_heartbeat_that_goes_with_it() {
        let seconds = |millis: f64| Duration::try_from_secs_f64(millis / 1000.0).expect("fits");
        let mut stale = 150.0_f64;
        while stale < 9_007_199_254_740_991.0 {
            let heartbeat = seconds(stale / 3.0);
            let options = Options { heartbeat, stale: seconds(stale), ..Options::default() };
            if let Err(error) = options.check(Path::new("/root")) {
                panic!("{stale}: {error}");
            }
            stale = (stale * 1.01).ceil();
        }
    }

    #[test]
    fn terms_that_are_out_of_range_are_named_with_what_came() {
        let options = |heartbeat, stale| Options {
            heartbeat: Duration::from_micros(heartbeat),
            stale: Duration::from_micros(stale),
            ..Options::default()
        };
        for (options, wanted) in [
            (options(49_999, 150_000), "heartbeat must be at least 50ms, got 49.999ms"),
            (options(50_000, 149_999), "that is 150ms, got 149.999ms"),
            (options(10_000_000, 29_999_999), "that is 30s, got 29.999999s"),
        ] {
            let error = options.check(Path::new("/root")).expect_err("out of range");
            assert!(error.to_string().contains(wanted), "{error}");
            assert!(error.to_string().contains("/root"), "{error}");
        }
    }
}
