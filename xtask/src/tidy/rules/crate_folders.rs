//! A crate's folder has the crate's name, so that a reader finds one from the other.

use crate::tidy::catalog::Report;
use crate::tidy::finding::Place;
use crate::tidy::project::Project;

pub(crate) fn check(project: &Project, report: Report<'_>) {
    for package in &project.crates {
        let folder = package.folder.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        // Outside of crates/ (examples, fuzz targets) the folder says what it is and the package also whose it is.
        let short_name_is_enough = !package.folder.starts_with("crates/");
        let matches = package.name == folder || (short_name_is_enough && package.name == format!("corten-{folder}"));
        if !matches {
            let path = package.manifest_path();
            let line = project.files[&path].line_of("name");
            report(
                Place::new(&path, line),
                format!("package {} stands in folder {folder}", package.name),
                "give the folder the package's name",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::check;

    #[test]
    fn passes_equal_names() {
        check(
            super::check,
            &[
                ("crates/corten-a/Cargo.toml", "[package]\nname = \"corten-a\"\n"),
                ("examples/hello/Cargo.toml", "[package]\nname = \"corten-hello\"\n"),
                ("fuzz/Cargo.toml", "[package]\nname = \"corten-fuzz\"\n"),
            ],
            &[],
        );
    }

    #[test]
    fn reports_other_names() {
        check(super::check, &[("crates/a/Cargo.toml", "[package]\nname = \"corten-a\"\n")], &["crates/a/Cargo.toml:2"]);
    }
}
