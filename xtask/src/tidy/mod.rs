//! `cargo xtask tidy`: the invariants of ARCHITECTURE.md and STYLE.md that a program can check without compiling.
//!
//! Flow: files known to git -> [`project::Project`] (masked sources, parsed manifests, module tree) -> every rule of
//! [`catalog::RULES`] -> findings, each with a place, the rule's name and a cure.
//! Invariant: rules see the project only, never the disk, so that each is tested on a handful of lines in memory.

mod catalog;
mod finding;
mod manifest;
mod modules;
mod project;
mod rules;
mod source;
#[cfg(test)]
mod testing;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use self::finding::Finding;
use self::project::Project;
use crate::stopwatch::Stopwatch;

/// Checks the working tree at `root` and prints what it finds.
///
/// Errors: git is missing or `root` is no work tree; at least one rule is broken.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    let project = Project::new(read_files(root)?);
    let findings = check(&project);
    for finding in &findings {
        println!("{finding}");
    }
    println!(
        "tidy: {} files, {} rules, {} errors in {}",
        project.files.len(),
        catalog::RULES.len(),
        findings.len(),
        watch.elapsed_text()
    );
    if !findings.is_empty() {
        bail!("{} tidy errors, listed above with their cures", findings.len());
    }
    Ok(())
}

/// Runs every rule; findings come ordered by file and line.
fn check(project: &Project) -> Vec<Finding> {
    let mut findings = project.broken_manifests.clone();
    for rule in catalog::RULES {
        (rule.check)(project, &mut |place, message, cure| {
            findings.push(Finding { place, rule: rule.name, message, cure })
        });
    }
    findings.sort_by(|a, b| (&a.place.path, a.place.line).cmp(&(&b.place.path, b.place.line)));
    findings
}

/// Reads every text file that is tracked or would be added: ignored files are nobody's business.
fn read_files(root: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let listing = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("start git: tidy asks it which files belong to the project; install git")?;
    if !listing.status.success() {
        bail!("list the project's files: {}", String::from_utf8_lossy(&listing.stderr).trim());
    }
    let mut files = Vec::new();
    for name in String::from_utf8_lossy(&listing.stdout).split('\0').filter(|name| !name.is_empty()) {
        // A file deleted but not yet committed is still listed; a binary file has no lines to check.
        let Ok(bytes) = std::fs::read(root.join(name)) else { continue };
        let Ok(text) = String::from_utf8(bytes) else { continue };
        files.push((name.to_owned(), text));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_names_are_unique() {
        let mut names: Vec<&str> = catalog::RULES.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), catalog::RULES.len());
    }
}
