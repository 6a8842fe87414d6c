//! `/healthz`, `/livez`, `/readyz`: whether the server works, and with `?verbose` what of it.
//!
//! Upstream: k8s.io/apiserver/pkg/server/healthz (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::status::Status;
use corten_apiserver::{
    Reply, Request, Server,
    endpoints::{NonResource, RoutesBuilder},
    registry::Store,
};
use corten_base::ErrorChain;
use corten_storage::kv::KvEngine;
use http::StatusCode;

use crate::{
    bootstrap::{Progress, Step},
    metrics::Slis,
};

/// One health path.
#[derive(Debug)]
struct Health {
    name: &'static str,
    /// Whether this is about being ready, and not only alive.
    is_readiness: bool,
    engine: Arc<dyn KvEngine>,
    stores: Vec<Arc<Store>>,
    bootstrap: Progress,
    slis: Arc<Slis>,
}

pub(crate) fn install(
    routes: &mut RoutesBuilder,
    engine: &Arc<dyn KvEngine>,
    stores: &[Arc<Store>],
    bootstrap: &Progress,
    slis: &Arc<Slis>,
) {
    for name in ["healthz", "livez", "readyz"] {
        let health = Arc::new(Health {
            name,
            is_readiness: name == "readyz",
            engine: Arc::clone(engine),
            stores: stores.to_vec(),
            bootstrap: bootstrap.clone(),
            slis: Arc::clone(slis),
        });
        routes.path(&format!("/{name}"), Arc::clone(&health) as _);
        routes.prefix(&format!("/{name}/"), health);
    }
}

impl Health {
    /// Every check with its result, under the names that upstream has for the same.
    async fn checks(&self, has_all_routes: bool) -> Vec<(&'static str, bool)> {
        let store_works = store_works(&*self.engine).await.is_ok();
        let mut checks = vec![("ping", true), ("log", true), ("etcd", store_works)];
        if self.is_readiness {
            checks.push(("etcd-readiness", store_works));
            checks.push(("informer-sync", self.stores.iter().all(|store| store.cacher().is_ready())));
        }
        // Both are part of building the server, which nobody can ask before.
        checks.push(("poststarthook/start-apiserver-admission-initializer", true));
        checks.push(("poststarthook/generic-apiserver-start-informers", true));
        checks.push(("poststarthook/crd-informer-synced", has_all_routes));
        checks.extend(Step::ALL.map(|(step, name)| (name, self.bootstrap.has(step))));
        if self.is_readiness {
            checks.push(("shutdown", !self.bootstrap.is_stopping()));
        }
        checks
    }
}

#[async_trait]
impl NonResource for Health {
    async fn handle(&self, server: &Arc<Server>, request: Request) -> Result<Reply, Status> {
        let checks = self.checks(server.has_all_routes()).await;
        let path = request.info.path.trim_matches('/');
        if let Some((_, wanted)) = path.split_once('/') {
            let found = checks.iter().find(|(name, _)| *name == wanted);
            if let Some(&(name, is_well)) = found {
                self.slis.note(name, self.name, is_well);
            }
            return Ok(match found {
                Some((_, true)) => Reply::text(StatusCode::OK, "ok"),
                Some((_, false)) => {
                    Reply::text(StatusCode::INTERNAL_SERVER_ERROR, "internal server error: reason withheld\n")
                }
                None => Reply::text(StatusCode::NOT_FOUND, "404 page not found\n"),
            });
        }
        for &(name, is_well) in &checks {
            self.slis.note(name, self.name, is_well);
        }
        let mut excluded: Vec<&str> = request.query.all("exclude").collect();
        let (lines, failed) = report(&checks, &mut excluded);
        Ok(match (failed, request.query.find("verbose").is_some()) {
            (true, _) => Reply::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{lines}{} check failed\n", self.name)),
            (false, true) => Reply::text(StatusCode::OK, format!("{lines}{} check passed\n", self.name)),
            (false, false) => Reply::text(StatusCode::OK, "ok"),
        })
    }
}

/// Whether the store answers and did what it was last told to write: with leases to renew, that was seconds ago. A full
/// disk is not counted, as etcd answers then, too.
///
/// Errors: what is wrong with it.
pub(crate) async fn store_works(engine: &dyn KvEngine) -> Result<(), String> {
    let status = engine.status().await.map_err(|error| ErrorChain(&error).to_string())?;
    if status.writes_fail { Err("the store failed the last write".to_owned()) } else { Ok(()) }
}

/// One line per check, and whether one failed that is not `excluded`.
fn report(checks: &[(&str, bool)], excluded: &mut Vec<&str>) -> (String, bool) {
    let (mut lines, mut failed) = (String::new(), false);
    for &(name, ok) in checks {
        let line = if excluded.contains(&name) {
            excluded.retain(|excluded| *excluded != name);
            format!("[+]{name} excluded: ok\n")
        } else if ok {
            format!("[+]{name} ok\n")
        } else {
            failed = true;
            format!("[-]{name} failed: reason withheld\n")
        };
        lines.push_str(&line);
    }
    if !excluded.is_empty() {
        let names: Vec<String> = excluded.iter().map(|name| corten_apimachinery::field::quote(name)).collect();
        lines.push_str(&format!("warn: some health checks cannot be excluded: no matches for {}\n", names.join(",")));
    }
    (lines, failed)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bytes::Bytes;
    use corten_base::{Shutdown, SimClock, TaskSet};
    use corten_storage::{
        kv::{GetResponse, KvError, ListPage, ListRequest, Outcome, Revision, Status as StoreStatus, Watch, Write},
        memory::{MemoryEngine, MemoryStore},
    };

    use super::*;
    use crate::testing::{Cluster, admin};

    /// A store whose last write has failed.
    #[derive(Debug)]
    struct Failed(MemoryEngine);

    #[async_trait]
    impl KvEngine for Failed {
        async fn get(&self, key: &[u8], revision: Option<Revision>) -> Result<GetResponse, KvError> {
            self.0.get(key, revision).await
        }

        async fn list(&self, request: ListRequest) -> Result<ListPage, KvError> {
            self.0.list(request).await
        }

        async fn count(&self, prefix: &[u8]) -> Result<u64, KvError> {
            self.0.count(prefix).await
        }

        async fn commit(&self, batch: Vec<Write>) -> Result<Vec<Outcome>, KvError> {
            self.0.commit(batch).await
        }

        async fn watch(&self, prefix: Bytes, after: Revision) -> Result<Watch, KvError> {
            self.0.watch(prefix, after).await
        }

        async fn request_progress(&self, prefix: &[u8]) -> Result<(), KvError> {
            self.0.request_progress(prefix).await
        }

        async fn compact(&self, revision: Revision) -> Result<(), KvError> {
            self.0.compact(revision).await
        }

        async fn status(&self) -> Result<StoreStatus, KvError> {
            Ok(StoreStatus { writes_fail: true, ..self.0.status().await? })
        }

        async fn backup(&self, target: &Path) -> Result<Revision, KvError> {
            self.0.backup(target).await
        }
    }

    #[test]
    fn a_check_that_fails_counts_unless_it_is_excluded() {
        let checks = [("ping", true), ("etcd", false)];
        let check = |excluded: &[&str], want: (&str, bool)| {
            let (lines, failed) = report(&checks, &mut excluded.to_vec());
            assert_eq!((lines.as_str(), failed), want);
        };
        check(&[], ("[+]ping ok\n[-]etcd failed: reason withheld\n", true));
        check(&["etcd"], ("[+]ping ok\n[+]etcd excluded: ok\n", false));
        check(
            &["etcd", "x"],
            (
                "[+]ping ok\n[+]etcd excluded: ok\nwarn: some health checks cannot be excluded: no matches for \"x\"\n",
                false,
            ),
        );
    }

    /// The check asked for figures that are in memory, and could not fail.
    #[tokio::test]
    async fn a_store_that_does_not_write_is_not_well() {
        let (tasks, (stop, shutdown)) = (TaskSet::new("test"), Shutdown::new());
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let engine = MemoryEngine::open(&MemoryStore::default(), clock, &tasks, &shutdown);
        assert_eq!(store_works(&engine).await, Ok(()));
        let health = Health {
            name: "readyz",
            is_readiness: true,
            engine: Arc::new(Failed(engine)),
            stores: Vec::new(),
            bootstrap: Progress::default(),
            slis: Arc::default(),
        };
        assert_eq!(store_works(&*health.engine).await, Err("the store failed the last write".to_owned()));
        let checks = health.checks(true).await;
        for (name, want) in [("ping", true), ("etcd", false), ("etcd-readiness", false)] {
            assert!(checks.contains(&(name, want)), "{name} of {checks:?}");
        }
        stop.request();
        tasks.join().await.unwrap();
    }

    #[tokio::test]
    async fn what_is_ready_is_listed() {
        let cluster = Cluster::start().await;
        let text = cluster.get(admin(), "/readyz?verbose").await.unwrap();
        assert_eq!(
            text.as_str(),
            Some(
                "[+]ping ok\n[+]log ok\n[+]etcd ok\n[+]etcd-readiness ok\n[+]informer-sync ok\n\
                 [+]poststarthook/start-apiserver-admission-initializer ok\n\
                 [+]poststarthook/generic-apiserver-start-informers ok\n\
                 [+]poststarthook/crd-informer-synced ok\n\
                 [+]poststarthook/priority-and-fairness-config-producer ok\n\
                 [+]poststarthook/start-system-namespaces-controller ok\n\
                 [+]poststarthook/start-cluster-authentication-info-controller ok\n\
                 [+]poststarthook/start-service-ip-repair-controllers ok\n\
                 [+]poststarthook/rbac/bootstrap-roles ok\n\
                 [+]poststarthook/scheduling/bootstrap-system-priority-classes ok\n\
                 [+]poststarthook/bootstrap-controller ok\n\
                 [+]poststarthook/start-kubernetes-service-cidr-controller ok\n\
                 [+]poststarthook/kube-apiserver-autoregistration ok\n\
                 [+]autoregister-completion ok\n[+]shutdown ok\nreadyz check passed\n"
            )
        );
        assert_eq!(cluster.get(admin(), "/livez").await.unwrap().as_str(), Some("ok"));
        assert_eq!(cluster.get(admin(), "/livez/etcd").await.unwrap().as_str(), Some("ok"));
        cluster.stop().await;
    }
}
