//! Requests for certificates on a control plane in memory.

use crate::harness::{Harness, json, target};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use corten_apimachinery::gvk::GroupVersionResource;
use corten_controllers::{Config, config::SigningAuthority};
use corten_testkit::{Cluster, tree, user};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use std::time::Duration;
use x509_parser::{parse_x509_certificate, pem::parse_x509_pem};

fn requests() -> GroupVersionResource {
    GroupVersionResource::new("certificates.k8s.io", "v1", "certificatesigningrequests")
}

fn authority() -> SigningAuthority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "kubernetes");
    let certificate = params.self_signed(&key).unwrap();
    SigningAuthority { certificate: certificate.pem(), key: key.serialize_pem().into() }
}

fn request(name: &str, signer: &str, subject: &[(DnType, &str)], usages: &[&str]) -> Value {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for (ty, text) in subject {
        params.distinguished_name.push(ty.clone(), *text);
    }
    let pem = params.serialize_request(&key).unwrap().pem().unwrap();
    json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name},
        "spec": {"request": STANDARD.encode(pem), "signerName": signer, "usages": usages, "expirationSeconds": 3600},
    })
}

async fn start() -> Harness {
    let names = [
        "certificatesigningrequest-approving-controller",
        "certificatesigningrequest-signing-controller",
        "certificatesigningrequest-cleaner-controller",
    ];
    let config = Config { signing: Some(authority()), ..Config::default() };
    Harness::with(Cluster::start().await, &names, config)
}

const NODE: &[(DnType, &str)] = &[(DnType::OrganizationName, "system:nodes"), (DnType::CommonName, "system:node:n1")];

#[tokio::test]
async fn a_node_gets_its_certificate_without_a_person() {
    let harness = start().await;
    let usages = ["digital signature", "client auth"];
    let node = user("system:node:n1", &["system:nodes", "system:authenticated"]);
    // Nodes may renew their own certificates by the role that kubeadm binds.
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "kubeadm:node-autoapprove-certificate-rotation"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
            "name": "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        },
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:nodes"}],
    });
    let bindings = GroupVersionResource::new("rbac.authorization.k8s.io", "v1", "clusterrolebindings");
    harness.cluster.create(&bindings, binding).await;
    let asked = request("csr-n1", "kubernetes.io/kube-apiserver-client-kubelet", NODE, &usages);
    let collection = corten_client::Target::collection(&requests(), "");
    harness.cluster.client(node).create(collection, tree(&asked)).await.unwrap();
    let issued =
        harness.wait_object(&requests(), "csr-n1", |request| !request["status"]["certificate"].is_null()).await;
    assert_eq!(issued["status"]["conditions"][0]["reason"], "AutoApproved");
    let pem = STANDARD.decode(issued["status"]["certificate"].as_str().unwrap()).unwrap();
    let (_, pem) = parse_x509_pem(&pem).unwrap();
    let (_, certificate) = parse_x509_certificate(&pem.contents).unwrap();
    assert_eq!(certificate.subject().to_string(), "O=system:nodes, CN=system:node:n1");
    assert!(certificate.issuer().to_string().contains("CN=kubernetes"));
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth);
    assert!(certificate.key_usage().unwrap().unwrap().value.digital_signature());
    // An hour later nobody needs the request any more.
    harness.cluster.clock().advance(Duration::from_secs(3_601));
    harness.wait(&requests(), |all| all.is_empty().then_some(())).await;
    harness.stop().await;
}

#[tokio::test]
async fn what_a_signer_does_not_sign_fails_even_if_approved() {
    let harness = start().await;
    let user = &[(DnType::CommonName, "jane")];
    let asked = request("bad", "kubernetes.io/kube-apiserver-client", user, &["server auth"]);
    let created = harness.cluster.create(&requests(), asked).await;
    let mut approved = json(&created);
    approved["status"]["conditions"] =
        json!([{"type": "Approved", "status": "True", "reason": "Admin", "message": ""}]);
    let approval = target(&requests(), "bad").subresource("approval");
    harness.cluster.admin().update(approval, tree(&approved)).await.unwrap();
    let failed =
        harness.wait_object(&requests(), "bad", |request| request["status"]["conditions"][1]["type"] == "Failed").await;
    assert_eq!(failed["status"]["conditions"][1]["message"], "invalid usage for client certificate: server auth");
    harness.stop().await;
}
