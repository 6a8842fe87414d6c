//! What a document tells of, and the making of it.

use std::{cell::OnceCell, collections::BTreeMap, fmt::Write as _, sync::Arc};

use bytes::Bytes;
use corten_apimachinery::{
    codec,
    gvk::GroupVersion,
    openapi::{self, About, Dialect, Encoding, Entries, Options, PathOptions, ServerPath},
    resource::{Resource, ResourceVersion},
    value::{Str, Value},
};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha512};

use super::{Source, form::Form, shared};
use crate::discovery::{self, Group};

/// What a document tells of.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Paths of the server itself.
    pub(super) server: Vec<ServerPath>,
    /// Resources in one version each.
    pub(super) resources: Vec<(Arc<Resource>, Arc<ResourceVersion>)>,
}

fn is_custom(version: &ResourceVersion) -> bool {
    version.published.is_some()
}

impl Contents {
    /// The parts of which each has a document of its own in v3, by the names of those. Upstream tells nothing of the paths
    /// of a group or version where there are custom resources alone.
    pub(super) fn parts(groups: &[Group]) -> BTreeMap<String, Self> {
        let of_server = |path: ServerPath| Self { server: vec![path], resources: Vec::new() };
        let mut parts = BTreeMap::new();
        for path in [
            ServerPath::CoreVersions,
            ServerPath::Groups,
            ServerPath::Version,
            ServerPath::IssuerConfiguration,
            ServerPath::IssuerKeys,
        ] {
            parts.insert(path.path().trim_matches('/').to_owned(), of_server(path));
        }
        for group in groups {
            let built_in = |version: &discovery::GroupVersion| version.resources.iter().any(|(_, it)| !is_custom(it));
            if !group.name.is_empty() && group.versions.iter().any(built_in) {
                let path = ServerPath::Group(group.name.clone());
                parts.insert(path.path().trim_matches('/').to_owned(), of_server(path));
            }
            for version in &group.versions {
                let path = ServerPath::Resources(GroupVersion::new(group.name.clone(), version.name.clone()));
                let name = path.path().trim_matches('/').to_owned();
                let server = if built_in(version) { vec![path] } else { Vec::new() };
                parts.insert(name, Self { server, resources: version.resources.clone() });
            }
        }
        parts
    }

    /// All of them together, as v2 has them.
    pub(super) fn whole(parts: &BTreeMap<String, Self>) -> Self {
        let mut whole = Self::default();
        for part in parts.values() {
            whole.server.extend(part.server.iter().cloned());
            whole.resources.extend(part.resources.iter().cloned());
        }
        whole
    }

    /// Changes whenever the document would: what it says follows from the release, from the names in it, and from the
    /// definitions of custom resources.
    pub(super) fn hash(&self, source: Source) -> String {
        let mut digest = Sha512::new();
        digest.update(source.version);
        digest.update(if source.cbor { " cbor" } else { "" });
        digest.update(if source.enums { " enums" } else { "" });
        for path in &self.server {
            digest.update(format!("\n{}", path.path()));
        }
        for (resource, version) in &self.resources {
            let scope = resource.scope;
            digest.update(format!("\n{}/{} {} {scope:?}", resource.group, version.name, resource.plural));
            if let Some(published) = &version.published {
                digest.update(format!(" {}", published.digest));
            }
        }
        digest.finalize().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02X}");
            text
        })
    }

    /// The document in one form, with what `kept` has of the last one. Takes some milliseconds for a group, and some tens of them
    /// for the whole of v2 when it is first made.
    pub(super) fn write(&self, source: Source, dialect: Dialect, form: Form, kept: &Kept) -> Bytes {
        match (dialect, form) {
            (Dialect::V2, Form::Json) => self.assemble(source, Encoding::Json, &kept.json),
            (Dialect::V2, Form::Protobuf) => self.assemble(source, Encoding::Protobuf, &kept.protobuf),
            (Dialect::V3, Form::Json) => codec::json::encode(&self.document(source), None),
            (Dialect::V3, Form::Protobuf) => openapi::encode_v3(&self.document(source)),
        }
    }

    /// The document of v3.
    fn document(&self, source: Source) -> Value {
        let descriptions = (source.descriptions)();
        let options = Options { dialect: Dialect::V3, enums: source.enums, descriptions: &*descriptions };
        let (paths, custom) = self.entries(source, options);
        let about = if self.server.is_empty() { About::CustomResources } else { About::Server(source.version) };
        openapi::document(source.table, paths, custom, about, options)
    }

    /// The document of v2: what has not changed is copied from the last one.
    fn assemble(&self, source: Source, encoding: Encoding, kept: &Mutex<BTreeMap<String, Entries>>) -> Bytes {
        let mut before = std::mem::take(&mut *kept.lock());
        let descriptions = OnceCell::new();
        let (names, mut parts): (Vec<String>, Vec<Entries>) = self
            .units()
            .into_iter()
            .map(|unit| {
                let hash = unit.hash(source);
                let entries = before.remove(&hash).unwrap_or_else(|| {
                    let descriptions = descriptions.get_or_init(source.descriptions);
                    let options = Options { dialect: Dialect::V2, enums: source.enums, descriptions: &**descriptions };
                    let (mut paths, mut schemas) = unit.entries(source, options);
                    if !unit.server.is_empty() {
                        schemas.extend(openapi::referred(source.table, &paths, true, options));
                    }
                    let parameters = shared::take(&mut paths);
                    Entries::write(encoding, &paths, &schemas, &parameters)
                });
                (hash, entries)
            })
            .unzip();
        let document =
            openapi::assemble(encoding, &openapi::head(About::Server(source.version), Dialect::V2).into(), &mut parts);
        *kept.lock() = names.into_iter().zip(parts).collect();
        document
    }

    /// What is built in, and the custom resources of each group and version: parts that change one by one. All types that custom
    /// resources refer to are built in.
    fn units(&self) -> Vec<Self> {
        let mut built_in = Self { server: self.server.clone(), resources: Vec::new() };
        let mut custom: BTreeMap<(&str, &str), Self> = BTreeMap::new();
        for both in &self.resources {
            let (resource, version) = both;
            let unit = match is_custom(version) {
                true => custom.entry((&resource.group, &version.name)).or_default(),
                false => &mut built_in,
            };
            unit.resources.push((Arc::clone(resource), Arc::clone(version)));
        }
        std::iter::once(built_in).chain(custom.into_values()).collect()
    }

    /// The paths, and the schemas of custom resources.
    fn entries(&self, source: Source, options: Options<'_>) -> (BTreeMap<Str, Value>, BTreeMap<Str, Value>) {
        let paths_as = PathOptions { dialect: options.dialect, cbor: source.cbor };
        let (mut paths, mut custom) = (BTreeMap::new(), BTreeMap::new());
        paths.extend(self.server.iter().map(|path| openapi::server_path(path, paths_as)));
        for (resource, version) in &self.resources {
            paths.extend(openapi::paths(source.table, resource, version, paths_as));
            custom.extend(version.published.iter().flat_map(|published| published.schemas(options)));
        }
        (paths, custom)
    }
}

/// What the last documents of v2 were put together from, by hash.
#[derive(Debug, Default)]
pub(super) struct Kept {
    json: Mutex<BTreeMap<String, Entries>>,
    protobuf: Mutex<BTreeMap<String, Entries>>,
}
