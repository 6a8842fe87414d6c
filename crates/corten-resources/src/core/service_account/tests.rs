use serde_json::json;

use super::RESOURCE;
use crate::testing::{created, row, value};

#[test]
fn a_reference_keeps_the_name_of_its_secret() {
    let (object, _) = created(&RESOURCE, json!({"secrets": [{"name": "a", "namespace": "b", "kind": "Secret"}]}));
    assert_eq!(object, value(json!({"secrets": [{"name": "a"}]})));
}

#[test]
fn a_row_counts_no_secrets() {
    let object = json!({"metadata": {"name": "a"}, "secrets": [{"name": "b"}]});
    assert_eq!(row(&RESOURCE, object), ["a", "<unknown>"]);
}
