//! From answers to bytes, in the encoding and shape that the client asked for.
//!
//! JSON of stored objects goes out as it is kept; only other encodings, tables and metadata cost work per request. Lists in
//! JSON are made piece by piece while they are sent, those in other encodings whole, and aside if they are large.

use std::{collections::VecDeque, io, sync::Arc};

use bytes::{Bytes, BytesMut};
use corten_apimachinery::{
    codec,
    gvk::GroupVersion,
    meta::ObjectMeta as _,
    resource::{Column, ResourceDefinition, RowCondition, RowContext, TableDefinition},
    status::{Reason, Status},
    stored::Stored,
    type_table::{TypeId, TypeTable},
    value::Value,
};

use crate::{
    endpoints::{
        scale,
        watch::{EventType, Item, WatchSource},
    },
    large::{LARGE_BYTES, Size},
    negotiation::{Accepted, Encoding, Shape},
    registry::Store,
    response::{ListResponse, MadeObjects, Response},
    server::{Server, http::Content},
};

/// Lists go out in pieces of at most this size, unless one object is larger: four frames of HTTP/2, and small enough that
/// the processor's caches and the allocator still have it when the next one is made.
const LIST_CHUNK_BYTES: usize = 64 * 1024;

const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

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

/// A list in the form asked for: in JSON piece by piece, else whole.
pub(super) fn list(
    server: &Arc<Server>,
    list: ListResponse,
    accepted: Accepted,
    include: Include,
) -> Result<Content, Status> {
    let (definition, version) = (list.served, accepted.shape_version);
    let mut list_meta = Value::object();
    list_meta.set(&["resourceVersion"], crate::value_text(list.revision));
    if !list.continue_token.is_empty() {
        list_meta.set(&["continue"], list.continue_token.as_str());
    }
    if let Some(remaining) = list.remaining {
        list_meta.set(&["remainingItemCount"], i64::try_from(remaining).unwrap_or(i64::MAX));
    }
    let api_version = GroupVersion::new(definition.group, list.version).to_string();
    // The list without its items, and what becomes of one.
    let (mut whole, field, form) = match accepted.shape {
        Shape::Object => {
            let prefix = format!("{{\"kind\":\"{}\",\"apiVersion\":\"{api_version}\",", definition.kind);
            let whole = Value::object_of([
                ("kind", Value::from(format!("{}List", definition.kind))),
                ("apiVersion", api_version.into()),
                ("metadata", list_meta),
                ("items", Value::array([])),
            ]);
            (whole, "items", Form::Whole { prefix })
        }
        Shape::Metadata => return Err(a_list(list.store.definition())),
        Shape::MetadataList => (metadata_list(Vec::new(), list_meta, accepted), "items", Form::Metadata { version }),
        Shape::Table => {
            let whole = table(definition.table, Vec::new(), list_meta, version, true);
            (whole, "rows", Form::Row { server: Arc::clone(server), table: definition.table, include, version })
        }
    };
    if accepted.encoding == Encoding::Json && !accepted.pretty {
        let mut before = match &form {
            // Most lists are of these, whose bytes are known.
            Form::Whole { .. } => {
                let typed = server.table().find(LIST_META).map(|id| (server.table(), id));
                let meta = whole.get("metadata").map(|meta| codec::json::encode(meta, typed)).unwrap_or_default();
                let begin =
                    format!("{{\"kind\":\"{}\",\"apiVersion\":\"{}\",\"metadata\":", whole.kind(), whole.api_version());
                Bytes::from([begin.as_bytes(), &meta, b",\"items\":[]}"].concat())
            }
            _ => {
                let typed = codec::type_of(server.table(), &whole).map(|id| (server.table(), id));
                codec::json::encode(&whole, typed)
            }
        };
        debug_assert!(before.ends_with(b":[]}"), "items come last: {}", String::from_utf8_lossy(&before));
        if before.ends_with(b":[]}") {
            before.truncate(before.len() - 2);
            let shown = JsonForm { item_type: form.type_id(server.table()), table: server.table(), form };
            return Ok(Content::List(JsonList::new(list.items, before, shown)));
        }
    }
    let items = list.items.iter().map(|item| form.tree(item)).collect::<Result<Vec<_>, Status>>()?;
    whole.set(&[field], Value::from(items));
    Ok(tree(server, &whole, accepted)?.into())
}

/// What a list shows of an object.
enum Form {
    /// All of it, but for its type at the beginning, which a list says once.
    Whole { prefix: String },
    /// Its metadata.
    Metadata { version: &'static str },
    /// Its row of a table.
    Row { server: Arc<Server>, table: &'static TableDefinition, include: Include, version: &'static str },
}

/// The same in JSON.
struct JsonForm {
    form: Form,
    item_type: Option<TypeId>,
    table: &'static TypeTable,
}

impl Form {
    /// The type of what is shown.
    fn type_id(&self, table: &TypeTable) -> Option<TypeId> {
        match self {
            Self::Whole { .. } => None,
            Self::Metadata { .. } => table.find("io.k8s.apimachinery.pkg.apis.meta.v1.PartialObjectMetadata"),
            Self::Row { .. } => table.find("io.k8s.apimachinery.pkg.apis.meta.v1.TableRow"),
        }
    }

    fn tree(&self, object: &Stored) -> Result<Value, Status> {
        let mut object = decode(object)?;
        Ok(match self {
            Self::Whole { .. } => {
                object.unset(&["apiVersion"]);
                object.unset(&["kind"]);
                object
            }
            Self::Metadata { version } => metadata_of(&object, version),
            Self::Row { server, table, include, version } => row(table, &object, server, *include, version),
        })
    }
}

/// The objects' own bytes, or what is made of them, with commas between; in pieces, as the connection takes them.
pub(super) struct JsonList {
    items: std::vec::IntoIter<Arc<Stored>>,
    /// What stands before the next item: the list's own fields, then a comma.
    before: Bytes,
    form: JsonForm,
    /// Pieces that went out, oldest first: their memory is used again once the connection is through with them.
    sent: VecDeque<Bytes>,
    done: bool,
}

impl JsonList {
    fn new(items: Vec<Arc<Stored>>, before: Bytes, form: JsonForm) -> Self {
        Self { items: items.into_iter(), before, form, sent: VecDeque::new(), done: false }
    }

    /// An empty piece.
    fn buffer(&mut self) -> BytesMut {
        let used = self.sent.pop_front().map(Bytes::try_into_mut);
        match used {
            Some(Ok(mut buffer)) => {
                buffer.clear();
                buffer
            }
            Some(Err(in_use)) => {
                self.sent.push_front(in_use);
                BytesMut::with_capacity(LIST_CHUNK_BYTES)
            }
            None => BytesMut::with_capacity(LIST_CHUNK_BYTES),
        }
    }

    fn send(&mut self, piece: BytesMut) -> Bytes {
        let piece = piece.freeze();
        self.sent.push_back(piece.clone());
        piece
    }

    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// The next piece.
    ///
    /// Errors: an object that cannot be read, which ends the answer half way.
    fn piece(&mut self) -> Result<Bytes, Status> {
        let mut piece = self.buffer();
        while let Some(item) = self.items.as_slice().first() {
            let made;
            let JsonForm { form, item_type, table } = &self.form;
            let (open, json) = match form {
                Form::Whole { prefix } => match item.json.strip_prefix(prefix.as_bytes()) {
                    Some(rest) => (&b"{"[..], rest),
                    None => (&b""[..], &item.json[..]),
                },
                form => {
                    made = codec::json::encode(&form.tree(item)?, item_type.map(|id| (*table, id)));
                    (&b""[..], &made[..])
                }
            };
            // Only what costs nothing to look at again waits for the next piece.
            let needed = self.before.len() + open.len() + json.len();
            let is_cheap = matches!(form, Form::Whole { .. });
            if is_cheap && !piece.is_empty() && piece.len() + needed > LIST_CHUNK_BYTES {
                return Ok(self.send(piece));
            }
            for part in [&self.before, open, json] {
                piece.extend_from_slice(part);
            }
            self.before = Bytes::from_static(b",");
            self.items.next();
            if !is_cheap && piece.len() >= LIST_CHUNK_BYTES {
                return Ok(self.send(piece));
            }
        }
        if self.before.len() > 1 {
            // A list of nothing.
            piece.extend_from_slice(&self.before);
        }
        piece.extend_from_slice(b"]}\n");
        self.done = true;
        Ok(piece.freeze())
    }
}

impl Iterator for JsonList {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.done {
            return None;
        }
        Some(self.piece().map_err(|status| {
            self.done = true;
            io::Error::other(status.message)
        }))
    }
}

/// The frame of one item of a watch.
pub(super) fn watch_item(
    server: &Server,
    source: &WatchSource,
    item: &Item,
    accepted: Accepted,
    include: Include,
    first: bool,
) -> Result<Bytes, Status> {
    match item {
        Item::Object { event, object, shared } => {
            let plain = accepted.shape == Shape::Object && accepted.encoding == Encoding::Json;
            if let Some(shared) = shared.as_ref().filter(|_| plain) {
                let key = frame_key(*event, source);
                return Ok(shared.frame(key, || json_frame(*event, &object.json)));
            }
            if plain {
                return Ok(json_frame(*event, &object.json));
            }
            let shown = match accepted.shape {
                Shape::Object => decode(object)?,
                Shape::Metadata => metadata_of(&decode(object)?, accepted.shape_version),
                Shape::MetadataList => return Err(no_list(source.store().definition())),
                Shape::Table => {
                    let definition = source.store().definition().table;
                    let rows = vec![row(definition, &decode(object)?, server, include, accepted.shape_version)];
                    let mut list_meta = Value::object();
                    list_meta.set(&["resourceVersion"], crate::value_text(object.revision));
                    table(definition, rows, list_meta, accepted.shape_version, first)
                }
            };
            event_frame(server, *event, &shown, accepted)
        }
        Item::Bookmark { revision, initial_events_end } => {
            let endpoint = source.endpoint();
            let definition = endpoint.definition;
            let mut mark = Value::object_of([
                ("kind", Value::from(definition.kind)),
                ("apiVersion", GroupVersion::new(definition.group, endpoint.version.name).to_string().into()),
                ("metadata", Value::object_of([("resourceVersion", Value::from(crate::value_text(*revision)))])),
            ]);
            if *initial_events_end {
                mark.set(&["metadata", "annotations", "k8s.io/initial-events-end"], "true");
            }
            let shown = match accepted.shape {
                Shape::Object => {
                    let mut mark = mark;
                    codec::canonicalize(&mut mark, server.table(), endpoint.type_id);
                    mark
                }
                Shape::Metadata => metadata_of(&mark, accepted.shape_version),
                Shape::MetadataList => return Err(no_list(source.store().definition())),
                Shape::Table => {
                    // As any other event: the row's object is where clients look for the end of the initial objects.
                    let rows = vec![row(definition.table, &mark, server, include, accepted.shape_version)];
                    let mut list_meta = Value::object();
                    list_meta.set(&["resourceVersion"], crate::value_text(*revision));
                    table(definition.table, rows, list_meta, accepted.shape_version, first)
                }
            };
            event_frame(server, EventType::Bookmark, &shown, accepted)
        }
    }
}

/// The frame that reports a failure in the middle of a watch.
pub(super) fn watch_failure(server: &Server, status: &Status, accepted: Accepted) -> Result<Bytes, Status> {
    frame(server, "ERROR", &status.to_value(), accepted)
}

fn frame_key(event: EventType, source: &WatchSource) -> u32 {
    let endpoint = source.endpoint();
    let version = endpoint.definition.versions.iter().position(|version| version.name == endpoint.version.name);
    (version.unwrap_or_default() as u32) << 8 | event as u32
}

fn json_frame(event: EventType, json: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(json.len() + 40);
    frame.extend_from_slice(b"{\"type\":\"");
    frame.extend_from_slice(event.as_str().as_bytes());
    frame.extend_from_slice(b"\",\"object\":");
    frame.extend_from_slice(json);
    frame.extend_from_slice(b"}\n");
    frame.freeze()
}

fn event_frame(server: &Server, event: EventType, shown: &Value, accepted: Accepted) -> Result<Bytes, Status> {
    frame(server, event.as_str(), shown, accepted)
}

fn frame(server: &Server, event: &str, shown: &Value, accepted: Accepted) -> Result<Bytes, Status> {
    match accepted.encoding {
        Encoding::Json | Encoding::Yaml => {
            let typed = codec::type_of(server.table(), shown).map(|id| (server.table(), id));
            let json = codec::json::encode(shown, typed);
            Ok(Bytes::from([b"{\"type\":\"", event.as_bytes(), b"\",\"object\":", &json[..], b"}\n"].concat()))
        }
        Encoding::Protobuf => {
            let object = tree(server, shown, accepted)?;
            Ok(codec::protobuf::watch_frame(event, &object))
        }
        Encoding::Cbor => {
            let event = Value::object_of([("type", Value::from(event)), ("object", shown.clone())]);
            Ok(codec::cbor::encode(&event))
        }
    }
}
