//! Nothing acknowledged is lost when the process is killed, at any step and at any time.
//!
//! The test starts itself again as a child, which writes, says on its standard output what it tries and what was
//! acknowledged, and is killed. Then the store is opened and compared with what the child said.

mod support;

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use corten_base::{SimRng, TaskSet};
use corten_storage::{
    conformance::seeded_rng,
    kv::{Change, Expected, KvEngine, Outcome, Revision},
};
use corten_storage_sqlite::{
    Config,
    faults::{Faults, Step},
};
use rustix::process::{Signal, getpid, kill_process};

use support::{Open, clock, config, delete, put, whole};

const DIRECTORY: &str = "CORTEN_TEST_CRASH_DIRECTORY";
const STEP: &str = "CORTEN_TEST_CRASH_STEP";
const SEED: &str = "CORTEN_TEST_CRASH_SEED";
const WRITERS: u64 = 4;
const KEYS: u64 = 5;

/// Kills its own process when a step is reached for the n-th time.
#[derive(Debug)]
struct KillAt {
    step: Step,
    left: AtomicU64,
}

impl Faults for KillAt {
    fn reached(&self, step: Step) -> io::Result<()> {
        if step == self.step && self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            kill_process(getpid(), Signal::KILL)?;
        }
        Ok(())
    }
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// Creates, updates and deletes the keys of one writer, one at a time, and says so.
async fn write(engine: Arc<dyn KvEngine>, me: u64, seed: u64) {
    let rng = SimRng::shared(seed);
    for round in 0.. {
        let key = format!("/k/{me}/{}", rng.below(KEYS));
        let current = engine.get(key.as_bytes(), None).await.unwrap().kv.map(|kv| kv.mod_revision);
        let value = format!("{seed}-{round}-{}", "x".repeat(rng.below(3_000) as usize));
        let write = match current {
            None => put(&key, Expected::Absent, value),
            Some(revision) if rng.below(4) == 0 => delete(&key, revision),
            Some(revision) => put(&key, Expected::ModRevision(revision), value),
        };
        let state = match &write.change {
            Change::Put { value, .. } => std::str::from_utf8(value).unwrap().to_owned(),
            Change::Delete => "-".to_owned(),
        };
        say(&format!("try {key} {state}"));
        match engine.commit(vec![write]).await.unwrap().remove(0) {
            Outcome::Done { revision } => {
                say(&format!("ack {key} {state} {revision}"));
                if revision % 50 == 0 {
                    engine.compact(revision - 20).await.unwrap();
                }
            }
            conflict => panic!("each writer has its own keys: {conflict:?}"),
        }
    }
}

/// The process that is killed; on its own it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_process() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let seed: u64 = std::env::var(SEED).unwrap().parse().unwrap();
    let mut config: Config = config(Path::new(&directory));
    if let Ok(step) = std::env::var(STEP) {
        let (step, nth) = step.split_once(' ').unwrap();
        let step = Step::ALL[step.parse::<usize>().unwrap()];
        config.faults = Arc::new(KillAt { step, left: AtomicU64::new(nth.parse().unwrap()) });
    }
    let open = Open::try_new(config, clock()).await.unwrap();
    let writers = TaskSet::new("writers");
    for me in 0..WRITERS {
        writers.spawn("writer", write(Arc::clone(&open.engine), me, seed.wrapping_mul(31) + me));
    }
    writers.join().await.unwrap();
}

fn start_child(directory: &Path, seed: u64, kill_at: Option<(usize, u64)>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child_process", "--exact", "--nocapture"]).stdout(Stdio::piped()).stderr(Stdio::null());
    command.env(DIRECTORY, directory).env(SEED, seed.to_string()).env_remove(STEP);
    if let Some((step, nth)) = kill_at {
        command.env(STEP, format!("{step} {nth}"));
    }
    command.spawn().unwrap()
}

/// What a key may be after the crash.
#[derive(Debug, Default, Clone)]
struct Expectation {
    acknowledged: Option<(Option<String>, Revision)>,
    tried: Option<Option<String>>,
}

/// Reads what the child says until it ends, killing it after `kill_after` acknowledgements.
fn listen(mut child: Child, kill_after: Option<u64>) -> BTreeMap<String, Expectation> {
    let mut told: BTreeMap<String, Expectation> = BTreeMap::new();
    let mut acknowledged = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let words: Vec<_> = line.split(' ').collect();
        let state = |word: &str| (word != "-").then(|| word.to_owned());
        match words[..] {
            ["try", key, value] => told.entry(key.to_owned()).or_default().tried = Some(state(value)),
            ["ack", key, value, revision] => {
                let key = told.get_mut(key).unwrap();
                key.acknowledged = Some((state(value), revision.parse().unwrap()));
                key.tried = None;
                acknowledged += 1;
                if kill_after == Some(acknowledged) {
                    child.kill().unwrap();
                }
            }
            // The test runner's own words, or a line that the kill has cut.
            _ => {}
        }
    }
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "the child was killed: {status}");
    told
}

/// Opens the store and compares it with what was acknowledged before (`base`) and by the child (`told`).
async fn verify(directory: &Path, base: &mut BTreeMap<String, String>, told: BTreeMap<String, Expectation>) {
    let open = Open::new(directory).await;
    let page = open.engine.list(whole()).await.unwrap();
    let mut found: BTreeMap<String, (String, Revision)> = BTreeMap::new();
    for kv in page.kvs {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        found.insert(text(&kv.key), (text(&kv.value), kv.mod_revision));
    }
    for (key, expectation) in &told {
        let now = found.get(key).map(|(value, _)| value.clone());
        let before = match &expectation.acknowledged {
            Some((value, revision)) => {
                assert!(page.revision >= *revision, "the revision went back below the acknowledged {revision}");
                value.clone()
            }
            None => base.get(key).cloned(),
        };
        let possible = [Some(before), expectation.tried.clone()];
        assert!(possible.iter().flatten().any(|state| *state == now), "{key} is {now:?}, not one of {possible:?}");
    }
    for (key, value) in base.iter().filter(|(key, _)| !told.contains_key(*key)) {
        assert_eq!(found.get(key).map(|(value, _)| value), Some(value), "{key} was not touched");
    }
    *base = found.into_iter().map(|(key, (value, _))| (key, value)).collect();
    open.close().await;
}

#[tokio::test]
async fn a_kill_at_any_step_of_a_commit_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (rng, mut state) = (seeded_rng(), BTreeMap::new());
    for nth in [1, 7, 40] {
        for step in 0..Step::ALL.len() {
            // Chunks are rarer than commits.
            let nth = if Step::ALL[step] >= Step::ChunkDeleted { nth.min(2) } else { nth };
            let told = listen(start_child(directory.path(), rng.next_u64() >> 32, Some((step, nth))), None);
            verify(directory.path(), &mut state, told).await;
        }
    }
}

#[tokio::test]
async fn a_kill_at_any_time_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (rng, mut state) = (seeded_rng(), BTreeMap::new());
    for _ in 0..15 {
        let after = 1 + rng.below(1_500);
        let told = listen(start_child(directory.path(), rng.next_u64() >> 32, None), Some(after));
        verify(directory.path(), &mut state, told).await;
    }
}

#[tokio::test]
async fn a_killed_process_leaves_no_lock() {
    let directory = tempfile::tempdir().unwrap();
    let child = start_child(directory.path(), 1, None);
    let pid = child.id();
    let mut child = child;
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("ack")));
    let refused = Open::try_new(config(directory.path()), clock()).await.err().unwrap().to_string();
    assert!(refused.contains(&format!("in use by process {pid}: stop that process")), "{refused}");
    child.kill().unwrap();
    child.wait().unwrap();
    Open::new(directory.path()).await.close().await;
}
