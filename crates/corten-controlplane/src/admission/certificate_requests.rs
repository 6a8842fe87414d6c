//! Certificate signing requests: who may approve and sign for a signer, and which subjects nobody gets.
//!
//! A right to write `approval` or `status` is one for the requests of all signers; what a user may do for one signer is
//! a right to `approve` or `sign` on the made-up resource `signers`.
//! Upstream: plugin/pkg/admission/certificates/{approval,signing,subjectrestriction} (v1.35).

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use base64::Engine as _;
use corten_apimachinery::{
    field::quote,
    gvk::GroupVersionResource,
    status::Status,
    value::{Value, semantically_equal},
};
use corten_apiserver::{
    admission::{Attributes, Operation, Plugin},
    authorization::{Authorizer, SYSTEM_MASTERS},
};
use corten_component_base::certificates::Subject;
use x509_parser::{certification_request::X509CertificationRequest, pem::parse_x509_pem, prelude::FromDer as _};

use super::{catalog::Parts, forbidden, signers::may};

const GROUP: &str = "certificates.k8s.io";
/// Signs client certificates of users.
const API_CLIENT: &str = "kubernetes.io/kube-apiserver-client";

fn is_request(resource: &GroupVersionResource) -> bool {
    resource.group == GROUP && resource.resource == "certificatesigningrequests"
}

/// Checks a right for the signer of a request.
#[derive(Debug)]
struct SignerRight {
    name: &'static str,
    subresource: &'static str,
    verb: &'static str,
    /// Whether a write is one that needs the right.
    concerns: fn(&Attributes<'_>) -> bool,
    /// Everybody who decides, filled in once they are all made.
    authorizer: Arc<OnceLock<Arc<dyn Authorizer>>>,
}

/// `CertificateApproval`.
pub(super) fn approval(parts: &Parts) -> Arc<dyn Plugin> {
    Arc::new(SignerRight {
        name: "CertificateApproval",
        subresource: "approval",
        verb: "approve",
        concerns: |_| true,
        authorizer: Arc::clone(&parts.authorizer),
    })
}

/// `CertificateSigning`.
pub(super) fn signing(parts: &Parts) -> Arc<dyn Plugin> {
    Arc::new(SignerRight {
        name: "CertificateSigning",
        subresource: "status",
        verb: "sign",
        concerns: |attributes| {
            let differs = |field: &str| {
                let path = ["status", field];
                !semantically_equal(attributes.object.at(&path), attributes.old_object.at(&path))
            };
            differs("certificate") || differs("conditions")
        },
        authorizer: Arc::clone(&parts.authorizer),
    })
}

#[async_trait]
impl Plugin for SignerRight {
    fn name(&self) -> &'static str {
        self.name
    }

    fn handles(&self, operation: Operation, resource: &GroupVersionResource, subresource: &str) -> bool {
        operation == Operation::Update && is_request(resource) && subresource == self.subresource
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        // The old object's: the new one may name a signer of its writer's choice.
        let signer = attributes.old_object.str_at(&["spec", "signerName"]).unwrap_or_default();
        if !(self.concerns)(attributes) || may(&self.authorizer, attributes, self.verb, signer).await {
            return Ok(());
        }
        let why = format!("user not permitted to {} requests with signerName {}", self.verb, quote(signer));
        Err(forbidden(attributes, why))
    }
}

/// Nobody becomes a master of the system by a certificate.
#[derive(Debug)]
struct SubjectRestriction;

/// `CertificateSubjectRestriction`.
pub(super) fn subject_restriction(_parts: &Parts) -> Arc<dyn Plugin> {
    Arc::new(SubjectRestriction)
}

#[async_trait]
impl Plugin for SubjectRestriction {
    fn name(&self) -> &'static str {
        "CertificateSubjectRestriction"
    }

    fn handles(&self, operation: Operation, resource: &GroupVersionResource, subresource: &str) -> bool {
        operation == Operation::Create && is_request(resource) && subresource.is_empty()
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        check_subject(&attributes.object).map_err(|why| forbidden(attributes, why))
    }
}

/// Errors: why a request is refused, in upstream's words.
fn check_subject(request: &Value) -> Result<(), String> {
    if request.str_at(&["spec", "signerName"]) != Some(API_CLIENT) {
        return Ok(());
    }
    let subject = subject_of(request).map_err(|why| format!("failed to parse CSR: {why}"))?;
    if subject.organizations.iter().any(|group| group == SYSTEM_MASTERS) {
        return Err(format!("use of {API_CLIENT} signer with system:masters group is not allowed"));
    }
    Ok(())
}

/// The subject of the PKCS#10 request, PEM in base64, of a request object.
///
/// Errors: it is none, or a name in it cannot be read as text (a signer copies the subject byte for byte).
pub(super) fn subject_of(request: &Value) -> Result<Subject, String> {
    const NOT_PEM: &str = "PEM block type must be CERTIFICATE REQUEST";
    let request = request.str_at(&["spec", "request"]).unwrap_or_default();
    let pem = base64::engine::general_purpose::STANDARD.decode(request).map_err(|_| NOT_PEM)?;
    let pem = match parse_x509_pem(&pem) {
        Ok((_, pem)) if pem.label == "CERTIFICATE REQUEST" => pem,
        _ => return Err(NOT_PEM.to_owned()),
    };
    let (_, parsed) = X509CertificationRequest::from_der(&pem.contents).map_err(|error| error.to_string())?;
    Subject::read(&parsed.certification_request_info.subject).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use corten_apimachinery::{resource::UserInfo, value::Value};
    use serde_json::json;

    use super::check_subject;
    use crate::testing::{Cluster, admin, tree};

    /// PKCS#10 of `O=system:masters, CN=eve`.
    const MASTERS: &str = concat!(
        "MIHhMIGJAgEAMCcxFzAVBgNVBAoMDnN5c3RlbTptYXN0ZXJzMQwwCgYDVQQDDANldmUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC",
        "AATtEo/411HGQZR0u75p1uxJkqQS0urbNVH35VcPoV2RG+hgjwBaj94NO949p523Fk0FsxDpvIkipROCtjKEBf9eoAAwCgYIKoZI",
        "zj0EAwIDRwAwRAIgYsLn6vUxY5q9884F1LoQXcNLfADLz9SNRT9LHGuUJdgCIGrqVpaiV9lhpNXU4AwW/HL9PrvrlCbX8M2vaAqT",
        "L3cx",
    );

    /// PKCS#10 of `O=team, CN=eve`.
    const TEAM: &str = concat!(
        "MIHWMH8CAQAwHTENMAsGA1UECgwEdGVhbTEMMAoGA1UEAwwDZXZlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE7Jn/WNi4C2fG",
        "+j4jeongmQ/QfQViog+/3dns2q4wATof+u9xojB+e4wwMg/HkBE8MZ4yTRulOTa9go76Zr0XPKAAMAoGCCqGSM49BAMCA0cAMEQC",
        "IA2Cx9RfjO0yc/eE80f6yVVSJYN2a6oEwSXn3vmtzcPUAiAmVFea9zqznIFxwN6SppCKG/DihQuxS6quczGXL6yr6g==",
    );

    fn pem(der: &str) -> String {
        let pem = format!("-----BEGIN CERTIFICATE REQUEST-----\n{der}\n-----END CERTIFICATE REQUEST-----\n");
        base64::engine::general_purpose::STANDARD.encode(pem)
    }

    fn request(name: &str, signer: &str, der: &str) -> serde_json::Value {
        let spec = json!({"request": pem(der), "signerName": signer, "usages": ["client auth"]});
        json!({"metadata": {"name": name}, "spec": spec})
    }

    #[test]
    fn no_client_certificate_makes_a_master_of_the_system() {
        let check = |signer: &str, der: &str, want: Result<(), &str>| {
            assert_eq!(check_subject(&tree(request("a", signer, der))), want.map_err(str::to_owned));
        };
        let client = "kubernetes.io/kube-apiserver-client";
        check(client, TEAM, Ok(()));
        check("example.com/own", MASTERS, Ok(()));
        let why = "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed";
        check(client, MASTERS, Err(why));
        let spoiled = tree(json!({"spec": {"signerName": client, "request": "AAAA"}}));
        let why = "failed to parse CSR: PEM block type must be CERTIFICATE REQUEST";
        assert_eq!(check_subject(&spoiled), Err(why.to_owned()));
    }

    /// The bug was that a right to write `approval` was one for all signers.
    #[tokio::test]
    async fn who_may_approve_and_sign_is_said_for_each_signer() {
        let cluster = Cluster::start().await;
        let rbac = "/apis/rbac.authorization.k8s.io/v1";
        let all = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
        let rules = json!([
            {"apiGroups": ["certificates.k8s.io"], "resources": ["certificatesigningrequests/approval",
             "certificatesigningrequests/status"], "verbs": ["update"]},
            {"apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "verbs": ["approve"],
             "resourceNames": ["example.com/one", "example.org/*"]},
        ]);
        let role = json!({"metadata": {"name": "approver"}, "rules": rules});
        cluster.post(admin(), format!("{rbac}/clusterroles"), role).await.unwrap();
        let binding = json!({
            "metadata": {"name": "approver"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "approver"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ann"}],
        });
        cluster.post(admin(), format!("{rbac}/clusterrolebindings"), binding).await.unwrap();
        let ann = || UserInfo { name: "ann".into(), ..UserInfo::default() };
        let with = |object: &Value, condition: &str| {
            let json = corten_apimachinery::codec::json::encode(object, None);
            let mut object: serde_json::Value = serde_json::from_slice(&json).unwrap();
            object["status"] = json!({"conditions": [{"type": condition, "status": "True", "reason": "r"}]});
            object
        };
        for (name, signer, want) in [
            ("one", "example.com/one", None),
            (
                "two",
                "example.com/two",
                Some("user not permitted to approve requests with signerName \"example.com/two\""),
            ),
            ("three", "example.org/any", None),
        ] {
            let made = cluster.post(admin(), all, request(name, signer, TEAM)).await.unwrap();
            let outcome = cluster.put(ann(), &format!("{all}/{name}/approval"), with(&made, "Approved")).await;
            let got = outcome.err().map(|status| status.message);
            let head = format!("certificatesigningrequests.certificates.k8s.io \"{name}\" is forbidden: ");
            assert_eq!(got, want.map(|want| format!("{head}{want}")));
        }
        let made = cluster.get(admin(), &format!("{all}/two")).await.unwrap();
        let refused = cluster.put(ann(), &format!("{all}/two/status"), with(&made, "Failed")).await.unwrap_err();
        assert_eq!(
            refused.message,
            "certificatesigningrequests.certificates.k8s.io \"two\" is forbidden: user not permitted to sign requests \
             with signerName \"example.com/two\""
        );
        cluster.stop().await;
    }
}
