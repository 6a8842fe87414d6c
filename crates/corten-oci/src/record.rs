//! What is written down about a container, so that another process can go on with it.
//!
//! Format, version 1: one JSON object in `record.json` of the container's state directory, replaced as a whole.

use std::path::{Path, PathBuf};

use corten_base::fs::{self, FsError};
use libcontainer::oci_spec::runtime::LinuxSeccomp;
use serde::{Deserialize, Serialize};

/// The version this code writes and reads.
const VERSION: u32 = 1;
const FILE: &str = "record.json";

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file is missing or unreadable, or could not be written.
    #[error(transparent)]
    File(#[from] FsError),
    /// It is not a record.
    #[error("parse record of container {id}")]
    Parse {
        /// The container.
        id: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// It was written by another version.
    #[error("record of container {id} has version {version}, this program knows {VERSION}")]
    Version {
        /// The container.
        id: String,
        /// Its version.
        version: u32,
    },
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    version: u32,
    pub(crate) id: String,
    pub(crate) bundle: PathBuf,
    pub(crate) cgroups_path: PathBuf,
    pub(crate) pid: i32,
    /// Field 22 of `/proc/PID/stat`, clock ticks after boot: tells init from a later process of the same number.
    pub(crate) start_ticks: u64,
    pub(crate) started: bool,
    /// The container's profile, for execs of a later process: the bundle may be gone or changed by then.
    pub(crate) seccomp: Option<LinuxSeccomp>,
}

impl Record {
    pub(crate) fn new(
        id: &str,
        bundle: &Path,
        cgroups_path: &Path,
        seccomp: Option<&LinuxSeccomp>,
        pid: i32,
    ) -> Result<Self, RecordError> {
        Ok(Self {
            version: VERSION,
            id: id.to_owned(),
            bundle: bundle.to_owned(),
            cgroups_path: cgroups_path.to_owned(),
            pid,
            start_ticks: start_ticks(pid)?.unwrap_or(0),
            started: false,
            seccomp: seccomp.cloned(),
        })
    }

    pub(crate) fn read(directory: &Path, id: &str) -> Result<Self, RecordError> {
        let text = fs::read(&directory.join(FILE))?;
        let record: Self =
            serde_json::from_slice(&text).map_err(|source| RecordError::Parse { id: id.to_owned(), source })?;
        if record.version == VERSION {
            Ok(record)
        } else {
            Err(RecordError::Version { id: id.to_owned(), version: record.version })
        }
    }

    /// The state lives in memory only (a tmpfs): a crash of the machine ends the container too, so nothing is flushed.
    pub(crate) fn write(&self, directory: &Path) -> Result<(), RecordError> {
        let text = serde_json::to_vec(self).map_err(|source| RecordError::Parse { id: self.id.clone(), source })?;
        let temporary = directory.join("record.json.new");
        let path = directory.join(FILE);
        fs::write_private(&temporary, &text)?;
        std::fs::rename(&temporary, &path).map_err(|source| FsError {
            operation: "rename",
            path: temporary,
            source,
        })?;
        Ok(())
    }

    /// Whether `pid` is still the process that was written down.
    pub(crate) fn is_alive(&self) -> Result<bool, RecordError> {
        Ok(start_ticks(self.pid)? == Some(self.start_ticks))
    }
}

/// When a process started; `None` if there is none.
fn start_ticks(pid: i32) -> Result<Option<u64>, FsError> {
    let path = PathBuf::from(format!("/proc/{pid}/stat"));
    match fs::read_to_string(&path) {
        // The name in parentheses may contain anything; 19 fields lie between it and the time.
        Ok(text) => Ok(text.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(19)?.parse().ok())),
        Err(error) if error.is_not_found() || error.source.raw_os_error() == Some(libc::ESRCH) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let record = Record::new("a", Path::new("/b"), Path::new("/c"), None, pid).unwrap();
        assert!(record.start_ticks > 0 && record.is_alive().unwrap());
        record.write(directory.path()).unwrap();
        assert_eq!(Record::read(directory.path(), "a").unwrap(), record);
    }

    #[test]
    fn another_process_of_the_same_number_is_not_the_container() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let mut record = Record::new("a", Path::new("/b"), Path::new("/c"), None, pid).unwrap();
        record.start_ticks += 1;
        assert!(!record.is_alive().unwrap());
    }

    #[test]
    fn a_later_version_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let text = r#"{"version":2,"id":"a","bundle":"/b","cgroupsPath":"/c","pid":1,"startTicks":1,"started":false,"seccomp":null}"#;
        std::fs::write(directory.path().join(FILE), text).unwrap();
        assert!(matches!(Record::read(directory.path(), "a"), Err(RecordError::Version { version: 2, .. })));
    }
}
