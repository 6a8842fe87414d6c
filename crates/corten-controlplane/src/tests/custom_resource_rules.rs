//! Rules of custom resources: what they refuse, in which words, and what they let pass.

use corten_apimachinery::Value;
use corten_client::PatchKind;
use serde_json::json;

use super::custom_resources::{CRDS, is_established, until};
use crate::testing::{Cluster, admin};

const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";

fn definition() -> serde_json::Value {
    let schema = json!({"type": "object",
        "x-kubernetes-validations": [{"rule": "self.metadata.name.startsWith('w')", "message": "names begin with w"}],
        "properties": {
            "spec": {"type": "object", "properties": {
                "min": {"type": "integer"}, "max": {"type": "integer"},
                "color": {"type": "string", "maxLength": 20, "x-kubernetes-validations": [{"rule": "self != 'pink'"}]},
                "other": {"type": "string"},
            }, "x-kubernetes-validations": [
                {"rule": "!has(self.min) || self.min <= self.max", "messageExpression": "'min is above ' + 'max'",
                 "reason": "FieldValueForbidden", "fieldPath": ".min"},
                {"rule": "!has(oldSelf.max) || self.max >= oldSelf.max", "message": "max never shrinks"},
            ]},
            "status": {"type": "object", "properties": {"phase": {"type": "string", "maxLength": 10,
                "x-kubernetes-validations": [{"rule": "self in ['Ready', 'Waiting']"}]}}},
        },
    });
    json!({
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
                "subresources": {"status": {}}}],
        },
    })
}

async fn cluster() -> Cluster {
    let cluster = Cluster::start().await;
    cluster.post(admin(), CRDS, definition()).await.unwrap();
    until(&cluster, "widgets.example.com", is_established).await;
    cluster
}

fn widget(name: &str, spec: serde_json::Value) -> serde_json::Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn an_object_that_breaks_rules_is_refused() {
    let cluster = cluster().await;
    let refused =
        cluster.post(admin(), WIDGETS, widget("x", json!({"min": 2, "max": 1, "color": "pink"}))).await.unwrap_err();
    assert_eq!((refused.code, refused.reason.as_str()), (422, "Invalid"));
    assert_eq!(
        refused.message,
        "Widget.example.com \"x\" is invalid: [<nil>: Invalid value: names begin with w, spec.min: Forbidden: min is \
         above max, spec.color: Invalid value: \"pink\": failed rule: self != 'pink']"
    );
    let causes: Vec<_> = refused
        .details
        .iter()
        .flat_map(|details| &details.causes)
        .map(|cause| (&*cause.reason, &*cause.field))
        .collect();
    assert_eq!(
        causes,
        [("FieldValueInvalid", "<nil>"), ("FieldValueForbidden", "spec.min"), ("FieldValueInvalid", "spec.color")]
    );
    // Without the right shape nothing is said of the rules but that they were not looked at.
    let misshaped = cluster.post(admin(), WIDGETS, widget("x", json!({"min": "two"}))).await.unwrap_err();
    assert!(misshaped.message.contains("some validation rules were not checked"), "{}", misshaped.message);
    cluster.post(admin(), WIDGETS, widget("w", json!({"min": 1, "max": 1}))).await.unwrap();
    cluster.stop().await;
}

#[tokio::test]
async fn rules_hold_at_every_endpoint() {
    let cluster = cluster().await;
    cluster.post(admin(), WIDGETS, widget("w", json!({"min": 1, "max": 5}))).await.unwrap();
    let path = format!("{WIDGETS}/w");
    let shrink = json!({"spec": {"max": 4}});
    let refused = cluster.patch(admin(), &path, PatchKind::Merge, shrink.clone()).await.unwrap_err();
    let wanted = "Widget.example.com \"w\" is invalid: spec: Invalid value: max never shrinks";
    assert_eq!(refused.message, wanted);
    let dry = cluster.patch(admin(), &format!("{path}?dryRun=All"), PatchKind::Merge, shrink).await.unwrap_err();
    assert_eq!(dry.message, wanted);
    let applied = widget("w", json!({"min": 9}));
    let applied = cluster.patch(admin(), &format!("{path}?fieldManager=a&force=true"), PatchKind::Apply, applied).await;
    assert_eq!(
        applied.unwrap_err().message,
        "Widget.example.com \"w\" is invalid: spec.min: Forbidden: min is above max"
    );
    let phase = |phase: &str| json!({"status": {"phase": phase}});
    let status = cluster.patch(admin(), &format!("{path}/status"), PatchKind::Merge, phase("Lost")).await.unwrap_err();
    assert_eq!(
        status.message,
        "Widget.example.com \"w\" is invalid: status.phase: Invalid value: \"Lost\": failed rule: self in ['Ready', 'Waiting']"
    );
    cluster.patch(admin(), &format!("{path}/status"), PatchKind::Merge, phase("Ready")).await.unwrap();
    cluster.patch(admin(), &path, PatchKind::Merge, json!({"spec": {"max": 6}})).await.unwrap();
    cluster.stop().await;
}

#[tokio::test]
async fn what_was_wrong_before_the_rule_may_stay() {
    let cluster = cluster().await;
    let mut without = definition();
    without["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["color"] =
        json!({"type": "string", "maxLength": 20});
    let path = format!("{CRDS}/widgets.example.com");
    let relaxed = json!({"spec": {"versions": without["spec"]["versions"]}});
    cluster.patch(admin(), &path, PatchKind::Merge, relaxed).await.unwrap();
    let generation = |definition: Option<&Value>| definition.and_then(|it| it.i64_at(&["metadata", "generation"]));
    until(&cluster, "widgets.example.com", |definition| generation(definition) == Some(2)).await;
    // The resource follows its definition in a moment of its own.
    while cluster.post(admin(), WIDGETS, widget("w", json!({"color": "pink", "max": 1}))).await.is_err() {
        tokio::task::yield_now().await;
    }
    cluster
        .patch(admin(), &path, PatchKind::Merge, json!({"spec": {"versions": definition()["spec"]["versions"]}}))
        .await
        .unwrap();
    let object = format!("{WIDGETS}/w");
    let worse = json!({"spec": {"color": null}});
    let try_color =
        |color: &'static str| cluster.post(admin(), WIDGETS, widget("wx", json!({"color": color, "max": 1})));
    while try_color("pink").await.is_ok() {
        cluster.delete(admin(), &format!("{WIDGETS}/wx")).await.unwrap();
        tokio::task::yield_now().await;
    }
    cluster.patch(admin(), &object, PatchKind::Merge, json!({"spec": {"other": "changed"}})).await.unwrap();
    cluster.patch(admin(), &object, PatchKind::Merge, worse).await.unwrap();
    let again =
        cluster.patch(admin(), &object, PatchKind::Merge, json!({"spec": {"color": "pink"}})).await.unwrap_err();
    assert_eq!(
        again.message,
        "Widget.example.com \"w\" is invalid: spec.color: Invalid value: \"pink\": failed rule: self != 'pink'"
    );
    cluster.stop().await;
}

#[tokio::test]
async fn a_definition_whose_rules_do_not_compile_is_refused() {
    let cluster = Cluster::start().await;
    let mut wrong = definition();
    wrong["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["x-kubernetes-validations"] =
        json!([{"rule": "self.spec.nothing"}]);
    let refused = cluster.post(admin(), CRDS, wrong).await.unwrap_err();
    assert_eq!((refused.code, refused.reason.as_str()), (422, "Invalid"));
    assert_eq!(
        refused.message,
        "CustomResourceDefinition.apiextensions.k8s.io \"widgets.example.com\" is invalid: \
         spec.validation.openAPIV3Schema.x-kubernetes-validations[0].rule: Invalid value: {\"Rule\":\"self.spec.nothing\",\"Message\":\"\",\
         \"MessageExpression\":\"\",\"Reason\":null,\"FieldPath\":\"\",\"OptionalOldSelf\":null}: \
         compilation failed: ERROR: <input>:1:10: undefined field 'nothing'\n | self.spec.nothing\n | .........^"
    );
    cluster.stop().await;
}
