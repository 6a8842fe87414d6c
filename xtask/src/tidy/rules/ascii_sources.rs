//! Rust sources are ASCII, so that look-alike and invisible characters cannot hide in a review.

use crate::tidy::catalog::Report;
use crate::tidy::finding::Place;
use crate::tidy::project::Project;

pub(crate) fn check(project: &Project, report: Report<'_>) {
    for (path, source) in project.rust_sources() {
        for (index, line) in source.text.lines().enumerate() {
            if let Some(character) = line.chars().find(|character| !character.is_ascii()) {
                report(
                    Place::new(path, index + 1),
                    format!("the character {} is not ASCII", character.escape_unicode()),
                    "write it as an escape such as \\u{e9}, or in plain words",
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::check;

    #[test]
    fn passes_escapes_and_other_files() {
        check(super::check, &[("a.rs", "let x = \"\\u{e9}\";"), ("a.md", "\u{e9}")], &[]);
    }

    #[test]
    fn reports_each_line_once() {
        check(super::check, &[("a.rs", "// \u{e9}\u{e9}\n\nlet a = '\u{2013}';")], &["a.rs:1", "a.rs:3"]);
    }
}
