use std::sync::Arc;

use corten_apimachinery::value::Value;
use corten_apiserver::{RequestInfo, authorization::Decision};
use http::Method;
use serde_json::json;

use super::{
    RoleRef,
    index::Index,
    missing::{Missing, compact, missing, missing_at_once, missing_bounded},
    rule::Rule,
};
use crate::{
    caches::Caches,
    testing::{Cluster, admin, request, tree, user},
};

fn rule(verbs: &str, groups: &str, resources: &str, names: &str) -> Rule {
    let texts = |list: &str| {
        list.split(' ').filter(|_| !list.is_empty()).map(|text| if text == "core" { "" } else { text }.into()).collect()
    };
    Rule {
        verbs: texts(verbs),
        api_groups: texts(groups),
        resources: texts(resources),
        resource_names: texts(names),
        non_resource_urls: Vec::new(),
    }
}

fn urls(verbs: &[&str], urls: &[&str]) -> Rule {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.into()).collect();
    Rule { verbs: texts(verbs), non_resource_urls: texts(urls), ..Rule::default() }
}

#[track_caller]
fn check_rule(rule: &Rule, method: &Method, path: &str, want: bool) {
    let info = request(method, path);
    let combined = if info.subresource.is_empty() {
        info.resource.to_string()
    } else {
        format!("{}/{}", info.resource, info.subresource)
    };
    assert_eq!(rule.allows(&info, &combined), want, "{} {method} {path}", rule.describe());
}

#[test]
fn a_rule_allows_what_it_names() {
    let get = &Method::GET;
    let pods = rule("get list", "core", "pods", "");
    check_rule(&pods, get, "/api/v1/namespaces/a/pods/b", true);
    check_rule(&pods, get, "/api/v1/pods", true);
    check_rule(&pods, &Method::DELETE, "/api/v1/namespaces/a/pods/b", false);
    check_rule(&pods, get, "/apis/x/v1/namespaces/a/pods/b", false);
    check_rule(&pods, get, "/api/v1/namespaces/a/pods/b/log", false);
    check_rule(&rule("get", "core", "pods/log", ""), get, "/api/v1/namespaces/a/pods/b/log", true);
    check_rule(&rule("get", "*", "*/scale", ""), get, "/apis/apps/v1/namespaces/a/deployments/b/scale", true);
    check_rule(&rule("get", "*", "*/scale", ""), get, "/apis/apps/v1/namespaces/a/deployments/b", false);
    check_rule(&rule("*", "*", "*", ""), &Method::PUT, "/apis/apps/v1/namespaces/a/deployments/b/scale", true);
    check_rule(&rule("get", "core", "pods", "b c"), get, "/api/v1/namespaces/a/pods/b", true);
    check_rule(&rule("get", "core", "pods", "b c"), get, "/api/v1/namespaces/a/pods/d", false);
    check_rule(&rule("list", "core", "pods", "b"), get, "/api/v1/pods", false);
    check_rule(&rule("*", "*", "*", ""), get, "/healthz", false);
}

#[test]
fn a_rule_about_paths_allows_what_begins_with_them() {
    let get = &Method::GET;
    let some = urls(&["get"], &["/healthz", "/apis/*"]);
    check_rule(&some, get, "/healthz", true);
    check_rule(&some, get, "/healthz/ping", false);
    check_rule(&some, get, "/apis/apps", true);
    check_rule(&some, &Method::POST, "/healthz", false);
    check_rule(&urls(&["*"], &["*"]), get, "/whatever", true);
}

#[track_caller]
fn check_missing(held: &[Rule], wanted: &[Rule], want: &[&str]) {
    let Missing { rules, is_all } = missing_bounded(held, wanted);
    assert!(is_all);
    assert_eq!(rules, missing(held, wanted));
    let at_once = missing_at_once(held, wanted);
    assert_eq!(at_once.map(|it| (it.rules, it.is_all)), Some((rules.clone(), true)), "little is found at once");
    let got: Vec<String> = compact(rules).iter().map(Rule::describe).collect();
    assert_eq!(got, want);
}

#[test]
fn what_is_not_held_is_told_by_resource() {
    let wanted = [rule("get list", "core", "pods secrets", "")];
    check_missing(
        &[rule("*", "core", "pods", "")],
        &wanted,
        &[r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}"#],
    );
    check_missing(&[rule("get", "*", "*", ""), rule("list", "*", "*", "")], &wanted, &[]);
    check_missing(&[rule("get list", "core", "pods secrets", "a")], &[rule("get", "core", "pods", "a")], &[]);
    check_missing(
        &[rule("get", "core", "pods", "a")],
        &[rule("get", "core", "pods", "")],
        &[r#"{APIGroups:[""], Resources:["pods"], Verbs:["get"]}"#],
    );
    check_missing(&[rule("update", "*", "*/scale", "")], &[rule("update", "apps", "deployments/scale", "")], &[]);
    check_missing(
        &[urls(&["get"], &["/healthz/*"])],
        &[urls(&["get"], &["/healthz/ping", "/metrics"])],
        &[r#"{NonResourceURLs:["/metrics"], Verbs:["get"]}"#],
    );
}

/// Texts that differ.
fn many(prefix: &str, count: usize) -> String {
    (0..count).map(|index| format!("{prefix}{index}")).collect::<Vec<_>>().join(" ")
}

/// A role of 6 KB with 400 groups, resources and verbs was taken apart into 64 million rules, 16 GB, before any was looked
/// at: the process ended.
#[test]
fn what_a_rule_allows_is_looked_at_within_bounds() {
    #[track_caller]
    fn check(held: &[Rule], wanted: &[Rule], want: (usize, bool)) {
        let Missing { rules, is_all } = missing_bounded(held, wanted);
        assert_eq!((rules.len(), is_all), want);
        let at_once = missing_at_once(held, wanted);
        assert!(at_once.is_none_or(|it| it == Missing { rules, is_all }), "what is found at once is all there is");
    }
    let (groups, resources, verbs) = (many("g", 400), many("r", 400), many("v", 400));
    let huge = [rule(&verbs, &groups, &resources, "")];
    check(&[], &huge, (5_000, false));
    assert_eq!(missing_at_once(&[] as &[Rule], &huge), None, "that is no work for a thread that answers requests");
    check(&[rule("get", &groups, &resources, "")], &huge, (5_000, false));
    // One held rule that covers it as a whole answers for all of it.
    check(&[rule("get", "core", "pods", ""), rule("*", "*", "*", "")], &huge, (0, true));
    check(&[rule(&verbs, &groups, &resources, "")], &huge, (0, true));
    // Covered by several together: nobody walks through all of that.
    check(&[rule(&many("v", 399), "*", "*", ""), rule("v399", "*", "*", "")], &huge, (0, false));
    check(&Rule::full_authority(), &[rule(&verbs, &groups, &resources, &many("n", 400))], (0, true));
    // What is usual, and more than that, is told to its end.
    let usual = [rule("get list watch create update patch delete deletecollection", "core", &many("r", 500), "")];
    check(&[], &usual, (4_000, true));
    check(&[rule("get list watch", "*", "*", ""), rule("create update patch", "core", "*", "")], &usual, (1_000, true));
    let operator: Vec<Rule> = (0..1_000)
        .map(|index| rule("get list watch create", &format!("g{}", index % 100), &format!("r{index}"), ""))
        .collect();
    let wanted: Vec<Rule> =
        (0..300).map(|index| rule("get list create", &format!("g{}", index % 100), &format!("r{index}"), "")).collect();
    check(&operator, &wanted, (0, true));
    // Lists that are empty are no reason to walk the others.
    let long = many("x", 100_000);
    check(&[], &[rule("", &long, &long, ""), rule("get", &long, "", "")], (0, true));
}

fn objects() -> Vec<Value> {
    [
        json!({"kind": "ClusterRole", "metadata": {"name": "reader"},
               "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]}),
        json!({"kind": "Role", "metadata": {"name": "writer", "namespace": "a"},
               "rules": [{"verbs": ["create"], "apiGroups": [""], "resources": ["pods"]}]}),
        json!({"kind": "ClusterRoleBinding", "metadata": {"name": "readers"},
               "roleRef": {"kind": "ClusterRole", "name": "reader"},
               "subjects": [{"kind": "Group", "name": "devs"}]}),
        json!({"kind": "RoleBinding", "metadata": {"name": "writers", "namespace": "a"},
               "roleRef": {"kind": "Role", "name": "writer"},
               "subjects": [{"kind": "User", "name": "bob"}, {"kind": "ServiceAccount", "name": "robot"}]}),
        json!({"kind": "RoleBinding", "metadata": {"name": "lost", "namespace": "a"},
               "roleRef": {"kind": "Role", "name": "gone"}, "subjects": [{"kind": "User", "name": "eve"}]}),
        json!({"kind": "RoleBinding", "metadata": {"name": "lost2", "namespace": "a"},
               "roleRef": {"kind": "ClusterRole", "name": "gone"}, "subjects": [{"kind": "User", "name": "eve"}]}),
    ]
    .map(tree)
    .to_vec()
}

#[track_caller]
fn check(who: &str, groups: &[&str], method: &Method, path: &str, want: (bool, &str)) {
    let index = Index::compile(&objects());
    let decision = index.decide(&user(who, groups), &request(method, path));
    assert_eq!((decision.is_allowed(), decision.reason()), want, "{who} {method} {path}");
}

#[test]
fn bindings_give_rights_where_they_are() {
    let (get, post) = (&Method::GET, &Method::POST);
    let reader = r#"RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "reader" to Group "devs""#;
    check("ann", &["devs"], get, "/api/v1/namespaces/b/pods/p", (true, reader));
    check("ann", &[], get, "/api/v1/namespaces/b/pods/p", (false, ""));
    let writer = r#"RBAC: allowed by RoleBinding "writers/a" of Role "writer" to User "bob""#;
    check("bob", &[], post, "/api/v1/namespaces/a/pods", (true, writer));
    check("bob", &[], post, "/api/v1/namespaces/b/pods", (false, ""));
    let robot = r#"RBAC: allowed by RoleBinding "writers/a" of Role "writer" to ServiceAccount "robot/a""#;
    check("system:serviceaccount:a:robot", &[], post, "/api/v1/namespaces/a/pods", (true, robot));
    check("system:serviceaccount:b:robot", &[], post, "/api/v1/namespaces/a/pods", (false, ""));
}

#[test]
fn a_role_that_is_not_there_is_told() {
    check(
        "eve",
        &[],
        &Method::GET,
        "/api/v1/namespaces/a/pods/p",
        (
            false,
            r#"RBAC: [role.rbac.authorization.k8s.io "gone" not found, clusterrole.rbac.authorization.k8s.io "gone" not found]"#,
        ),
    );
}

#[test]
fn a_decision_says_nothing_of_paths_to_those_who_have_pods() {
    let index = Index::compile(&objects());
    let info = RequestInfo { path: "/pods".into(), verb: "get".into(), ..RequestInfo::default() };
    assert_eq!(index.decide(&user("ann", &["devs"]), &info), Decision::NoOpinion { reason: String::new() });
}

#[tokio::test]
async fn nobody_gives_away_more_than_they_hold() {
    let cluster = Cluster::start().await;
    const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
    const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
    let role = |name: &str, verbs: &[&str]| json!({"metadata": {"name": name}, "rules": [{"verbs": verbs, "apiGroups": [""], "resources": ["configmaps"]}]});
    let binding = |name: &str, role: &str, who: &str| {
        json!({"metadata": {"name": name}, "roleRef": {"kind": "Role", "name": role, "apiGroup": super::GROUP},
               "subjects": [{"kind": "User", "name": who, "apiGroup": super::GROUP}]})
    };
    let manager = json!({"metadata": {"name": "manager"}, "rules": [
        {"verbs": ["*"], "apiGroups": [super::GROUP], "resources": ["rolebindings"]},
        {"verbs": ["create", "update"], "apiGroups": [super::GROUP], "resources": ["roles"]},
        {"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"]},
    ]});
    cluster.post(admin(), ROLES, manager).await.unwrap();
    cluster.post(admin(), BINDINGS, binding("bob", "manager", "bob")).await.unwrap();
    cluster.post(admin(), ROLES, role("all", &["get", "delete"])).await.unwrap();

    let bob = || user("bob", &["devs"]);
    cluster.post(bob(), ROLES, role("held", &["get"])).await.unwrap();
    let refused = cluster.post(bob(), ROLES, role("more", &["get", "delete"])).await.unwrap_err();
    assert_eq!(
        refused.message,
        "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"bob\" (groups=[\"devs\"]) is attempting to grant \
         RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"configmaps\"], Verbs:[\"delete\"]}"
    );
    let names: Vec<String> = (0..400).map(|index| format!("x{index}")).collect();
    let huge =
        json!({"metadata": {"name": "huge"}, "rules": [{"verbs": names, "apiGroups": names, "resources": names}]});
    let refused = cluster.post(bob(), &format!("{ROLES}?dryRun=All"), huge).await.unwrap_err();
    assert!(refused.code == 403 && refused.message.ends_with("grant less at once)"), "{}", refused.message.len());
    // He may bind what he holds; `*` on bindings is no right to `bind` roles.
    cluster.post(bob(), BINDINGS, binding("held", "held", "ann")).await.unwrap();
    let refused = cluster.post(bob(), BINDINGS, binding("more", "all", "ann")).await.unwrap_err();
    assert_eq!((refused.code, refused.message.contains("not currently held")), (403, true), "{refused}");
    let missing = cluster.post(bob(), BINDINGS, binding("none", "none", "ann")).await.unwrap_err();
    assert_eq!(missing.code, 404);
    cluster.stop().await;
}

/// All roles were read at once, while every other request kept its thread to wait for them.
#[tokio::test]
async fn many_roles_are_compiled_once_and_nobody_is_held_up() {
    let cluster = Cluster::start().await;
    for number in 0..300 {
        let role = json!({"metadata": {"name": format!("r{number}")}, "rules": [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": ["x".repeat(500)]},
        ]});
        let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
        cluster.post(admin(), path, role).await.unwrap();
    }
    let caches = Arc::<Caches>::default();
    caches.fill(&cluster.server.routes().stores());
    caches.get(super::GROUP, "roles").unwrap().consistent().await.unwrap();
    let rbac = super::Rbac::new(Arc::clone(&caches));
    let mut turns = 0;
    let mut first = std::pin::pin!(rbac.index());
    let (first, second) = tokio::join!(
        biased;
        std::future::poll_fn(|cx| {
            turns += 1;
            first.as_mut().poll(cx)
        }),
        rbac.index()
    );
    // One for each of the four, and 300 times 900 bytes are read 64 KiB at a time.
    assert!(turns >= 4 + 4, "{turns}");
    assert!(Arc::ptr_eq(&first, &second) && first.is_current(&caches));
    assert!(first.role_rules(&RoleRef::Namespaced("r299".into()), "default").is_ok());
    cluster.stop().await;
}
