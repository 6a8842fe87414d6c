//! `cargo xtask images`: the container images of the tests, made from a few files without any container tool.
//!
//! Each image is written twice to `target/images`: `NAME.docker.tar` as `docker save` writes it, under the short
//! reference a person would type, and `NAME.oci.tar` as an OCI layout under the full reference. Same input, same bytes.

mod archive;
mod layer;

use std::env::consts::ARCH;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use self::layer::Layer;
use crate::places::Places;
use crate::process;
use crate::stopwatch::Stopwatch;

/// An image before it is written.
struct Image {
    /// As in a pod, with registry host, repository and tag.
    reference: &'static str,
    /// What `docker save` would call it.
    familiar_reference: &'static str,
    file_name: &'static str,
    /// The `config` of the OCI image configuration: command, environment, working directory.
    config: Value,
    layers: Vec<Layer>,
}

/// Builds the programs in them and writes all images.
///
/// Errors: a tool is not installed (`cargo xtask tools`); the static programs do not build.
pub(crate) fn build(places: &Places) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    let programs = build_static_programs(places)?;
    fs::create_dir_all(&places.images).with_context(|| format!("create folder {}", places.images.display()))?;
    let bootcamp = read(&programs.join("bootcamp"))?;
    let images = [
        bootcamp_image(&bootcamp, "1"),
        bootcamp_image(&bootcamp, "2"),
        busybox_image(places, &read(&programs.join("nslookup"))?)?,
    ];
    let mut total = 0;
    for image in &images {
        for (kind, bytes) in [("docker", archive::docker(image)?), ("oci", archive::oci(image)?)] {
            let path = places.images.join(format!("{}.{kind}.tar", image.file_name));
            total += bytes.len();
            fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))?;
        }
        println!("images: {}", image.reference);
    }
    println!("images: {:.1} MB in {}, {}", total as f64 / 1e6, places.images.display(), watch.elapsed_text());
    Ok(())
}

/// Programs that run in an empty root: linked without any shared library.
fn build_static_programs(places: &Places) -> anyhow::Result<std::path::PathBuf> {
    let target = format!("{ARCH}-unknown-linux-gnu");
    let mut command = process::cargo(&places.root);
    command.args(["build", "--quiet", "--release", "--target", &target]);
    command.args(["--package", "corten-bootcamp", "--package", "corten-nslookup"]);
    // With an explicit target the flag does not reach build scripts, and the artifacts have a folder of their own.
    command.env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static");
    process::run(&mut command)?;
    Ok(places.target.join(target).join("release"))
}

/// The tutorial's application: one file, no shell.
fn bootcamp_image(program: &[u8], version: &str) -> Image {
    let mut files = Layer::default();
    files.file("bootcamp", 0o755, program);
    let (reference, familiar_reference, file_name) = match version {
        "1" => {
            ("docker.io/jocatalin/kubernetes-bootcamp:v1", "jocatalin/kubernetes-bootcamp:v1", "kubernetes-bootcamp-v1")
        }
        _ => {
            ("docker.io/jocatalin/kubernetes-bootcamp:v2", "jocatalin/kubernetes-bootcamp:v2", "kubernetes-bootcamp-v2")
        }
    };
    let config = json!({
        "Env": ["PATH=/", format!("BOOTCAMP_VERSION={version}")],
        "Entrypoint": ["/bootcamp"],
        "ExposedPorts": { "8080/tcp": {} },
        "WorkingDir": "/",
    });
    Image { reference, familiar_reference, file_name, config, layers: vec![files] }
}

/// A small system with a shell: Debian's busybox with the C library, and `nslookup` as it was in 1.28.
///
/// Debian's `wget` crashes when it is given `-T`; scripts say `timeout 5 wget URL` instead.
fn busybox_image(places: &Places, nslookup: &[u8]) -> anyhow::Result<Image> {
    let package = places.tools.join("debian/busybox");
    if !package.exists() {
        bail!("Debian's busybox is not in {}; run `cargo xtask tools`", package.display());
    }
    let mut base = Layer::default();
    for folder in ["bin", "dev", "etc", "home", "proc", "root", "sys", "usr", "usr/bin", "var", "var/www"] {
        base.folder(folder, 0o755);
    }
    base.folder("tmp", 0o1777);
    let busybox = package.join("bin/busybox");
    base.file("bin/busybox", 0o755, &read(&busybox)?);
    for library in LIBRARIES {
        base.file(library, 0o755, &read(&package.join(find_library(&package, library)?))?);
    }
    base.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n");
    base.file("etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n");
    let applets = process::output(std::process::Command::new(&busybox).arg("--list"))?;
    for applet in applets.lines().filter(|applet| !matches!(*applet, "busybox" | "nslookup")) {
        base.link(&format!("bin/{applet}"), "busybox");
    }
    // A layer of its own, so that an image with more than one is among the tests' images.
    let mut own = Layer::default();
    own.folder("bin", 0o755);
    own.file("bin/nslookup", 0o755, nslookup);
    let config = json!({ "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["sh"] });
    Ok(Image {
        reference: "docker.io/library/busybox:1.28",
        familiar_reference: "busybox:1.28",
        file_name: "busybox-1.28",
        config,
        layers: vec![base, own],
    })
}

/// What busybox loads, by where it looks: the dynamic linker first.
const LIBRARIES: &[&str] =
    &["lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/libc.so.6", "lib/x86_64-linux-gnu/libresolv.so.2"];

/// The package has the linker beside the libraries; its place in the root is a link that only an installation makes.
fn find_library(package: &Path, library: &str) -> anyhow::Result<String> {
    let name = library.rsplit('/').next().unwrap_or(library);
    let places =
        [library.to_owned(), format!("lib/x86_64-linux-gnu/{name}"), format!("usr/lib/x86_64-linux-gnu/{name}")];
    let found = places.into_iter().find(|place| package.join(place).is_file());
    found.with_context(|| format!("package libc6 holds no {name}"))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}
