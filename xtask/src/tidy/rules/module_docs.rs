//! Every source begins with `//!`: what it is for and where it stands. Files of tests alone need none.

use crate::tidy::catalog::Report;
use crate::tidy::finding::Place;
use crate::tidy::project::Project;

pub(crate) fn check(project: &Project, report: Report<'_>) {
    for (path, source) in project.rust_sources() {
        let is_test = path.ends_with("/tests.rs") || path.contains("/tests/");
        if !is_test && !source.text.trim_start().starts_with("//!") {
            report(
                Place::new(path, 1),
                "the file does not say what it is for".to_owned(),
                "begin with `//!`: purpose, place in the flow, invariants, upstream reference",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::check;

    #[test]
    fn passes_documented_files_and_tests() {
        check(super::check, &[("a/src/x.rs", "//! Purpose.\n"), ("a/src/y/tests.rs", "use super::*;")], &[]);
    }

    #[test]
    fn reports_silent_files() {
        check(super::check, &[("a/src/x.rs", "use y;\n//! late")], &["a/src/x.rs:1"]);
    }
}
