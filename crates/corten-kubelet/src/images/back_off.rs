//! When a pull that failed may be tried again.
//!
//! Upstream: k8s.io/client-go/util/flowcontrol `Backoff`, as pkg/kubelet/images uses it (v1.35).

use std::{collections::HashMap, time::Duration};

/// The first wait.
const INITIAL: Duration = Duration::from_secs(10);
/// The longest wait. Upstream: `MaxImageBackOff`.
const MAX: Duration = Duration::from_secs(300);

/// Failed pulls, by pod and image. Entries go with their pod.
#[derive(Debug, Default)]
pub struct PullBackOff {
    entries: HashMap<String, HashMap<String, Entry>>,
}

#[derive(Debug)]
struct Entry {
    delay: Duration,
    since: Duration,
    error: String,
}

impl PullBackOff {
    /// Why the image must not be pulled yet at `now` (monotonic): the last error.
    #[must_use]
    pub fn waits(&self, pod_uid: &str, image: &str, now: Duration) -> Option<&str> {
        let entry = self.entries.get(pod_uid)?.get(image)?;
        (now.saturating_sub(entry.since) < entry.delay).then_some(entry.error.as_str())
    }

    /// A pull failed.
    pub fn failed(&mut self, pod_uid: &str, image: &str, error: String, now: Duration) {
        let images = self.entries.entry(pod_uid.to_owned()).or_default();
        let delay = match images.get(image) {
            // Long ago: start anew.
            Some(entry) if now.saturating_sub(entry.since) <= 2 * MAX => (entry.delay * 2).min(MAX),
            _ => INITIAL,
        };
        images.insert(image.to_owned(), Entry { delay, since: now, error });
    }

    /// A pull succeeded.
    pub fn succeeded(&mut self, pod_uid: &str, image: &str) {
        if let Some(images) = self.entries.get_mut(pod_uid) {
            images.remove(image);
            if images.is_empty() {
                self.entries.remove(pod_uid);
            }
        }
    }

    /// The pod is gone.
    pub fn forget(&mut self, pod_uid: &str) {
        self.entries.remove(pod_uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_minutes_and_start_anew_later() {
        let secs = Duration::from_secs;
        let (mut back_off, mut now, mut waited) = (PullBackOff::default(), secs(0), Vec::new());
        for _ in 0..7 {
            back_off.failed("u", "i", "why".into(), now);
            let delay = (0..=400).find(|wait| back_off.waits("u", "i", now + secs(*wait)).is_none()).unwrap();
            waited.push(delay);
            now += secs(delay);
        }
        assert_eq!(waited, [10, 20, 40, 80, 160, 300, 300]);
        now += secs(601);
        back_off.failed("u", "i", "why".into(), now);
        assert_eq!(back_off.waits("u", "i", now + secs(9)), Some("why"));
        assert_eq!(back_off.waits("u", "i", now + secs(10)), None);
        assert_eq!(back_off.waits("other", "i", now), None);
        back_off.succeeded("u", "i");
        assert_eq!(back_off.waits("u", "i", now), None);
    }
}
