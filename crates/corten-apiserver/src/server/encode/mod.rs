//! From answers to bytes, in the encoding and shape that the client asked for.
//!
//! JSON of stored objects goes out as it is kept; only other encodings, tables and metadata cost work per request.

mod list;
mod watch;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use corten_apimachinery::{
    codec,
    field::{Error, Path},
    meta::ObjectMeta as _,
    resource::{Column, Printer, Resource, RowCondition, RowContext},
    status::{Reason, Status},
    stored::Stored,
    type_table::{TypeId, TypeTable},
    value::Value,
};

use crate::{
    endpoints::scale,
    large::{LARGE_BYTES, Size},
    negotiation::{Accepted, Encoding, Shape},
    response::{MadeObjects, Response},
    server::Server,
};

pub(super) use list::{ListBody, list};
pub(super) use watch::{watch_failure, watch_item};

const OLD_METADATA_LIST: &str = "io.k8s.apimachinery.pkg.apis.meta.v1beta1.PartialObjectMetadataList";
const API_VERSIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.APIVersions";
const API_RESOURCE_LIST: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList";

/// Whose objects these are, and how the version asked for prints them.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) resource: &'a Resource,
    pub(super) printer: &'a dyn Printer,
}

/// One object in the form asked for.
pub(super) fn object(
    server: &Server,
    Shown { resource, printer }: Shown<'_>,
    object: &Arc<Stored>,
    accepted: Accepted,
    include: Include,
) -> Result<Bytes, Status> {
    match (accepted.shape, accepted.encoding, accepted.pretty) {
        (Shape::Object, Encoding::Json, false) => Ok(with_newline(&object.json)),
        (Shape::Object, ..) => tree(server, &decode(object)?, accepted),
        (Shape::Metadata, ..) => tree(server, &metadata_of(&decode(object)?, accepted.shape_version), accepted),
        (Shape::MetadataList, ..) => Err(no_list(resource)),
        (Shape::Table, ..) => {
            let rows = vec![row(printer, &decode(object)?, server, include, accepted.shape_version)];
            let mut list_meta = Value::object();
            list_meta.set(&["resourceVersion"], crate::value_text(object.revision));
            tree(server, &table(printer, rows, list_meta, accepted.shape_version, true), accepted)
        }
    }
}

/// What is made for an answer and is no list, in the form asked for. A `Status` has no other shape. The scale of a custom
/// resource is of its version upstream.
pub(super) fn made_tree(
    server: &Server,
    made: &Value,
    accepted: Accepted,
    is_custom_scale: bool,
) -> Result<Bytes, Status> {
    let is_shaped = !matches!(made.kind(), "Status" | "APIVersions") && made.get("metadata").is_some();
    match accepted.shape {
        Shape::Metadata if is_shaped => tree(server, &metadata_of(made, accepted.shape_version), accepted),
        Shape::MetadataList if is_shaped && is_custom_scale => Err(is_no_list("*v1.Scale")),
        Shape::MetadataList if is_shaped => Err(is_no_list(&go_type_of(group_of(made), made.kind()))),
        _ => tree(server, made, accepted),
    }
}

/// A tree in the encoding asked for.
pub(crate) fn tree(server: &Server, tree: &Value, accepted: Accepted) -> Result<Bytes, Status> {
    let typed = type_of(server.table(), tree).map(|id| (server.table(), id));
    match accepted.encoding {
        Encoding::Json if accepted.pretty => {
            // Upstream ends the line only of what is not indented.
            let json = codec::json::encode_pretty(tree, typed);
            Ok(json.slice(..json.trim_ascii_end().len()))
        }
        Encoding::Json => Ok(json(tree, typed)),
        Encoding::Protobuf => match typed {
            Some((table, id)) => codec::protobuf::encode(tree, table, id).map_err(Status::internal),
            None => Err(not_marshalable(tree)),
        },
        Encoding::Yaml => Ok(codec::yaml::encode(tree)),
        Encoding::Cbor => Ok(codec::cbor::encode_typed(tree, typed)),
    }
}

/// A tree in JSON on one line, which is ended.
pub(crate) fn json(tree: &Value, typed: Option<(&TypeTable, TypeId)>) -> Bytes {
    with_newline(&codec::json::encode(tree, typed))
}

/// The type that a tree says it has. What there is to know of the core group's versions says no version of its own, and the older
/// list of metadata is no kind, since nobody reads one.
fn type_of(table: &TypeTable, tree: &Value) -> Option<TypeId> {
    codec::type_of(table, tree).or_else(|| match tree.kind() {
        "APIVersions" => table.find(API_VERSIONS),
        "APIResourceList" => table.find(API_RESOURCE_LIST),
        "PartialObjectMetadataList" if tree.api_version() == "meta.k8s.io/v1beta1" => table.find(OLD_METADATA_LIST),
        _ => None,
    })
}

/// The table of a `Scale`, which is made for the answer.
pub(super) fn scale_table(
    server: &Server,
    scale: &Value,
    accepted: Accepted,
    include: Include,
) -> Result<Bytes, Status> {
    let rows = vec![row(&scale::TABLE, scale, server, include, accepted.shape_version)];
    let mut list_meta = Value::object();
    list_meta.set(&["resourceVersion"], scale.resource_version());
    tree(server, &table(&scale::TABLE, rows, list_meta, accepted.shape_version, true), accepted)
}

/// Upstream: `errNotMarshalable` in k8s.io/apimachinery/pkg/runtime/serializer/protobuf (v1.35).
fn not_marshalable(tree: &Value) -> Status {
    let version = tree.api_version().rsplit('/').next().unwrap_or_default();
    let what = format!("object *{version}.{} does not implement the protobuf marshalling interface", tree.kind());
    Status::new(Reason::NotAcceptable, format!("{what} and cannot be encoded to a protobuf message"))
}

/// Metadata of a list, asked of one object.
fn no_list(resource: &Resource) -> Status {
    is_no_list(&go_type(resource, ""))
}

/// Metadata of a list, asked of what upstream has as a `ty`.
fn is_no_list(ty: &str) -> Status {
    Status::new(
        Reason::NotAcceptable,
        format!("you requested PartialObjectMetadataList, but the requested object is not a list ({ty})"),
    )
}

/// Metadata of one object, asked of a list.
fn a_list(resource: &Resource) -> Status {
    let ty = go_type(resource, "List");
    Status::new(
        Reason::NotAcceptable,
        format!("you requested PartialObjectMetadata, but the requested object is a list ({ty})"),
    )
}

/// How upstream calls the type, in the form without a version.
fn go_type(resource: &Resource, suffix: &str) -> String {
    go_type_of(&resource.group, &format!("{}{suffix}", resource.kind))
}

fn go_type_of(group: &str, kind: &str) -> String {
    let package = match group.split('.').next().unwrap_or_default() {
        "" => "core",
        package => package,
    };
    format!("*{package}.{kind}")
}

fn group_of(object: &Value) -> &str {
    object.api_version().split_once('/').map_or("", |(group, _)| group)
}

/// Objects that are not stored, in the form asked for.
pub(super) fn made(server: &Server, made: MadeObjects, accepted: Accepted, include: Include) -> Result<Bytes, Status> {
    let resource = Arc::clone(&made.resource);
    let printer = &*resource.version(&made.version).unwrap_or(resource.hub()).printer;
    match (accepted.shape, made.is_list) {
        (Shape::Object, _) => tree(server, &made.into_tree(), accepted),
        (Shape::Table, _) => {
            let rows = made.objects.iter().map(|one| row(printer, one, server, include, accepted.shape_version));
            let whole = table(printer, rows.collect(), Value::object(), accepted.shape_version, true);
            tree(server, &whole, accepted)
        }
        (Shape::Metadata, false) => {
            let metadata = made.objects.first().map(|one| metadata_of(one, accepted.shape_version));
            tree(server, &metadata.unwrap_or_default(), accepted)
        }
        (Shape::MetadataList, true) => {
            let items = made.objects.iter().map(|one| metadata_of(one, accepted.shape_version));
            tree(server, &metadata_list(items.collect(), Value::object(), accepted), accepted)
        }
        (Shape::Metadata, true) => Err(a_list(&resource)),
        (Shape::MetadataList, false) => Err(no_list(&resource)),
    }
}

fn metadata_list(items: Vec<Value>, list_meta: Value, accepted: Accepted) -> Value {
    Value::object_of([
        ("kind", Value::from("PartialObjectMetadataList")),
        ("apiVersion", format!("meta.k8s.io/{}", accepted.shape_version).into()),
        ("metadata", list_meta),
        ("items", items.into()),
    ])
}

fn with_newline(json: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(json.len() + 1);
    bytes.extend_from_slice(json);
    bytes.extend_from_slice(b"\n");
    bytes.freeze()
}

fn decode(object: &Stored) -> Result<Value, Status> {
    codec::json::decode(&object.json, None, codec::FieldValidation::Ignore)
        .map(|decoded| decoded.value)
        .map_err(Status::internal)
}

/// What a table row carries of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Include {
    /// Its metadata.
    Metadata,
    /// All of it.
    Object,
    /// Nothing.
    None,
}

impl Include {
    /// Reads `includeObject`.
    ///
    /// Upstream: `ValidateTableOptions` in k8s.io/apimachinery/pkg/apis/meta/v1/validation (v1.35).
    pub(super) fn parse(text: &str) -> Result<Self, Status> {
        match text {
            "" | "Metadata" => Ok(Self::Metadata),
            "Object" => Ok(Self::Object),
            "None" => Ok(Self::None),
            other => {
                let why = "must be 'Metadata', 'Object', 'None', or empty";
                let error = Error::invalid(&Path::new("includeObject"), other, why);
                Err(Status::bad_request(format!("Unable to convert to Table as requested: {error}")))
            }
        }
    }
}

fn metadata_of(object: &Value, version: &str) -> Value {
    let metadata = object.get("metadata").cloned().unwrap_or_else(Value::object);
    Value::object_of([
        ("kind", Value::from("PartialObjectMetadata")),
        ("apiVersion", format!("meta.k8s.io/{version}").into()),
        ("metadata", metadata),
    ])
}

fn row(printer: &dyn Printer, object: &Value, server: &Server, include: Include, version: &str) -> Value {
    let cells = printer.row(object, &RowContext { now: server.clock().now() });
    debug_assert_eq!(cells.len(), printer.columns().len(), "a row has a cell per column");
    let mut row = Value::object_of([("cells", Value::array(cells))]);
    let conditions = printer.conditions(object);
    if !conditions.is_empty() {
        row.set(&["conditions"], Value::array(conditions.into_iter().map(row_condition)));
    }
    match include {
        Include::Metadata => row.set(&["object"], metadata_of(object, version)),
        Include::Object => row.set(&["object"], object.clone()),
        Include::None => row.set(&["object"], Value::Null),
    }
    row
}

fn row_condition(condition: RowCondition) -> Value {
    Value::object_of([
        ("type", Value::from(condition.ty)),
        ("status", "True".into()),
        ("reason", condition.reason.into()),
        ("message", condition.message.into()),
    ])
}

fn table(printer: &dyn Printer, rows: Vec<Value>, list_meta: Value, version: &str, columns: bool) -> Value {
    let column = |column: &Column| {
        Value::object_of([
            ("name", Value::from(column.name.clone())),
            ("type", column.ty.clone().into()),
            ("format", column.format.clone().into()),
            ("description", column.description.clone().into()),
            ("priority", column.priority.into()),
        ])
    };
    // A watch tells its columns only in its first event.
    let columns = if columns { Value::array(printer.columns().iter().map(column)) } else { Value::Null };
    Value::object_of([
        ("kind", Value::from("Table")),
        ("apiVersion", format!("meta.k8s.io/{version}").into()),
        ("metadata", list_meta),
        ("columnDefinitions", columns),
        ("rows", rows.into()),
    ])
}

/// How much there is to encode of an answer, if it is so much that it is no work for a thread of the runtime. What goes out
/// as it is stored is not, nor is a list that is made piece by piece.
pub(super) fn size_if_large(response: &Response, accepted: Accepted) -> Option<Size> {
    let is_json = accepted.encoding == Encoding::Json && !accepted.pretty;
    let bytes = match response {
        Response::Object { object, .. } if !is_json || accepted.shape != Shape::Object => object.json.len(),
        // All of its items are measured before the first goes out.
        Response::List(list) if accepted.encoding == Encoding::Protobuf => list::bytes_to_measure(list, accepted),
        _ => return None,
    };
    (bytes > LARGE_BYTES).then(|| Size::of_bytes(bytes))
}
