//! The names of a lock's files.

use std::sync::{Arc, LazyLock};

/// The name of the lock file and the names derived from it. Shared, because thousands of locks have
/// the same ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Names {
    /// `L`: carries the kernel lock and, as its modification time, the heartbeat.
    pub lock: Arc<str>,
    /// `G`: held only for a few calls at a time; its content is the ledger.
    pub guard: Arc<str>,
    /// The file that becomes the lock file in a takeover. Only the process in the guard touches it.
    pub temporary: Arc<str>,
}

impl Names {
    /// The default name of the lock file.
    pub const DEFAULT: &str = ".lock";

    /// The longest name that leaves room for the derived ones within the 255 bytes that file
    /// systems allow.
    pub const MAX_BYTES: usize = 240;

    /// The suffixes of a lock's other files.
    const GUARD: &str = ".guard";
    const TEMPORARY: &str = ".next";

    /// Accepts a plain file name, or says what is expected. A separator could lead out of the
    /// directory. And no file system may mistake the name for another lock's guard or temporary
    /// file, or for an alias of another lock's file, which would then have a second guard.
    pub fn new(lock: &str) -> Result<Self, String> {
        let invalid = |expected: String| Err(format!("file name must be {expected}, got {lock:?}"));
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
        // A name of nothing but these can't be confused with another.
        if lock.ends_with(ENDINGS) && !lock.trim_end_matches(ENDINGS).is_empty() {
            return invalid("a name that does not end in a dot or a space".into());
        }
        if is_short(lock) {
            return invalid("a name that is not like a short name (8.3)".into());
        }
        let folded = fold(lock);
        if folded.ends_with(Self::GUARD) || folded.ends_with(Self::TEMPORARY) {
            return invalid(format!(
                "a name that does not end in {} or {}, ignoring case and characters that are not \
                 ASCII",
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

/// The characters that some file systems drop at the end of a name.
const ENDINGS: [char; 2] = ['.', ' '];

/// Folds a name as the most lenient file system does when it compares names: ignoring case,
/// characters that some ignore, and trailing dots and spaces.
fn fold(name: &str) -> String {
    let ascii = name.chars().filter(char::is_ascii).collect::<String>();
    ascii.trim_end_matches(ENDINGS).to_ascii_lowercase()
}

/// Whether Windows may have generated this as a short name for a longer one: `LOCK~1.GUA`.
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

    fn refusal(name: &str) -> Option<String> {
        Names::new(name).err()
    }

    #[test]
    fn a_name_that_could_be_another_locks_guard_or_temporary_file_is_refused() {
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
    fn a_name_that_a_file_system_could_resolve_to_another_file_is_refused() {
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
}
