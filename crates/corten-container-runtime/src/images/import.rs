//! Images out of archives: `docker save` and OCI image layouts.
//!
//! An archive is indexed once, then read by position. Nothing of it is trusted: digests are computed here.

use std::{
    collections::HashMap,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Take},
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use corten_base::{fs::Context as _, platform};
use serde::Deserialize;

use super::{
    DOCUMENT_BYTES_MAX, Digest, ImageError, Reference,
    store::{Image, ImageStore},
    too_long,
};

/// An index in an index in an index ...
const INDEX_DEPTH_MAX: usize = 4;
/// The names of an OCI archive's images, by preference.
const NAME_ANNOTATIONS: &[&str] = &["io.containerd.image.name", "org.opencontainers.image.ref.name"];

/// Imports all images of an archive for this machine's platform and returns them.
pub fn import(store: &ImageStore, archive: &Path) -> Result<Vec<Arc<Image>>, ImageError> {
    let mut archive = Index::open(archive)?;
    let _alone = store.changing.lock();
    if archive.has("manifest.json") {
        docker(store, &mut archive)
    } else if archive.has("index.json") {
        oci(store, &mut archive)
    } else {
        Err(ImageError::Invalid("an archive with neither manifest.json nor index.json".to_owned()))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Vec<String>,
}

fn docker(store: &ImageStore, archive: &mut Index) -> Result<Vec<Arc<Image>>, ImageError> {
    let images: Vec<DockerImage> = parse("manifest.json", &archive.document("manifest.json")?)?;
    let mut added = Vec::new();
    for image in images {
        let names = image.repo_tags.unwrap_or_default();
        let names = names.iter().map(|name| name.parse()).collect::<Result<Vec<Reference>, _>>()?;
        let (id, _) = store.content.write(archive.document_entry(&image.config)?, None)?;
        let mut layers = Vec::new();
        for layer in &image.layers {
            layers.push(store.content.write(archive.entry(layer)?, None)?.0);
        }
        added.push(store.add(&id, None, layers, &names)?);
    }
    Ok(added)
}

/// A reference to a blob.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: Digest,
    #[serde(default)]
    pub(super) annotations: HashMap<String, String>,
    #[serde(default)]
    pub(super) platform: Option<Platform>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Platform {
    #[serde(default)]
    pub(super) architecture: String,
    #[serde(default)]
    pub(super) os: String,
}

/// An index or a manifest: which of them shows in what it has.
#[derive(Debug, Deserialize)]
pub(super) struct Document {
    #[serde(default)]
    pub(super) manifests: Vec<Descriptor>,
    pub(super) config: Option<Descriptor>,
    #[serde(default)]
    pub(super) layers: Vec<Descriptor>,
}

impl Platform {
    /// Whether this machine runs it.
    pub(super) fn is_ours(&self) -> bool {
        self.os == "linux" && self.architecture == platform::architecture()
    }
}

fn oci(store: &ImageStore, archive: &mut Index) -> Result<Vec<Arc<Image>>, ImageError> {
    let index: Document = parse("index.json", &archive.document("index.json")?)?;
    let mut added = Vec::new();
    for descriptor in index.manifests.iter().filter(|descriptor| runs_here(descriptor)) {
        let annotated = NAME_ANNOTATIONS.iter().find_map(|key| descriptor.annotations.get(*key));
        // `ref.name` may be a bare tag, which names nothing.
        let name = annotated.filter(|name| name.contains([':', '/'])).map(|name| name.parse::<Reference>());
        let names: Vec<Reference> = name.transpose()?.into_iter().collect();
        let (manifest, document) = manifest(archive, descriptor, 0)?;
        let config = document.config.ok_or_else(|| ImageError::Invalid("a manifest without config".to_owned()))?;
        if !store.content.contains(&config.digest) {
            archive.document_entry(&blob_path(&config.digest))?;
        }
        let mut blob = |digest: &Digest| -> Result<(), ImageError> {
            if !store.content.contains(digest) {
                store.content.write(archive.entry(&blob_path(digest))?, Some(digest))?;
            }
            Ok(())
        };
        blob(&manifest)?;
        blob(&config.digest)?;
        for layer in &document.layers {
            blob(&layer.digest)?;
        }
        let layers = document.layers.into_iter().map(|layer| layer.digest).collect();
        added.push(store.add(&config.digest, Some(manifest), layers, &names)?);
    }
    Ok(added)
}

fn runs_here(descriptor: &Descriptor) -> bool {
    descriptor.platform.as_ref().is_none_or(Platform::is_ours)
}

/// Follows indexes to the manifest for this machine.
fn manifest(archive: &mut Index, descriptor: &Descriptor, depth: usize) -> Result<(Digest, Document), ImageError> {
    let text = archive.document(&blob_path(&descriptor.digest))?;
    let document: Document = parse("manifest", &text)?;
    if document.config.is_some() {
        return Ok((descriptor.digest.clone(), document));
    }
    let next = document.manifests.iter().find(|descriptor| runs_here(descriptor));
    match next {
        Some(next) if depth < INDEX_DEPTH_MAX => manifest(archive, next, depth + 1),
        _ => Err(ImageError::Invalid(format!("no manifest for this platform in {}", descriptor.media_type))),
    }
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(what: &'static str, text: &[u8]) -> Result<T, ImageError> {
    serde_json::from_slice(text).map_err(|source| ImageError::Parse { what, source })
}

/// Where the files of an archive are.
struct Index {
    path: PathBuf,
    file: File,
    entries: HashMap<PathBuf, Place>,
}

enum Place {
    Bytes {
        offset: u64,
        length: u64,
    },
    /// Older versions of docker wrote layers that occur twice as links.
    Link(PathBuf),
}

impl Index {
    fn open(path: &Path) -> Result<Self, ImageError> {
        let file = File::open(path).at("open", path)?;
        let mut entries = HashMap::new();
        let mut archive = tar::Archive::new(&file);
        for entry in archive.entries_with_seek().at("read archive", path)? {
            let entry = entry.at("read archive", path)?;
            let name = plain(&entry.path().at("read archive", path)?);
            if entry.header().entry_type().is_file() {
                let (offset, length) = (entry.raw_file_position(), entry.size());
                entries.insert(name, Place::Bytes { offset, length });
            } else if let Some(target) = entry.link_name().at("read archive", path)? {
                let is_symbolic = entry.header().entry_type().is_symlink();
                let base = if is_symbolic { name.parent().unwrap_or(Path::new("")) } else { Path::new("") };
                entries.insert(name.clone(), Place::Link(plain(&base.join(target))));
            }
        }
        Ok(Self { path: path.to_owned(), file, entries })
    }

    fn has(&self, name: &str) -> bool {
        self.entries.contains_key(Path::new(name))
    }

    fn entry(&mut self, name: &str) -> Result<Take<&File>, ImageError> {
        let missing = || ImageError::Invalid(format!("the archive has no {name}"));
        let mut place = self.entries.get(&plain(Path::new(name))).ok_or_else(missing)?;
        if let Place::Link(target) = place {
            place = self.entries.get(target).ok_or_else(missing)?;
        }
        let Place::Bytes { offset, length } = place else { return Err(missing()) };
        (&self.file).seek(SeekFrom::Start(*offset)).at("seek in", &self.path)?;
        Ok(std::io::Read::take(&self.file, *length))
    }

    /// A file that is short enough for a document.
    fn document_entry(&mut self, name: &str) -> Result<Take<&File>, ImageError> {
        let entry = self.entry(name)?;
        if entry.limit() > DOCUMENT_BYTES_MAX { Err(too_long(name)) } else { Ok(entry) }
    }

    fn document(&mut self, name: &str) -> Result<Vec<u8>, ImageError> {
        let path = self.path.clone();
        let mut text = Vec::new();
        self.document_entry(name)?.read_to_end(&mut text).at("read", &path)?;
        Ok(text)
    }
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_whose_config_is_longer_than_a_document_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image.tar");
        let mut archive = tar::Builder::new(File::create(&path).unwrap());
        let mut add = |name: &str, content: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, content).unwrap();
        };
        add("manifest.json", br#"[{"Config": "config.json", "RepoTags": ["a:1"], "Layers": []}]"#);
        let config = vec![b' '; usize::try_from(DOCUMENT_BYTES_MAX + 1).unwrap()];
        add("config.json", &config);
        archive.finish().unwrap();
        let store = ImageStore::open(directory.path().join("images")).unwrap();
        assert!(matches!(import(&store, &path), Err(ImageError::Invalid(_))));
        assert!(!store.content.contains(&Digest::of(&config)));
    }
}
