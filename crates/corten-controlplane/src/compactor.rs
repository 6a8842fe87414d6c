//! Forgets the store's history when nobody can need it any more: otherwise every version of every object stays for ever.
//!
//! Upstream: k8s.io/apiserver/pkg/storage/etcd3/compact.go (v1.35), `--etcd-compaction-interval`.

use std::{sync::Arc, time::Duration};

use corten_base::{ErrorChain, SharedClock, Shutdown};
use corten_storage::{
    cacher::Cacher,
    kv::{KvEngine, KvError, Revision},
};

/// How often upstream compacts unless told otherwise.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(300);

/// Forgets, every `interval`, what was history already one interval before: a list can be continued, and an old version be
/// read, for one to two intervals. Never for an interval of zero. A failure is said, and tried again the next time.
/// `caches` gives those that there are at the time: custom resources come and go.
pub(crate) async fn run(
    engine: Arc<dyn KvEngine>,
    caches: impl Fn() -> Vec<Cacher>,
    interval: Duration,
    clock: SharedClock,
    shutdown: Shutdown,
) {
    if interval.is_zero() {
        return;
    }
    let work = async {
        let mut seen = None;
        loop {
            clock.sleep(interval).await;
            match compact(&*engine, &caches(), seen).await {
                Ok(current) => seen = Some(current),
                Err(error) => tracing::warn!(err = %ErrorChain(&error), "Could not forget the store's history"),
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown.requested() => {}
        () = work => {}
    }
}

/// Forgets what came before `revision`; gives the current one.
pub(crate) async fn compact(
    engine: &dyn KvEngine,
    caches: &[Cacher],
    revision: Option<Revision>,
) -> Result<Revision, KvError> {
    let status = engine.status().await?;
    if let Some(revision) = revision.filter(|revision| *revision > status.compact_revision) {
        engine.compact(revision).await?;
        caches.iter().for_each(|cache| cache.forget_before(revision));
        tracing::debug!(revision, "Forgot the store's history");
    }
    Ok(status.revision)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use corten_apimachinery::gvk::GroupVersionResource;
    use corten_base::{SimClock, TaskSet};
    use corten_client::{ListOptions, Target};
    use corten_storage::{
        kv::{Change, Expected, Write},
        memory::{MemoryEngine, MemoryStore},
    };

    use serde_json::json;

    use super::*;
    use crate::testing::{Cluster, admin};

    /// The token to go on with was named among the causes, where no client looks.
    #[tokio::test]
    async fn a_list_from_before_is_finished_in_the_newest_state() {
        let cluster = Cluster::start().await;
        let maps = "/api/v1/namespaces/default/configmaps";
        let make = async |name: &str| cluster.post(admin(), maps, json!({"metadata": {"name": name}})).await.unwrap();
        for name in ["a", "b", "c"] {
            make(name).await;
        }
        let client = cluster.client(admin());
        let resource = GroupVersionResource::new("", "v1", "configmaps");
        let page = async |token: &str| {
            let options = ListOptions { limit: 1, continue_token: token.to_owned(), ..ListOptions::default() };
            client.list(Target::collection(&resource, "default"), &options).await
        };
        let token = page("").await.unwrap().continue_token;
        make("aa").await;
        assert_eq!(page(&token).await.unwrap().items[0].name, "b", "the state of the first page");
        cluster.compact().await;
        let expired = cluster.failure(&format!("{maps}?limit=1&continue={token}"), admin()).await;
        assert_eq!((expired.i64_at(&["code"]), expired.get("details")), (Some(410), None));
        let fresh = expired.str_at(&["metadata", "continue"]).unwrap();
        assert_eq!(page(fresh).await.unwrap().items[0].name, "b");
        cluster.stop().await;
    }

    #[tokio::test]
    async fn history_is_forgotten_after_one_interval_and_before_two() {
        let (tasks, (trigger, shutdown)) = (TaskSet::new("test"), Shutdown::new());
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let engine = Arc::new(MemoryEngine::open(&MemoryStore::default(), clock.clone(), &tasks, &shutdown));
        tasks.spawn("compactor", run(engine.clone(), Vec::new, DEFAULT_INTERVAL, clock.clone(), shutdown));
        let put = async |key: &'static str| {
            let change = Change::Put { value: Bytes::from_static(b"{}"), expires_at: None };
            let key = Bytes::from_static(key.as_bytes());
            engine.commit(vec![Write { key, expected: Expected::Absent, change }]).await.unwrap();
        };
        let compacted = async || {
            // Everything runs on this thread: whoever can go on does so before this comes to its turn again.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            engine.status().await.unwrap().compact_revision
        };
        put("/a").await;
        assert_eq!(compacted().await, 0);
        clock.advance(DEFAULT_INTERVAL);
        assert_eq!(compacted().await, 0, "somebody may have listed a moment ago");
        put("/b").await;
        clock.advance(DEFAULT_INTERVAL);
        assert_eq!(compacted().await, 1);
        clock.advance(DEFAULT_INTERVAL);
        assert_eq!(compacted().await, 2);
        trigger.request();
        tasks.join().await.unwrap();
    }
}
