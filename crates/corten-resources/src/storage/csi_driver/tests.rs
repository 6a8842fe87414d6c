use corten_apimachinery::meta::ObjectMeta;
use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{created, refuses, refuses_update, row, updated};

fn driver(spec: Value) -> Value {
    json!({"metadata": {"name": "disk.example.com"}, "spec": spec})
}

#[test]
fn a_driver_attaches_and_makes_lasting_volumes() {
    let (object, errors) = created(&RESOURCE, driver(json!({})));
    assert_eq!(errors, [""; 0]);
    let truth = |field: &str| object.bool_at(&["spec", field]);
    assert_eq!(truth("attachRequired"), Some(true));
    for field in ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"] {
        assert_eq!(truth(field), Some(false), "{field}");
    }
    assert_eq!(object.str_at(&["spec", "fsGroupPolicy"]), Some("ReadWriteOnceWithFSType"));
    assert_eq!(object.items_at(&["spec", "volumeLifecycleModes"]), ["Persistent".into()]);
    assert_eq!(object.generation(), 1);
}

#[test]
fn what_a_driver_wants_is_known() {
    refuses(
        &RESOURCE,
        driver(json!({
            "fsGroupPolicy": "Some", "volumeLifecycleModes": ["Persistent", "Later"],
            "tokenRequests": [
                {"audience": "a", "expirationSeconds": 599}, {"audience": "a", "expirationSeconds": 1},
                {"audience": "", "expirationSeconds": 4_294_967_297_i64},
            ],
            "nodeAllocatableUpdatePeriodSeconds": 9,
        })),
        &[
            "spec.fsGroupPolicy: Unsupported value: \"Some\": supported values: \"File\", \"None\", \
             \"ReadWriteOnceWithFSType\"",
            "spec.tokenRequests[0].expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes",
            "spec.tokenRequests[1].audience: Duplicate value: \"a\"",
            "spec.tokenRequests[2].expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than \
             2^32 seconds",
            "spec.volumeLifecycleModes: Unsupported value: \"Later\": supported values: \"Persistent\", \"Ephemeral\"",
            "spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds",
        ],
    );
    refuses(
        &RESOURCE,
        driver(json!({"serviceAccountTokenInSecrets": true})),
        &[
            "spec.serviceAccountTokenInSecrets: Invalid value: true: serviceAccountTokenInSecrets is set but no tokenRequests \
           are specified",
        ],
    );
}

#[test]
fn what_volumes_it_makes_stays() {
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        driver(json!({})),
        driver(json!({"attachRequired": false, "podInfoOnMount": true, "volumeLifecycleModes": ["Ephemeral"]})),
        &[
            "spec.attachedRequired: Invalid value: false: field is immutable",
            "spec.volumeLifecycleModes: Invalid value: [\"Ephemeral\"]: field is immutable",
        ],
    );
    let old = json!({"metadata": {"name": "d", "generation": 2}, "spec": {}});
    let generation = |new: Value| updated(&RESOURCE, RESOURCE.strategy, old.clone(), new).0.generation();
    assert_eq!((generation(driver(json!({}))), generation(driver(json!({"podInfoOnMount": true})))), (2, 3));
}

#[test]
fn a_row_shows_what_it_wants() {
    assert_eq!(
        row(&RESOURCE, driver(json!({}))),
        ["disk.example.com", "true", "false", "false", "<unset>", "false", "<none>", "<unknown>"]
    );
    let object = driver(json!({
        "attachRequired": false, "podInfoOnMount": true, "storageCapacity": true, "requiresRepublish": true,
        "tokenRequests": [{"audience": "a"}, {"audience": "b"}], "volumeLifecycleModes": ["Persistent", "Ephemeral"],
    }));
    assert_eq!(row(&RESOURCE, object)[1..7], ["false", "true", "true", "a,b", "true", "Persistent,Ephemeral"]);
}
