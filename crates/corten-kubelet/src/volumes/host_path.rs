//! `hostPath`: a path of the node.
//!
//! Upstream: pkg/volume/hostpath (v1.35).

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, OpenOptionsExt as _},
    path::Path,
};

use async_trait::async_trait;
use corten_api::core::v1::{HostPathVolumeSource, Volume};

use super::plugin::{Plan, PlanContext, PlanError, Planned, VolumePlugin};

pub(super) struct HostPathPlugin;

#[async_trait]
impl VolumePlugin for HostPathPlugin {
    fn name(&self) -> &'static str {
        "kubernetes.io/host-path"
    }

    fn supports(&self, volume: &Volume) -> bool {
        volume.host_path.is_some()
    }

    async fn plan(&self, _: &PlanContext<'_>, volume: &Volume) -> Result<Planned, PlanError> {
        Ok(plan(&volume.host_path.clone().unwrap_or_default(), false)?.into())
    }
}

/// Also for persistent volumes on a path of the node. Errors: a path that leads upwards.
pub(super) fn plan(source: &HostPathVolumeSource, read_only: bool) -> Result<Plan, PlanError> {
    if source.path.split('/').any(|part| part == "..") {
        return Err(PlanError::set_up(format!("invalid HostPath `{}`: must not contain '..'", source.path)));
    }
    Ok(Plan::HostPath { path: source.path.clone().into(), kind: source.type_.clone().unwrap_or_default(), read_only })
}

/// Checks, and for the `OrCreate` kinds makes, what has to be at `path`. Blocks. Errors: upstream's text.
pub(super) fn check(path: &Path, kind: &str) -> Result<(), String> {
    let shown = path.display();
    let made = match kind {
        "" => return Ok(()),
        // What is there, of whatever kind, is judged below.
        "DirectoryOrCreate" if !path.exists() => fs::DirBuilder::new().recursive(true).mode(0o755).create(path),
        "FileOrCreate" if !path.exists() => {
            return OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o644)
                .open(path)
                .map(drop)
                .map_err(|error| format!("open {shown}: {}", reason(&error)));
        }
        _ => Ok(()),
    };
    made.map_err(|error| format!("mkdir {shown}: {}", reason(&error)))?;
    let (wanted, description) = match kind {
        "DirectoryOrCreate" | "Directory" => ("Directory", "directory"),
        "FileOrCreate" | "File" => ("File", "file"),
        "Socket" => ("Socket", "socket file"),
        "CharDevice" => ("CharDevice", "character device"),
        "BlockDevice" => ("BlockDevice", "block device"),
        other => return Err(format!("{other} is an invalid volume type")),
    };
    let found = fs::metadata(path).map_err(|_| format!("hostPath {shown} doesn't exist"))?.file_type();
    let found = if found.is_dir() {
        "Directory"
    } else if found.is_file() {
        "File"
    } else if found.is_socket() {
        "Socket"
    } else if found.is_char_device() {
        "CharDevice"
    } else if found.is_block_device() {
        "BlockDevice"
    } else {
        return Err(format!(
            "hostPath type check failed, {shown} is not a {description}, unable to determine its type: \
             only recognise file, directory, socket, block device and character device"
        ));
    };
    if found != wanted {
        return Err(format!("hostPath type check failed: {shown} is not a {description}, it's a {found}"));
    }
    Ok(())
}

/// What the system said, in C's words: `permission denied`.
fn reason(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |code| nix::Error::from_raw(code).desc().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(path: &Path, kind: &str, want: &str) {
        let want = want.replace("PATH", &path.display().to_string());
        assert_eq!(super::check(path, kind), Err(want));
    }

    #[test]
    fn a_path_is_what_its_type_says() {
        let directory = tempfile::tempdir().unwrap();
        let (here, missing) = (directory.path(), directory.path().join("a/b"));
        let file = here.join("file");
        assert_eq!(check(&missing, ""), Ok(()));
        refused(&missing, "Directory", "hostPath PATH doesn't exist");
        refused(here, "File", "hostPath type check failed: PATH is not a file, it's a Directory");
        refused(here, "Socket", "hostPath type check failed: PATH is not a socket file, it's a Directory");
        refused(here, "Other", "Other is an invalid volume type");
        assert_eq!(check(&missing, "DirectoryOrCreate"), Ok(()));
        assert!(missing.is_dir());
        assert_eq!(check(&file, "FileOrCreate"), Ok(()));
        assert_eq!(check(&file, "File"), Ok(()));
        refused(&file, "DirectoryOrCreate", "hostPath type check failed: PATH is not a directory, it's a File");
        assert_eq!(check(Path::new("/dev/null"), "CharDevice"), Ok(()));
    }
}
