//! Defaults of CSI drivers.

use corten_apimachinery::Value;

use crate::defaulting::fill_absent;

pub(super) fn v1(driver: &mut Value) {
    let spec = driver.at_or_insert(&["spec"]);
    fill_absent(spec, "attachRequired", true);
    fill_absent(spec, "podInfoOnMount", false);
    fill_absent(spec, "storageCapacity", false);
    fill_absent(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    if spec.items_at(&["volumeLifecycleModes"]).is_empty() {
        spec.set(&["volumeLifecycleModes"], vec![Value::from("Persistent")]);
    }
    fill_absent(spec, "requiresRepublish", false);
    // Behind a gate, which the strategy asks.
    fill_absent(spec, "seLinuxMount", false);
}
