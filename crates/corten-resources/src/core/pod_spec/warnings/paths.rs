//! Files of one volume that are in each other's way: two of one path, or one where another needs a folder.

use std::{collections::BTreeSet, ops::Bound};

use corten_apimachinery::{Value, field::quote};

use crate::tree::{present, text_at};

/// How many warnings a pod's files are worth: more than an answer carries, fewer than what a hostile pod's come to.
const WARNINGS_MAX: usize = 100;
/// How many paths are looked at: those of a projected volume are looked at again with each of its sources.
const PATHS_MAX: usize = 100_000;
/// Up to so many paths of a volume are compared with each other, all with all.
const FEW: usize = 8;

/// Advice about the volumes of a pod.
pub(super) fn overlapping(volumes: &[Value]) -> Vec<String> {
    let mut found = Found { warnings: Vec::new(), paths_left: PATHS_MAX };
    for volume in volumes.iter().filter(|volume| !few_apart(volume)) {
        let name = text_at(volume, &["name"]);
        for (field, kind, source) in
            [("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName"), ("downwardAPI", "DownwardAPI", "")]
        {
            let Some(items) = present(volume, &[field, "items"]) else { continue };
            found.check(paths(items), || {
                let of = if source.is_empty() {
                    String::new()
                } else {
                    format!(" {}", quote(text_at(volume, &[field, source])))
                };
                format!("volume {} ({kind}{of})", quote(name))
            });
        }
        if let Some(projected) = present(volume, &["projected"]) {
            of_projected(projected, name, &mut found);
        }
    }
    found.warnings
}

fn paths(items: &Value) -> Vec<&str> {
    Files::Items(items).paths().collect()
}

/// Whether a volume has a few files, of which none is in another's way: nearly every pod has such a volume, that of its token.
fn few_apart<'v>(volume: &'v Value) -> bool {
    let (mut seen, mut count) = ([""; FEW], 0);
    let mut are_apart = |files: Files<'v>| {
        files.paths().map(|path| path.trim_end_matches('/')).filter(|path| !path.is_empty()).all(|path| {
            let (earlier, rest) = seen.split_at_mut(count);
            let Some(place) = rest.first_mut() else { return false };
            *place = path;
            count += 1;
            earlier.iter().all(|other| !other.starts_with(path) && !path.starts_with(*other))
        })
    };
    let mut items =
        ["configMap", "secret", "downwardAPI"].into_iter().filter_map(|field| present(volume, &[field, "items"]));
    // A source that says nothing of paths is not looked at alone.
    let mut sources = volume.items_at(&["projected", "sources"]).iter().map(Source::of);
    items.all(|items| are_apart(Files::Items(items)))
        && sources.all(|source| source.is_some_and(|source| are_apart(source.files)))
}

/// The files of one source of a projected volume.
struct Source<'v> {
    files: Files<'v>,
    kind: &'static str,
    /// What it is of.
    name: Option<&'v str>,
}

/// Files, by what says their paths.
enum Files<'v> {
    Items(&'v Value),
    One(&'v str),
}

impl<'v> Files<'v> {
    fn paths(&self) -> impl Iterator<Item = &'v str> {
        let (one, items) = match *self {
            Self::Items(items) => (None, items.as_array().unwrap_or_default()),
            Self::One(path) => (Some(path), [].as_slice()),
        };
        one.into_iter().chain(items.iter().map(|item| text_at(item, &["path"])))
    }
}

impl<'v> Source<'v> {
    /// `None` if the source says nothing of paths.
    fn of(source: &'v Value) -> Option<Self> {
        let items = |field: &str| Some(Files::Items(present(source, &[field, "items"])?));
        let named = |path: &[&str]| Some(text_at(source, path));
        let (files, kind, name) = if let Some(files) = items("configMap") {
            (files, "ConfigMap", named(&["configMap", "name"]))
        } else if let Some(files) = items("secret") {
            (files, "Secret", named(&["secret", "name"]))
        } else if let Some(files) = items("downwardAPI") {
            (files, "DownwardAPI", None)
        } else if let Some(token) = present(source, &["serviceAccountToken"]) {
            (Files::One(text_at(token, &["path"])), "ServiceAccountToken", None)
        } else {
            let bundle = present(source, &["clusterTrustBundle"])?;
            let field = if present(bundle, &["name"]).is_some() { "name" } else { "signerName" };
            let of = named(&["clusterTrustBundle", field]);
            (Files::One(text_at(bundle, &["path"])), "ClusterTrustBundle", of)
        };
        Some(Self { files, kind, name })
    }
}

fn of_projected(projected: &Value, name: &str, found: &mut Found) {
    let mut all: BTreeSet<&str> = BTreeSet::new();
    // A source without paths of its own is looked at with those of the one before it, as upstream does.
    let (mut own, mut kind): (Vec<&str>, (&str, Option<&str>)) = (Vec::new(), ("", None));
    for source in projected.items_at(&["sources"]) {
        if found.is_full() {
            return;
        }
        if source.as_object().is_none_or(|fields| fields.iter().all(|(_, value)| value.is_null())) {
            found.warnings.push(format!("volume {} (Projected) has no sources provided", quote(name)));
            continue;
        }
        if let Some(Source { files, kind: of, name }) = Source::of(source) {
            (own, kind) = (files.paths().collect(), (of, name));
        }
        if own.is_empty() {
            continue;
        }
        let what = || {
            let of = kind.1.map(|of| format!(" {}", quote(of))).unwrap_or_default();
            format!("volume {} (Projected {}{of})", quote(name), kind.0)
        };
        found.check(own.clone(), what);
        // Each path once, and in order.
        let unique: BTreeSet<&str> = own.iter().copied().collect();
        let mut both: Vec<&str> = unique.iter().chain(&all).copied().collect();
        both.sort_unstable();
        found.check(both, what);
        all.extend(unique);
    }
}

struct Found {
    warnings: Vec<String>,
    paths_left: usize,
}

impl Found {
    fn is_full(&self) -> bool {
        self.warnings.len() >= WARNINGS_MAX || self.paths_left == 0
    }

    /// Looks at the files of one place, which `what` names.
    fn check(&mut self, paths: Vec<&str>, what: impl Fn() -> String) {
        let mut earlier: BTreeSet<&str> = BTreeSet::new();
        for path in paths {
            if self.is_full() {
                return;
            }
            self.paths_left -= 1;
            let path = path.trim_end_matches('/');
            if path.is_empty() {
                continue;
            }
            if let Some(other) = clash(&earlier, path) {
                let (what, path, other) = (what(), quote(path), quote(other));
                self.warnings.push(format!("{what}: overlapping paths: {path} with {other}"));
            }
            earlier.insert(path);
        }
    }
}

/// One of the `earlier` paths that begins with `path`, or that `path` begins with.
fn clash<'p>(earlier: &BTreeSet<&'p str>, path: &str) -> Option<&'p str> {
    let next = earlier.range::<str, _>((Bound::Included(path), Bound::Unbounded)).next();
    if let Some(longer) = next.filter(|longer| longer.starts_with(path)) {
        return Some(longer);
    }
    // What the path begins with comes before it; what comes between has something in common with both.
    let mut probe = path;
    while !probe.is_empty() {
        let before = earlier.range::<str, _>((Bound::Unbounded, Bound::Included(probe))).next_back()?;
        if path.starts_with(before) {
            return Some(before);
        }
        let common = before.bytes().zip(probe.bytes()).take_while(|(a, b)| a == b).count();
        probe = &probe[..probe.floor_char_boundary(common)];
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{WARNINGS_MAX, overlapping};
    use crate::testing::value;

    #[track_caller]
    fn check(volume: serde_json::Value, want: &[&str]) {
        assert_eq!(overlapping(&[value(volume)]), want);
    }

    #[test]
    fn files_of_one_volume_that_overlap_are_announced() {
        let items =
            |paths: &[&str]| json!(paths.iter().map(|path| json!({"key": "k", "path": path})).collect::<Vec<_>>());
        check(json!({"name": "v", "configMap": {"name": "c", "items": items(&["a/b", "b", "c"])}}), &[]);
        check(
            json!({"name": "v", "configMap": {"name": "c", "items": items(&["path", "other", "path/path2", "other"])}}),
            &[
                "volume \"v\" (ConfigMap \"c\"): overlapping paths: \"path/path2\" with \"path\"",
                "volume \"v\" (ConfigMap \"c\"): overlapping paths: \"other\" with \"other\"",
            ],
        );
        check(
            json!({"name": "v", "secret": {"secretName": "s", "items": items(&["a/b/c", "z", "a/"])}}),
            &["volume \"v\" (Secret \"s\"): overlapping paths: \"a\" with \"a/b/c\""],
        );
        check(
            json!({"name": "v", "downwardAPI": {"items": items(&["a", "a"])}}),
            &["volume \"v\" (DownwardAPI): overlapping paths: \"a\" with \"a\""],
        );
    }

    #[test]
    fn sources_of_a_projected_volume_are_looked_at_together() {
        check(
            json!({"name": "v", "projected": {"sources": [
                {"serviceAccountToken": {"path": "token"}}, {},
                {"configMap": {"name": "c", "items": [{"key": "k", "path": "token"}]}},
            ]}}),
            &[
                "volume \"v\" (Projected) has no sources provided",
                "volume \"v\" (Projected ConfigMap \"c\"): overlapping paths: \"token\" with \"token\"",
            ],
        );
    }

    #[test]
    fn very_many_files_get_a_few_warnings() {
        let tokens: Vec<_> = (0..20_000).map(|_| json!({"serviceAccountToken": {"path": "t"}})).collect();
        let warnings = overlapping(&[value(json!({"name": "v", "projected": {"sources": tokens}}))]);
        assert_eq!(warnings.len(), WARNINGS_MAX);
        let tokens: Vec<_> =
            (0..20_000).map(|n| json!({"serviceAccountToken": {"path": format!("t{n:05}")}})).collect();
        assert_eq!(overlapping(&[value(json!({"name": "v", "projected": {"sources": tokens}}))]), [""; 0]);
    }
}
