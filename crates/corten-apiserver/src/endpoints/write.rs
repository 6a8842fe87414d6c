//! POST, PUT and DELETE.

use std::{collections::BTreeSet, sync::Arc};

use corten_apimachinery::{
    codec::FieldValidation,
    meta::ObjectMeta as _,
    resource::{Resource, Strategy, Verb},
    status::Status,
    value::{Ordered, Value},
};
use corten_storage::object::ObjectCodec as _;
use http::{StatusCode, header};

use super::{
    body::{decode_delete_options, decode_object},
    options::{ListOptions, delete_options_of},
    patch::check_place,
    read::{Page, namespace_of, present_all, settle_fields, store_of},
    routes::Endpoint,
    unsafe_delete,
    write_options::WriteOptions,
};
use crate::{
    large::Who,
    registry::{CreateRight, Deleted, Preconditions, Store, WriteContext},
    request::Request,
    response::{Reply, Response},
    server::Server,
};

/// What a write request says besides its body.
#[derive(Debug)]
pub struct WriteRequest {
    namespace: String,
    api_version: String,
    subresource: String,
    field_manager: String,
    served_as: Arc<Resource>,
    pub(super) is_apply: bool,
    /// Whether an apply takes fields over from others.
    pub(super) force: bool,
    /// How unknown and duplicate fields are met.
    pub(super) validation: FieldValidation,
    /// Whether nothing is to happen in the end.
    pub dry_run: bool,
}

impl WriteRequest {
    /// Reads the query of `request` as an `options_kind` (`CreateOptions`, ...).
    ///
    /// Errors: `Invalid`.
    pub fn new(endpoint: &Endpoint, request: &Request, options_kind: &str) -> Result<Self, Status> {
        Ok(Self::of(endpoint, request, WriteOptions::read(&request.query, options_kind)?))
    }

    /// Reads the query of a patch.
    ///
    /// Errors: `Invalid`.
    pub(super) fn of_patch(endpoint: &Endpoint, request: &Request, is_apply: bool) -> Result<Self, Status> {
        let options = WriteOptions::read_of_patch(&request.query, is_apply)?;
        Ok(Self { is_apply, ..Self::of(endpoint, request, options) })
    }

    /// A delete, whose options say whether it is a dry run.
    fn of_delete(endpoint: &Endpoint, request: &Request, dry_run: bool) -> Self {
        let options = WriteOptions { dry_run, validation: FieldValidation::Ignore, force: false };
        Self::of(endpoint, request, options)
    }

    fn of(endpoint: &Endpoint, request: &Request, options: WriteOptions) -> Self {
        Self {
            namespace: namespace_of(endpoint, request).to_owned(),
            api_version: endpoint.api_version.to_string(),
            subresource: request.info.subresource.to_string(),
            field_manager: field_manager(request),
            served_as: Arc::clone(&endpoint.resource),
            is_apply: false,
            force: options.force,
            validation: options.validation,
            dry_run: options.dry_run,
        }
    }

    /// The request as the registry sees it.
    #[must_use]
    pub fn context<'a>(&'a self, request: &'a Request) -> WriteContext<'a> {
        WriteContext {
            user: &request.user,
            now: request.received,
            namespace: &self.namespace,
            api_version: &self.api_version,
            subresource: &self.subresource,
            field_manager: &self.field_manager,
            served_as: &self.served_as,
            is_apply: self.is_apply,
            dry_run: self.dry_run,
        }
    }
}

/// The name that a write is recorded under: what the client says, else what it calls itself before the first slash.
fn field_manager(request: &Request) -> String {
    let given = request.query.get("fieldManager");
    if !given.is_empty() {
        return given.to_owned();
    }
    let agent = request.header(header::USER_AGENT);
    let name = agent.split('/').next().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).take(128).collect();
    // Upstream: `buildManagerInfo`.
    if name.is_empty() { "unknown".to_owned() } else { name }
}

/// Makes an object.
pub(super) async fn create(endpoint: &Endpoint, mut request: Box<Request>) -> Result<Reply, Status> {
    let store = store_of(endpoint)?;
    if endpoint.resource.is_terminating {
        return Err(store.refusal_of_new());
    }
    let write = WriteRequest::new(endpoint, &request, "CreateOptions")?;
    let (mut object, mut warnings) = decode_object(endpoint, &mut request, write.validation).await?;
    warnings.extend(dedup_owner_references(&mut object));
    endpoint.to_hub(store, &mut object);
    let (object, advice) = store.create(&write.context(&request), object).await?;
    warnings.extend(advice);
    reply(endpoint, store, StatusCode::CREATED, &object, warnings)
}

/// Replaces an object, or a part of it under the rules of `strategy`.
pub(super) async fn update(
    server: &Arc<Server>,
    endpoint: &Endpoint,
    mut request: Box<Request>,
    strategy: &dyn Strategy,
) -> Result<Reply, Status> {
    let store = store_of(endpoint)?;
    let write = WriteRequest::new(endpoint, &request, "UpdateOptions")?;
    let (mut object, mut warnings) = decode_object(endpoint, &mut request, write.validation).await?;
    warnings.extend(dedup_owner_references(&mut object));
    endpoint.to_hub(store, &mut object);
    let name = request.info.name.clone();
    check_place(endpoint, &mut object, (&write.namespace, &name))?;
    let may_create = request.info.subresource.is_empty() && endpoint.resource.strategy.allow_create_on_update();
    let transform = |current: Option<&Value>| {
        expect_incarnation(store, &write.namespace, &object, current)?;
        Ok(object.clone())
    };
    let create = may_create.then(|| CreateRight::of(&request, &**server.authorizer()));
    let updated = store.update(&write.context(&request), &name, strategy, &transform, create).await?;
    warnings.extend(updated.warnings);
    let code = if updated.created { StatusCode::CREATED } else { StatusCode::OK };
    reply(endpoint, store, code, &updated.object, warnings)
}

/// A UID in what replaces an object is a precondition; one that a patch sets is a change, which the rules refuse.
///
/// Upstream: `Preconditions` of `defaultUpdatedObjectInfo` in k8s.io/apiserver/pkg/registry/rest/update.go (v1.35).
pub(super) fn expect_incarnation(
    store: &Store,
    namespace: &str,
    object: &Value,
    current: Option<&Value>,
) -> Result<(), Status> {
    match Preconditions::of(object).of_uid().unmet(current.unwrap_or(&Value::Null)) {
        Some((what, wanted, actual)) => {
            Err(store.failed_precondition((namespace, object.name()), what, wanted, actual))
        }
        None => Ok(()),
    }
}

/// Takes away owner references that stand there twice, with all that they say. Returns what to tell the client then.
///
/// Upstream: `dedupOwnerReferences` in k8s.io/apiserver/pkg/endpoints/handlers/rest.go (v1.35).
pub(super) fn dedup_owner_references(object: &mut Value) -> Option<String> {
    let references = object.owner_references();
    let uid = |reference: &Value| reference.str_at(&["uid"]).unwrap_or_default().to_owned();
    if references.len() < 2 {
        return None;
    }
    let (mut kept, mut seen, mut repeated) = (Vec::new(), BTreeSet::new(), Vec::new());
    for reference in references {
        if seen.insert(Ordered(reference)) {
            kept.push(reference.clone());
        } else {
            repeated.push(uid(reference));
        }
    }
    if repeated.is_empty() {
        return None;
    }
    object.set_meta("ownerReferences", kept);
    Some(format!(
        ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may \
         reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
        repeated.join(", ")
    ))
}

/// The reply that shows an object.
pub(super) fn reply(
    endpoint: &Endpoint,
    store: &Arc<Store>,
    code: StatusCode,
    object: &Arc<corten_apimachinery::stored::Stored>,
    warnings: Vec<String>,
) -> Result<Reply, Status> {
    let object = endpoint.present(store, object)?;
    Ok(endpoint.reply(code, object, store).with_warnings(warnings))
}

/// Deletes an object, or begins to.
pub(super) async fn delete(
    server: &Arc<Server>,
    endpoint: &Endpoint,
    mut request: Box<Request>,
) -> Result<Reply, Status> {
    let store = store_of(endpoint)?;
    let body = decode_delete_options(&mut request, server.table()).await?;
    let options = delete_options_of(&body, &request.query, store.deletes_corrupt())?;
    let write = WriteRequest::of_delete(endpoint, &request, options.dry_run);
    if options.ignore_store_read_error {
        return unsafe_delete::delete(server, endpoint, store, &request, &write.context(&request)).await;
    }
    let name = request.info.name.clone();
    let Deleted { object, gone_at } = store.delete(&write.context(&request), &name, &options).await?;
    if gone_at.is_some() && !endpoint.resource.strategy.returns_deleted_object() {
        let mut status = Value::object_of([
            ("apiVersion", Value::from("v1")),
            ("kind", "Status".into()),
            ("metadata", Value::object()),
            ("status", "Success".into()),
        ]);
        let mut details =
            Value::object_of([("name", Value::from(name.as_str())), ("kind", endpoint.resource.plural.clone().into())]);
        if !endpoint.resource.group.is_empty() {
            details.set(&["group"], endpoint.resource.group.clone());
        }
        if !object.uid.is_empty() {
            details.set(&["uid"], object.uid.clone());
        }
        status.set(&["details"], details);
        return Ok(Reply::tree(StatusCode::OK, status));
    }
    // For the older way to say it alone, so that clients of that time are not surprised.
    let cascades = options.orphan_dependents == Some(false);
    let code = if gone_at.is_none() && cascades { StatusCode::ACCEPTED } else { StatusCode::OK };
    // What is gone shows the revision at which it went, as its watch event does.
    let object = match gone_at {
        Some(at) if at != object.revision => store.codec().at_revision(&object, at),
        _ => object,
    };
    reply(endpoint, store, code, &object, Vec::new())
}

/// Deletes the objects of a collection that match.
pub(super) async fn delete_collection(
    server: &Arc<Server>,
    endpoint: &Endpoint,
    mut request: Box<Request>,
) -> Result<Reply, Status> {
    debug_assert!(endpoint.resource.verbs.contains(&Verb::DeleteCollection));
    let store = store_of(endpoint)?;
    let body = decode_delete_options(&mut request, server.table()).await?;
    let options = delete_options_of(&body, &request.query, store.deletes_corrupt())?;
    let write = WriteRequest::of_delete(endpoint, &request, options.dry_run);
    if options.ignore_store_read_error {
        return Err(unsafe_delete::refusal_of_many());
    }
    let mut list = ListOptions::parse(&request.query, false)?;
    settle_fields(endpoint, store, &mut list.fields)?;
    let page = Page::read(store, namespace_of(endpoint, &request), &list).await?;
    store.delete_all(write.context(&request), &page.items, &options).await?;
    // The answer is the list as it was read; with a limit it says where the next request goes on.
    let items = present_all(endpoint, store, page.items).await?;
    let response = Response::List(crate::response::ListResponse {
        items,
        revision: page.revision,
        continue_token: page.continue_token,
        remaining: page.remaining,
        store: Arc::clone(store),
        served: Arc::clone(&endpoint.resource),
        version: endpoint.version.name.clone(),
    });
    Ok(Reply::new(response).asked_by(Some(Who::of(&request))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_named_once() {
        let check = |uids: &[&str], want: &[&str], repeated: Option<&str>| {
            let owner = |uid: &&str| Value::object_of([("uid", Value::from(*uid))]);
            let mut object = Value::object();
            object.set_meta("ownerReferences", Value::array(uids.iter().map(owner)));
            let warning = dedup_owner_references(&mut object);
            let left: Vec<_> = object.owner_references().iter().filter_map(|one| one.str_at(&["uid"])).collect();
            assert_eq!(left, want);
            let observed = warning.as_deref().and_then(|text| text.split_once("observed: ")).map(|(_, uids)| uids);
            assert_eq!(observed, repeated);
        };
        check(&["a", "b"], &["a", "b"], None);
        check(&["a", "b", "a", "b", "a"], &["a", "b"], Some("a, b, a"));
        // The same UID under another name is another entry, whatever is wrong with it.
        let named = |name: &str| Value::object_of([("uid", Value::from("a")), ("name", name.into())]);
        let mut object = Value::object();
        object.set_meta("ownerReferences", Value::array([named("one"), named("other")]));
        assert_eq!((dedup_owner_references(&mut object), object.owner_references().len()), (None, 2));
    }
}
