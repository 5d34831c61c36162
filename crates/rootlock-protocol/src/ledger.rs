//! The ledger, the content of the guard file: the last token and the holder of the lock.
//!
//! Two slots of [`SLOT`] bytes, each one line of text with a checksum; the newer valid one counts.
//! A write goes to the other slot, so that a write torn by a crash leaves the last record whole. An
//! empty slot, zeros and half a line count as no record: they never block a lock, and the wall
//! clock keeps tokens rising. Content that no write of ours could have left is not ours and is not
//! overwritten.
//!
//! ```text
//! rootlock1 token=1763894520000000 last=1763894520000000 mode=exclusive at=1763894520000
//!   beat=10000 stale=30000 file=2049:131 left=0 pid=4242 start=881 ns=4026531836 boot=… host=ci-7
//!   command=node%20build.js sum=9a8b7c6d
//! ```
//! (on one line, padded with spaces). Values are percent-encoded, times are in milliseconds, and
//! `file` is the lock file that the record describes.

use crate::promise;
use crate::record::{Grantee, MAX_TOKEN, Record, SLOT};
use crate::run::RUN;
use crate::terms::Terms;
use rootlock_sys::{FileId, Mode, Stat};

/// The size of the ledger.
pub const SIZE: usize = 2 * SLOT;

/// What records of every version begin with.
const ANY_MAGIC: &[u8] = b"rootlock";

/// How far a token may be ahead of the wall clock, in microseconds: by the tokens that a run has set
/// aside, and by one for each grant that took less than a microsecond, which none does.
const AHEAD: u64 = 2 * RUN.as_micros() as u64;

/// What a ledger contains.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The newest valid record.
    pub last: Option<Record>,
    /// The slot to write next.
    next_slot: usize,
    /// Both slots have a record, so that none has been lost since.
    whole: bool,
}

/// The wall clock as tokens go by it: one gone mad must leave room above.
pub(crate) fn tokens_clock(wall_micros: u64) -> u64 {
    wall_micros.min(MAX_TOKEN / 2)
}

impl Ledger {
    /// `None` if it is not ours: neither blank nor left by any write of ours, whole or torn.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let ledger = Self::decode(bytes);
        if ledger.last.is_some() {
            return Some(ledger);
        }
        let is_ours = |slot: &[u8]| {
            // Blank from the start, or from where a write was torn.
            let end = slot.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            slot[..end].starts_with(ANY_MAGIC) || ANY_MAGIC.starts_with(&slot[..end])
        };
        let slots = bytes.get(..SIZE).unwrap_or(bytes);
        let like_ours = slots.chunks(SLOT).all(is_ours);
        // More zeros than a ledger has: somebody's preallocated file.
        let blank = slots.iter().all(|&byte| byte == 0);
        (like_ours && !(blank && bytes.len() > SIZE)).then_some(ledger)
    }

    pub fn decode(bytes: &[u8]) -> Self {
        let slot = |index: usize| {
            let start = index * SLOT;
            let end = bytes.len().min(start + SLOT);
            bytes.get(start..end).unwrap_or_default()
        };
        let slots = [slot(0), slot(1)];
        let newer = usize::from(Record::age(slots[1]) > Record::age(slots[0]));
        // The older record counts only when the newer one is torn.
        for index in [newer, 1 - newer] {
            if let Some(last) = Record::decode(slots[index]) {
                let whole = Record::decode(slots[1 - index]).is_some();
                return Self { last: Some(last), next_slot: 1 - index, whole };
            }
        }
        Self::default()
    }

    /// Where the next record goes.
    pub fn next_offset(&self) -> u64 {
        (self.next_slot * SLOT) as u64
    }

    /// The token of the next grant: greater than every earlier one, and at least the wall clock in
    /// microseconds, so that tokens rise even if the ledger was lost. `None` when the last one
    /// leaves no room for a greater one, which no real ledger reaches.
    pub fn next_token(&self, wall_micros: u64) -> Option<u64> {
        let wall = tokens_clock(wall_micros);
        // A record may just have been lost, and its tokens were ahead of the clock.
        let clock = if self.whole { wall } else { wall + AHEAD };
        let next = self.last.as_ref().map_or(clock, |last| clock.max(last.last + 1));
        (next < MAX_TOKEN).then_some(next)
    }

    /// The ledger as it is read to judge a lock file: if it has no record of that file, what the
    /// file itself says of its holder's terms ([`promise`]).
    pub fn or_promise(&self, stat: &Stat) -> Self {
        let promised = promise::read(stat).filter(|_| self.of(stat.id).is_none());
        let Some(stale) = promised else { return self.clone() };
        let record = Record {
            token: 0,
            last: 0,
            // A record of an exclusive holder would prove more than a promise may.
            mode: Mode::Shared,
            granted_at: 0,
            terms: Terms::promised(stale),
            file: stat.id,
            leftover: false,
            grantee: Grantee::nobody(),
        };
        Self { last: Some(record), ..*self }
    }

    /// The last record, if it describes this lock file.
    ///
    /// Compared by the index alone. Guard and lock file are in one directory, hence on one volume,
    /// but each machine numbers volumes in its own way, and anew with every mount. If both were
    /// compared, a holder on another machine would go unrecognised, and its longer terms would not
    /// be respected.
    pub fn of(&self, file: FileId) -> Option<&Record> {
        self.last.as_ref().filter(|record| record.file.index == file.index)
    }

    /// The terms to write for a new grant.
    ///
    /// Readers share one record. A new reader can't see whether earlier ones still hold the lock,
    /// so the widest terms of the chain are kept until a writer, which is alone, starts afresh. If
    /// the ledger was lost, the terms on the lock file are kept too, as far as it has them.
    pub fn terms_for(&self, mode: Mode, own: Terms, stat: &Stat) -> Terms {
        if mode == Mode::Exclusive {
            return own;
        }
        match self.or_promise(stat).last {
            Some(last) if last.mode == Mode::Shared => own.widest(last.terms),
            _ => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::holder::Process;
    use crate::record::{MAX_DATE, MAX_MILLIS};

    fn process() -> Process {
        Process {
            pid: 4242,
            start: 881,
            boot: "6b1d0d5a-27fd-4f0c-a95b-9d2a0b1f9d3e".into(),
            namespace: 4_026_531_836,
            hostname: "ci-7".into(),
            command: "node build.js --name 100% pid=1 ü\n".into(),
        }
    }

    fn record(token: u64) -> Record {
        Record {
            token,
            last: token,
            mode: Mode::Exclusive,
            granted_at: 1_763_894_520_000,
            terms: Terms { heartbeat: Duration::from_secs(10), stale: Duration::from_secs(30) },
            file: FileId { volume: 2049, index: 131 },
            leftover: false,
            grantee: Grantee::encode(&process()),
        }
    }

    fn ledger(slots: [Option<Record>; 2]) -> Vec<u8> {
        slots.iter().flat_map(|slot| slot.as_ref().map_or([0; SLOT], Record::encode)).collect()
    }

    #[test]
    fn a_record_matches_its_file_on_a_machine_that_numbers_volumes_differently() {
        let ledger = Ledger::decode(&ledger([Some(record(7)), None]));
        assert!(ledger.of(FileId { volume: 48, index: 131 }).is_some());
        assert!(ledger.of(FileId { volume: 2049, index: 132 }).is_none());
    }

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        let back = Record::decode(&record(7).encode()).expect("decodes");
        assert_eq!(back, record(7));
        assert_eq!(back.process(), Some(process()));
    }

    #[test]
    fn the_longest_record_fits() {
        // One byte each, so that every name has its maximal length.
        let long = "u".repeat(1000);
        let longest = Record {
            token: MAX_TOKEN - 1,
            last: MAX_TOKEN - 1,
            mode: Mode::Exclusive,
            granted_at: u64::MAX,
            terms: Terms { heartbeat: Duration::MAX, stale: Duration::MAX },
            file: FileId { volume: u64::MAX, index: u128::MAX },
            leftover: true,
            grantee: Grantee::encode(&Process {
                pid: u32::MAX,
                start: u64::MAX,
                namespace: u64::MAX,
                boot: long.clone(),
                hostname: long.clone(),
                command: long.clone(),
            }),
        };
        let back = Record::decode(&longest.encode()).expect("decodes");
        let most = Duration::from_millis(MAX_MILLIS);
        let terms = Terms { heartbeat: most, stale: most };
        assert_eq!(back, Record { granted_at: MAX_DATE, terms, ..longest });
        let process = back.process().expect("reads");
        assert!(!process.command.is_empty() && long.starts_with(&process.command));
    }

    #[test]
    fn the_newer_slot_counts_and_the_other_is_written_next() {
        for (slots, token, offset) in [
            ([None, None], None, 0),
            ([Some(record(5)), None], Some(5), SLOT),
            ([None, Some(record(5))], Some(5), 0),
            ([Some(record(5)), Some(record(6))], Some(6), 0),
            ([Some(record(7)), Some(record(6))], Some(7), SLOT),
        ] {
            let ledger = Ledger::decode(&ledger(slots));
            assert_eq!(ledger.last.as_ref().map(|record| record.token), token);
            assert_eq!(ledger.next_offset(), offset as u64);
        }
    }

    #[test]
    fn a_begun_takeover_is_newer_than_the_record_it_repeats() {
        let begun = Record { leftover: true, ..record(5) };
        for slots in [[Some(record(5)), Some(begun.clone())], [Some(begun), Some(record(5))]] {
            assert!(Ledger::decode(&ledger(slots)).last.expect("valid").leftover);
        }
    }

    #[test]
    fn every_torn_write_leaves_the_record_before_it() {
        let old = ledger([Some(record(5)), Some(record(4))]);
        let new = record(6).encode();
        let written = new.iter().rposition(|byte| !b" \n".contains(byte)).expect("text") + 1;
        for torn in 0..SLOT {
            let mut bytes = old.clone();
            bytes[SLOT..SLOT + torn].copy_from_slice(&new[..torn]);
            let last = Ledger::decode(&bytes).last.expect("one is whole").token;
            // What is torn off behind the checksum is only padding.
            let expected = if torn < written { 5 } else { 6 };
            assert_eq!(last, expected, "after {torn} bytes");
        }
    }

    #[test]
    fn a_record_cut_in_its_padding_outlives_a_torn_write_behind_it() {
        let first = record(5).encode();
        let text = first.iter().rposition(|byte| !b" \n".contains(byte)).expect("text") + 1;
        let mut bytes = first[..text + 1].to_vec();
        // The write begins in the other slot, so the part cut off is a hole in the file now.
        bytes.resize(SLOT, 0);
        bytes.extend_from_slice(&record(6).encode()[..100]);
        assert_eq!(Ledger::decode(&bytes).last, Some(record(5)));
    }

    #[test]
    fn blank_torn_and_later_content_is_ours_but_no_record() {
        let [first, later] = [record(5).encode(), record(6).encode()];
        let later = String::from_utf8_lossy(&later).replace("rootlock1", "rootlock2");
        for bytes in [
            &b""[..],
            b"rootl",
            &first[..100],
            &[0; 100],
            &[0; SIZE],
            "rootlock1 token=9 sum=00000000".as_bytes(),
            later.as_bytes(),
            &[&[0; SLOT], &first[..20]].concat(),
        ] {
            assert_eq!(Ledger::read(bytes).map(|ledger| ledger.last), Some(None));
        }
    }

    #[test]
    fn content_that_no_write_of_ours_could_have_left_is_not_ours() {
        let torn = record(5).encode()[..100].to_vec();
        for bytes in [
            &b"hello"[..],
            b"4242\n",
            b" ",
            &[0xff; 10 * SIZE],
            // Somebody's preallocated file.
            &[0; SIZE + 1],
            &[&torn[..], &[b' '; SLOT - 100], b"their"].concat(),
            &[&[0; SLOT][..], b"hello"].concat(),
        ] {
            assert!(Ledger::read(bytes).is_none(), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_whole_record_vouches_for_the_file() {
        let whole = [&record(5).encode()[..], &[0xff; SLOT], b"more"].concat();
        assert_eq!(
            Ledger::read(&whole[..SIZE + 1]).and_then(|ledger| ledger.last),
            Some(record(5))
        );
    }

    #[test]
    fn a_token_that_leaves_no_greater_one_is_no_record() {
        assert_eq!(Record::decode(&record(MAX_TOKEN).encode()), None);
        assert_eq!(Record::decode(&record(u64::MAX).encode()), None);
    }

    #[test]
    fn no_token_follows_the_greatest() {
        let last = Ledger::decode(&ledger([Some(record(MAX_TOKEN - 1)), None]));
        assert_eq!(last.next_token(1_000), None);
        let before = Ledger::decode(&ledger([Some(record(MAX_TOKEN - 2)), None]));
        assert_eq!(before.next_token(1_000), Some(MAX_TOKEN - 1));
    }

    #[test]
    fn a_time_that_javascript_can_t_represent_makes_no_record() {
        let text = |from: &str, to: &str| {
            let whole = String::from_utf8(record(7).encode().to_vec()).expect("text");
            let text = whole.rsplit_once(" sum=").expect("a sum").0.replace(from, to);
            let sum = crc32fast::hash(text.as_bytes());
            Record::decode(format!("{text} sum={sum:08x}").as_bytes())
        };
        assert!(text("at=1763894520000", "at=8640000000000000").is_some());
        assert!(text("at=1763894520000", "at=8640000000000001").is_none());
        assert!(text("beat=10000", "beat=9007199254740992").is_none());
        assert!(text("stale=30000", "stale=9007199254740992").is_none());
        assert!(text("stale=30000", "stale=0").is_none());
    }

    #[test]
    fn tokens_rise_with_the_ledger_and_with_the_clock() {
        let five = Ledger::decode(&ledger([Some(record(5)), Some(record(4))]));
        assert_eq!(five.next_token(0), Some(6), "a clock that was set back");
        assert_eq!(five.next_token(1000), Some(1000));
        let lost = Ledger::default().next_token(1000);
        assert_eq!(lost, Some(1000 + AHEAD), "a ledger that was lost");
        for slots in [[Some(record(5)), None], [None, Some(record(5))]] {
            let half = Ledger::decode(&ledger(slots)).next_token(1000);
            assert_eq!(half, Some(1000 + AHEAD), "a record that was lost, or that there never was");
        }
        assert_eq!(five.next_token(u64::MAX), Some(MAX_TOKEN / 2), "a clock gone mad");
    }

    fn stat(index: u128, promised: Duration) -> Stat {
        let modified = 1_763_894_520_000_000_123;
        let accessed = promise::said(modified, promised);
        let id = FileId { volume: 2049, index };
        Stat { id, regular: true, links: 1, size: 0, accessed, modified, changed: 7 }
    }

    #[test]
    fn a_ledger_without_a_record_of_the_file_is_read_with_the_files_promise() {
        let promised = Duration::from_secs(8);
        let full = Ledger::decode(&ledger([Some(record(5)), None]));
        for (ledger, index) in [(Ledger::default(), 131), (full.clone(), 7)] {
            let read = ledger.or_promise(&stat(index, promised));
            let read = read.of(stat(index, promised).id).expect("promised");
            assert_eq!(read.terms.stale, promised);
            assert!(read.process().is_none() && read.holder().is_none());
        }
        let read = full.or_promise(&stat(131, promised));
        assert_eq!(read.last, Some(record(5)), "the record knows more");
    }

    #[test]
    fn readers_keep_the_widest_terms_until_a_writer_comes() {
        let hasty =
            Terms { heartbeat: Duration::from_millis(50), stale: Duration::from_millis(150) };
        let shared = Record { mode: Mode::Shared, ..record(5) };
        let ledger = Ledger::decode(&ledger([Some(shared), None]));
        let stat = stat(131, Duration::from_secs(1));
        assert_eq!(ledger.terms_for(Mode::Shared, hasty, &stat), record(5).terms);
        assert_eq!(ledger.terms_for(Mode::Exclusive, hasty, &stat), hasty);
        let lost = Ledger::default().terms_for(Mode::Shared, hasty, &stat);
        assert_eq!(lost.stale, Duration::from_secs(1), "as the file says");
    }
}
