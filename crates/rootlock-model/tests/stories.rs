//! Each hole is found, and `stories.md` and `docs/protocol.md` tell how.

use std::sync::LazyLock;

use rootlock_model::stories::{HEADER, find_all, markdown, split};

const UPDATE: &str = "run: cargo run -p rootlock-model --example stories";

static STORIES: LazyLock<String> = LazyLock::new(|| {
    let stories = find_all();
    for (hole, story) in &stories {
        println!("{}: {} steps, after {} states", hole.title, story.steps, story.states);
    }
    markdown(&stories)
});

#[test]
fn every_hole_is_found_and_the_stories_file_is_up_to_date() {
    assert!(format!("{HEADER}{}", *STORIES) == include_str!("../stories.md"), "{UPDATE}");
}

#[test]
fn the_protocol_page_tells_the_same_stories() {
    let [_, between, _] = split(include_str!("../../../docs/protocol.md"));
    assert!(*STORIES == between, "{UPDATE}");
}
