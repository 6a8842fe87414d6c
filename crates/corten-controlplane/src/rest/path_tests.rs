//! What the forms of a path, whatever the method, do for somebody who may only read.

use corten_apimachinery::{
    resource::{ResourceDefinition, UserInfo},
    status::Status,
    value::Value,
};
use corten_client::PatchKind;
use corten_resources::catalog::RESOURCES;
use http::Method;
use serde_json::json;

use crate::testing::{Cluster, admin, user};

/// Who has what upstream's role `view` is gathered from (no controller does so here), and who may read everything.
const READERS: [(&str, &str); 2] = [("viewer", "system:aggregate-to-view"), ("reader", "reads-all")];

async fn make_role(cluster: &Cluster, namespace: &str, who: &str, rules: serde_json::Value) {
    let base = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}");
    let role = json!({"metadata": {"name": who}, "rules": rules});
    cluster.post(admin(), format!("{base}/roles"), role).await.unwrap();
    let binding = json!({
        "metadata": {"name": who},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": who},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": who}],
    });
    cluster.post(admin(), format!("{base}/rolebindings"), binding).await.unwrap();
}

async fn make_readers(cluster: &Cluster) {
    let base = "/apis/rbac.authorization.k8s.io/v1";
    let role = json!({"metadata": {"name": "reads-all"}, "rules": [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]},
    ]});
    cluster.post(admin(), format!("{base}/clusterroles"), role).await.unwrap();
    for (who, role) in READERS {
        let binding = json!({
            "metadata": {"name": who},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": who}],
        });
        cluster.post(admin(), format!("{base}/clusterrolebindings"), binding).await.unwrap();
    }
}

fn nobody_else(name: &str) -> UserInfo {
    user(name, &["system:nobody-else"])
}

/// One way to write the path of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As it is meant to be.
    Plain,
    /// The old form of a watch.
    Watch,
    /// The same, without the namespace.
    WatchAcross,
    /// The name is selected, and not in the path.
    Selected,
    /// The same, as a watch.
    SelectedWatch,
    /// Behind a namespace, and within it once more if it is in one.
    Nested,
}

const FORMS: [Form; 6] =
    [Form::Plain, Form::Watch, Form::WatchAcross, Form::Selected, Form::SelectedWatch, Form::Nested];

fn path(resource: &ResourceDefinition, subresource: &str, form: Form) -> String {
    let version = resource.hub().name;
    let root = match resource.group {
        "" => format!("/api/{version}"),
        group => format!("/apis/{group}/{version}"),
    };
    let within = if resource.is_namespaced() { "/namespaces/default" } else { "" };
    let plural = resource.plural;
    let tail = if subresource.is_empty() { String::new() } else { format!("/{subresource}") };
    let selector = "fieldSelector=metadata.name%3Dp";
    match form {
        Form::Plain => format!("{root}{within}/{plural}/p{tail}"),
        Form::Watch => format!("{root}/watch{within}/{plural}/p{tail}"),
        Form::WatchAcross => format!("{root}/watch/{plural}/p{tail}"),
        Form::Selected => format!("{root}{within}/{plural}/{tail}?{selector}"),
        Form::SelectedWatch => format!("{root}{within}/{plural}/{tail}?watch=1&{selector}"),
        Form::Nested => format!("{root}/namespaces/default{within}/{plural}/p{tail}"),
    }
}

/// A path of the old watch was authorized as a watch, and its subresource answered by method: who had `view` changed scales
/// and status, and who could read everything made tokens of administrators and ran commands. A name that only a field selector
/// had did the same with the right to list.
#[tokio::test]
async fn readers_change_nothing_and_run_nothing_whatever_the_path() {
    let cluster = Cluster::start().await;
    make_readers(&cluster).await;
    cluster.make_pod("p").await;
    let account = json!({"metadata": {"name": "p"}});
    cluster.post(admin(), "/api/v1/namespaces/default/serviceaccounts", account).await.unwrap();
    cluster.get(nobody_else("viewer"), "/api/v1/namespaces/default/pods/p/status").await.unwrap();
    let before = cluster.revision().await;
    let methods =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
    let mut asked = 0;
    for resource in RESOURCES {
        let subresources = resource.subresources.iter().map(|subresource| subresource.name.as_str());
        for subresource in std::iter::once("").chain(subresources) {
            for form in FORMS {
                let path = path(resource, subresource, form);
                for method in &methods {
                    for (who, _) in READERS {
                        let code = cluster.code(method.clone(), &path, nobody_else(who)).await;
                        check(code, method, subresource, form, &format!("{who}: {method} {path}"));
                        asked += 1;
                    }
                }
            }
        }
    }
    assert!(asked > 5_000, "{asked}");
    assert_eq!(cluster.revision().await, before);
    cluster.stop().await;
}

#[track_caller]
fn check(code: u16, method: &Method, subresource: &str, form: Form, what: &str) {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    let is_refused = matches!(code, 403..=405);
    match (subresource, form) {
        // Nothing but a read gets as far as to a handler.
        _ if !is_read => assert!(is_refused, "{what}: {code}"),
        // The right to read is none to run something.
        ("exec" | "attach" | "portforward", Form::Plain) if method == Method::GET => assert_eq!(code, 403, "{what}"),
        ("exec" | "attach" | "portforward", Form::Plain) => assert!(is_refused, "{what}: {code}"),
        ("", _) | (_, Form::Plain) => {}
        // The name is missing.
        (_, Form::Selected | Form::SelectedWatch) => assert!(is_refused || code == 400, "{what}: {code}"),
        _ => assert!(is_refused, "{what}: {code}"),
    }
}

/// As `readers_change_nothing...`, with the bodies that did it.
#[tokio::test]
async fn the_old_form_of_a_watch_is_no_way_to_a_subresource() {
    let cluster = Cluster::start().await;
    make_readers(&cluster).await;
    cluster.make_pod("p").await;
    let absent = "the server could not find the requested resource";
    let wrong = "the server does not allow this method on the requested resource";
    let pods = "/api/v1/watch/namespaces/default/pods";
    let reader = || nobody_else("reader");
    let token = "/api/v1/watch/namespaces/kube-system/serviceaccounts/clusterrole-aggregation-controller/token";
    let (binding, eviction, object) = (
        json!({"metadata": {"name": "p"}, "target": {"name": "n"}}),
        json!({"metadata": {"name": "p"}}),
        json!({"metadata": {"labels": {"a": "b"}}}),
    );
    let patched = async |who: UserInfo, path: String| cluster.patch(who, &path, PatchKind::Merge, object.clone()).await;
    let exec = "/api/v1/namespaces/default/pods//exec?command=id&fieldSelector=metadata.name%3Dp";
    let answers: [(Result<Value, Status>, u16, &str); 9] = [
        (cluster.post(reader(), token, json!({})).await, 404, absent),
        (cluster.post(reader(), "/api/v1/watch/namespaces/default/bindings", binding).await, 404, absent),
        (cluster.post(reader(), format!("{pods}/p/eviction"), eviction).await, 404, absent),
        (cluster.get(reader(), &format!("{pods}/p/exec?command=id")).await, 404, absent),
        (patched(nobody_else("viewer"), format!("{pods}/p/status")).await, 404, absent),
        (patched(reader(), format!("{pods}/p/ephemeralcontainers")).await, 404, absent),
        (patched(reader(), format!("{pods}/p")).await, 405, wrong),
        (cluster.delete(reader(), pods).await, 405, wrong),
        (cluster.get(reader(), exec).await, 400, "name must be provided"),
    ];
    for (answer, code, message) in answers {
        let refused = answer.unwrap_err();
        assert_eq!((refused.code, refused.message.as_str()), (code, message));
    }
    // What it is for is still there.
    for path in [pods, &format!("{pods}/p"), "/api/v1/watch/pods", "/api/v1/watch/namespaces/default"] {
        assert_eq!(cluster.code(Method::GET, path, reader()).await, 200, "{path}");
    }
    cluster.stop().await;
}

/// Only the namespace before it was authorized: who had all rights in one namespace read, made and deleted all others.
#[tokio::test]
async fn a_right_within_a_namespace_is_none_to_other_namespaces() {
    let cluster = Cluster::start().await;
    let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    make_role(&cluster, "default", "tenant", all).await;
    let tenant = || nobody_else("tenant");
    cluster.get(tenant(), "/api/v1/namespaces/default").await.unwrap();
    let base = "/api/v1/namespaces/default/namespaces";
    let made = cluster.post(tenant(), base, json!({"metadata": {"name": "mine"}})).await;
    assert_eq!(made.unwrap_err().code, 404);
    for path in [base, &format!("{base}/kube-system"), "/api/v1/namespaces/default/nodes"] {
        for method in [Method::GET, Method::DELETE] {
            assert_eq!(cluster.code(method.clone(), path, tenant()).await, 404, "{method} {path}");
        }
    }
    cluster.get(admin(), "/api/v1/namespaces/kube-system").await.unwrap();
    cluster.stop().await;
}

/// A field selector took the place of the name that had been authorized.
#[tokio::test]
async fn a_watch_of_one_object_is_of_no_other() {
    let cluster = Cluster::start().await;
    let secrets = "/api/v1/namespaces/default/secrets";
    for name in ["mine", "theirs"] {
        cluster.post(admin(), secrets, json!({"metadata": {"name": name}})).await.unwrap();
    }
    let one = json!([
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["mine"], "verbs": ["list", "watch"]},
    ]);
    make_role(&cluster, "default", "keeper", one).await;
    let keeper = || nobody_else("keeper");
    let watch = "/api/v1/watch/namespaces/default/secrets/mine";
    for selector in ["metadata.name!%3D0", "metadata.name%3Dtheirs", "type%3DOpaque"] {
        let refused = cluster.get(keeper(), &format!("{watch}?fieldSelector={selector}")).await.unwrap_err();
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (400, "fieldSelector metadata.name doesn't match requested name"),
            "{selector}"
        );
    }
    for path in [watch, &format!("{watch}?fieldSelector=metadata.name%3Dmine")] {
        assert_eq!(cluster.code(Method::GET, path, keeper()).await, 200, "{path}");
    }
    let selected = "fieldSelector=type%3DOpaque,metadata.name%3Dmine";
    assert_eq!(cluster.get(keeper(), &format!("{secrets}?{selected}")).await, Ok(Value::Int(1)));
    for path in [
        format!("{secrets}?fieldSelector=metadata.name!%3Dtheirs"),
        format!("{secrets}?fieldSelector=metadata.name%3Dtheirs"),
        format!("/api/v1/watch/namespaces/default/secrets?{selected}"),
        secrets.to_owned(),
    ] {
        assert_eq!(cluster.code(Method::GET, &path, keeper()).await, 403, "{path}");
    }
    cluster.stop().await;
}
