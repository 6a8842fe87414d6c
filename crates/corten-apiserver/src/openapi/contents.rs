//! What a document tells of, and the making of it.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use bytes::Bytes;
use corten_apimachinery::{
    codec,
    gvk::GroupVersion,
    openapi::{self, About, Dialect, Options, PathOptions, ServerPath},
    resource::{Resource, ResourceVersion},
    value::Value,
};
use sha2::{Digest as _, Sha512};

use super::{Source, form::Form};
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
    pub(super) fn hash(&self, version: &str) -> String {
        let mut digest = Sha512::new();
        digest.update(version);
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

    /// The document in one form. Takes some milliseconds for a group, and more for the whole of v2.
    pub(super) fn write(&self, source: Source, dialect: Dialect, form: Form) -> Bytes {
        let document = self.document(source, dialect);
        match (form, dialect) {
            (Form::Json, _) => codec::json::encode(&document, None),
            (Form::Protobuf, Dialect::V2) => openapi::encode_v2(&document),
            (Form::Protobuf, Dialect::V3) => openapi::encode_v3(&document),
        }
    }

    fn document(&self, source: Source, dialect: Dialect) -> Value {
        let paths_as = PathOptions { dialect, cbor: false };
        let descriptions = (source.descriptions)();
        let options = Options { dialect, enums: true, descriptions: &*descriptions };
        let (mut paths, mut custom) = (BTreeMap::new(), BTreeMap::new());
        paths.extend(self.server.iter().map(|path| openapi::server_path(path, paths_as)));
        for (resource, version) in &self.resources {
            paths.extend(openapi::paths(source.table, resource, version, paths_as));
            custom.extend(version.published.iter().flat_map(|published| published.schemas(options)));
        }
        let about = if self.server.is_empty() { About::CustomResources } else { About::Server(source.version) };
        openapi::document(source.table, paths, custom, about, options)
    }
}
