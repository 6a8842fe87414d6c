//! Every line of a dependency table is used: one of the workspace by a member, one of a member by its sources.

use std::collections::BTreeSet;

use crate::tidy::catalog::Report;
use crate::tidy::finding::Place;
use crate::tidy::manifest;
use crate::tidy::project::Project;

pub(crate) fn check(project: &Project, report: Report<'_>) {
    check_workspace(project, report);
    for package in &project.crates {
        let manifest = package.manifest_path();
        for dependency in &package.dependencies {
            // A crate depends on itself to switch on features for its tests.
            if dependency.name == package.name {
                continue;
            }
            let name = dependency.name.replace('-', "_");
            let names_it = project
                .rust_sources()
                .filter(|(path, _)| project.crate_of(path).is_some_and(|of| of.folder == package.folder))
                .any(|(_, source)| source.find_path(&name).next().is_some());
            if !names_it {
                report(
                    Place::new(&manifest, project.files[&manifest].line_of(&dependency.name)),
                    format!("no source of {} names {name}", package.name),
                    "delete the line",
                );
            }
        }
    }
}

fn check_workspace(project: &Project, report: Report<'_>) {
    let Some(root) = project.files.get("Cargo.toml") else { return };
    let used: BTreeSet<&str> =
        project.crates.iter().flat_map(|package| &package.dependencies).map(|d| d.name.as_str()).collect();
    let declared = manifest::workspace_dependencies(&root.text);
    let unused: Vec<&str> = declared.iter().map(String::as_str).filter(|name| !used.contains(name)).collect();
    if !unused.is_empty() {
        report(
            Place::new("Cargo.toml", root.line_of("[workspace.dependencies]")),
            format!("no member uses {}", unused.join(", ")),
            "delete the lines",
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::check;

    const MEMBER: (&str, &str) = ("a/Cargo.toml", "[package]\nname = \"a\"\n[dependencies]\nx-y.workspace = true\n");

    #[test]
    fn passes_used_lines() {
        let root = ("Cargo.toml", "[workspace.dependencies]\nx-y = \"1\"\n");
        check(super::check, &[root, MEMBER, ("a/src/lib.rs", "fn f() { x_y::g() }")], &[]);
        check(super::check, &[root, MEMBER, ("a/tests/t.rs", "use x_y::Z;")], &[]);
    }

    #[test]
    fn reports_lines_of_the_workspace_that_no_member_uses_once() {
        check(
            super::check,
            &[
                ("Cargo.toml", "[workspace]\n[workspace.dependencies]\nx-y = \"1\"\nv = \"1\"\nz = \"1\"\n"),
                MEMBER,
                ("a/src/lib.rs", "use x_y::z;"),
            ],
            &["Cargo.toml:2"],
        );
    }

    #[test]
    fn reports_lines_of_a_member_that_its_sources_do_not_name() {
        let elsewhere = ("b/src/lib.rs", "use x_y::z;");
        check(super::check, &[MEMBER, ("a/src/lib.rs", "// x_y::z\nfn f() {}"), elsewhere], &["a/Cargo.toml:4"]);
    }
}
