use corten_apimachinery::{codec, meta::ObjectMeta as _, value::Value};
use corten_client::PatchKind;
use http::Method;
use serde_json::json;

use crate::testing::{Cluster, admin, tree, user};

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

async fn make_account(cluster: &Cluster, name: &str) -> Value {
    cluster.post(admin(), ACCOUNTS, json!({"metadata": {"name": name}})).await.unwrap()
}

async fn make_token(cluster: &Cluster, account: &str, spec: serde_json::Value) -> String {
    let path = format!("{ACCOUNTS}/{account}/token");
    let answer = cluster.post(admin(), path, json!({"spec": spec})).await.unwrap();
    answer.str_at(&["status", "token"]).unwrap().to_owned()
}

#[tokio::test]
async fn a_token_stands_for_its_account_until_that_is_gone() {
    let cluster = Cluster::start().await;
    let account = make_account(&cluster, "robot").await;
    let token = make_token(&cluster, "robot", json!({"audiences": []})).await;
    let who = cluster.outside(Method::POST, WHO, Some(&token), Some(json!({}))).await.unwrap();
    let info = who.at(&["status", "userInfo"]).unwrap();
    assert_eq!(info.str_at(&["username"]), Some("system:serviceaccount:default:robot"));
    assert_eq!(info.str_at(&["uid"]), Some(account.uid()));
    let groups = tree(json!(["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]));
    assert_eq!(info.get("groups"), Some(&groups));
    cluster.delete(admin(), &format!("{ACCOUNTS}/robot")).await.unwrap();
    // Another account of the same name is another account.
    make_account(&cluster, "robot").await;
    let refused = cluster.outside(Method::POST, WHO, Some(&token), Some(json!({}))).await.unwrap_err();
    assert_eq!(refused.code, 401);
    cluster.stop().await;
}

#[tokio::test]
async fn a_token_is_made_for_the_account_that_is_meant() {
    let cluster = Cluster::start().await;
    let account = make_account(&cluster, "robot").await;
    let ask = |uid: &str| {
        cluster.post(
            admin(),
            format!("{ACCOUNTS}/robot/token"),
            json!({"metadata": {"uid": uid}, "spec": {"audiences": []}}),
        )
    };
    ask(account.uid()).await.unwrap();
    let refused = ask("other").await.unwrap_err();
    let want = format!(
        "Operation cannot be fulfilled on TokenRequest.authentication.k8s.io \"robot\": the UID in the token request \
         (other) does not match the UID of the service account ({})",
        account.uid()
    );
    assert_eq!((refused.code, refused.message), (409, want));
    cluster.stop().await;
}

#[tokio::test]
async fn a_token_can_be_bound_to_a_pod() {
    let cluster = Cluster::start().await;
    for name in ["default", "robot"] {
        make_account(&cluster, name).await;
    }
    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({"metadata": {"name": "p"}, "spec": {
        "serviceAccountName": "robot", "containers": [{"name": "c", "image": "i"}], "terminationGracePeriodSeconds": 0,
    }});
    let pod = cluster.post(admin(), pods, pod).await.unwrap();
    let reference = |uid: &str| json!({"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": uid});
    let token = make_token(&cluster, "robot", json!({"boundObjectRef": reference(pod.uid())})).await;
    let who = cluster.outside(Method::POST, WHO, Some(&token), Some(json!({}))).await.unwrap();
    let extra = |key: &str| {
        let path = ["status", "userInfo", "extra", &format!("authentication.kubernetes.io/{key}")];
        who.items_at(&path).first().and_then(Value::as_str).map(str::to_owned)
    };
    assert_eq!((extra("pod-name").as_deref(), extra("pod-uid").as_deref()), (Some("p"), Some(pod.uid())));
    assert!(extra("credential-id").unwrap().starts_with("JTI="));

    let ask = |account: &str, uid: &str| {
        let body = json!({"spec": {"boundObjectRef": reference(uid)}});
        cluster.post(admin(), format!("{ACCOUNTS}/{account}/token"), body)
    };
    assert_eq!(
        ask("default", "").await.unwrap_err().message,
        "cannot bind token for serviceaccount \"default\" to pod running with different serviceaccount name."
    );
    assert_eq!(
        ask("robot", "other").await.unwrap_err().message,
        "Operation cannot be fulfilled on Pod \"p\": the UID in the bound object reference (other) does not match the \
         UID in record. The object might have been deleted and then recreated"
    );
    cluster.delete(admin(), &format!("{pods}/p")).await.unwrap();
    let refused = cluster.outside(Method::POST, WHO, Some(&token), Some(json!({}))).await.unwrap_err();
    assert_eq!(refused.code, 401);
    cluster.stop().await;
}

#[tokio::test]
async fn a_token_that_ends_too_soon_is_not_made() {
    let cluster = Cluster::start().await;
    make_account(&cluster, "robot").await;
    let ask = |account: &str| {
        cluster.post(admin(), format!("{ACCOUNTS}/{account}/token"), json!({"spec": {"expirationSeconds": 60}}))
    };
    assert_eq!(
        ask("robot").await.unwrap_err().message,
        "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 60: may not specify \
         a duration less than 10 minutes"
    );
    assert_eq!(ask("nobody").await.unwrap_err().message, "serviceaccounts \"nobody\" not found");
    // Whatever else is wrong is told after it.
    let elsewhere = ACCOUNTS.replace("default", "none");
    let odd = json!({"metadata": {"name": "other"}});
    let refused = cluster.post(admin(), format!("{elsewhere}/nobody/token"), odd).await.unwrap_err();
    assert_eq!((refused.code, &*refused.message), (404, "namespaces \"none\" not found"));
    for (metadata, code, want) in [
        (
            json!({"name": "other"}),
            422,
            "TokenRequest.authentication.k8s.io \"robot\" is invalid: metadata.name: Invalid value: \"other\": must match the \
             service account name if specified",
        ),
        (
            json!({"namespace": "other"}),
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
    ] {
        let refused = cluster.post(admin(), format!("{ACCOUNTS}/robot/token"), json!({"metadata": metadata})).await;
        let refused = refused.unwrap_err();
        assert_eq!((refused.code, refused.message.as_str()), (code, want));
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_review_tells_whose_a_token_is_and_for_whom() {
    let cluster = Cluster::start().await;
    make_account(&cluster, "robot").await;
    let token = make_token(&cluster, "robot", json!({"audiences": ["vault"]})).await;
    let review = async |token: &str, audiences: &[&str]| {
        let body = json!({"spec": {"token": token, "audiences": audiences}});
        let answer = cluster.post(admin(), "/apis/authentication.k8s.io/v1/tokenreviews", body).await?;
        Ok::<_, corten_apimachinery::status::Status>(answer.get("status").cloned().unwrap())
    };
    let known = review(&token, &["vault", "other"]).await.unwrap();
    assert_eq!(known.bool_at(&["authenticated"]), Some(true));
    assert_eq!(known.str_at(&["user", "username"]), Some("system:serviceaccount:default:robot"));
    assert_eq!(known.get("audiences"), Some(&tree(json!(["vault"]))));
    let unknown = review(&token, &[]).await.unwrap();
    assert_eq!(unknown.bool_at(&["authenticated"]), None);
    assert!(unknown.str_at(&["error"]).unwrap().starts_with("token audiences"));
    assert_eq!(review("", &[]).await.unwrap_err().message, "token is required for TokenReview in authentication");
    // A token for somebody else does not open this server.
    assert_eq!(cluster.outside(Method::GET, "/version", Some(&token), None).await.unwrap_err().code, 401);
    cluster.stop().await;
}

#[tokio::test]
async fn access_reviews_answer_as_a_request_would_be() {
    let cluster = Cluster::start().await;
    let pods = |verb: &str| json!({"resourceAttributes": {"namespace": "default", "verb": verb, "resource": "pods"}});
    let mut asked = pods("list");
    asked["user"] = "system:kube-scheduler".into();
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let answer = cluster.post(admin(), path, json!({"spec": asked})).await.unwrap();
    assert_eq!(
        answer.get("status"),
        Some(&tree(json!({
            "allowed": true,
            "reason": "RBAC: allowed by ClusterRoleBinding \"system:kube-scheduler\" of ClusterRole \
                       \"system:kube-scheduler\" to User \"system:kube-scheduler\"",
        })))
    );
    let own = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let bob = || user("bob", &["system:authenticated"]);
    let answer = cluster.post(bob(), own, json!({"spec": pods("list")})).await.unwrap();
    assert_eq!(answer.get("status"), Some(&tree(json!({"allowed": false}))));
    let refused = cluster.post(bob(), path, json!({"spec": asked})).await.unwrap_err();
    assert_eq!(refused.code, 403);
    let local = "/apis/authorization.k8s.io/v1/namespaces/other/localsubjectaccessreviews";
    assert!(cluster.post(admin(), local, json!({"spec": asked})).await.is_err());
    // Upstream names no kind: its object has lost it by then.
    let refused = cluster.post(admin(), path, json!({"spec": {}})).await.unwrap_err();
    let want = ".authorization.k8s.io \"\" is invalid: ";
    assert!(refused.code == 422 && refused.message.starts_with(want), "{}", refused.message);
    let rules = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let answer = cluster.post(bob(), rules, json!({"spec": {"namespace": "default"}})).await.unwrap();
    assert_eq!(answer.bool_at(&["status", "incomplete"]), Some(false));
    assert_eq!(answer.items_at(&["status", "resourceRules"]).len(), 2);
    assert!(!answer.items_at(&["status", "nonResourceRules"]).is_empty());
    cluster.stop().await;
}

#[tokio::test]
async fn nobody_in_particular_sees_the_version_and_nothing_else() {
    let cluster = Cluster::start().await;
    for path in ["/version", "/healthz", "/livez", "/readyz"] {
        cluster.outside(Method::GET, path, None, None).await.unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    for path in ["/api/v1/pods", "/api", "/openid/v1/jwks", "/metrics"] {
        let refused = cluster.outside(Method::GET, path, None, None).await.unwrap_err();
        assert_eq!(refused.code, 403, "{path}");
    }
    make_account(&cluster, "robot").await;
    let token = make_token(&cluster, "robot", json!({})).await;
    for path in ["/openid/v1/jwks", "/.well-known/openid-configuration", "/api", "/apis/apps/v1"] {
        cluster.outside(Method::GET, path, Some(&token), None).await.unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    cluster.stop().await;
}

/// Programs that speak protobuf ask for discovery in it, too.
#[tokio::test]
async fn discovery_has_a_binary_form() {
    let cluster = Cluster::start().await;
    let table = corten_api::types::table();
    for path in ["/apis", "/apis/apps", "/api/v1", "/apis/apps/v1"] {
        let tree = cluster.get(admin(), path).await.unwrap();
        let mut typed = tree.clone();
        if path == "/api/v1" {
            // The oldest list says its kind alone.
            assert_eq!(tree.at(&["apiVersion"]), None);
            typed.set(&["apiVersion"], "v1");
        }
        let ty = codec::type_of(table, &typed).unwrap_or_else(|| panic!("{path} has a type"));
        let bytes = codec::protobuf::encode(&tree, table, ty).unwrap();
        let mut back = codec::protobuf::decode(&bytes, table, ty).unwrap();
        let mut want = tree.clone();
        codec::canonicalize(&mut want, table, ty);
        codec::canonicalize(&mut back, table, ty);
        assert_eq!(back, want, "{path}");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn paths_that_lead_nowhere_are_told_apart_as_upstream() {
    let cluster = Cluster::start().await;
    let (absent, wrong) = (
        "the server could not find the requested resource",
        "the server does not allow this method on the requested resource",
    );
    for (method, path, code, message) in [
        (Method::GET, "/api/v1/namespaces/..", 400, "Name parameter invalid: \"..\": may not be '..'"),
        (
            Method::GET,
            "/api/v1/namespaces/default/pods/a%25b",
            400,
            "Name parameter invalid: \"a%b\": may not contain '%'",
        ),
        (Method::GET, "/api/v1/namespaces/default/pods/%2e/log", 400, "Name parameter invalid: \".\": may not be '.'"),
        (Method::DELETE, "/api/v1/nodes/..", 400, "Name parameter invalid: \"..\": may not be '..'"),
        (Method::GET, "/api/v1/pods/a", 404, absent),
        (Method::PUT, "/api/v1/pods/a", 404, absent),
        (Method::POST, "/api/v1/pods", 405, wrong),
        (Method::TRACE, "/api/v1/namespaces/default/pods/a", 405, wrong),
        (Method::TRACE, "/api/v1", 405, wrong),
        (Method::GET, "/api/v1/namespaces/default/pods/a/none", 404, absent),
        (Method::GET, "/api/v1/namespaces/default/pods/a/status/none", 404, absent),
        (Method::GET, "/api/v1/none", 404, absent),
        (Method::GET, "/api//v1", 404, absent),
        (Method::POST, "/apis/authorization.k8s.io/v1/localsubjectaccessreviews", 404, absent),
        (Method::POST, "/api/v1/bindings", 404, absent),
        (Method::POST, "/apis/apps/v1/deployments", 405, wrong),
    ] {
        let refused = cluster.ask(method.clone(), path, admin()).await.unwrap_err();
        assert_eq!((refused.code, refused.message.as_str()), (code, message), "{method} {path}");
    }
    for path in ["//api/v1/namespaces", "/apis//apps/v1", "/apis/none/v1/things", "/none", "/debug/pprof/", "/logs/"] {
        let code = cluster.code(Method::GET, path, admin()).await;
        assert_eq!(code, 404, "{path}");
    }
    cluster.stop().await;
}

async fn make_deployment(cluster: &Cluster) -> (String, Value) {
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let labels = json!({"app": "web"});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let deployment = json!({
        "metadata": {"name": "web"}, "spec": {"replicas": 3, "selector": {"matchLabels": labels}, "template": template},
    });
    let made = cluster.post(admin(), deployments, deployment).await.unwrap();
    (format!("{deployments}/web/scale"), made)
}

/// A number of the wrong type was read as none, and the workload scaled away with 200 OK.
#[tokio::test]
async fn a_scale_is_read_with_its_type() {
    let cluster = Cluster::start().await;
    let (scale, _) = make_deployment(&cluster).await;
    let replicas = |value: &serde_json::Value| json!({"spec": {"replicas": value}});
    let bad = [json!("3"), json!([]), json!({}), json!(true), json!(3.5), json!(5_000_000_000_u64)];
    for value in &bad {
        for (kind, patch) in [
            (PatchKind::Merge, replicas(value)),
            (PatchKind::Strategic, replicas(value)),
            (PatchKind::Json, json!([{"op": "replace", "path": "/spec/replicas", "value": value}])),
        ] {
            let refused = cluster.patch(admin(), &scale, kind, patch).await.unwrap_err();
            assert_eq!(refused.code, 422, "{kind:?} {value}: {}", refused.message);
            let begin = " \"\" is invalid: patch: Invalid value: ";
            assert!(refused.message.starts_with(begin), "{kind:?} {value}: {}", refused.message);
        }
        let mut whole = replicas(value);
        whole["metadata"] = json!({"name": "web"});
        let refused = cluster.put(admin(), &scale, whole.clone()).await.unwrap_err();
        assert_eq!(refused.code, 400, "PUT {value}: {}", refused.message);
        (whole["apiVersion"], whole["kind"]) = (json!("autoscaling/v1"), json!("Scale"));
        let applied = format!("{scale}?fieldManager=me&force=true");
        let refused = cluster.patch(admin(), &applied, PatchKind::Apply, whole).await.unwrap_err();
        assert_eq!(refused.code, 400, "apply {value}: {}", refused.message);
    }
    let read = async || cluster.get(admin(), &scale).await.unwrap().i64_at(&["spec", "replicas"]);
    assert_eq!(read().await, Some(3));
    let refused = cluster.patch(admin(), &scale, PatchKind::Merge, replicas(&json!(-1))).await.unwrap_err();
    assert_eq!(
        refused.message,
        "Scale.autoscaling \"web\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0"
    );
    cluster.patch(admin(), &scale, PatchKind::Merge, replicas(&json!(5))).await.unwrap();
    assert_eq!(read().await, Some(5));
    // What is absent is none.
    cluster.patch(admin(), &scale, PatchKind::Merge, replicas(&json!(null))).await.unwrap();
    assert_eq!(read().await, None);
    cluster.stop().await;
}

/// The UID in a scale was not looked at: the successor of the workload that was meant was scaled.
#[tokio::test]
async fn a_scale_is_of_the_incarnation_that_is_meant() {
    let cluster = Cluster::start().await;
    let (scale, deployment) = make_deployment(&cluster).await;
    let of = |uid: &str| json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web", "uid": uid}, "spec": {"replicas": 4}});
    let applied = format!("{scale}?fieldManager=me&force=true");
    let want = format!(
        "Operation cannot be fulfilled on deployments/scale.apps \"web\": Precondition failed: UID in precondition: \
         other, UID in object meta: {}",
        deployment.uid()
    );
    // What is put has its UID as a precondition, which the storage looks at.
    let put = format!(
        "Operation cannot be fulfilled on deployments.apps \"web\": StorageError: invalid object, Code: 4, Key: \
         /registry/deployments/default/web, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in \
         precondition: other, UID in object meta: {}",
        deployment.uid()
    );
    for (refused, want) in [
        (cluster.put(admin(), &scale, of("other")).await, &put),
        (cluster.patch(admin(), &scale, PatchKind::Merge, of("other")).await, &want),
        (cluster.patch(admin(), &applied, PatchKind::Apply, of("other")).await, &want),
    ] {
        let refused = refused.unwrap_err();
        assert_eq!((refused.code, &refused.message), (409, want));
    }
    for done in [
        cluster.put(admin(), &scale, of(deployment.uid())).await,
        cluster.patch(admin(), &scale, PatchKind::Merge, of(deployment.uid())).await,
        cluster.patch(admin(), &applied, PatchKind::Apply, of(deployment.uid())).await,
    ] {
        assert_eq!(done.unwrap().i64_at(&["spec", "replicas"]), Some(4));
    }
    cluster.stop().await;
}
