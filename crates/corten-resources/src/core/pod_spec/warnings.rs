//! Advice about pods and templates that are valid but will surprise somebody.
//!
//! Upstream: pkg/api/pod/warnings.go (v1.35), the part about what people often write.

use std::collections::{BTreeMap, BTreeSet};

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

/// How many warnings about pairs of ports a pod is worth: more than an answer carries (4,096 characters in all), fewer than
/// what the pairs of a hostile pod's ports come to.
const PORT_WARNINGS_MAX: usize = 100;

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
        let mut ports = Ports::default();
        for (index, container) in spec.items_at(&[list]).iter().enumerate() {
            let at = path.child(list).index(index);
            amounts(container, &at, &mut warnings);
            environment(container, &at, &mut warnings);
            if list == "initContainers" {
                ports = Ports::default();
            }
            for (index, port) in container.items_at(&["ports"]).iter().enumerate() {
                let at = at.child("ports").index(index);
                ports.add(port, at, &mut warnings);
            }
        }
    }
    warnings
}

/// The ports of containers that run side by side, by what makes two of them worth a warning.
///
/// Each pair is worth one, as upstream; those looked at are those told of, and there is a bound to that.
#[derive(Default)]
struct Ports<'p> {
    known: BTreeMap<PortKey<'p>, Known<'p>>,
    told: usize,
}

/// The container's port, and its protocol.
type PortKey<'p> = (i64, &'p str);

/// Ports of one key in their order, and their places in it by host port and host address.
#[derive(Default)]
struct Known<'p> {
    paths: Vec<Path>,
    by_host: BTreeMap<(i64, &'p str), Vec<usize>>,
}

impl<'p> Ports<'p> {
    /// Compares a port with those before it, and takes it in.
    fn add(&mut self, port: &'p Value, at: Path, warnings: &mut Vec<String>) {
        let number = |field: &str| port.i64_at(&[field]).unwrap_or_default();
        let text = |field: &str| port.str_at(&[field]).unwrap_or_default();
        let (host_ip, host_port) = (text("hostIP"), number("hostPort"));
        let (container_port, protocol) = (number("containerPort"), text("protocol"));
        if !host_ip.is_empty() && host_port == 0 {
            let name = text("name");
            warnings.push(format!(
                "{at}: hostIP set without hostPort: {{Name:{name} HostPort:0 ContainerPort:{container_port} \
                 Protocol:{protocol} HostIP:{host_ip}}}"
            ));
        }
        let known = self.known.entry((container_port, protocol)).or_default();
        let left = PORT_WARNINGS_MAX.saturating_sub(self.told);
        let clashes = known.clashes((host_port, host_ip), left);
        self.told += clashes.len();
        let told = clashes.into_iter().map(|(other, how)| {
            let other = &known.paths[other];
            format!("{at}: {how} port definition with {other}")
        });
        warnings.extend(told);
        known.by_host.entry((host_port, host_ip)).or_default().push(known.paths.len());
        known.paths.push(at);
    }
}

impl<'p> Known<'p> {
    /// The first `limit` of those that clash with another one for `host`, and how.
    fn clashes(&self, host: (i64, &'p str), limit: usize) -> Vec<(usize, &'static str)> {
        if limit == 0 {
            return Vec::new();
        }
        let (port, ip) = host;
        let how = |other: (i64, &str)| match other {
            other if other == host => "duplicate",
            (0, _) => "overlapping",
            _ if port == 0 => "overlapping",
            _ => "dangerously ambiguous",
        };
        let ports = |port: i64| self.by_host.range((port, "")..(port.saturating_add(1), ""));
        // Without a port of the host, it is redundant with every other; with one, and without an address, with all of that.
        let groups: Vec<_> = match (port, ip) {
            (0, _) => self.by_host.iter().collect(),
            (_, "") => ports(0).chain(ports(port)).collect(),
            _ => {
                let same = [(port, ""), host].into_iter().filter_map(|host| self.by_host.get_key_value(&host));
                ports(0).chain(same).collect()
            }
        };
        // Of each group the first ones are enough to know the first of all.
        let mut clashes: Vec<_> = groups
            .into_iter()
            .flat_map(|(other, places)| places.iter().take(limit).map(move |&place| (place, how(*other))))
            .collect();
        clashes.sort_unstable();
        clashes.truncate(limit);
        clashes
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
    let mut warnings = name(object);
    warnings.extend(template(object));
    warnings
}

/// Advice about a name that pods will begin with.
pub(crate) fn name(object: &Value) -> Vec<String> {
    let problems = is_dns1123_label(object.name());
    if problems.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is \
         recommended: [{}]",
        problems.join(" ")
    )]
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

    /// A valid pod of 20,000 equal ports got a warning for each pair of them: 24 GB.
    #[test]
    fn many_ports_get_a_few_warnings() {
        let equal: Vec<_> = (0..20_000).map(|_| json!({"containerPort": 1, "protocol": "TCP"})).collect();
        let on_host: Vec<_> = (0..20_000)
            .map(|n| json!({"containerPort": 1, "protocol": "TCP", "hostPort": 1, "hostIP": format!("10.0.{}.{}", n / 250, n % 250)}))
            .collect();
        let spec = value(json!({"containers": [{"ports": equal}]}));
        let warnings = pod_spec(&spec, &Path::new("spec"));
        assert_eq!(warnings.len(), 100);
        assert_eq!(
            warnings[..3],
            [
                "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
                "spec.containers[0].ports[2]: duplicate port definition with spec.containers[0].ports[0]",
                "spec.containers[0].ports[2]: duplicate port definition with spec.containers[0].ports[1]",
            ]
        );
        let spec = value(json!({"containers": [{"ports": on_host}]}));
        assert_eq!(pod_spec(&spec, &Path::new("spec")), [""; 0]);
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
