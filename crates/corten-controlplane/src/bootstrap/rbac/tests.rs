use std::{collections::BTreeMap, path::PathBuf};

use corten_apimachinery::{meta::ObjectMeta as _, value::Value};

use super::{
    plan::{Action, plan},
    policy,
};

/// The objects of one upstream file, by namespace and name.
fn oracle(folder: &std::path::Path, file: &str) -> BTreeMap<(String, String), serde_json::Value> {
    let path = folder.join("rbac-bootstrap").join(file);
    let text = corten_base::fs::read_to_string(&path).unwrap();
    let list: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let items = list["items"].as_array().unwrap().iter().map(|item| {
        let text = |key: &str| item["metadata"][key].as_str().unwrap_or_default().to_owned();
        let mut item = item.clone();
        // Aggregated roles have no rules yet.
        if item["rules"].is_null() {
            item.as_object_mut().unwrap().remove("rules");
        }
        ((text("namespace"), text("name")), item)
    });
    items.collect()
}

fn ours(wanted: impl Fn(&Value) -> bool) -> BTreeMap<(String, String), serde_json::Value> {
    let objects = policy::objects().into_iter().filter(wanted);
    let json =
        |object: &Value| serde_json::from_slice(&corten_apimachinery::codec::json::encode(object, None)).unwrap();
    objects.map(|object| ((object.namespace().to_owned(), object.name().to_owned()), json(&object))).collect()
}

#[test]
fn every_object_is_upstreams() {
    let Some(folder) = std::env::var_os("CORTEN_UPSTREAM_DATA").map(PathBuf::from) else {
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: CORTEN_UPSTREAM_DATA is not set");
        }
        return;
    };
    let of = |kind: &'static str, controllers: Option<bool>| {
        ours(move |object| {
            let is_controller = object.name().starts_with("system:controller:");
            object.kind() == kind && controllers.is_none_or(|wanted| wanted == is_controller)
        })
    };
    for (file, ours) in [
        ("cluster-roles.yaml", of("ClusterRole", Some(false))),
        ("controller-roles.yaml", of("ClusterRole", Some(true))),
        ("cluster-role-bindings.yaml", of("ClusterRoleBinding", Some(false))),
        ("controller-role-bindings.yaml", of("ClusterRoleBinding", Some(true))),
        ("namespace-roles.yaml", of("Role", None)),
        ("namespace-role-bindings.yaml", of("RoleBinding", None)),
    ] {
        let theirs = oracle(&folder, file);
        assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{file}");
        for (key, theirs) in &theirs {
            assert_eq!(&ours[key], theirs, "{file}: {key:?}");
        }
    }
}

fn find(kind: &str, name: &str) -> Value {
    policy::objects().into_iter().find(|object| object.kind() == kind && object.name() == name).unwrap()
}

#[test]
fn what_is_missing_is_made_and_what_is_complete_stays() {
    for object in policy::objects() {
        assert_eq!(plan(object.clone(), Some(&object)), None);
        assert_eq!(plan(object.clone(), None), Some(Action::Create(object)));
    }
}

#[test]
fn rules_taken_out_come_back_and_rules_added_stay() {
    let wanted = find("ClusterRole", "system:discovery");
    let mut current = wanted.clone();
    let own =
        Value::object_of([("verbs", Value::array(["get".into()])), ("nonResourceURLs", Value::array(["/own".into()]))]);
    current.set(&["rules"], Value::array([own.clone()]));
    let Some(Action::Update(updated)) = plan(wanted.clone(), Some(&current)) else { panic!("no update") };
    assert_eq!(updated.items_at(&["rules"])[0], own);
    assert_eq!(plan(wanted, Some(&updated)), None);
}

#[test]
fn an_object_that_says_so_is_left_alone() {
    let wanted = find("ClusterRole", "system:discovery");
    let mut current = wanted.clone();
    current.set(&["metadata", "annotations", "rbac.authorization.kubernetes.io/autoupdate"], "false");
    current.unset(&["rules"]);
    assert_eq!(plan(wanted, Some(&current)), None);
}

#[test]
fn rules_of_an_aggregated_role_are_not_touched() {
    let wanted = find("ClusterRole", "view");
    let mut current = wanted.clone();
    current.set(&["rules"], Value::array([Value::object()]));
    assert_eq!(plan(wanted, Some(&current)), None);
}

#[test]
fn a_binding_gets_its_subjects_back_and_a_wrong_role_makes_it_anew() {
    let wanted = find("ClusterRoleBinding", "system:basic-user");
    let mut current = wanted.clone();
    current.unset(&["subjects"]);
    assert_eq!(plan(wanted.clone(), Some(&current)), Some(Action::Update(wanted.clone())));
    current.set(&["roleRef", "name"], "cluster-admin");
    assert_eq!(plan(wanted.clone(), Some(&current)), Some(Action::Replace(wanted)));
}
