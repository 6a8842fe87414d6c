//! Logs that are rotated: real files, and a runtime that has one container.

use std::{collections::BTreeMap, io::Read as _};

use corten_base::SimClock;
use corten_cri::{
    api::{
        ContainerConfig, ContainerMetadata, CreateContainerRequest, ImageSpec, PodSandboxConfig, PodSandboxMetadata,
        RunPodSandboxRequest, StartContainerRequest,
    },
    fake::{Exit, FakeCri},
};
use flate2::read::GzDecoder;

use super::*;

/// Logs of this many bytes are rotated.
const MAX_SIZE: u64 = 8;

struct Fixture {
    directory: tempfile::TempDir,
    clock: Arc<SimClock>,
    fake: FakeCri,
    cache: Arc<RuntimeCache>,
    rotator: LogRotator,
    container_id: String,
}

impl Fixture {
    /// A container that runs and whose log is `0.log` in `directory`.
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = SimClock::new("2026-01-02T03:04:05Z".parse().unwrap());
        let fake = FakeCri::new(clock.clone());
        let runtime = fake.cri().runtime;
        let image = fake.add_image("web").unwrap();
        let metadata = PodSandboxMetadata { name: "p".into(), namespace: "n".into(), uid: "u".into(), attempt: 0 };
        let sandbox = PodSandboxConfig {
            metadata: Some(metadata),
            log_directory: directory.path().display().to_string(),
            ..PodSandboxConfig::default()
        };
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata { name: "c".into(), attempt: 0 }),
            image: Some(ImageSpec { image, ..ImageSpec::default() }),
            log_path: "0.log".into(),
            ..ContainerConfig::default()
        };
        let request = RunPodSandboxRequest { config: Some(sandbox.clone()), runtime_handler: String::new() };
        let pod_sandbox_id = runtime.run_pod_sandbox(request).await.unwrap().pod_sandbox_id;
        let request = CreateContainerRequest { pod_sandbox_id, config: Some(config), sandbox_config: Some(sandbox) };
        let container_id = runtime.create_container(request).await.unwrap().container_id;
        let request = StartContainerRequest { container_id: container_id.clone() };
        runtime.start_container(request).await.unwrap();
        let cache = RuntimeCache::new(Arc::clone(&runtime));
        cache.relist().await.unwrap();
        let rotation = LogRotation { max_size_bytes: Some(MAX_SIZE), max_files: 4, ..LogRotation::default() };
        let rotator = LogRotator::new(rotation, runtime, Arc::clone(&cache), clock.clone());
        let _setup = fake.take_calls();
        Self { directory, clock, fake, cache, rotator, container_id }
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("0.log")
    }

    fn write(&self, text: &str) {
        std::fs::write(self.log(), text).unwrap();
    }

    async fn rotate(&self) -> Result<(), RotationError> {
        self.rotator.rotate(&self.container_id, &self.log(), MAX_SIZE).await
    }

    /// What the directory has, unpacked.
    fn content(&self) -> BTreeMap<String, String> {
        let read = |path: &Path| {
            let (bytes, mut text) = (std::fs::read(path).unwrap(), String::new());
            if path.extension().is_some_and(|extension| extension == "gz") {
                GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
                text
            } else {
                String::from_utf8(bytes).unwrap()
            }
        };
        let entries = std::fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap());
        entries.map(|entry| (entry.file_name().into_string().unwrap(), read(&entry.path()))).collect()
    }

    #[track_caller]
    fn has(&self, want: &[(&str, &str)]) {
        let want = want.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        assert_eq!(self.content(), want.collect());
    }

    #[track_caller]
    fn reopened(&self, times: usize) {
        assert_eq!(self.fake.take_calls(), vec!["reopen_container_log n/p/c"; times]);
    }
}

#[tokio::test]
async fn a_log_is_rotated_once_it_is_long_enough_and_few_files_stay() {
    let fixture = Fixture::start().await;
    fixture.write("1234567");
    fixture.rotate().await.unwrap();
    fixture.has(&[("0.log", "1234567")]);
    fixture.reopened(0);

    for text in ["first...", "second..", "third...", "fourth.."] {
        fixture.write(text);
        fixture.rotate().await.unwrap();
        fixture.clock.advance(Duration::from_secs(1));
    }
    fixture.reopened(4);
    // With the log itself, which the runtime makes anew, there are four.
    fixture.has(&[
        ("0.log.20260102-030406.gz", "second.."),
        ("0.log.20260102-030407.gz", "third..."),
        ("0.log.20260102-030408", "fourth.."),
    ]);
}

#[tokio::test]
async fn a_log_has_its_name_again_when_the_runtime_does_not_open_it() {
    let fixture = Fixture::start().await;
    fixture.write("too long");
    fixture.fake.fail("reopen_container_log", 1, CriError::unknown("no"));
    fixture.rotate().await.unwrap_err();
    fixture.has(&[("0.log", "too long")]);
}

/// Once, the new log that a runtime had begun, without its answer having come, was replaced by the old one and written to
/// where nobody reads.
#[test]
fn a_log_that_was_opened_after_all_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (rotated, log) = (directory.path().join("0.log.1"), directory.path().join("0.log"));
    std::fs::write(&rotated, "old").unwrap();
    std::fs::write(&log, "new").unwrap();
    assert!(!files::give_back(&rotated, &log).unwrap());
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "new");
    std::fs::remove_file(&log).unwrap();
    assert!(files::give_back(&rotated, &log).unwrap());
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "old");
}

#[tokio::test]
async fn a_log_that_is_missing_is_opened_anew() {
    let fixture = Fixture::start().await;
    fixture.rotate().await.unwrap();
    fixture.reopened(1);
}

#[tokio::test]
async fn only_what_runs_is_looked_at_and_in_time() {
    let fixture = Fixture::start().await;
    assert_eq!(fixture.rotator.logs().len(), 1);
    fixture.write("too long");
    let Fixture { directory, clock, fake, cache, rotator, container_id } = fixture;
    let (trigger, shutdown) = Shutdown::new();
    let tasks = corten_base::TaskSet::new("test");
    tasks.spawn("rotation", rotator.run(shutdown));
    let rotated = directory.path().join("0.log.20260102-030415");
    while clock.next_deadline().is_none() {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(10));
    while fake.take_calls().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(std::fs::read_to_string(rotated).unwrap(), "too long");
    trigger.request();
    tasks.join().await.unwrap();

    fake.exit(&container_id, Exit::code(0)).unwrap();
    cache.relist().await.unwrap();
    let rotator = LogRotator::new(LogRotation::default(), fake.cri().runtime, cache, clock);
    assert!(rotator.logs().is_empty());
}

#[tokio::test]
async fn rotated_files_go_with_their_log_and_no_others() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    for name in ["0.log", "0.log.1.gz", "0.log.2", "0.log.2.tmp", "1.log", "1.log.3"] {
        std::fs::write(path(name), "").unwrap();
    }
    remove(&path("0.log").display().to_string()).await;
    let mut left: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["1.log", "1.log.3"]);
    // What is gone stays gone.
    remove(&path("0.log").display().to_string()).await;
    remove("/nowhere/0.log").await;
}
