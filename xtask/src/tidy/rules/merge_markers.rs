//! No file holds what git writes between two sides of a conflict: in a document it breaks no build, and is read by everybody.

use crate::tidy::catalog::Report;
use crate::tidy::finding::Place;
use crate::tidy::project::Project;

pub(crate) fn check(project: &Project, report: Report<'_>) {
    for (path, source) in &project.files {
        for (index, line) in source.text.lines().enumerate() {
            // The line between both sides is one of a heading, too, and never comes alone.
            if is_marker(line, '<') || is_marker(line, '>') {
                report(
                    Place::new(path, index + 1),
                    "a conflict of a merge stands here unresolved".to_owned(),
                    "keep what is true of both sides, and take the three markers out",
                );
            }
        }
    }
}

/// Whether a line is seven of a character at its start, a space, and the name of a side.
fn is_marker(line: &str, character: char) -> bool {
    let rest = line.trim_start_matches(character);
    line.len() - rest.len() == 7 && rest.starts_with(' ')
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::check;

    #[test]
    fn passes_shifts_headings_and_quotes() {
        check(super::check, &[("a.rs", "let a = 1 << 2 >> 1;\n"), ("a.md", "Title\n=======\n>>> quoted\n")], &[]);
    }

    #[test]
    fn reports_both_sides() {
        let (mine, theirs) = ("<".repeat(7), ">".repeat(7));
        let text = format!("a\n{mine} HEAD\nb\n=======\nc\n{theirs} side\n");
        check(super::check, &[("a.md", &text)], &["a.md:2", "a.md:6"]);
    }
}
