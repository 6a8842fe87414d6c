use corten_base::{Clock as _, SimClock};

use super::*;

const SILENT: &str = "PLEG is not healthy: pleg was last seen active 3m0s ago; threshold is 3m0s";

#[tokio::test]
async fn silence_is_told_when_it_becomes_a_problem_and_when_it_ends() {
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let health = Arc::new(PlegHealth::new());
    let (told, mut heard) = watch::channel(None);
    let (stop, shutdown) = Shutdown::new();
    let (reporter, time) = (Arc::clone(&health), Arc::clone(&clock));
    let tell = move |problem: Option<String>| drop(told.send_replace(Some(problem)));
    let tasks = corten_base::TaskSet::new("test");
    tasks.spawn("report", async move { reporter.report(&*time, tell, shutdown).await });
    let is = |text: &'static str| move |told: &Option<Option<String>>| told.clone().flatten().as_deref() == Some(text);
    let is_well = |told: &Option<Option<String>>| *told == Some(None);

    heard.wait_for(is("PLEG is not healthy: pleg has yet to be successful")).await.unwrap();
    health.following();
    heard.wait_for(is_well).await.unwrap();
    // Events say what happens: nothing happens for an hour.
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(health.problem(&*clock), None);
    health.waiting(clock.monotonic());
    heard.wait_for(is_well).await.unwrap();
    heard.mark_unchanged();
    heard.changed().await.unwrap();
    clock.advance(UNHEALTHY_AFTER);
    heard.wait_for(is(SILENT)).await.unwrap();
    health.following();
    heard.wait_for(is_well).await.unwrap();
    stop.request();
    tasks.join().await.unwrap();
}
