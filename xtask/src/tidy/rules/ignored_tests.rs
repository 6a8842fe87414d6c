//! No test is ignored: a test that nobody runs proves nothing. One that lacks what it needs says so and returns.

use crate::tidy::catalog::Report;
use crate::tidy::finding::Place;
use crate::tidy::project::Project;

pub(crate) fn check(project: &Project, report: Report<'_>) {
    for (path, source) in project.rust_sources() {
        for (at, _) in source.code.match_indices("#[ignore") {
            report(
                Place::new(path, source.line_at(at)),
                "a test is ignored".to_owned(),
                "repair or delete it; a slow test belongs to corten-e2e",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::check;

    #[test]
    fn passes_mentions_in_comments() {
        check(super::check, &[("a.rs", "// no #[ignore] here\nfn ignore() {}")], &[]);
    }

    #[test]
    fn reports_the_attribute() {
        check(super::check, &[("a.rs", "#[test]\n#[ignore = \"slow\"]\nfn a() {}")], &["a.rs:2"]);
    }
}
