//! Helpers for the rules' tests: a project of a few lines, and findings as `path:line`.

use super::catalog::Report;
use super::project::Project;

pub(crate) fn files(sources: &[(&str, &str)]) -> Vec<(String, String)> {
    sources.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect()
}

/// Runs one rule over the files and compares the places it reports, in its order.
#[track_caller]
pub(crate) fn check(rule: fn(&Project, Report<'_>), sources: &[(&str, &str)], want: &[&str]) {
    let project = Project::new(files(sources));
    assert!(project.broken_manifests.is_empty(), "{:?}", project.broken_manifests);
    let mut got = Vec::new();
    rule(&project, &mut |place, _, _| got.push(format!("{}:{}", place.path, place.line)));
    assert_eq!(got, want);
}
