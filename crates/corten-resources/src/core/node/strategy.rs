//! What clients may change of a node through each of its endpoints.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::validation;
use crate::{gates::Gated, rules::keep};

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
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, node: &mut Value, old: &Value) {
        keep(node, old, &["status"]);
        if old.at(&["spec", "configSource"]).is_none() {
            node.unset(&["spec", "configSource"]);
        }
    }

    fn validate(&self, _cx: &Context<'_>, node: &Value) -> ErrorList {
        validation::create(node)
    }

    fn validate_update(&self, _cx: &Context<'_>, node: &Value, old: &Value) -> ErrorList {
        let mut errors = validation::create(node);
        errors.extend(validation::update(node, old));
        errors
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }
}

/// `status`: what the kubelet reports.
#[derive(Debug)]
pub(super) struct Status;

impl Strategy for Status {
    fn prepare_for_update(&self, cx: &Context<'_>, node: &mut Value, old: &Value) {
        DECLARED.drop_from(cx.features, node, Some(old));
        keep(node, old, &["spec"]);
    }

    fn validate(&self, _cx: &Context<'_>, _node: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, _cx: &Context<'_>, node: &Value, old: &Value) -> ErrorList {
        validation::update(node, old)
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["spec"]]
    }
}
