//! What is written down about pods and containers, version 1: one JSON document each, replaced as a whole.
//!
//! The CRI configs are kept as they came, in their protobuf form (base64), so that a field that this version does not use
//! is there for the next one.

use std::path::Path;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use corten_base::fs::{self, FsError};
use corten_cri::api;
use prost::Message;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

use crate::shim::protocol::Exit;

/// The version this code writes and reads.
pub(crate) const VERSION: u32 = 1;

/// A protobuf message inside JSON.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Encoded<M>(pub(crate) M);

impl<M: Message> Serialize for Encoded<M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(self.0.encode_to_vec()))
    }
}

impl<'de, M: Message + Default> Deserialize<'de> for Encoded<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64_STANDARD.decode(text).map_err(serde::de::Error::custom)?;
        M::decode(&*bytes).map(Self).map_err(serde::de::Error::custom)
    }
}

/// `sandbox.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SandboxRecord {
    pub(crate) version: u32,
    pub(crate) id: String,
    pub(crate) config: Encoded<api::PodSandboxConfig>,
    /// Nanoseconds since 1970.
    pub(crate) created_at: i64,
    pub(crate) ready: bool,
    pub(crate) ips: Vec<String>,
    /// Below the root of each hierarchy.
    pub(crate) cgroup: String,
}

/// `container.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainerRecord {
    pub(crate) version: u32,
    pub(crate) id: String,
    pub(crate) sandbox: String,
    pub(crate) config: Encoded<api::ContainerConfig>,
    pub(crate) resources: Encoded<api::LinuxContainerResources>,
    pub(crate) image: crate::images::Digest,
    pub(crate) image_ref: String,
    /// Nanoseconds since 1970.
    pub(crate) created_at: i64,
    pub(crate) log_path: String,
    pub(crate) cgroup: String,
    pub(crate) stop_signal: i32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    /// Nanoseconds since 1970; 0 until it has started, and in records of older versions. Kept here as well, since what the
    /// shim writes does not outlive a reboot.
    #[serde(default)]
    pub(crate) started_at: i64,
    /// How it ended, once all pods were stopped, for the same reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exit: Option<Exit>,
}

/// Reads a record that says its version; `None` if there is none.
///
/// Errors: it cannot be read, is no such record, or has another version than `known`.
pub(crate) fn read_version<T: DeserializeOwned>(path: &Path, known: u32) -> Result<Option<T>, FsError> {
    #[derive(Deserialize)]
    struct Head {
        version: u32,
    }
    // The version first: what else is in a later one may look different.
    let Some(Head { version }) = read(path)? else { return Ok(None) };
    if version != known {
        let text = format!("it has version {version}, this program knows {known}");
        let source = std::io::Error::new(std::io::ErrorKind::InvalidData, text);
        return Err(FsError { operation: "parse", path: path.to_owned(), source });
    }
    read(path)
}

/// Reads a JSON document; `None` if there is none.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FsError> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| FsError {
            operation: "parse",
            path: path.to_owned(),
            source: error.into(),
        }),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The version was written and never looked at.
    #[test]
    fn a_later_version_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.json");
        let read = || read_version::<serde_json::Value>(&path, VERSION);
        assert!(read().unwrap().is_none());
        fs::write(&path, br#"{"version":1,"id":"a"}"#).unwrap();
        assert_eq!(read().unwrap().unwrap()["id"], "a");
        for broken in [r#"{"version":2,"id":"a"}"#, r#"{"version":1,"#, "", "{}"] {
            fs::write(&path, broken.as_bytes()).unwrap();
            assert!(read().is_err(), "{broken}");
        }
    }
}
