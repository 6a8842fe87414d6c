//! Committed files speak of the project only: no folder of the machine they were written on, no package registry's host.

use crate::tidy::catalog::Report;
use crate::tidy::finding::Place;
use crate::tidy::project::Project;

/// Folders at the root of a machine where a person or a build service works. Split, so that this file passes.
const FOLDERS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/fa", "rm/")];

/// Hosts that a package manager finds by its own configuration.
const HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("npmjs", ".com"),
    concat!("npmjs", ".org"),
    concat!("deb.debian", ".org"),
    concat!("security.debian", ".org"),
    concat!("proxy.golang", ".org"),
];

pub(crate) fn check(project: &Project, report: Report<'_>) {
    // The lock file is written by cargo and names its registry in every entry.
    for (path, source) in project.files.iter().filter(|(path, _)| !path.ends_with("Cargo.lock")) {
        for (index, line) in source.text.lines().enumerate() {
            let folder = FOLDERS.iter().find(|folder| has_absolute_path(line, folder));
            if let Some(folder) = folder {
                report(
                    Place::new(path, index + 1),
                    format!("a path under {folder} exists on one machine only"),
                    "use a path inside the repository, a temporary folder or an environment variable",
                );
            }
            if let Some(host) = HOSTS.iter().find(|host| line.contains(*host)) {
                report(
                    Place::new(path, index + 1),
                    format!("the registry host {host} is named"),
                    "name the package and let the package manager find its registry",
                );
            }
        }
    }
}

/// Whether `folder` occurs in `line` where a path begins.
fn has_absolute_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | ')' | '>' | '*'))
    })
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::check;

    #[test]
    fn passes_relative_paths_and_the_lock_file() {
        let lock = concat!("source = \"registry+https://github.com/rust-lang/crates", ".io-index\"");
        check(super::check, &[("Cargo.lock", lock), ("a.md", "src/work/queue.rs, $DIR/x, api/root/")], &[]);
    }

    #[test]
    fn reports_folders_and_hosts() {
        let text = concat!("a\ncd /wo", "rk/x\n\"/ro", "ot/.kube\"\nsee https://crates", ".io/x\n");
        check(super::check, &[("a.md", text)], &["a.md:2", "a.md:3", "a.md:4"]);
    }
}
