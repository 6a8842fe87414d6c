//! The files of a volume that comes from the API. Pure.

use std::collections::BTreeMap;

use corten_api::core::v1::{ConfigMap, KeyToPath, Secret};

/// Files by their paths in the volume.
pub(super) type Payload = BTreeMap<String, ProjectedFile>;

/// The mode of files that nothing else is said about. Source: `ConfigMapVolumeSourceDefaultMode` and its kin.
const DEFAULT_MODE: u32 = 0o644;

/// One file.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ProjectedFile {
    pub(super) data: Vec<u8>,
    pub(super) mode: u32,
    /// The owner; the kubelet's user if absent.
    pub(super) owner: Option<u32>,
}

impl std::fmt::Debug for ProjectedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProjectedFile({} bytes, {:o}, owner {:?})", self.data.len(), self.mode, self.owner)
    }
}

/// `defaultMode`, which the API server sets.
pub(super) fn mode(wanted: Option<i32>) -> u32 {
    wanted.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(DEFAULT_MODE)
}

/// What is projected from one object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Projection<'a> {
    pub(super) items: Option<&'a [KeyToPath]>,
    pub(super) default_mode: u32,
    pub(super) optional: bool,
}

/// The files of a config map. Errors: a key that is not there and not optional.
pub(super) fn of_config_map(map: &ConfigMap, projection: Projection<'_>) -> Result<Payload, String> {
    let text = map.data.iter().flatten().map(|(key, value)| (key.as_str(), value.as_bytes()));
    let binary = map.binary_data.iter().flatten().map(|(key, value)| (key.as_str(), value.0.as_slice()));
    project(&text.chain(binary).collect(), projection, "configmap references non-existent config key")
}

/// The files of a secret. Errors: a key that is not there and not optional.
pub(super) fn of_secret(secret: &Secret, projection: Projection<'_>) -> Result<Payload, String> {
    let data = secret.data.iter().flatten().map(|(key, value)| (key.as_str(), value.0.as_slice()));
    project(&data.collect(), projection, "references non-existent secret key")
}

fn project(data: &BTreeMap<&str, &[u8]>, projection: Projection<'_>, missing: &'static str) -> Result<Payload, String> {
    let file = |content: &[u8], mode| ProjectedFile { data: content.to_vec(), mode, owner: None };
    let Some(items) = projection.items.filter(|items| !items.is_empty()) else {
        let files = data.iter().map(|(key, content)| ((*key).to_owned(), file(content, projection.default_mode)));
        return Ok(files.collect());
    };
    let mut payload = Payload::new();
    for item in items {
        match data.get(item.key.as_str()) {
            Some(content) => {
                let mode = item.mode.map_or(projection.default_mode, |own| mode(Some(own)));
                payload.insert(item.path.clone(), file(content, mode));
            }
            None if projection.optional => {}
            None => return Err(format!("{missing}: {}", item.key)),
        }
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> ConfigMap {
        serde_json::from_value(serde_json::json!({"data": {"a": "1"}, "binaryData": {"b": "AAE="}})).unwrap()
    }

    #[track_caller]
    fn check(items: &[(&str, &str, Option<i32>)], optional: bool, want: Result<&[(&str, u32)], &str>) {
        let items: Vec<KeyToPath> = items
            .iter()
            .map(|(key, path, mode)| KeyToPath { key: (*key).to_owned(), path: (*path).to_owned(), mode: *mode })
            .collect();
        let projection = Projection { items: Some(&items), default_mode: 0o644, optional };
        let got = of_config_map(&map(), projection)
            .map(|payload| payload.into_iter().map(|(path, file)| (path, file.mode)).collect::<Vec<_>>());
        let want = want.map(|files| files.iter().map(|(path, mode)| ((*path).to_owned(), *mode)).collect::<Vec<_>>());
        assert_eq!(got, want.map_err(str::to_owned));
    }

    #[test]
    fn all_keys_are_files_unless_items_name_some() {
        check(&[], false, Ok(&[("a", 0o644), ("b", 0o644)]));
        check(&[("a", "x/y", Some(0o400))], false, Ok(&[("x/y", 0o400)]));
        check(&[("c", "c", None)], false, Err("configmap references non-existent config key: c"));
        check(&[("c", "c", None), ("b", "b", None)], true, Ok(&[("b", 0o644)]));
    }
}
