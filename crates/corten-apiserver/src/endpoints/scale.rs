//! The `scale` subresource: the number of replicas of any scalable kind, as an `autoscaling/v1` `Scale`.

use std::sync::Arc;

use corten_apimachinery::{
    codec::{self, FieldValidation},
    field::{Error, Path},
    gvk::{GroupVersion, GroupVersionKind},
    meta::ObjectMeta as _,
    patch as languages,
    resource::ScalePaths,
    selector::label,
    status::Status,
    value::Value,
};
use corten_client::PatchKind;
use http::{Method, StatusCode, header};

use super::{
    body::{decode_review, field_validation, read_bytes},
    options::force,
    patch::{Patch, patch_failure, patch_kind, read_patch, refuse_doubled},
    read::{namespace_of, store_of},
    routes::Endpoint,
    write::WriteRequest,
};
use crate::{request::Request, response::Reply, server::Server};

const TYPE: &str = "io.k8s.api.autoscaling.v1.Scale";

/// Reads or sets the number of replicas.
pub(super) async fn handle(
    server: &Arc<Server>,
    endpoint: &Endpoint,
    mut request: Request,
    paths: &ScalePaths,
) -> Result<Reply, Status> {
    let store = store_of(endpoint)?;
    let name = request.info.name.clone();
    let kind = GroupVersionKind::new("autoscaling", "v1", "Scale");
    let namespace = namespace_of(endpoint, &request).to_owned();
    let wanted = match request.method {
        Method::GET | Method::HEAD => {
            let current = store.get(&namespace, &name, None).await?;
            let tree = store.codec().decode_tree(&name, &current.json).map_err(Status::internal)?;
            return Ok(Reply::tree(StatusCode::OK, scale_of(&tree, paths)?));
        }
        Method::PUT => Wanted::Scale(decode_review(&mut request, server.table(), TYPE, &kind).await?.0),
        Method::PATCH => {
            let language = patch_kind(request.header(header::CONTENT_TYPE))?;
            if language == PatchKind::Apply {
                return apply(server, endpoint, request, paths).await;
            }
            let body = read_bytes(std::mem::take(&mut request.body)).await?;
            let patch = codec::json::decode(&body, None, FieldValidation::Ignore)
                .map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?
                .value;
            Wanted::Patched(language, patch)
        }
        _ => return Ok(Reply::method_not_allowed()),
    };
    let write = WriteRequest::new(endpoint, &request, "UpdateOptions")?;
    // Done anew for each attempt: a patch is one of the newest object, whoever has changed that in the meantime.
    let transform = |current: Option<&Value>| {
        let mut object = current.cloned().unwrap_or_default();
        let scale = wanted.of(&scale_of(&object, paths)?)?;
        if scale.name() != name.as_str() {
            return Err(Status::bad_request(format!(
                "the name of the object ({}) does not match the name on the URL ({name})",
                scale.name()
            )));
        }
        let replicas = scale.i64_at(&["spec", "replicas"]).unwrap_or_default();
        if replicas < 0 {
            let path = Path::new("spec").child("replicas");
            let error = Error::invalid(&path, replicas, "must be greater than or equal to 0");
            return Err(Status::invalid(&kind, &name, &[error]));
        }
        object.set(paths.spec_replicas, replicas);
        // The precondition is what the client saw, or nothing if it did not say.
        if scale.resource_version().is_empty() {
            object.unset_meta("resourceVersion");
        } else {
            object.set_meta("resourceVersion", scale.resource_version());
        }
        Ok(object)
    };
    let strategy = endpoint.definition.strategy;
    let mut context = write.context(&request);
    context.subresource = "scale";
    let updated = store.update(&context, &name, strategy, &transform, false).await?;
    let tree = store.codec().decode_tree(&name, &updated.object.json).map_err(Status::internal)?;
    Ok(Reply::tree(StatusCode::OK, scale_of(&tree, paths)?).with_warnings(updated.warnings))
}

/// What a client wants of a `Scale`.
enum Wanted {
    /// To be this.
    Scale(Value),
    /// To be changed so.
    Patched(PatchKind, Value),
}

impl Wanted {
    /// What becomes of `current`.
    fn of(&self, current: &Value) -> Result<Value, Status> {
        match self {
            Self::Scale(scale) => Ok(scale.clone()),
            Self::Patched(PatchKind::Json, patch) => {
                languages::json::apply(current, patch).map_err(|error| patch_failure(PatchKind::Json, error))
            }
            // A Scale has no lists, so strategic merge and merge are the same.
            Self::Patched(_, patch) => Ok(languages::merge::apply(current, patch)),
        }
    }
}

/// Applies a `Scale`: what it says of the replicas is applied to the object itself, and recorded there.
async fn apply(
    server: &Arc<Server>,
    endpoint: &Endpoint,
    mut request: Request,
    paths: &ScalePaths,
) -> Result<Reply, Status> {
    let store = store_of(endpoint)?;
    let name = request.info.name.clone();
    let force = force(&request.query, true)?;
    let mut write = WriteRequest::new(endpoint, &request, "PatchOptions")?;
    write.is_apply = true;
    let validation = field_validation(&request.query, "PatchOptions")?;
    let body = std::mem::take(&mut request.body);
    let Patch { value: scale, complaints } = read_patch(body, PatchKind::Apply, validation).await?;
    refuse_doubled(&complaints, validation)?;
    let mut warnings = complaints;
    if scale.api_version() != "autoscaling/v1" || scale.kind() != "Scale" {
        let group_version = GroupVersion::parse(scale.api_version())
            .map_or_else(|| "/".to_owned(), |version| format!("{}/{}", version.group, version.version));
        return Err(Status::bad_request(format!("invalid object type: {group_version}, Kind={}", scale.kind())));
    }
    if !scale.name().is_empty() && scale.name() != name.as_str() {
        return Err(Status::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({name})",
            scale.name()
        )));
    }
    let mut config = Value::object_of([
        ("apiVersion", Value::from(endpoint.api_version.clone())),
        ("kind", endpoint.definition.kind.into()),
    ]);
    config.set_meta("name", name.clone());
    if let Some(replicas) = scale.at(&["spec", "replicas"]) {
        if replicas.as_i64().is_some_and(|replicas| replicas < 0) {
            let path = Path::new("spec").child("replicas");
            let error = Error::invalid(&path, replicas.clone(), "must be greater than or equal to 0");
            let kind = GroupVersionKind::new("autoscaling", "v1", "Scale");
            return Err(Status::invalid(&kind, &name, &[error]));
        }
        config.set(paths.spec_replicas, replicas.clone());
    }
    let mut context = write.context(&request);
    context.subresource = "scale";
    let strategy = endpoint.definition.strategy;
    let transform = |current: Option<&Value>| {
        let applied = store.apply(&context, strategy, current, &config, force);
        let mut object = applied.map_err(|error| error.to_status())?;
        codec::canonicalize(&mut object, server.table(), endpoint.type_id);
        (endpoint.version.defaults)(&mut object);
        endpoint.to_hub(store, &mut object);
        Ok(object)
    };
    let updated = store.update(&context, &name, strategy, &transform, false).await?;
    warnings.extend(updated.warnings);
    let tree = store.codec().decode_tree(&name, &updated.object.json).map_err(Status::internal)?;
    Ok(Reply::tree(StatusCode::OK, scale_of(&tree, paths)?).with_warnings(warnings))
}

fn scale_of(object: &Value, paths: &ScalePaths) -> Result<Value, Status> {
    let mut scale = Value::object_of([("kind", Value::from("Scale")), ("apiVersion", "autoscaling/v1".into())]);
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object.at(&["metadata", field]) {
            scale.set_meta(field, value.clone());
        }
    }
    scale.set(&["spec"], Value::object());
    if let Some(replicas) = object.i64_at(paths.spec_replicas).filter(|&replicas| replicas != 0) {
        scale.set(&["spec", "replicas"], replicas);
    }
    scale.set(&["status", "replicas"], object.i64_at(paths.status_replicas).unwrap_or_default());
    let selector = match object.at(paths.selector) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.to_string(),
        Some(selector) if selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some() => {
            label::Selector::from_object(selector).map_err(Status::internal)?.to_string()
        }
        Some(Value::Object(labels)) => {
            let pairs: Vec<_> =
                labels.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
            pairs.join(",")
        }
        Some(_) => String::new(),
    };
    if !selector.is_empty() {
        scale.set(&["status", "selector"], selector);
    }
    Ok(scale)
}
