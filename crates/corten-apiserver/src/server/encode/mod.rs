//! From answers to bytes, in the encoding and shape that the client asked for.
//!
//! JSON of stored objects goes out as it is kept; only other encodings, tables and metadata cost work per request.

mod list;
mod watch;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use corten_apimachinery::{
    codec,
    meta::ObjectMeta as _,
    resource::{Column, ResourceDefinition, RowCondition, RowContext, TableDefinition},
    status::{Reason, Status},
    stored::Stored,
    value::Value,
};

use crate::{
    endpoints::scale,
    large::{LARGE_BYTES, Size},
    negotiation::{Accepted, Encoding, Shape},
    registry::Store,
    response::{MadeObjects, Response},
    server::Server,
};

pub(super) use list::{JsonList, list};
pub(super) use watch::{watch_failure, watch_item};

/// One object in the form asked for.
pub(super) fn object(
    server: &Server,
    store: &Store,
    object: &Arc<Stored>,
    accepted: Accepted,
    include: Include,
) -> Result<Bytes, Status> {
    match (accepted.shape, accepted.encoding, accepted.pretty) {
        (Shape::Object, Encoding::Json, false) => Ok(with_newline(&object.json)),
        (Shape::Object, ..) => tree(server, &decode(object)?, accepted),
        (Shape::Metadata, ..) => tree(server, &metadata_of(&decode(object)?, accepted.shape_version), accepted),
        (Shape::MetadataList, ..) => Err(no_list(store.definition())),
        (Shape::Table, ..) => {
            let rows = vec![row(store.definition().table, &decode(object)?, server, include, accepted.shape_version)];
            let mut list_meta = Value::object();
            list_meta.set(&["resourceVersion"], crate::value_text(object.revision));
            tree(server, &table(store.definition().table, rows, list_meta, accepted.shape_version, true), accepted)
        }
    }
}

/// A tree in the encoding asked for.
pub(super) fn tree(server: &Server, tree: &Value, accepted: Accepted) -> Result<Bytes, Status> {
    let typed = codec::type_of(server.table(), tree).map(|id| (server.table(), id));
    match accepted.encoding {
        Encoding::Json if accepted.pretty => Ok(codec::json::encode_pretty(tree, typed)),
        Encoding::Json => Ok(with_newline(&codec::json::encode(tree, typed))),
        Encoding::Protobuf => match typed {
            Some((table, id)) => codec::protobuf::encode(tree, table, id).map_err(Status::internal),
            None => Err(not_acceptable()),
        },
        Encoding::Yaml => Ok(codec::yaml::encode(tree)),
        Encoding::Cbor => Ok(codec::cbor::encode(tree)),
    }
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

fn not_acceptable() -> Status {
    Status::new(
        Reason::NotAcceptable,
        "only the following media types are accepted: application/json, application/yaml",
    )
}

/// Metadata of a list, asked of one object.
fn no_list(definition: &ResourceDefinition) -> Status {
    let ty = go_type(definition, "");
    Status::new(
        Reason::NotAcceptable,
        format!("you requested PartialObjectMetadataList, but the requested object is not a list ({ty})"),
    )
}

/// Metadata of one object, asked of a list.
fn a_list(definition: &ResourceDefinition) -> Status {
    let ty = go_type(definition, "List");
    Status::new(
        Reason::NotAcceptable,
        format!("you requested PartialObjectMetadata, but the requested object is a list ({ty})"),
    )
}

/// How upstream calls the type, in the form without a version.
fn go_type(definition: &ResourceDefinition, suffix: &str) -> String {
    let package = match definition.group.split('.').next().unwrap_or_default() {
        "" => "core",
        package => package,
    };
    format!("*{package}.{}{suffix}", definition.kind)
}

/// Objects that are not stored, in the form asked for.
pub(super) fn made(server: &Server, made: MadeObjects, accepted: Accepted, include: Include) -> Result<Bytes, Status> {
    let definition = made.definition;
    match (accepted.shape, made.is_list) {
        (Shape::Object, _) => tree(server, &made.into_tree(), accepted),
        (Shape::Table, _) => {
            let rows =
                made.objects.iter().map(|one| row(definition.table, one, server, include, accepted.shape_version));
            let whole = table(definition.table, rows.collect(), Value::object(), accepted.shape_version, true);
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
        (Shape::Metadata, true) => Err(a_list(definition)),
        (Shape::MetadataList, false) => Err(no_list(definition)),
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
    pub(super) fn parse(text: &str) -> Result<Self, Status> {
        match text {
            "" | "Metadata" => Ok(Self::Metadata),
            "Object" => Ok(Self::Object),
            "None" => Ok(Self::None),
            other => Err(Status::bad_request(format!(
                "unrecognized includeObject value: {}",
                corten_apimachinery::field::quote(other)
            ))),
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

fn row(table: &TableDefinition, object: &Value, server: &Server, include: Include, version: &str) -> Value {
    let cells = (table.row)(object, &RowContext { now: server.clock().now() });
    debug_assert_eq!(cells.len(), table.columns.len(), "a row has a cell per column");
    let mut row = Value::object_of([("cells", Value::array(cells))]);
    let conditions = table.conditions.map(|conditions| conditions(object)).unwrap_or_default();
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

fn table(definition: &TableDefinition, rows: Vec<Value>, list_meta: Value, version: &str, columns: bool) -> Value {
    let column = |column: &Column| {
        Value::object_of([
            ("name", Value::from(column.name)),
            ("type", column.ty.into()),
            ("format", column.format.into()),
            ("description", column.description.into()),
            ("priority", column.priority.into()),
        ])
    };
    // A watch tells its columns only in its first event.
    let columns = if columns { Value::array(definition.columns.iter().map(column)) } else { Value::Null };
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
        Response::List(list) if !is_json => list.items.iter().map(|item| item.json.len()).sum(),
        _ => return None,
    };
    (bytes > LARGE_BYTES).then(|| Size::of_bytes(bytes))
}
