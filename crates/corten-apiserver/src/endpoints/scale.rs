//! The `scale` subresource: the number of replicas of any scalable kind, as an `autoscaling/v1` `Scale`.

use std::sync::Arc;

use corten_apimachinery::{
    codec::{self, FieldValidation},
    field::{Error, Path, quote},
    gvk::{GroupResource, GroupVersion, GroupVersionKind},
    meta::ObjectMeta as _,
    resource::{Column, ScalePaths, TableDefinition, Verb},
    selector::label,
    status::{Reason, Status},
    type_table::{TypeId, TypeTable},
    value::Value,
};
use corten_client::PatchKind;
use http::{StatusCode, header};
use parking_lot::Mutex;

use super::{
    body::{decode_bytes, decode_written},
    patch::{check_place, patched, read_patched, refuse_doubled},
    patch_body::{Patch, read_patch},
    read::{namespace_of, store_of},
    routes::Endpoint,
    strict,
    write::{WriteRequest, expect_incarnation},
};
use crate::{
    customresources::nested::{nested_int, nested_text},
    negotiation::{Encoding, PatchType},
    registry::Preconditions,
    request::Request,
    response::Reply,
    server::Server,
};

const TYPE: &str = "io.k8s.api.autoscaling.v1.Scale";

/// Columns of a `Scale`. Upstream: `scaleColumnDefinitions` in pkg/printers/internalversion/printers.go (v1.35).
pub(crate) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::integer("Desired", "How many pods there should be."),
        Column::integer("Available", "How many there are."),
        Column::AGE,
    ],
    row: |scale, cx| {
        vec![
            scale.name().into(),
            scale.i64_at(&["spec", "replicas"]).unwrap_or_default().into(),
            scale.i64_at(&["status", "replicas"]).unwrap_or_default().into(),
            cx.age(scale.creation_timestamp()).into(),
        ]
    },
    conditions: None,
    rank: None,
};

/// Whether a tree is a `Scale`.
pub(crate) fn is_scale(tree: &Value) -> bool {
    tree.kind() == "Scale" && tree.api_version() == "autoscaling/v1"
}

/// Reads or sets the number of replicas.
pub(super) async fn handle(
    server: &Arc<Server>,
    endpoint: &Endpoint,
    mut request: Box<Request>,
    verb: Verb,
    paths: &ScalePaths,
) -> Result<Reply, Status> {
    let store = store_of(endpoint)?;
    let name = request.info.name.clone();
    let table = server.table();
    let type_id = table.find(TYPE).ok_or_else(|| Status::internal(format_args!("type {TYPE} is not in the table")))?;
    let namespace = namespace_of(endpoint, &request).to_owned();
    let (write, wanted, mut warnings) = match verb {
        Verb::Get => {
            let current = store.get(&namespace, &name, None).await?;
            let tree = store.codec().decode_tree(&name, &current.json, current.revision).map_err(Status::internal)?;
            let is_custom = endpoint.version.schema.is_some();
            if is_custom && custom_int(&tree, &paths.spec_replicas)?.is_none() {
                let path = quote(&paths.spec_replicas);
                return Err(Status::internal(format_args!("the spec replicas field {path} does not exist")));
            }
            return Ok(Reply::tree(StatusCode::OK, scale_of(endpoint, &tree, paths)?));
        }
        Verb::Update => {
            let write = WriteRequest::new(endpoint, &request, "UpdateOptions")?;
            let typed = (table, type_id);
            let (mut scale, warnings) = decode_written(&mut request, typed, &kind(), write.validation).await?;
            check_place(endpoint, &mut scale, (&namespace, &name))?;
            (write, Wanted::Scale(scale), warnings)
        }
        Verb::Patch => {
            let is_custom = endpoint.version.schema.is_some();
            let patch_type = server.encodings().patch_type(request.header(header::CONTENT_TYPE), is_custom)?;
            let language = patch_type.kind();
            if language == PatchKind::Apply {
                return apply(server, endpoint, request, patch_type, (paths, type_id)).await;
            }
            let write = WriteRequest::of_patch(endpoint, &request, false)?;
            let validation = write.validation;
            let patch = read_patch(std::mem::take(&mut request.body), patch_type, validation).await?;
            (write, Wanted::Patched { language, patch, validation }, Vec::new())
        }
        _ => return Ok(Reply::method_not_allowed()),
    };
    let advice = Mutex::new(Vec::new());
    // Done anew for each attempt: a patch is one of the newest object, whoever has changed that in the meantime.
    let transform = |current: Option<&Value>| {
        let mut object = current.cloned().unwrap_or_default();
        let (mut scale, of_patch) = wanted.of(&before(endpoint, &object, paths)?, (table, type_id))?;
        match wanted {
            Wanted::Scale(_) => expect_incarnation(store, &namespace, &scale, current)?,
            Wanted::Patched { .. } => check_place(endpoint, &mut scale, (&namespace, &name))?,
        }
        *advice.lock() = of_patch;
        if scale.i64_at(&["spec", "replicas"]) == Some(UNSET_REPLICAS) {
            let path = quote(&paths.spec_replicas);
            return Err(Status::bad_request(format!("the spec replicas field {path} cannot be empty")));
        }
        check(endpoint, &scale, &object, &name)?;
        // What is absent is 0: everything else was read as a number.
        object.set(&ScalePaths::fields(&paths.spec_replicas), scale.i64_at(&["spec", "replicas"]).unwrap_or_default());
        precondition(&mut object, &scale, current.unwrap_or(&Value::Null));
        Ok(object)
    };
    let strategy = &*endpoint.resource.strategy;
    let mut context = write.context(&request);
    context.subresource = "scale";
    let updated = store.update(&context, &name, strategy, &transform, None).await?;
    warnings.extend(advice.into_inner());
    warnings.extend(updated.warnings);
    let tree =
        store.codec().decode_tree(&name, &updated.object.json, updated.object.revision).map_err(Status::internal)?;
    Ok(Reply::tree(StatusCode::OK, scale_of(endpoint, &tree, paths)?).with_warnings(warnings))
}

fn kind() -> GroupVersionKind {
    GroupVersionKind::new("autoscaling", "v1", "Scale")
}

/// What a client wants of a `Scale`.
enum Wanted {
    /// To be this.
    Scale(Value),
    /// To be changed so.
    Patched { language: PatchKind, patch: Patch, validation: FieldValidation },
}

impl Wanted {
    /// What becomes of `current`, and advice for the client.
    fn of(&self, current: &Value, typed: (&TypeTable, TypeId)) -> Result<(Value, Vec<String>), Status> {
        match self {
            Self::Scale(scale) => Ok((scale.clone(), Vec::new())),
            Self::Patched { language, patch: Patch { value, complaints }, validation } => {
                let patched = patched(current, (*language, value), typed, &kind(), false)?;
                read_patched(&patched, typed, *validation, (*language, value, complaints))
            }
        }
    }
}

/// What a `Scale` may say of `object`. Custom resources have rules for their replicas, and pass over a UID that a patch sets.
///
/// Upstream: `ValidateScale`, and `scaleUpdatedObjectInfo` in pkg/registry/apps/deployment/storage/storage.go and in
/// k8s.io/apiextensions-apiserver/pkg/registry/customresource/etcd.go (v1.35).
fn check(endpoint: &Endpoint, scale: &Value, object: &Value, name: &str) -> Result<(), Status> {
    if endpoint.version.schema.is_some() {
        return Ok(());
    }
    let replicas = scale.i64_at(&["spec", "replicas"]).unwrap_or_default();
    if replicas < 0 {
        let path = Path::new("spec").child("replicas");
        let error = Error::invalid(&path, replicas, "must be greater than or equal to 0");
        return Err(Status::invalid(&kind(), name, &[error]));
    }
    let resource = GroupResource::new(endpoint.resource.group.clone(), format!("{}/scale", endpoint.resource.plural));
    let Some((what, wanted, actual)) = Preconditions::of(scale).of_uid().unmet(object) else { return Ok(()) };
    let why = format!("Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {actual}");
    Err(Status::conflict(&resource, name, why))
}

/// The precondition of a write is what the client saw. If it did not say, the object is what it is at that moment, also where
/// an object cannot be written without a version.
fn precondition(object: &mut Value, scale: &Value, current: &Value) {
    let seen = scale.resource_version();
    let version = if seen.is_empty() { current.resource_version() } else { seen };
    object.set_meta("resourceVersion", version);
}

/// Applies a `Scale`: what it says of the replicas is applied to the object itself, and recorded there.
async fn apply(
    server: &Arc<Server>,
    endpoint: &Endpoint,
    mut request: Box<Request>,
    patch_type: PatchType,
    (paths, type_id): (&ScalePaths, TypeId),
) -> Result<Reply, Status> {
    let store = store_of(endpoint)?;
    let name = request.info.name.clone();
    let write = WriteRequest::of_patch(endpoint, &request, true)?;
    let validation = write.validation;
    let body = std::mem::take(&mut request.body);
    let Patch { value: scale, complaints } = read_patch(body, patch_type, validation).await?;
    refuse_doubled(&complaints, validation)?;
    let mut warnings = strict::warnings(complaints);
    if scale.api_version() != "autoscaling/v1" || scale.kind() != "Scale" {
        let group_version = GroupVersion::parse(scale.api_version())
            .map_or_else(|| "/".to_owned(), |version| format!("{}/{}", version.group, version.version));
        return Err(Status::bad_request(format!("invalid object type: {group_version}, Kind={}", scale.kind())));
    }
    // The canonical form leaves out 0, which owns the field as any other number does.
    let replicas = scale.at(&["spec", "replicas"]).cloned();
    let bytes = codec::json::encode(&scale, None);
    let (mut scale, further) = decode_bytes(&bytes, Encoding::Json, server.table(), type_id, validation, &kind())?;
    warnings.extend(further);
    // It may leave the name out: that of the current one stays.
    if scale.name().is_empty() {
        scale.set_meta("name", name.clone());
    }
    let mut config = Value::object_of([
        ("apiVersion", Value::from(endpoint.api_version.clone())),
        ("kind", endpoint.resource.kind.clone().into()),
    ]);
    config.set_meta("name", name.clone());
    if let Some(replicas) = replicas {
        config.set(&ScalePaths::fields(&paths.spec_replicas), replicas);
    }
    let mut context = write.context(&request);
    context.subresource = "scale";
    let strategy = &*endpoint.resource.strategy;
    let transform = |current: Option<&Value>| {
        let applied = store.apply(&context, strategy, current, &config, write.force);
        let mut object = applied.map_err(|error| error.to_status())?;
        check_place(endpoint, &mut scale.clone(), (context.namespace, &name))?;
        check(endpoint, &scale, current.unwrap_or(&Value::Null), &name)?;
        if endpoint.version.schema.is_none() {
            codec::canonicalize(&mut object, &endpoint.version.table, endpoint.version.type_id);
        }
        (endpoint.version.defaults)(&mut object);
        endpoint.to_hub(store, &mut object);
        precondition(&mut object, &scale, current.unwrap_or(&Value::Null));
        Ok(object)
    };
    let updated = store.update(&context, &name, strategy, &transform, None).await?;
    warnings.extend(updated.warnings);
    let tree =
        store.codec().decode_tree(&name, &updated.object.json, updated.object.revision).map_err(Status::internal)?;
    Ok(Reply::tree(StatusCode::OK, scale_of(endpoint, &tree, paths)?).with_warnings(warnings))
}

/// What a custom resource that says nothing of replicas has before a write: a number that nobody wants.
const UNSET_REPLICAS: i64 = i32::MIN as i64;

/// The number at a path of a custom resource. Nothing but its own schema sees to it that it is one.
fn custom_int(object: &Value, path: &str) -> Result<Option<i64>, Status> {
    nested_int(object, path).map_err(|why| Status::new(Reason::Unknown, why))
}

/// The scale that a write starts from.
fn before(endpoint: &Endpoint, object: &Value, paths: &ScalePaths) -> Result<Value, Status> {
    let mut scale = scale_of(endpoint, object, paths)?;
    if endpoint.version.schema.is_some() && custom_int(object, &paths.spec_replicas)?.is_none() {
        scale.set(&["spec", "replicas"], UNSET_REPLICAS);
    }
    Ok(scale)
}

fn scale_of(endpoint: &Endpoint, object: &Value, paths: &ScalePaths) -> Result<Value, Status> {
    if endpoint.version.schema.is_some() {
        for path in [&paths.spec_replicas, &paths.status_replicas] {
            custom_int(object, path)?;
        }
        if !paths.selector.is_empty() {
            nested_text(object, &paths.selector).map_err(|why| Status::new(Reason::Unknown, why))?;
        }
    }
    let mut scale = Value::object_of([("kind", Value::from("Scale")), ("apiVersion", "autoscaling/v1".into())]);
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object.at(&["metadata", field]) {
            scale.set_meta(field, value.clone());
        }
    }
    scale.set(&["spec"], Value::object());
    if let Some(replicas) = object.i64_at(&ScalePaths::fields(&paths.spec_replicas)).filter(|&replicas| replicas != 0) {
        scale.set(&["spec", "replicas"], replicas);
    }
    scale.set(&["status", "replicas"], object.i64_at(&ScalePaths::fields(&paths.status_replicas)).unwrap_or_default());
    let selector = ScalePaths::fields(&paths.selector);
    let selector = match object.at(&selector).filter(|_| !selector.is_empty()) {
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
