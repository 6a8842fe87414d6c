//! The power is cut between any two writes.

use corten_base::SimRng;
use corten_storage::{conformance::seeded_rng, kv::Revision};
use corten_storage_sqlite::Config;

use super::{
    disk::{self, Fault, Kind, Operation},
    history::{LOG_PAGES, Told, Wanted, events_until, verify, work},
    medium::{Medium, Survives},
    support::{Open, clock, config},
};

/// How many of the moments are looked at in a usual run; with `CORTEN_FUZZ_SECONDS` all of them, in every way.
const CUTS: usize = 150;

fn every_cut() -> bool {
    std::env::var_os("CORTEN_FUZZ_SECONDS").is_some()
}

/// Works on a disk on which every `sync_fails`-th sync fails, and cuts the power at moments of all that.
async fn check(rounds: u64, sync_fails: Option<u64>) {
    let (rng, directory) = (seeded_rng(), tempfile::tempdir().unwrap());
    let disk = disk::watch(directory.path());
    let config = Config { ballast_bytes: 0, log_pages: LOG_PAGES, ..config(directory.path()) };
    let open = Open::try_new(config, clock()).await.unwrap();
    let mut watch = open.engine.watch(bytes::Bytes::new(), 0).await.unwrap();
    if let Some(every) = sync_fails {
        let mut syncs = 0;
        disk.fail(Box::new(move |kind, _| {
            syncs += u64::from(kind == Kind::Sync);
            (kind == Kind::Sync && syncs % every == 0).then_some(Fault::Error)
        }));
    }
    let mut told = Told::default();
    work(&*open.engine, &disk, &*rng, rounds, &mut told).await;
    disk.heal();
    work(&*open.engine, &disk, &*rng, 4, &mut told).await;
    let last = open.engine.status().await.unwrap().revision;
    let events = events_until(&mut watch, 0, last).await;
    open.close().await;
    if sync_fails.is_some() {
        assert!(!told.unknown.is_empty(), "the test is about failed syncs");
        // A batch that failed may be there all the same: where it ends was told to nobody.
        told.borders = (1..=last + 4).collect();
    }

    let operations = disk.operations();
    let step = if every_cut() { 1 } else { (operations.len() / CUTS).max(1) };
    let first = rng.below(step as u64) as usize;
    let (mut medium, mut acknowledged, mut compacted) = (Medium::default(), Revision::default(), Revision::default());
    let mut cuts = 0;
    for (n, operation) in operations.iter().enumerate() {
        medium.apply(operation, &*rng);
        match operation {
            Operation::Acknowledged(revision) => acknowledged = *revision,
            Operation::Compacted(revision) => compacted = *revision,
            _ => {}
        }
        if n % step != first {
            continue;
        }
        let ways = [Survives::Some, Survives::Nothing, Survives::Everything, Survives::Some];
        let chosen = if every_cut() { &ways[..] } else { &ways[cuts % 4..][..1] };
        for survives in chosen {
            let image = tempfile::tempdir().unwrap();
            let seed = rng.next_u64();
            medium.cut(*survives, &*SimRng::shared(seed), image.path());
            let what = format!("cut after operation {n} of {}, {survives:?} survives, seed {seed}", operations.len());
            let wanted =
                Wanted { events: &events, borders: &told.borders, tried: &told.unknown, acknowledged, compacted };
            verify(image.path(), &wanted, &what).await;
            cuts += 1;
        }
    }
    assert!(cuts > 100, "only {cuts} cuts of {} operations", operations.len());
    #[expect(clippy::print_stderr, reason = "the figures go with the test's result")]
    {
        eprintln!("{cuts} power cuts in {} operations, {last} revisions", operations.len());
    }
}

#[tokio::test]
async fn a_power_cut_at_any_write_loses_nothing_acknowledged() {
    check(90, None).await;
}

/// Linux marks the pages of a failed sync as clean: the next sync succeeds without having written them.
#[tokio::test]
async fn a_power_cut_after_a_failed_sync_loses_nothing_acknowledged() {
    check(90, Some(9)).await;
    check(60, Some(5)).await;
}
