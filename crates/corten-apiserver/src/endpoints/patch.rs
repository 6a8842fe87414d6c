//! PATCH in its four languages.
//!
//! Upstream: k8s.io/apiserver/pkg/endpoints/handlers/patch.go (v1.35).

use std::sync::Arc;

use corten_apimachinery::{
    codec::{self, FieldValidation},
    patch as languages,
    resource::Strategy,
    status::{Reason, Status},
    value::Value,
};
use corten_client::PatchKind;
use http::{StatusCode, header};
use parking_lot::Mutex;

use super::{
    body::{decode_bytes, field_validation, read_bytes},
    read::store_of,
    routes::Endpoint,
    write::{WriteRequest, reply},
};
use crate::{
    negotiation::Encoding,
    request::{Request, RequestBody},
    response::Reply,
    server::Server,
};

const PATCH_TYPES: [PatchKind; 4] = [PatchKind::Json, PatchKind::Merge, PatchKind::Strategic, PatchKind::Apply];

/// Changes parts of an object under the rules of `strategy`.
pub(super) async fn patch(
    server: &Arc<Server>,
    endpoint: &Endpoint,
    mut request: Request,
    strategy: &dyn Strategy,
) -> Result<Reply, Status> {
    let store = store_of(endpoint)?;
    let kind = patch_kind(request.header(header::CONTENT_TYPE))?;
    let write = WriteRequest::new(endpoint, &request, "PatchOptions")?;
    let validation = field_validation(&request.query, "PatchOptions")?;
    let patch = read_patch(std::mem::take(&mut request.body), kind).await?;
    let type_id = endpoint.type_id;
    let gvk = endpoint.kind();
    let complaints = Mutex::new(Vec::new());
    let transform = |current: Option<&Value>| {
        let mut object = current.cloned().unwrap_or_default();
        if current.is_some() {
            endpoint.from_hub(&mut object);
        }
        let patched = match kind {
            PatchKind::Json => languages::json::apply(&object, &patch).map_err(patch_failure)?,
            PatchKind::Merge => languages::merge::apply(&object, &patch),
            PatchKind::Strategic => {
                languages::strategic::apply(&object, &patch, server.table(), type_id).map_err(patch_failure)?
            }
            PatchKind::Apply => {
                return Err(Status::new(Reason::UnsupportedMediaType, "server-side apply is not served"));
            }
        };
        // The result is read as any body is: strictly, and brought to canonical form.
        let bytes = codec::json::encode(&patched, None);
        let (mut object, warnings) = decode_bytes(&bytes, Encoding::Json, server.table(), type_id, validation, &gvk)?;
        *complaints.lock() = warnings;
        (endpoint.version.defaults)(&mut object);
        endpoint.to_hub(store, &mut object);
        Ok(object)
    };
    let name = request.info.name.clone();
    let updated = store.update(&write.context(&request), &name, strategy, &transform, false).await?;
    let mut warnings = complaints.into_inner();
    warnings.extend(updated.warnings);
    let code = if updated.created { StatusCode::CREATED } else { StatusCode::OK };
    reply(endpoint, store, code, &updated.object, warnings)
}

fn patch_kind(content_type: &str) -> Result<PatchKind, Status> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    PATCH_TYPES.into_iter().find(|kind| kind.content_type() == media_type).ok_or_else(|| {
        Status::new(
            Reason::UnsupportedMediaType,
            format!(
                "the body of the request was in an unknown format - accepted media types include: {}",
                PATCH_TYPES.map(PatchKind::content_type).join(", ")
            ),
        )
    })
}

async fn read_patch(body: RequestBody, kind: PatchKind) -> Result<Value, Status> {
    if let RequestBody::Tree(tree) = body {
        return Ok(tree);
    }
    let bytes = read_bytes(body).await?;
    let _ = kind;
    codec::json::decode(&bytes, None, FieldValidation::Ignore)
        .map(|decoded| decoded.value)
        .map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))
}

fn patch_failure(error: languages::PatchError) -> Status {
    match error {
        languages::PatchError::Invalid(why) => Status::bad_request(why),
        languages::PatchError::Inapplicable(why) => Status::new(
            Reason::Invalid,
            format!("the server rejected our request due to an error in our request: {why}"),
        ),
        languages::PatchError::TooLarge(why) => Status::request_entity_too_large(why),
    }
}
