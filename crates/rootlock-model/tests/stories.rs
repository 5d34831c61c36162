//! Each hole is found, and `stories.md` tells how.

use rootlock_model::stories::{find_all, markdown};

#[test]
fn every_hole_is_found_and_the_stories_file_is_up_to_date() {
    let stories = find_all();
    for (hole, story) in &stories {
        println!("{}: {} steps, after {} states", hole.title, story.steps, story.states);
    }
    assert!(
        markdown(&stories) == include_str!("../stories.md"),
        "run: cargo run --example stories > stories.new && mv stories.new stories.md"
    );
}
