//! Makes a token for a service account, bound to the object that uses it.
//!
//! Upstream: pkg/registry/core/serviceaccount/storage/token.go, pkg/apis/authentication/validation (v1.35).

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use corten_apimachinery::{
    field::{Error, Path},
    gvk::{GroupResource, GroupVersion, GroupVersionKind},
    meta::{ObjectMeta as _, format_time},
    status::Status,
    stored::Stored,
    value::Value,
};
use corten_apiserver::{
    Reply, Request, Server,
    endpoints::{Custom, Endpoint, WriteRequest, decode_review},
    registry::settle_namespace,
};

use super::{catalog::Handler, created};
use crate::{
    authentication::service_account::{Binding, Issuer, Named},
    caches::{Caches, tree},
};

/// The handler.
pub(crate) static HANDLER: Handler = Handler {
    group: "",
    plural: "serviceaccounts",
    subresource: "token",
    build: |parts| {
        Arc::new(Token {
            caches: Arc::clone(&parts.caches),
            issuer: Arc::clone(&parts.issuer),
            audiences: parts.audiences.clone(),
        })
    },
};

const TYPE: &str = "io.k8s.api.authentication.v1.TokenRequest";
const EXPIRATION_DEFAULT: i64 = 3_600;
const EXPIRATION_MIN: i64 = 600;
const EXPIRATION_MAX: i64 = 1 << 32;

/// What pods' own volumes ask for. Clients of old that do not read their token again get a year; `warnafter` in the token
/// tells when they should have. Upstream: pkg/serviceaccount `WarnOnlyBoundTokenExpirationPeriod`.
const EXPIRATION_OF_PODS: i64 = 3_607;
const EXPIRATION_EXTENDED: i64 = 365 * 24 * 3_600;

#[derive(Debug)]
struct Token {
    caches: Arc<Caches>,
    issuer: Arc<Issuer>,
    audiences: Vec<String>,
}

#[async_trait]
impl Custom for Token {
    async fn handle(&self, server: &Arc<Server>, endpoint: &Endpoint, mut request: Request) -> Result<Reply, Status> {
        let kind = GroupVersionKind::new("authentication.k8s.io", "v1", "TokenRequest");
        let write = WriteRequest::new(endpoint, &request, "CreateOptions")?;
        let (mut wanted, mut warnings) = decode_review(&mut request, server.table(), TYPE, &kind).await?;
        let (namespace, name) = (request.info.namespace.as_str(), request.info.name.as_str());
        settle_namespace(&mut wanted, Some(namespace))?;
        let store = endpoint.store.as_ref().ok_or_else(|| Status::internal("service accounts are not stored"))?;
        let cx = write.context(&request);
        let (mut wanted, advice) = store.admit_subresource(&cx, &kind, name, wanted).await?;
        warnings.extend(advice);
        if !wanted.name().is_empty() && wanted.name() != name {
            let detail = "must match the service account name if specified";
            let error = Error::invalid(&Path::new("metadata").child("name"), wanted.name(), detail);
            return Err(Status::invalid(&kind, name, &[error]));
        }
        let account = self.find("serviceaccounts", namespace, name).await?;
        let uid = wanted.uid();
        if !uid.is_empty() && uid != account.uid.as_str() {
            let why = format!(
                "the UID in the token request ({uid}) does not match the UID of the service account ({})",
                account.uid
            );
            return Err(Status::conflict(&GroupResource::new(kind.group.clone(), kind.kind.clone()), name, why));
        }
        let seconds = wanted.i64_at(&["spec", "expirationSeconds"]).unwrap_or(EXPIRATION_DEFAULT);
        let errors = validate(seconds);
        if !errors.is_empty() {
            return Err(Status::invalid(&kind, "", &errors));
        }
        wanted = store.validate_subresource(&cx, &kind, name, wanted).await?;
        let binding = self.bind(&wanted, namespace, name).await?;
        let mut audiences: Vec<String> =
            wanted.items_at(&["spec", "audiences"]).iter().filter_map(Value::as_str).map(str::to_owned).collect();
        if audiences.is_empty() {
            audiences.clone_from(&self.audiences);
        }
        let is_for_us = audiences.iter().all(|audience| self.audiences.contains(audience));
        let is_extended = binding.pod.is_some() && seconds == EXPIRATION_OF_PODS && is_for_us;
        let valid = if is_extended { EXPIRATION_EXTENDED } else { seconds };
        let now = request.received;
        let of = Named { name: name.to_owned(), uid: account.uid.to_string() };
        let valid = Duration::from_secs(valid.unsigned_abs());
        let mut claims = self.issuer.claims(namespace, of, binding, audiences.clone(), now, valid);
        if is_extended {
            claims.private.warnafter = Some(now.as_second() + seconds);
        }
        let token = self.issuer.sign(&claims).map_err(Status::internal)?;
        for (field, value) in [
            ("name", Value::from(name)),
            ("namespace", namespace.into()),
            ("uid", account.uid.clone().into()),
            ("creationTimestamp", format_time(now).into()),
        ] {
            wanted.set_meta(field, value);
        }
        wanted.set(&["spec", "expirationSeconds"], seconds);
        wanted.set(&["spec", "audiences"], Value::array(audiences.into_iter().map(Value::from)));
        wanted.set(&["status", "token"], token);
        let ends = now + Duration::from_secs(seconds.unsigned_abs());
        wanted.set(&["status", "expirationTimestamp"], format_time(ends));
        Ok(created(wanted, warnings))
    }
}

fn validate(seconds: i64) -> Vec<Error> {
    let mut errors = Vec::new();
    let path = Path::new("spec").child("expirationSeconds");
    if seconds < EXPIRATION_MIN {
        errors.push(Error::invalid(&path, seconds, "may not specify a duration less than 10 minutes"));
    }
    if seconds > EXPIRATION_MAX {
        errors.push(Error::invalid(&path, seconds, "may not specify a duration larger than 2^32 seconds"));
    }
    errors
}

impl Token {
    async fn find(&self, plural: &'static str, namespace: &str, name: &str) -> Result<Arc<Stored>, Status> {
        let found = self.caches.core(plural, namespace, name).await?;
        found.ok_or_else(|| Status::not_found(&GroupResource::new("", plural), name))
    }

    /// The objects that the wanted token ends with.
    async fn bind(&self, wanted: &Value, namespace: &str, account: &str) -> Result<Binding, Status> {
        let Some(reference) = wanted.at(&["spec", "boundObjectRef"]).filter(|reference| !reference.is_null()) else {
            return Ok(Binding::default());
        };
        let text = |key: &str| reference.str_at(&[key]).unwrap_or_default();
        let named = |object: &Stored| Named { name: object.name.to_string(), uid: object.uid.to_string() };
        let mut binding = Binding::default();
        let version = GroupVersion::parse(text("apiVersion")).unwrap_or_else(|| GroupVersion::new("", ""));
        let found = match (version.group.as_str(), text("kind")) {
            ("", "Pod") => {
                let pod = self.find("pods", namespace, text("name")).await?;
                let spec = tree(&pod)?;
                if spec.str_at(&["spec", "serviceAccountName"]).unwrap_or_default() != account {
                    return Err(Status::bad_request(format!(
                        "cannot bind token for serviceaccount {} to pod running with different serviceaccount name.",
                        corten_apimachinery::field::quote(account)
                    )));
                }
                // A pod's node is told if it is known; its absence takes nothing from the token.
                if let Some(node) = spec.str_at(&["spec", "nodeName"]).filter(|node| !node.is_empty()) {
                    binding.node = Some(match self.caches.core("nodes", "", node).await? {
                        Some(node) => named(&node),
                        None => Named { name: node.to_owned(), uid: String::new() },
                    });
                }
                binding.pod = Some(named(&pod));
                pod
            }
            ("", "Secret") => {
                let secret = self.find("secrets", namespace, text("name")).await?;
                binding.secret = Some(named(&secret));
                secret
            }
            ("", "Node") => {
                let node = self.find("nodes", "", text("name")).await?;
                binding.node = Some(named(&node));
                node
            }
            (group, kind) => {
                return Err(Status::bad_request(format!(
                    "cannot bind token to object of type {group}/{}, Kind={kind}",
                    version.version
                )));
            }
        };
        let uid = text("uid");
        if !uid.is_empty() && found.uid != uid {
            return Err(Status::conflict(
                &GroupResource::new(version.group, text("kind")),
                text("name"),
                format!(
                    "the UID in the bound object reference ({uid}) does not match the UID in record. The object might \
                     have been deleted and then recreated"
                ),
            ));
        }
        Ok(binding)
    }
}
