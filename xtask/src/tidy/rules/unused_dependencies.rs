//! Every line of `[workspace.dependencies]` is used by a member. A warning: a line may wait for its crate.

use std::collections::BTreeSet;

use crate::tidy::catalog::Report;
use crate::tidy::finding::Place;
use crate::tidy::manifest;
use crate::tidy::project::Project;

pub(crate) fn check(project: &Project, report: Report<'_>) {
    let Some(root) = project.files.get("Cargo.toml") else { return };
    let used: BTreeSet<&str> =
        project.crates.iter().flat_map(|package| &package.dependencies).map(|d| d.name.as_str()).collect();
    let declared = manifest::workspace_dependencies(&root.text);
    let unused: Vec<&str> = declared.iter().map(String::as_str).filter(|name| !used.contains(name)).collect();
    if !unused.is_empty() {
        report(
            Place::new("Cargo.toml", root.line_of("[workspace.dependencies]")),
            format!("no member uses {}", unused.join(", ")),
            "delete the lines that no planned crate waits for",
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::check;

    const MEMBER: (&str, &str) = ("a/Cargo.toml", "[package]\nname = \"a\"\n[dependencies]\nx.workspace = true\n");

    #[test]
    fn passes_used_lines() {
        check(super::check, &[("Cargo.toml", "[workspace.dependencies]\nx = \"1\"\n"), MEMBER], &[]);
    }

    #[test]
    fn reports_unused_lines_once() {
        check(
            super::check,
            &[("Cargo.toml", "[workspace]\n[workspace.dependencies]\nx = \"1\"\ny = \"1\"\nz = \"1\"\n"), MEMBER],
            &["Cargo.toml:2"],
        );
    }
}
