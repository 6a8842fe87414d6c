//! The JavaScript client (`@kubernetes/client-node` of npm): typed, dynamic, informers, streams.

use std::path::Path;

use anyhow::Context as _;
use corten_e2e::{Kubectl, Machine};

use super::scripts::Scripts;

const FILES: &[(&str, &str)] = &[
    ("checks.mjs", include_str!("scripts/checks.mjs")),
    ("custom.mjs", include_str!("scripts/custom.mjs")),
    ("objects.mjs", include_str!("scripts/objects.mjs")),
    ("pods.mjs", include_str!("scripts/pods.mjs")),
];

pub(super) fn checks(kubectl: &Kubectl) -> anyhow::Result<()> {
    let machine = Machine::here()?;
    let folder = Path::new("/run/javascript-client");
    let scripts = Scripts::write(machine.tool_path("node"), folder, FILES)?;
    // A module finds packages beside itself alone.
    let packages = machine.tool_path("../javascript-client/node_modules");
    std::os::unix::fs::symlink(packages, folder.join("node_modules")).context("link the packages")?;
    for script in ["pods.mjs", "objects.mjs", "custom.mjs"] {
        scripts.run(script, kubectl)?;
    }
    Ok(())
}
