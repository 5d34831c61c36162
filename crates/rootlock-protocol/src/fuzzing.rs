//! What holds for a ledger whatever its file contains. The tests below check it on nearly valid
//! bytes, a fuzzer on all others (`npm run check -- fuzz`), which is why this is public there.

use std::time::{Duration, SystemTime};

use crate::ledger::{Ledger, SIZE};
use crate::record::{Grantee, MAX_TOKEN, Record, SLOT};
use crate::terms::Terms;
use rootlock_sys::FileId;
use rootlock_sys::Mode;

/// JavaScript's `Number.MAX_SAFE_INTEGER`.
const MOST_EXACT: u128 = (1 << 53) - 1;

/// The last moment that JavaScript's `Date` can represent, in milliseconds.
const LAST_DATE: u128 = 8_640_000_000_000_000;

/// Reads these bytes as a ledger, makes the next grant at that wall-clock time, and writes its
/// record, of which only the first `torn` bytes arrive.
///
/// # Panics
/// If a token could fall, if a record has values that JavaScript can't represent or differs from
/// what was written, or if a torn write does more harm than a missing one.
pub fn survives(file: &[u8], wall_micros: u64, torn: usize) {
    let before = Ledger::decode(file);
    let highest = before.last.as_ref().map(|record| record.last);
    if let Some(last) = &before.last {
        assert!(last.token <= last.last && last.last < MAX_TOKEN);
        assert_eq!(Record::decode(&last.encode()).as_ref(), Some(last));
        for time in [last.terms.heartbeat, last.terms.stale] {
            assert!(time.as_millis() <= MOST_EXACT && !time.is_zero());
        }
        if let Some(holder) = last.holder() {
            assert!(holder.token.is_some_and(|token| u128::from(token) < MOST_EXACT));
            let since = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH);
            let at = holder.acquired_at.map(since);
            assert!(at.is_none_or(|at| at.is_ok_and(|at| at.as_millis() <= LAST_DATE)));
        }
    }
    let Some(token) = before.next_token(wall_micros) else {
        // Forged: nobody has made 2⁵² grants.
        assert_eq!(highest, Some(MAX_TOKEN - 1));
        return;
    };
    assert!(highest.is_none_or(|highest| token > highest) && token < MAX_TOKEN);
    let record = Record {
        token,
        last: token,
        mode: Mode::Exclusive,
        granted_at: 1_763_894_520_000,
        terms: Terms { heartbeat: Duration::from_secs(10), stale: Duration::from_secs(30) },
        file: FileId { volume: 1, index: 2 },
        leftover: false,
        grantee: Grantee::this().clone(),
    };
    let written = |length: usize| {
        if length == 0 {
            return before.clone();
        }
        let mut bytes = file[..file.len().min(SIZE)].to_vec();
        let begin = usize::try_from(before.next_offset()).expect("one of two");
        let end = begin + length;
        bytes.resize(bytes.len().max(end), 0);
        bytes[begin..end].copy_from_slice(&record.encode()[..length]);
        Ledger::decode(&bytes)
    };
    assert_eq!(written(SLOT).last, Some(record.clone()));
    let after = written(torn.min(SLOT)).last;
    assert!(after.as_ref().map(|record| record.last) >= highest, "a torn write lowers a token");
}

/// Appends the correct checksum to every slot's text; no random bytes get past it otherwise.
pub fn seal(file: &[u8]) -> Vec<u8> {
    file.chunks(SLOT).flat_map(seal_slot).collect()
}

fn seal_slot(slot: &[u8]) -> Vec<u8> {
    const SUM: usize = " sum=01234567".len();
    let text = slot.len().min(SLOT - SUM);
    let mut sealed = slot[..text].to_vec();
    sealed.extend_from_slice(format!(" sum={:08x}", crc32fast::hash(&slot[..text])).as_bytes());
    sealed.resize(SLOT, b' ');
    sealed
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;
    use crate::holder::Process;

    fn process() -> impl Strategy<Value = Process> {
        let text = || ".{0,200}";
        (any::<u32>(), any::<u64>(), any::<u64>(), text(), text(), text()).prop_map(
            |(pid, start, namespace, boot, hostname, command)| Process {
                pid,
                start,
                boot,
                namespace,
                hostname,
                command,
            },
        )
    }

    prop_compose! {
        pub(crate) fn record()(
            token in 0..MAX_TOKEN,
            run in 0_u64..2_000,
            shared in any::<bool>(),
            granted_at in 0..=8_640_000_000_000_000_u64,
            heartbeat in 1..=MAX_TOKEN,
            stale in 1..=MAX_TOKEN,
            volume in any::<u64>(),
            index in any::<u128>(),
            leftover in any::<bool>(),
            process in process(),
        ) -> Record {
            Record {
                token,
                last: (token + run).min(MAX_TOKEN - 1),
                mode: if shared { Mode::Shared } else { Mode::Exclusive },
                granted_at,
                terms: Terms {
                    heartbeat: Duration::from_millis(heartbeat),
                    stale: Duration::from_millis(stale),
                },
                file: FileId { volume, index },
                leftover,
                grantee: Grantee::encode(&process),
            }
        }
    }

    /// A file with a record, or something else, in each slot.
    fn file() -> impl Strategy<Value = Vec<u8>> {
        let slot = || {
            prop_oneof![
                4 => record().prop_map(|record| record.encode().to_vec()),
                1 => vec(any::<u8>(), SLOT),
                1 => Just(vec![0; SLOT]),
            ]
        };
        (slot(), slot()).prop_map(|(first, second)| [first, second].concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

        #[test]
        fn any_record_comes_back_as_it_was_written(record in record()) {
            let back = Record::decode(&record.encode());
            prop_assert_eq!(back.as_ref(), Some(&record));
            prop_assert!(record.process().is_some());
        }

        #[test]
        fn a_whole_ledger_is_survived(
            file in file(), wall in any::<u64>(), torn in 0..=SLOT,
        ) {
            survives(&file, wall, torn);
        }

        #[test]
        fn a_ledger_cut_anywhere_is_survived(
            file in file(), length in 0..=SIZE, wall in any::<u64>(), torn in 0..=SLOT,
        ) {
            survives(&file[..length], wall, torn);
        }

        #[test]
        fn flipped_bits_are_survived_and_never_make_a_record(
            record in record(), bits in vec(any::<Index>(), 1..20), wall in any::<u64>(), torn in 0..=SLOT,
        ) {
            let mut file = record.encode().to_vec();
            for bit in bits {
                let bit = bit.index(SLOT * 8);
                file[bit / 8] ^= 1 << (bit % 8);
            }
            survives(&file, wall, torn);
            if let Some(read) = Ledger::decode(&file).last {
                prop_assert_eq!(read, record, "only what is padding may differ");
            }
        }

        #[test]
        fn foreign_bytes_of_any_length_are_survived(
            file in vec(any::<u8>(), 0..4 * SIZE), wall in any::<u64>(), torn in 0..=SLOT,
        ) {
            survives(&file, wall, torn);
            survives(&seal(&file), wall, torn);
        }

        #[test]
        fn a_record_with_numbers_of_any_size_is_survived(
            numbers in vec(prop_oneof![any::<u64>(), Just(MAX_TOKEN - 1), Just(MAX_TOKEN), 0..5_u64], 5),
            wall in any::<u64>(), torn in 0..=SLOT,
        ) {
            let [token, last, at, beat, stale] = numbers[..] else { unreachable!() };
            let text = format!(
                "rootlock1 token={token} last={last} mode=shared at={at} beat={beat} stale={stale} \
                 file=1:2 left=0 pid=1 start=1 ns=0 boot= host= command=",
            );
            survives(&seal(text.as_bytes()), wall, torn);
        }

        #[test]
        fn what_one_of_our_writes_leaves_is_ours(
            file in file(), record in record(), torn in 0..=SLOT, cut in 0..=SIZE,
        ) {
            if let Some(before) = Ledger::read(&file) {
                let mut bytes = file;
                let begin = usize::try_from(before.next_offset()).expect("one of two");
                bytes[begin..begin + torn].copy_from_slice(&record.encode()[..torn]);
                prop_assert!(Ledger::read(&bytes).is_some());
            }
            prop_assert!(Ledger::read(&[record.encode().as_slice(), &[0; SLOT]].concat()[..cut]).is_some());
        }

        #[test]
        fn foreign_text_with_a_right_checksum_is_survived(
            text in "(rootlock1 )?(token=[0-9]{0,22} )?(last=[0-9]{0,22} )?(mode=(shared|exclusive) )?.{0,200}",
            wall in any::<u64>(), torn in 0..=SLOT,
        ) {
            survives(&seal(text.as_bytes()), wall, torn);
        }
    }
}
