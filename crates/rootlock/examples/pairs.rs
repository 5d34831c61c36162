//! Acquires and releases as fast as possible: `cargo run --release --example pairs -- DIRECTORY`.

use std::time::Instant;

use rootlock::{Request, Root};

fn main() {
    let directory = std::env::args_os().nth(1).expect("a directory");
    let root = Root::open(directory).expect("opens");
    for _ in 0..5 {
        let begun = Instant::now();
        let pairs = 100_000;
        for _ in 0..pairs {
            drop(root.lock(Request::default()).expect("locks"));
        }
        println!("{:.0} pairs/s", f64::from(pairs) / begun.elapsed().as_secs_f64());
    }
}
