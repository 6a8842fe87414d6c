//! Pulls from Docker's own registry. Root is needed (layers are unpacked through overlay mounts), its program
//! (`bin/docker-registry` in `CORTEN_TEST_TOOLS`), an image (`CORTEN_TEST_IMAGES`), and a network namespace whose loopback is up.

#![expect(clippy::print_stdout, reason = "the reader of a test run has to see what was not tried")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use corten_base::{SystemClock, TaskSet};
use corten_container_runtime::images::{
    Digest,
    import::import,
    registry::{Puller, RegistryConfig},
    store::ImageStore,
};
use corten_cri::Code;

/// The registry's program and the folder of images; `None` when the run was not promised them.
fn means() -> Option<(PathBuf, PathBuf)> {
    let path = |name| std::env::var_os(name).map(PathBuf::from);
    let program = path("CORTEN_TEST_TOOLS").map(|tools| tools.join("bin/docker-registry"));
    let both = program.zip(path("CORTEN_TEST_IMAGES"));
    let both = both.filter(|_| rustix::process::geteuid().is_root());
    if both.is_none() {
        println!("skipped: needs root, CORTEN_TEST_TOOLS and CORTEN_TEST_IMAGES");
    }
    both
}

struct Registry {
    child: Child,
    address: String,
    _directory: tempfile::TempDir,
}

impl Registry {
    fn start(program: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let file = directory.path().join("config.yml");
        let root = directory.path().join("data");
        let config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n",
            root.display()
        );
        std::fs::write(&file, config).unwrap();
        let mut child =
            Command::new(program).arg("serve").arg(&file).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("listening on")), "the registry ended");
        // Its log must be read on, or it stops.
        std::thread::spawn(move || lines.count());
        Self { child, address, _directory: directory }
    }

    /// One request; gives the head of the answer.
    fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn push(&self, name: &str, body: &[u8]) {
        let answer = self.send("POST", &format!("/v2/{name}/blobs/uploads/"), "application/octet-stream", b"");
        let location =
            answer.lines().find_map(|line| line.strip_prefix("Location: ")).expect("an upload has a location");
        let path = location.trim().trim_start_matches("http://").trim_start_matches(self.address.as_str());
        let separator = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{separator}digest={}", Digest::of(body));
        let answer = self.send("PUT", &path, "application/octet-stream", body);
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

mod privileged {
    use super::*;

    #[tokio::test]
    async fn an_image_comes_back_from_dockers_registry() {
        let Some((program, images)) = means() else { return };
        let place = || tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let (one, other) = (place(), place());
        let source = ImageStore::open(one.path().to_owned()).unwrap();
        let image = import(&source, &images.join("busybox-1.28.oci.tar")).unwrap().remove(0);

        let registry = Registry::start(&program);
        for blob in image.layers.iter().chain([&image.id]) {
            registry.push("team/app", &source.content.read(blob).unwrap());
        }
        let part = |digest: &Digest, kind: &str| {
            let size = source.content.read(digest).unwrap().len();
            serde_json::json!({"mediaType": kind, "digest": digest.to_string(), "size": size})
        };
        let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": kind,
            "config": part(&image.id, "application/vnd.oci.image.config.v1+json"),
            "layers": image.layers.iter().map(|digest| part(digest, layer)).collect::<Vec<_>>(),
        });
        let answer = registry.send("PUT", "/v2/team/app/manifests/v1", kind, manifest.to_string().as_bytes());
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");

        let store = Arc::new(ImageStore::open(other.path().to_owned()).unwrap());
        let puller = Puller::new(RegistryConfig::default(), SystemClock::shared(), TaskSet::new("puller"));
        let name = |tag: &str| format!("{}/team/app:{tag}", registry.address).parse().unwrap();
        let pulled = puller.pull(&store, &name("v1"), None).await.unwrap();
        assert_eq!((&pulled.id, &pulled.chain), (&image.id, &image.chain));
        assert!(store.snapshots.lowers(&pulled.chain).iter().any(|lower| lower.join("bin/sh").exists()));
        assert_eq!(puller.pull(&store, &name("v2"), None).await.unwrap_err().code, Code::NotFound);
        store.remove(&format!("{}/team/app:v1", registry.address), |_| false).unwrap();
    }
}
