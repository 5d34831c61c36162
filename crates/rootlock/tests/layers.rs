//! The order of this crate's modules: none names one above it. The compiler keeps the crates apart;
//! within a crate, only this test does.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// From top to bottom. The modules of one line are a room: they may name each other.
const LAYERS: &[&[&str]] = &[
    &["lib"],
    &["directory"],
    &["dir_cache", "diagnose", "inspect"],
    &["root"],
    &["recent"],
    // Names no directory: a server has sessions too.
    &["session"],
    &["backend"],
    // A lock, from request to release.
    &["entry", "lease", "lock", "events"],
    &["options"],
    &["located"],
    &["error"],
    &["mailbox", "limits"],
    &["requests"],
    &["queue"],
    &["timer"],
    &["pool"],
];

/// Only for tests.
const TESTS: &[&str] = &["interleavings", "sleep"];

fn layer_of(module: &str) -> usize {
    let layer = LAYERS.iter().position(|layer| layer.contains(&module));
    layer.unwrap_or_else(|| panic!("{module} is in no layer: give it one"))
}

/// Where a name that the crate's root exports is defined.
fn exported(lib: &str) -> BTreeMap<String, String> {
    let mut made = BTreeMap::new();
    for line in lib.lines().filter_map(|line| line.strip_prefix("pub use ")) {
        let line = line.trim_end_matches(';');
        let Some((module, names)) = line.split_once("::") else { continue };
        for name in names.trim_matches(['{', '}']).split(',') {
            made.insert(name.trim().to_owned(), module.to_owned());
        }
    }
    made
}

/// The modules of its own crate that a file names, in code that is not a test.
fn named(text: &str, exports: &BTreeMap<String, String>) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().expect("one part at least");
    let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let mut modules = Vec::new();
    for after in code.split("crate::").skip(1) {
        let names = match after.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default(),
            None => {
                after.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
            }
        };
        for name in names.split(',') {
            let name = name.trim().split("::").next().unwrap_or_default();
            modules.push(exports.get(name).cloned().unwrap_or_else(|| name.to_owned()));
        }
    }
    modules.retain(|module| !module.is_empty() && !module.starts_with("rootlock_"));
    modules
}

#[test]
fn no_module_names_one_above_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let exports = exported(&fs::read_to_string(src.join("lib.rs")).expect("is there"));
    let mut files = Vec::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("is there") {
            let path = entry.expect("is there").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let mut arrows = 0;
    for file in files {
        let inside = file.strip_prefix(&src).expect("is below");
        let module = inside.components().next().expect("has a name").as_os_str();
        let module = module.to_str().expect("is ASCII").trim_end_matches(".rs");
        if module == "lib" || TESTS.contains(&module) || inside.ends_with("tests.rs") {
            continue;
        }
        for named in named(&fs::read_to_string(&file).expect("is there"), &exports) {
            if named == module || TESTS.contains(&named.as_str()) {
                continue;
            }
            arrows += 1;
            assert!(
                layer_of(&named) >= layer_of(module),
                "{} names {named}, which is above it",
                inside.display()
            );
        }
    }
    assert!(arrows > 30, "only {arrows} imports were found: the test reads them wrongly");
}

#[test]
fn an_import_that_runs_back_up_is_found() {
    let exports = exported("pub use root::{Request, Root};\npub use lock::Lock;");
    let text = "use crate::{Root, pool};\nuse crate::timer::{self};\n// crate::session\n";
    assert_eq!(named(text, &exports), ["root", "pool", "timer"]);
    assert!(layer_of("root") < layer_of("timer"));
}
