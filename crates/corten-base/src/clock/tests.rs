use std::time::Duration;

use futures::FutureExt;

use super::{Clock, SimClock, timeout};

fn clock() -> std::sync::Arc<SimClock> {
    SimClock::new("2026-01-01T00:00:00Z".parse().unwrap())
}

#[test]
fn a_sleeper_wakes_when_its_deadline_has_come_and_not_before() {
    let clock = clock();
    let mut sleep = clock.sleep(Duration::from_secs(10));
    clock.advance(Duration::from_millis(9_999));
    assert!((&mut sleep).now_or_never().is_none());
    assert_eq!(clock.next_deadline(), Some(Duration::from_secs(10)));
    clock.advance(Duration::from_millis(1));
    assert!((&mut sleep).now_or_never().is_some());
    assert_eq!(clock.next_deadline(), None);
}

#[test]
fn both_clocks_move_together() {
    let clock = clock();
    clock.advance(Duration::from_secs(90));
    assert_eq!(clock.now().to_string(), "2026-01-01T00:01:30Z");
    assert_eq!(clock.monotonic(), Duration::from_secs(90));
}

#[test]
fn a_ready_future_beats_an_expired_deadline() {
    let clock = clock();
    let done = timeout(&*clock, Duration::ZERO, async { 7 }).now_or_never();
    assert_eq!(done, Some(Ok(7)));
    let late = timeout(&*clock, Duration::ZERO, std::future::pending::<()>()).now_or_never();
    assert!(late.unwrap().is_err());
}
