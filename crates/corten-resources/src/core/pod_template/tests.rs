use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{created, refuses, row};

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
