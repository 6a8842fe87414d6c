//! The fake's images: every name can be pulled, and its content is made of the name.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::FakeCri;
use crate::{
    CriError, ImageService,
    api::{
        FilesystemIdentifier, FilesystemUsage, Image, ImageFsInfoRequest, ImageFsInfoResponse, ImageSpec,
        ImageStatusRequest, ImageStatusResponse, ListImagesRequest, ListImagesResponse, PullImageRequest,
        PullImageResponse, RemoveImageRequest, RemoveImageResponse, UInt64Value,
    },
};

/// What every image of the fake weighs.
const IMAGE_BYTES: u64 = 1 << 20;

#[derive(Default)]
pub(super) struct Images {
    /// By id.
    present: BTreeMap<String, Image>,
    /// Names whose content is that of another name.
    aliases: BTreeMap<String, String>,
}

/// A name with its tag or digest, `:latest` where none was given.
struct Reference {
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Reference {
    fn parse(name: &str) -> Result<Self, CriError> {
        let invalid = || CriError::invalid_argument(format!("image name {name:?} is not valid"));
        let (rest, digest) = match name.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (name, None),
        };
        // A colon before the last slash belongs to the registry's port.
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
            _ => (rest, None),
        };
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-:".contains(&byte);
        let valid = |part: &str| !part.is_empty() && part.bytes().all(allowed);
        if !repository.split('/').all(valid) || tag == Some("") {
            return Err(invalid());
        }
        if digest.is_some_and(|digest| digest.strip_prefix("sha256:").is_none_or(|hex| hex.len() != 64)) {
            return Err(invalid());
        }
        let tag = match (tag, digest) {
            (None, None) => Some("latest"),
            (tag, _) => tag,
        };
        Ok(Self { repository: repository.to_owned(), tag: tag.map(str::to_owned), digest: digest.map(str::to_owned) })
    }

    fn tagged(&self) -> Option<String> {
        self.tag.as_ref().map(|tag| format!("{}:{tag}", self.repository))
    }
}

impl Images {
    pub(super) fn pull(&mut self, name: &str) -> Result<String, CriError> {
        let reference = Reference::parse(name)?;
        let id = match (&reference.digest, reference.tagged()) {
            (Some(digest), _) => digest.clone(),
            (None, tagged) => self.content(&tagged.unwrap_or_default()),
        };
        let (tagged, digested) = (reference.tagged(), format!("{}@{id}", reference.repository));
        if let Some(tagged) = &tagged {
            // A tag names one image at a time.
            self.present.values_mut().for_each(|image| image.repo_tags.retain(|tag| tag != tagged));
        }
        let image = self.present.entry(id.clone()).or_insert_with(|| Image {
            id: id.clone(),
            size: IMAGE_BYTES,
            username: String::new(),
            spec: Some(ImageSpec { image: name.to_owned(), ..ImageSpec::default() }),
            ..Image::default()
        });
        if let (Some(tagged), None) = (tagged, &reference.digest) {
            image.repo_tags.push(tagged);
        }
        if !image.repo_digests.contains(&digested) {
            image.repo_digests.push(digested);
        }
        Ok(id)
    }

    pub(super) fn alias(&mut self, name: &str, of: &str) {
        let full = |name: &str| Reference::parse(name).ok().and_then(|reference| reference.tagged());
        if let (Some(name), Some(of)) = (full(name), full(of)) {
            self.aliases.insert(name, of);
        }
    }

    /// The present image that a name, a digest reference, or an id or a prefix of it means.
    pub(super) fn find(&self, name: &str) -> Option<&Image> {
        if name.is_empty() {
            return None;
        }
        let hex = name.strip_prefix("sha256:").unwrap_or(name);
        let by_name = || {
            let reference = Reference::parse(name).ok()?;
            let digested = reference.digest.as_ref().map(|digest| format!("{}@{digest}", reference.repository));
            match digested {
                Some(digested) => self.present.values().find(|image| image.repo_digests.contains(&digested)),
                None => {
                    let tagged = reference.tagged()?;
                    self.present.values().find(|image| image.repo_tags.contains(&tagged))
                }
            }
        };
        let by_id = || {
            let mut matches = self.present.values().filter(|image| image.id["sha256:".len()..].starts_with(hex));
            let first = matches.next()?;
            matches.next().is_none().then_some(first)
        };
        by_name().or_else(by_id)
    }

    fn remove(&mut self, name: &str) {
        if let Some(id) = self.find(name).map(|image| image.id.clone()) {
            self.present.remove(&id);
        }
    }

    /// The digest that stands for what a tagged name means.
    fn content(&self, tagged: &str) -> String {
        let tagged = self.aliases.get(tagged).map_or(tagged, String::as_str);
        let word = |seed: u64| {
            tagged.bytes().fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            })
        };
        format!("sha256:{:016x}{:016x}{:016x}{:016x}", word(1), word(2), word(3), word(4))
    }
}

fn spec_name(spec: Option<&ImageSpec>) -> String {
    spec.map(|spec| spec.image.clone()).unwrap_or_default()
}

#[async_trait]
impl ImageService for FakeCri {
    async fn list_images(&self, request: ListImagesRequest) -> Result<ListImagesResponse, CriError> {
        self.check_failures("list_images", "")?;
        let state = self.inner.state.lock();
        let wanted = spec_name(request.filter.as_ref().and_then(|filter| filter.image.as_ref()));
        let images = match wanted.as_str() {
            "" => state.images.present.values().cloned().collect(),
            name => state.images.find(name).cloned().into_iter().collect(),
        };
        Ok(ListImagesResponse { images })
    }

    async fn image_status(&self, request: ImageStatusRequest) -> Result<ImageStatusResponse, CriError> {
        let name = spec_name(request.image.as_ref());
        self.check_failures("image_status", &name)?;
        if name.is_empty() {
            return Err(CriError::invalid_argument("image name is empty"));
        }
        let image = self.inner.state.lock().images.find(&name).cloned();
        let info = match (&image, request.verbose) {
            (Some(_), true) => [("imageSpec".to_owned(), "{}".to_owned())].into(),
            _ => Default::default(),
        };
        Ok(ImageStatusResponse { image, info })
    }

    async fn pull_image(&self, request: PullImageRequest) -> Result<PullImageResponse, CriError> {
        let name = spec_name(request.image.as_ref());
        self.enter("pull_image", name.clone()).await?;
        Ok(PullImageResponse { image_ref: self.inner.state.lock().images.pull(&name)? })
    }

    async fn remove_image(&self, request: RemoveImageRequest) -> Result<RemoveImageResponse, CriError> {
        let name = spec_name(request.image.as_ref());
        self.enter("remove_image", name.clone()).await?;
        if name.is_empty() {
            return Err(CriError::invalid_argument("image name is empty"));
        }
        self.inner.state.lock().images.remove(&name);
        Ok(RemoveImageResponse {})
    }

    async fn image_fs_info(&self, _request: ImageFsInfoRequest) -> Result<ImageFsInfoResponse, CriError> {
        self.check_failures("image_fs_info", "")?;
        let now = self.inner.clock.now();
        let mut state = self.inner.state.lock();
        let count = state.images.present.len() as u64;
        let usage = FilesystemUsage {
            timestamp: state.stamp(now),
            fs_id: Some(FilesystemIdentifier { mountpoint: "/var/lib/fake/images".to_owned() }),
            used_bytes: Some(UInt64Value { value: count * IMAGE_BYTES }),
            inodes_used: Some(UInt64Value { value: count }),
        };
        Ok(ImageFsInfoResponse { image_filesystems: vec![usage.clone()], container_filesystems: vec![usage] })
    }
}
