//! During an upgrade, different versions of this package share a directory. The first one wrote and
//! read records with the standard library's formatting; it is kept here unchanged, and both must agree.

use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::fuzzing;

/// The first version's writer.
fn written_by_the_first(record: &Record) -> [u8; SLOT] {
    let mut slot = [b' '; SLOT];
    let mut rest = &mut slot[..];
    let mode = match record.mode {
        Mode::Exclusive => "exclusive",
        Mode::Shared => "shared",
    };
    let _ = write!(
        rest,
        "rootlock1 token={} last={} mode={mode} at={} beat={} stale={} file={}:{} left={} ",
        record.token,
        record.last,
        record.granted_at.min(MAX_DATE),
        millis(record.terms.heartbeat),
        millis(record.terms.stale),
        record.file.volume,
        record.file.index,
        u8::from(record.leftover),
    );
    let _ = rest.write_all(record.grantee.bytes());
    let length = SLOT - rest.len();
    let sum = crc32fast::hash(&slot[..length]);
    let _ = write!(&mut slot[length..], " sum={sum:08x}");
    slot[SLOT - 1] = b'\n';
    slot
}

/// The first version's reader, for a slot with a correct checksum.
fn read_by_the_first(slot: &[u8]) -> Option<Record> {
    let end = slot.iter().rposition(|byte| !matches!(byte, b' ' | b'\n' | 0))? + 1;
    let (content, sum) = slot[..end].split_at_checked(end.checked_sub(SUM)?)?;
    let sum = std::str::from_utf8(sum).ok()?.strip_prefix(" sum=")?;
    if u32::from_str_radix(sum, 16).ok()? != crc32fast::hash(content) {
        return None;
    }
    let content = std::str::from_utf8(content).ok()?.strip_prefix("rootlock1 ")?;
    let grantee = content.find("pid=")?;
    let mut fields = Fields::of(content);
    let token = fields.number("token")?;
    let last = fields.number("last").filter(|last| (token..MAX_TOKEN).contains(last))?;
    let mode = match fields.text("mode")? {
        "exclusive" => Mode::Exclusive,
        "shared" => Mode::Shared,
        _ => return None,
    };
    let granted_at = fields.number("at").filter(|at| *at <= MAX_DATE)?;
    let terms = |millis: &u64| (1..=MAX_MILLIS).contains(millis);
    let heartbeat = Duration::from_millis(fields.number("beat").filter(terms)?);
    let stale = Duration::from_millis(fields.number("stale").filter(terms)?);
    let (volume, index) = fields.text("file")?.split_once(':')?;
    let file = FileId { volume: volume.parse().ok()?, index: index.parse().ok()? };
    let leftover = fields.text("left")? != "0";
    let grantee = Grantee::new(&content.as_bytes()[grantee..])?;
    let terms = Terms { heartbeat, stale };
    Some(Record { token, last, mode, granted_at, terms, file, leftover, grantee })
}

/// Any record, also with values that are cut to what a record may hold.
fn record() -> impl Strategy<Value = Record> {
    let index = prop_oneof![any::<u128>(), any::<u64>().prop_map(u128::from)];
    (fuzzing::tests::record(), any::<u64>(), any::<u64>(), any::<u64>(), index).prop_map(
        |(record, granted_at, heartbeat, stale, index)| Record {
            granted_at,
            terms: Terms {
                heartbeat: Duration::from_millis(heartbeat),
                stale: Duration::from_millis(stale),
            },
            file: FileId { index, ..record.file },
            ..record
        },
    )
}

/// Changes a byte, and corrects the checksum.
fn changed(slot: [u8; SLOT], at: usize, to: u8) -> [u8; SLOT] {
    let mut slot = slot;
    let end = trimmed(&slot).len();
    slot[at % (end - SUM)] = to;
    let sum = format!(" sum={:08x}", crc32fast::hash(&slot[..end - SUM]));
    slot[end - SUM..end].copy_from_slice(sum.as_bytes());
    slot
}

proptest! {
    #[test]
    fn the_first_version_and_this_one_write_the_same(record in record()) {
        prop_assert_eq!(record.encode(), written_by_the_first(&record));
    }

    #[test]
    fn the_first_version_and_this_one_read_the_same(
        record in record(),
        at in any::<usize>(),
        // Characters that a reader of numbers may accept or refuse.
        to in prop_oneof![Just(b' '), Just(b'='), Just(b':'), Just(b'0'), Just(b'9'), Just(b'x')],
    ) {
        let whole = record.encode();
        prop_assert_eq!(Record::decode(&whole), read_by_the_first(&whole));
        let changed = changed(whole, at, to);
        prop_assert_eq!(Record::decode(&changed), read_by_the_first(&changed));
    }
}

#[test]
fn a_record_is_the_line_that_the_first_release_wrote() {
    let line = "rootlock1 token=1763894520000000 last=1763894520001000 mode=exclusive \
                at=1763894520000 beat=10000 stale=30000 file=2049:131 left=0 pid=4242 start=881 \
                ns=4026531836 boot=6b1d0d5a host=ci-7 command=node%20build.js sum=39dfb8aa";
    let mut slot = format!("{line:<511}\n").into_bytes();
    slot.truncate(SLOT);
    let record = Record::decode(&slot).expect("decodes");
    assert_eq!((record.token, record.last), (1_763_894_520_000_000, 1_763_894_520_001_000));
    assert_eq!(record.process().expect("reads").command, "node build.js");
    assert_eq!(record.encode().to_vec(), slot);
}
