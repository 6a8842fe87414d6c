//! The files of a volume that comes from the API. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;
use corten_api::core::v1::KeyToPath;

use crate::api_objects::{Contents, ObjectKind, Values};

/// Files by their paths in the volume.
pub(super) type Payload = BTreeMap<String, ProjectedFile>;

/// The most that the files of one pod may have together, in bytes: some forty of the largest objects that there can be. Nobody
/// else counts them: they are no part of what pods are evicted for, and those of secrets are memory of the node.
pub(super) const BYTES_MAX: usize = 64 << 20;

/// The mode of files that nothing else is said about. Source: `ConfigMapVolumeSourceDefaultMode` and its kin.
const DEFAULT_MODE: u32 = 0o644;

/// One file.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ProjectedFile {
    /// Shared by all files that show the same value.
    pub(super) data: Bytes,
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

/// The files of an object's values. Errors: `missing` and a key that is not there and not optional.
fn project(values: &Values, projection: Projection<'_>, missing: &'static str) -> Result<Payload, String> {
    let file = |data: &Bytes, mode| ProjectedFile { data: data.clone(), mode, owner: None };
    let Some(items) = projection.items.filter(|items| !items.is_empty()) else {
        let files = values.iter().map(|(key, content)| (key.clone(), file(content, projection.default_mode)));
        return Ok(files.collect());
    };
    let mut payload = Payload::new();
    for item in items {
        match values.get(&item.key) {
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

/// An object and what is projected of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) kind: ObjectKind,
    pub(super) name: &'a str,
    pub(super) projection: Projection<'a>,
}

impl<'a> Source<'a> {
    /// Says what `read` will ask for.
    pub(super) fn want(self, contents: &mut Contents<'a>) {
        match self.projection.items.filter(|items| !items.is_empty()) {
            None => contents.want_all(self.kind, self.name),
            Some(items) => items.iter().for_each(|item| contents.want(self.kind, self.name, &item.key)),
        }
    }

    /// The files; none if the object is absent and optional. Errors: a key that is not there and not optional.
    pub(super) async fn read(self, contents: &mut Contents<'a>) -> Result<Payload, String> {
        let missing = match self.kind {
            ObjectKind::ConfigMap => "configmap references non-existent config key",
            ObjectKind::Secret => "references non-existent secret key",
        };
        let values = contents.values(self.kind, self.name, self.projection.optional).await?;
        values.map_or_else(|| Ok(Payload::new()), |values| project(values, self.projection, missing))
    }
}

/// How many bytes all files together have.
pub(super) fn bytes_of(payload: &Payload) -> usize {
    payload.values().map(|file| file.data.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> Values {
        Values::from([("a".to_owned(), Bytes::from("1")), ("b".to_owned(), Bytes::from(vec![0, 1]))])
    }

    /// Each item had a copy of its key's value: 200 GB here.
    #[test]
    fn items_of_one_key_share_its_value() {
        let values = Values::from([("a".to_owned(), Bytes::from(vec![0; 1 << 20]))]);
        let item = |number| KeyToPath { key: "a".to_owned(), path: format!("b{number}"), mode: None };
        let items: Vec<KeyToPath> = (0..200_000).map(item).collect();
        let projection = Projection { items: Some(&items), default_mode: 0o644, optional: false };
        let payload = project(&values, projection, "").unwrap();
        assert!(payload.values().all(|file| file.data.as_ptr() == values["a"].as_ptr()));
        assert_eq!(bytes_of(&payload), 200_000 << 20);
    }

    #[track_caller]
    fn check(items: &[(&str, &str, Option<i32>)], optional: bool, want: Result<&[(&str, u32)], &str>) {
        let items: Vec<KeyToPath> = items
            .iter()
            .map(|(key, path, mode)| KeyToPath { key: (*key).to_owned(), path: (*path).to_owned(), mode: *mode })
            .collect();
        let projection = Projection { items: Some(&items), default_mode: 0o644, optional };
        let got = project(&map(), projection, "configmap references non-existent config key")
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
