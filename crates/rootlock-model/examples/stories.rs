//! Writes the stories into `stories*.md`, and those of P between the markers of `docs/protocol.md`.

use std::fs;
use std::path::Path;

use rootlock_model::stories::{HEADER, MARKERS, find_all, markdown, split};
use rootlock_model::{etcd, postgres, trace};

fn main() -> std::io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::write(here.join("stories-postgres.md"), trace::page(postgres::stories::holes()))?;
    fs::write(here.join("stories-etcd.md"), trace::page(etcd::stories::holes()))?;
    let stories = markdown(&find_all());
    fs::write(here.join("stories.md"), format!("{HEADER}{stories}"))?;
    let page = here.join("../../docs/protocol.md");
    let text = fs::read_to_string(&page)?;
    let ([before, _, after], [begin, end]) = (split(&text), MARKERS);
    fs::write(page, format!("{before}{begin}{stories}{end}{after}"))
}
