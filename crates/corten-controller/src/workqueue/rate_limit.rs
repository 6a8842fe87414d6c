//! Back-off of keys that fail: exponential for each key, and optionally a bucket for all of them.
//!
//! Upstream: k8s.io/client-go/util/workqueue/default_rate_limiters.go (v1.35).

use std::{collections::BTreeMap, time::Duration};

/// How fast failing keys come back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    /// The delay after the first failure of a key; doubles with each.
    pub initial: Duration,
    /// The longest delay of a key.
    pub max: Duration,
    /// A limit for all keys together; the longer of both delays holds.
    pub bucket: Option<Bucket>,
}

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Tokens that come back each second.
    pub per_second: f64,
    /// Tokens in the full bucket.
    pub burst: u32,
}

impl Default for RateLimit {
    /// Upstream's default for controllers: 5 ms doubling up to 1000 s for each key, and 10 each second with a burst of
    /// 100 for all.
    fn default() -> Self {
        Self { bucket: Some(Bucket { per_second: 10.0, burst: 100 }), ..Self::per_key() }
    }
}

impl RateLimit {
    /// 5 ms doubling up to 1000 s for each key, without a limit for all.
    #[must_use]
    pub const fn per_key() -> Self {
        Self { initial: Duration::from_millis(5), max: Duration::from_secs(1000), bucket: None }
    }
}

/// Capacity: the keys that have failed since they last succeeded; `forget` takes a key out.
#[derive(Debug)]
pub(super) struct RateLimiter<K> {
    limit: RateLimit,
    failures: BTreeMap<K, u32>,
    /// Tokens at `tokens_at`; below zero when tokens of the future are taken already.
    tokens: f64,
    tokens_at: Duration,
}

impl<K: Ord + Clone> RateLimiter<K> {
    pub(super) fn new(limit: RateLimit) -> Self {
        let tokens = limit.bucket.map_or(0.0, |bucket| bucket.burst.into());
        Self { limit, failures: BTreeMap::new(), tokens, tokens_at: Duration::ZERO }
    }

    /// Counts a failure of `key` and says how long it has to wait.
    pub(super) fn next_delay(&mut self, key: &K, now: Duration) -> Duration {
        let failures = self.failures.entry(key.clone()).or_default();
        // 2^63 is beyond any ceiling that a duration can express in whole units; the shift must not wrap.
        let factor = 1_u64 << (*failures).min(63);
        *failures = failures.saturating_add(1);
        let nanos = self.limit.initial.as_nanos().saturating_mul(factor.into());
        let delay = Duration::from_nanos(nanos.min(self.limit.max.as_nanos()).try_into().unwrap_or(u64::MAX));
        delay.max(self.take_token(now))
    }

    fn take_token(&mut self, now: Duration) -> Duration {
        let Some(bucket) = self.limit.bucket else { return Duration::ZERO };
        let earned = now.saturating_sub(self.tokens_at).as_secs_f64() * bucket.per_second;
        self.tokens = (self.tokens + earned).min(bucket.burst.into()) - 1.0;
        self.tokens_at = now;
        if self.tokens >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-self.tokens / bucket.per_second) }
    }

    pub(super) fn forget(&mut self, key: &K) {
        self.failures.remove(key);
    }

    pub(super) fn failures(&self, key: &K) -> u32 {
        self.failures.get(key).copied().unwrap_or_default()
    }
}
