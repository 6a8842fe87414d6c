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

/// How often the one who asks has to look until the answer is there, and the answer.
async fn turns<T>(asked: impl Future<Output = T>) -> (usize, T) {
    let (mut asked, mut turns) = (std::pin::pin!(asked), 0);
    let answer = std::future::poll_fn(|cx| {
        turns += 1;
        asked.as_mut().poll(cx)
    });
    let answer = answer.await;
    (turns, answer)
}

/// Makes so many config maps in a namespace.
async fn make_maps(cluster: &Cluster, namespace: &str, count: usize) {
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let make = |n: usize| cluster.post(admin(), &path, json!({"metadata": {"name": format!("m{n:04}")}}));
    for made in futures::future::join_all((0..count).map(make)).await {
        made.unwrap();
    }
}

/// Each reflector of a secret or config map had all of the namespace looked through.
#[tokio::test]
async fn a_list_of_one_name_looks_at_one_object() {
    let cluster = Cluster::start().await;
    for namespace in ["many", "few"] {
        cluster.post(admin(), "/api/v1/namespaces", json!({"metadata": {"name": namespace}})).await.unwrap();
    }
    make_maps(&cluster, "many", 2_500).await;
    make_maps(&cluster, "few", 10).await;
    let names = |page: &corten_apiserver::response::ListResponse| -> Vec<String> {
        page.items.iter().map(|item| item.name.to_string()).collect()
    };
    let first = cluster.page(admin(), "/api/v1/namespaces/many/configmaps?limit=5").await;
    for (query, want) in [
        ("fieldSelector=metadata.name%3Dm0007", &["m0007"][..]),
        ("fieldSelector=metadata.name%3Dm0007&limit=1", &["m0007"]),
        ("fieldSelector=metadata.name%3Dm0007,metadata.namespace!%3Dmany,metadata.namespace!%3Dfew", &[]),
        ("fieldSelector=metadata.name%3Dm0007&labelSelector=a", &[]),
        ("fieldSelector=metadata.name%3Dm0007,metadata.name%3Dm0008", &[]),
        ("fieldSelector=metadata.name%3Dnone", &[]),
        ("fieldSelector=metadata.name%3D", &[]),
    ] {
        let of = async |namespace: &str| {
            let path = format!("/api/v1/namespaces/{namespace}/configmaps?{query}");
            let (turns, page) = turns(cluster.page(admin(), &path)).await;
            assert_eq!(
                (names(&page), page.continue_token.as_str(), page.remaining),
                (to_texts(want), "", None),
                "{path}"
            );
            turns
        };
        assert_eq!(of("many").await, of("few").await, "{query}");
    }
    // What was read by the pages before does not come again.
    for (name, want) in [("m0004", &[][..]), ("m0007", &["m0007"])] {
        let query = format!("fieldSelector=metadata.name%3D{name}&continue={}", first.continue_token);
        let page = cluster.page(admin(), &format!("/api/v1/namespaces/many/configmaps?{query}")).await;
        assert_eq!(names(&page), to_texts(want));
    }
    // Without a namespace there may be one in each.
    let all = cluster.page(admin(), "/api/v1/configmaps?fieldSelector=metadata.name%3Dm0007").await;
    assert_eq!(names(&all).len(), 2);
    let node = cluster.page(admin(), "/api/v1/namespaces?fieldSelector=metadata.name%3Dmany").await;
    assert_eq!(names(&node), ["many"]);
    cluster.stop().await;
}

fn to_texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// Each page counted all that came after it, in one go: a list was read half as often as it has pages.
#[tokio::test]
async fn what_remains_is_counted_once_for_all_pages() {
    let cluster = Cluster::start().await;
    make_maps(&cluster, "default", 2_500).await;
    for path in [MAPS, "/api/v1/configmaps"] {
        let whole = cluster.page(admin(), path).await;
        let (mut read, mut token, mut looks) = (0, String::new(), Vec::new());
        loop {
            let (turns, page) = turns(cluster.page(admin(), &format!("{path}?limit=600&continue={token}"))).await;
            looks.push(turns);
            assert_eq!(page.revision, whole.revision);
            let same = whole.items[read..].iter().zip(&page.items).all(|(one, other)| Arc::ptr_eq(one, other));
            assert!(same, "the pages are the list");
            read += page.items.len();
            token = page.continue_token;
            if token.is_empty() {
                assert_eq!(page.remaining, None);
                break;
            }
            assert_eq!(page.remaining, Some((whole.items.len() - read) as u64), "{path} after {read}");
        }
        assert_eq!(read, whole.items.len());
        // The first page of a namespace counts, and that of a collection need not.
        let (first, others) = looks.split_first().unwrap();
        let is_counted = path == MAPS;
        assert_eq!(others.iter().all(|turns| turns < first), is_counted, "{path}: {looks:?}");
    }
    cluster.stop().await;
}
