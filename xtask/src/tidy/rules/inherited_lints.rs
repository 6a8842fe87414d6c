//! Every crate takes the lints of the workspace.

use crate::tidy::catalog::Report;
use crate::tidy::finding::Place;
use crate::tidy::project::Project;

pub(crate) fn check(project: &Project, report: Report<'_>) {
    for package in project.crates.iter().filter(|package| !package.inherits_lints) {
        report(
            Place::new(&package.manifest_path(), 1),
            format!("{} has lints of its own, or none", package.name),
            "add `[lints]` with `workspace = true`",
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::check;

    #[test]
    fn passes_inherited_lints() {
        check(super::check, &[("a/Cargo.toml", "[package]\nname = \"a\"\n[lints]\nworkspace = true\n")], &[]);
    }

    #[test]
    fn reports_missing_lints() {
        check(super::check, &[("a/Cargo.toml", "[package]\nname = \"a\"\n")], &["a/Cargo.toml:1"]);
    }
}
