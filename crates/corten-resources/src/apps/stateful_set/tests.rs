use corten_apimachinery::meta::ObjectMeta;
use serde_json::{Value, json};

use super::{RESOURCE, strategy};
use crate::testing::{context, created, defaulted, features, patched, refuses, refuses_update, row, updated, value};

fn set(spec: Value) -> Value {
    let template =
        json!({"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "c", "image": "a"}]}});
    patched(
        json!({"metadata": {"name": "db"}, "spec": {"serviceName": "db", "selector": {"matchLabels": {"app": "db"}}, "template": template}}),
        json!({"spec": spec}),
    )
}

fn claim(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})
}

const FORBIDDEN: &str = "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                         'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                         'minReadySeconds' are forbidden";

#[test]
fn a_minimal_set_gets_all_defaults() {
    let (object, errors) = created(&RESOURCE, set(json!({"volumeClaimTemplates": [claim("data")]})));
    assert_eq!(errors, [""; 0]);
    let mut spec = object.get("spec").cloned().unwrap();
    spec.unset(&["template"]);
    let template = patched(
        claim("data"),
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": {"volumeMode": "Filesystem"}, "status": {"phase": "Pending"}}),
    );
    assert_eq!(
        spec,
        value(json!({
            "replicas": 1, "selector": {"matchLabels": {"app": "db"}}, "serviceName": "db", "revisionHistoryLimit": 10,
            "podManagementPolicy": "OrderedReady", "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            "volumeClaimTemplates": [template],
        }))
    );
    assert_eq!(object.get("status"), Some(&value(json!({"replicas": 0, "availableReplicas": 0}))));
    assert_eq!(object.generation(), 1);
}

#[test]
fn sets_are_checked() {
    let cases: [(Value, &[&str]); 9] = [
        (
            json!({"selector": null}),
            &[
                "spec.selector: Required value",
                "spec.template.metadata.labels: Invalid value: {\"app\":\"db\"}: `selector` does not match template `labels`",
            ],
        ),
        (
            json!({"selector": {"matchLabels": null}}),
            &["spec.selector: Invalid value: {}: empty selector is invalid for statefulset"],
        ),
        (
            json!({"podManagementPolicy": "Odd", "updateStrategy": {"type": "OnDelete", "rollingUpdate": {"partition": 1}}}),
            &[
                "spec.podManagementPolicy: Invalid value: \"Odd\": must be 'OrderedReady' or 'Parallel'",
                "spec.updateStrategy.rollingUpdate: Invalid value: {\"Partition\":1,\"MaxUnavailable\":null}: only allowed for \
                 updateStrategy 'RollingUpdate'",
            ],
        ),
        (
            json!({"updateStrategy": {"type": "Odd"}}),
            &[
                "spec.updateStrategy: Invalid value: {\"Type\":\"Odd\",\"RollingUpdate\":null}: must be 'RollingUpdate' or 'OnDelete'",
            ],
        ),
        (
            json!({"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Keep"}}),
            &["spec.persistentVolumeClaimRetentionPolicy.whenDeleted: Unsupported value: \"Keep\": supported values: \
               \"Retain\", \"Delete\""],
        ),
        (
            json!({"replicas": -1, "minReadySeconds": -1, "ordinals": {"start": -1}, "updateStrategy": {"rollingUpdate": {"partition": -1}}}),
            &[
                "spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0",
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
                "spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0",
                "spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0",
            ],
        ),
        (
            json!({"serviceName": "Db"}),
            &[
                "spec.serviceName: Invalid value: \"Db\": a lowercase RFC 1123 label must consist of lower case alphanumeric \
               characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', \
               regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
            ],
        ),
        (
            json!({"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]}),
            &[
                "spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode is required",
                "spec.volumeClaimTemplates[0].spec.resources[storage]: Required value",
            ],
        ),
        (
            json!({"template": {"spec": {"restartPolicy": "Never", "activeDeadlineSeconds": 5}}}),
            &[
                "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
                "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in StatefulSet is not Supported",
            ],
        ),
    ];
    for (spec, want) in cases {
        refuses(&RESOURCE, set(spec), want);
    }
}

#[test]
fn claims_are_volumes_of_the_template() {
    let mounts = |name: &str| {
        let container = json!({"name": "c", "image": "a", "volumeMounts": [{"name": name, "mountPath": "/data"}]});
        set(json!({"volumeClaimTemplates": [claim("data")], "template": {"spec": {"containers": [container]}}}))
    };
    refuses(&RESOURCE, mounts("data"), &[]);
    refuses(
        &RESOURCE,
        mounts("other"),
        &["spec.template.spec.containers[0].volumeMounts[0].name: Not found: \"other\""],
    );
    // The claim takes the place of a volume that would not do.
    let both = patched(
        mounts("data"),
        json!({"spec": {"template": {"spec": {"volumes": [{"name": "data", "hostPath": {"path": ""}}]}}}}),
    );
    refuses(&RESOURCE, both, &[]);
}

#[test]
fn names_are_those_of_hosts() {
    assert_eq!(RESOURCE.strategy.validate_name("db", false), [""; 0]);
    assert_eq!(RESOURCE.strategy.validate_name("db.v1", false), ["must not contain dots"]);
}

#[test]
fn some_fields_of_the_spec_can_change() {
    let mutable = json!({
        "replicas": 5, "minReadySeconds": 10, "revisionHistoryLimit": 3, "ordinals": {"start": 2},
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}, "updateStrategy": {"type": "OnDelete", "rollingUpdate": null},
        "template": {"spec": {"containers": [{"name": "c", "image": "b"}]}},
    });
    refuses_update(&RESOURCE, RESOURCE.strategy, set(json!({})), set(mutable), &[]);
    for fixed in [
        json!({"serviceName": "other"}),
        json!({"podManagementPolicy": "Parallel"}),
        json!({"volumeClaimTemplates": [claim("data")]}),
        json!({"selector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}),
    ] {
        refuses_update(&RESOURCE, RESOURCE.strategy, set(json!({})), set(fixed), &[FORBIDDEN]);
    }
}

#[test]
fn a_set_that_was_wrong_before_can_be_scaled() {
    let broken = |replicas: i64| {
        set(json!({"replicas": replicas, "serviceName": "Not_A_Label", "template": {"spec": {"containers": []}}}))
    };
    refuses_update(&RESOURCE, RESOURCE.strategy, broken(1), broken(3), &[]);
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        set(json!({})),
        set(json!({"template": {"spec": {"containers": []}}})),
        &["spec.template.spec.containers: Required value"],
    );
}

#[test]
fn how_many_may_be_missing_is_behind_a_gate() {
    let with = |number: i64| {
        set(json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": number}}}))
    };
    let path = ["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"];
    let (object, _) = created(&RESOURCE, with(2));
    assert_eq!(object.at(&path), None);
    let (kept, _) = updated(&RESOURCE, RESOURCE.strategy, with(2), with(3));
    assert_eq!(kept.i64_at(&path), Some(3));
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        with(2),
        with(0),
        &["spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0"],
    );
    let gates = features("MaxUnavailableStatefulSet=true");
    let mut cx = context("v1");
    cx.features = &gates;
    for (strategy, want) in [
        (json!({}), Some(1)),
        (json!({"type": "RollingUpdate"}), None),
        (json!({"type": "OnDelete"}), None),
        (json!({"rollingUpdate": {"maxUnavailable": 2}}), Some(2)),
    ] {
        let mut object = defaulted(&RESOURCE, set(json!({"updateStrategy": strategy})));
        RESOURCE.strategy.prepare_for_create(&cx, &mut object);
        assert_eq!(object.i64_at(&path), want, "{strategy}");
    }
}

#[test]
fn surprises_are_announced() {
    let mut half = claim("data");
    half["spec"]["resources"]["requests"]["storage"] = json!("100m");
    let object = value(set(json!({"revisionHistoryLimit": -1, "volumeClaimTemplates": [half]})));
    assert_eq!(
        RESOURCE.strategy.warnings_on_create(&context("v1"), &object),
        [
            "spec.volumeClaimTemplates[0].Spec.resources.requests[storage]: fractional byte value \"100m\" is invalid, must be \
             an integer",
            "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended",
        ]
    );
}

#[test]
fn a_status_counts_right() {
    let with = |status: Value| patched(set(json!({})), json!({"status": status}));
    refuses_update(
        &RESOURCE,
        &strategy::STATUS,
        with(json!({"replicas": 1, "collisionCount": 2})),
        with(
            json!({"replicas": 1, "readyReplicas": 1, "availableReplicas": 2, "currentReplicas": -1, "collisionCount": 1}),
        ),
        &[
            "status.currentReplicas: Invalid value: -1: must be greater than or equal to 0",
            "status.availableReplicas: Invalid value: 2: cannot be greater than status.replicas",
            "status.availableReplicas: Invalid value: 2: cannot be greater than status.readyReplicas",
            "status.collisionCount: Invalid value: 1: cannot be decremented",
        ],
    );
}

#[test]
fn a_row_counts_pods() {
    let object = patched(set(json!({"replicas": 3})), json!({"status": {"readyReplicas": 2}}));
    assert_eq!(row(&RESOURCE, object), ["db", "2/3", "<unknown>", "c", "a"]);
}
