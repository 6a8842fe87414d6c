//! cargo's companions, built from source once: cargo-nextest runs the tests, cargo-deny checks licences and bans.

use anyhow::Context;

use super::Tool;
use crate::places::Places;
use crate::process::{self, run};

pub(super) const NEXTEST: Tool = Tool {
    name: "cargo-nextest",
    version: "0.9.151",
    // It need not update itself.
    install: |places, version| {
        build(places, "cargo-nextest", version, &["--no-default-features", "--features", "default-no-update"])
    },
};

pub(super) const DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
    install: |places, version| build(places, "cargo-deny", version, &[]),
};

fn build(places: &Places, name: &str, version: &str, features: &[&str]) -> anyhow::Result<()> {
    let build = places.tools.join("scratch").join(name);
    let mut command = process::cargo(&places.root);
    command.args(["install", name, "--locked", "--force", "--version", version, "--root"]);
    command.arg(&places.tools).args(features).args(process::verbosity());
    // Tools that mostly wait for others need little optimisation: this halves their build.
    command
        .env("CARGO_TARGET_DIR", &build)
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false");
    run(&mut command).context("is cargo's registry reachable, and is there a C compiler?")?;
    // Half a gigabyte that is of no use any more.
    super::remove_folder(&build)
}
