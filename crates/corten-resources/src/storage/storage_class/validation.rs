//! Rules of storage classes.

use corten_api::storage::v1::StorageClass;
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    validation::is_qualified_name,
    value::semantically_equal,
};

use crate::{
    report::{Report, with_view},
    view::{Seen, each, text},
};

const PARAMETERS_MAX: usize = 512;
const PARAMETERS_MAX_BYTES: usize = 256 * 1_024;

pub(super) fn create(class: &Value) -> ErrorList {
    with_view(class, |class: &StorageClass, errors| {
        let path = Path::new("provisioner");
        if errors.require(&path, &class.provisioner) {
            let lower = class.provisioner.to_lowercase();
            errors.invalids(&path, &class.provisioner, is_qualified_name(&lower));
        }
        let path = Path::new("parameters");
        let parameters = class.parameters.clone().unwrap_or_default();
        if parameters.len() > PARAMETERS_MAX {
            errors.push(Error::too_long(&path, PARAMETERS_MAX));
        } else {
            for key in parameters.keys().filter(|key| key.is_empty()) {
                errors.invalid(&path, key.as_str(), "field can not be empty.");
            }
            let size_bytes: usize = parameters.iter().map(|(key, value)| key.len() + value.len()).sum();
            if size_bytes > PARAMETERS_MAX_BYTES {
                errors.push(Error::too_long(&path, PARAMETERS_MAX_BYTES));
            }
        }
        let policy = text(&class.reclaim_policy);
        if !policy.is_empty() {
            errors.one_of(&Path::new("reclaimPolicy"), policy, &["Delete", "Retain"]);
        }
        let modes = &["Immediate", "WaitForFirstConsumer"];
        errors.require_one_of(&Path::new("volumeBindingMode"), text(&class.volume_binding_mode), modes);
        for (at, term) in each(&class.allowed_topologies, &Path::new("allowedTopologies")) {
            let mut keys = Seen::default();
            for (at, rule) in each(&term.match_label_expressions, &at.child("matchLabelExpressions")) {
                if rule.values.is_empty() {
                    errors.required(&at.child("values"), "");
                }
                let mut values = Seen::default();
                for (index, value) in rule.values.iter().enumerate().filter(|(_, value)| !values.is_new(*value)) {
                    errors.push(Error::duplicate(&at.child("values").index(index), value.as_str()));
                }
                errors.invalids(&at.child("key"), &rule.key, is_qualified_name(&rule.key));
                if !keys.is_new(&rule.key) {
                    errors.push(Error::duplicate(&at.child("key"), rule.key.as_str()));
                }
            }
        }
    })
}

pub(super) fn update(class: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    for field in ["parameters", "provisioner", "reclaimPolicy"] {
        if !semantically_equal(class.get(field), old.get(field)) {
            errors.forbidden(&Path::new(field), format!("updates to {field} are forbidden."));
        }
    }
    let mode = "volumeBindingMode";
    errors.immutable(&Path::new(mode), class.get(mode), old.get(mode));
    errors
}
