//! Lists: made piece by piece while they are sent, in every encoding.

mod going;

use std::{collections::VecDeque, io, sync::Arc};

use bytes::{Bytes, BytesMut};
use corten_apimachinery::{
    Shared,
    codec::{self, lists::Around},
    gvk::GroupVersion,
    meta::ObjectMeta as _,
    resource::Printer,
    status::Status,
    stored::Stored,
    type_table::{FieldType, TypeId, TypeTable},
    value::Value,
};

use self::going::Going;
use super::{Include, a_list, decode, metadata_list, metadata_of, not_marshalable, row, table, tree, type_of};
use crate::{
    negotiation::{Accepted, Encoding, Shape},
    response::ListResponse,
    server::{
        Server,
        pieces::{Piece, Pieces},
        response_body::Content,
    },
};

/// Lists go out in pieces of at most this size, unless one object is larger: four frames of HTTP/2, and small enough that the
/// processor's caches and the allocator still have what was copied or made for it when the next one is made.
const LIST_CHUNK_BYTES: usize = 64 * 1024;

/// From this size on, an object goes out where it lies. Shorter ones are copied together: each part is one more for HTTP/2 and
/// TLS to walk over.
const SHARED_BYTES_MIN: usize = 512;

/// So much of stored objects is read for one piece where something else is made of them: a row may be little of an object.
const READ_BYTES_MAX: usize = 4 * LIST_CHUNK_BYTES;

/// So much is kept of what was made only to be measured: most lists are no longer, and are made once.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

/// To look how long an item is takes as long as to encode so many bytes of one.
const LOOK_BYTES: usize = 8;

/// A list in the form asked for.
pub(in crate::server) fn list(
    server: &Arc<Server>,
    mut list: ListResponse,
    accepted: Accepted,
    include: Include,
) -> Result<Content, Status> {
    let (resource, version) = (&list.served, accepted.shape_version);
    let mut list_meta = Value::object();
    list_meta.set(&["resourceVersion"], crate::value_text(list.revision));
    if !list.continue_token.is_empty() {
        list_meta.set(&["continue"], list.continue_token.as_str());
    }
    if let Some(remaining) = list.remaining {
        list_meta.set(&["remainingItemCount"], i64::try_from(remaining).unwrap_or(i64::MAX));
    }
    // The list without its items, and what becomes of one.
    let (whole, field, form) = match accepted.shape {
        Shape::Object => {
            let whole = Value::object_of([
                ("kind", Value::from(resource.list_kind.clone())),
                ("apiVersion", GroupVersion::new(resource.group.clone(), list.version.clone()).to_string().into()),
                ("metadata", list_meta),
                ("items", Value::array([])),
            ]);
            (whole, "items", Form::Whole)
        }
        Shape::Metadata => return Err(a_list(list.store.resource())),
        Shape::MetadataList => (metadata_list(Vec::new(), list_meta, accepted), "items", Form::Metadata { version }),
        Shape::Table => {
            let printer = list.served.version(&list.version).unwrap_or(list.served.hub()).printer.clone();
            if let Some(rank) = printer.rank() {
                rank_items(&mut list.items, rank)?;
            }
            let whole = table(&*printer, Vec::new(), list_meta, version, true);
            (whole, "rows", Form::Row { server: Arc::clone(server), printer, include, version })
        }
    };
    if list.items.is_empty() {
        return Ok(tree(server, &whole, accepted)?.into());
    }
    let list_type = type_of(server.table(), &whole).map(|id| (server.table(), id));
    let item_type = list_type.and_then(|(table, id)| Some((table, item_type(table, id, field)?)));
    let keeps_lengths = keeps_lengths(&list, accepted);
    let mut shown = Shown { form, encoder: Encoder::Json, item_type, keeps_lengths };
    let around = match accepted.encoding {
        Encoding::Json if accepted.pretty => {
            shown.encoder = Encoder::Pretty;
            // Upstream ends the line only of what is not indented.
            codec::json::around_pretty(&whole, list_type, field).map(|mut around| {
                around.after.truncate(around.after.trim_ascii_end().len());
                around
            })
        }
        Encoding::Json => {
            if matches!(shown.form, Form::Whole) {
                let prefix = format!("{{\"kind\":\"{}\",\"apiVersion\":\"{}\",", resource.kind, whole.api_version());
                shown.encoder = Encoder::Stored { prefix };
            }
            codec::json::around(&whole, list_type, field).map(|mut around| {
                around.after = [&around.after[..], b"\n"].concat().into();
                around
            })
        }
        Encoding::Yaml => {
            shown.encoder = Encoder::Yaml;
            codec::yaml::around(&whole, field)
        }
        Encoding::Cbor => {
            shown.encoder = Encoder::Cbor;
            Some(codec::cbor::around(&whole, list_type, field, list.items.len()))
        }
        Encoding::Protobuf => {
            let (Some((table, list_type)), Some(_)) = (list_type, item_type) else {
                return Err(not_marshalable(&whole));
            };
            Some(shown.measured(&list.items, (table, list_type), &whole, field)?)
        }
    };
    let around = around.ok_or_else(|| Status::internal(format_args!("a list without a place for its {field}")))?;
    Ok(Content::List { list: Box::new(ListBody::new(list.items, around, shown)), waits: false })
}

/// Whether the items know how long they are in protobuf, once they were measured: if they are the cache's own, which are the
/// same objects in the next list.
fn keeps_lengths(list: &ListResponse, accepted: Accepted) -> bool {
    accepted.shape == Shape::Object
        && Arc::ptr_eq(&list.served, list.store.resource())
        && list.served.version(&list.version).is_some_and(|version| version.is_hub)
}

/// How much there is to read before the first item of a list in protobuf goes out.
pub(super) fn bytes_to_measure(list: &ListResponse, accepted: Accepted) -> usize {
    let keeps_lengths = keeps_lengths(list, accepted);
    let is_known = |item: &Stored| keeps_lengths && item.facts.protobuf_length.get().is_some();
    list.items.iter().map(|item| if is_known(item) { LOOK_BYTES } else { item.json.len() }).sum()
}

/// Sorts what is sorted by name already by its rank.
fn rank_items(items: &mut [Arc<Stored>], rank: fn(&Value) -> i64) -> Result<(), Status> {
    let ranked: Result<Vec<_>, Status> =
        items.iter().map(|item| decode(item).map(|object| (rank(&object), Arc::clone(item)))).collect();
    let mut ranked = ranked?;
    ranked.sort_by_key(|(rank, _)| *rank);
    for (place, (_, item)) in items.iter_mut().zip(ranked) {
        *place = item;
    }
    Ok(())
}

/// The type of the items in the field `field` of a list.
fn item_type(table: &TypeTable, list_type: TypeId, field: &str) -> Option<TypeId> {
    match &table.as_struct(&FieldType::Ref(list_type))?.field(field)?.ty {
        FieldType::List(item) => match &**item {
            FieldType::Ref(id) => Some(*id),
            _ => None,
        },
        _ => None,
    }
}

/// What a list shows of an object.
enum Form {
    /// All of it, but for its type, which a list says once.
    Whole,
    /// Its metadata.
    Metadata { version: &'static str },
    /// Its row of a table.
    Row { server: Arc<Server>, printer: Shared<dyn Printer>, include: Include, version: &'static str },
}

/// How an item is written.
enum Encoder {
    /// As it is stored, but for the type at its beginning.
    Stored {
        prefix: String,
    },
    Json,
    Pretty,
    Yaml,
    Cbor,
    /// As a field of the list. The first items were made before, to be measured.
    Protobuf {
        number: u32,
        made: VecDeque<Bytes>,
    },
}

/// What is shown of objects, and how.
struct Shown {
    form: Form,
    encoder: Encoder,
    item_type: Option<(&'static TypeTable, TypeId)>,
    /// Whether items know how long they are in protobuf, once they were measured.
    keeps_lengths: bool,
}

impl Form {
    fn tree(&self, object: &Stored) -> Result<Value, Status> {
        let mut object = decode(object)?;
        Ok(match self {
            Self::Whole => {
                object.unset(&["apiVersion"]);
                object.unset(&["kind"]);
                object
            }
            Self::Metadata { version } => metadata_of(&object, version),
            Self::Row { server, printer, include, version } => row(&**printer, &object, server, *include, version),
        })
    }
}

impl Shown {
    /// Measures the items: in protobuf, the length of all of them stands before the first. Those of the cache are made once for
    /// that, and not for each list. Returns what stands around them.
    fn measured(
        &mut self,
        items: &[Arc<Stored>],
        (table, list_type): (&TypeTable, TypeId),
        whole: &Value,
        field: &str,
    ) -> Result<Around, Status> {
        let number =
            table.as_struct(&FieldType::Ref(list_type)).and_then(|list| list.field(field)?.numbers.first().copied());
        let number = number.ok_or_else(|| not_marshalable(whole))?;
        self.encoder = Encoder::Protobuf { number, made: VecDeque::new() };
        let (mut len, mut kept, mut keeps) = (0, VecDeque::new(), true);
        for item in items {
            if let Some(known) = self.known_length(item) {
                len += known;
                // What is kept are the first items, in their order.
                keeps = false;
                continue;
            }
            let bytes = self.encoded(item)?;
            len += bytes.len();
            keeps &= len <= KEPT_BYTES_MAX;
            if keeps {
                kept.push_back(bytes);
            }
        }
        self.encoder = Encoder::Protobuf { number, made: kept };
        codec::protobuf::around(whole, table, list_type, number, len).map_err(Status::internal)
    }

    fn known_length(&self, object: &Stored) -> Option<usize> {
        let known = object.facts.protobuf_length.get().filter(|_| self.keeps_lengths)?;
        Some(known.get() as usize)
    }

    fn encoded(&mut self, object: &Stored) -> Result<Bytes, Status> {
        if let Encoder::Protobuf { made, .. } = &mut self.encoder
            && let Some(made) = made.pop_front()
        {
            return Ok(made);
        }
        let tree = self.form.tree(object)?;
        Ok(match (&self.encoder, self.item_type) {
            (Encoder::Stored { .. } | Encoder::Json, ty) => codec::json::encode(&tree, ty),
            (Encoder::Pretty, ty) => codec::json::encode_pretty_item(&tree, ty),
            (Encoder::Yaml, _) => codec::yaml::encode_item(&tree),
            (Encoder::Cbor, ty) => codec::cbor::encode_item(&tree, ty),
            (Encoder::Protobuf { number, .. }, Some((table, ty))) => {
                let bytes = codec::protobuf::encode_item(&tree, table, ty, *number).map_err(Status::internal)?;
                if self.keeps_lengths {
                    if self.known_length(object).is_some_and(|known| known != bytes.len()) {
                        return Err(Status::internal("an object has another length in protobuf than it had"));
                    }
                    object.facts.protobuf_length.set(bytes.len());
                }
                bytes
            }
            (Encoder::Protobuf { .. }, None) => return Err(not_marshalable(&tree)),
        })
    }
}

/// The objects' own bytes, or what is made of them; in pieces, as the connection takes them.
pub(in crate::server) struct ListBody {
    items: std::vec::IntoIter<Arc<Stored>>,
    /// Whether an item went out: before the first stand the list's own fields, before all others what is between two.
    begun: bool,
    around: Around,
    /// What is between two items, and the brace that opens the second.
    between_open: Bytes,
    shown: Shown,
    /// Copies that went out, oldest first: their memory is used again once the connection is through with them.
    sent: VecDeque<Bytes>,
    done: bool,
}

impl ListBody {
    /// A list of at least one item.
    fn new(items: Vec<Arc<Stored>>, around: Around, shown: Shown) -> Self {
        debug_assert!(!items.is_empty(), "what has no items is written as a whole");
        let between_open = [&around.between[..], b"{"].concat().into();
        let sent = VecDeque::new();
        Self { items: items.into_iter(), begun: false, around, between_open, shown, sent, done: false }
    }

    /// An empty piece.
    fn begin(&mut self) -> Going {
        let used = self.sent.pop_front().map(Bytes::try_into_mut);
        let copied = match used {
            Some(Ok(mut buffer)) => {
                buffer.clear();
                buffer
            }
            Some(Err(in_use)) => {
                self.sent.push_front(in_use);
                BytesMut::with_capacity(LIST_CHUNK_BYTES)
            }
            None if self.shares_next() => BytesMut::new(),
            None => BytesMut::with_capacity(LIST_CHUNK_BYTES),
        };
        // Two for each: what is between two, and the object.
        let parts = match self.items.as_slice().first() {
            Some(item) if self.shares_next() => Vec::with_capacity(2 * (LIST_CHUNK_BYTES / item.json.len() + 2)),
            _ => Vec::new(),
        };
        Going::new(parts, copied)
    }

    /// Whether the next item is likely to go out where it lies.
    fn shares_next(&self) -> bool {
        !self.is_laborious() && self.items.as_slice().first().is_some_and(|item| item.json.len() > SHARED_BYTES_MIN)
    }

    fn send(&mut self, going: Going) -> Pieces {
        let (pieces, copy) = going.finish();
        self.sent.extend(copy);
        pieces
    }

    pub(in crate::server) fn is_done(&self) -> bool {
        self.done
    }

    /// Whether a piece is so much work that others should have a turn before the next one.
    pub(in crate::server) fn is_laborious(&self) -> bool {
        !matches!(self.shown.encoder, Encoder::Stored { .. })
    }

    /// The next piece.
    ///
    /// Errors: an object that cannot be read, which ends the answer half way.
    fn piece(&mut self) -> Result<Pieces, Status> {
        let mut going = self.begin();
        let mut read = 0;
        while let Some(item) = self.items.as_slice().first() {
            let before = if self.begun { &self.around.between } else { &self.around.before };
            if let Encoder::Stored { prefix } = &self.shown.encoder {
                let (open, from) = match item.json.starts_with(prefix.as_bytes()) {
                    true => (&b"{"[..], prefix.len()),
                    false => (&b""[..], 0),
                };
                let len = item.json.len() - from;
                // What is as it is stored costs nothing to look at again: it may wait for the next piece.
                if going.len() > 0 && going.len() + before.len() + open.len() + len > LIST_CHUNK_BYTES {
                    return Ok(self.send(going));
                }
                let is_long = len >= SHARED_BYTES_MIN;
                if is_long && self.begun && !open.is_empty() {
                    going.share(Piece::Bytes(self.between_open.clone()));
                } else {
                    going.copy(before);
                    going.copy(open);
                }
                if is_long {
                    going.share(Piece::Object(Arc::clone(item), from));
                } else {
                    going.copy(&item.json[from..]);
                }
            } else {
                let made = self.shown.encoded(item)?;
                going.copy(before);
                going.copy(&made);
                read += item.json.len();
            }
            self.begun = true;
            self.items.next();
            if self.is_laborious() && (going.len() >= LIST_CHUNK_BYTES || read >= READ_BYTES_MAX) {
                return Ok(self.send(going));
            }
        }
        going.copy(&self.around.after);
        self.done = true;
        Ok(self.send(going))
    }
}

impl Iterator for ListBody {
    type Item = io::Result<Pieces>;

    fn next(&mut self) -> Option<io::Result<Pieces>> {
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
mod tests;
