//! Nothing unfinished is committed: a branch that panics because nobody wrote it is worse than one that is not offered.

use crate::tidy::catalog::Report;
use crate::tidy::finding::Place;
use crate::tidy::project::Project;

pub(crate) fn check(project: &Project, report: Report<'_>) {
    for (path, source) in project.rust_sources() {
        for (at, found) in ["todo!", "unimplemented!"].iter().flat_map(|name| source.code.match_indices(name)) {
            report(
                Place::new(path, source.line_at(at)),
                format!("{found} is left"),
                "write it, or refuse with an error",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::check;

    #[test]
    fn passes_words_in_comments() {
        check(super::check, &[("a.rs", "// todo! nothing\nfn todo() {}")], &[]);
    }

    #[test]
    fn reports_macros() {
        check(super::check, &[("a.rs", "fn f() { todo!() }\nfn g() { unimplemented!(\"x\") }")], &["a.rs:1", "a.rs:2"]);
    }
}
