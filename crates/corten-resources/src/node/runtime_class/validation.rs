//! Rules of runtime classes.

use std::collections::BTreeSet;

use corten_api::{core::v1::ResourceRequirements, node::v1::RuntimeClass};
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    validation::is_dns1123_label,
};

use crate::{
    core::pod_spec::validation::{node_labels, requirements, tolerations},
    internal_form,
    report::{Report, with_view},
    view::{each, list, text},
};

pub(super) fn create(class: &Value) -> ErrorList {
    with_view(class, |class: &RuntimeClass, errors| {
        errors.invalids(&Path::new("handler"), &class.handler, is_dns1123_label(&class.handler));
        if let Some(overhead) = &class.overhead {
            let limits = ResourceRequirements { limits: overhead.pod_fixed.clone(), ..ResourceRequirements::default() };
            requirements(&limits, &Path::new("overhead"), errors);
        }
        if let Some(scheduling) = &class.scheduling {
            let path = Path::new("scheduling");
            node_labels(scheduling.node_selector.as_ref(), &path.child("nodeSelector"), errors);
            let at = path.child("tolerations");
            // Whatever the gate: upstream does not hand it on here.
            tolerations(list(&scheduling.tolerations), false, &at, errors);
            let mut seen = BTreeSet::new();
            for (at, one) in each(&scheduling.tolerations, &at) {
                let texts = [&one.key, &one.operator, &one.value, &one.effect].map(text);
                if !seen.insert(texts) {
                    errors.push_with(|| {
                        Error::duplicate(&at, Value::Null).showing(internal_form::core_view("Toleration", one))
                    });
                }
            }
        }
    })
}

pub(super) fn update(class: &Value, old: &Value) -> ErrorList {
    let mut errors = create(class);
    errors.immutable(&Path::new("handler"), class.get("handler"), old.get("handler"));
    errors
}
