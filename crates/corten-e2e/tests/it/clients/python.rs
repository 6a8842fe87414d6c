//! The Python client (`kubernetes` of PyPI): typed, dynamic, watches, streams.

use std::path::Path;

use corten_e2e::{Kubectl, Machine};

use super::scripts::Scripts;

const FILES: &[(&str, &str)] = &[
    ("checks.py", include_str!("scripts/checks.py")),
    ("custom.py", include_str!("scripts/custom.py")),
    ("objects.py", include_str!("scripts/objects.py")),
    ("pods.py", include_str!("scripts/pods.py")),
];

pub(super) fn checks(kubectl: &Kubectl) -> anyhow::Result<()> {
    let scripts = Scripts::write(Machine::here()?.tool_path("python-client"), Path::new("/run/python-client"), FILES)?;
    for script in ["pods.py", "objects.py", "custom.py"] {
        scripts.run(script, kubectl)?;
    }
    Ok(())
}
