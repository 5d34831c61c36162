//! A record of the ledger: one grant, as one line of text.
//!
//! Every grant writes one and reads one that another process wrote, so its numbers are written and
//! read byte by byte, and fields that nobody asks for stay text.

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use crate::holder::{Holder, Process};
use crate::terms::Terms;
use rootlock_sys::{FileId, Mode};

/// The size of a record; a write is one call and stays within a block of any file system.
pub const SLOT: usize = 512;

/// JavaScript receives tokens as numbers, which are exact up to here: 285 years of microseconds.
pub const MAX_TOKEN: u64 = (1 << 53) - 1;

/// The longest duration that is written, 285 000 years: so every record fits into a slot, and
/// JavaScript can represent it.
pub(crate) const MAX_MILLIS: u64 = (1 << 53) - 1;

/// The last moment that a JavaScript `Date` can represent.
pub(crate) const MAX_DATE: u64 = 8_640_000_000_000_000;

const MAGIC: &[u8] = b"rootlock1";

/// The checksum's field, the last on a line.
const SUM: usize = " sum=01234567".len();

/// How many encoded bytes are kept of a field without a fixed length.
const MAX_BOOT: usize = 40;
const MAX_HOSTNAME: usize = 64;
const MAX_COMMAND: usize = 96;

/// The longest text of a [`Grantee`]: its numbers at their longest, and the names of its fields.
const GRANTEE: usize = 10 + 20 + 20 + MAX_BOOT + MAX_HOSTNAME + MAX_COMMAND + 40;

/// One grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub token: u64,
    /// The last token of the run that this grant began: tokens up to it may have been granted to
    /// callers of the same process.
    pub last: u64,
    pub mode: Mode,
    /// Wall clock, milliseconds since 1970.
    pub granted_at: u64,
    /// The widest terms of all who may hold the lock under this record.
    pub terms: Terms,
    /// The lock file that the grant is for.
    pub file: FileId,
    /// A takeover was begun: its temporary file may be left over.
    pub leftover: bool,
    pub grantee: Grantee,
}

/// The holder as written in a record. Parsed only on demand, because most records are read only for
/// their token.
#[derive(Clone, PartialEq, Eq)]
pub struct Grantee {
    text: [u8; GRANTEE],
    length: usize,
}

impl Grantee {
    /// This process.
    pub fn this() -> &'static Self {
        static THIS: LazyLock<Grantee> = LazyLock::new(|| Grantee::encode(Process::this()));
        &THIS
    }

    pub fn encode(process: &Process) -> Self {
        let Process { pid, start, boot, namespace, hostname, command } = process;
        // Writing to a String can't fail.
        let mut line = String::with_capacity(GRANTEE);
        let _ = write!(line, "pid={pid} start={start} ns={namespace} boot=");
        encode_text(&mut line, boot, MAX_BOOT);
        line.push_str(" host=");
        encode_text(&mut line, hostname, MAX_HOSTNAME);
        line.push_str(" command=");
        encode_text(&mut line, command, MAX_COMMAND);
        Self::new(line.as_bytes()).expect("the parts are limited to fit")
    }

    fn new(bytes: &[u8]) -> Option<Self> {
        let mut text = [0; GRANTEE];
        text.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { text, length: bytes.len() })
    }

    /// A holder of which nothing is known.
    pub(crate) fn nobody() -> Self {
        Self { text: [0; GRANTEE], length: 0 }
    }

    fn bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }

    /// `None` if we did not write it.
    pub fn process(&self) -> Option<Process> {
        let mut fields = Fields::of(std::str::from_utf8(self.bytes()).ok()?);
        Some(Process {
            pid: fields.number("pid")?,
            start: fields.number("start")?,
            namespace: fields.number("ns")?,
            boot: decode_text(fields.text("boot")?)?,
            hostname: decode_text(fields.text("host")?)?,
            command: decode_text(fields.text("command")?)?,
        })
    }
}

impl std::fmt::Debug for Grantee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Grantee({})", String::from_utf8_lossy(self.bytes()))
    }
}

/// `key=value` fields in a fixed order. A later version may append fields.
struct Fields<'a> {
    fields: std::str::Split<'a, char>,
}

impl<'a> Fields<'a> {
    fn of(text: &'a str) -> Self {
        Self { fields: text.split(' ') }
    }

    fn text(&mut self, key: &str) -> Option<&'a str> {
        self.fields.next()?.strip_prefix(key)?.strip_prefix('=')
    }

    fn number<N: std::str::FromStr>(&mut self, key: &str) -> Option<N> {
        self.text(key)?.parse().ok()
    }
}

impl Record {
    /// One slot's bytes.
    pub fn encode(&self) -> [u8; SLOT] {
        let mut line = Line { slot: [b' '; SLOT], length: 0 };
        let mode: &[u8] = match self.mode {
            Mode::Exclusive => b" mode=exclusive at=",
            Mode::Shared => b" mode=shared at=",
        };
        line.text(MAGIC);
        line.text(b" token=").number(self.token);
        line.text(b" last=").number(self.last);
        line.text(mode).number(self.granted_at.min(MAX_DATE));
        line.text(b" beat=").number(millis(self.terms.heartbeat));
        line.text(b" stale=").number(millis(self.terms.stale));
        line.text(b" file=").number(self.file.volume);
        line.text(b":").number(self.file.index);
        line.text(b" left=").number(u8::from(self.leftover));
        line.text(b" ").text(self.grantee.bytes());
        // It always fits: see the test `the_longest_record_fits`.
        line.seal()
    }

    pub fn decode(slot: &[u8]) -> Option<Self> {
        let line = trimmed(slot);
        let (content, sum) = line.split_at_checked(line.len().checked_sub(SUM)?)?;
        let sum = std::str::from_utf8(sum).ok()?.strip_prefix(" sum=")?;
        if u32::from_str_radix(sum, 16).ok()? != crc32fast::hash(content) {
            return None;
        }
        let (Front { token, last, mode, granted_at, heartbeat, stale, file, leftover }, rest) =
            Front::read(content)?;
        let valid = (token..MAX_TOKEN).contains(&last)
            && granted_at <= MAX_DATE
            && [heartbeat, stale].iter().all(|length| (1..=MAX_MILLIS).contains(length));
        if !valid {
            return None;
        }
        // After the last field's value; a later version may have put fields in between.
        let grantee = rest.windows(4).position(|window| window == b"pid=")?;
        let terms = Terms {
            heartbeat: Duration::from_millis(heartbeat),
            stale: Duration::from_millis(stale),
        };
        let grantee = Grantee::new(&rest[grantee..])?;
        Some(Self { token, last, mode, granted_at, terms, file, leftover, grantee })
    }

    /// Orders two slots before either is validated: by their tokens; and the record of a begun takeover,
    /// which repeats the tokens of the record before it, is the newer one.
    pub(crate) fn age(slot: &[u8]) -> Option<(u64, u64, bool)> {
        let (Front { token, last, leftover, .. }, _) = Front::read(slot)?;
        Some((token, last, leftover))
    }

    /// The process that was granted the lock, if it can be read.
    pub fn process(&self) -> Option<Process> {
        self.grantee.process()
    }

    /// The record as the public type.
    pub fn holder(&self) -> Option<Holder> {
        let Process { pid, hostname, command, .. } = self.process()?;
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        Some(Holder {
            pid,
            hostname: some(hostname),
            command: some(command),
            acquired_at: SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(self.granted_at)),
            mode: self.mode,
            token: Some(self.token),
            own: self.grantee == *Grantee::this(),
        })
    }
}

/// The fields before the grantee, not validated.
struct Front {
    token: u64,
    last: u64,
    mode: Mode,
    granted_at: u64,
    heartbeat: u64,
    stale: u64,
    file: FileId,
    leftover: bool,
}

impl Front {
    /// Also returns what follows them.
    fn read(line: &[u8]) -> Option<(Self, &[u8])> {
        let mut rest = Rest(line);
        rest.text(MAGIC)?;
        let token = rest.text(b" token=")?.number()?;
        let last = rest.text(b" last=")?.number()?;
        rest.text(b" mode=")?;
        let mode = match rest.text(b"exclusive") {
            Some(_) => Mode::Exclusive,
            None => rest.text(b"shared").map(|_| Mode::Shared)?,
        };
        let granted_at = rest.text(b" at=")?.number()?;
        let heartbeat = rest.text(b" beat=")?.number()?;
        let stale = rest.text(b" stale=")?.number()?;
        let volume = rest.text(b" file=")?.number()?;
        let index = rest.text(b":")?.number()?;
        let leftover = !rest.text(b" left=")?.0.starts_with(b"0 ");
        let file = FileId { volume, index };
        Some((Self { token, last, mode, granted_at, heartbeat, stale, file, leftover }, rest.0))
    }
}

/// A line being written.
struct Line {
    slot: [u8; SLOT],
    length: usize,
}

impl Line {
    fn text(&mut self, text: &[u8]) -> &mut Self {
        self.slot[self.length..][..text.len()].copy_from_slice(text);
        self.length += text.len();
        self
    }

    fn number(&mut self, number: impl itoa::Integer) {
        self.text(itoa::Buffer::new().format(number).as_bytes());
    }

    /// Appends the checksum.
    fn seal(mut self) -> [u8; SLOT] {
        let sum = crc32fast::hash(&self.slot[..self.length]);
        self.text(b" sum=");
        for digit in (0..8).rev().map(|place| (sum >> (4 * place)) & 0xf) {
            self.text(&[b"0123456789abcdef"[digit as usize]]);
        }
        self.slot[SLOT - 1] = b'\n';
        self.slot
    }
}

/// The rest of a line being read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn text(&mut self, text: &[u8]) -> Option<&mut Self> {
        self.0 = self.0.strip_prefix(text)?;
        Some(self)
    }

    fn number<N: TryFrom<u128>>(&mut self) -> Option<N> {
        let mut number = 0_u64;
        let mut digits = 0;
        while let Some(digit @ 0..=9) = self.0.get(digits).map(|byte| byte.wrapping_sub(b'0')) {
            // A number too long for this is read again.
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            digits += 1;
        }
        let (text, rest) = self.0.split_at(digits);
        self.0 = rest;
        let number = match digits {
            0 => None,
            1..=19 => Some(u128::from(number)),
            _ => std::str::from_utf8(text).ok()?.parse().ok(),
        };
        N::try_from(number?).ok()
    }
}

/// A slot without its padding. Zeros mean that a file cut within the padding was extended by the next
/// write.
fn trimmed(slot: &[u8]) -> &[u8] {
    const STEP: usize = 32;
    let is_padding = |byte: &u8| matches!(byte, b' ' | b'\n' | 0);
    let mut end = slot.len();
    // Half of a slot is padding: the compiler compares a step of it at once.
    while end >= STEP
        && slot[end - STEP..end].iter().fold(true, |blank, byte| blank & is_padding(byte))
    {
        end -= STEP;
    }
    while end > 0 && is_padding(&slot[end - 1]) {
        end -= 1;
    }
    &slot[..end]
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).min(MAX_MILLIS)
}

/// Appends text, percent-encoded and cut to at most `max` bytes.
fn encode_text(line: &mut String, text: &str, max: usize) {
    let end = line.len() + max;
    for character in text.chars() {
        let mut bytes = [0; 4];
        let bytes = character.encode_utf8(&mut bytes).as_bytes();
        let plain = character.is_ascii_graphic() && character != '%';
        let width = if plain { 1 } else { 3 * bytes.len() };
        if line.len() + width > end {
            return;
        }
        if plain {
            line.push(character);
        } else {
            for byte in bytes {
                let _ = write!(line, "%{byte:02X}");
            }
        }
    }
}

fn decode_text(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'%' {
            let hex = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(byte);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
