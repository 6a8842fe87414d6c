//! Ten thousand watchers that do not read.

use super::*;

const SLOW: usize = 10_000;
const FAST: usize = 20;

/// More than the ring keeps, in events and in bytes.
const WRITES: usize = 20_000;
const VALUE_BYTES: usize = 4_096;

/// What a watcher may cost that stands still: its own size, and its place in the list of those who wait.
const WATCHER_BYTES_MAX: usize = 1_024;

/// The ring, what is on its way, and what the engine in memory keeps of its own.
const CACHE_BYTES_MAX: usize = 256 << 20;

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1_024
}

/// Reads to the end; every event comes once and in order.
async fn follow(mut watcher: Watcher, after: Revision, progress: tokio::sync::watch::Sender<Revision>) {
    let (mut events, mut heard) = (Vec::new(), after);
    while heard < after + WRITES as Revision {
        watcher.next(&mut events).await.expect("who reads does not fall behind");
        for event in events.drain(..) {
            heard += 1;
            assert_eq!(event.revision, heard);
        }
        progress.send_replace(heard);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_slow_watchers_cost_little_and_disturb_nobody() {
    let t = Fixture::new();
    let mut last = t.put("ns/a", "first").await;
    t.cacher.consistent().await.unwrap();
    let before = resident_bytes();
    let mut slow = Vec::with_capacity(SLOW);
    for _ in 0..SLOW {
        slow.push(t.cacher.watch_after(last).await.unwrap());
    }
    let with_watchers = resident_bytes();
    let (readers, mut progress) = (TaskSet::new("readers"), Vec::new());
    for _ in 0..FAST {
        let (sender, receiver) = tokio::sync::watch::channel(last);
        readers.spawn("reader", follow(t.cacher.watch_after(last).await.unwrap(), last, sender));
        progress.push(receiver);
    }
    let first = last;
    for n in 1..=WRITES {
        let change = KvChange::Put { value: vec![b'a' + (n % 26) as u8; VALUE_BYTES].into(), expires_at: None };
        last = t.write("ns/a", Expected::ModRevision(last), change).await;
        // The cache and those who read keep up: they share two threads with the writer.
        if n % 500 == 0 {
            for reader in &mut progress {
                reader.wait_for(|heard| *heard >= last).await.unwrap();
            }
            t.engine.compact(last).await.unwrap();
        }
    }
    readers.join().await.unwrap();
    let (grown, each) = (resident_bytes().saturating_sub(before), with_watchers.saturating_sub(before) / SLOW);
    eprintln!(
        "{SLOW} slow watchers: {each} bytes each; {} MiB with {WRITES} events of {VALUE_BYTES} bytes",
        grown >> 20
    );
    assert!(each < WATCHER_BYTES_MAX, "{each} bytes for each watcher");
    assert!(grown < CACHE_BYTES_MAX + SLOW * WATCHER_BYTES_MAX, "{grown} bytes in all");
    let mut events = Vec::new();
    for watcher in &mut slow {
        assert_eq!(
            watcher.next(&mut events).await,
            Err(WatcherClosed::Behind { after: first }),
            "who did not read is told"
        );
    }
    assert!(events.is_empty());
    // And can begin again from what is there.
    let mut again = t.cacher.watch_after(last).await.unwrap();
    t.put("ns/b", "after").await;
    again.next(&mut events).await.unwrap();
    assert_eq!(events.len(), 1);
    drop((slow, again));
    t.end().await;
}
