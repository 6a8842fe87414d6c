//! A crate below the testkit names it only in its `tests/` folder.
//!
//! Inside `src` the testkit would bring a second copy of the crate under test, whose types are not equal to the first's.

use super::layers::TESTKIT;
use crate::tidy::catalog::Report;
use crate::tidy::finding::Place;
use crate::tidy::project::Project;

pub(crate) fn check(project: &Project, report: Report<'_>) {
    let name = TESTKIT.replace('-', "_");
    let Some(testkit_layer) = project.crates.iter().find(|package| package.name == TESTKIT).and_then(|kit| kit.layer)
    else {
        return;
    };
    for (path, source) in project.rust_sources() {
        let Some(package) = project.crate_of(path) else { continue };
        let in_src = path[package.folder.len()..].starts_with("src/");
        if !in_src || package.layer.is_none_or(|layer| layer >= testkit_layer) {
            continue;
        }
        for at in source.find_path(&name) {
            report(
                Place::new(path, source.line_at(at)),
                format!("{name} is used inside src"),
                "move the test to the crate's tests/ folder",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::check;

    const KIT: (&str, &str) = (
        "crates/corten-testkit/Cargo.toml",
        "[package]\nname = \"corten-testkit\"\n[package.metadata.corten]\nlayer = 7\n",
    );
    const LOW: (&str, &str) =
        ("crates/corten-low/Cargo.toml", "[package]\nname = \"corten-low\"\n[package.metadata.corten]\nlayer = 1\n");

    #[test]
    fn passes_tests_folders() {
        check(super::check, &[KIT, LOW, ("crates/corten-low/tests/x.rs", "use corten_testkit::cluster;")], &[]);
    }

    #[test]
    fn reports_uses_in_src() {
        check(
            super::check,
            &[KIT, LOW, ("crates/corten-low/src/tests.rs", "use corten_testkit::cluster;")],
            &["crates/corten-low/src/tests.rs:1"],
        );
    }
}
