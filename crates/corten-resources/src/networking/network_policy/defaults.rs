//! Defaults of network policies.

use corten_apimachinery::Value;

use crate::defaulting::{each, fill_absent, within};

pub(super) fn v1(policy: &mut Value) {
    within(policy, &["spec"], |spec| {
        for direction in ["ingress", "egress"] {
            each(spec, &[direction], |rule| each(rule, &["ports"], |port| fill_absent(port, "protocol", "TCP")));
        }
        if spec.items_at(&["policyTypes"]).is_empty() {
            let mut types = vec![Value::from("Ingress")];
            if !spec.items_at(&["egress"]).is_empty() {
                types.push("Egress".into());
            }
            spec.set(&["policyTypes"], types);
        }
    });
}
