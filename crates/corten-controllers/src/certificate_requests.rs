//! Reading certificate signing requests: what stands in the object, and what in the request inside it.
//!
//! Upstream: pkg/apis/certificates/helpers.go (v1.35); its error texts become conditions.

use std::collections::BTreeSet;

use corten_api::certificates::v1::CertificateSigningRequest;
use corten_component_base::certificates::Subject;
use x509_parser::{
    certification_request::X509CertificationRequest,
    extensions::{GeneralName, ParsedExtension},
    pem::parse_x509_pem,
    prelude::FromDer as _,
};

/// Signs client certificates of users.
pub(crate) const API_CLIENT: &str = "kubernetes.io/kube-apiserver-client";
/// Signs client certificates of kubelets.
pub(crate) const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// Signs serving certificates of kubelets.
pub(crate) const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
/// Signs whatever an approver approves.
pub(crate) const LEGACY_UNKNOWN: &str = "kubernetes.io/legacy-unknown";

/// Whether the request has this condition and it holds.
pub(crate) fn has(request: &CertificateSigningRequest, ty: &str) -> bool {
    let conditions = request.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == ty && condition.status == "True")
}

/// Whether there is a certificate.
pub(crate) fn is_issued(request: &CertificateSigningRequest) -> bool {
    let certificate = request.status.as_ref().and_then(|status| status.certificate.as_ref());
    certificate.is_some_and(|certificate| !certificate.0.is_empty())
}

/// The PKCS#10 request in a request object, DER.
///
/// Errors: it is none, in upstream's words.
pub(crate) fn der_of(request: &CertificateSigningRequest) -> Result<Vec<u8>, String> {
    match parse_x509_pem(&request.spec.request.0) {
        Ok((_, pem)) if pem.label == "CERTIFICATE REQUEST" => Ok(pem.contents),
        _ => Err("PEM block type must be CERTIFICATE REQUEST".to_owned()),
    }
}

/// What a request asks for.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    /// All of it.
    pub(crate) parsed: X509CertificationRequest<'a>,
    /// For whom.
    pub(crate) subject: Subject,
    /// Names of hosts.
    pub(crate) dns_names: Vec<String>,
    /// Addresses, as bytes.
    pub(crate) addresses: Vec<Vec<u8>>,
    /// Mail addresses.
    pub(crate) emails: Vec<String>,
    /// URIs.
    pub(crate) uris: Vec<String>,
}

impl<'a> Asked<'a> {
    /// Reads the DER of a request.
    ///
    /// Errors: it is none, or a name in its subject is not text.
    pub(crate) fn parse(der: &'a [u8]) -> Result<Self, String> {
        let (_, parsed) = X509CertificationRequest::from_der(der).map_err(|error| error.to_string())?;
        let subject = Subject::read(&parsed.certification_request_info.subject).map_err(|error| error.to_string())?;
        let mut asked = Self {
            subject,
            dns_names: Vec::new(),
            addresses: Vec::new(),
            emails: Vec::new(),
            uris: Vec::new(),
            parsed,
        };
        let mut names = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for extension in asked.parsed.requested_extensions().into_iter().flatten() {
            let ParsedExtension::SubjectAlternativeName(names_) = extension else { continue };
            for name in &names_.general_names {
                match name {
                    GeneralName::DNSName(name) => names.0.push((*name).to_owned()),
                    GeneralName::IPAddress(address) => names.1.push(address.to_vec()),
                    GeneralName::RFC822Name(name) => names.2.push((*name).to_owned()),
                    GeneralName::URI(uri) => names.3.push((*uri).to_owned()),
                    // Other kinds of names do not get into certificates, as upstream.
                    _ => {}
                }
            }
        }
        (asked.dns_names, asked.addresses, asked.emails, asked.uris) = names;
        Ok(asked)
    }
}

/// Whether a request is one that a signer signs.
///
/// Errors: why not, for the condition `Failed`.
pub(crate) fn check(signer: &str, asked: &Asked<'_>, usages: &[String]) -> Result<(), String> {
    match signer {
        KUBELET_SERVING => check_kubelet_serving(asked, usages),
        KUBELET_CLIENT => check_kubelet_client(asked, usages),
        API_CLIENT => check_api_client(usages),
        _ => Ok(()),
    }
}

fn check_kubelet_serving(asked: &Asked<'_>, usages: &[String]) -> Result<(), String> {
    check_organization(asked)?;
    if asked.dns_names.is_empty() && asked.addresses.is_empty() {
        return Err("DNS or IP subjectAltName is required".to_owned());
    }
    forbid(&asked.emails, "Email")?;
    forbid(&asked.uris, "URI")?;
    check_usages(usages, "server auth")?;
    check_common_name(asked)
}

fn check_kubelet_client(asked: &Asked<'_>, usages: &[String]) -> Result<(), String> {
    check_organization(asked)?;
    forbid(&asked.dns_names, "DNS")?;
    forbid(&asked.emails, "Email")?;
    forbid(&asked.addresses, "IP")?;
    forbid(&asked.uris, "URI")?;
    check_common_name(asked)?;
    check_usages(usages, "client auth")
}

fn check_api_client(usages: &[String]) -> Result<(), String> {
    let allowed = ["digital signature", "key encipherment", "client auth"];
    if let Some(usage) = usages.iter().find(|usage| !allowed.contains(&usage.as_str())) {
        return Err(format!("invalid usage for client certificate: {usage}"));
    }
    if usages.iter().any(|usage| usage == "client auth") {
        Ok(())
    } else {
        Err("missing required usage for client certificate: client auth".to_owned())
    }
}

fn check_organization(asked: &Asked<'_>) -> Result<(), String> {
    let is_nodes = asked.subject.organizations == ["system:nodes"];
    if is_nodes { Ok(()) } else { Err("subject organization is not system:nodes".to_owned()) }
}

/// Others than we may believe another of several names; no kubelet asks for them.
fn check_common_name(asked: &Asked<'_>) -> Result<(), String> {
    if asked.subject.common_names.len() > 1 {
        return Err("subject has more than one common name".to_owned());
    }
    let is_node = asked.subject.common_name().starts_with("system:node:");
    if is_node { Ok(()) } else { Err("subject common name does not begin with system:node:".to_owned()) }
}

fn forbid<T>(names: &[T], kind: &str) -> Result<(), String> {
    if names.is_empty() { Ok(()) } else { Err(format!("{kind} subjectAltNames are not allowed")) }
}

/// Keys that cannot encipher leave that usage out.
fn check_usages(usages: &[String], purpose: &str) -> Result<(), String> {
    let mut required = BTreeSet::from(["digital signature", "key encipherment", purpose]);
    let given: BTreeSet<&str> = usages.iter().map(String::as_str).collect();
    if given == required {
        return Ok(());
    }
    let all = required.iter().copied().collect::<Vec<_>>().join(" ");
    required.remove("key encipherment");
    if given == required { Ok(()) } else { Err(format!("usages did not match [{all}]")) }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    /// The bug was that the approver took the last of several common names and the API server the first: who asked for both
    /// was approved as one and let in as the other.
    #[test]
    fn a_node_has_one_name() {
        let usages = ["digital signature", "client auth"].map(str::to_owned);
        let check = |common_names: &[&str], last: &str, want: Result<(), &str>| {
            let mut params = CertificateParams::default();
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::OrganizationName, "system:nodes");
            // The builder holds one name of each kind.
            let kinds = [DnType::CommonName, DnType::CustomDnType(vec![2, 5, 4, 3])];
            for (kind, name) in kinds.into_iter().zip(common_names) {
                params.distinguished_name.push(kind, *name);
            }
            let request = params.serialize_request(&KeyPair::generate().unwrap()).unwrap();
            let asked = Asked::parse(request.der()).unwrap();
            assert_eq!(asked.subject.common_name(), last);
            assert_eq!(super::check(KUBELET_CLIENT, &asked, &usages), want.map_err(str::to_owned));
        };
        check(&["system:node:me"], "system:node:me", Ok(()));
        check(&["bob"], "bob", Err("subject common name does not begin with system:node:"));
        let several = Err("subject has more than one common name");
        check(&["system:kube-controller-manager", "system:node:me"], "system:node:me", several);
        check(&["system:node:other", "system:node:me"], "system:node:me", several);
    }
}
