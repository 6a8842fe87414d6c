//! The forms that answers come in: encodings, shapes, pieces, frames, and the refusal of what there is not.

use corten_api::types;
use corten_apimachinery::{
    Value,
    codec::{self, FieldValidation, json, protobuf, yaml},
};
use http::HeaderValue;
use hyper::client::conn::http2::SendRequest;

use super::{
    custom_resources::{CRDS, TABS, definition, tab, until_established},
    *,
};

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const METADATA_LIST: &str = "as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

/// Somebody who asks over HTTP/2.
struct Asker<'a> {
    served: &'a Served,
    client: SendRequest<Empty<Bytes>>,
}

struct Answer {
    code: u16,
    media_type: String,
    body: Bytes,
}

impl<'a> Asker<'a> {
    async fn of(served: &'a Served) -> Self {
        Self { client: served.http2().await, served }
    }

    async fn send(&mut self, path: &str, accept: &str) -> Response<Incoming> {
        self.client.send_request(self.served.request_for(path, accept)).await.unwrap()
    }

    async fn get(&mut self, path: &str, accept: &str) -> Answer {
        let answer = self.send(path, accept).await;
        let media_type = answer.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        let code = answer.status().as_u16();
        Answer { code, media_type, body: answer.into_body().collect().await.unwrap().to_bytes() }
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A tree in the canonical form of the type that it says it has.
fn typed(bytes: &[u8]) -> Value {
    let tree = json::decode(bytes, None, FieldValidation::Ignore).unwrap().value;
    let id = codec::type_of(types::table(), &tree).unwrap_or_else(|| panic!("a kind: {}", tree.kind()));
    json::decode(bytes, Some((types::table(), id)), FieldValidation::Ignore).unwrap().value
}

/// Lists in all encodings but compact JSON were made as a whole: hundreds of megabytes at once.
#[tokio::test]
async fn a_list_in_pieces_is_the_same_in_every_encoding() {
    let served = Served::start().await;
    let mut asker = Asker::of(&served).await;
    for (query, shape) in
        [("limit=3", ""), ("limit=20", ""), ("limit=20", METADATA_LIST), ("fieldSelector=metadata.name%3Dx", "")]
    {
        let path = format!("{MAPS}?{query}");
        let with = |media_type: &str| {
            [media_type, shape].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(";")
        };
        let plain = typed(&asker.get(&path, &with("application/json")).await.body);
        let indented = asker.get(&format!("{path}&pretty=true"), &with("application/json")).await.body;
        let id = codec::type_of(types::table(), &plain).unwrap();
        let pretty = json::encode_pretty(&plain, Some((types::table(), id)));
        assert!(indented == pretty.trim_ascii_end(), "{query} {shape}: {}", text(&indented[..300]));
        let block = asker.get(&path, &with("application/yaml")).await;
        assert_eq!(block.media_type, "application/yaml");
        assert!(block.body == yaml::encode(&plain), "{query} {shape}: {}", text(&block.body[..300]));
        let binary = asker.get(&path, &with(PROTOBUF)).await;
        assert_eq!(binary.media_type, PROTOBUF);
        assert!(binary.body == protobuf::encode(&plain, types::table(), id).unwrap(), "{query} {shape}");
        let read = protobuf::decode(&binary.body, types::table(), id).unwrap();
        // Of objects in a list, protobuf does not say the kind: that is told once.
        let is_empty = plain.get("items").and_then(Value::as_array).is_some_and(<[_]>::is_empty);
        // Nor does it tell no items from nothing.
        assert!(read == plain || !shape.is_empty() || is_empty, "{query} {shape}");
    }
    // The list of this version has its items before its own metadata.
    let accept = format!("{PROTOBUF};as=PartialObjectMetadataList;v=v1beta1;g=meta.k8s.io");
    let binary = asker.get(&format!("{MAPS}?limit=2"), &accept).await;
    let id = types::table().find("io.k8s.apimachinery.pkg.apis.meta.v1beta1.PartialObjectMetadataList").unwrap();
    let list = protobuf::decode(&binary.body, types::table(), id).unwrap();
    assert_eq!(
        (list.api_version(), list.get("items").and_then(Value::as_array).map(<[_]>::len)),
        ("meta.k8s.io/v1beta1", Some(2))
    );
    assert!(list.str_at(&["metadata", "continue"]).is_some());
    // An object, and its metadata.
    let object = asker.get(&format!("{MAPS}/m0"), PROTOBUF).await.body;
    let id = types::find_kind("", "v1", "ConfigMap").unwrap().0;
    assert_eq!(protobuf::decode(&object, types::table(), id).unwrap().name(), "m0");
    let accept = format!("{PROTOBUF};as=PartialObjectMetadata;v=v1;g=meta.k8s.io");
    let object = asker.get(&format!("{MAPS}/m0"), &accept).await.body;
    let id = types::find_kind("meta.k8s.io", "v1", "PartialObjectMetadata").unwrap().0;
    assert_eq!(protobuf::decode(&object, types::table(), id).unwrap().name(), "m0");
    drop(asker);
    served.stop().await;
}

/// All items were encoded for the length that stands before them, and those behind the first megabyte again to be sent.
#[tokio::test]
async fn items_are_measured_once_for_all_lists_in_protobuf() {
    let served = Served::start().await;
    let mut asker = Asker::of(&served).await;
    let unmeasured = async || {
        let items = served.cluster.page(admin(), MAPS).await.items;
        let items = items.iter().filter(|item| item.facts.protobuf_length.get().is_none());
        items.map(|item| item.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(unmeasured().await.len(), 24);
    for changed in [None, Some("m3"), Some("m11"), None] {
        if let Some(name) = changed {
            let patch = json!({"metadata": {"labels": {"a": "b"}}});
            served.cluster.patch(admin(), &format!("{MAPS}/{name}"), PatchKind::Merge, patch).await.unwrap();
            assert_eq!(unmeasured().await, [name], "only what has changed");
        }
        let plain = typed(&asker.get(MAPS, "application/json").await.body);
        let id = codec::type_of(types::table(), &plain).unwrap();
        let binary = asker.get(MAPS, PROTOBUF).await.body;
        assert!(binary == protobuf::encode(&plain, types::table(), id).unwrap(), "{changed:?}");
        assert_eq!(unmeasured().await, [""; 0]);
        // Other forms of the same objects are of another length.
        let accept = format!("{PROTOBUF};{METADATA_LIST}");
        let plain = typed(&asker.get(MAPS, &format!("application/json;{METADATA_LIST}")).await.body);
        let id = codec::type_of(types::table(), &plain).unwrap();
        let binary = asker.get(MAPS, &accept).await.body;
        assert!(binary == protobuf::encode(&plain, types::table(), id).unwrap(), "{changed:?}");
    }
    drop(asker);
    served.stop().await;
}

/// It was shown as if nobody had asked for a list.
#[tokio::test]
async fn what_is_made_for_an_answer_is_no_list() {
    let served = Served::start().await;
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"replicas": 3, "selector": {"matchLabels": {"a": "b"}}, "template": template});
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let deployment = json!({"metadata": {"name": "w"}, "spec": spec});
    served.cluster.post(admin(), deployments, deployment).await.unwrap();
    served.cluster.post(admin(), CRDS, definition("crontabs", "CronTab", "ct")).await.unwrap();
    until_established(&served.cluster, "crontabs.example.com").await;
    served.cluster.post(admin(), TABS, tab("t", json!({"cron": "*", "replicas": 1}))).await.unwrap();
    let mut asker = Asker::of(&served).await;
    for (path, ty) in [
        (format!("{deployments}/w/scale"), "autoscaling.Scale"),
        (format!("{TABS}/t/scale"), "v1.Scale"),
        (format!("{MAPS}/m0"), "core.ConfigMap"),
    ] {
        let answer = asker.get(&path, &format!("application/json;{METADATA_LIST}")).await;
        let why = format!("you requested PartialObjectMetadataList, but the requested object is not a list (*{ty})");
        assert_eq!(answer.code, 406, "{path}");
        assert!(text(&answer.body).contains(&why), "{path}: {}", text(&answer.body));
    }
    drop(asker);
    served.stop().await;
}

/// A refusal came before anybody had asked who is asking, and in words of its own.
#[tokio::test]
async fn a_form_that_does_not_exist_is_refused_as_upstream_refuses_it() {
    const THREE: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
    let served = Served::start().await;
    let mut asker = Asker::of(&served).await;
    let status = |message: &str, details: &str| {
        let message = serde_json::to_string(message).unwrap();
        format!(
            "{{\n  \"kind\": \"Status\",\n  \"apiVersion\": \"v1\",\n  \"metadata\": {{}},\n  \"status\": \"Failure\",\n  \
             \"message\": {message},\n  \"reason\": \"NotAcceptable\",\n{details}  \"code\": 406\n}}"
        )
    };
    let accepted = format!("only the following media types are accepted: {THREE}");
    let streams = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";
    let routed = |list: &str| {
        status(&format!("406: Not Acceptable\n\nAvailable representations: {list}"), "  \"details\": {},\n")
    };
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let initial = "watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
    for (path, accept, want) in [
        (format!("{MAPS}/m0"), "text/html", routed(THREE)),
        (MAPS.to_owned(), "text/html", routed(&format!("{THREE}, {streams}"))),
        ("/apis/apps/v1".to_owned(), "text/html", routed(THREE)),
        (format!("{MAPS}/m0"), "application/json;as=Table;v=v2;g=meta.k8s.io", status(&accepted, "")),
        (
            format!("{MAPS}?limit=1"),
            "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io",
            status(&accepted, ""),
        ),
        (format!("{MAPS}?{initial}"), table, status(&accepted, "")),
        ("/apis/apps".to_owned(), "application/json;as=Unknown;v=v1;g=x", status(&accepted, "")),
        // Groups are told by who is behind no router.
        ("/api".to_owned(), "text/html", routed(THREE)),
        ("/apis".to_owned(), "text/html", status(&accepted, "")),
        ("/apis/apps".to_owned(), "text/html", status(&accepted, "")),
        ("/apis/apiregistration.k8s.io".to_owned(), "text/html", routed(THREE)),
    ] {
        let answer = asker.get(&path, accept).await;
        assert_eq!((answer.code, text(&answer.body)), (406, &*want), "{path} {accept}");
        assert_eq!(answer.media_type, "application/json", "{path} {accept}");
    }
    // The router knows no ranges, but who writes the refusal does.
    let answer = asker.get(&format!("{MAPS}/m0"), "application/*").await;
    let refusal: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let message = format!("406: Not Acceptable\n\nAvailable representations: {THREE}");
    assert_eq!((answer.code, &refusal["message"]), (406, &json!(message)));
    let answer = asker.get("/version", "application/yaml").await;
    assert_eq!((answer.code, answer.media_type.as_str()), (406, "application/yaml"));
    // YAML is no stream, but the refusal is YAML.
    let answer = asker.get(&format!("{MAPS}?watch=true"), "application/yaml").await;
    let message = format!("only the following media types are accepted: {streams}");
    let refusal = yaml::decode(&answer.body, None, FieldValidation::Ignore).unwrap().value;
    assert_eq!((answer.code, refusal.str_at(&["message"])), (406, Some(&*message)));
    // Failures are in the encoding asked for, and in no other shape.
    let none = asker.get(&format!("{MAPS}/none"), &format!("{table},{PROTOBUF}")).await;
    assert_eq!((none.code, none.media_type.as_str()), (404, PROTOBUF));
    let id = types::find_kind("", "v1", "Status").unwrap().0;
    assert_eq!(protobuf::decode(&none.body, types::table(), id).unwrap().str_at(&["reason"]), Some("NotFound"));
    let none = asker.get(&format!("{MAPS}/none"), table).await;
    assert!(none.code == 404 && text(&none.body).starts_with("{\n  \"kind\": \"Status\""), "{}", text(&none.body));
    let wrong = asker.get(&format!("{MAPS}/m0?includeObject=All"), table).await;
    let message = "Unable to convert to Table as requested: includeObject: Invalid value: \\\"All\\\": must be 'Metadata', \
                   'Object', 'None', or empty";
    assert!(wrong.code == 400 && text(&wrong.body).contains(message), "{}", text(&wrong.body));
    assert_eq!(asker.get(&format!("{MAPS}/m0?includeObject=All"), "application/json").await.code, 200);
    // Nobody learns what there is before it is known who asks.
    let mut unknown = served.request_for(&format!("{MAPS}/m0"), "text/html");
    unknown.headers_mut().insert(header::AUTHORIZATION, "Bearer nobody".parse().unwrap());
    assert_eq!(asker.client.send_request(unknown).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    drop(asker);
    served.stop().await;
}

/// All at once there was in compact JSON alone, with its keys sorted and nothing kept by clients.
#[tokio::test]
async fn all_of_discovery_at_once_is_there_in_every_encoding() {
    const AGGREGATED: &str = "g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let served = Served::start().await;
    let mut asker = Asker::of(&served).await;
    for (path, has_names) in [("/apis", true), ("/api", false)] {
        let json = asker.get(path, &format!("application/json;{AGGREGATED},application/json")).await;
        let tree = typed(&json.body);
        let id = codec::type_of(types::table(), &tree).unwrap();
        assert_eq!(json.media_type, format!("application/json;{AGGREGATED}"));
        let names = if has_names { "{\"name\":\"" } else { "{}" };
        let begin = format!(
            "{{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":\"apidiscovery.k8s.io/v2\",\"metadata\":{{}},\"items\":[\
             {{\"metadata\":{names}"
        );
        assert!(text(&json.body).starts_with(&begin), "{}", text(&json.body[..200]));
        assert!(json.body == [&json::encode(&tree, Some((types::table(), id)))[..], b"\n"].concat());
        let pretty = asker.get(&format!("{path}?pretty=1"), &format!("*/* ; {AGGREGATED}")).await;
        assert!(pretty.body == json::encode_pretty(&tree, Some((types::table(), id))).trim_ascii_end());
        let block = asker.get(path, &format!("application/yaml;{AGGREGATED}")).await;
        assert_eq!(block.media_type, format!("application/yaml;{AGGREGATED}"));
        assert!(block.body == yaml::encode(&tree));
        let binary = asker.get(path, &format!("{PROTOBUF};{AGGREGATED}")).await;
        assert_eq!(binary.media_type, format!("{PROTOBUF};{AGGREGATED}"));
        assert!(protobuf::decode(&binary.body, types::table(), id).unwrap() == tree);
        // Clients before v1.30 know no other.
        let older = format!("application/json;{}", AGGREGATED.replace("v2", "v2beta1"));
        let older_body = asker.get(path, &format!("{older},application/json")).await;
        assert_eq!(older_body.media_type, older);
        assert_eq!(
            text(&older_body.body),
            text(&json.body).replace("apidiscovery.k8s.io/v2", "apidiscovery.k8s.io/v2beta1")
        );
        let legacy =
            asker.get(path, "application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList,application/json");
        assert_eq!(legacy.await.media_type, "application/json");
    }
    let answer = asker.send("/apis", &format!("application/json;{AGGREGATED}")).await;
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "public");
    let etag = answer.headers()[header::ETAG].clone();
    let mut again = served.request_for("/apis", &format!("application/yaml;{AGGREGATED}"));
    again.headers_mut().insert(header::IF_NONE_MATCH, etag.clone());
    let answer = asker.client.send_request(again).await.unwrap();
    assert_eq!((answer.status(), &answer.headers()[header::ETAG]), (StatusCode::NOT_MODIFIED, &etag));
    assert!(!answer.headers().contains_key(header::CONTENT_TYPE));
    drop((asker, answer));
    served.stop().await;
}

/// The first frames of a watch of one object.
async fn watched(asker: &mut Asker<'_>, accept: &str) -> (String, Bytes) {
    let path = format!("{MAPS}?watch=true&resourceVersion=0&fieldSelector=metadata.name%3Dm0&timeoutSeconds=5");
    let answer = asker.send(&path, accept).await;
    assert_eq!(answer.status(), StatusCode::OK, "{accept}");
    let media_type = answer.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
    asker.served.advance(6);
    (media_type, answer.into_body().collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn events_of_a_watch_are_framed_in_their_encoding() {
    let served = Served::start().await;
    let mut asker = Asker::of(&served).await;
    for (shape, kind) in [
        ("", "ConfigMap"),
        (";as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "PartialObjectMetadata"),
        (";as=Table;v=v1;g=meta.k8s.io", "Table"),
    ] {
        let (media_type, lines) = watched(&mut asker, &format!("application/json{shape}")).await;
        let event: serde_json::Value = serde_json::from_slice(&lines).unwrap();
        assert_eq!((media_type.as_str(), &event["type"]), ("application/json", &json!("ADDED")));
        assert_eq!(event["object"]["kind"], json!(kind));
        assert!(lines.ends_with(b"}\n") && lines.iter().filter(|byte| **byte == b'\n').count() == 1);
        if kind == "Table" {
            continue;
        }
        let (media_type, frames) = watched(&mut asker, &format!("{PROTOBUF}{shape}")).await;
        assert_eq!(media_type, "application/vnd.kubernetes.protobuf;stream=watch");
        let (length, event) = frames.split_first_chunk::<4>().unwrap();
        assert_eq!(u32::from_be_bytes(*length) as usize, event.len());
        // The event is no enveloped object itself, but the object within is one.
        let at = event.windows(4).position(|bytes| bytes == b"k8s\0").unwrap();
        assert_eq!(&event[..7], b"\x0a\x05ADDED");
        let (version, kind) = if kind == "ConfigMap" { (("", "v1"), kind) } else { (("meta.k8s.io", "v1"), kind) };
        let id = types::find_kind(version.0, version.1, kind).unwrap().0;
        assert_eq!(protobuf::decode(&event[at..], types::table(), id).unwrap().name(), "m0");
    }
    drop(asker);
    served.stop().await;
}

/// The first message of a watch over a WebSocket: whether it is text, and what it says.
async fn first_message(served: &Served, accept: &str) -> (bool, Vec<u8>) {
    let mut stream = served.connect(b"http/1.1").await;
    let request = format!(
        "GET {MAPS}?watch=true&resourceVersion=0&fieldSelector=metadata.name%3Dsmall HTTP/1.1\r\nhost: localhost\r\n\
         authorization: Bearer {}\r\naccept: {accept}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        served.token
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(char::from(stream.read_u8().await.unwrap()));
    }
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let opcode = stream.read_u8().await.unwrap();
    let length = match stream.read_u8().await.unwrap() {
        126 => stream.read_u16().await.unwrap().into(),
        length => usize::from(length),
    };
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await.unwrap();
    // The whole of a message, text or binary.
    assert!(matches!(opcode, 0x81 | 0x82), "{opcode:x}");
    (opcode == 0x81, message)
}

#[tokio::test]
async fn messages_of_a_socket_are_events_without_a_length() {
    let served = Served::start().await;
    let map = json!({"metadata": {"name": "small"}, "data": {"a": "b"}});
    served.cluster.post(admin(), MAPS, map).await.unwrap();
    let (is_text, message) = first_message(&served, "application/json").await;
    let event: serde_json::Value = serde_json::from_slice(&message).unwrap();
    assert_eq!((is_text, &event["type"], &event["object"]["data"]["a"]), (true, &json!("ADDED"), &json!("b")));
    let (is_text, message) = first_message(&served, "application/json;as=Table;v=v1;g=meta.k8s.io").await;
    let event: serde_json::Value = serde_json::from_slice(&message).unwrap();
    assert_eq!((is_text, &event["object"]["rows"][0]["cells"][0]), (true, &json!("small")));
    for (shape, group, kind) in [
        ("", "", "ConfigMap"),
        (";as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "meta.k8s.io", "PartialObjectMetadata"),
    ] {
        let (is_text, message) = first_message(&served, &format!("{PROTOBUF}{shape}")).await;
        assert!(!is_text && message.starts_with(b"\x0a\x05ADDED"), "{message:x?}");
        let at = message.windows(4).position(|bytes| bytes == b"k8s\0").unwrap();
        let id = types::find_kind(group, "v1", kind).unwrap().0;
        assert_eq!(protobuf::decode(&message[at..], types::table(), id).unwrap().name(), "small");
    }
    served.stop().await;
}

/// Go's transport asks for gzip unless it is told otherwise.
#[tokio::test]
async fn large_answers_are_compressed_for_who_takes_it() {
    use std::io::Read as _;

    let served = Served::start().await;
    let mut client = served.http2().await;
    let name = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    let mut ask = async |path: &str| {
        let mut request = served.request_for(path, "application/json");
        request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let answer = client.send_request(request).await.unwrap();
        let encoding = answer.headers().get(header::CONTENT_ENCODING).map(name);
        let varies = answer.headers().get(header::VARY).map(name);
        (encoding, varies, answer.into_body().collect().await.unwrap().to_bytes())
    };
    for (path, is_large) in [
        (format!("{MAPS}/m0"), true),
        (format!("{MAPS}?limit=3"), true),
        (format!("{MAPS}?fieldSelector=metadata.name%3Dx"), false),
        ("/api/v1/namespaces/default".to_owned(), false),
    ] {
        let plain = served.text(&path).await;
        let (encoding, varies, body) = ask(&path).await;
        let want = is_large.then(|| "gzip".to_owned());
        let vary = is_large.then(|| "Accept-Encoding".to_owned());
        assert_eq!((encoding, varies), (want, vary), "{path}");
        if is_large {
            let mut back = String::new();
            flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut back).unwrap();
            assert!(back == plain && body.len() < plain.len() / 2, "{path}: {} of {}", body.len(), plain.len());
        } else {
            assert_eq!(text(&body), plain, "{path}");
        }
    }
    drop(client);
    served.stop().await;
}

/// The core group writes who reports an event also where nobody does, and the other group showed it as it was stored.
#[tokio::test]
async fn what_is_empty_is_written_as_the_version_that_is_shown_has_it() {
    let cluster = Cluster::start().await;
    let event =
        json!({"metadata": {"name": "e"}, "involvedObject": {"namespace": "default"}, "reason": "r", "type": "Normal"});
    let stored = cluster.post(admin(), "/api/v1/namespaces/default/events", event).await.unwrap();
    assert_eq!(stored.str_at(&["reportingComponent"]), Some(""));
    let shown = cluster.get(admin(), "/apis/events.k8s.io/v1/namespaces/default/events/e").await.unwrap();
    assert_eq!((shown.get("reportingController"), shown.get("reportingInstance")), (None, None));
}
