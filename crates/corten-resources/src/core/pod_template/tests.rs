use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{context, created, refuses, row, value};

fn template(image: &str) -> Value {
    json!({"metadata": {"name": "t"}, "template": {
        "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}}})
}

#[test]
fn its_pods_have_the_defaults_and_rules_of_pods() {
    let (object, errors) = created(&RESOURCE, template("nginx"));
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.str_at(&["template", "spec", "restartPolicy"]), Some("Always"));
    refuses(&RESOURCE, template(""), &["template.spec.containers[0].image: Required value"]);
}

#[test]
fn a_row_shows_what_its_pods_are_made_of() {
    assert_eq!(row(&RESOURCE, template("nginx")), ["t", "c", "nginx", "app=web"]);
}

#[test]
fn surprises_in_its_pods_are_announced() {
    let mut json = template("nginx");
    json["template"]["spec"]["terminationGracePeriodSeconds"] = json!(-1);
    let (cx, object) = (context("v1"), value(json.clone()));
    let want = "template.spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1";
    assert_eq!(RESOURCE.strategy.warnings_on_create(&cx, &object), [want]);
    json["metadata"]["generation"] = json!(2);
    let changed = value(json);
    assert_eq!(RESOURCE.strategy.warnings_on_update(&cx, &changed, &object), [want]);
    assert_eq!(RESOURCE.strategy.warnings_on_update(&cx, &changed, &changed), [""; 0]);
}
