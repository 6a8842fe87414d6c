//! Advice about pods and templates that are valid but will surprise somebody.
//!
//! Upstream: pkg/api/pod/warnings.go (v1.35), the part about what people often write.

use std::collections::BTreeMap;

use corten_apimachinery::{
    Value,
    field::{Path, quote},
    quantity::Quantity,
};

use crate::quantity::Amount;

/// Labels of nodes whose names changed: (old, since when, new).
const RENAMED_LABELS: [(&str, &str, &str); 5] = [
    ("beta.kubernetes.io/arch", "v1.14", "kubernetes.io/arch"),
    ("beta.kubernetes.io/os", "v1.14", "kubernetes.io/os"),
    ("failure-domain.beta.kubernetes.io/region", "v1.17", "topology.kubernetes.io/region"),
    ("failure-domain.beta.kubernetes.io/zone", "v1.17", "topology.kubernetes.io/zone"),
    ("beta.kubernetes.io/instance-type", "v1.17", "node.kubernetes.io/instance-type"),
];

/// Advice about a `PodSpec` at `path`.
pub(crate) fn pod_spec(spec: &Value, path: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    let selector = spec.get("nodeSelector").and_then(Value::as_object).cloned().unwrap_or_default();
    for (old, since, new) in RENAMED_LABELS.iter().filter(|(old, ..)| selector.contains_key(old)) {
        let at = path.child("nodeSelector").key(old);
        warnings.push(format!("{at}: deprecated since {since}; use {} instead", quote(new)));
    }
    if spec.i64_at(&["terminationGracePeriodSeconds"]).is_some_and(|seconds| seconds < 0) {
        let at = path.child("terminationGracePeriodSeconds");
        warnings.push(format!("{at}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    // The same port of two containers is one too many; init containers run alone.
    let mut ports: BTreeMap<(String, i64), Path> = BTreeMap::new();
    for (list, shares_ports) in [("initContainers", false), ("containers", true)] {
        for (index, container) in spec.items_at(&[list]).iter().enumerate() {
            let at = path.child(list).index(index);
            amounts(container, &at, &mut warnings);
            environment(container, &at, &mut warnings);
            if !shares_ports {
                ports.clear();
            }
            for (index, port) in container.items_at(&["ports"]).iter().enumerate() {
                let at = at.child("ports").index(index);
                let protocol = port.str_at(&["protocol"]).unwrap_or_default().to_owned();
                let key = (protocol, port.i64_at(&["containerPort"]).unwrap_or_default());
                match ports.get(&key) {
                    Some(first) => warnings.push(format!("{at}: duplicate port definition with {first}")),
                    None => {
                        ports.insert(key, at);
                    }
                }
            }
        }
        ports.clear();
    }
    warnings
}

/// There are no parts of a byte: `100m` of memory is most likely a slip for `100M`.
fn amounts(container: &Value, path: &Path, warnings: &mut Vec<String>) {
    for list in ["limits", "requests"] {
        for name in ["memory", "ephemeral-storage"] {
            let Some(text) = container.str_at(&["resources", list, name]) else { continue };
            if Quantity::parse(text).is_some_and(|amount| !amount.is_whole_at(0)) {
                let at = path.child("resources").child(list).key(name);
                let text = quote(text);
                warnings.push(format!("{at}: fractional byte value {text} is invalid, must be an integer"));
            }
        }
    }
}

fn environment(container: &Value, path: &Path, warnings: &mut Vec<String>) {
    let vars = container.items_at(&["env"]);
    for (index, var) in vars.iter().enumerate() {
        let name = var.str_at(&["name"]).unwrap_or_default();
        if vars[..index].iter().any(|earlier| earlier.str_at(&["name"]) == Some(name)) {
            let (at, name) = (path.child("env").index(index), quote(name));
            warnings.push(format!("{at}: hides previous definition of {name}, which may be dropped when using apply"));
        }
    }
}

/// Advice about the template of an object.
pub(crate) fn template(object: &Value) -> Vec<String> {
    let path = Path::new("spec").child("template").child("spec");
    object.at(&["spec", "template", "spec"]).map(|spec| pod_spec(spec, &path)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use corten_apimachinery::field::Path;
    use serde_json::json;

    use super::pod_spec;
    use crate::testing::value;

    #[test]
    fn surprises_are_announced() {
        let spec = value(json!({
            "nodeSelector": {"beta.kubernetes.io/os": "linux"}, "terminationGracePeriodSeconds": -1,
            "containers": [
                {
                    "env": [{"name": "A"}, {"name": "B"}, {"name": "A"}], "ports": [{"containerPort": 80, "protocol": "TCP"}],
                    "resources": {"limits": {"memory": "100m"}},
                },
                {"ports": [{"containerPort": 80, "protocol": "UDP"}, {"containerPort": 80, "protocol": "TCP"}]},
            ],
        }));
        assert_eq!(
            pod_spec(&spec, &Path::new("spec")),
            [
                "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
                "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
                "spec.containers[0].resources.limits[memory]: fractional byte value \"100m\" is invalid, must be an integer",
                "spec.containers[0].env[2]: hides previous definition of \"A\", which may be dropped when using apply",
                "spec.containers[1].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
            ]
        );
    }
}
