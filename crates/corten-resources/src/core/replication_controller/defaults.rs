//! Defaults of replication controllers: selector and labels come from the template.

use corten_apimachinery::Value;

use crate::core::pod_spec::workload;

pub(super) fn v1(controller: &mut Value) {
    if let Some(labels) = controller.at(&["spec", "template", "metadata", "labels"]).filter(|l| !l.is_null()).cloned() {
        for path in [["spec", "selector"], ["metadata", "labels"]] {
            let is_empty =
                controller.at(&path).and_then(Value::as_object).is_none_or(corten_apimachinery::Map::is_empty);
            if is_empty {
                controller.set(&path, labels.clone());
            }
        }
    }
    workload::defaults(controller);
}
