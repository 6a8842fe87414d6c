//! The flow schemas and priority levels that every cluster has, in the form in which they are created.
//!
//! Upstream: k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap/default.go (v1.35).

use std::sync::LazyLock;

use corten_apimachinery::{Value, meta::ObjectMeta as _};

/// What an object of the bootstrap says of its own upkeep: `true` as long as the server may change its spec.
pub const AUTO_UPDATE: &str = "apf.kubernetes.io/autoupdate-spec";

/// Without these no request would have a place. Their specs are fixed, but for that of level `exempt`.
pub static MANDATORY_LEVELS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let mut exempt = level("exempt");
    exempt.set(&["spec", "type"], "Exempt");
    exempt.set(&["spec", "exempt", "nominalConcurrencyShares"], 0_i64);
    exempt.set(&["spec", "exempt", "lendablePercent"], 0_i64);
    vec![exempt, limited("catch-all", 5, 0, None)]
});

/// Without these no request would have a place. Their specs are fixed.
pub static MANDATORY_SCHEMAS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let everybody = [group("system:unauthenticated"), group("system:authenticated")];
    vec![
        schema("exempt", "exempt", 1, None, [all_requests([group("system:masters")])]),
        schema("catch-all", "catch-all", 10_000, Some("ByUser"), [all_requests(everybody)]),
    ]
});

/// What a cluster begins with, besides.
pub static SUGGESTED_LEVELS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let queues = |queues: i64, hand_size: i64| Some(Queuing { queues, hand_size });
    vec![
        limited("system", 30, 33, queues(64, 6)),
        limited("node-high", 40, 25, queues(64, 6)),
        limited("leader-election", 10, 0, queues(16, 4)),
        limited("workload-high", 40, 50, queues(128, 6)),
        limited("workload-low", 100, 90, queues(128, 6)),
        limited("global-default", 20, 50, queues(128, 6)),
    ]
});

/// What a cluster begins with, besides.
pub static SUGGESTED_SCHEMAS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    const LEASES: &str = "coordination.k8s.io";
    let (by_user, by_namespace) = (Some("ByUser"), Some("ByNamespace"));
    let everybody = || [group("system:unauthenticated"), group("system:authenticated")];
    let manager = || user("system:kube-controller-manager");
    let write = ["get", "create", "update"];
    let elections = || resource_rule(&write, LEASES, &["leases"], false);
    let node_rules = || {
        vec![
            resource_rule(&["*"], "", &["nodes", "nodes/status"], true),
            resource_rule(&["*"], LEASES, &["leases"], false),
        ]
    };
    let probes = non_resource_rule("get", &["/healthz", "/readyz", "/livez"]);
    let endpoint_writers = [manager(), account("endpoint-controller"), account("endpointslicemirroring-controller")];
    vec![
        schema("system-nodes", "system", 500, by_user, [all_requests([group("system:nodes")])]),
        schema("system-node-high", "node-high", 400, by_user, [rules([group("system:nodes")], node_rules(), vec![])]),
        schema("probes", "exempt", 2, None, [rules(everybody(), vec![], vec![probes])]),
        schema(
            "system-leader-election",
            "leader-election",
            100,
            by_user,
            [rules([manager(), user("system:kube-scheduler"), account("*")], vec![elections()], vec![])],
        ),
        schema(
            "workload-leader-election",
            "leader-election",
            200,
            by_user,
            [rules([account("*")], vec![elections()], vec![])],
        ),
        schema(
            "endpoint-controller",
            "workload-high",
            150,
            by_user,
            [rules(endpoint_writers, vec![resource_rule(&write, "", &["endpoints"], false)], vec![])],
        ),
        schema("kube-controller-manager", "workload-high", 800, by_namespace, [all_requests([manager()])]),
        schema("kube-scheduler", "workload-high", 800, by_namespace, [all_requests([user("system:kube-scheduler")])]),
        schema("kube-system-service-accounts", "workload-high", 900, by_namespace, [all_requests([account("*")])]),
        schema("service-accounts", "workload-low", 9_000, by_user, [all_requests([group("system:serviceaccounts")])]),
        schema("global-default", "global-default", 9_900, by_user, [all_requests(everybody())]),
    ]
});

/// The fixed spec of the object of this name, if it has one.
pub(super) fn mandatory_spec<'o>(objects: &'o [Value], name: &str) -> Option<&'o Value> {
    objects.iter().find(|object| object.name() == name)?.get("spec")
}

/// How the requests of a level wait.
struct Queuing {
    queues: i64,
    hand_size: i64,
}

/// The length of a queue in all levels.
const QUEUE_LENGTH_LIMIT: i64 = 50;

fn object(kind: &str, name: &str) -> Value {
    let mut object =
        Value::object_of([("apiVersion", "flowcontrol.apiserver.k8s.io/v1".into()), ("kind", Value::from(kind))]);
    object.set(&["metadata", "name"], name);
    object
}

fn level(name: &str) -> Value {
    object("PriorityLevelConfiguration", name)
}

fn limited(name: &str, shares: i64, lendable_percent: i64, queuing: Option<Queuing>) -> Value {
    let mut level = level(name);
    let spec = level.at_or_insert(&["spec"]);
    spec.set(&["type"], "Limited");
    spec.set(&["limited", "nominalConcurrencyShares"], shares);
    spec.set(&["limited", "lendablePercent"], lendable_percent);
    let response = ["limited", "limitResponse"];
    match queuing {
        None => spec.set(&[response[0], response[1], "type"], "Reject"),
        Some(Queuing { queues, hand_size }) => {
            spec.set(&[response[0], response[1], "type"], "Queue");
            let numbers = [("queues", queues), ("handSize", hand_size), ("queueLengthLimit", QUEUE_LENGTH_LIMIT)];
            let numbers = numbers.map(|(key, number)| (key, Value::Int(number)));
            spec.set(&[response[0], response[1], "queuing"], Value::object_of(numbers));
        }
    }
    level
}

fn schema<const N: usize>(
    name: &str,
    level: &str,
    precedence: i64,
    distinguisher: Option<&str>,
    rules: [Value; N],
) -> Value {
    let mut schema = object("FlowSchema", name);
    let spec = schema.at_or_insert(&["spec"]);
    spec.set(&["priorityLevelConfiguration", "name"], level);
    spec.set(&["matchingPrecedence"], precedence);
    if let Some(method) = distinguisher {
        spec.set(&["distinguisherMethod", "type"], method);
    }
    spec.set(&["rules"], Value::array(rules));
    schema
}

fn rules<const N: usize>(subjects: [Value; N], resources: Vec<Value>, others: Vec<Value>) -> Value {
    let mut rules = Value::object_of([("subjects", Value::array(subjects))]);
    for (field, list) in [("resourceRules", resources), ("nonResourceRules", others)] {
        if !list.is_empty() {
            rules.set(&[field], list);
        }
    }
    rules
}

fn all_requests<const N: usize>(subjects: [Value; N]) -> Value {
    let resources = Value::object_of([
        ("verbs", list(&["*"])),
        ("apiGroups", list(&["*"])),
        ("resources", list(&["*"])),
        ("clusterScope", true.into()),
        ("namespaces", list(&["*"])),
    ]);
    rules(subjects, vec![resources], vec![non_resource_rule("*", &["*"])])
}

fn resource_rule(verbs: &[&str], group: &str, resources: &[&str], cluster_scope: bool) -> Value {
    let mut rule = Value::object_of([
        ("verbs", list(verbs)),
        ("apiGroups", list(&[group])),
        ("resources", list(resources)),
        ("namespaces", list(&["*"])),
    ]);
    if cluster_scope {
        rule.set(&["clusterScope"], true);
    }
    rule
}

fn non_resource_rule(verb: &str, urls: &[&str]) -> Value {
    Value::object_of([("verbs", list(&[verb])), ("nonResourceURLs", list(urls))])
}

fn list(items: &[&str]) -> Value {
    Value::array(items.iter().map(|item| Value::from(*item)))
}

fn subject(kind: &str, field: &str, names: &[(&str, &str)]) -> Value {
    let names = names.iter().map(|(key, name)| (*key, Value::from(*name)));
    Value::object_of([("kind", Value::from(kind)), (field, Value::object_of(names))])
}

fn group(name: &str) -> Value {
    subject("Group", "group", &[("name", name)])
}

fn user(name: &str) -> Value {
    subject("User", "user", &[("name", name)])
}

/// A service account of the system.
fn account(name: &str) -> Value {
    subject("ServiceAccount", "serviceAccount", &[("name", name), ("namespace", "kube-system")])
}

#[cfg(test)]
mod tests {
    use corten_apimachinery::resource::ResourceDefinition;

    use super::*;
    use crate::{
        flowcontrol::{flow_schema, priority_level_configuration},
        testing::{assert_fits, context},
    };

    #[test]
    fn they_are_valid_and_defaults_change_nothing() {
        let check = |resource: &ResourceDefinition, objects: &[Value]| {
            for object in objects {
                let mut defaulted = object.clone();
                (resource.versions[0].defaults)(&mut defaulted);
                assert_eq!(defaulted, *object, "{}", object.name());
                assert_fits(resource, object);
                let errors = resource.strategy.validate(&context("v1"), object);
                let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                assert_eq!(errors, [""; 0], "{}", object.name());
            }
        };
        check(&priority_level_configuration::RESOURCE, &MANDATORY_LEVELS);
        check(&priority_level_configuration::RESOURCE, &SUGGESTED_LEVELS);
        check(&flow_schema::RESOURCE, &MANDATORY_SCHEMAS);
        check(&flow_schema::RESOURCE, &SUGGESTED_SCHEMAS);
    }

    /// The table of upstream's documentation, by precedence: (name, level, precedence, distinguisher).
    #[test]
    fn schemas_are_upstreams() {
        let mut have: Vec<(i64, &str, &str, &str)> = MANDATORY_SCHEMAS
            .iter()
            .chain(SUGGESTED_SCHEMAS.iter())
            .map(|schema| {
                (
                    schema.i64_at(&["spec", "matchingPrecedence"]).unwrap(),
                    schema.name(),
                    schema.str_at(&["spec", "priorityLevelConfiguration", "name"]).unwrap(),
                    schema.str_at(&["spec", "distinguisherMethod", "type"]).unwrap_or("<none>"),
                )
            })
            .collect();
        have.sort_unstable();
        assert_eq!(
            have,
            [
                (1, "exempt", "exempt", "<none>"),
                (2, "probes", "exempt", "<none>"),
                (100, "system-leader-election", "leader-election", "ByUser"),
                (150, "endpoint-controller", "workload-high", "ByUser"),
                (200, "workload-leader-election", "leader-election", "ByUser"),
                (400, "system-node-high", "node-high", "ByUser"),
                (500, "system-nodes", "system", "ByUser"),
                (800, "kube-controller-manager", "workload-high", "ByNamespace"),
                (800, "kube-scheduler", "workload-high", "ByNamespace"),
                (900, "kube-system-service-accounts", "workload-high", "ByNamespace"),
                (9_000, "service-accounts", "workload-low", "ByUser"),
                (9_900, "global-default", "global-default", "ByUser"),
                (10_000, "catch-all", "catch-all", "ByUser"),
            ]
        );
    }
}
