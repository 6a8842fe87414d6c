//! Requests, counted by what they ask for.
//!
//! Upstream: k8s.io/apiserver/pkg/endpoints/metrics/metrics.go (v1.35).

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use corten_apimachinery::value::Str;
use corten_apiserver::{Request, endpoints::Routes, server::Observer};
use http::{StatusCode, header};
use parking_lot::{Mutex, RwLock};

use super::text::{Page, float};

/// The upper ends of the histogram's buckets, in milliseconds.
const BUCKETS_MS: [u32; 23] = [
    5, 25, 50, 100, 200, 400, 600, 800, 1_000, 1_250, 1_500, 2_000, 3_000, 4_000, 5_000, 6_000, 8_000, 10_000, 15_000,
    20_000, 30_000, 45_000, 60_000,
];

/// The histogram for service levels begins where that for durations has two buckets already.
const SLI_FIRST: usize = 2;

/// Up to so many kinds of requests nobody looks for those that cannot come again: a cluster at work has some hundreds.
const SERIES_FEW: usize = 1_024;

/// What has been asked of this server.
#[derive(Debug, Default)]
pub(super) struct Requests {
    index: RwLock<Index>,
    reads: AtomicU64,
    writes: AtomicU64,
}

#[derive(Debug, Default)]
struct Index {
    by_key: HashMap<Key, usize>,
    /// Those of resources that are served no more go, and leave their place to others.
    all: Vec<Option<Arc<Series>>>,
    free: Vec<usize>,
    /// With so many, it is time to look for such.
    forget_at: usize,
}

impl Index {
    fn add(&mut self, key: Key, routes: &Routes) -> usize {
        if self.by_key.len() >= self.forget_at.max(SERIES_FEW) && !self.by_key.contains_key(&key) {
            self.forget(routes);
            self.forget_at = 2 * self.by_key.len();
        }
        let Self { by_key, all, free, .. } = self;
        let at = *by_key.entry(key).or_insert_with_key(|key| {
            let series =
                Some(Arc::new(Series { key: key.clone(), running: AtomicUsize::new(0), counts: Mutex::default() }));
            match free.pop() {
                Some(at) => {
                    all[at] = series;
                    at
                }
                None => {
                    all.push(series);
                    all.len() - 1
                }
            }
        });
        self.begin(at);
        at
    }

    fn begin(&self, at: usize) {
        if let Some(series) = &self.all[at] {
            series.running.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Forgets what was asked of resources that are not in `routes`, but for what still runs.
    fn forget(&mut self, routes: &Routes) {
        let Self { by_key, all, free, .. } = self;
        by_key.retain(|key, at| {
            let runs = all[*at].as_ref().is_some_and(|series| series.running.load(Ordering::Relaxed) > 0);
            let stays = runs || key.is_served(routes);
            if !stays {
                all[*at] = None;
                free.push(*at);
            }
            stays
        });
    }
}

/// What a request asks for, as far as it has something to do with what is served.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Key {
    verb: &'static str,
    group: Str,
    version: Str,
    resource: Str,
    subresource: Str,
    scope: &'static str,
    is_dry_run: bool,
}

/// Requests of one kind.
#[derive(Debug)]
struct Series {
    key: Key,
    /// How many of them run, and will be counted here.
    running: AtomicUsize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Clone, Default)]
struct Counts {
    /// There are few codes for one kind of request: a search from the front is as fast as any.
    by_code: Vec<(StatusCode, u64)>,
    /// How many ended within each bucket, not within the ones below it, too.
    buckets: [u64; BUCKETS_MS.len()],
    count: u64,
    total: Duration,
}

impl Observer for Requests {
    fn began(&self, routes: &Routes, request: &Request) -> usize {
        let key = Key::of(routes, request);
        if let Some(gauge) = self.gauge(&key) {
            gauge.fetch_add(1, Ordering::Relaxed);
        }
        {
            let index = self.index.read();
            if let Some(&at) = index.by_key.get(&key) {
                index.begin(at);
                return at;
            }
        }
        self.index.write().add(key, routes)
    }

    fn ended(&self, token: usize, code: Option<StatusCode>, took: Duration) {
        let series = self.index.read().all[token].clone().expect("what runs is not forgotten");
        series.running.fetch_sub(1, Ordering::Relaxed);
        if let Some(gauge) = self.gauge(&series.key) {
            gauge.fetch_sub(1, Ordering::Relaxed);
        }
        let Some(code) = code else { return };
        let mut counts = series.counts.lock();
        match counts.by_code.iter_mut().find(|(known, _)| *known == code) {
            Some((_, count)) => *count += 1,
            None => counts.by_code.push((code, 1)),
        }
        if !series.key.is_long() {
            counts.count += 1;
            counts.total += took;
            let bucket = BUCKETS_MS.iter().position(|end| took <= Duration::from_millis((*end).into()));
            if let Some(bucket) = bucket {
                counts.buckets[bucket] += 1;
            }
        }
    }
}

impl Requests {
    /// Where requests of this kind are counted while they run: long ones are not, as they are not limited.
    fn gauge(&self, key: &Key) -> Option<&AtomicU64> {
        match key.verb {
            _ if key.is_long() => None,
            "GET" | "LIST" => Some(&self.reads),
            _ => Some(&self.writes),
        }
    }

    /// Counts from nothing again. What runs is counted when it ends.
    pub(super) fn reset(&self) {
        self.index.read().all.iter().flatten().for_each(|series| *series.counts.lock() = Counts::default());
    }

    /// Writes down what was asked of what `routes` lead to.
    pub(super) fn write(&self, routes: &Routes, page: &mut Page) {
        self.index.write().forget(routes);
        let all: Vec<Arc<Series>> = self.index.read().all.iter().flatten().cloned().collect();
        let mut all: Vec<(&Key, Counts)> =
            all.iter().map(|series| (&series.key, series.counts.lock().clone())).collect();
        all.sort_by_key(|(key, _)| key.order());
        page.family(
            "apiserver_current_inflight_requests",
            "gauge",
            "[STABLE] Maximal number of currently used inflight request limit of this apiserver per request kind in last \
             second.",
        );
        let now = |gauge: &AtomicU64| float(gauge.load(Ordering::Relaxed));
        page.line("", &[("request_kind", "mutating")], now(&self.writes));
        page.line("", &[("request_kind", "readOnly")], now(&self.reads));
        let help = "[STABLE] Response latency distribution in seconds for each verb, dry run value, group, version, \
                    resource, subresource, scope and component.";
        histograms(page, "apiserver_request_duration_seconds", help, &all, 0);
        let help = "[ALPHA] Response latency distribution (not counting webhook duration and priority & fairness queue \
                    wait times) in seconds for each verb, group, version, resource, subresource, scope and component.";
        histograms(page, "apiserver_request_sli_duration_seconds", help, &all, SLI_FIRST);
        page.family(
            "apiserver_request_total",
            "counter",
            "[STABLE] Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, \
             scope, component, and HTTP response code.",
        );
        for (key, counts) in &all {
            for (code, count) in &counts.by_code {
                let [component, dry_run, group, resource, scope, subresource, verb, version] = key.labels();
                let code = ("code", code.as_str());
                let labels = [code, component, dry_run, group, resource, scope, subresource, verb, version];
                page.line("", &labels, float(*count));
            }
        }
    }
}

fn histograms(page: &mut Page, name: &'static str, help: &str, all: &[(&Key, Counts)], first: usize) {
    page.family(name, "histogram", help);
    for (key, counts) in all.iter().filter(|(_, counts)| counts.count > 0) {
        let [component, dry_run, group, resource, scope, subresource, verb, version] = key.labels();
        let mut bucket = |end: &str, count: u64| {
            let labels = [component, dry_run, group, ("le", end), resource, scope, subresource, verb, version];
            page.line("_bucket", &labels, float(count));
        };
        let mut below = 0;
        for (index, (end, count)) in BUCKETS_MS.iter().zip(&counts.buckets).enumerate() {
            below += count;
            if index >= first {
                bucket(&(f64::from(*end) / 1_000.0).to_string(), below);
            }
        }
        bucket("+Inf", counts.count);
        page.line("_sum", &key.labels(), counts.total.as_secs_f64());
        page.line("_count", &key.labels(), float(counts.count));
    }
}

impl Key {
    fn of(routes: &Routes, request: &Request) -> Self {
        let info = &request.info;
        let endpoint = routes.endpoint(&info.group, &info.version, &info.resource).filter(|_| info.is_resource);
        let is_known = endpoint.is_some_and(|endpoint| {
            info.subresource.is_empty()
                || endpoint.version.subresource(&info.subresource).is_some()
                || routes.custom(&info.group, &info.resource, &info.subresource).is_some()
        });
        let is_apply = || request.header(header::CONTENT_TYPE).starts_with("application/apply-patch");
        let connects = matches!(&*info.subresource, "exec" | "attach" | "portforward" | "proxy");
        let verb = match &*info.verb {
            _ if connects && is_known => "CONNECT",
            "get" => "GET",
            "list" => "LIST",
            "watch" => "WATCH",
            "create" | "post" => "POST",
            "update" | "put" => "PUT",
            "patch" if is_apply() => "APPLY",
            "patch" => "PATCH",
            "delete" => "DELETE",
            "deletecollection" => "DELETECOLLECTION",
            _ => "other",
        };
        if !is_known {
            return Self { verb, ..Self::default() };
        }
        let scope = match (&*info.verb, info.name.is_empty(), info.namespace.is_empty()) {
            ("create", ..) | (_, false, _) => "resource",
            (_, true, false) => "namespace",
            (_, true, true) => "cluster",
        };
        Self {
            verb,
            group: info.group.clone(),
            version: info.version.clone(),
            resource: info.resource.clone(),
            subresource: info.subresource.clone(),
            scope,
            is_dry_run: request.query.get("dryRun") == "All",
        }
    }

    /// Whether such requests can still be answered.
    fn is_served(&self, routes: &Routes) -> bool {
        self.resource.is_empty() || routes.endpoint(&self.group, &self.version, &self.resource).is_some()
    }

    /// Whether such requests last as long as the client likes: then the time says nothing about this server.
    fn is_long(&self) -> bool {
        matches!(self.verb, "WATCH" | "CONNECT") || self.subresource == "log"
    }

    /// The labels, in their order.
    fn labels(&self) -> [(&'static str, &str); 8] {
        [
            ("component", "apiserver"),
            ("dry_run", if self.is_dry_run { "All" } else { "" }),
            ("group", &self.group),
            ("resource", &self.resource),
            ("scope", self.scope),
            ("subresource", &self.subresource),
            ("verb", self.verb),
            ("version", &self.version),
        ]
    }

    fn order(&self) -> [String; 8] {
        self.labels().map(|(_, value)| value.to_owned())
    }
}
