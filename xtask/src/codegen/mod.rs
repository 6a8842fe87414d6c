//! `cargo xtask codegen`: files that are generated and committed. [`functions`] makes the list for the release's arrangement;
//! `api` the type table of the built-in groups from public data.
//!
//! Flow of `api`: Go declarations ([`go`]), protobuf messages ([`protos`]) and the OpenAPI document say what they know of each type;
//! [`resolve`] makes one description of it and fails where they disagree; [`write`] prints it. The result is committed:
//! facts only, no prose. Another version of Kubernetes is one run with its data away.

mod functions;
mod go;
mod protos;
mod resolve;
mod write;

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use crate::places::{Places, workspace_root};

/// Where the data of upstream is: `go-fields.tsv`, `go-constants.tsv`, `openapi/`.
const DATA_VARIABLE: &str = "CORTEN_UPSTREAM_DATA";
/// The crate that holds upstream's protobuf files, and the folder of this Kubernetes version in it.
const PROTO_CRATE: (&str, &str, &str) = ("k8s-rs-pb", "0.5.0", "src/v1_35");
/// The OpenAPI document that says which types are exposed.
const OPENAPI: &str = "openapi/swagger-v1.35.json";
/// What is written.
const OUTPUT: &str = "crates/corten-api/src/types.table";

/// What to generate.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The thing to make.
    target: Target,
}

/// Things that are generated and committed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Target {
    /// The type table of the built-in groups: `crates/corten-api/src/types.table`.
    Api,
    /// Which functions run, for the release's arrangement: `crates/corten/functions.txt`. Needs valgrind, and time for a release.
    Functions,
}

/// Generates what `options` name.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    match options.target {
        Target::Api => api(),
        Target::Functions => functions::make(&Places::find()?),
    }
}

fn api() -> anyhow::Result<()> {
    let data = PathBuf::from(std::env::var_os(DATA_VARIABLE).with_context(|| format!("{DATA_VARIABLE} is not set"))?);
    let read = |name: &str| fs::read_to_string(data.join(name)).with_context(|| format!("read {name}"));
    let go = go::Source::parse(&read("go-fields.tsv")?, &read("go-constants.tsv")?)?;
    let messages = protos::read(&proto_folder()?)?;
    let document: serde_json::Value = serde_json::from_str(&read(OPENAPI)?).context("parse the OpenAPI document")?;
    let served: BTreeSet<&str> = document["definitions"]
        .as_object()
        .context("the OpenAPI document has no definitions")?
        .keys()
        .map(String::as_str)
        .collect();
    let table = resolve::resolve(&go, &messages, &served)?;
    let output = workspace_root()?.join(OUTPUT);
    fs::write(&output, write::print(&table)).with_context(|| format!("write {OUTPUT}"))
}

/// Fetches the crate with the protobuf files through cargo, by a manifest under the target folder, and finds its sources.
fn proto_folder() -> anyhow::Result<PathBuf> {
    let (name, version, folder) = PROTO_CRATE;
    let target = Places::find()?.target;
    let fetch = target.join("codegen");
    fs::create_dir_all(fetch.join("src"))?;
    fs::write(fetch.join("src/lib.rs"), "")?;
    let manifest = fetch.join("Cargo.toml");
    let text = format!(
        "[package]\nname = \"codegen-inputs\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n{name} = \"={version}\"\n"
    );
    fs::write(&manifest, text)?;
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--manifest-path"])
        .arg(&manifest)
        .output()
        .context("run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let package =
        packages.iter().find(|package| package["name"] == name).context("the protobuf crate was not fetched")?;
    let path = package["manifest_path"].as_str().context("the protobuf crate has no path")?;
    Ok(PathBuf::from(path).with_file_name(folder))
}
