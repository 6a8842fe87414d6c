//! Decision records are `docs/adr/NNN-title.md`, numbered from 001 without gaps or doubles, each with a heading.

use crate::tidy::catalog::Report;
use crate::tidy::finding::Place;
use crate::tidy::project::Project;

const FOLDER: &str = "docs/adr/";

pub(crate) fn check(project: &Project, report: Report<'_>) {
    let mut previous = 0;
    for (path, source) in &project.files {
        let Some(name) = path.strip_prefix(FOLDER) else { continue };
        let Some(number) = number_of(name) else {
            report(
                Place::new(path, 1),
                "a decision record is not named NNN-title.md in lower case".to_owned(),
                "rename it, with the next free number",
            );
            continue;
        };
        if number != previous + 1 {
            report(
                Place::new(path, 1),
                format!("number {number:03} follows {previous:03}"),
                "number decision records without gaps or doubles, from 001",
            );
        }
        previous = number;
        if !source.text.starts_with("# ") {
            report(
                Place::new(path, 1),
                "a decision record begins without a heading".to_owned(),
                "begin with a line `# title`",
            );
        }
    }
}

fn number_of(name: &str) -> Option<u32> {
    let (number, title) = name.strip_suffix(".md")?.split_once('-')?;
    let plain = title.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if number.len() != 3 || title.is_empty() || !plain {
        return None;
    }
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::check;

    #[test]
    fn passes_numbers_in_a_row() {
        check(super::check, &[("docs/adr/001-a.md", "# A\n"), ("docs/adr/002-b-2.md", "# B\n")], &[]);
    }

    #[test]
    fn reports_gaps_doubles_names_and_missing_headings() {
        check(
            super::check,
            &[
                ("docs/adr/001-a.md", "text"),
                ("docs/adr/003-b.md", "# B"),
                ("docs/adr/003-c.md", "# C"),
                ("docs/adr/Notes.md", "# N"),
            ],
            &["docs/adr/001-a.md:1", "docs/adr/003-b.md:1", "docs/adr/003-c.md:1", "docs/adr/Notes.md:1"],
        );
    }
}
