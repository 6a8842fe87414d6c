//! What is stored and cannot be decoded: what is answered, and how it goes.

use corten_apimachinery::{resource::UserInfo, status::Status};
use corten_storage::kv::Expected;
use http::Method;
use serde_json::json;

use crate::testing::{Cluster, Hold, admin, user};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const BROKEN: &str = r#"{"apiVersion":"v9","kind":"ConfigMap","metadata":{"name":"b","namespace":"default"}}"#;
const WHY: &str =
    "no kind \"ConfigMap\" is registered for version \"v9\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"";
const OPTION: &str = "ignoreStoreReadErrorWithClusterBreakingPotential";
const GATE: &str = "AllowUnsafeMalformedObjectDeletion=true";

async fn broken(gates: &str) -> (Cluster, u64) {
    let cluster = Cluster::start_gated(gates).await;
    cluster.post(admin(), MAPS, json!({"metadata": {"name": "a"}})).await.unwrap();
    let revision = cluster.plant("/registry/configmaps/default/b", BROKEN).await;
    (cluster, revision)
}

async fn delete(cluster: &Cluster, who: UserInfo, name: &str, further: serde_json::Value) -> Result<(), Status> {
    let mut options = json!({"kind": "DeleteOptions", "apiVersion": "v1", OPTION: true});
    options.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
    cluster.delete_with(who, &format!("{MAPS}/{name}"), options).await.map(drop)
}

fn told(failure: Result<impl Sized, Status>) -> (u16, &'static str, String) {
    let Err(status) = failure else { panic!("it succeeded") };
    (status.code, status.reason.as_str(), status.message)
}

/// Nothing in the API removed a built-in object that could not be decoded.
#[tokio::test]
async fn what_cannot_be_decoded_can_be_deleted_behind_its_gate() {
    let (cluster, revision) = broken(GATE).await;
    let path = format!("{MAPS}/b");
    let undecodable = format!("object not decodable revision={revision}: {WHY}");
    let error = |key: &str| {
        let place = format!("Code: 7, Key: {key}, ResourceVersion: 0");
        format!("StorageError: corrupt object, {place}, AdditionalErrorMsg: {undecodable}")
    };
    let unread = format!("Internal error occurred: {}", error("/configmaps/default/b"));
    assert_eq!(told(cluster.get(admin(), &path).await), (500, "InternalError", unread.clone()));
    assert_eq!(told(cluster.delete(admin(), &path).await), (500, "InternalError", unread));
    let changed = cluster.put(admin(), &path, json!({"metadata": {"name": "b"}})).await;
    assert_eq!(told(changed), (500, "", undecodable.clone()));
    let listed = cluster.failure(MAPS, admin()).await;
    let why = "failed to read one or more configmaps from the storage";
    assert_eq!((listed.str_at(&["reason"]), listed.str_at(&["message"])), (Some("StorageReadError"), Some(why)));
    assert_eq!(
        (listed.str_at(&["details", "name"]), listed.str_at(&["details", "kind"])),
        (Some("list"), Some("configmaps"))
    );
    let [cause] = listed.items_at(&["details", "causes"]) else { panic!("{listed:?}") };
    assert_eq!(cause.str_at(&["reason"]), Some("UnexpectedServerResponse"));
    assert_eq!(cause.str_at(&["field"]), Some("/registry/configmaps/default/b"));
    assert_eq!(cause.str_at(&["message"]), Some(&*error("/registry/configmaps/default/b")));
    // A page that ends before it is whole.
    assert_eq!(cluster.code(Method::GET, &format!("{MAPS}?limit=1"), admin()).await, 200);

    let done = cluster.delete_with(admin(), &path, json!({OPTION: true})).await.unwrap();
    assert_eq!((done.str_at(&["status"]), done.i64_at(&["code"])), (Some("Success"), Some(200)));
    assert_eq!((done.str_at(&["details", "name"]), done.str_at(&["details", "kind"])), (Some("b"), Some("ConfigMap")));
    assert_eq!(cluster.code(Method::GET, &path, admin()).await, 404);
    assert_eq!(cluster.code(Method::GET, MAPS, admin()).await, 200);
    cluster.stop().await;
}

#[tokio::test]
async fn a_deletion_unseen_has_its_rules() {
    let (cluster, _) = broken(GATE).await;
    let about = |name: &str| format!("configmaps \"{name}\" is invalid: {OPTION}: Invalid value: true: ");
    let only = "is exclusively used to delete corrupt object(s), try again by removing this option";
    for name in ["a", "none"] {
        let refused = delete(&cluster, admin(), name, json!({})).await;
        assert_eq!(told(refused), (422, "Invalid", about(name) + only));
    }
    let options = json!({
        "dryRun": ["All"], "propagationPolicy": "Orphan", "gracePeriodSeconds": 0, "preconditions": {}, OPTION: true,
    });
    let (code, _, message) = told(delete(&cluster, admin(), "b", options).await);
    let each = ["dryRun", "propagationPolicy", "gracePeriodSeconds", "preconditions"]
        .map(|other| format!("{OPTION}: Invalid value: true: cannot be set together with .{other}"));
    let whole = format!("DeleteOptions.meta.k8s.io \"\" is invalid: [{}]", each.join(", "));
    assert_eq!((code, message), (422, whole));
    let (code, _, message) = told(delete(&cluster, admin(), "b", json!({"orphanDependents": false})).await);
    assert_eq!(code, 422);
    assert!(message.ends_with("cannot be set together with .orphanDependents"), "{message}");
    let many = cluster.delete(admin(), &format!("{MAPS}?{OPTION}=true")).await;
    let why = "is not allowed with DELETECOLLECTION, try again after removing the option";
    let whole = format!("DeleteOptions.meta.k8s.io \"\" is invalid: {OPTION}: Invalid value: true: {why}");
    assert_eq!(told(many), (422, "Invalid", whole));

    // Who may delete may not do this.
    let role = json!({
        "metadata": {"name": "deleter"}, "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["delete"]}],
    });
    cluster.post(admin(), "/apis/rbac.authorization.k8s.io/v1/clusterroles", role).await.unwrap();
    let binding = json!({
        "metadata": {"name": "deleter"}, "subjects": [{"kind": "User", "name": "dee", "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"kind": "ClusterRole", "name": "deleter", "apiGroup": "rbac.authorization.k8s.io"},
    });
    cluster.post(admin(), "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding).await.unwrap();
    let (code, reason, message) = told(delete(&cluster, user("dee", &[]), "b", json!({})).await);
    assert_eq!((code, reason), (403, "Forbidden"));
    let begin = "configmaps \"b\" is forbidden: not permitted to do \"unsafe-delete-ignore-read-errors\", reason: ";
    assert!(message.starts_with(begin), "{message}");
    cluster.stop().await;
}

/// The option is as if it were not there.
#[tokio::test]
async fn without_the_gate_what_cannot_be_decoded_stays() {
    let (cluster, _) = broken("").await;
    let path = format!("{MAPS}/b");
    let failure = (500, "", WHY.to_owned());
    assert_eq!(told(cluster.get(admin(), &path).await), failure);
    assert_eq!(told(cluster.put(admin(), &path, json!({"metadata": {"name": "b"}})).await), failure);
    assert_eq!(told(cluster.get(admin(), MAPS).await), failure);
    assert_eq!(told(delete(&cluster, admin(), "b", json!({"gracePeriodSeconds": 0})).await), failure);
    assert_eq!(told(delete(&cluster, admin(), "none", json!({})).await).0, 404);
    delete(&cluster, admin(), "a", json!({})).await.unwrap();
    cluster.stop().await;
}

/// It tried the version that the cache showed again and again, as fast as the engine answered, until the cache had heard of the
/// newer one.
#[tokio::test]
async fn a_deletion_unseen_that_is_overtaken_waits_for_the_newer_object() {
    let hold = Hold::new();
    let cluster = Cluster::start_held_gated(&hold, GATE).await;
    let key = "/registry/configmaps/default/b";
    let first = cluster.plant(key, BROKEN).await;
    // The cache has heard of it.
    while told(cluster.get(admin(), &format!("{MAPS}/b")).await).0 == 404 {
        tokio::task::yield_now().await;
    }
    hold.hold_watches("/registry/configmaps/");
    cluster.plant_over(key, BROKEN, Expected::ModRevision(first)).await;
    let before = hold.writes();
    let path = format!("{MAPS}/b");
    let (deleted, ()) = tokio::join!(
        biased;
        cluster.at_once(Method::DELETE, &path, None, json!({OPTION: true})),
        async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            hold.release_watches();
        }
    );
    deleted.unwrap();
    assert_eq!(hold.writes() - before, 2, "one for each version");
    cluster.stop().await;
}
