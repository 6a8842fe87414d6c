//! A version is written once, in the root manifest; members say `workspace = true`.

use crate::tidy::catalog::Report;
use crate::tidy::finding::Place;
use crate::tidy::project::Project;

pub(crate) fn check(project: &Project, report: Report<'_>) {
    for package in &project.crates {
        let path = package.manifest_path();
        for dependency in package.dependencies.iter().filter(|dependency| !dependency.from_workspace) {
            report(
                Place::new(&path, project.files[&path].line_of(&format!("\n{}", dependency.name)) + 1),
                format!("{} states a version or path of its own", dependency.name),
                "declare it in [workspace.dependencies] and say `workspace = true` here",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::check;

    #[test]
    fn passes_inherited_dependencies() {
        let text =
            "[package]\nname = \"a\"\n[dependencies]\nx.workspace = true\ny = { workspace = true, features = [] }\n";
        check(super::check, &[("a/Cargo.toml", text)], &[]);
    }

    #[test]
    fn reports_own_versions() {
        let text =
            "[package]\nname = \"a\"\n[dependencies]\nx = \"1\"\n[build-dependencies]\ny = { path = \"../y\" }\n";
        check(super::check, &[("a/Cargo.toml", text)], &["a/Cargo.toml:4", "a/Cargo.toml:6"]);
    }
}
