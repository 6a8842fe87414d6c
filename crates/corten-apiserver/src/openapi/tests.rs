use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use corten_apimachinery::{
    gvk::GroupVersion,
    openapi::{Descriptions, Dialect, NoDescriptions, ServerPath},
    type_table::TypeTable,
};
use corten_base::TaskSet;
use futures::FutureExt as _;
use parking_lot::Mutex;

use super::{
    Source,
    contents::{Contents, Kept},
    document::Document,
    form::Form,
    v3::expires,
};

#[test]
fn a_document_under_its_hash_is_good_for_a_year() {
    assert_eq!(expires("2026-01-02T03:04:05Z".parse().unwrap()), "Sat, 02 Jan 2027 03:04:05 GMT");
}

/// Both threads of a small machine made documents, or waited for them, after each start: here there is only one.
#[tokio::test]
async fn a_document_is_made_once_and_beside_the_runtime() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    static BY_RUNTIME: AtomicUsize = AtomicUsize::new(0);
    // Nothing is made while this is held.
    static GATE: Mutex<()> = Mutex::new(());
    thread_local!(static OF_RUNTIME: Cell<bool> = const { Cell::new(false) });
    OF_RUNTIME.set(true);
    let descriptions = || -> Box<dyn Descriptions> {
        drop(GATE.lock());
        MADE.fetch_add(1, Ordering::Relaxed);
        BY_RUNTIME.fetch_add(usize::from(OF_RUNTIME.get()), Ordering::Relaxed);
        Box::new(NoDescriptions)
    };
    let source = Source {
        table: Box::leak(Box::<TypeTable>::default()),
        descriptions,
        version: "v1.35.0",
        cbor: false,
        enums: true,
    };
    let (making, tasks) = (Arc::default(), TaskSet::new("test"));
    let document = Document::new(source, Dialect::V2, Contents::default(), String::new(), &making);
    // Who has gone before it was made leaves it to the others.
    let gate = GATE.lock();
    assert!(document.bytes(&tasks, Form::Json).now_or_never().is_none());
    drop(gate);
    let json = || document.bytes(&tasks, Form::Json);
    let (one, other, protobuf) = tokio::join!(json(), json(), document.bytes(&tasks, Form::Protobuf));
    let one = one.unwrap();
    assert_eq!(one, other.unwrap());
    assert!(!protobuf.unwrap().is_empty());
    assert_eq!(document.of(Contents::default()).bytes(&tasks, Form::Json).await.unwrap(), one, "it stays");
    assert_eq!((MADE.load(Ordering::Relaxed), BY_RUNTIME.load(Ordering::Relaxed)), (2, 0), "once for each form");
    tasks.join().await.unwrap();
}

/// They never did.
#[test]
fn documents_offer_what_the_server_speaks() {
    let table = Box::leak(Box::<TypeTable>::default());
    let mut hashes = Vec::new();
    for cbor in [false, true] {
        let source = Source { table, descriptions: || Box::new(NoDescriptions), version: "v1.35.0", cbor, enums: true };
        let path = ServerPath::Resources(GroupVersion::new("apps", "v1"));
        let contents = Contents { server: vec![path], resources: Vec::new() };
        for dialect in [Dialect::V2, Dialect::V3] {
            let document = contents.write(source, dialect, Form::Json, &Kept::default());
            let text = std::str::from_utf8(&document).unwrap();
            assert!(text.contains("\"application/yaml\""), "{text}");
            assert_eq!(text.contains("\"application/cbor\""), cbor, "{text}");
        }
        hashes.push(contents.hash(source));
    }
    assert_ne!(hashes[0], hashes[1], "who has the one does not have the other");
}

/// `kubectl` asks for v2 as protobuf only, and checked no list of objects while it was refused.
#[test]
fn a_client_gets_the_form_that_it_asks_for() {
    let kubectl = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let (json, protobuf) = (Some(Form::Json), Some(Form::Protobuf));
    for (accept, v2, v3) in [
        ("", json, json),
        ("*/*", json, json),
        ("application/json", json, json),
        (kubectl, protobuf, None),
        ("application/com.github.proto-openapi.spec.v2.v1.0+protobuf", protobuf, None),
        ("application/com.github.proto-openapi.spec.v3.v1.0+protobuf", None, protobuf),
        ("application/com.github.proto-openapi.spec.v3@v1.0+protobuf", None, protobuf),
        (&format!("{kubectl};q=0.5, application/json"), json, json),
        (&format!("{kubectl}, application/json"), protobuf, json),
        ("application/json;q=0", None, None),
        ("text/html", None, None),
    ] {
        assert_eq!(Form::wanted(accept, Dialect::V2), v2, "{accept}");
        assert_eq!(Form::wanted(accept, Dialect::V3), v3, "{accept}");
    }
}
