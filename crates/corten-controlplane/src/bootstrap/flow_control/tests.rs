use corten_apimachinery::{meta::ObjectMeta as _, value::Value};
use corten_resources::flowcontrol::bootstrap::{AUTO_UPDATE, MANDATORY_LEVELS, SUGGESTED_LEVELS};
use serde_json::json;

use super::plan::{Action, Upkeep, is_stale, plan};
use crate::testing::{Cluster, admin};

const LEVELS: &str = "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations";
const SCHEMAS: &str = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas";

fn wanted() -> &'static Value {
    &SUGGESTED_LEVELS[0]
}

/// The object as a server has made it, changed by `change`.
fn current(change: impl FnOnce(&mut Value)) -> Value {
    let Some(Action::Create(mut object)) = plan(wanted(), None, Upkeep::Suggested) else { panic!("it is made") };
    object.set(&["metadata", "generation"], 1_i64);
    change(&mut object);
    object
}

fn set(path: &'static [&'static str], value: impl Into<Value>) -> impl FnOnce(&mut Value) {
    move |object| object.set(path, value)
}

const SHARES: &[&str] = &["spec", "limited", "nominalConcurrencyShares"];
const ANNOTATION: &[&str] = &["metadata", "annotations", AUTO_UPDATE];

#[test]
fn what_is_missing_is_made_and_the_servers() {
    let object = current(|_| ());
    assert_eq!(object.annotation(AUTO_UPDATE), Some("true"));
    assert_eq!(plan(wanted(), Some(&object), Upkeep::Suggested), None);
    assert!(is_stale(&object) && !is_stale(wanted()));
}

#[test]
fn what_is_the_servers_is_put_right() {
    let changed = current(set(SHARES, 7_i64));
    for upkeep in [Upkeep::Suggested, Upkeep::Mandatory] {
        assert_eq!(plan(wanted(), Some(&changed), upkeep), Some(Action::Update(current(|_| ()))));
    }
}

#[test]
fn what_an_administrator_has_taken_stays_his() {
    let taken = |object: &mut Value| {
        object.set(SHARES, 7_i64);
        object.set(ANNOTATION, "false");
    };
    assert_eq!(plan(wanted(), Some(&current(taken)), Upkeep::Suggested), None);
    let Some(Action::Update(object)) = plan(wanted(), Some(&current(taken)), Upkeep::Mandatory) else { panic!() };
    assert_eq!((object.annotation(AUTO_UPDATE), object.i64_at(SHARES)), (Some("true"), Some(30)));
}

#[test]
fn without_a_word_a_change_makes_it_the_administrators() {
    let silent = |generation: i64| {
        current(|object| {
            object.unset(ANNOTATION);
            object.set(SHARES, 7_i64);
            object.set(&["metadata", "generation"], generation);
        })
    };
    let outcome = |generation: i64| match plan(wanted(), Some(&silent(generation)), Upkeep::Suggested) {
        Some(Action::Update(object)) => (object.annotation(AUTO_UPDATE).map(str::to_owned), object.i64_at(SHARES)),
        other => panic!("{other:?}"),
    };
    assert_eq!(outcome(1), (Some("true".to_owned()), Some(30)));
    assert_eq!(outcome(2), (Some("false".to_owned()), Some(7)));
}

#[test]
fn the_shares_of_exempt_are_the_administrators() {
    let exempt = &MANDATORY_LEVELS[0];
    let Some(Action::Create(mut object)) = plan(exempt, None, Upkeep::Mandatory) else { panic!("it is made") };
    object.set(&["spec", "exempt", "nominalConcurrencyShares"], 9_i64);
    assert_eq!(plan(exempt, Some(&object), Upkeep::Mandatory), None);
}

#[tokio::test]
async fn every_cluster_has_them() {
    let cluster = Cluster::start().await;
    assert_eq!(cluster.get(admin(), LEVELS).await, Ok(Value::Int(8)));
    assert_eq!(cluster.get(admin(), SCHEMAS).await, Ok(Value::Int(13)));
    let object = cluster.get(admin(), &format!("{SCHEMAS}/probes")).await.unwrap();
    assert_eq!((object.annotation(AUTO_UPDATE), object.generation()), (Some("true"), 1));
    let manager = object.items_at(&["metadata", "managedFields"])[0].str_at(&["manager"]);
    assert_eq!(manager, Some("api-priority-and-fairness-config-producer-v1"));
    cluster.stop().await;
}

#[tokio::test]
async fn what_is_deleted_comes_back_and_what_nobody_needs_goes() {
    let cluster = Cluster::start().await;
    let object = |name: &str, auto_update: &str| {
        json!({
            "metadata": {"name": name, "annotations": {AUTO_UPDATE: auto_update}},
            "spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}},
        })
    };
    for (name, auto_update) in [("old", "true"), ("mine", "false")] {
        cluster.post(admin(), LEVELS, object(name, auto_update)).await.unwrap();
    }
    let system = format!("{LEVELS}/system");
    let before = cluster.get(admin(), &system).await.unwrap();
    cluster.keep_bootstrapped();
    cluster.delete(admin(), &system).await.unwrap();
    let old = format!("{LEVELS}/old");
    while cluster.get(admin(), &system).await.map_or(true, |object| object.uid() == before.uid())
        || cluster.get(admin(), &old).await.is_ok()
    {
        // The keeper runs when this task lets it.
        tokio::task::yield_now().await;
    }
    assert!(cluster.get(admin(), &format!("{LEVELS}/mine")).await.is_ok());
    cluster.stop().await;
}
