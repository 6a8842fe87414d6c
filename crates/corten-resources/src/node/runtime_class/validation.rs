//! Rules of runtime classes.

use corten_api::{core::v1::ResourceRequirements, node::v1::RuntimeClass};
use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    validation::is_dns1123_label,
};

use crate::{
    core::pod_spec::validation::{node_labels, requirements, tolerations},
    report::{Report, with_view},
    view::list,
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
            tolerations(list(&scheduling.tolerations), &path.child("tolerations"), errors);
        }
    })
}

pub(super) fn update(class: &Value, old: &Value) -> ErrorList {
    let mut errors = create(class);
    errors.immutable(&Path::new("handler"), class.get("handler"), old.get("handler"));
    errors
}
