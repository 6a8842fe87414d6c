//! Which kind a body says it is, and whether that is the one that the path is of.
//!
//! Upstream: k8s.io/apiserver/pkg/endpoints/handlers/rest.go, `Decode` in
//! k8s.io/apimachinery/pkg/runtime/serializer/versioning/versioning.go (v1.35).

use corten_apimachinery::{
    codec::{self, FieldValidation},
    field::quote,
    gvk::{GroupVersion, GroupVersionKind},
    meta::ObjectMeta as _,
    status::Status,
    type_table::{TypeId, TypeTable},
    value::Value,
};

use super::body::{OBJECTS_MAX, decode_json};
use crate::negotiation::Encoding;

/// Says of an object that leaves it out which kind it is.
pub(super) fn fill_in(object: &mut Value, want: &GroupVersionKind) {
    if object.api_version().is_empty() {
        object.set(&["apiVersion"], want.group_version().to_string());
    }
    if object.kind().is_empty() {
        object.set(&["kind"], want.kind.clone());
    }
}

/// Refuses an object that is not the kind that is wanted.
pub(super) fn check(object: &mut Value, want: &GroupVersionKind, table: &TypeTable) -> Result<(), Status> {
    let want_version = want.group_version().to_string();
    fill_in(object, want);
    if object.kind() == want.kind && object.api_version() == want_version {
        return Ok(());
    }
    let given = GroupVersion::parse(object.api_version()).unwrap_or_else(|| GroupVersion::new("", ""));
    if table.find_kind(&given.group, &given.version, object.kind()).is_none() {
        // The last words are where upstream's table of kinds is made.
        return Err(Status::bad_request(format!(
            "{kind} in version {version} cannot be handled as a {want}: no kind {quoted} is registered for version \
             {group_version} in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
            kind = object.kind(),
            version = quote(&given.version),
            want = want.kind,
            quoted = quote(object.kind()),
            group_version = quote(object.api_version()),
        )));
    }
    if object.kind() != want.kind {
        return Err(Status::bad_request(format!(
            "{given_kind} in version {quoted} cannot be handled as a {kind}: converting ({version}.{given_kind}) to \
             ({hub}.{kind}): unknown conversion",
            given_kind = object.kind(),
            quoted = quote(&given.version),
            version = given.version,
            hub = hub_package(&want.group),
            kind = want.kind,
        )));
    }
    Err(Status::bad_request(format!(
        "the API version in the data ({}) does not match the expected API version ({want_version})",
        object.api_version()
    )))
}

/// The package of a group's internal types in upstream.
fn hub_package(group: &str) -> &str {
    match group {
        // Events of both groups are one type there.
        "" | "events.k8s.io" => "core",
        _ => group.split('.').next().unwrap_or(group),
    }
}

/// What text says that it is, if that is something else than `want`: upstream reads it as that, and finds only then that it
/// is not what is wanted.
///
/// Errors: it is nothing that is known.
///
/// Upstream: `Decode` in k8s.io/apimachinery/pkg/runtime/serializer/json/json.go (v1.35).
pub(super) fn said(
    bytes: &[u8],
    encoding: Encoding,
    table: &TypeTable,
    want: &GroupVersionKind,
) -> Result<Option<(GroupVersionKind, TypeId)>, Status> {
    let read = match encoding {
        Encoding::Json => decode_json(bytes, None, FieldValidation::Ignore),
        Encoding::Yaml => codec::yaml::decode_bounded(bytes, None, FieldValidation::Ignore, OBJECTS_MAX),
        Encoding::Protobuf | Encoding::Cbor => return Ok(None),
    };
    // What cannot be read at all is told of by who tried first.
    let Ok(codec::Decoded { value: mut object @ Value::Object(_), .. }) = read else { return Ok(None) };
    let is_text = |field: &str| object.get(field).is_none_or(|value| value.is_null() || value.as_str().is_some());
    if !is_text("apiVersion") || !is_text("kind") {
        return Ok(None);
    }
    fill_in(&mut object, want);
    let Some(version) = GroupVersion::parse(object.api_version()) else { return Ok(None) };
    let said = version.with_kind(object.kind());
    if said == *want {
        return Ok(None);
    }
    match table.find_kind(&said.group, &said.version, &said.kind) {
        Some(known) => Ok(Some((said, known))),
        None => check(&mut object, want, table).map(|()| None),
    }
}
