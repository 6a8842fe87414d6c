//! Pulls from a registry in this process.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use corten_base::{SystemClock, TaskSet, platform};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// What a registry holds and how it behaves.
#[derive(Default)]
struct Registry {
    /// Bodies by path.
    content: Mutex<BTreeMap<String, Vec<u8>>>,
    /// The header that is asked for; none: anybody may read.
    proof: Option<&'static str>,
    /// What a 401 says.
    challenge: String,
    /// Paths whose body breaks off.
    broken: BTreeSet<String>,
    requests: AtomicUsize,
}

impl Registry {
    async fn serve(self: Arc<Self>, tasks: &TaskSet) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tasks.spawn("registry", async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if stream.read(&mut byte).await.unwrap() == 0 {
                        break;
                    }
                    head.push(byte[0]);
                }
                let answer = self.answer(&String::from_utf8(head).unwrap());
                // A client that went away has seen enough.
                let _ = stream.write_all(&answer).await;
            }
        });
        address
    }

    fn answer(&self, head: &str) -> Vec<u8> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let path = head.split(' ').nth(1).unwrap_or_default();
        let is_proven = self.proof.is_none_or(|proof| head.to_ascii_lowercase().contains(&proof.to_ascii_lowercase()));
        let respond = |status: &str, headers: &str, body: &[u8]| {
            let mut answer =
                format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
            answer.extend_from_slice(body);
            answer
        };
        if path.starts_with("/token") {
            return respond("200 OK", "", br#"{"token":"t0"}"#);
        }
        if !is_proven {
            let headers = format!("WWW-Authenticate: {}\r\n", self.challenge);
            return respond("401 Unauthorized", &headers, b"{}");
        }
        match self.content.lock().get(path) {
            Some(body) if self.broken.contains(path) => {
                let mut answer = respond("200 OK", "", body);
                answer.pop();
                answer
            }
            Some(body) => respond("200 OK", "", body),
            None => respond("404 Not Found", "", br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown"}]}"#),
        }
    }

    fn put(&self, path: String, body: impl Into<Vec<u8>>) {
        self.content.lock().insert(path, body.into());
    }

    /// An image without layers: those need root. Gives its index's digest and its config's.
    fn put_image(&self) -> (Digest, Digest) {
        let config =
            serde_json::json!({"config": {"User": "1000"}, "rootfs": {"type": "layers", "diff_ids": []}}).to_string();
        let config_digest = Digest::of(config.as_bytes());
        let manifest = serde_json::json!({
            "schemaVersion": 2, "layers": [],
            "config": {"digest": config_digest.to_string(), "size": config.len()},
        });
        let manifest = manifest.to_string();
        let manifest_digest = Digest::of(manifest.as_bytes());
        let architecture = platform::architecture();
        let other = Digest::of(b"other").to_string();
        let index = serde_json::json!({"schemaVersion": 2, "manifests": [
            {"digest": other, "size": 5, "platform": {"os": "linux", "architecture": "none"}},
            {"digest": manifest_digest.to_string(), "size": manifest.len(), "platform": {"os": "linux", "architecture": architecture}},
        ]});
        let index = index.to_string();
        let index_digest = Digest::of(index.as_bytes());
        self.put("/v2/a/manifests/1".into(), index.clone());
        self.put(format!("/v2/a/manifests/{index_digest}"), index);
        self.put(format!("/v2/a/manifests/{manifest_digest}"), manifest);
        self.put(format!("/v2/a/blobs/{config_digest}"), config);
        (index_digest, config_digest)
    }
}

/// A store, and a registry with `change`d behaviour.
struct Fixture {
    store: Arc<ImageStore>,
    registry: Arc<Registry>,
    address: SocketAddr,
    index: Digest,
    config: Digest,
    _tasks: TaskSet,
    _directory: tempfile::TempDir,
}

impl Fixture {
    async fn start(change: impl FnOnce(&mut Registry, &Digest)) -> Self {
        let mut registry = Registry::default();
        let (index, config) = registry.put_image();
        change(&mut registry, &config);
        let (registry, tasks) = (Arc::new(registry), TaskSet::new("test"));
        let address = Arc::clone(&registry).serve(&tasks).await;
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(ImageStore::open(directory.path().to_owned()).unwrap());
        Self { store, registry, address, index, config, _tasks: tasks, _directory: directory }
    }

    async fn pull_with(&self, name: &str, credentials: Option<Credentials>) -> Result<Arc<Image>, CriError> {
        let puller = Puller::new(RegistryConfig::default(), SystemClock::shared(), TaskSet::new("puller"));
        let name = format!("{}/{name}", self.address).parse().unwrap();
        puller.pull(&self.store, &name, credentials).await
    }

    async fn pull(&self, name: &str) -> Result<Arc<Image>, CriError> {
        self.pull_with(name, None).await
    }
}

fn basic(password: &str) -> Option<Credentials> {
    Some(Credentials::Basic { username: "u".into(), password: password.into() })
}

#[tokio::test]
async fn an_image_is_pulled_through_its_index_and_found_by_both_names() {
    let fixture = Fixture::start(|_, _| {}).await;
    let image = fixture.pull("a:1").await.unwrap();
    assert_eq!(image.id, fixture.config);
    assert!(fixture.store.find(&format!("{}/a:1", fixture.address)).is_some());
    let by_digest = format!("{}/a@{}", fixture.address, fixture.index);
    assert_eq!(image.digests.iter().collect::<Vec<_>>(), [&by_digest]);
    assert!(fixture.store.find(&by_digest).is_some());

    let before = fixture.registry.requests.load(Ordering::Relaxed);
    fixture.pull(&format!("a@{}", fixture.index)).await.unwrap();
    let asked = fixture.registry.requests.load(Ordering::Relaxed) - before;
    assert_eq!(asked, 2, "index and manifest: the blobs are there");
}

#[tokio::test]
async fn what_the_registry_does_not_have_is_not_found() {
    let fixture = Fixture::start(|_, _| {}).await;
    let error = fixture.pull("a:2").await.unwrap_err();
    let name = format!("{}/a:2", fixture.address);
    let want = format!(
        "failed to pull and unpack image \"{name}\": failed to resolve reference \"{name}\": {name}: not found"
    );
    assert_eq!((error.code, error.message), (Code::NotFound, want));
}

#[tokio::test]
async fn a_registry_that_is_down_refuses_in_gos_words() {
    let fixture = Fixture::start(|_, _| {}).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let puller = Puller::new(RegistryConfig::default(), SystemClock::shared(), TaskSet::new("puller"));
    let error = puller.pull(&fixture.store, &format!("{address}/a:1").parse().unwrap(), None).await.unwrap_err();
    assert_eq!(error.code, Code::Unknown);
    let want = format!("dial tcp {address}: connect: connection refused");
    assert!(error.message.ends_with(&want), "{}", error.message);
}

#[tokio::test]
async fn basic_credentials_are_given_when_asked_for() {
    let basic_registry = |registry: &mut Registry, _: &Digest| {
        registry.proof = Some("Authorization: Basic dTpw");
        registry.challenge = "Basic realm=\"r\"".into();
    };
    let fixture = Fixture::start(basic_registry).await;
    fixture.pull_with("a:1", basic("p")).await.unwrap();
    assert_eq!(fixture.pull_with("a:1", basic("wrong")).await.unwrap_err().code, Code::PermissionDenied);
    let error = fixture.pull("a:1").await.unwrap_err();
    assert_eq!(error.code, Code::PermissionDenied);
    assert!(error.message.ends_with("failed to authorize: no basic auth credentials"), "{}", error.message);
}

#[tokio::test]
async fn a_token_is_fetched_where_the_challenge_says() {
    let issuer = Arc::new(Registry::default());
    let tasks = TaskSet::new("issuer");
    let realm = issuer.serve(&tasks).await;
    let token_registry = |registry: &mut Registry, _: &Digest| {
        registry.proof = Some("Authorization: Bearer t0");
        registry.challenge = format!("Bearer realm=\"http://{realm}/token\",service=\"r\"");
    };
    let fixture = Fixture::start(token_registry).await;
    fixture.pull("a:1").await.unwrap();
}

#[tokio::test]
async fn bytes_that_are_wrong_or_missing_are_not_kept() {
    let wrong = |registry: &mut Registry, config: &Digest| registry.put(format!("/v2/a/blobs/{config}"), *b"{}");
    let fixture = Fixture::start(wrong).await;
    let error = fixture.pull("a:1").await.unwrap_err();
    assert!(error.message.contains("has digest"), "{}", error.message);
    assert!(!fixture.store.content.contains(&fixture.config));

    let broken = |registry: &mut Registry, config: &Digest| {
        registry.broken.insert(format!("/v2/a/blobs/{config}"));
    };
    let fixture = Fixture::start(broken).await;
    fixture.pull("a:1").await.unwrap_err();
    assert!(!fixture.store.content.contains(&fixture.config));
    assert!(fixture.store.list().is_empty());
}

/// Once, the config was taken into memory with whatever length the manifest said.
#[tokio::test]
async fn a_config_that_is_longer_than_a_document_is_not_taken() {
    let long = DOCUMENT_BYTES_MAX + 1;
    for (told, at_blob) in [(long, false), (0, true)] {
        let blank = vec![b' '; usize::try_from(long).unwrap()];
        let config = Digest::of(&blank);
        let manifest = serde_json::json!({"layers": [], "config": {"digest": config.to_string(), "size": told}});
        let change = |registry: &mut Registry, _: &Digest| {
            registry.put("/v2/a/manifests/big".into(), manifest.to_string());
            registry.put(format!("/v2/a/blobs/{config}"), blank);
        };
        let fixture = Fixture::start(change).await;
        let error = fixture.pull("a:big").await.unwrap_err();
        assert!(error.message.contains(&format!("more than {DOCUMENT_BYTES_MAX} bytes")), "{}", error.message);
        assert_eq!(fixture.registry.requests.load(Ordering::Relaxed), 1 + usize::from(at_blob));
        assert!(!fixture.store.content.contains(&config));
    }
}

/// Once, the users of all images were read from the disk for each status of the node.
#[tokio::test]
async fn the_user_of_an_image_is_read_once() {
    let fixture = Fixture::start(|_, _| {}).await;
    let image = fixture.pull("a:1").await.unwrap();
    assert_eq!(fixture.store.known_user(&image.id), None);
    assert_eq!(fixture.store.user(&image).unwrap(), "1000");
    assert_eq!(fixture.store.known_user(&image.id).as_deref(), Some("1000"));
    fixture.store.remove(&image.id.to_string(), |_| false).unwrap();
    assert_eq!(fixture.store.known_user(&image.id), None);
}

#[tokio::test]
async fn mirrors_are_asked_first_and_may_fail() {
    let fixture = Fixture::start(|_, _| {}).await;
    let mirrors = vec!["http://127.0.0.1:1".to_owned(), format!("http://{}", fixture.address)];
    let config = RegistryConfig { mirrors: [("r.example".to_owned(), mirrors)].into(), ..RegistryConfig::default() };
    let puller = Puller::new(config, SystemClock::shared(), TaskSet::new("puller"));
    puller.pull(&fixture.store, &"r.example/a:1".parse().unwrap(), None).await.unwrap();
    assert!(fixture.store.find("r.example/a:1").is_some());
}

#[test]
fn registries_on_this_machine_are_plain() {
    for (domain, want) in [
        ("localhost:5000", true),
        ("127.0.0.1:5000", true),
        ("[::1]:5000", true),
        ("r.example", false),
        ("10.0.0.1:80", false),
    ] {
        assert_eq!(is_this_machine(domain), want, "{domain}");
    }
}
