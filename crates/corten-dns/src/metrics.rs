//! What the DNS server counts, under the names that `CoreDNS` gives.

use std::sync::atomic::AtomicI64;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The counters of one server. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Answers sent, by transport and code.
    pub responses: Family<ResponseLabels, Counter>,
    /// Answers from the forwarder's cache.
    pub cache_hits: Counter,
    /// Questions that the cache could not answer.
    pub cache_misses: Counter,
    /// Entries that left the cache before their time.
    pub cache_evictions: Counter,
    /// Entries in the cache.
    pub cache_entries: Gauge<i64, AtomicI64>,
    /// Exchanges with a resolver that failed.
    pub forward_failures: Counter,
    /// Questions refused because too many waited for a resolver.
    pub forward_rejects: Counter,
    /// Connections over TCP.
    pub connections: Gauge<i64, AtomicI64>,
}

/// What an answer is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResponseLabels {
    /// Over what it went.
    pub proto: Transport,
    /// Its code's number.
    pub rcode: u32,
}

/// How a query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Transport {
    /// As a datagram.
    Udp,
    /// On a connection.
    Tcp,
}

impl Metrics {
    /// Counters that `registry` shows.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let all = Self::default();
        registry.register("coredns_dns_responses", "Answers sent", all.responses.clone());
        registry.register("coredns_cache_hits", "Answers from the cache", all.cache_hits.clone());
        registry.register("coredns_cache_misses", "Questions the cache could not answer", all.cache_misses.clone());
        registry.register("coredns_cache_evictions", "Entries that made room for others", all.cache_evictions.clone());
        registry.register("coredns_cache_entries", "Entries in the cache", all.cache_entries.clone());
        registry.register("coredns_forward_failures", "Failed exchanges with a resolver", all.forward_failures.clone());
        registry.register(
            "coredns_forward_max_concurrent_rejects",
            "Questions refused because too many waited",
            all.forward_rejects.clone(),
        );
        registry.register("corten_dns_connections", "Connections over TCP", all.connections.clone());
        all
    }

    pub(crate) fn response(&self, proto: Transport, message: &[u8]) {
        let rcode = u32::from(message.get(3).copied().unwrap_or(0) & 0xf);
        self.responses.get_or_create(&ResponseLabels { proto, rcode }).inc();
    }
}
