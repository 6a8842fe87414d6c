//! Exponential back-off with a ceiling and optional jitter.

use std::time::Duration;

use crate::rng::Rng;

/// Delays that grow by `factor` from `initial` to `max`.
#[derive(Debug, Clone, PartialEq)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    factor: f64,
    jitter: f64,
    next: Duration,
}

impl Backoff {
    /// Doubles from `initial` up to `max`, without jitter.
    #[must_use]
    pub fn doubling(initial: Duration, max: Duration) -> Self {
        Self { initial, max, factor: 2.0, jitter: 0.0, next: initial }
    }

    /// Adds up to `jitter` times the delay, drawn anew each time.
    #[must_use]
    pub fn with_jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// The next delay; the one after it is longer.
    pub fn next(&mut self, rng: &dyn Rng) -> Duration {
        let delay = self.next;
        self.next = self.next.mul_f64(self.factor).min(self.max);
        if self.jitter > 0.0 { delay + delay.mul_f64(self.jitter * rng.fraction()) } else { delay }
    }

    /// Starts again at the initial delay.
    pub fn reset(&mut self) {
        self.next = self.initial;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SimRng;

    #[test]
    fn delays_double_up_to_the_ceiling_and_start_again() {
        let (rng, secs) = (SimRng::shared(1), Duration::from_secs);
        let mut backoff = Backoff::doubling(secs(10), secs(35));
        assert_eq!([(); 4].map(|()| backoff.next(&*rng)), [secs(10), secs(20), secs(35), secs(35)]);
        backoff.reset();
        assert_eq!(backoff.next(&*rng), secs(10));
    }
}
