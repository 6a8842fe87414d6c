//! cargo-nextest, the test runner, built from source once.

use crate::places::Places;
use crate::process::{self, run};

use super::Tool;

const VERSION: &str = "0.9.151";

pub(super) const TOOL: Tool = Tool { name: "cargo-nextest", version: VERSION, install };

fn install(places: &Places) -> anyhow::Result<()> {
    let build = places.tools.join("build");
    let mut command = process::cargo(&places.root);
    command.args(["install", "cargo-nextest", "--locked", "--force", "--quiet", "--version", VERSION]);
    // It need not update itself. A runner that mostly waits for tests needs no optimisation: this halves its build.
    command.args(["--no-default-features", "--features", "default-no-update", "--root"]).arg(&places.tools);
    command
        .env("CARGO_TARGET_DIR", &build)
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false");
    run(&mut command)?;
    // Half a gigabyte that is of no use any more.
    super::remove_folder(&build)
}
