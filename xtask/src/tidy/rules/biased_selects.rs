//! `select!` says which of its branches comes first: without, chance decides, and no simulator can replay a run.

use crate::tidy::catalog::Report;
use crate::tidy::finding::Place;
use crate::tidy::project::Project;

pub(crate) fn check(project: &Project, report: Report<'_>) {
    for (path, source) in project.rust_sources() {
        for at in source.find_path("select") {
            let Some(block) = source.code[at..].strip_prefix("select!").map(str::trim_start) else { continue };
            let Some(branches) = block.strip_prefix(['{', '(', '[']) else { continue };
            if !branches.trim_start().starts_with("biased;") {
                report(
                    Place::new(path, source.line_at(at)),
                    "`select!` leaves to chance which branch it polls first".to_owned(),
                    "begin it with `biased;`, and with the branch that must not starve",
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::check;

    #[test]
    fn passes_biased_selects_and_what_only_looks_like_one() {
        let source = "//! A `select! {` of old.\nfn f() {\n    tokio::select! {\n        // First.\n        biased;\n    }\n    \
                      select(); my_select! {}; g(\"select! {\")\n}\n";
        check(super::check, &[("a/src/x.rs", source)], &[]);
    }

    #[test]
    fn reports_selects_of_chance() {
        let source = "fn f() {\n    select! {\n        () = a => {}\n    }\n    tokio::select!(() = a => {});\n}\n";
        check(super::check, &[("a/src/x.rs", source)], &["a/src/x.rs:2", "a/src/x.rs:5"]);
    }
}
