//! Network policies are stored as sent, and count their changes.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    resource::{Context, Strategy},
    validation::cidr_warnings,
};

use super::validation;
use crate::rules::{first_generation, next_generation};

/// The network policy itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, _cx: &Context<'_>, policy: &mut Value) {
        first_generation(policy);
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, policy: &mut Value, old: &Value) {
        next_generation(policy, old, &[&["spec"]]);
    }

    fn validate(&self, cx: &Context<'_>, policy: &Value) -> ErrorList {
        validation::validate(cx.features, policy, None)
    }

    fn validate_update(&self, cx: &Context<'_>, policy: &Value, old: &Value) -> ErrorList {
        validation::validate(cx.features, policy, Some(old))
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, policy: &Value) -> Vec<String> {
        warnings(policy)
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, policy: &Value, _old: &Value) -> Vec<String> {
        warnings(policy)
    }
}

/// Networks that are not written as they should be.
fn warnings(policy: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        let at = Path::new("spec").child(direction);
        for (rule_index, rule) in policy.items_at(&["spec", direction]).iter().enumerate() {
            for (index, peer) in rule.items_at(&[peers]).iter().enumerate() {
                let Some(block) = peer.get("ipBlock").filter(|block| !block.is_null()) else { continue };
                let at = at.index(rule_index).child(peers).index(index).child("ipBlock");
                let cidr = block.str_at(&["cidr"]).unwrap_or_default();
                warnings.extend(cidr_warnings(&at.child("cidr"), cidr));
                for (index, except) in block.items_at(&["except"]).iter().enumerate() {
                    let except = except.as_str().unwrap_or_default();
                    warnings.extend(cidr_warnings(&at.child("except").index(index), except));
                }
            }
        }
    }
    warnings
}
