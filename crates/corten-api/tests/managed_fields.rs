//! Managed fields of real kinds: what upstream records for well-known writes, and upstream's larger objects.

use std::{fs, path::PathBuf};

use corten_api::types;
use corten_apimachinery::{
    Value,
    codec::{self, FieldValidation, json, yaml},
    managed_fields::{FieldSet, Typed, Views, Write, keep_times, update_managed_fields},
    type_table::{TypeId, TypeTable},
};

fn fields_of(tree: &Value) -> FieldSet {
    FieldSet::from_value(tree).unwrap()
}

/// What an entry says that its manager owns.
fn owned(entry: &Value) -> FieldSet {
    fields_of(entry.get("fieldsV1").unwrap())
}

fn parse(text: &str) -> Value {
    json::decode(text.as_bytes(), None, FieldValidation::Ignore).unwrap().value
}

fn type_of(object: &Value) -> TypeId {
    codec::type_of(types::table(), object).expect("the kind is in the table")
}

/// A kind that is served in one version.
#[derive(Debug)]
struct OneVersion(&'static str, TypeId);

impl Views for OneVersion {
    fn typed(&self, api_version: &str) -> Option<(&TypeTable, TypeId)> {
        (api_version == self.0).then(|| (types::table(), self.1))
    }

    fn convert(&self, _: &Value, _: &str) -> Option<Value> {
        None
    }
}

fn write<'a>(views: &'a OneVersion, kind: &'a str, manager: &'a str, subresource: &'a str) -> Write<'a> {
    let reset: &[&[&str]] = if subresource.is_empty() { &[&["status"]] } else { &[&["spec"]] };
    Write {
        views,
        api_version: views.0,
        kind,
        manager,
        subresource,
        now: "2026-11-21T09:00:00Z".parse().unwrap(),
        reset_fields: reset,
        owned_fields: &[],
    }
}

/// A pod as `kubectl run p --image=nginx --port=80 --env=X=1` makes it, with defaults.
const POD: &str = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"default","labels":{"run":"p"}},
"spec":{"containers":[{"name":"p","image":"nginx","ports":[{"containerPort":80,"protocol":"TCP"}],
"env":[{"name":"X","value":"1"}],"resources":{},"terminationMessagePath":"/dev/termination-log",
"terminationMessagePolicy":"File","imagePullPolicy":"Always"}],"restartPolicy":"Always","terminationGracePeriodSeconds":30,
"dnsPolicy":"ClusterFirst","securityContext":{},"schedulerName":"default-scheduler","enableServiceLinks":true},
"status":{"phase":"Pending","qosClass":"BestEffort"}}"#;

#[test]
fn a_pod_that_kubectl_runs_has_the_entries_that_upstream_records() {
    let mut pod = parse(POD);
    let views = OneVersion("v1", type_of(&pod));
    codec::canonicalize(&mut pod, types::table(), views.1);
    update_managed_fields(&write(&views, "Pod", "kubectl-run", ""), None, &mut pod);
    let fields = r#"{"f:metadata":{"f:labels":{".":{},"f:run":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"p\"}":{".":{},
        "f:env":{".":{},"k:{\"name\":\"X\"}":{".":{},"f:name":{},"f:value":{}}},"f:image":{},"f:imagePullPolicy":{},
        "f:name":{},"f:ports":{".":{},"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},
        "f:protocol":{}}},"f:resources":{},"f:terminationMessagePath":{},"f:terminationMessagePolicy":{}}},"f:dnsPolicy":{},
        "f:enableServiceLinks":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},
        "f:terminationGracePeriodSeconds":{}}}"#;
    assert_eq!(owned(&pod.items_at(&["metadata", "managedFields"])[0]), fields_of(&parse(fields)));

    let mut running = pod.clone();
    running.set(
        &["status"],
        parse(
            r#"{"conditions":[{"type":"Ready","status":"True","lastProbeTime":null,"lastTransitionTime":"2026-11-21T09:00:00Z"}],
            "podIP":"10.0.0.1","podIPs":[{"ip":"10.0.0.1"}],"phase":"Running","qosClass":"BestEffort"}"#,
        ),
    );
    codec::canonicalize(&mut running, types::table(), views.1);
    update_managed_fields(&write(&views, "Pod", "kubelet", "status"), Some(&pod), &mut running);
    keep_times(&mut running, &pod);
    let fields = r#"{"f:status":{"f:conditions":{".":{},"k:{\"type\":\"Ready\"}":{".":{},"f:lastProbeTime":{},
        "f:lastTransitionTime":{},"f:status":{},"f:type":{}}},"f:phase":{},"f:podIP":{},"f:podIPs":{".":{},
        "k:{\"ip\":\"10.0.0.1\"}":{".":{},"f:ip":{}}}}}"#;
    let entries = running.items_at(&["metadata", "managedFields"]);
    assert_eq!(entries.len(), 2);
    let kubelet = entries.iter().find(|entry| entry.str_at(&["manager"]) == Some("kubelet")).unwrap();
    assert_eq!((owned(kubelet), kubelet.str_at(&["subresource"])), (fields_of(&parse(fields)), Some("status")));
}

#[test]
fn upstreams_objects_are_covered_by_their_sets() {
    let Some(folder) = std::env::var_os("CORTEN_UPSTREAM_DATA").map(PathBuf::from) else {
        println!("skipped: CORTEN_UPSTREAM_DATA is not set");
        return;
    };
    for name in ["pod.yaml", "node.yaml", "k8s-deployment.yaml", "endpoints.yaml"] {
        let path = folder.join("vectors/structured-merge-diff").join(name);
        let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let object = yaml::decode(&text, None, FieldValidation::Ignore).unwrap().value;
        let Some(type_id) = codec::type_of(types::table(), &object) else {
            // A deployment of extensions/v1beta1, which v1.35 does not know.
            assert_eq!(object.str_at(&["apiVersion"]), Some("extensions/v1beta1"), "{name}");
            continue;
        };
        let typed = Typed::new(types::table(), type_id);
        let set = typed.field_set(&object);
        assert!(set.len() > 5, "{name}");
        assert!(typed.compare(&object, &object.clone()).is_empty(), "{name}");
        assert_eq!(typed.merge(&Value::object(), &object), object, "{name}");
        assert_eq!(typed.merge(&object, &object), object, "{name}");
        assert_eq!(typed.compare(&Value::object(), &object).added.intersection(&set), set, "{name}");
        assert!(typed.remove(&object, &typed.with_named_fields(&set)).is_null(), "{name}");
    }
}
