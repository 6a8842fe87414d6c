use corten_apimachinery::resource::UserInfo;
use serde_json::json;

use super::*;
use crate::testing::{tree as value, user};

fn role(name: &str, rules: usize) -> Value {
    let rule = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]});
    value(json!({"kind": "Role", "metadata": {"name": name, "namespace": "a"}, "rules": vec![rule; rules]}))
}

fn binding(name: &str, role: &str, subjects: impl IntoIterator<Item = String>) -> Value {
    let subjects: Vec<_> = subjects.into_iter().map(|name| json!({"kind": "User", "name": name})).collect();
    value(json!({"kind": "RoleBinding", "metadata": {"name": name, "namespace": "a"},
                 "roleRef": {"kind": "Role", "name": role}, "subjects": subjects}))
}

fn eve() -> UserInfo {
    user("eve", &[])
}

/// A role of 10,000 rules, bound to one user 23,000 times in one binding: a question of 80 bytes made 50 GB of rules.
#[test]
fn who_is_named_many_times_holds_a_role_once() {
    let many = std::iter::repeat_n("eve".to_owned(), 23_000);
    let index = Index::compile(&[role("r", 10_000), binding("b", "r", many)]);
    assert_eq!(index.grants.keys().len(), 1);
    let held = index.rules_for(&eve(), "a");
    assert_eq!((held.rules.len(), held.errors.len()), (10_000, 0));
    // Bound by several, it is told for each as upstream tells it, within bounds; and looked at once.
    let bindings = (0..20_000).map(|n| binding(&format!("b{n}"), "r", ["eve".to_owned()]));
    let objects: Vec<Value> = bindings.chain([role("r", 10_000)]).collect();
    let index = Index::compile(&objects);
    assert_eq!(index.roles_of(&eve(), "a").count(), 1);
    let held = index.rules_for(&eve(), "a");
    assert_eq!(held.rules.len(), HELD_TEXTS_MAX / 4);
    assert_eq!(held.errors, ["too many rules: only the first 25000 are looked at"]);
}

#[test]
fn who_is_named_as_user_and_by_groups_holds_a_role_once() {
    let subjects = [("User", "eve"), ("Group", "x"), ("Group", "y")];
    let subjects = subjects.map(|(kind, name)| json!({"kind": kind, "name": name}));
    let both = value(json!({"kind": "RoleBinding", "metadata": {"name": "b", "namespace": "a"},
                            "roleRef": {"kind": "Role", "name": "r"}, "subjects": subjects}));
    let index = Index::compile(&[role("r", 2), both]);
    assert_eq!(index.rules_for(&user("eve", &["x", "y"]), "a").rules.len(), 2);
}

/// 10,000 roles that were deleted again: each refusal compared their names with each other, and had 600 KB.
#[test]
fn a_few_of_the_roles_that_are_not_there_are_told() {
    let objects: Vec<Value> =
        (0..10_000).map(|n| binding(&format!("b{n}"), &format!("r{}", n % 5_000), ["eve".to_owned()])).collect();
    let index = Index::compile(&objects);
    let request = crate::testing::request(&http::Method::GET, "/api/v1/namespaces/a/pods/p");
    let decision = index.decide(&eve(), &request);
    assert!(decision.reason().ends_with(" not found, 4990 more roles not found]"), "{}", decision.reason());
    assert!(decision.reason().len() < 1_000);
    assert_eq!(index.rules_for(&eve(), "a").errors.len(), MISSING_ROLES_MAX + 1);
}

/// A change of any role or binding made all grants of all bindings anew, while every request waited.
#[test]
fn a_change_touches_its_own_grants_only() {
    let names = |count: usize, step: usize| (0..count).map(move |n| format!("user{}", n * step));
    let objects: Vec<Value> = (0..10).map(|n| binding(&format!("b{n}"), "r", names(2_000, n + 1))).collect();
    let mut index = Index::compile(&objects);
    let mut all: Vec<Value> = objects;
    let mut change = |name: &str, subjects: Option<Vec<String>>| {
        let new = subjects.map(|subjects| binding(name, "r", subjects));
        let key = Box::from(cache_key("a", name).as_str());
        let entry = new.as_ref().map(|new| (1, Arc::new(Binding::parse(new))));
        let touched = regrant(&mut index.grants, &mut index.bindings, vec![(key, entry)]);
        all.retain(|object| object.name() != name);
        all.extend(new);
        // The same as if it were all new.
        let fresh = Index::compile(&all);
        assert!(index.grants.keys() == fresh.grants.keys());
        assert_eq!(index.bindings.len(), all.len());
        touched
    };
    assert_eq!(change("b3", Some(names(3, 1).collect())), 2_003);
    assert_eq!(change("b3", None), 3);
    assert_eq!(change("c", Some(names(5, 7).collect())), 5);
    assert_eq!(change("d", None), 0);
}
