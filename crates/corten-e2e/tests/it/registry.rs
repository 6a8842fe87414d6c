//! Images from a registry: pulled, missing, and there at last.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, ensure};
use corten_e2e::{Kubectl, Machine, eventually, in_sandbox};
use serde_json::Value;

const ADDRESS: &str = "127.0.0.1:5000";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[test]
fn pods_run_images_of_a_registry() {
    in_sandbox("registry::pods_run_images_of_a_registry", || {
        let machine = Machine::with_cluster()?;
        let kubectl = machine.kubectl()?;
        let place = Path::new("/run/registry-test");
        let image = Image::unpack(&machine, place)?;
        let registry = Registry::start(&machine.tool_path("docker-registry"), place)?;
        registry.push(&image, "v1")?;
        a_pod_pulls_and_runs(&kubectl)?;
        a_missing_tag_is_waited_for(&kubectl, &registry, &image)?;
        machine.corten(&["delete"])?;
        Ok(())
    });
}

fn pod(name: &str, tag: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  containers:\n  - name: c\n    image: \
         {ADDRESS}/team/app:{tag}\n    imagePullPolicy: Always\n    command: [sleep, '3600']\n"
    )
}

fn a_pod_pulls_and_runs(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(&pod("pulls", "v1"))?;
    kubectl.ok(&["wait", "--for=condition=Ready", "pod/pulls", "--timeout=60s"]);
    let shown = kubectl.ok(&["describe", "pod", "pulls"]);
    let pulling = format!("Pulling image \"{ADDRESS}/team/app:v1\"");
    let pulled = format!("Successfully pulled image \"{ADDRESS}/team/app:v1\" in ");
    ensure!(shown.contains(&pulling) && shown.contains(&pulled) && shown.contains("Image size: "), "{shown}");
    let pod = kubectl.json(&["get", "pod", "pulls"]);
    let id = pod["status"]["containerStatuses"][0]["imageID"].as_str().unwrap_or_default();
    ensure!(id.starts_with(&format!("{ADDRESS}/team/app@sha256:")), "{id}");
    kubectl.ok(&["delete", "pod", "pulls", "--grace-period=1"]);
    Ok(())
}

fn a_missing_tag_is_waited_for(kubectl: &Kubectl, registry: &Registry, image: &Image) -> anyhow::Result<()> {
    kubectl.apply(&pod("waits", "v2"))?;
    let name = format!("{ADDRESS}/team/app:v2");
    let failed = format!(
        "Failed to pull image \"{name}\": rpc error: code = NotFound desc = failed to pull and unpack image \"{name}\": \
         failed to resolve reference \"{name}\": {name}: not found"
    );
    for want in
        [&failed, "Error: ErrImagePull", &format!("Back-off pulling image \"{name}\""), "Error: ImagePullBackOff"]
    {
        eventually(want, || {
            let text = kubectl.ok(&["describe", "pod", "waits"]);
            ensure!(text.contains(want), "{text}");
            Ok(())
        })?;
    }
    registry.push(image, "v2")?;
    kubectl.ok(&["wait", "--for=condition=Ready", "pod/waits", "--timeout=90s"]);
    kubectl.ok(&["delete", "pod", "waits", "--grace-period=1"]);
    Ok(())
}

/// An image of the test archives, as files.
struct Image {
    blobs: PathBuf,
    manifest: Value,
    manifest_digest: String,
}

impl Image {
    fn unpack(machine: &Machine, place: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(place)?;
        let archive = machine.image("busybox-1.28.oci.tar").display().to_string();
        let output = machine.tool("busybox", &["tar", "-xf", &archive, "-C", &place.display().to_string()])?;
        ensure!(output.success, "{}", output.err);
        let index: Value = serde_json::from_slice(&std::fs::read(place.join("index.json"))?)?;
        let manifest_digest =
            index["manifests"][0]["digest"].as_str().context("the index names a manifest")?.to_owned();
        let blobs = place.join("blobs");
        let manifest = serde_json::from_slice(&read_blob(&blobs, &manifest_digest)?)?;
        Ok(Self { blobs, manifest, manifest_digest })
    }

    fn parts(&self) -> impl Iterator<Item = &str> {
        let layers = self.manifest["layers"].as_array().into_iter().flatten();
        layers.chain([&self.manifest["config"]]).filter_map(|part| part["digest"].as_str())
    }
}

fn read_blob(blobs: &Path, digest: &str) -> anyhow::Result<Vec<u8>> {
    let path = blobs.join(digest.replace(':', "/"));
    std::fs::read(&path).with_context(|| format!("read {}", path.display()))
}

/// Docker's own registry.
struct Registry {
    child: Child,
}

impl Registry {
    fn start(program: &Path, place: &Path) -> anyhow::Result<Self> {
        let (file, root) = (place.join("config.yml"), place.join("data"));
        let root = root.display();
        let config =
            format!("version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {root}\nhttp:\n  addr: {ADDRESS}\n");
        std::fs::write(&file, config)?;
        let mut command = Command::new(program);
        command.arg("serve").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("start {}", program.display()))?;
        let mut lines = BufReader::new(child.stderr.take().context("the log is piped")?).lines();
        let registry = Self { child };
        let listens = lines.any(|line| line.is_ok_and(|line| line.contains("listening on")));
        ensure!(listens, "the registry ended");
        // Its log must be read on, or it stops.
        std::thread::spawn(move || lines.count());
        Ok(registry)
    }

    /// One request; gives the answer.
    fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(ADDRESS).context("connect to the registry")?;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {ADDRESS}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Uploads an image under a tag.
    fn push(&self, image: &Image, tag: &str) -> anyhow::Result<()> {
        let bytes = "application/octet-stream";
        for digest in image.parts() {
            let answer = self.send("POST", "/v2/team/app/blobs/uploads/", bytes, b"")?;
            let location = answer.lines().find_map(|line| line.strip_prefix("Location: "));
            let location = location.context("an upload has a location")?.trim();
            let path = location.trim_start_matches("http://").trim_start_matches(ADDRESS);
            let separator = if path.contains('?') { '&' } else { '?' };
            let path = format!("{path}{separator}digest={digest}");
            let answer = self.send("PUT", &path, bytes, &read_blob(&image.blobs, digest)?)?;
            ensure!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        }
        let manifest = read_blob(&image.blobs, &image.manifest_digest)?;
        let answer = self.send("PUT", &format!("/v2/team/app/manifests/{tag}"), MANIFEST, &manifest)?;
        ensure!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        Ok(())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It goes with the sandbox in any case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
