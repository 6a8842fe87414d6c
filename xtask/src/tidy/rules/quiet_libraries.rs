//! Libraries (layers 0 to 2) return what went wrong, and their callers log it: they have nothing to log with.

use crate::tidy::catalog::Report;
use crate::tidy::finding::Place;
use crate::tidy::manifest::DependencyKind;
use crate::tidy::project::Project;

/// The highest layer of libraries.
const LIBRARIES: i64 = 2;

/// Those that run tasks for as long as the process, which end in errors that nobody waits for: servers, and watch caches. The
/// first also sets up the logs.
const WITH_TASKS: [&str; 2] = ["corten-component-base", "corten-storage"];

pub(crate) fn check(project: &Project, report: Report<'_>) {
    for package in &project.crates {
        let is_library = package.layer.is_some_and(|layer| layer <= LIBRARIES);
        if !is_library || WITH_TASKS.contains(&&*package.name) {
            continue;
        }
        let path = package.manifest_path();
        let logs = package.dependencies.iter().find(|dependency| dependency.name == "tracing");
        if logs.is_some_and(|tracing| tracing.kind != DependencyKind::Dev) {
            report(
                Place::new(&path, project.files[&path].line_of("\ntracing") + 1),
                format!("{} is a library, and could log", package.name),
                "return the error, or tell the caller by a value; who ends with it logs",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::check;

    fn manifest(name: &str, layer: u8) -> String {
        format!(
            "[package]\nname = \"{name}\"\n[package.metadata.corten]\nlayer = {layer}\n[dependencies]\n\
             tracing.workspace = true\n"
        )
    }

    #[test]
    fn passes_components_and_libraries_with_tasks() {
        check(super::check, &[("a/Cargo.toml", &manifest("a", 3))], &[]);
        check(super::check, &[("a/Cargo.toml", &manifest("corten-storage", 2))], &[]);
        let for_tests = manifest("a", 1).replace("[dependencies]", "[dev-dependencies]");
        check(super::check, &[("a/Cargo.toml", &for_tests)], &[]);
    }

    #[test]
    fn reports_libraries_that_could_log() {
        check(super::check, &[("a/Cargo.toml", &manifest("a", 2))], &["a/Cargo.toml:6"]);
    }
}
