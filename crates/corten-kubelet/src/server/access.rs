//! Who asks the kubelet, and whether they may.
//!
//! Upstream: pkg/kubelet/server/auth.go, cmd/kubelet/app/auth.go (v1.35).

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use corten_apimachinery::{
    gvk::{GroupVersion, GroupVersionResource},
    resource::UserInfo,
    value::{Str, Value},
};
use corten_base::SharedClock;
use corten_client::{Client, client::Target};
use corten_component_base::certificates::Subject;
use http::{HeaderMap, Method, StatusCode, header};
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use x509_parser::parse_x509_certificate;

/// How long a decision is remembered. Upstream: `authorization.webhook.cacheUnauthorizedTTL`, the shorter of the two.
const DECISION_TTL: Duration = Duration::from_secs(30);

/// How many decisions are remembered.
const DECISIONS_MAX: usize = 1_024;

/// Users that this kubelet trusts without asking: the API server, under the name that kubeadm gives its certificate.
const API_SERVER: &str = "kube-apiserver-kubelet-client";
const MASTERS: &str = "system:masters";

/// What a request shows.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The user of a certificate that one of the clients' authorities has signed.
    pub certificate: Option<UserInfo>,
    /// The bearer token.
    pub token: Option<String>,
}

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// 401, 403 or 500.
    pub code: StatusCode,
    /// The text.
    pub message: String,
}

/// Decides about requests.
#[async_trait]
pub trait Access: Send + Sync + 'static {
    /// Lets a request through.
    ///
    /// Errors: the answer that the client gets instead.
    async fn allow(&self, credentials: &Credentials, method: &Method, path: &str) -> Result<(), Refusal>;
}

impl Credentials {
    pub(super) fn new(certificate: Option<CertificateDer<'static>>, headers: &HeaderMap) -> Self {
        let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
        });
        Self {
            certificate: certificate.and_then(|leaf| user_of(&leaf)),
            token: token.filter(|token| !token.is_empty()),
        }
    }
}

/// The last common name is the user, organizations are groups.
fn user_of(leaf: &CertificateDer<'_>) -> Option<UserInfo> {
    let (_, certificate) = parse_x509_certificate(leaf).ok()?;
    let subject = Subject::read(certificate.subject()).ok().filter(|subject| !subject.common_name().is_empty())?;
    let mut groups: Vec<Str> = subject.organizations.iter().map(|group| Str::from(group.as_str())).collect();
    groups.push("system:authenticated".into());
    Some(UserInfo { name: subject.common_name().into(), groups, ..UserInfo::default() })
}

/// The subresources of a node that a right to any of them opens this path, and the verb.
#[must_use]
pub fn attributes(method: &Method, path: &str) -> (&'static str, Vec<&'static str>) {
    let verb = match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "get",
    };
    let first = path.split('/').find(|segment| !segment.is_empty()).unwrap_or_default();
    let subresources = match first {
        "stats" => vec!["stats"],
        "metrics" => vec!["metrics"],
        "logs" => vec!["log"],
        "checkpoint" => vec!["checkpoint"],
        // Narrow rights first; the right to everything opens these, too.
        "healthz" => vec!["healthz", "proxy"],
        "configz" => vec!["configz", "proxy"],
        "statusz" => vec!["statusz", "proxy"],
        "flagz" => vec!["flagz", "proxy"],
        "pods" | "runningpods" => vec!["pods", "proxy"],
        _ => vec!["proxy"],
    };
    (verb, subresources)
}

fn unauthorized() -> Refusal {
    Refusal { code: StatusCode::UNAUTHORIZED, message: "Unauthorized".to_owned() }
}

fn forbidden(user: &UserInfo, verb: &str, subresources: &[&str]) -> Refusal {
    let list = subresources.join(" ");
    Refusal {
        code: StatusCode::FORBIDDEN,
        message: format!("Forbidden (user={}, verb={verb}, resource=nodes, subresource(s)=[{list}])\n", user.name),
    }
}

fn is_trusted(user: &UserInfo) -> bool {
    user.name == API_SERVER || user.groups.iter().any(|group| group == MASTERS)
}

/// Trusts certificates of the API server and of administrators, and nobody else.
#[derive(Debug, Clone, Copy, Default)]
pub struct Certificates;

#[async_trait]
impl Access for Certificates {
    async fn allow(&self, credentials: &Credentials, method: &Method, path: &str) -> Result<(), Refusal> {
        let user = credentials.certificate.as_ref().ok_or_else(unauthorized)?;
        let (verb, subresources) = attributes(method, path);
        if is_trusted(user) { Ok(()) } else { Err(forbidden(user, verb, &subresources)) }
    }
}

/// Asks the API server about tokens and rights. Upstream: `authentication.webhook`, `authorization.mode: Webhook`.
pub struct Delegated {
    client: Client,
    node_name: String,
    clock: SharedClock,
    decisions: Mutex<HashMap<String, (Duration, bool)>>,
}

impl Delegated {
    /// Asks through `client` about rights on the node `node_name`.
    #[must_use]
    pub fn new(client: Client, node_name: String, clock: SharedClock) -> Self {
        Self { client, node_name, clock, decisions: Mutex::default() }
    }

    async fn user(&self, credentials: &Credentials) -> Result<UserInfo, Refusal> {
        if let Some(user) = &credentials.certificate {
            return Ok(user.clone());
        }
        let token = credentials.token.as_deref().ok_or_else(unauthorized)?;
        let review = review("authentication.k8s.io", "TokenReview", [("token", Value::from(token))]);
        let answer = self.ask("authentication.k8s.io", "tokenreviews", review).await?;
        if answer.bool_at(&["status", "authenticated"]) != Some(true) {
            return Err(unauthorized());
        }
        let text = |key: &str| Str::from(answer.str_at(&["status", "user", key]).unwrap_or_default());
        let groups = answer.items_at(&["status", "user", "groups"]);
        Ok(UserInfo {
            name: text("username"),
            uid: text("uid"),
            groups: groups.iter().filter_map(Value::as_str).map(Str::from).collect(),
            extra: Vec::new(),
        })
    }

    async fn may(&self, user: &UserInfo, verb: &str, subresource: &str) -> Result<bool, Refusal> {
        let key = format!("{}\0{}\0{verb}\0{subresource}", user.name, user.groups.join("\0"));
        let now = self.clock.monotonic();
        if let Some((until, allowed)) = self.decisions.lock().get(&key)
            && *until > now
        {
            return Ok(*allowed);
        }
        let attributes = Value::object_of([
            ("verb", Value::from(verb)),
            ("version", "v1".into()),
            ("resource", "nodes".into()),
            ("subresource", subresource.into()),
            ("name", self.node_name.as_str().into()),
        ]);
        let review = review(
            "authorization.k8s.io",
            "SubjectAccessReview",
            [
                ("user", Value::from(user.name.clone())),
                ("uid", user.uid.clone().into()),
                ("groups", Value::array(user.groups.iter().cloned().map(Value::from))),
                ("resourceAttributes", attributes),
            ],
        );
        let answer = self.ask("authorization.k8s.io", "subjectaccessreviews", review).await?;
        let allowed = answer.bool_at(&["status", "allowed"]) == Some(true);
        let mut decisions = self.decisions.lock();
        if decisions.len() >= DECISIONS_MAX {
            decisions.retain(|_, (until, _)| *until > now);
        }
        if decisions.len() < DECISIONS_MAX {
            decisions.insert(key, (now + DECISION_TTL, allowed));
        }
        Ok(allowed)
    }

    async fn ask(&self, group: &str, plural: &str, review: Value) -> Result<Value, Refusal> {
        let resource: GroupVersionResource = GroupVersion::new(group, "v1").with_resource(plural);
        self.client.post(Target::collection(&resource, ""), review).await.map_err(|error| Refusal {
            code: StatusCode::INTERNAL_SERVER_ERROR,
            message: format!("Authorization error: {error}\n"),
        })
    }
}

fn review<const N: usize>(group: &str, kind: &str, spec: [(&'static str, Value); N]) -> Value {
    Value::object_of([
        ("apiVersion", Value::from(format!("{group}/v1"))),
        ("kind", kind.into()),
        ("spec", Value::object_of(spec)),
    ])
}

#[async_trait]
impl Access for Delegated {
    async fn allow(&self, credentials: &Credentials, method: &Method, path: &str) -> Result<(), Refusal> {
        let user = self.user(credentials).await?;
        if is_trusted(&user) {
            return Ok(());
        }
        let (verb, subresources) = attributes(method, path);
        for subresource in &subresources {
            if self.may(&user, verb, subresource).await? {
                return Ok(());
            }
        }
        Err(forbidden(&user, verb, &subresources))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    /// A certificate of `CN=kube-apiserver-kubelet-client, CN=bob`, made for this test and used nowhere else.
    const TWO_NAMES: &str = concat!(
        "MIIBaDCCAQ0CFDmHf5cbMirfb1jGcufT2fYOa3mIMAoGCCqGSM49BAMCMDYxJjAkBgNVBAMMHWt1YmUtYXBpc2VydmVyLWt1YmVs",
        "ZXQtY2xpZW50MQwwCgYDVQQDDANib2IwHhcNMjYxMTIyMDE1MjQyWhcNMjYxMTIzMDE1MjQyWjA2MSYwJAYDVQQDDB1rdWJlLWFw",
        "aXNlcnZlci1rdWJlbGV0LWNsaWVudDEMMAoGA1UEAwwDYm9iMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE+BITFXPyE7iKr+W+",
        "5jqbhjFA4/o6oqT+/d1TPoX4ETvEQhojuAtNbLh+1rQrpWDDcnQg8pOWBAQFMs2DCxMacTAKBggqhkjOPQQDAgNJADBGAiEAncOR",
        "DhB1p6k+Pp9t1G13t2gF+g7635ZR4riJE4a/z/ECIQCDyhZ2N/k7M1aV/7KKTQKk6jXmwjMHqGTe1Qk34wUHTw==",
    );

    /// The bug was that the first common name was the user, where whoever approves a certificate is shown the last.
    #[test]
    fn the_last_common_name_is_the_user() {
        let leaf = base64::engine::general_purpose::STANDARD.decode(TWO_NAMES).unwrap();
        let user = user_of(&leaf.into()).unwrap();
        assert_eq!((user.name.as_str(), is_trusted(&user)), ("bob", false));
    }

    #[track_caller]
    fn check(method: &Method, path: &str, verb: &str, subresources: &[&str]) {
        assert_eq!(attributes(method, path), (verb, subresources.to_vec()), "{method} {path}");
    }

    #[test]
    fn paths_need_the_rights_of_upstream() {
        check(&Method::GET, "/exec/a/b/c", "get", &["proxy"]);
        check(&Method::POST, "/exec/a/b/c", "create", &["proxy"]);
        check(&Method::GET, "/containerLogs/a/b/c", "get", &["proxy"]);
        check(&Method::GET, "/pods", "get", &["pods", "proxy"]);
        check(&Method::GET, "/metrics/resource", "get", &["metrics"]);
        check(&Method::GET, "/stats/summary", "get", &["stats"]);
        check(&Method::GET, "/healthz/syncloop", "get", &["healthz", "proxy"]);
    }

    #[tokio::test]
    async fn only_the_api_server_and_administrators_are_trusted() {
        let ask = async |name: &str, group: &str| {
            let user = UserInfo { name: name.into(), groups: vec![group.into()], ..UserInfo::default() };
            let credentials = Credentials { certificate: Some(user), token: None };
            Certificates.allow(&credentials, &Method::GET, "/pods").await
        };
        assert_eq!(ask(API_SERVER, "x").await, Ok(()));
        assert_eq!(ask("root", MASTERS).await, Ok(()));
        let refused = ask("eve", "x").await.unwrap_err();
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (StatusCode::FORBIDDEN, "Forbidden (user=eve, verb=get, resource=nodes, subresource(s)=[pods proxy])\n")
        );
        let stranger = Certificates.allow(&Credentials::default(), &Method::GET, "/healthz").await;
        assert_eq!(stranger.unwrap_err().code, StatusCode::UNAUTHORIZED);
    }
}
