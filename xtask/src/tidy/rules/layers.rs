//! A dependency between our crates points to a strictly lower layer.
//!
//! So components (all on one layer) never depend on each other, and a cycle cannot be written. Dev-dependencies may
//! also name the crate itself, for its `testutil` feature, and the testkit.

use std::collections::BTreeMap;

use crate::tidy::catalog::Report;
use crate::tidy::finding::Place;
use crate::tidy::manifest::DependencyKind;
use crate::tidy::project::Project;

pub(crate) const TESTKIT: &str = "corten-testkit";

pub(crate) fn check(project: &Project, report: Report<'_>) {
    let layers: BTreeMap<&str, i64> =
        project.crates.iter().filter_map(|package| Some((package.name.as_str(), package.layer?))).collect();
    for package in &project.crates {
        let path = package.manifest_path();
        let Some(layer) = package.layer else {
            report(
                Place::new(&path, 1),
                format!("{} states no layer", package.name),
                "add `[package.metadata.corten]` with `layer = n`, see ARCHITECTURE.md",
            );
            continue;
        };
        for dependency in &package.dependencies {
            let Some(&below) = layers.get(dependency.name.as_str()) else { continue };
            let for_tests = dependency.kind == DependencyKind::Dev
                && (dependency.name == TESTKIT || dependency.name == package.name);
            if below < layer || for_tests {
                continue;
            }
            report(
                Place::new(&path, project.files[&path].line_of(&format!("\n{}", dependency.name)) + 1),
                format!("{} (layer {layer}) depends on {} (layer {below})", package.name, dependency.name),
                "depend on a lower layer only: move what is shared down, or let the components meet in crate corten",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::check;

    const LOW: (&str, &str) =
        ("crates/corten-low/Cargo.toml", "[package]\nname = \"corten-low\"\n[package.metadata.corten]\nlayer = 1\n");
    const KIT: (&str, &str) = (
        "crates/corten-testkit/Cargo.toml",
        "[package]\nname = \"corten-testkit\"\n[package.metadata.corten]\nlayer = 7\n",
    );

    #[test]
    fn passes_edges_that_point_down() {
        let upper = "[package]\nname = \"corten-up\"\n[package.metadata.corten]\nlayer = 2\n[dependencies]\n\
            anyhow.workspace = true\ncorten-low.workspace = true\n[dev-dependencies]\ncorten-testkit.workspace = true\n\
            corten-up = { workspace = true, features = [\"testutil\"] }\n";
        check(super::check, &[LOW, KIT, ("crates/corten-up/Cargo.toml", upper)], &[]);
    }

    #[test]
    fn reports_edges_between_equals_and_up() {
        let peer = "[package]\nname = \"corten-peer\"\n[package.metadata.corten]\nlayer = 1\n[dependencies]\n\
            corten-low.workspace = true\n[build-dependencies]\ncorten-testkit.workspace = true\n";
        check(
            super::check,
            &[LOW, KIT, ("crates/corten-peer/Cargo.toml", peer)],
            &["crates/corten-peer/Cargo.toml:6", "crates/corten-peer/Cargo.toml:8"],
        );
    }

    #[test]
    fn reports_a_missing_layer() {
        check(super::check, &[("crates/a/Cargo.toml", "[package]\nname = \"a\"\n")], &["crates/a/Cargo.toml:1"]);
    }
}
