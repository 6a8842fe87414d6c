//! AppArmor profiles that are still named in annotations go into the fields, which is what kubelets read.
//!
//! Upstream: `applyAppArmorVersionSkew` in pkg/registry/core/pod/strategy.go (v1.35).

use std::collections::BTreeMap;

use corten_apimachinery::{Value, field::Path, meta::ObjectMeta as _};

use crate::defaulting::each;

const PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";

/// The longest name of a profile on a node, in bytes: that of a path.
const PROFILE_MAX_BYTES: usize = 4_095;

const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Fills in the profile of every container that has one in an annotation and none in its field.
pub(super) fn fields_from_annotations(pod: &mut Value) {
    if is_windows(pod) || !annotations(pod).any(|_| true) {
        return;
    }
    let named: BTreeMap<String, Value> = annotations(pod)
        .filter_map(|(container, profile)| Some((container.to_owned(), field_of(profile)?)))
        .filter(|(_, field)| Some(field) != of_pod(pod))
        .collect();
    for list in LISTS {
        each(pod, &["spec", list], |container| {
            let name = container.str_at(&["name"]).unwrap_or_default();
            let field = named.get(name).cloned();
            if let Some(field) = field.filter(|_| container.at(&["securityContext", "appArmorProfile"]).is_none()) {
                container.set(&["securityContext", "appArmorProfile"], field);
            }
        });
    }
}

/// Advice about annotations that are more than a repetition of the pod's own profile.
pub(super) fn warnings(pod: &Value) -> Vec<String> {
    if is_windows(pod) {
        return Vec::new();
    }
    let path = Path::new("metadata").child("annotations");
    if !annotations(pod).any(|_| true) {
        return Vec::new();
    }
    let mut containers: BTreeMap<&str, &Value> = BTreeMap::new();
    for container in LISTS.iter().flat_map(|list| pod.items_at(&["spec", list])) {
        if let Some(name) = container.str_at(&["name"]) {
            containers.entry(name).or_insert(container);
        }
    }
    annotations(pod)
        .filter(|(name, profile)| {
            let Some(container) = containers.get(name) else { return false };
            let (own, said) = (container.at(&["securityContext", "appArmorProfile"]), field_of(profile));
            let is_overruled = own.is_some() && own != said.as_ref();
            !is_overruled && said.is_none_or(|said| Some(&said) != of_pod(pod))
        })
        .map(|(container, _)| {
            let at = path.key(format!("{PREFIX}{container}"));
            format!("{at}: deprecated since v1.30; use the \"appArmorProfile\" field instead")
        })
        .collect()
}

fn is_windows(pod: &Value) -> bool {
    pod.str_at(&["spec", "os", "name"]) == Some("windows")
}

fn of_pod(pod: &Value) -> Option<&Value> {
    pod.at(&["spec", "securityContext", "appArmorProfile"])
}

/// Containers and their profiles.
fn annotations(pod: &Value) -> impl Iterator<Item = (&str, &str)> {
    let all = pod.annotations().into_iter().flat_map(|all| all.iter());
    all.filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value.as_str()?)))
}

/// The field that says the same as an annotation; `None` for one that says nothing valid.
fn field_of(profile: &str) -> Option<Value> {
    let of_type = |ty: &'static str| Some(Value::object_of([("type", ty.into())]));
    match profile {
        "runtime/default" => of_type("RuntimeDefault"),
        "unconfined" => of_type("Unconfined"),
        other => {
            let name = other.strip_prefix("localhost/")?;
            let is_valid = !name.is_empty() && name.trim() == name && name.len() <= PROFILE_MAX_BYTES;
            is_valid.then(|| Value::object_of([("type", "Localhost".into()), ("localhostProfile", name.into())]))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{fields_from_annotations, warnings};
    use crate::testing::value;

    /// Annotations had no effect: containers ran without the profile that was asked for.
    #[test]
    fn a_profile_in_an_annotation_has_effect() {
        let key = |name: &str| format!("container.apparmor.security.beta.kubernetes.io/{name}");
        let mut pod = value(json!({
            "metadata": {"annotations": {
                key("a"): "localhost/mine", key("b"): "runtime/default", key("c"): "unconfined", key("d"): "nonsense",
            }},
            "spec": {
                "securityContext": {"appArmorProfile": {"type": "Unconfined"}},
                "containers": [
                    {"name": "a"}, {"name": "b", "securityContext": {"appArmorProfile": {"type": "Unconfined"}}},
                    {"name": "c"}, {"name": "d"},
                ],
            },
        }));
        let advice = warnings(&pod);
        fields_from_annotations(&mut pod);
        let containers = pod.items_at(&["spec", "containers"]);
        let profile = |index: usize| containers[index].at(&["securityContext", "appArmorProfile"]);
        assert_eq!(profile(0), Some(&value(json!({"type": "Localhost", "localhostProfile": "mine"}))));
        assert_eq!(profile(1), Some(&value(json!({"type": "Unconfined"}))), "the field wins");
        assert_eq!((profile(2), profile(3)), (None, None), "the pod's own, and none at all");
        assert_eq!(advice.len(), 2, "{advice:?}");
        assert_eq!(
            advice[0],
            "metadata.annotations[container.apparmor.security.beta.kubernetes.io/a]: deprecated since v1.30; use the \
             \"appArmorProfile\" field instead"
        );
    }
}
