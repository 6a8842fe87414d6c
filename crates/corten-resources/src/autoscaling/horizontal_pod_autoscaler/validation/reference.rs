//! Rules of references to objects of any kind.

use corten_api::autoscaling::v2::CrossVersionObjectReference;
use corten_apimachinery::{
    field::{ErrorList, Path},
    gvk::GroupVersion,
    validation::is_path_segment_name,
};

use crate::{report::Report, view::text};

/// What is asked of the version of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// Nothing.
    Unchecked,
    /// It is a version, with or without a group.
    Any,
    /// It names a group.
    Named,
}

/// The rules of a reference at `path`.
pub(super) fn check(reference: &CrossVersionObjectReference, group: Group, path: &Path, errors: &mut ErrorList) {
    for (field, value) in [("kind", reference.kind.as_str()), ("name", reference.name.as_str())] {
        let at = path.child(field);
        if errors.require(&at, value) {
            errors.invalids(&at, value, is_path_segment_name(value));
        }
    }
    let version = text(&reference.api_version);
    if let Some(problem) = version_problem(version, group) {
        errors.invalid(&path.child("apiVersion"), version, problem);
    }
}

/// What is wrong with a version.
pub(super) fn version_problem(version: &str, group: Group) -> Option<String> {
    if group == Group::Unchecked {
        return None;
    }
    match GroupVersion::parse(version) {
        None => Some(format!("unexpected GroupVersion string: {version}")),
        Some(parsed) if group == Group::Named && parsed.group.is_empty() => {
            Some("apiVersion must specify API group".to_owned())
        }
        Some(_) => None,
    }
}
