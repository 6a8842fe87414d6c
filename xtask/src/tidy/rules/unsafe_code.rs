//! `unsafe` lives in three crates; the roots of all others forbid it.

use crate::tidy::catalog::Report;
use crate::tidy::finding::Place;
use crate::tidy::project::Project;

const ALLOWED: &[&str] = &["corten-base", "corten-net", "corten-oci"];

pub(crate) fn check(project: &Project, report: Report<'_>) {
    for package in project.crates.iter().filter(|package| !ALLOWED.contains(&package.name.as_str())) {
        for root in ["src/lib.rs", "src/main.rs"] {
            let path = format!("{}{root}", package.folder);
            let Some(source) = project.files.get(&path) else { continue };
            if !source.code.contains("#![forbid(unsafe_code)]") {
                report(
                    Place::new(&path, 1),
                    format!("{} does not forbid unsafe code", package.name),
                    "add `#![forbid(unsafe_code)]` below the module docs; unsafe code belongs to corten-{base,net,oci}",
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::check;

    #[test]
    fn passes_roots_that_forbid_and_the_three_crates() {
        check(
            super::check,
            &[
                ("crates/a/Cargo.toml", "[package]\nname = \"a\"\n"),
                ("crates/a/src/lib.rs", "//! A.\n#![forbid(unsafe_code)]\n"),
                ("crates/corten-oci/Cargo.toml", "[package]\nname = \"corten-oci\"\n"),
                ("crates/corten-oci/src/lib.rs", ""),
            ],
            &[],
        );
    }

    #[test]
    fn reports_roots_that_do_not() {
        check(
            super::check,
            &[
                ("crates/a/Cargo.toml", "[package]\nname = \"a\"\n"),
                ("crates/a/src/lib.rs", "// #![forbid(unsafe_code)]"),
                ("crates/a/src/main.rs", ""),
            ],
            &["crates/a/src/lib.rs:1", "crates/a/src/main.rs:1"],
        );
    }
}
