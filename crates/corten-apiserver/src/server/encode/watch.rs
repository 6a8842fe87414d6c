//! Events of watches: each in a frame of its own, made once for all who watch in the same form.

use bytes::{Bytes, BytesMut};
use corten_apimachinery::{codec, status::Status, stored::Stored, value::Value};
use corten_storage::cacher::Purpose;

use super::{Include, decode, metadata_of, no_list, row, table, tree};
use crate::{
    endpoints::watch::{EventType, Item, WatchSource},
    negotiation::{Accepted, Encoding, Shape},
    server::Server,
};

/// The frame of one item of a watch.
pub(in crate::server) fn watch_item(
    server: &Server,
    source: &WatchSource,
    item: &Item,
    accepted: Accepted,
    include: Include,
    first: bool,
) -> Result<Bytes, Status> {
    match item {
        Item::Object { event, object, shared } => {
            let make = || object_frame(server, source, (*event, object), accepted, include, first);
            let Some(shared) = shared else { return make() };
            let Some(form) = form_of(*event, accepted, include, first) else { return make() };
            let purpose = Purpose { api_version: source.endpoint().api_version.clone(), form };
            match accepted.shape {
                // Its cells say how long ago something was, in seconds.
                Shape::Table => shared.frame_at(&purpose, server.clock().now().as_second(), make),
                _ => shared.frame(&purpose, make),
            }
        }
        Item::Bookmark { revision, initial_events_end } => {
            let endpoint = source.endpoint();
            let (resource, printer) = (&endpoint.resource, &*endpoint.version.printer);
            let mut mark = Value::object_of([
                ("kind", Value::from(resource.kind.clone())),
                ("apiVersion", endpoint.api_version.clone().into()),
                ("metadata", Value::object_of([("resourceVersion", Value::from(crate::value_text(*revision)))])),
            ]);
            if *initial_events_end {
                mark.set(&["metadata", "annotations", "k8s.io/initial-events-end"], "true");
            }
            let shown = match accepted.shape {
                Shape::Object => {
                    let mut mark = mark;
                    if endpoint.version.schema.is_none() {
                        codec::canonicalize(&mut mark, &endpoint.version.table, endpoint.version.type_id);
                    }
                    mark
                }
                Shape::Metadata => metadata_of(&mark, accepted.shape_version),
                Shape::MetadataList => return Err(no_list(source.store().resource())),
                Shape::Table => {
                    // As any other event: the row's object is where clients look for the end of the initial objects.
                    let rows = vec![row(printer, &mark, server, include, accepted.shape_version)];
                    let mut list_meta = Value::object();
                    list_meta.set(&["resourceVersion"], crate::value_text(*revision));
                    table(printer, rows, list_meta, accepted.shape_version, first)
                }
            };
            event_frame(server, EventType::Bookmark, &shown, accepted)
        }
    }
}

/// The frame that reports a failure in the middle of a watch.
pub(in crate::server) fn watch_failure(server: &Server, status: &Status, accepted: Accepted) -> Result<Bytes, Status> {
    frame(server, "ERROR", &status.to_value(), accepted)
}

fn object_frame(
    server: &Server,
    source: &WatchSource,
    (event, object): (EventType, &Stored),
    accepted: Accepted,
    include: Include,
    first: bool,
) -> Result<Bytes, Status> {
    let shown = match accepted.shape {
        Shape::Object if accepted.encoding == Encoding::Json => return Ok(json_frame(event, &object.json)),
        Shape::Object => decode(object)?,
        Shape::Metadata => metadata_of(&decode(object)?, accepted.shape_version),
        Shape::MetadataList => return Err(no_list(source.store().resource())),
        Shape::Table => {
            let printer = &*source.endpoint().version.printer;
            let rows = vec![row(printer, &decode(object)?, server, include, accepted.shape_version)];
            let mut list_meta = Value::object();
            list_meta.set(&["resourceVersion"], crate::value_text(object.revision));
            table(printer, rows, list_meta, accepted.shape_version, first)
        }
    };
    event_frame(server, event, &shown, accepted)
}

/// The number of a form that all watchers share who want the same; `None` for one that there is not. Tables tell their columns
/// once, in the `first` frame of a watch.
fn form_of(event: EventType, accepted: Accepted, include: Include, first: bool) -> Option<u32> {
    let is_old = u32::from(accepted.shape_version == "v1beta1");
    let shape = match accepted.shape {
        Shape::Object => 0,
        Shape::Metadata => 1 + is_old,
        Shape::Table => 3 + (is_old | (u32::from(first) << 1) | ((include as u32) << 2)),
        Shape::MetadataList => return None,
    };
    Some((shape << 16) | ((accepted.encoding as u32) << 8) | event as u32)
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
            let object = tree(server, shown, accepted)?;
            Ok(codec::cbor::watch_frame(event, &object))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Each watcher of tables had them made anew.
    #[test]
    fn every_form_of_an_event_has_a_number_of_its_own() {
        let mut seen = BTreeSet::new();
        for event in [EventType::Added, EventType::Modified, EventType::Deleted] {
            for encoding in [Encoding::Json, Encoding::Yaml, Encoding::Protobuf, Encoding::Cbor] {
                let form = |shape, shape_version, include, first| {
                    form_of(event, Accepted { encoding, shape, shape_version, pretty: false }, include, first).unwrap()
                };
                let plain = form(Shape::Object, "v1", Include::Metadata, false);
                assert_eq!(plain, form(Shape::Object, "v1", Include::Object, true), "objects are as they are");
                assert!(seen.insert(plain));
                for version in ["v1", "v1beta1"] {
                    assert!(seen.insert(form(Shape::Metadata, version, Include::Metadata, false)));
                    for include in [Include::None, Include::Metadata, Include::Object] {
                        for first in [false, true] {
                            assert!(seen.insert(form(Shape::Table, version, include, first)), "{version} {first}");
                        }
                    }
                }
            }
        }
    }
}
