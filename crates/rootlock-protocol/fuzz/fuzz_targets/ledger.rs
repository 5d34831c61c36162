//! Feeds arbitrary bytes as the guard file's content, once as they are and once with correct
//! checksums.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rootlock_protocol::fuzzing::{seal, survives};

fuzz_target!(|input: (u64, u16, &[u8])| {
    let (wall_micros, torn, file) = input;
    survives(file, wall_micros, usize::from(torn % 513));
    survives(&seal(file), wall_micros, usize::from(torn % 513));
});
