//! Images and their names.
//!
//! Format, version 1: `images.json` in the directory, replaced as a whole: images by id, each with its names.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use corten_base::fs::{self, Context as _};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{Digest, ImageError, Reference, content::ContentStore, snapshot::Snapshots};

/// The version this code writes and reads.
const VERSION: u32 = 1;

/// One image: content that may have several names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// The digest of its config.
    pub id: Digest,
    /// The manifest's digest, if there is a manifest.
    pub manifest: Option<Digest>,
    /// The blobs of its layers, lowest first.
    pub layers: Vec<Digest>,
    /// The chain ids of its layers, lowest first.
    pub chain: Vec<Digest>,
    /// The bytes of its blobs.
    pub size_bytes: u64,
    /// `docker.io/library/nginx:latest`.
    pub tags: BTreeSet<String>,
    /// `docker.io/library/nginx@sha256:...`.
    pub digests: BTreeSet<String>,
    /// Whether the kubelet may not remove it when space is short.
    pub pinned: bool,
}

/// What an image says about the processes that run from it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageConfig {
    /// `user[:group]`, names or numbers.
    pub user: Option<String>,
    /// `NAME=value`.
    pub env: Option<Vec<String>>,
    /// What is run; arguments replace `cmd`, not this.
    pub entrypoint: Option<Vec<String>>,
    /// Its arguments.
    pub cmd: Option<Vec<String>>,
    /// Where it starts.
    pub working_dir: Option<String>,
    /// How it is asked to end.
    pub stop_signal: Option<String>,
    /// Directories whose content is data.
    pub volumes: Option<BTreeMap<String, serde_json::Value>>,
}

/// The config blob, as far as it is needed.
#[derive(Debug, Deserialize)]
pub(super) struct ConfigBlob {
    #[serde(default)]
    pub(super) config: Option<ImageConfig>,
    pub(super) rootfs: RootFs,
}

#[derive(Debug, Deserialize)]
pub(super) struct RootFs {
    pub(super) diff_ids: Vec<Digest>,
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    version: u32,
    images: BTreeMap<String, Image>,
}

/// The images below one directory. All calls block.
#[derive(Debug)]
pub struct ImageStore {
    directory: PathBuf,
    /// Their blobs.
    pub content: ContentStore,
    /// Their unpacked layers.
    pub snapshots: Snapshots,
    images: Mutex<BTreeMap<Digest, Arc<Image>>>,
    /// The users that images name, as far as anybody asked: the node's status shows them every few seconds, and they never
    /// change. Capacity: one for each image. Locked after `images`.
    users: Mutex<BTreeMap<Digest, String>>,
    /// Held while blobs are added or swept: a blob belongs to no image before its image has been recorded.
    pub(super) changing: Mutex<()>,
}

impl ImageStore {
    /// Opens the images in `directory`.
    pub fn open(directory: PathBuf) -> Result<Self, ImageError> {
        fs::create_private_dir(&directory)?;
        let images = read(&directory.join("images.json"))?;
        Ok(Self {
            content: ContentStore::open(directory.join("content"))?,
            snapshots: Snapshots::open(directory.join("snapshots"))?,
            images: Mutex::new(images),
            users: Mutex::default(),
            changing: Mutex::new(()),
            directory,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// All images, by id.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Image>> {
        self.images.lock().values().cloned().collect()
    }

    /// The image that a name, a digest or an id (or a prefix of it) means.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Arc<Image>> {
        find(&self.images.lock(), name)
    }

    /// Like `find`; `note` is called with the image before anybody can remove it.
    pub fn find_and<T>(&self, name: &str, note: impl FnOnce(&Arc<Image>) -> T) -> Option<T> {
        let images = self.images.lock();
        find(&images, name).map(|image| note(&image))
    }

    /// What an image says about its processes.
    pub fn config(&self, image: &Image) -> Result<ImageConfig, ImageError> {
        Ok(self.config_blob(&image.id)?.config.unwrap_or_default())
    }

    /// The user that an image names, if somebody asked before; does not block.
    #[must_use]
    pub fn known_user(&self, id: &Digest) -> Option<String> {
        self.users.lock().get(id).cloned()
    }

    /// The user that an image names, `user[:group]`; empty if it names none.
    pub fn user(&self, image: &Image) -> Result<String, ImageError> {
        let user = self.config(image)?.user.unwrap_or_default();
        let images = self.images.lock();
        if images.contains_key(&image.id) {
            self.users.lock().insert(image.id.clone(), user.clone());
        }
        Ok(user)
    }

    pub(super) fn config_blob(&self, id: &Digest) -> Result<ConfigBlob, ImageError> {
        serde_json::from_slice(&self.content.read(id)?)
            .map_err(|source| ImageError::Parse { what: "image config", source })
    }

    /// Unpacks the layers of an image whose blobs are all there, and records it under `names`, which it takes from other
    /// images. An image that is known only gets the names.
    ///
    /// The caller holds `changing`.
    pub(super) fn add(
        &self,
        id: &Digest,
        manifest: Option<Digest>,
        layers: Vec<Digest>,
        names: &[Reference],
    ) -> Result<Arc<Image>, ImageError> {
        let diffs = self.config_blob(id)?.rootfs.diff_ids;
        if diffs.len() != layers.len() {
            return Err(ImageError::Invalid(format!("{} layers, but {} diff ids", layers.len(), diffs.len())));
        }
        let mut chain: Vec<Digest> = Vec::with_capacity(diffs.len());
        for (diff, layer) in diffs.iter().zip(&layers) {
            let top = Digest::chain(chain.last(), diff);
            if !self.snapshots.contains(&top) {
                self.snapshots.unpack(&chain, &top, diff, self.content.open_blob(layer)?)?;
            }
            chain.push(top);
        }
        let mut size_bytes = 0;
        for blob in layers.iter().chain([id]) {
            let path = self.content.path(blob);
            size_bytes += path.metadata().at("stat", &path)?.len();
        }
        let mut images = self.images.lock();
        let mut next = images.clone();
        let mut image = next.get(id).map_or_else(
            || Image {
                id: id.clone(),
                manifest: None,
                layers,
                chain,
                size_bytes,
                tags: BTreeSet::new(),
                digests: BTreeSet::new(),
                pinned: false,
            },
            |known| Image::clone(known),
        );
        for name in names {
            if name.tag.is_some() {
                let tag = name.to_string();
                for other in next.values_mut().filter(|other| other.tags.contains(&tag)) {
                    Arc::make_mut(other).tags.remove(&tag);
                }
                image.tags.insert(tag);
            }
            if let Some(manifest) = &manifest {
                image.digests.insert(name.with_digest(manifest));
            }
        }
        image.manifest = manifest.or(image.manifest);
        let image = Arc::new(image);
        next.insert(id.clone(), Arc::clone(&image));
        self.write(&next)?;
        *images = next;
        Ok(image)
    }

    /// Removes an image under all its names; `in_use` says whether a container needs it. What is not there is fine.
    pub fn remove(&self, name: &str, in_use: impl Fn(&Digest) -> bool) -> Result<(), ImageError> {
        let _alone = self.changing.lock();
        {
            // Held from the question to the removal: who finds the image before is asked, and who comes after finds none.
            let mut images = self.images.lock();
            let Some(image) = find(&images, name) else { return Ok(()) };
            if in_use(&image.id) {
                return Err(ImageError::InUse(image.id.clone()));
            }
            let mut next = images.clone();
            next.remove(&image.id);
            self.write(&next)?;
            *images = next;
            self.users.lock().remove(&image.id);
        }
        self.sweep()
    }

    /// Removes blobs and layers that no image has. The caller holds `changing`.
    fn sweep(&self) -> Result<(), ImageError> {
        let images = self.list();
        let blobs: BTreeSet<&Digest> =
            images.iter().flat_map(|image| image.layers.iter().chain([&image.id]).chain(&image.manifest)).collect();
        let chains: BTreeSet<&Digest> = images.iter().flat_map(|image| &image.chain).collect();
        self.content.retain(|digest| blobs.contains(digest))?;
        self.snapshots.retain(|digest| chains.contains(digest))
    }

    fn write(&self, images: &BTreeMap<Digest, Arc<Image>>) -> Result<(), ImageError> {
        let images = images.iter().map(|(id, image)| (id.to_string(), Image::clone(image))).collect();
        let text = serde_json::to_vec(&File { version: VERSION, images })
            .map_err(|source| ImageError::Parse { what: "images.json", source })?;
        Ok(fs::write_atomic(&self.directory.join("images.json"), &text, 0o600)?)
    }
}

/// The image that `name` means.
fn find(images: &BTreeMap<Digest, Arc<Image>>, name: &str) -> Option<Arc<Image>> {
    if let Ok(id) = name.parse::<Digest>() {
        return images.get(&id).cloned();
    }
    if let Ok(reference) = name.parse::<Reference>() {
        let full = reference.to_string();
        if let Some(image) = images.values().find(|i| i.tags.contains(&full) || i.digests.contains(&full)) {
            return Some(Arc::clone(image));
        }
    }
    let is_prefix = name.len() >= 4 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut matching = images.values().filter(|image| is_prefix && image.id.hex().starts_with(name));
    let found = matching.next()?;
    matching.next().is_none().then(|| Arc::clone(found))
}

fn read(path: &Path) -> Result<BTreeMap<Digest, Arc<Image>>, ImageError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.is_not_found() => return Ok(BTreeMap::new()),
        Err(error) => return Err(error.into()),
    };
    let file: File =
        serde_json::from_slice(&text).map_err(|source| ImageError::Parse { what: "images.json", source })?;
    if file.version != VERSION {
        return Err(ImageError::Invalid(format!(
            "images.json has version {}, this program knows {VERSION}",
            file.version
        )));
    }
    Ok(file.images.into_values().map(|image| (image.id.clone(), Arc::new(image))).collect())
}
