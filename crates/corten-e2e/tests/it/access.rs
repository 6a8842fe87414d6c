//! Who may what: pods with their service account's token, people with certificates that the cluster signed.

use anyhow::{Context as _, ensure};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use corten_e2e::{Kubectl, Machine, in_sandbox, side_by_side};
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::{Value, json};

#[test]
fn pods_and_people_prove_who_they_are() {
    in_sandbox("access::pods_and_people_prove_who_they_are", || {
        let machine = Machine::with_cluster()?;
        side_by_side(
            &machine.kubectl()?,
            &[
                ("from-pod", a_pod_uses_the_api_as_its_account),
                ("tokens", tokens_are_for_an_audience_and_a_time),
                ("no-token", a_pod_may_have_no_token),
                ("certificates", a_person_gets_a_certificate),
                ("denied", a_denied_request_gets_none),
                ("roles", roles_grant_no_more_than_they_say),
            ],
        )
    });
}

/// A pod with the real kubectl inside, which finds the cluster as any program in a pod does.
fn with_kubectl(account: &str) -> anyhow::Result<String> {
    let tools = std::env::var("CORTEN_TEST_TOOLS").context("CORTEN_TEST_TOOLS is not set: run `cargo xtask test`")?;
    let program = std::fs::canonicalize(format!("{tools}/bin/kubectl")).context("find kubectl")?;
    Ok(format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  serviceAccountName: {account}\n  \
         terminationGracePeriodSeconds: 0\n  volumes: [{{name: tool, hostPath: {{path: {}, type: File}}}}]\n  containers:\n  \
         - name: c\n    image: busybox:1.28\n    command: [sleep, '3600']\n    env: [{{name: HOME, value: /tmp}}]\n    \
         volumeMounts: [{{name: tool, mountPath: /bin/kubectl, readOnly: true}}]\n",
        program.display()
    ))
}

fn a_pod_uses_the_api_as_its_account(kubectl: &Kubectl) -> anyhow::Result<()> {
    let space = kubectl.namespace();
    kubectl.ok(&["create", "serviceaccount", "reader"]);
    kubectl.apply(&with_kubectl("reader")?)?;
    kubectl.ready("p");
    let user = format!("system:serviceaccount:{space}:reader");
    let who = kubectl.json(&["exec", "p", "--", "kubectl", "auth", "whoami"]);
    let who = &who["status"]["userInfo"];
    ensure!(who["username"] == user.as_str(), "{who}");
    let groups = json!(["system:serviceaccounts", format!("system:serviceaccounts:{space}"), "system:authenticated"]);
    ensure!(who["groups"] == groups, "{who}");
    ensure!(who["extra"]["authentication.kubernetes.io/pod-name"] == json!(["p"]), "{who}");

    let refused = kubectl.run(&["exec", "p", "--", "kubectl", "get", "pods"])?;
    let why = format!(
        "Error from server (Forbidden): pods is forbidden: User \"{user}\" cannot list resource \"pods\" in API group \"\" \
         in the namespace \"{space}\""
    );
    ensure!(!refused.success && refused.err.contains(&why), "{refused:?}");
    kubectl.ok(&["create", "role", "reads", "--verb=get,list", "--resource=pods"]);
    kubectl.ok(&["create", "rolebinding", "reads", "--role=reads", &format!("--serviceaccount={space}:reader")]);
    for server in ["", "--server=https://kubernetes.default", "--server=https://kubernetes.default.svc.cluster.local"] {
        let mut command = vec!["exec", "p", "--", "kubectl", "get", "pods", "-o", "name"];
        let account = "/var/run/secrets/kubernetes.io/serviceaccount";
        let authority = format!("--certificate-authority={account}/ca.crt");
        let token = format!("--token={}", kubectl.inside("p", "c", &format!("cat {account}/token")));
        let space_flag = format!("--namespace={space}");
        if !server.is_empty() {
            command.extend([server, &authority, &token, &space_flag]);
        }
        ensure!(kubectl.ok(&command) == "pod/p\n", "{server}");
    }
    let refused = kubectl.run(&["exec", "p", "--", "kubectl", "delete", "pod", "p"])?;
    ensure!(!refused.success && refused.err.contains("cannot delete resource \"pods\""), "{refused:?}");
    Ok(())
}

/// What a token says, without looking whether it is true.
fn claims(token: &str) -> anyhow::Result<Value> {
    let payload = token.trim().split('.').nth(1).context("a token has three parts")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?)
}

fn review(kubectl: &Kubectl, token: &str, audiences: &[&str]) -> anyhow::Result<Value> {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": token.trim(), "audiences": audiences}});
    let output = kubectl.run_with(
        &["create", "--raw", "/apis/authentication.k8s.io/v1/tokenreviews", "-f", "-"],
        &review.to_string(),
    )?;
    ensure!(output.success, "{}", output.err);
    let reviewed: Value = serde_json::from_str(&output.out)?;
    Ok(reviewed["status"].clone())
}

const PROJECTED: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  terminationGracePeriodSeconds: 0
  volumes:
  - name: tokens
    projected:
      defaultMode: 0440
      sources:
      - {serviceAccountToken: {path: vault, audience: vault, expirationSeconds: 700}}
      - {configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: deep/ca}]}}
      - {downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}
  containers:
  - name: c
    image: busybox:1.28
    command: [sleep, '3600']
    volumeMounts: [{name: tokens, mountPath: /tokens}]
"#;

fn tokens_are_for_an_audience_and_a_time(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(PROJECTED)?;
    kubectl.ready("p");
    let user = format!("system:serviceaccount:{}:default", kubectl.namespace());
    kubectl.says("p", &[("cat /tokens/name; head -1 /tokens/deep/ca", "p-----BEGIN CERTIFICATE-----")])?;
    let token = kubectl.inside("p", "c", "cat /tokens/vault");
    let said = claims(&token)?;
    let seconds = said["exp"].as_i64().unwrap_or_default() - said["iat"].as_i64().unwrap_or_default();
    ensure!(said["aud"] == json!(["vault"]) && said["sub"] == user.as_str() && seconds == 700, "{said}");
    ensure!(said["kubernetes.io"]["pod"]["name"] == "p", "{said}");
    let reviewed = review(kubectl, &token, &["vault"])?;
    ensure!(
        reviewed["authenticated"] == true
            && reviewed["user"]["username"] == user.as_str()
            && reviewed["audiences"] == json!(["vault"]),
        "{reviewed}"
    );
    // Not for the API server itself.
    let reviewed = review(kubectl, &token, &[])?;
    ensure!(reviewed["authenticated"] != true, "{reviewed}");

    let made = kubectl.ok(&["create", "token", "default", "--duration=15m", "--audience=shop"]);
    let said = claims(&made)?;
    let seconds = said["exp"].as_i64().unwrap_or_default() - said["iat"].as_i64().unwrap_or_default();
    ensure!(said["aud"] == json!(["shop"]) && seconds == 900, "{said}");
    // A token bound to a pod dies with it.
    kubectl.ok(&["delete", "pod", "p"]);
    let reviewed = review(kubectl, &token, &["vault"])?;
    ensure!(reviewed["authenticated"] != true, "{reviewed}");
    Ok(())
}

fn a_pod_may_have_no_token(kubectl: &Kubectl) -> anyhow::Result<()> {
    let manifest = with_kubectl("default")?.replace("spec:\n", "spec:\n  automountServiceAccountToken: false\n");
    kubectl.apply(&manifest)?;
    kubectl.ready("p");
    kubectl.says("p", &[("ls /var/run/secrets 2>&1 | grep -c 'No such file'", "1")])
}

struct Person {
    key: String,
    request: String,
}

fn person(name: &str, group: &str) -> anyhow::Result<Person> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, group);
    let request = params.serialize_request(&key)?.pem()?;
    Ok(Person { key: key.serialize_pem(), request })
}

fn signing_request(name: &str, person: &Person) -> String {
    json!({"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name},
        "spec": {"request": STANDARD.encode(&person.request), "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"], "expirationSeconds": 3600}})
    .to_string()
}

fn a_person_gets_a_certificate(kubectl: &Kubectl) -> anyhow::Result<()> {
    let jane = person("jane", "developers")?;
    kubectl.apply(&signing_request("jane", &jane))?;
    let shown = kubectl.ok(&["get", "csr", "jane", "--no-headers"]);
    let columns: Vec<&str> = shown.split_whitespace().collect();
    ensure!(columns[2..] == ["kubernetes.io/kube-apiserver-client", "kubernetes-admin", "60m", "Pending"], "{shown}");
    let approved = kubectl.ok(&["certificate", "approve", "jane"]);
    ensure!(approved.starts_with("certificatesigningrequest.certificates.k8s.io/jane approved"), "{approved}");
    kubectl.ok(&["wait", "--for=jsonpath={.status.certificate}", "csr/jane", "--timeout=60s"]);
    let shown = kubectl.ok(&["get", "csr", "jane", "--no-headers"]);
    ensure!(shown.trim_end().ends_with("Approved,Issued"), "{shown}");

    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name).display().to_string();
    let certificate = kubectl.ok(&["get", "csr", "jane", "-o", "jsonpath={.status.certificate}"]);
    std::fs::write(file("crt"), STANDARD.decode(certificate.trim())?)?;
    std::fs::write(file("key"), &jane.key)?;
    kubectl.ok(&["config", "view", "--raw", "-o", "jsonpath={.clusters[0].cluster.certificate-authority-data}"]);
    let authority = kubectl.ok(&["get", "configmap", "kube-root-ca.crt", "-o", "jsonpath={.data.ca\\.crt}"]);
    std::fs::write(file("ca"), authority)?;
    let server = kubectl.ok(&["config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"]);
    let as_jane = |arguments: &[&str]| {
        let identity = [
            "--kubeconfig=/dev/null".to_owned(),
            format!("--server={server}"),
            format!("--certificate-authority={}", file("ca")),
            format!("--client-certificate={}", file("crt")),
            format!("--client-key={}", file("key")),
        ];
        let identity: Vec<&str> = identity.iter().map(String::as_str).collect();
        kubectl.run(&[&identity, arguments].concat())
    };
    let who = as_jane(&["auth", "whoami", "-o", "jsonpath={.status.userInfo.username} {.status.userInfo.groups}"])?;
    ensure!(who.out == "jane [\"developers\",\"system:authenticated\"]", "{who:?}");
    let refused = as_jane(&["get", "pods"])?;
    ensure!(!refused.success && refused.err.contains("User \"jane\" cannot list resource \"pods\""), "{refused:?}");
    kubectl.ok(&["create", "rolebinding", "views", "--clusterrole=view", "--group=developers"]);
    let allowed = as_jane(&["get", "pods"])?;
    ensure!(allowed.success && allowed.err.contains("No resources found"), "{allowed:?}");
    let can = as_jane(&["auth", "can-i", "create", "pods"])?;
    ensure!(!can.success && can.out == "no\n", "{can:?}");
    let can = as_jane(&["auth", "can-i", "list", "pods"])?;
    ensure!(can.success && can.out == "yes\n", "{can:?}");
    Ok(())
}

fn a_denied_request_gets_none(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(&signing_request("john", &person("john", "visitors")?))?;
    let denied = kubectl.ok(&["certificate", "deny", "john"]);
    ensure!(denied.starts_with("certificatesigningrequest.certificates.k8s.io/john denied"), "{denied}");
    let shown = kubectl.ok(&["get", "csr", "john", "--no-headers"]);
    ensure!(shown.trim_end().ends_with("Denied"), "{shown}");
    Ok(())
}

fn roles_grant_no_more_than_they_say(kubectl: &Kubectl) -> anyhow::Result<()> {
    let space = kubectl.namespace();
    kubectl.ok(&["create", "serviceaccount", "keeper"]);
    kubectl.ok(&["create", "configmap", "one"]);
    kubectl.ok(&["create", "role", "one", "--verb=get,update", "--resource=configmaps", "--resource-name=one"]);
    kubectl.ok(&["create", "rolebinding", "one", "--role=one", &format!("--serviceaccount={space}:keeper")]);
    let user = format!("--as=system:serviceaccount:{space}:keeper");
    kubectl.ok(&["get", "configmap", "one", &user]);
    for (arguments, why) in [
        (&["get", "configmap", "two"] as &[&str], "configmaps \"two\" is forbidden: User"),
        (&["get", "configmaps"], "cannot list resource \"configmaps\" in API group \"\" in the namespace"),
        (&["get", "nodes"], "cannot list resource \"nodes\" in API group \"\" at the cluster scope"),
        (
            &["create", "role", "more", "--verb=get", "--resource=secrets"],
            "cannot create resource \"roles\" in API group \"rbac.authorization.k8s.io\" in the namespace",
        ),
    ] {
        let said = kubectl.fails(&[arguments, &[&user]].concat());
        ensure!(said.contains("(Forbidden)") && said.contains(why), "{said}");
    }
    // Who may write roles may not grant what they have not.
    kubectl.ok(&["create", "role", "roles", "--verb=create", "--resource=roles.rbac.authorization.k8s.io"]);
    kubectl.ok(&["create", "rolebinding", "roles", "--role=roles", &format!("--serviceaccount={space}:keeper")]);
    let said = kubectl.fails(&["create", "role", "more", "--verb=get", "--resource=secrets", &user]);
    ensure!(said.contains("is attempting to grant RBAC permissions not currently held:"), "{said}");
    Ok(())
}
