//! Upstream's own objects, each read and written in JSON and protobuf: the bytes have to come back as they were.

use std::{collections::BTreeMap, fs, path::PathBuf};

use corten_api::types;
use corten_apimachinery::codec::{FieldValidation, json, protobuf};

/// The folder with upstream's data; `None`, said aloud, when this run has none.
fn data() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("CORTEN_UPSTREAM_DATA") else {
        println!("skipped: CORTEN_UPSTREAM_DATA is not set");
        return None;
    };
    Some(PathBuf::from(folder).join("api-roundtrip"))
}

/// The files of every kind: group, version and kind by file name.
fn kinds(folder: &PathBuf) -> BTreeMap<PathBuf, (String, String, String)> {
    let mut kinds = BTreeMap::new();
    for sub in ["v1.35", "apiextensions-v1.35"] {
        for entry in fs::read_dir(folder.join(sub)).expect("the folder that this run was promised is there") {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
                let mut parts = stem.rsplitn(3, '.');
                let (kind, version, group) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
                let group = if group == "core" { "" } else { group };
                kinds.insert(path.with_extension(""), (group.to_owned(), version.to_owned(), kind.to_owned()));
            }
        }
    }
    assert!(kinds.len() > 150, "upstream has more than 150 kinds, found {}", kinds.len());
    kinds
}

#[track_caller]
fn report(failures: &[String], total: usize) {
    assert!(failures.is_empty(), "{} of {total} differ:\n{}", failures.len(), failures.join("\n"));
}

/// The first place where two texts differ, with a little around it.
fn difference(got: &[u8], want: &[u8]) -> String {
    let at = got.iter().zip(want).position(|(a, b)| a != b).unwrap_or(got.len().min(want.len()));
    let around = |bytes: &[u8]| {
        let piece = &bytes[at.saturating_sub(40).min(bytes.len())..(at + 60).min(bytes.len())];
        String::from_utf8_lossy(piece).into_owned()
    };
    format!("at {at}: got ...{:?}... want ...{:?}...", around(got), around(want))
}

#[test]
fn json_comes_back_as_it_was() {
    let Some(folder) = data() else { return };
    let (table, mut failures) = (types::table(), Vec::new());
    let kinds = kinds(&folder);
    for (path, (group, version, kind)) in &kinds {
        let Some(id) = table.find_kind(group, version, kind) else {
            failures.push(format!("{group}/{version} {kind}: not in the table"));
            continue;
        };
        let want = fs::read(path.with_extension("json").as_path())
            .unwrap_or_else(|_| fs::read(format!("{}.json", path.display())).unwrap());
        match json::decode(&want, Some((table, id)), FieldValidation::Strict) {
            Ok(decoded) => {
                let got = json::encode_pretty(&decoded.value, Some((table, id)));
                let got = got.trim_ascii_end();
                if got != want.trim_ascii_end() || !decoded.complaints().is_empty() {
                    failures.push(format!(
                        "{kind} {version}: {:?} {}",
                        decoded.complaints(),
                        difference(got, want.trim_ascii_end())
                    ));
                }
            }
            Err(error) => failures.push(format!("{kind} {version}: {error}")),
        }
    }
    report(&failures, kinds.len());
}

#[test]
fn protobuf_comes_back_as_it_was_and_means_the_same_as_the_json() {
    let Some(folder) = data() else { return };
    let (table, mut failures) = (types::table(), Vec::new());
    let kinds = kinds(&folder);
    for (path, (group, version, kind)) in &kinds {
        let Some(id) = table.find_kind(group, version, kind) else { continue };
        let want = fs::read(format!("{}.pb", path.display())).unwrap();
        let text = fs::read(format!("{}.json", path.display())).unwrap();
        let from_json = json::decode(&text, Some((table, id)), FieldValidation::Ignore).unwrap().value;
        match protobuf::decode(&want, table, id) {
            Ok(object) => {
                if object != from_json {
                    let show = |value| json::encode(value, Some((table, id)));
                    failures.push(format!("{kind} {version} means: {}", difference(&show(&object), &show(&from_json))));
                }
                match protobuf::encode(&object, table, id) {
                    Ok(got) if got == want => {}
                    Ok(got) => failures.push(format!("{kind} {version}: {}", difference(&got, &want))),
                    Err(error) => failures.push(format!("{kind} {version}: {error}")),
                }
            }
            Err(error) => failures.push(format!("{kind} {version}: {error}")),
        }
    }
    report(&failures, kinds.len());
}
