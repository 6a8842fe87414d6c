use super::*;

fn event(revision: Revision, key: &'static str) -> Event {
    Event { key: key.into(), value: Some("v".into()), prev_value: None, create_revision: revision, revision }
}

fn watch(hub: &WatchHub, prefix: &'static str, after: Revision) -> mpsc::Receiver<Result<WatchBatch, KvError>> {
    let (sender, receiver) = WatchSender::new();
    assert!(matches!(hub.attach(&prefix.into(), after, sender), Attach::Attached));
    receiver
}

#[track_caller]
fn check(receiver: &mut mpsc::Receiver<Result<WatchBatch, KvError>>, want: &[(&[Revision], Revision)]) {
    for (events, revision) in want {
        let batch = receiver.try_recv().unwrap().unwrap();
        assert_eq!(batch.events.iter().map(|event| event.revision).collect::<Vec<_>>(), *events);
        assert_eq!(batch.revision, *revision);
    }
    assert!(matches!(receiver.try_recv(), Err(mpsc::error::TryRecvError::Empty)));
}

#[test]
fn finds_every_watched_prefix_of_a_key() {
    let watched = ["", "/a", "/a/b", "/a/bc", "/a/b/c", "/a/b/c/d", "/b", "/a/0"];
    let map: BTreeMap<Bytes, ()> = watched.iter().map(|prefix| (Bytes::from_static(prefix.as_bytes()), ())).collect();
    let find = |key: &'static str| -> Vec<_> {
        prefixes_of(&map, key.as_bytes()).map(|prefix| std::str::from_utf8(prefix).unwrap().to_owned()).collect()
    };
    assert_eq!(find("/a/b/c"), ["/a/b/c", "/a/b", "/a", ""]);
    assert_eq!(find("/a/b/b"), ["/a/b", "/a", ""]);
    assert_eq!(find("/a/bcd"), ["/a/bc", "/a/b", "/a", ""]);
    assert_eq!(find("zzz"), [""]);
    assert_eq!(find(""), [""]);
}

#[test]
fn a_watch_from_a_recent_revision_misses_nothing() {
    let hub = WatchHub::new(10);
    hub.publish(vec![event(11, "/a/1"), event(12, "/b/1")]);
    hub.publish(vec![event(13, "/a/2")]);
    let (mut all, mut one) = (watch(&hub, "/a", 10), watch(&hub, "/a", 12));
    hub.publish(vec![event(14, "/a/3"), event(15, "/b/2")]);
    check(&mut all, &[(&[11, 13], 13), (&[14], 15)]);
    check(&mut one, &[(&[13], 13), (&[14], 15)]);
    assert_eq!(hub.recent_value(12), Some("v".into()));
    assert_eq!(hub.recent_value(10), None);
}

#[test]
fn a_watch_from_long_ago_is_sent_to_the_store() {
    let hub = WatchHub::new(10);
    hub.publish(vec![event(11, "/a")]);
    let (sender, _receiver) = WatchSender::new();
    assert!(matches!(hub.attach(&"/".into(), 9, sender), Attach::Behind { until: 10, .. }));
}

/// It was told nothing, which means that the engine has closed: its watch cache ended for good.
#[tokio::test]
async fn a_watcher_whose_buffer_is_full_when_it_is_attached_is_told_that_it_fell_behind() {
    let hub = WatchHub::new(10);
    hub.publish(vec![event(11, "/a")]);
    let (sender, mut receiver) = WatchSender::with_buffer(2);
    // What the store had before.
    assert!(sender.send(Ok(WatchBatch { events: Arc::default(), revision: 10 })).await);
    assert!(matches!(hub.attach(&"/".into(), 10, sender), Attach::Attached));
    hub.publish(vec![event(12, "/a")]);
    assert!(matches!(receiver.recv().await, Some(Ok(WatchBatch { revision: 10, .. }))));
    assert!(matches!(receiver.recv().await, Some(Err(KvError::Lagged))));
    assert!(receiver.recv().await.is_none());
}

#[test]
fn watchers_of_a_prefix_share_their_events() {
    let hub = WatchHub::new(0);
    let (mut one, mut two) = (watch(&hub, "/a", 0), watch(&hub, "/a", 0));
    hub.publish(vec![event(1, "/a/1")]);
    let (one, two) = (one.try_recv().unwrap().unwrap(), two.try_recv().unwrap().unwrap());
    assert!(Arc::ptr_eq(&one.events, &two.events));
}

#[test]
fn a_mark_goes_to_those_who_have_not_heard() {
    let hub = WatchHub::new(0);
    let (mut a, mut b) = (watch(&hub, "/a", 0), watch(&hub, "/b", 0));
    hub.publish(vec![event(1, "/a/1")]);
    hub.mark(b"/c");
    check(&mut b, &[]);
    hub.mark(b"/b");
    hub.mark_all();
    check(&mut a, &[(&[1], 1)]);
    check(&mut b, &[(&[], 1)]);
}

#[test]
fn a_watcher_that_does_not_read_is_told_once_and_dropped() {
    let hub = WatchHub::new(0);
    let mut slow = watch(&hub, "/", 0);
    for revision in 1..=2 * WATCH_BUFFER as u64 {
        hub.publish(vec![event(revision, "/a")]);
    }
    let mut seen = 0;
    loop {
        match slow.try_recv().unwrap() {
            Ok(batch) => seen = batch.revision,
            Err(error) => break assert!(matches!(error, KvError::Lagged)),
        }
    }
    assert_eq!(seen, WATCH_BUFFER as u64 - 1);
    assert!(matches!(slow.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)));
}

#[test]
fn a_closed_hub_ends_its_watches() {
    let hub = WatchHub::new(0);
    let mut watcher = watch(&hub, "/", 0);
    hub.close();
    assert!(matches!(watcher.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)));
}

#[test]
fn what_is_remembered_is_bounded() {
    let hub = WatchHub::new(0);
    let big = |revision| Event { value: Some(vec![0; RECENT_BYTES_MAX / 2].into()), ..event(revision, "/a") };
    (1..=10).for_each(|revision| hub.publish(vec![big(revision)]));
    assert_eq!(hub.recent_value(1), None);
    assert!(hub.recent_value(10).is_some());
    assert!(hub.state.lock().recent_bytes <= RECENT_BYTES_MAX);
}
