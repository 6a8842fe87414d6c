//! The queue by hand, and against a model under random operations.

use std::{collections::BTreeSet, sync::Arc};

use corten_base::{Clock as _, SimClock, SimRng};
use futures::{FutureExt as _, future};

use super::*;

fn queue() -> (Arc<SimClock>, WorkQueue<u64>) {
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    (clock.clone(), WorkQueue::new("test", RateLimit::per_key(), clock))
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_key_added_twice_is_handed_out_once() {
    let (_clock, queue) = queue();
    queue.add(1);
    queue.add(2);
    queue.add(1);
    assert_eq!([queue.try_next(), queue.try_next(), queue.try_next()], [Some(1), Some(2), None]);
    assert_eq!(queue.metrics().adds, 2);
}

#[test]
fn a_key_added_while_in_work_waits_until_that_is_done() {
    let (_clock, queue) = queue();
    queue.add(1);
    assert_eq!(queue.try_next(), Some(1));
    queue.add(1);
    queue.add(1);
    assert_eq!(queue.try_next(), None);
    queue.done(&1);
    assert_eq!(queue.try_next(), Some(1));
    queue.done(&1);
    assert_eq!(queue.try_next(), None);
}

#[test]
fn delayed_keys_come_in_the_order_of_their_times() {
    let (clock, queue) = queue();
    queue.add_after(1, ms(300));
    queue.add_after(2, ms(100));
    queue.add_after(1, ms(200));
    queue.add_after(1, ms(900));
    clock.advance(ms(99));
    assert_eq!(queue.try_next(), None);
    clock.advance(ms(101));
    assert_eq!([queue.try_next(), queue.try_next()], [Some(2), Some(1)]);
    queue.done(&1);
    clock.advance(ms(10_000));
    assert_eq!(queue.try_next(), None);
}

#[test]
fn a_waiting_worker_notices_an_earlier_delay() {
    let (clock, queue) = queue();
    queue.add_after(1, ms(1_000));
    let mut next = Box::pin(queue.next());
    assert_eq!((&mut next).now_or_never(), None);
    queue.add_after(2, ms(10));
    assert_eq!((&mut next).now_or_never(), None);
    clock.advance(ms(10));
    assert_eq!(next.now_or_never(), Some(Some(2)));
}

#[test]
fn a_busy_worker_leaves_the_timer_to_another() {
    let (clock, queue) = queue();
    let (mut one, mut two) = (Box::pin(queue.next()), Box::pin(queue.next()));
    assert_eq!((&mut one).now_or_never(), None);
    assert_eq!((&mut two).now_or_never(), None);
    queue.add_after(7, ms(10));
    queue.add(1);
    assert_eq!((&mut one).now_or_never(), Some(Some(1)));
    assert_eq!((&mut two).now_or_never(), None);
    clock.advance(ms(10));
    assert_eq!(two.now_or_never(), Some(Some(7)));
}

#[test]
fn failures_double_the_delay_up_to_the_ceiling_and_are_forgotten() {
    let (clock, queue) = queue();
    let delays: Vec<_> = (0..20).map(|_| queue.add_rate_limited(1)).collect();
    assert_eq!(delays[..4], [ms(5), ms(10), ms(20), ms(40)]);
    assert_eq!(delays[17..], [ms(655_360), ms(1_000_000), ms(1_000_000)]);
    assert_eq!(queue.failures(&1), 20);
    queue.forget(&1);
    assert_eq!(queue.add_rate_limited(1), ms(5));
    clock.advance(ms(5));
    assert_eq!(queue.try_next(), Some(1));
}

#[test]
fn a_bucket_slows_all_keys_down_together() {
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let bucket = Some(Bucket { per_second: 10.0, burst: 2 });
    let queue = WorkQueue::new("test", RateLimit { bucket, ..RateLimit::per_key() }, clock.clone());
    let delays = [1_u64, 2, 3, 4].map(|key| queue.add_rate_limited(key));
    assert_eq!(delays, [ms(5), ms(5), ms(100), ms(200)]);
    clock.advance(ms(1_000));
    assert_eq!(queue.add_rate_limited(5), ms(5));
}

#[test]
fn shutdown_ends_all_waiting_workers_and_drops_what_waits() {
    let (_clock, queue) = queue();
    let waiting = future::join_all((0..5).map(|_| queue.next()));
    let mut waiting = Box::pin(waiting);
    assert!((&mut waiting).now_or_never().is_none());
    queue.shut_down();
    assert_eq!(waiting.now_or_never(), Some(vec![None; 5]));
    queue.add(1);
    queue.add_after(2, ms(1));
    assert_eq!((queue.len(), queue.metrics().delayed), (0, 0));
}

#[test]
fn draining_waits_for_what_was_queued_and_in_work() {
    let (_clock, queue) = queue();
    queue.add(1);
    queue.add(2);
    assert_eq!(queue.try_next(), Some(1));
    queue.add(1);
    let mut drained = Box::pin(queue.shut_down_with_drain());
    assert!((&mut drained).now_or_never().is_none());
    queue.add(3);
    queue.done(&1);
    for key in [2, 1] {
        assert_eq!(queue.next().now_or_never(), Some(Some(key)));
        assert!((&mut drained).now_or_never().is_none());
        queue.done(&key);
    }
    assert_eq!(queue.next().now_or_never(), Some(None));
    assert!(drained.now_or_never().is_some());
}

#[test]
fn metrics_tell_how_long_keys_waited_and_were_worked_on() {
    let (clock, queue) = queue();
    queue.add(1);
    clock.advance(ms(30));
    queue.try_next();
    clock.advance(ms(70));
    let during = queue.metrics();
    assert_eq!((during.in_work, during.longest_running, during.queue_duration), (1, ms(70), ms(30)));
    queue.done(&1);
    let after = queue.metrics();
    assert_eq!((after.in_work, after.works, after.work_duration), (0, 1, ms(70)));
}

/// What the queue promises, in the plainest form.
#[derive(Default)]
struct Model {
    waiting: Vec<u64>,
    again: BTreeSet<u64>,
    in_work: BTreeSet<u64>,
    delayed: BTreeMap<u64, Duration>,
}

impl Model {
    fn add(&mut self, key: u64) {
        if self.in_work.contains(&key) {
            self.again.insert(key);
        } else if !self.waiting.contains(&key) {
            self.waiting.push(key);
        }
    }

    fn pass(&mut self, now: Duration) {
        let mut due: Vec<_> = self.delayed.iter().filter(|(_, at)| **at <= now).map(|(key, at)| (*at, *key)).collect();
        due.sort();
        for (_, key) in due {
            self.delayed.remove(&key);
            self.add(key);
        }
    }
}

#[test]
fn random_operations_agree_with_the_model() {
    let seed = std::env::var("CORTEN_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000);
    for seed in seed..seed + 50 {
        println!("seed {seed}");
        let rng = SimRng::shared(seed);
        let ((clock, queue), mut model) = (queue(), Model::default());
        for step in 0..500_u64 {
            let key = rng.below(6);
            match rng.below(5) {
                0 => {
                    queue.add(key);
                    model.add(key);
                }
                1 => {
                    // Delays that differ by the step, so that no two keys are due at one time: the model has no order
                    // for those.
                    let delay = Duration::from_micros(1_000 * (1 + rng.below(20)) + step);
                    queue.add_after(key, delay);
                    let due = clock.monotonic() + delay;
                    let entry = model.delayed.entry(key).or_insert(due);
                    *entry = due.min(*entry);
                }
                2 => {
                    let got = queue.try_next();
                    model.pass(clock.monotonic());
                    let want = (!model.waiting.is_empty()).then(|| model.waiting.remove(0));
                    assert_eq!(got, want, "seed {seed} step {step}");
                    if let Some(key) = got {
                        assert!(model.in_work.insert(key), "key {key} is worked on twice; seed {seed} step {step}");
                    }
                }
                3 => {
                    if let Some(key) = model.in_work.pop_first() {
                        queue.done(&key);
                        if model.again.remove(&key) {
                            model.waiting.push(key);
                        }
                    }
                }
                _ => {
                    clock.advance(ms(rng.below(10)));
                    // The queue looks at its timers when somebody asks for a key; the model at the same times.
                }
            }
        }
    }
}
