//! Reads `policy.txt` into objects.

use corten_apimachinery::value::{Str, Value};

use super::plan::AUTOUPDATE;
use crate::authorization::rbac::{GROUP, Rule};

const POLICY: &str = include_str!("policy.txt");
const AGGREGATE: &str = "rbac.authorization.k8s.io/aggregate-to-";
const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 5] = ["create", "delete", "deletecollection", "patch", "update"];

/// Every object of the policy, in its order.
pub(super) fn objects() -> Vec<Value> {
    parse(POLICY)
}

fn parse(policy: &str) -> Vec<Value> {
    let mut objects: Vec<Value> = Vec::new();
    // A controller is two objects; its rules go to the first.
    let mut role = 0;
    for line in policy.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] | ["#", ..] => {}
            ["cluster-role", name, options @ ..] => {
                role = objects.len();
                let mut object = object("ClusterRole", "", name);
                for option in options.chunks(2) {
                    match option {
                        ["part-of", other] => {
                            object.set(&["metadata", "labels", &format!("{AGGREGATE}{other}")], "true");
                        }
                        ["sum-of", other] => {
                            let labels = Value::object_of([(format!("{AGGREGATE}{other}"), Value::from("true"))]);
                            let selector = Value::object_of([("matchLabels", labels)]);
                            object.set(&["aggregationRule", "clusterRoleSelectors"], Value::array([selector]));
                        }
                        _ => malformed(line),
                    }
                }
                objects.push(object);
            }
            ["role", name] => {
                role = objects.len();
                let (namespace, name) = place(name, line);
                objects.push(object("Role", namespace, name));
            }
            ["controller", name] => {
                role = objects.len();
                let full = format!("system:controller:{name}");
                objects.push(object("ClusterRole", "", &full));
                let mut binding = binding("ClusterRoleBinding", "", &full, "ClusterRole", &full);
                add(&mut binding, "subjects", subject(&format!("account:kube-system/{name}"), line));
                objects.push(binding);
            }
            ["cluster-binding", name] => {
                objects.push(binding("ClusterRoleBinding", "", name, "ClusterRole", name));
            }
            ["binding", name, options @ ..] => {
                let (namespace, name) = place(name, line);
                let role = match options {
                    [] => name,
                    ["of", role] => role,
                    _ => malformed(line),
                };
                objects.push(binding("RoleBinding", namespace, name, "Role", role));
            }
            ["to", who] => add(objects.last_mut().unwrap_or_else(|| malformed(line)), "subjects", subject(who, line)),
            rule => {
                let rule = parse_rule(rule).unwrap_or_else(|| malformed(line));
                add(objects.get_mut(role).unwrap_or_else(|| malformed(line)), "rules", rule.to_value());
            }
        }
    }
    objects
}

/// The policy is part of this program, so a bad line is a bug that every test finds.
fn malformed(line: &str) -> ! {
    panic!("malformed line in policy.txt: {line}")
}

fn place<'a>(name: &'a str, line: &str) -> (&'a str, &'a str) {
    name.split_once('/').unwrap_or_else(|| malformed(line))
}

fn object(kind: &str, namespace: &str, name: &str) -> Value {
    let mut object = Value::object();
    object.set(&["apiVersion"], format!("{GROUP}/v1"));
    object.set(&["kind"], kind);
    object.set(&["metadata", "name"], name);
    if !namespace.is_empty() {
        object.set(&["metadata", "namespace"], namespace);
    }
    object.set(&["metadata", "labels", "kubernetes.io/bootstrapping"], "rbac-defaults");
    object.set(&["metadata", "annotations", AUTOUPDATE], "true");
    object
}

fn binding(kind: &str, namespace: &str, name: &str, role_kind: &str, role: &str) -> Value {
    let mut binding = object(kind, namespace, name);
    binding.set(&["roleRef", "apiGroup"], GROUP);
    binding.set(&["roleRef", "kind"], role_kind);
    binding.set(&["roleRef", "name"], role);
    binding
}

fn subject(who: &str, line: &str) -> Value {
    let mut subject = Value::object();
    match who.split_once(':') {
        Some(("account", account)) => {
            let (namespace, name) = place(account, line);
            subject.set(&["kind"], "ServiceAccount");
            subject.set(&["name"], name);
            subject.set(&["namespace"], namespace);
        }
        Some((kind @ ("user" | "group"), name)) => {
            subject.set(&["apiGroup"], GROUP);
            subject.set(&["kind"], if kind == "user" { "User" } else { "Group" });
            subject.set(&["name"], name);
        }
        _ => malformed(line),
    }
    subject
}

fn add(object: &mut Value, list: &str, item: Value) {
    let list = object.at_or_insert(&[list]);
    if list.is_null() {
        *list = Value::array([]);
    }
    list.as_array_mut().expect("just made").push(item);
}

fn parse_rule(words: &[&str]) -> Option<Rule> {
    let texts = |list: &str| list.split(',').map(Str::from).collect::<Vec<_>>();
    let (rule, names) = match *words {
        ["allow", verbs, groups, resources] => ((verbs, groups, resources), None),
        ["allow", verbs, groups, resources, "named", names] => ((verbs, groups, resources), Some(names)),
        ["url", verbs, urls] => {
            return Some(Rule { verbs: expand(verbs), non_resource_urls: texts(urls), ..Rule::default() });
        }
        _ => return None,
    };
    let (verbs, groups, resources) = rule;
    let groups = groups.split(',').map(|group| if group == "core" { Str::default() } else { group.into() });
    Some(Rule {
        verbs: expand(verbs),
        api_groups: groups.collect(),
        resources: texts(resources),
        resource_names: names.map(texts).unwrap_or_default(),
        non_resource_urls: Vec::new(),
    })
}

fn expand(verbs: &str) -> Vec<Str> {
    let mut expanded: Vec<Str> = verbs
        .split(',')
        .flat_map(|verb| match verb {
            "read" => READ.map(Str::from).to_vec(),
            "write" => WRITE.map(Str::from).to_vec(),
            verb => vec![Str::from(verb)],
        })
        .collect();
    expanded.sort();
    expanded
}
