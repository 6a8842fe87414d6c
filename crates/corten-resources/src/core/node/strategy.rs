//! What clients may change of a node through each of its endpoints.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    resource::{Context, Strategy},
    validation::cidr_warnings,
};

use super::validation;
use crate::{gates::Gated, rules::keep, status::Status};

/// What a kubelet can do that pods may need.
const DECLARED: Gated = Gated::new(&["NodeDeclaredFeatures"], &["status.declaredFeatures"]);

/// The node itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, node: &mut Value) {
        DECLARED.drop_from(cx.features, node, None);
        // Configuring kubelets through the API is gone.
        node.unset(&["spec", "configSource"]);
        node.unset(&["status", "config"]);
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, node: &mut Value, old: &Value) {
        keep(node, old, &["status"]);
        if old.at(&["spec", "configSource"]).is_none() {
            node.unset(&["spec", "configSource"]);
        }
    }

    fn validate(&self, cx: &Context<'_>, node: &Value) -> ErrorList {
        validation::create(cx.features, node)
    }

    fn validate_update(&self, cx: &Context<'_>, node: &Value, old: &Value) -> ErrorList {
        let mut errors = validation::create(cx.features, node);
        errors.extend(validation::update(node, old));
        errors
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, node: &Value) -> Vec<String> {
        warnings(node)
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, node: &Value, _old: &Value) -> Vec<String> {
        warnings(node)
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }
}

/// Advice about fields that nobody reads, and about networks that are not in the form they should have.
fn warnings(node: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    if node.at(&["spec", "configSource"]).is_some_and(|source| !source.is_null()) {
        warnings.push("spec.configSource: the feature is removed".to_owned());
    }
    if node.str_at(&["spec", "externalID"]).is_some_and(|id| !id.is_empty()) {
        warnings.push("spec.externalID: this field is deprecated, and is unused by Kubernetes".to_owned());
    }
    let path = Path::new("spec").child("podCIDRs");
    for (index, range) in node.items_at(&["spec", "podCIDRs"]).iter().enumerate() {
        warnings.extend(cidr_warnings(&path.index(index), range.as_str().unwrap_or_default()));
    }
    warnings
}

/// `status`: what the kubelet reports.
pub(super) static STATUS: Status =
    Status::new(|_cx, node, old| validation::update(node, old)).preparing(|cx, node, old| {
        DECLARED.drop_from(cx.features, node, Some(old));
        if old.at(&["status", "config"]).is_none() {
            node.unset(&["status", "config"]);
        }
    });
