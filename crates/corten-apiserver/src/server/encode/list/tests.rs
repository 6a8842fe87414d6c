use corten_apimachinery::{stored::Facts, value::Str};
use futures::FutureExt as _;
use http_body_util::BodyExt as _;

use bytes::Buf;

use super::*;
use crate::server::response_body::ResponseBody;

fn metadata_list(count: usize, size: usize) -> ListBody {
    let json = format!(r#"{{"metadata":{{"name":"a"}},"data":"{}"}}"#, "x".repeat(size));
    let (json, name) = (Bytes::from(json).into(), Str::const_new("a"));
    let object =
        Stored { revision: 1, namespace: name.clone(), name: name.clone(), uid: name, json, facts: Facts::default() };
    let shown =
        Shown { form: Form::Metadata { version: "v1" }, encoder: Encoder::Json, item_type: None, keeps_lengths: false };
    let around = Around {
        before: Bytes::from_static(b"{\"items\":["),
        between: Bytes::from_static(b","),
        after: Bytes::from_static(b"]}\n"),
    };
    let object = Arc::new(object);
    ListBody::new(vec![object; count], around, shown)
}

fn text(mut piece: Pieces) -> String {
    String::from_utf8(piece.copy_to_bytes(piece.remaining()).into()).unwrap()
}

/// Objects of any size, with and without the type at their beginning, are one list however they are cut into pieces.
#[test]
fn stored_objects_go_out_as_they_are() {
    let object = |number: usize, size: usize, is_typed: bool| {
        let rest = format!(r#""metadata":{{"name":"a{number}"}},"data":"{}"}}"#, "x".repeat(size));
        let name = Str::const_new("a");
        let json = if is_typed { format!(r#"{{"kind":"A","apiVersion":"v1",{rest}"#) } else { format!("{{{rest}") };
        let json = Bytes::from(json).into();
        let stored = Stored {
            revision: 1,
            namespace: name.clone(),
            name: name.clone(),
            uid: name,
            json,
            facts: Facts::default(),
        };
        (Arc::new(stored), format!("{{{rest}"))
    };
    for sizes in
        [&[10][..], &[5_000], &[10, 5_000, 10, 5_000, 5_000], &[400, 600, LIST_CHUNK_BYTES * 2, 1, LIST_CHUNK_BYTES]]
    {
        for is_typed in [true, false] {
            let sizes = sizes.iter().cycle().take(200).enumerate();
            let (objects, items): (Vec<_>, Vec<_>) =
                sizes.map(|(number, &size)| object(number, size, is_typed)).unzip();
            let around = Around {
                before: Bytes::from_static(b"{\"items\":["),
                between: Bytes::from_static(b","),
                after: Bytes::from_static(b"]}\n"),
            };
            let prefix = r#"{"kind":"A","apiVersion":"v1","#.to_owned();
            let shown =
                Shown { form: Form::Whole, encoder: Encoder::Stored { prefix }, item_type: None, keeps_lengths: false };
            let pieces: Vec<_> = ListBody::new(objects, around, shown).map(|piece| text(piece.unwrap())).collect();
            assert_eq!(pieces.concat(), format!("{{\"items\":[{}]}}\n", items.join(",")));
            let longest = items.iter().map(String::len).max().unwrap_or_default();
            assert!(pieces.iter().all(|piece| piece.len() <= LIST_CHUNK_BYTES.max(longest) + 20));
        }
    }
}

/// A piece of 64 KiB of rows was made of hundreds of megabytes of objects, while nobody else had the thread.
#[test]
fn a_piece_is_made_of_so_much_and_no_more() {
    let pieces = |count: usize| metadata_list(count, 1_000).map(|piece| text(piece.unwrap())).collect::<Vec<_>>();
    let read_at_once = READ_BYTES_MAX / 1_000;
    assert_eq!(pieces(read_at_once / 2).len(), 1);
    let many = pieces(read_at_once * 3);
    assert!((3..=4).contains(&many.len()), "{}", many.len());
    let item = r#"{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata","metadata":{"name":"a"}}"#;
    let items = vec![item; read_at_once * 3].join(",");
    assert_eq!(many.concat(), format!("{{\"items\":[{items}]}}\n"));
}

#[test]
fn others_have_their_turn_between_pieces() {
    let list = Box::new(metadata_list(3, READ_BYTES_MAX));
    let mut body = ResponseBody::from(Content::List { list, waits: false });
    for _ in 0..3 {
        assert!(body.frame().now_or_never().is_none());
        assert!(body.frame().now_or_never().flatten().is_some());
    }
}
