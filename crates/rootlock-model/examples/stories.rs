//! Prints the stories: `cargo run --example stories > stories.new && mv stories.new stories.md`.

use rootlock_model::stories::{find_all, markdown};

fn main() {
    print!("{}", markdown(&find_all()));
}
