//! Advice about pods and templates that are valid but will surprise somebody.
//!
//! Upstream: pkg/api/pod/warnings.go (v1.35), the part about what people often write.

use std::collections::BTreeSet;

use corten_apimachinery::{
    Value,
    field::{Path, quote},
    meta::ObjectMeta as _,
    quantity::Quantity,
    validation::is_dns1123_label,
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

/// Advice about the `nodeSelector` of what is at `path`: a `PodSpec`, or what a runtime class says of scheduling.
pub(crate) fn node_selector(spec: &Value, path: &Path) -> Vec<String> {
    let selector = spec.get("nodeSelector").and_then(Value::as_object);
    let renamed = RENAMED_LABELS.iter().filter(|(old, ..)| selector.is_some_and(|selector| selector.contains_key(old)));
    let advice = renamed.map(|(old, since, new)| {
        let at = path.child("nodeSelector").key(old);
        format!("{at}: deprecated since {since}; use {} instead", quote(new))
    });
    advice.collect()
}

/// Advice about a `PodSpec` at `path`.
pub(crate) fn pod_spec(spec: &Value, path: &Path) -> Vec<String> {
    let mut warnings = node_selector(spec, path);
    if spec.i64_at(&["terminationGracePeriodSeconds"]).is_some_and(|seconds| seconds < 0) {
        let at = path.child("terminationGracePeriodSeconds");
        warnings.push(format!("{at}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    for list in ["initContainers", "containers"] {
        // The same port of two containers is one too many; init containers run alone.
        let mut ports: Vec<(Path, &Value)> = Vec::new();
        for (index, container) in spec.items_at(&[list]).iter().enumerate() {
            let at = path.child(list).index(index);
            amounts(container, &at, &mut warnings);
            environment(container, &at, &mut warnings);
            if list == "initContainers" {
                ports.clear();
            }
            for (index, port) in container.items_at(&["ports"]).iter().enumerate() {
                let at = at.child("ports").index(index);
                one_port(port, &at, &ports, &mut warnings);
                ports.push((at, port));
            }
        }
    }
    warnings
}

/// Compares a port with those before it.
fn one_port(port: &Value, at: &Path, earlier: &[(Path, &Value)], warnings: &mut Vec<String>) {
    fn number(port: &Value, field: &str) -> i64 {
        port.i64_at(&[field]).unwrap_or_default()
    }
    fn text<'p>(port: &'p Value, field: &str) -> &'p str {
        port.str_at(&[field]).unwrap_or_default()
    }
    let (host_ip, host_port) = (text(port, "hostIP"), number(port, "hostPort"));
    if !host_ip.is_empty() && host_port == 0 {
        warnings.push(format!(
            "{at}: hostIP set without hostPort: {{Name:{} HostPort:0 ContainerPort:{} Protocol:{} HostIP:{host_ip}}}",
            text(port, "name"),
            number(port, "containerPort"),
            text(port, "protocol"),
        ));
    }
    let is_same = |other: &Value| {
        number(other, "containerPort") == number(port, "containerPort")
            && text(other, "protocol") == text(port, "protocol")
    };
    for (path, other) in earlier.iter().filter(|(_, other)| is_same(other)) {
        let (other_ip, other_port) = (text(other, "hostIP"), number(other, "hostPort"));
        let how = if (host_ip, host_port) == (other_ip, other_port) {
            "duplicate"
        } else if host_port == 0 || other_port == 0 {
            "overlapping"
        } else if host_port == other_port && host_ip.is_empty() != other_ip.is_empty() {
            "dangerously ambiguous"
        } else {
            continue;
        };
        warnings.push(format!("{at}: {how} port definition with {path}"));
    }
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
    let mut earlier = BTreeSet::new();
    for (index, var) in container.items_at(&["env"]).iter().enumerate() {
        let given_name = var.str_at(&["name"]);
        let name = given_name.unwrap_or_default();
        // A value that is built on the one before it is meant so: `X=$(X):more`.
        let (value, before) = (var.str_at(&["value"]).unwrap_or_default(), format!("$({name})"));
        let extends = var.get("valueFrom").is_none() && value != before && value.contains(&before);
        if !extends && earlier.contains(name) {
            let (at, name) = (path.child("env").index(index), quote(name));
            warnings.push(format!("{at}: hides previous definition of {name}, which may be dropped when using apply"));
        }
        earlier.extend(given_name);
    }
}

/// Advice about a new object whose pods are named after it.
pub(crate) fn workload(object: &Value) -> Vec<String> {
    let problems = is_dns1123_label(object.name());
    let mut warnings = Vec::new();
    if !problems.is_empty() {
        warnings.push(format!(
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label \
             is recommended: [{}]",
            problems.join(" ")
        ));
    }
    warnings.extend(template(object));
    warnings
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

    use super::{pod_spec, workload};
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

    #[test]
    fn ports_are_compared_with_those_of_the_host() {
        let port = |host_port: i64, host_ip: &str| json!({"containerPort": 80, "protocol": "TCP", "hostPort": host_port, "hostIP": host_ip});
        let spec = json!({"containers": [
            {"ports": [port(0, ""), port(8080, "")], "env": [{"name": "X", "value": "a"}, {"name": "X", "value": "$(X):b"}]},
            {"ports": [port(8080, "10.0.0.1"), {"containerPort": 81, "protocol": "TCP", "hostIP": "10.0.0.1"}]},
        ]});
        assert_eq!(
            pod_spec(&value(spec), &Path::new("spec")),
            [
                "spec.containers[0].ports[1]: overlapping port definition with spec.containers[0].ports[0]",
                "spec.containers[1].ports[0]: overlapping port definition with spec.containers[0].ports[0]",
                "spec.containers[1].ports[0]: dangerously ambiguous port definition with spec.containers[0].ports[1]",
                "spec.containers[1].ports[1]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:81 Protocol:TCP \
                 HostIP:10.0.0.1}",
            ]
        );
    }

    #[test]
    fn a_workload_with_a_name_that_is_no_host_name_is_announced() {
        assert_eq!(workload(&value(json!({"metadata": {"name": "web"}}))), [""; 0]);
        assert_eq!(
            workload(&value(json!({"metadata": {"name": "web.v1"}}))),
            [
                "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label \
              is recommended: [must not contain dots]"
            ]
        );
    }
}
