//! Watches by several clients at once, in the forms that each asks for.

use std::sync::Arc;

use corten_apimachinery::gvk::GroupVersionResource;
use corten_apiserver::endpoints::watch::{EventType, Item};
use corten_client::{PatchKind, Target, WatchEvent, WatchOptions};
use futures::StreamExt as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{
    MAPS, Served,
    custom_resources::{TABS, cluster_with_tabs, tab},
};
use crate::testing::{Cluster, admin};

const CORE_EVENTS: &str = "/api/v1/namespaces/default/events";
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/default/events";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
const JSON: &str = "application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const OLD_METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1beta1";
const TABLE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1";

/// A watch in JSON, and what has come of it that is no whole event yet.
struct Watched(Incoming, Vec<u8>);

impl Watched {
    async fn begin(served: &Served, path: &str, accept: &str) -> Self {
        let mut client = served.http2().await;
        Self(client.send_request(served.request_for(path, accept)).await.unwrap().into_body(), Vec::new())
    }

    /// What came in one frame of HTTP.
    async fn frame(&mut self) -> Vec<u8> {
        let frame = self.0.frame().await.expect("the watch goes on").unwrap();
        frame.into_data().unwrap().to_vec()
    }

    async fn next(&mut self) -> Value {
        loop {
            if let Some(end) = self.1.iter().position(|byte| *byte == b'\n') {
                let rest = self.1.split_off(end + 1);
                let line = std::mem::replace(&mut self.1, rest);
                return serde_json::from_slice(&line).unwrap();
            }
            let frame = self.frame().await;
            self.1.extend(frame);
        }
    }
}

fn event() -> Value {
    json!({
        "metadata": {"name": "e"}, "reason": "Tested", "message": "it was", "type": "Normal",
        "involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"},
    })
}

/// Two watches whose versions had the same place among those of their resources shared one frame: events of one group were
/// sent as those of the other.
#[tokio::test]
async fn each_watch_gets_the_form_that_it_asked_for() {
    let served = Served::start().await;
    let mut watches = Vec::new();
    for _ in 0..2 {
        for (path, accept, api_version, field) in [
            (CORE_EVENTS, JSON, "v1", Some("message")),
            (EVENTS, JSON, "events.k8s.io/v1", Some("note")),
            (EVENTS, METADATA, "meta.k8s.io/v1", None),
            (CORE_EVENTS, OLD_METADATA, "meta.k8s.io/v1beta1", None),
        ] {
            watches.push((Watched::begin(&served, &format!("{path}?watch=true"), accept).await, api_version, field));
        }
    }
    served.cluster.post(admin(), CORE_EVENTS, event()).await.unwrap();
    for (watch, api_version, field) in &mut watches {
        let got = watch.next().await;
        assert_eq!((&got["type"], &got["object"]["apiVersion"]), (&json!("ADDED"), &json!(api_version)));
        let said = ["message", "note"].into_iter().filter(|field| got["object"].get(field).is_some());
        assert_eq!(said.collect::<Vec<_>>(), field.iter().copied().collect::<Vec<_>>(), "{got}");
    }
    drop(watches);
    served.stop().await;
}

#[tokio::test]
async fn an_object_is_shown_to_each_watch_as_it_leaves_or_stays() {
    let served = Served::start().await;
    let path = |selector: &str| format!("{LEASES}?watch=true&labelSelector={selector}");
    let mut watches = Vec::new();
    for selector in ["a%3D1", "a%3D1", "a", "a%3D2"] {
        watches.push(Watched::begin(&served, &path(selector), JSON).await);
    }
    let lease = json!({"metadata": {"name": "l", "labels": {"a": "1"}}});
    served.cluster.post(admin(), LEASES, lease).await.unwrap();
    for watch in &mut watches[..3] {
        assert_eq!(watch.next().await["type"], "ADDED");
    }
    let lease = json!({"metadata": {"labels": {"a": "2"}}});
    let changed = served.cluster.patch(admin(), &format!("{LEASES}/l"), PatchKind::Merge, lease).await.unwrap();
    let revision = changed.str_at(&["metadata", "resourceVersion"]).unwrap();
    for (watch, (ty, label)) in
        watches.iter_mut().zip([("DELETED", "1"), ("DELETED", "1"), ("MODIFIED", "2"), ("ADDED", "2")])
    {
        let got = watch.next().await;
        let metadata = &got["object"]["metadata"];
        assert_eq!((&got["type"], &metadata["labels"]["a"]), (&json!(ty), &json!(label)));
        assert_eq!(metadata["resourceVersion"], revision);
    }
    drop(watches);
    served.stop().await;
}

/// Each watch in another version than the stored one converted each event anew.
#[tokio::test]
async fn an_event_is_converted_once_for_all_who_watch_a_version() {
    let cluster = cluster_with_tabs().await;
    let client = cluster.client(admin());
    let resource = GroupVersionResource::new("example.com", "v1beta1", "crontabs");
    let mut shown = Vec::new();
    let mut watches = Vec::new();
    for _ in 0..2 {
        let target = Target::collection(&resource, "default");
        watches.push(client.watch(target, &WatchOptions::default()).await.unwrap());
    }
    cluster.post(admin(), TABS, tab("a", json!({"cron": "*"}))).await.unwrap();
    for watch in &mut watches {
        match watch.next().await {
            Some(Ok(WatchEvent::Added(object))) => shown.push(object),
            other => panic!("{other:?}"),
        }
    }
    assert!(std::sync::Arc::ptr_eq(&shown[0], &shown[1]));
    assert!(shown[0].json.starts_with(br#"{"apiVersion":"example.com/v1beta1""#), "{:?}", shown[0].json);
    drop(watches);
    cluster.stop().await;
}

/// Tables of one object, and of a watch, were made by the stored version's printer, from fields that another version calls
/// otherwise.
#[tokio::test]
async fn a_table_is_that_of_the_version_wherever_it_is_shown() {
    let served = Served::start().await;
    served.cluster.post(admin(), CORE_EVENTS, event()).await.unwrap();
    let mut client = served.http2().await;
    let mut get = async |path: &str| {
        let answer = client.send_request(served.request_for(path, TABLE)).await.unwrap();
        serde_json::from_slice::<Value>(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap()
    };
    for path in [CORE_EVENTS, EVENTS] {
        let list = get(path).await;
        let cells = &list["rows"][0]["cells"];
        assert!(cells.as_array().unwrap().contains(&json!("it was")), "{cells}");
        let one = get(&format!("{path}/e")).await;
        assert_eq!(
            (&one["columnDefinitions"], &one["rows"][0]["cells"]),
            (&list["columnDefinitions"], cells),
            "{path}"
        );
        let watched = Watched::begin(&served, &format!("{path}?watch=true"), TABLE).await.next().await;
        let watched = &watched["object"];
        let got = (&watched["columnDefinitions"], &watched["rows"][0]["cells"]);
        assert_eq!(got, (&list["columnDefinitions"], cells), "{path}");
    }
    served.stop().await;
}

/// What is gathered was bounded by what is sent, of which there is little where much is read for it.
#[tokio::test]
async fn a_watch_of_metadata_reads_no_more_at_once_than_others_can_wait_for() {
    let served = Served::start().await;
    let mut watch = Watched::begin(&served, &format!("{MAPS}?watch=true"), METADATA).await;
    let mut seen = 0;
    while seen < 24 {
        let events = watch.frame().await.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(events, 1, "each is of an object of 500 KB");
        seen += events;
    }
    drop(watch);
    served.stop().await;
}

/// A client that came again had to begin where the last minute's bookmark was.
#[tokio::test]
async fn a_watch_says_where_it_is_before_it_ends() {
    let served = Served::start().await;
    let path = format!("{LEASES}?watch=true&allowWatchBookmarks=true&timeoutSeconds=90");
    let mut watch = Watched::begin(&served, &path, JSON).await;
    for seconds in [60, 28] {
        served.advance(seconds);
        assert_eq!(watch.next().await["type"], "BOOKMARK");
    }
    served.advance(2);
    assert!(
        watch
            .0
            .frame()
            .await
            .is_none_or(|frame| frame.is_ok_and(|frame| frame.data_ref().is_none_or(|data| data.is_empty())))
    );
    served.stop().await;
}

/// It stayed open.
#[tokio::test]
async fn a_watch_whose_time_was_up_before_it_began_ends() {
    let served = Served::start().await;
    let mut client = served.http2().await;
    let path = format!("{MAPS}?watch=true&resourceVersion=0&timeoutSeconds=-1");
    let answer = client.send_request(served.request_for(&path, JSON)).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.into_body().collect().await.unwrap().to_bytes().is_empty());
    drop(client);
    served.stop().await;
}

/// All that a watch begins with was collected beforehand: eight bytes for each object and watch, and none of the objects could go
/// before a client had read it.
#[tokio::test]
async fn a_watch_holds_no_list_of_what_it_begins_with() {
    const MAPS_COUNT: usize = 1_200;
    let cluster = Cluster::start().await;
    let map = |n: usize| {
        let labels = json!({"of": if n.is_multiple_of(2) { "even" } else { "odd" }});
        json!({"metadata": {"name": format!("m-{n:04}"), "labels": labels}})
    };
    for n in 0..MAPS_COUNT {
        cluster.post(admin(), MAPS, map(n)).await.unwrap();
    }
    let store = Arc::clone(cluster.server.routes().store("", "configmaps").unwrap());
    let objects: Vec<_> = store.cacher().any().range("default", "").map(|(_, object)| Arc::clone(object)).collect();
    let holders = || objects.iter().map(Arc::strong_count).sum::<usize>();
    let before = holders();
    let options = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let path = format!("{MAPS}?watch=true&labelSelector=of%3Deven&{options}");
    let mut watches = Vec::new();
    for _ in 0..10 {
        watches.push(cluster.watch(&path).await);
    }
    assert_eq!(holders(), before);
    let mut watch = watches.swap_remove(0);
    let began = store.cacher().any().revision();

    let mut seen = Vec::new();
    let told = async |watch: &mut corten_apiserver::endpoints::watch::WatchSource| match watch
        .next()
        .await
        .unwrap()
        .unwrap()
    {
        Item::Object { event, object, .. } => (event, object.name.to_string()),
        Item::Bookmark { revision, initial_events_end } => {
            assert_eq!((revision, initial_events_end), (began, true));
            (EventType::Bookmark, String::new())
        }
    };
    for _ in 0..300 {
        seen.push(told(&mut watch).await);
    }
    // What happens meanwhile comes after the state that the watch began with.
    let (first, last) = ("m-0000".to_owned(), format!("m-{:04}", MAPS_COUNT - 2));
    cluster.delete(admin(), &format!("{MAPS}/{last}")).await.unwrap();
    cluster.post(admin(), MAPS, map(9_000)).await.unwrap();
    let other = json!({"metadata": {"labels": {"of": "odd"}}});
    cluster.patch(admin(), &format!("{MAPS}/{first}"), PatchKind::Merge, other).await.unwrap();
    for _ in 300..MAPS_COUNT / 2 + 4 {
        seen.push(told(&mut watch).await);
    }
    let initial = (0..MAPS_COUNT).step_by(2).map(|n| (EventType::Added, format!("m-{n:04}")));
    let later = [
        (EventType::Bookmark, String::new()),
        (EventType::Deleted, last),
        (EventType::Added, "m-9000".to_owned()),
        (EventType::Deleted, first),
    ];
    assert_eq!(seen, initial.chain(later).collect::<Vec<_>>());
    drop((watch, watches));
    cluster.stop().await;
}
