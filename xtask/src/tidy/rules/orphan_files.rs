//! Every source is part of a target: a file without a `mod` line is never compiled and rots unseen.

use crate::tidy::catalog::Report;
use crate::tidy::finding::Place;
use crate::tidy::project::Project;

pub(crate) fn check(project: &Project, report: Report<'_>) {
    for (path, _) in project.rust_sources() {
        if !project.reached.contains_key(path) && !path.contains("/testdata/") {
            report(Place::new(path, 1), "no target reaches this file".to_owned(), "add its `mod` line, or delete it");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::check;

    const MANIFEST: (&str, &str) = ("a/Cargo.toml", "[package]\nname = \"a\"\n");

    #[test]
    fn passes_files_that_a_module_names() {
        check(super::check, &[MANIFEST, ("a/src/lib.rs", "mod x;"), ("a/src/x.rs", "")], &[]);
    }

    #[test]
    fn reports_files_that_none_names() {
        check(
            super::check,
            &[MANIFEST, ("a/src/lib.rs", "// mod x;"), ("a/src/x.rs", ""), ("tool.rs", "")],
            &["a/src/x.rs:1", "tool.rs:1"],
        );
    }
}
