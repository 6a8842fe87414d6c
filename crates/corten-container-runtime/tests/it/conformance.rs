//! The runtime keeps the promises of the interface, with real containers: needs root and `CORTEN_TEST_IMAGES`.
//!
//! The pod network lives in a network namespace of the test's own.

#![expect(clippy::print_stdout, reason = "the reader of a test run has to see what was not tried")]

use std::{
    collections::BTreeMap,
    io::Read as _,
    path::{Path, PathBuf},
};

use corten_base::{Shutdown, ShutdownTrigger, SystemClock, SystemRng};
use corten_container_runtime::{
    Config, ContainerRuntime,
    images::{Digest, import::import},
};
use corten_cri::{
    conformance::{Fixture, Need, TestImages},
    cri_conformance,
};
use corten_net::netns::Netns;
use serde_json::{Value, json};

/// What a fixture holds until its case is over.
struct Keep {
    _shutdown: ShutdownTrigger,
    _directories: [tempfile::TempDir; 2],
    cgroup: String,
}

impl Drop for Keep {
    fn drop(&mut self) {
        let hierarchies = corten_oci::cgroup::Hierarchies::detect().expect("the machine's hierarchies");
        let cgroup = corten_oci::Cgroup::new(hierarchies, Path::new(&self.cgroup));
        if let Err(error) = cgroup.remove() {
            println!("left behind: control group {}: {error}", self.cgroup);
        }
    }
}

fn append(builder: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, name, content).expect("append to an archive in memory");
}

/// The busybox of the test images with a user, as the suite wants it.
fn shell_image(busybox: &Path, target: &Path) {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut archive = tar::Archive::new(std::fs::File::open(busybox).expect("open the test image"));
    for entry in archive.entries().expect("read the test image") {
        let mut entry = entry.expect("read the test image");
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("read the test image");
        files.insert(entry.path().expect("a path").display().to_string(), bytes);
    }
    let mut layer = tar::Builder::new(Vec::new());
    append(&mut layer, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\ntester:x:1001:1002::/:/bin/sh\n");
    append(&mut layer, "etc/group", b"root:x:0:\ntester:x:1002:\nothers:x:1003:tester\n");
    let layer = layer.into_inner().expect("finish the layer");
    let mut manifest: Value = serde_json::from_slice(&files["manifest.json"]).expect("a manifest");
    let mut config: Value =
        serde_json::from_slice(&files[manifest[0]["Config"].as_str().expect("a name")]).expect("a config");
    config["rootfs"]["diff_ids"].as_array_mut().expect("layers").push(json!(Digest::of(&layer)));
    manifest[0]["Layers"].as_array_mut().expect("layers").push(json!("own/layer.tar"));
    manifest[0]["Config"] = json!("own.json");
    manifest[0]["RepoTags"] = json!(["test.invalid/shell:1"]);
    let mut image = tar::Builder::new(Vec::new());
    append(&mut image, "manifest.json", manifest.to_string().as_bytes());
    append(&mut image, "own.json", config.to_string().as_bytes());
    append(&mut image, "own/layer.tar", &layer);
    for (name, bytes) in files.iter().filter(|(name, _)| name.ends_with(".tar")) {
        append(&mut image, name, bytes);
    }
    std::fs::write(target, image.into_inner().expect("finish the image")).expect("write the image");
}

async fn fixture() -> Option<Fixture> {
    let images = std::env::var_os("CORTEN_TEST_IMAGES").map(PathBuf::from);
    let images = images.filter(|_| nix::unistd::geteuid().is_root());
    let Some(images) = images else {
        println!("skipped: needs root and CORTEN_TEST_IMAGES");
        return None;
    };
    let busybox = images.join("busybox-1.28.docker.tar");
    assert!(busybox.is_file(), "CORTEN_TEST_IMAGES has no busybox");
    let kept = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("make a directory");
    // Short, because sockets are in it.
    let live = tempfile::Builder::new().prefix("crt").tempdir_in("/tmp").expect("make a directory");
    let archive = live.path().join("shell.tar");
    shell_image(&busybox, &archive);
    let (clock, rng) = (SystemClock::shared(), SystemRng::shared());
    let name = format!("crt{}", std::process::id());
    let mut config =
        Config::new(&name, kept.path().join("root"), live.path().to_owned(), env!("CARGO_BIN_EXE_corten-shim").into());
    config.pod_cidrs = vec!["10.211.0.0/24".to_owned()];
    config.cgroup_root = format!("{name}-{}", &rng.uuid()[..8]);
    let cgroup = format!("/{}", config.cgroup_root);
    let (trigger, shutdown) = Shutdown::new();
    let host = Netns::create().expect("make a network namespace");
    let runtime = ContainerRuntime::open(config, host, clock.clone(), rng, shutdown).await.expect("open the runtime");
    let store = runtime.images().clone();
    let tasks = corten_base::TaskSet::new("test");
    let imported = corten_base::blocking::run(&tasks, "import", move || import(&store, &archive));
    imported.await.expect("no panic").expect("import");
    let dir = kept.path().join("shared");
    std::fs::create_dir(&dir).expect("make a directory");
    let cri = runtime.cri();
    Some(Fixture {
        runtime: cri.runtime,
        images: cri.images,
        streaming: Some(std::sync::Arc::new(runtime)),
        clock,
        dir,
        cgroup_parent: String::new(),
        test_images: TestImages {
            shell: "test.invalid/shell:1".to_owned(),
            absent: "test.invalid/absent:1".to_owned(),
            pullable: None,
        },
        provides: vec![
            Need::Processes,
            Need::Network,
            Need::HostPid,
            Need::Privileged,
            Need::Seccomp,
            Need::GroupsPolicy,
            Need::StopSignal,
            Need::Limits,
            Need::Resources,
            Need::Stats,
            Need::Streaming,
            Need::Mounts,
            Need::Events,
            Need::StopUnknown,
            Need::ImageFilter,
        ],
        owner: Fixture::unique_owner(),
        keep: Some(Box::new(Keep { _shutdown: trigger, _directories: [kept, live], cgroup })),
    })
}

mod privileged {
    use super::*;

    cri_conformance!(fixture().await);
}
