//! The server over sockets: clients that ask and do not read.

mod built_in_names;
mod corrupt;
mod custom_openapi;
mod custom_resource_cleanup;
mod custom_resource_rules;
mod custom_resource_versions;
mod custom_resources;
mod deletions;
mod discovery;
mod empty_lists;
mod empty_structs;
mod forms;
mod gates;
mod hostile;
mod old_objects;
mod openapi_parts;
mod oracle;
mod overtaken;
mod own_deletions;
mod places;
mod reads;
mod rewrites;
mod watches;
mod writes;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use corten_apimachinery::{meta::ObjectMeta as _, resource::UserInfo};
use corten_base::{SetExecutor, Shutdown, ShutdownTrigger, SimClock, TaskSet};
use corten_client::{PatchKind, transport::http::TrustsAnyone};
use corten_component_base::{
    certificates::{Authority, CertificateFiles, LEAF_VALID, LeafRequest},
    serving::{ClientCertificate, ServerCertificate, TlsListener, server_config},
};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    ServiceNetwork,
    testing::{Cluster, admin},
};
use corten_apiserver::filters::Limits;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// More than the kernel keeps for a connection.
const MAPS_BYTES: usize = 24 * 500_000;

/// A cluster with large objects, one read at a time, that is served on a socket.
struct Served {
    cluster: Cluster,
    address: SocketAddr,
    token: String,
    tasks: TaskSet,
    stop: ShutdownTrigger,
}

impl Served {
    async fn start() -> Self {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let limits = Limits { reads_max: 1, writes_max: 1 };
        let cluster = Cluster::start_limited(clock, ServiceNetwork::default(), limits).await;
        for n in 0..24 {
            let map = json!({"metadata": {"name": format!("m{n}")}, "data": {"a": "x".repeat(500_000)}});
            cluster.post(admin(), MAPS, map).await.unwrap();
        }
        let account = json!({"metadata": {"name": "robot"}});
        cluster.post(admin(), "/api/v1/namespaces/default/serviceaccounts", account).await.unwrap();
        let binding = json!({
            "metadata": {"name": "robot"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "namespace": "default", "name": "robot"}],
        });
        let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
        cluster.post(admin(), bindings, binding).await.unwrap();
        let path = "/api/v1/namespaces/default/serviceaccounts/robot/token";
        let answer = cluster.post(admin(), path, json!({"spec": {"audiences": []}})).await.unwrap();
        let token = answer.str_at(&["status", "token"]).unwrap().to_owned();

        let folder = tempfile::tempdir().unwrap();
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let authority = Authority::ensure(&CertificateFiles::new(folder.path(), "ca"), "ca", now).unwrap();
        let leaf = LeafRequest { common_name: "server".to_owned(), server: true, ..LeafRequest::default() };
        let pair = authority.issue(&leaf, now, LEAF_VALID).unwrap();
        let certificate = ServerCertificate::new(&pair.certificate, &pair.key).unwrap();
        let tls = server_config(certificate, ClientCertificate::Any).unwrap();
        let listener = TlsListener::bind("127.0.0.1:0".parse().unwrap(), tls).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tasks, (stop, shutdown)) = (TaskSet::new("served"), Shutdown::new());
        tasks.spawn("server", Arc::clone(&cluster.server).serve(listener, shutdown));
        Self { cluster, address, token, tasks, stop }
    }

    async fn connect(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(TrustsAnyone::new(provider))
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let socket = TcpSocket::new_v4().unwrap();
        // What the kernel takes on the client's behalf is little.
        socket.set_recv_buffer_size(4_096).unwrap();
        let stream = socket.connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    async fn http2(&self) -> http2::SendRequest<Empty<Bytes>> {
        let (sender, connection) = http2::Builder::new(SetExecutor::new(self.tasks.clone(), "client"))
            .initial_stream_window_size(65_535)
            .initial_connection_window_size(16 << 20)
            .handshake(TokioIo::new(self.connect(b"h2").await))
            .await
            .unwrap();
        self.tasks.spawn("client", async { _ = connection.await });
        sender
    }

    async fn http1(&self) -> http1::SendRequest<Empty<Bytes>> {
        let (sender, connection) = http1::handshake(TokioIo::new(self.connect(b"http/1.1").await)).await.unwrap();
        self.tasks.spawn("client", async { _ = connection.await });
        sender
    }

    fn request(&self, path: &str) -> Request<Empty<Bytes>> {
        self.request_for(path, "application/json")
    }

    fn request_for(&self, path: &str, accept: &str) -> Request<Empty<Bytes>> {
        let builder = Request::builder().method(Method::GET).uri(format!("https://localhost{path}"));
        let builder = builder.header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        builder.header(header::HOST, "localhost").header(header::ACCEPT, accept).body(Empty::new()).unwrap()
    }

    async fn text(&self, path: &str) -> String {
        let answer = self.http2().await.send_request(self.request(path)).await.unwrap();
        String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
    }

    fn advance(&self, seconds: u64) {
        self.cluster.clock.advance(Duration::from_secs(seconds));
    }

    async fn stop(self) {
        self.stop.request();
        self.cluster.stop().await;
        self.tasks.join().await.unwrap();
    }
}

/// How much of an answer came.
async fn read(answer: Response<Incoming>) -> usize {
    let mut body = answer.into_body();
    let mut size = 0;
    while let Some(Ok(frame)) = body.frame().await {
        size += frame.data_ref().map_or(0, Bytes::len);
    }
    size
}

/// The place was given back before the answer was sent: clients that read nothing had any number of them made and kept.
#[tokio::test]
async fn an_answer_that_nobody_reads_has_its_place_until_its_time_is_up() {
    let served = Served::start().await;
    let mut client = served.http2().await;
    let mut get = async |path: &str| client.send_request(served.request(path)).await.unwrap();
    let unread = get(MAPS).await;
    assert_eq!(unread.status(), StatusCode::OK);
    assert_eq!(get(MAPS).await.status(), StatusCode::TOO_MANY_REQUESTS);
    served.advance(60);
    assert_eq!(get(MAPS).await.status(), StatusCode::TOO_MANY_REQUESTS);
    served.advance(10);
    assert!(read(unread).await < MAPS_BYTES);
    // What is read to its end, or let go, gives its place back.
    assert!(read(get(MAPS).await).await > MAPS_BYTES);
    drop(get(MAPS).await);
    // An answer over HTTP/1 ends with its connection.
    let mut other = served.http1().await;
    let unread = loop {
        let answer = other.send_request(served.request(MAPS)).await.unwrap();
        // The server may not have heard yet that nobody wants the last one.
        if answer.status() == StatusCode::OK {
            break answer;
        }
        read(answer).await;
    };
    assert_eq!(get(MAPS).await.status(), StatusCode::TOO_MANY_REQUESTS);
    served.advance(70);
    assert!(read(unread).await < MAPS_BYTES);
    assert_eq!(get(MAPS).await.status(), StatusCode::OK);
    drop((client, other));
    served.stop().await;
}

/// A watch looked at its end only when its client took something: one that did not read held it for ever.
#[tokio::test]
async fn a_watch_that_nobody_reads_ends_when_its_time_is_up() {
    let served = Served::start().await;
    let mut client = served.http2().await;
    let watch = format!("{MAPS}?watch=true&timeoutSeconds=30");
    let unread = client.send_request(served.request(&watch)).await.unwrap();
    assert_eq!(unread.status(), StatusCode::OK);
    // It takes no place from others.
    let answer = client.send_request(served.request(&format!("{MAPS}/m0"))).await.unwrap();
    assert!(read(answer).await > 500_000);
    served.advance(40);
    assert!(read(unread).await < MAPS_BYTES);
    // One that is read has its time and ends with all said.
    let mut body = client.send_request(served.request(&watch)).await.unwrap().into_body();
    let mut size = 0;
    while size < MAPS_BYTES {
        size += body.frame().await.unwrap().unwrap().data_ref().map_or(0, Bytes::len);
    }
    served.advance(30);
    while let Some(frame) = body.frame().await {
        frame.unwrap();
    }
    drop(client);
    served.stop().await;
}

/// A quiet watch of less than a minute ended without a bookmark: who went on from there began long ago, which is too old soon.
#[tokio::test]
async fn a_watch_gets_a_last_bookmark_before_its_time_is_up() {
    let served = Served::start().await;
    let mut client = served.http2().await;
    for (seconds, form, want) in
        [(30, "&allowWatchBookmarks=true", true), (30, "", false), (2, "&allowWatchBookmarks=true", false)]
    {
        let watch = format!("{MAPS}?watch=true&fieldSelector=metadata.name%3Dnone&timeoutSeconds={seconds}{form}");
        let mut body = client.send_request(served.request(&watch)).await.unwrap().into_body();
        if want {
            served.advance(seconds - 2);
            let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(frame.starts_with(b"{\"type\":\"BOOKMARK\""), "{}", String::from_utf8_lossy(&frame));
        }
        served.advance(if want { 2 } else { seconds });
        // The stream ends, and is not reset: its end may come with an empty frame.
        let mut more = Vec::new();
        while let Some(frame) = body.frame().await {
            more.extend_from_slice(frame.unwrap().data_ref().map_or(&[], |data| data));
        }
        assert!(more.is_empty(), "{seconds}{form}: {}", String::from_utf8_lossy(&more));
    }
    drop(client);
    served.stop().await;
}

/// TLS took all that HTTP/1 had to send, so that watchers who did not read cost gigabytes, for as long as they liked.
#[tokio::test]
async fn a_watch_over_http1_that_nobody_reads_is_ended_soon() {
    let served = Served::start().await;
    let (mut stalled, mut client) = (served.http1().await, served.http2().await);
    let watch = format!("{MAPS}?watch=true&timeoutSeconds=1800");
    let unread = stalled.send_request(served.request(&watch)).await.unwrap();
    for _ in 0..5 {
        // In the meantime it has come as far as it can.
        let answer = client.send_request(served.request(&format!("{MAPS}/m0"))).await.unwrap();
        assert!(read(answer).await > 500_000);
        served.advance(31);
    }
    assert!(read(unread).await < MAPS_BYTES);
    drop((stalled, client));
    served.stop().await;
}

/// A place among the writes was taken before the body was there: unfinished ones of anybody kept all others from writing.
#[tokio::test]
async fn a_body_that_never_ends_holds_up_nobody() {
    let served = Served::start().await;
    let post = |path: &str, body_bytes: usize| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             expect: 100-continue\r\ncontent-length: {body_bytes}\r\n\r\n",
            served.token
        )
    };
    let first_line = async |stream: &mut TlsStream<TcpStream>| {
        let mut line = String::new();
        while !line.ends_with("\r\n") {
            line.push(char::from(stream.read_u8().await.unwrap()));
        }
        line
    };
    let mut unfinished = served.connect(b"http/1.1").await;
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    unfinished.write_all(post(reviews, 100).as_bytes()).await.unwrap();
    assert_eq!(first_line(&mut unfinished).await, "HTTP/1.1 100 Continue\r\n");
    let mut other = served.connect(b"http/1.1").await;
    let map = r#"{"metadata": {"name": "new"}}"#;
    other.write_all(post(MAPS, map.len()).as_bytes()).await.unwrap();
    assert_eq!(first_line(&mut other).await, "HTTP/1.1 100 Continue\r\n");
    assert_eq!(first_line(&mut other).await, "\r\n");
    other.write_all(map.as_bytes()).await.unwrap();
    assert_eq!(first_line(&mut other).await, "HTTP/1.1 201 Created\r\n");
    drop((unfinished, other));
    served.stop().await;
}

/// A request without a host, or with half a byte in its path, was answered as if nothing were wrong with it.
#[tokio::test]
async fn what_go_does_not_take_for_a_request_is_refused() {
    let served = Served::start().await;
    for (head, why) in [
        ("GET /version HTTP/1.1\r\n", ": missing required Host header"),
        ("GET /version HTTP/1.1\r\nhost: a\r\nhost: a\r\n", ": too many Host headers"),
        ("GET /%zz HTTP/1.1\r\nhost: a\r\n", ""),
    ] {
        let mut stream = served.connect(b"http/1.1").await;
        stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n") && head.contains("connection: close"), "{head}");
        assert_eq!(body, format!("400 Bad Request{why}"));
    }
    served.stop().await;
}

/// Tables and other forms of large lists were made in one go, on a thread that others needed.
#[tokio::test]
async fn a_list_in_pieces_says_what_it_says_as_a_whole() {
    let served = Served::start().await;
    let mut client = served.http2().await;
    let mut get = async |path: &str, accept: &str| {
        let answer = client.send_request(served.request_for(path, accept)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path} {accept}");
        answer.into_body().collect().await.unwrap().to_bytes()
    };
    // The same in the same order, but for the lines.
    let bare = |json: &Bytes| json.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect::<Vec<u8>>();
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let metadata = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    for (accept, query, begin) in [
        (
            "application/json",
            "",
            "{\"kind\":\"ConfigMapList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"",
        ),
        (table, "", "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{\"resourceVersion\":\""),
        (table, "includeObject=Object&", "{\"kind\":\"Table\","),
        (table, "fieldSelector=metadata.name%3Dnone&", "{\"kind\":\"Table\","),
        (metadata, "", "{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{"),
    ] {
        let pieces = get(&format!("{MAPS}?{query}limit=20"), accept).await;
        let whole = get(&format!("{MAPS}?{query}limit=20&pretty=true"), accept).await;
        assert!(pieces.starts_with(begin.as_bytes()), "{:?}", pieces.slice(..200.min(pieces.len())));
        assert!(pieces.ends_with(b"]}\n"), "{:?}", pieces.slice(pieces.len() - 30..));
        let (pieces, whole) = (bare(&pieces), bare(&whole));
        let differs = pieces.iter().zip(&whole).position(|(one, other)| one != other);
        let shown = |json: &[u8]| differs.map(|at| String::from_utf8_lossy(&json[at - 50..at + 50]).into_owned());
        assert!(pieces == whole, "{accept}?{query}: {:?} {:?}", shown(&pieces), shown(&whole));
    }
    let binary = get(MAPS, "application/vnd.kubernetes.protobuf").await;
    assert!(binary.starts_with(b"k8s\0") && binary.len() > MAPS_BYTES);
    drop(client);
    served.stop().await;
}

/// A watch from too long ago was refused, at which loops that read only events saw nothing that they know.
#[tokio::test]
async fn a_watch_from_too_long_ago_begins_and_says_so() {
    let served = Served::start().await;
    // More than the ring of events holds.
    for n in 0..80 {
        let patch = json!({"metadata": {"labels": {"n": n.to_string()}}});
        served.cluster.patch(admin(), &format!("{MAPS}/m0"), PatchKind::Merge, patch).await.unwrap();
    }
    let mut client = served.http2().await;
    let answer = client.send_request(served.request(&format!("{MAPS}?watch=true&resourceVersion=1"))).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let text = String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().into()).unwrap();
    let event: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&event["type"], &event["object"]["kind"]), (&json!("ERROR"), &json!("Status")));
    assert_eq!((&event["object"]["code"], &event["object"]["reason"]), (&json!(410), &json!("Expired")));
    drop(client);
    served.stop().await;
}

/// The table of a scale had the columns of a kind that says nothing about itself.
#[tokio::test]
async fn a_scale_has_columns_of_its_own() {
    let served = Served::start().await;
    let deployment = json!({"metadata": {"name": "w"}, "spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    served.cluster.post(admin(), deployments, deployment).await.unwrap();
    let mut client = served.http2().await;
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let answer = client.send_request(served.request_for(&format!("{deployments}/w/scale"), accept)).await.unwrap();
    let table: serde_json::Value =
        serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
    let columns: Vec<_> = table["columnDefinitions"].as_array().unwrap().iter().map(|column| &column["name"]).collect();
    assert_eq!(columns, ["Name", "Desired", "Available", "Age"]);
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(cells[..3], [json!("w"), json!(3), json!(0)]);
    drop(client);
    served.stop().await;
}

/// Of the three documents of discovery one was not written for people who ask for that.
#[tokio::test]
async fn discovery_is_indented_for_people() {
    let served = Served::start().await;
    for path in ["/api", "/apis", "/apis/apps"] {
        assert!(served.text(&format!("{path}?pretty=true")).await.starts_with("{\n"), "{path}");
        assert!(!served.text(path).await.starts_with("{\n"), "{path}");
    }
    served.stop().await;
}

#[tokio::test]
async fn what_does_not_fit_is_refused_in_upstreams_words() {
    let cluster = Cluster::start().await;
    let refused = async |map: serde_json::Value| cluster.post(admin(), MAPS, map).await.unwrap_err().message;
    assert_eq!(
        refused(json!({"kind": "ConfigMap", "apiVersion": "v2", "metadata": {"name": "a"}})).await,
        "ConfigMap in version \"v2\" cannot be handled as a ConfigMap: no kind \"ConfigMap\" is registered for version \"v2\" \
         in scheme \"pkg/api/legacyscheme/scheme.go:30\""
    );
    assert_eq!(
        refused(json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}})).await,
        "Pod in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Pod) to (core.ConfigMap): unknown \
         conversion"
    );
    let get = async |query: &str| cluster.get(admin(), query).await.map_err(|status| (status.code, status.message));
    let unknown = "\"spec.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"";
    assert_eq!(get(&format!("{MAPS}?fieldSelector=spec.x%3Dy")).await, Err((400, unknown.to_owned())));
    let pods = "/api/v1/namespaces/default/pods";
    let unknown = "field label not supported: spec.x";
    assert_eq!(get(&format!("{pods}?fieldSelector=spec.x%3Dy")).await, Err((400, unknown.to_owned())));
    for known in ["spec.host%3Dn1", "status.podIPs%3D10.0.0.1"] {
        get(&format!("{pods}?fieldSelector={known}")).await.unwrap();
    }
    let forged = get(&format!("{MAPS}?limit=1&continue=abc")).await.unwrap_err();
    assert_eq!(
        forged.1,
        "invalid continue token: continue key is not valid: invalid character 'i' looking for beginning of value"
    );
    cluster.post(admin(), MAPS, json!({"metadata": {"name": "a"}})).await.unwrap();
    let patched = cluster.patch(admin(), &format!("{MAPS}/a"), PatchKind::Strategic, json!({"data": 3})).await;
    let refused = patched.unwrap_err();
    assert_eq!(
        (refused.code, &*refused.message),
        (422, " \"\" is invalid: patch: Invalid value: \"map[data:3]\": cannot restore map from int64")
    );
    cluster.stop().await;
}

#[tokio::test]
async fn a_patch_of_another_shape_is_refused_in_upstreams_words() {
    let cluster = Cluster::start().await;
    cluster.post(admin(), MAPS, json!({"metadata": {"name": "a"}})).await.unwrap();
    let into = |found: &str, wanted: &str| format!("json: cannot unmarshal {found} into Go value of type {wanted}");
    let map = "map[string]interface {}";
    let yaml = "error decoding YAML: error unmarshaling JSON: while decoding JSON: ";
    for (kind, patch, want) in [
        (PatchKind::Merge, json!([]), format!("error decoding patch: {}", into("array", map))),
        (PatchKind::Strategic, json!(5), into("number", map)),
        (PatchKind::Json, json!(5), format!("error decoding patch: {}", into("number", "[]handlers.jsonPatchOp"))),
        (PatchKind::Json, json!({}), format!("error decoding patch: {}", into("object", "[]handlers.jsonPatchOp"))),
        (PatchKind::Json, json!([{}, 5]), format!("error decoding patch: {}", into("number", "handlers.jsonPatchOp"))),
        (PatchKind::Apply, json!("garbage"), format!("{yaml}{}", into("string", map))),
    ] {
        let refused = cluster.patch(admin(), &format!("{MAPS}/a?fieldManager=m"), kind, patch).await.unwrap_err();
        assert_eq!((refused.code, &*refused.message), (400, &*want), "{kind:?}");
    }
    cluster.patch(admin(), &format!("{MAPS}/a"), PatchKind::Json, json!(null)).await.unwrap();
    cluster.stop().await;
}

#[tokio::test]
async fn a_writer_that_names_nobody_is_unknown() {
    let cluster = Cluster::start().await;
    let made = cluster.post(admin(), MAPS, json!({"metadata": {"name": "a"}, "data": {"k": "v"}})).await.unwrap();
    assert_eq!(made.items_at(&["metadata", "managedFields"])[0].str_at(&["manager"]), Some("unknown"));
    cluster.stop().await;
}

/// Only what patches had made was counted, in nine seconds; and large ones are worked on elsewhere.
#[tokio::test]
async fn a_patch_has_a_bound_of_objects() {
    let cluster = Cluster::start().await;
    cluster.post(admin(), MAPS, json!({"metadata": {"name": "a"}})).await.unwrap();
    let items = vec![json!({}); 100_001];
    for (kind, patch) in [
        (PatchKind::Merge, json!({"x": items})),
        (PatchKind::Strategic, json!({"x": items})),
        (PatchKind::Apply, json!({"x": items})),
        (PatchKind::Json, json!([{"op": "add", "path": "/x", "value": items}])),
    ] {
        let refused = cluster.patch(admin(), &format!("{MAPS}/a?fieldManager=m"), kind, patch).await.unwrap_err();
        let want = (413, "Request entity too large: limit is 100000 objects in one body");
        assert_eq!((refused.code, &*refused.message), want, "{kind:?}");
    }
    let text = "x".repeat(100_000);
    let patched = cluster.patch(admin(), &format!("{MAPS}/a"), PatchKind::Merge, json!({"data": {"a": text}})).await;
    assert_eq!(patched.unwrap().str_at(&["data", "a"]), Some(&*text));
    cluster.stop().await;
}

/// Whoever sent the object itself along, to be sure of what goes, deleted it whatever that object was.
#[tokio::test]
async fn a_delete_takes_no_other_kind_for_its_options() {
    let cluster = Cluster::start().await;
    cluster.post(admin(), MAPS, json!({"metadata": {"name": "a"}})).await.unwrap();
    let delete = async |body: serde_json::Value| {
        let deleted = cluster.delete_with(admin(), &format!("{MAPS}/a"), body).await;
        deleted.map(drop).map_err(|status| status.code)
    };
    assert_eq!(delete(json!({"kind": "Pod", "apiVersion": "v1"})).await, Err(400));
    assert_eq!(delete(json!({"kind": "DeleteOptions", "apiVersion": "apps/v1"})).await, Ok(()));
    cluster.stop().await;
}

/// What the engine had found instead had no version: the refusal ended without one, and plugins saw none.
#[tokio::test]
async fn a_delete_that_was_overtaken_tells_the_version_that_it_found() {
    let cluster = Cluster::start().await;
    let made = cluster.post(admin(), MAPS, json!({"metadata": {"name": "a"}})).await.unwrap();
    let newer = cluster.overtake("/registry/configmaps/default/a").await;
    let options = json!({"preconditions": {"resourceVersion": made.resource_version()}});
    let refused = cluster.delete_with(admin(), &format!("{MAPS}/a"), options).await.unwrap_err();
    let want = format!(
        "Operation cannot be fulfilled on ConfigMap \"a\": the ResourceVersion in the precondition ({}) does not match the \
         ResourceVersion in record ({newer}). The object might have been modified",
        made.resource_version()
    );
    assert_eq!((refused.code, refused.message), (409, want));
    cluster.stop().await;
}

/// The bug was that only `patch` or `update` was asked for: who might change pods, or one object, could make new ones. Then the
/// refusal did not say what was refused to whom.
#[tokio::test]
async fn an_apply_or_a_put_that_makes_an_object_needs_the_right_to_create() {
    let cluster = Cluster::start().await;
    let rules = json!([
        {"apiGroups": ["", "coordination.k8s.io"], "resources": ["configmaps", "leases"], "verbs": ["patch", "update"]},
        {"apiGroups": ["", "coordination.k8s.io"], "resources": ["configmaps", "leases"], "verbs": ["create"],
         "resourceNames": ["mine"]},
    ]);
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let role = json!({"metadata": {"name": "changer"}, "rules": rules});
    cluster.post(admin(), format!("{rbac}/clusterroles"), role).await.unwrap();
    let binding = json!({
        "metadata": {"name": "changer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "changer"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ann"}],
    });
    cluster.post(admin(), format!("{rbac}/clusterrolebindings"), binding).await.unwrap();
    let ann = || UserInfo { name: "ann".into(), ..UserInfo::default() };
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let metadata = |name: &str| json!({"name": name, "labels": {"a": "b"}});
    for dry_run in ["&dryRun=All", ""] {
        for (name, makes) in [("other", false), ("mine", true)] {
            let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(name)});
            let path = format!("{MAPS}/{name}");
            let asked = format!("{path}?fieldManager=ann{dry_run}");
            let applied = cluster.patch(ann(), &asked, PatchKind::Apply, map).await;
            let lease = json!({"metadata": metadata(name)});
            let asked = format!("{leases}/{name}?fieldManager=ann{dry_run}");
            let put = cluster.put(ann(), &asked, lease).await;
            for (outcome, resource, group) in [(applied, "configmaps", ""), (put, "leases", "coordination.k8s.io")] {
                let got = outcome.map(drop).map_err(|status| (status.code, status.message));
                let dot = if group.is_empty() { "" } else { "." };
                let why = format!(
                    "{resource}{dot}{group} \"{name}\" is forbidden: User \"ann\" cannot create resource \"{resource}\" in API \
                     group \"{group}\" in the namespace \"default\""
                );
                let refused = Err((403, why));
                assert_eq!(got, if makes { Ok(()) } else { refused }, "{dry_run}");
            }
            let is_there = cluster.get(admin(), &path).await.is_ok();
            assert_eq!(is_there, makes && dry_run.is_empty());
        }
    }
    // What is there already is changed without it.
    cluster.post(admin(), MAPS, json!({"metadata": {"name": "other"}})).await.unwrap();
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("other")});
    let asked = format!("{MAPS}/other?fieldManager=ann");
    let applied = cluster.patch(ann(), &asked, PatchKind::Apply, map).await.unwrap();
    assert_eq!(applied.str_at(&["metadata", "labels", "a"]), Some("b"));
    cluster.stop().await;
}
