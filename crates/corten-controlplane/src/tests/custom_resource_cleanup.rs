//! What is under way when a definition goes.

use corten_apimachinery::Value;
use corten_client::PatchKind;
use futures::future::OptionFuture;
use serde_json::json;

use super::custom_resources::{CRDS, TABS, definition, tab, until, until_established};
use crate::testing::{Cluster, Hold, admin};

const NAME: &str = "crontabs.example.com";

/// A create that came before its definition was changed wrote through the store of old, which the clean-up did not close: its
/// object was there after the clean-up, and came back with the next definition of that name. So did one whose client had gone.
#[tokio::test]
async fn a_create_through_a_replaced_store_is_waited_for_by_the_clean_up() {
    for has_client_gone in [false, true] {
        let hold = Hold::new();
        let cluster = Cluster::start_held(&hold).await;
        cluster.post(admin(), CRDS, definition("crontabs", "CronTab", "ct")).await.unwrap();
        until_established(&cluster, NAME).await;
        hold.hold("/late");
        let mut create = Box::pin(cluster.post(admin(), TABS, tab("late", json!({"cron": "*"}))));
        tokio::select! {
            biased;
            made = &mut create => panic!("it is held: {made:?}"),
            () = hold.held() => {}
        }
        let create = (!has_client_gone).then_some(create);
        let path = format!("{CRDS}/{NAME}");
        let shorter = json!({"spec": {"names": {"shortNames": ["c"]}}});
        cluster.patch(admin(), &path, PatchKind::Merge, shorter).await.unwrap();
        until(&cluster, NAME, |definition| {
            let accepted = definition.map(|it| it.items_at(&["status", "acceptedNames", "shortNames"]));
            accepted == Some(&[Value::from("c")][..])
        })
        .await;
        cluster.delete(admin(), &path).await.unwrap();
        for _ in 0..1_000 {
            // The clean-up does what it can.
            tokio::task::yield_now().await;
        }
        assert!(cluster.get(admin(), &path).await.is_ok(), "a create is under way");
        hold.release();
        OptionFuture::from(create).await.transpose().unwrap();
        until(&cluster, NAME, |definition| definition.is_none()).await;
        cluster.post(admin(), CRDS, definition("crontabs", "CronTab", "ct")).await.unwrap();
        until_established(&cluster, NAME).await;
        assert_eq!(cluster.get(admin(), TABS).await.unwrap(), Value::Int(0), "how many there are");
        cluster.post(admin(), TABS, tab("late", json!({"cron": "*"}))).await.unwrap();
        cluster.stop().await;
    }
}

/// A create had left before reads waited for it, and one whose client had gone was never waited for: where the cache had not
/// heard of it yet, the clean-up found nothing, and the object outlived its definition.
#[tokio::test]
async fn a_create_of_which_the_cache_has_not_heard_is_cleaned_up() {
    let hold = Hold::new();
    let cluster = Cluster::start_held(&hold).await;
    cluster.post(admin(), CRDS, definition("crontabs", "CronTab", "ct")).await.unwrap();
    until_established(&cluster, NAME).await;
    hold.hold("/late");
    let mut create = Box::pin(cluster.post(admin(), TABS, tab("late", json!({"cron": "*"}))));
    tokio::select! {
        biased;
        made = &mut create => panic!("it is held: {made:?}"),
        () = hold.held() => {}
    }
    drop(create);
    hold.hold_watches("/registry/example.com/crontabs/");
    let path = format!("{CRDS}/{NAME}");
    cluster.delete(admin(), &path).await.unwrap();
    hold.release();
    for _ in 0..1_000 {
        // The clean-up does what it can.
        tokio::task::yield_now().await;
    }
    assert!(cluster.get(admin(), &path).await.is_ok(), "its object has not gone");
    hold.release_watches();
    until(&cluster, NAME, |definition| definition.is_none()).await;
    cluster.post(admin(), CRDS, definition("crontabs", "CronTab", "ct")).await.unwrap();
    until_established(&cluster, NAME).await;
    assert_eq!(cluster.get(admin(), TABS).await.unwrap(), Value::Int(0), "how many there are");
    cluster.stop().await;
}
