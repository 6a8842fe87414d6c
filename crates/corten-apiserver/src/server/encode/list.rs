//! Lists: in JSON made piece by piece while they are sent, in other encodings whole, and aside if they are large.

use std::{collections::VecDeque, io, sync::Arc};

use bytes::{Bytes, BytesMut};
use corten_apimachinery::{
    codec,
    gvk::GroupVersion,
    meta::ObjectMeta as _,
    resource::TableDefinition,
    status::Status,
    stored::Stored,
    type_table::{TypeId, TypeTable},
    value::Value,
};

use super::{Include, a_list, decode, metadata_list, metadata_of, row, table, tree};
use crate::{
    negotiation::{Accepted, Encoding, Shape},
    response::ListResponse,
    server::{Server, response_body::Content},
};

/// Lists go out in pieces of at most this size, unless one object is larger: four frames of HTTP/2, and small enough that
/// the processor's caches and the allocator still have it when the next one is made.
const LIST_CHUNK_BYTES: usize = 64 * 1024;

/// So much of stored objects is read for one piece where something else is made of them: a row may be little of an object.
const READ_BYTES_MAX: usize = 4 * LIST_CHUNK_BYTES;

const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

/// A list in the form asked for: in JSON piece by piece, else whole.
pub(in crate::server) fn list(
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
            return Ok(Content::List { list: JsonList::new(list.items, before, shown), waits: false });
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
pub(in crate::server) struct JsonList {
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

    pub(in crate::server) fn is_done(&self) -> bool {
        self.done
    }

    /// Whether a piece is so much work that others should have a turn before the next one.
    pub(in crate::server) fn is_laborious(&self) -> bool {
        !matches!(self.form.form, Form::Whole { .. })
    }

    /// The next piece.
    ///
    /// Errors: an object that cannot be read, which ends the answer half way.
    fn piece(&mut self) -> Result<Bytes, Status> {
        let mut piece = self.buffer();
        let mut read = 0;
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
            read += item.json.len();
            self.items.next();
            if !is_cheap && (piece.len() >= LIST_CHUNK_BYTES || read >= READ_BYTES_MAX) {
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

#[cfg(test)]
mod tests {
    use corten_apimachinery::{stored::Facts, value::Str};
    use futures::FutureExt as _;
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::server::response_body::ResponseBody;

    fn metadata_list(count: usize, size: usize) -> JsonList {
        let json = format!(r#"{{"metadata":{{"name":"a"}},"data":"{}"}}"#, "x".repeat(size));
        let (json, name) = (Bytes::from(json), Str::const_new("a"));
        let object = Stored {
            revision: 1,
            namespace: name.clone(),
            name: name.clone(),
            uid: name,
            json,
            facts: Facts::default(),
        };
        let form =
            JsonForm { form: Form::Metadata { version: "v1" }, item_type: None, table: Box::leak(Box::default()) };
        let object = Arc::new(object);
        JsonList::new(vec![object; count], Bytes::from_static(b"{\"items\":["), form)
    }

    /// A piece of 64 KiB of rows was made of hundreds of megabytes of objects, while nobody else had the thread.
    #[test]
    fn a_piece_is_made_of_so_much_and_no_more() {
        let pieces = |count: usize| metadata_list(count, 1_000).map(Result::unwrap).collect::<Vec<_>>();
        let read_at_once = READ_BYTES_MAX / 1_000;
        assert_eq!(pieces(read_at_once / 2).len(), 1);
        let many = pieces(read_at_once * 3);
        assert!((3..=4).contains(&many.len()), "{}", many.len());
        let item = r#"{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata","metadata":{"name":"a"}}"#;
        let items = vec![item; read_at_once * 3].join(",");
        assert_eq!(String::from_utf8(many.concat()).unwrap(), format!("{{\"items\":[{items}]}}\n"));
    }

    #[test]
    fn others_have_their_turn_between_pieces() {
        let list = metadata_list(3, READ_BYTES_MAX);
        let mut body = ResponseBody::from(Content::List { list, waits: false });
        for _ in 0..3 {
            assert!(body.frame().now_or_never().is_none());
            assert!(body.frame().now_or_never().flatten().is_some());
        }
    }
}
