//! What reads answer where upstream is particular: versions that are no more, not yet, or none, and selectors.
//!
//! Upstream: k8s.io/apiserver/pkg/storage/{cacher,etcd3} and `DefaultMetaV1FieldSelectorConversion` (v1.35).

use serde_json::json;

use super::*;

/// A read's refusal.
async fn refused(cluster: &Cluster, path: &str) -> (u16, String) {
    let status = cluster.get(admin(), path).await.expect_err(path);
    (status.code, status.message)
}

/// It was refused with a text that names it among those that are known.
#[tokio::test]
async fn objects_of_the_cluster_are_those_of_no_namespace() {
    let cluster = Cluster::start().await;
    cluster
        .post(admin(), "/apis/scheduling.k8s.io/v1/priorityclasses", json!({"metadata": {"name": "p"}, "value": 1}))
        .await
        .unwrap();
    for (path, all) in [
        ("/apis/scheduling.k8s.io/v1/priorityclasses", 1),
        ("/api/v1/persistentvolumes", 0),
        ("/apis/storage.k8s.io/v1/storageclasses", 0),
        ("/apis/networking.k8s.io/v1/ingressclasses", 0),
    ] {
        let count =
            async |selector: &str| cluster.get(admin(), &format!("{path}?fieldSelector={selector}")).await.unwrap();
        let everything = cluster.get(admin(), path).await.unwrap();
        assert!(everything.as_i64().unwrap() >= all, "{path}");
        assert_eq!(count("metadata.namespace%3D").await, everything, "{path}");
        assert_eq!(count("metadata.namespace%3Dx").await.as_i64(), Some(0), "{path}");
        assert_eq!(count("metadata.namespace!%3Dx").await, everything, "{path}");
    }
    for path in ["/api/v1/nodes", "/api/v1/namespaces", "/apis/certificates.k8s.io/v1/certificatesigningrequests"] {
        let want = (400, "field label not supported: metadata.namespace".to_owned());
        assert_eq!(refused(&cluster, &format!("{path}?fieldSelector=metadata.namespace%3D")).await, want);
    }
    cluster.stop().await;
}

/// The list was refused in the watch cache's words, and a page at a revision that is gone was given at another.
#[tokio::test]
async fn a_list_of_the_past_says_that_it_is_gone() {
    let cluster = Cluster::start().await;
    cluster.post(admin(), MAPS, json!({"metadata": {"name": "a"}})).await.unwrap();
    let old = cluster.revision().await;
    cluster.post(admin(), MAPS, json!({"metadata": {"name": "b"}})).await.unwrap();
    cluster.compact().await;
    for query in ["resourceVersionMatch=Exact", "limit=1", "limit=1&resourceVersionMatch=Exact"] {
        let want = (410, "The resourceVersion for the provided list is too old.".to_owned());
        assert_eq!(refused(&cluster, &format!("{MAPS}?resourceVersion={old}&{query}")).await, want, "{query}");
    }
    for query in ["resourceVersionMatch=NotOlderThan", "limit=1&resourceVersionMatch=NotOlderThan", "limit=0"] {
        cluster.get(admin(), &format!("{MAPS}?resourceVersion={old}&{query}")).await.expect(query);
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_version_that_is_no_number_is_refused_in_the_words_of_the_storage() {
    let cluster = Cluster::start().await;
    cluster.post(admin(), MAPS, json!({"metadata": {"name": "a"}})).await.unwrap();
    for (version, why) in
        [("abc", "invalid syntax"), ("-1", "invalid syntax"), ("18446744073709551616", "value out of range")]
    {
        let invalid =
            format!("resourceVersion: Invalid value: {version:?}: strconv.ParseUint: parsing {version:?}: {why}");
        let of_list = (400, format!("invalid resource version: {invalid}"));
        assert_eq!(refused(&cluster, &format!("{MAPS}?resourceVersion={version}")).await, of_list);
        let collection = cluster.delete(admin(), &format!("{MAPS}?resourceVersion={version}")).await.unwrap_err();
        assert_eq!((collection.code, collection.message), of_list);
        for path in
            [format!("{MAPS}?watch=true&resourceVersion={version}"), format!("{MAPS}/a?resourceVersion={version}")]
        {
            assert_eq!(refused(&cluster, &path).await, (500, invalid.clone()), "{path}");
        }
    }
    cluster.stop().await;
}

/// The request failed, where upstream's has begun: its failure is an event.
#[tokio::test]
async fn a_watch_that_waits_for_a_version_in_vain_says_so_in_an_event() {
    let cluster = Cluster::start().await;
    let initial = "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
    let path = format!("{MAPS}?watch=true&resourceVersion=99999&{initial}");
    let event = tokio::select! {
        biased;
        answer = cluster.get(admin(), &path) => answer.unwrap(),
        () = async {
            loop {
                cluster.clock.advance(Duration::from_secs(1));
                tokio::task::yield_now().await;
            }
        } => unreachable!("it goes on for ever"),
    };
    let object = event.get("object").unwrap();
    assert_eq!((event.str_at(&["type"]), object.i64_at(&["code"])), (Some("ERROR"), Some(504)));
    let message = object.str_at(&["message"]).unwrap();
    assert!(message.starts_with("Timeout: Too large resource version: 99999, current: "), "{message}");
    assert_eq!(object.str_at(&["reason"]), Some("Timeout"));
    cluster.stop().await;
}

/// Of several things that do not go together only the first was told, and none where the revision could not be read.
#[tokio::test]
async fn all_that_does_not_go_together_in_a_list_is_told() {
    let cluster = Cluster::start().await;
    let about = "ListOptions.meta.k8s.io \"\" is invalid: ";
    let of = |why: &str| format!("resourceVersionMatch: Forbidden: resourceVersionMatch {why}");
    let other = "resourceVersionMatch: Unsupported value: \"x\": supported values: \"Exact\", \"NotOlderThan\", \"\"";
    let (unset, continues) =
        (of("is forbidden unless resourceVersion is provided"), of("is forbidden when continue is provided"));
    let watch = of("is forbidden for watch unless sendInitialEvents is provided");
    let only = "resourceVersionMatch: Unsupported value: \"Exact\": supported values: \"NotOlderThan\"";
    for (query, want) in [
        ("resourceVersionMatch=x&continue=y", format!("{about}[{unset}, {continues}, {other}]")),
        (
            "resourceVersionMatch=Exact&resourceVersion=0",
            format!("{about}{}", of("\"exact\" is forbidden for resourceVersion \"0\"")),
        ),
        ("resourceVersionMatch=x&resourceVersion=unreadable", format!("{about}{other}")),
        ("watch=true&resourceVersionMatch=Exact&resourceVersion=unreadable", format!("{about}[{watch}, {only}]")),
    ] {
        assert_eq!(refused(&cluster, &format!("/api/v1/namespaces/default/configmaps?{query}")).await, (422, want));
    }
}
