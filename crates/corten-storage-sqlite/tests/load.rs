//! Many writers are killed and begin again: what was acknowledged is there, in one order, and watches go on where they were.
//!
//! The test starts itself again as a child, whose writers and watchers say on its standard output what they try, are told and
//! hear, and is killed; the next child goes on with the same store. The lines are a history: a write is said before it is
//! sent and after it was answered.

mod support;

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use bytes::Bytes;
use corten_base::{SimRng, TaskSet};
use corten_storage::{
    conformance::{
        linearizability::{Action, Operation},
        recovery::{self, Attempt, Heard},
        seeded_rng,
    },
    kv::{Change, Event, Expected, KeyValue, KvEngine, Outcome, Revision},
};

use support::{Open, delete, put};

const DIRECTORY: &str = "CORTEN_TEST_LOAD_DIRECTORY";
/// The number of the child, and for each watcher the revision that it has come to.
const RESUME: &str = "CORTEN_TEST_LOAD_RESUME";
const WRITERS: u64 = 64;
const WATCHERS: usize = 8;
/// Few for so many writers: most writes are about what somebody else has just changed.
const KEYS: u64 = 24;
const KILLS: u64 = 6;

fn say(line: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Writes keys that others write, too, and says so: what it expects is what it was told last.
async fn write(engine: Arc<dyn KvEngine>, me: u64, run: u64) {
    let rng = SimRng::shared(run * WRITERS + me);
    let mut known: BTreeMap<String, Option<Revision>> = BTreeMap::new();
    for round in 0_u64.. {
        let (id, key) = (format!("{run}.{me}.{round}"), format!("/k/{}", rng.below(KEYS)));
        let (write, line) = match known.get(&key).copied().flatten() {
            None => (put(&key, Expected::Absent, id.clone()), format!("{key} put 0")),
            Some(revision) if rng.below(5) == 0 => (delete(&key, revision), format!("{key} delete {revision}")),
            Some(revision) => (put(&key, Expected::ModRevision(revision), id.clone()), format!("{key} put {revision}")),
        };
        say(&format!("try {id} {line}"));
        let is_delete = write.change == Change::Delete;
        match engine.commit(vec![write]).await.unwrap().remove(0) {
            Outcome::Done { revision } => {
                say(&format!("done {id} {revision}"));
                known.insert(key, (!is_delete).then_some(revision));
            }
            Outcome::Conflict { current: None, revision } => {
                say(&format!("absent {id} {revision}"));
                known.insert(key, None);
            }
            Outcome::Conflict { current: Some(kv), revision } => {
                let value = text(&kv.value);
                say(&format!("conflict {id} {revision} {value} {} {}", kv.create_revision, kv.mod_revision));
                known.insert(key, Some(kv.mod_revision));
            }
        }
    }
}

async fn listen_to(engine: Arc<dyn KvEngine>, me: usize, after: Revision) {
    let mut watch = engine.watch(Bytes::new(), after).await.unwrap();
    loop {
        let batch = watch.recv().await.unwrap().unwrap();
        for event in batch.events.iter() {
            let Event { key, value, prev_value, create_revision, revision } = event;
            let word = |value: &Option<Bytes>| value.as_deref().map_or("-", text).to_owned();
            let (value, before) = (word(value), word(prev_value));
            say(&format!("heard {me} {revision} {} {value} {before} {create_revision}", text(key)));
        }
    }
}

/// The process that is killed; on its own it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_process() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let resume = std::env::var(RESUME).unwrap();
    let mut resume = resume.split(' ').map(|number| number.parse::<u64>().unwrap());
    let run = resume.next().unwrap();
    let open = Open::new(Path::new(&directory)).await;
    let tasks = TaskSet::new("clients");
    for (me, after) in resume.enumerate() {
        tasks.spawn("watcher", listen_to(Arc::clone(&open.engine), me, after));
    }
    for me in 0..WRITERS {
        tasks.spawn("writer", write(Arc::clone(&open.engine), me, run));
    }
    tasks.join().await.unwrap();
}

fn start(directory: &Path, run: u64, heard: &[Heard]) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child_process", "--exact", "--nocapture"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut resume = vec![run.to_string()];
    resume.extend(heard.iter().map(|heard| (heard.after + heard.events.len() as Revision).to_string()));
    command.env(DIRECTORY, directory).env(RESUME, resume.join(" ")).spawn().unwrap()
}

/// Everything that the children have said.
#[derive(Default)]
struct Recorded {
    lines: u64,
    tried: BTreeMap<String, Attempt>,
    history: Vec<Operation>,
    heard: Vec<Heard>,
}

impl Recorded {
    /// Takes a line down; true if it acknowledges a write.
    fn take(&mut self, line: &str) -> bool {
        self.lines += 1;
        let number = |word: &str| word.parse::<u64>().unwrap();
        let words: Vec<_> = line.split(' ').collect();
        let (id, outcome) = match words[..] {
            ["try", id, key, change, revision] => {
                let expected = match number(revision) {
                    0 => Expected::Absent,
                    revision => Expected::ModRevision(revision),
                };
                let write =
                    if change == "put" { put(key, expected, id.to_owned()) } else { delete(key, number(revision)) };
                self.tried.insert(id.to_owned(), Attempt { invoked: self.lines, write });
                return false;
            }
            ["heard", watcher, revision, key, value, before, create_revision] => {
                let bytes = |word: &str| (word != "-").then(|| Bytes::copy_from_slice(word.as_bytes()));
                self.heard[number(watcher) as usize].events.push(Event {
                    key: Bytes::copy_from_slice(key.as_bytes()),
                    value: bytes(value),
                    prev_value: bytes(before),
                    create_revision: number(create_revision),
                    revision: number(revision),
                });
                return false;
            }
            ["done", id, revision] => (id, Outcome::Done { revision: number(revision) }),
            ["absent", id, revision] => (id, Outcome::Conflict { current: None, revision: number(revision) }),
            ["conflict", id, revision, value, create_revision, mod_revision] => {
                let current = KeyValue {
                    key: self.tried[id].write.key.clone(),
                    value: Bytes::copy_from_slice(value.as_bytes()),
                    create_revision: number(create_revision),
                    mod_revision: number(mod_revision),
                };
                (id, Outcome::Conflict { current: Some(current), revision: number(revision) })
            }
            // The test runner's own words.
            _ => return false,
        };
        let is_done = matches!(outcome, Outcome::Done { .. });
        let Attempt { invoked, write } = self.tried.remove(id).expect("what is answered was tried");
        self.history.push(Operation { invoked, returned: self.lines, action: Action::Write(write, outcome) });
        is_done
    }

    /// Writes down what a child says until it was killed, which is after so many acknowledgements.
    fn listen(&mut self, mut child: Child, kill_after: u64) {
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (mut line, mut acknowledged) = (String::new(), 0);
        // A line that the kill has cut ends without its end.
        while {
            line.clear();
            out.read_line(&mut line).unwrap()
        } > 0
            && line.ends_with('\n')
        {
            acknowledged += u64::from(self.take(line.trim_end()));
            if acknowledged == kill_after {
                child.kill().unwrap();
            }
        }
        let status = child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "the child was killed: {status}");
    }
}

#[tokio::test]
async fn sixty_four_writers_and_their_watchers_survive_kills_with_one_history() {
    let (directory, rng) = (tempfile::tempdir().unwrap(), seeded_rng());
    let heard = vec![Heard { after: 0, events: Vec::new() }; WATCHERS];
    let mut recorded = Recorded { heard, ..Recorded::default() };
    for run in 0..KILLS {
        let child = start(directory.path(), run, &recorded.heard);
        recorded.listen(child, 200 + rng.below(1_500));
    }
    let open = Open::new(directory.path()).await;
    let last = open.engine.status().await.unwrap().revision;
    let mut watch = open.engine.watch(Bytes::new(), 0).await.unwrap();
    let mut kept: Vec<Event> = Vec::new();
    while (kept.len() as Revision) < last {
        kept.extend(watch.recv().await.unwrap().unwrap().events.iter().cloned());
    }
    open.close().await;
    let attempts: Vec<Attempt> = recorded.tried.into_values().collect();
    recovery::check(0, &recorded.history, &attempts, &recorded.heard, &kept).unwrap();
    let is_done = |operation: &&Operation| matches!(operation.action, Action::Write(_, Outcome::Done { .. }));
    let done = recorded.history.iter().filter(is_done).count();
    let told: usize = recorded.heard.iter().map(|heard| heard.events.len()).sum();
    assert!(attempts.len() as u64 >= KILLS, "kills came while writes were under way");
    assert!(kept.len() > done || done > 1_000, "the test is about load");
    eprintln!(
        "{KILLS} kills under {WRITERS} writers: {done} acknowledged, {} of {} unanswered ones happened, {told} events heard",
        kept.len() - done,
        attempts.len(),
    );
}
