//! Deletion of what cannot be decoded: who may ask for it, with which other options, and what is answered.
//!
//! Upstream: `authorizeUnsafeDelete` in k8s.io/apiserver/pkg/endpoints/handlers/delete.go, `ValidateIgnoreStoreReadError` in
//! k8s.io/apimachinery/pkg/apis/meta/v1/validation (v1.35).

use corten_apimachinery::{
    field::{Error, ErrorList, Path, quote},
    status::Status,
    value::Value,
};
use http::StatusCode;

use super::{routes::Endpoint, write_options::bad_options};
use crate::{
    authorization::{Attributes, Decision},
    registry::{Store, UNSAFE_DELETE_OPTION, WriteContext},
    request::{Request, RequestInfo},
    response::Reply,
    server::Server,
};

/// The verb that the client needs besides `delete`.
const VERB: &str = "unsafe-delete-ignore-read-errors";

/// Which other options a delete has that asks for this.
#[derive(Debug, Clone, Copy)]
pub(super) struct Others {
    pub(super) dry_run: bool,
    pub(super) propagation_policy: bool,
    pub(super) orphan_dependents: bool,
    pub(super) grace_period_seconds: bool,
    pub(super) preconditions: bool,
}

/// What does not go together with the option: whatever says how to delete.
pub(super) fn check_others(others: Others) -> ErrorList {
    let given = [
        (others.dry_run, "dryRun"),
        (others.propagation_policy, "propagationPolicy"),
        (others.orphan_dependents, "orphanDependents"),
        (others.grace_period_seconds, "gracePeriodSeconds"),
        (others.preconditions, "preconditions"),
    ];
    let wrong = given.into_iter().filter(|(is_given, _)| *is_given);
    wrong.map(|(_, name)| invalid(&format!("cannot be set together with .{name}"))).collect()
}

/// The refusal of the option where many are deleted.
pub(super) fn refusal_of_many() -> Status {
    let why = "is not allowed with DELETECOLLECTION, try again after removing the option";
    bad_options("DeleteOptions", &[invalid(why)])
}

fn invalid(why: &str) -> Error {
    Error::invalid(&Path::new(UNSAFE_DELETE_OPTION), true, why)
}

/// Deletes the object that `request` names, unseen.
pub(super) async fn delete(
    server: &Server,
    endpoint: &Endpoint,
    store: &Store,
    request: &Request,
    cx: &WriteContext<'_>,
) -> Result<Reply, Status> {
    authorize(server, request).await?;
    let name = &*request.info.name;
    store.delete_corrupt(cx, name).await?;
    let details = Value::object_of([("name", Value::from(name)), ("kind", endpoint.resource.kind.clone().into())]);
    let status = Value::object_of([
        ("apiVersion", Value::from("v1")),
        ("kind", "Status".into()),
        ("metadata", Value::object()),
        ("status", "Success".into()),
        ("details", details),
        ("code", i64::from(StatusCode::OK.as_u16()).into()),
    ]);
    Ok(Reply::tree(StatusCode::OK, status))
}

async fn authorize(server: &Server, request: &Request) -> Result<(), Status> {
    let info = &request.info;
    let forbidden = |why: String| Err(Status::forbidden(&info.group_resource(), &info.name, why));
    if !info.subresource.is_empty() {
        let place = "delete option is not allowed on a subresource or non-resource request";
        return forbidden(format!("{UNSAFE_DELETE_OPTION} {place}"));
    }
    let asked = RequestInfo { verb: VERB.into(), ..info.clone() };
    match server.authorizer().authorize(Attributes { user: &request.user, request: &asked }).await {
        Decision::Allow { .. } => Ok(()),
        Decision::Deny { reason } | Decision::NoOpinion { reason } => {
            forbidden(format!("not permitted to do {}, reason: {reason}", quote(VERB)))
        }
    }
}
