//! The whole project in memory, read once and shared by all rules.

use std::collections::BTreeMap;

use super::finding::{Finding, Place};
use super::manifest::{self, Crate};
use super::modules::{self, Reached};
use super::source::Source;

/// The project's files with what rules ask about them.
pub(crate) struct Project {
    /// By path below the workspace root.
    pub(crate) files: BTreeMap<String, Source>,
    pub(crate) crates: Vec<Crate>,
    pub(crate) reached: Reached,
    pub(crate) broken_manifests: Vec<Finding>,
}

impl Project {
    pub(crate) fn new(files: Vec<(String, String)>) -> Self {
        let files: BTreeMap<String, Source> =
            files.into_iter().map(|(path, text)| (path.clone(), Source::new(&path, text))).collect();
        let mut crates = Vec::new();
        let mut broken_manifests = Vec::new();
        for (path, source) in &files {
            let Some(folder) = path.strip_suffix("Cargo.toml") else { continue };
            match manifest::parse(folder, &source.text) {
                Ok(parsed) => crates.extend(parsed),
                Err(error) => broken_manifests.push(Finding {
                    place: Place::new(path, 1),
                    rule: "manifest",
                    message: format!("{error:#}"),
                    cure: "write a manifest that cargo can read",
                }),
            }
        }
        let reached = modules::reach(&files, &crates);
        Self { files, crates, reached, broken_manifests }
    }

    /// Every Rust source, with its path.
    pub(crate) fn rust_sources(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.files.iter().filter(|(path, _)| path.ends_with(".rs")).map(|(path, source)| (path.as_str(), source))
    }

    /// The crate a file belongs to: the one with the deepest folder around it.
    pub(crate) fn crate_of(&self, path: &str) -> Option<&Crate> {
        self.crates
            .iter()
            .filter(|package| path.starts_with(&package.folder))
            .max_by_key(|package| package.folder.len())
    }

    /// Whether only tests compile this place of this file.
    pub(crate) fn is_test_code(&self, path: &str, offset: usize) -> bool {
        self.reached.get(path).copied().unwrap_or(false) || self.files[path].is_test_code(offset)
    }
}
