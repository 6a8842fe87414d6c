//! `ImageService`: the image store as CRI shows it.

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use corten_cri::{CriError, ImageService, api};

use super::{ContainerRuntime, unknown};
use crate::images::{Reference, registry::Credentials, store::Image};

impl ContainerRuntime {
    async fn describe(&self, image: &std::sync::Arc<Image>) -> Result<api::Image, CriError> {
        let user = match self.inner.images.known_user(&image.id) {
            Some(user) => user,
            None => {
                let (images, image) = (self.inner.images.clone(), image.clone());
                self.blocking(move || images.user(&image)).await?
            }
        };
        let name = user.split(':').next().unwrap_or_default().to_owned();
        let uid = name.parse().ok().map(|value| api::Int64Value { value });
        Ok(api::Image {
            id: image.id.to_string(),
            repo_tags: image.tags.iter().cloned().collect(),
            repo_digests: image.digests.iter().cloned().collect(),
            size: image.size_bytes,
            username: if uid.is_some() { String::new() } else { name },
            uid,
            spec: None,
            pinned: image.pinned,
        })
    }
}

fn name(spec: Option<api::ImageSpec>) -> String {
    spec.map(|spec| spec.image).unwrap_or_default()
}

/// What a caller gives as proof: a token, a name and a password, or both in one word.
fn credentials(auth: Option<api::AuthConfig>) -> Result<Option<Credentials>, CriError> {
    let Some(auth) = auth else { return Ok(None) };
    if !auth.registry_token.is_empty() {
        return Ok(Some(Credentials::Token(auth.registry_token)));
    }
    if !auth.username.is_empty() {
        return Ok(Some(Credentials::Basic { username: auth.username, password: auth.password }));
    }
    if auth.auth.is_empty() {
        return Ok(None);
    }
    let invalid = || CriError::invalid_argument("invalid auth: not base64 of username:password");
    let text = STANDARD.decode(auth.auth).map_err(|_| invalid())?;
    let text = String::from_utf8(text).map_err(|_| invalid())?;
    let (username, password) = text.split_once(':').ok_or_else(invalid)?;
    let password = password.trim_end_matches('\0').to_owned();
    Ok(Some(Credentials::Basic { username: username.to_owned(), password }))
}

#[async_trait]
impl ImageService for ContainerRuntime {
    async fn list_images(&self, request: api::ListImagesRequest) -> Result<api::ListImagesResponse, CriError> {
        let wanted = name(request.filter.and_then(|filter| filter.image));
        let found = if wanted.is_empty() {
            self.inner.images.list()
        } else {
            self.inner.images.find(&wanted).into_iter().collect()
        };
        let mut images = Vec::new();
        for image in &found {
            images.push(self.describe(image).await?);
        }
        Ok(api::ListImagesResponse { images })
    }

    async fn image_status(&self, request: api::ImageStatusRequest) -> Result<api::ImageStatusResponse, CriError> {
        let image = match self.inner.images.find(&name(request.image)) {
            Some(image) => Some(self.describe(&image).await?),
            None => None,
        };
        Ok(api::ImageStatusResponse { image, ..api::ImageStatusResponse::default() })
    }

    async fn pull_image(&self, request: api::PullImageRequest) -> Result<api::PullImageResponse, CriError> {
        let wanted = name(request.image);
        let reference: Reference =
            wanted.parse().map_err(|error: crate::images::ImageError| CriError::invalid_argument(error.to_string()))?;
        let credentials = credentials(request.auth)?;
        let image = self.inner.puller.pull(&self.inner.images, &reference, credentials).await?;
        Ok(api::PullImageResponse { image_ref: image.id.to_string() })
    }

    async fn remove_image(&self, request: api::RemoveImageRequest) -> Result<api::RemoveImageResponse, CriError> {
        let (images, wanted, runtime) = (self.inner.images.clone(), name(request.image), self.clone());
        self.blocking(move || images.remove(&wanted, |id| runtime.inner.state.lock().needs(id))).await?;
        Ok(api::RemoveImageResponse {})
    }

    async fn image_fs_info(&self, _: api::ImageFsInfoRequest) -> Result<api::ImageFsInfoResponse, CriError> {
        let timestamp = self.now();
        let used: u64 = self.inner.images.list().iter().map(|image| image.size_bytes).sum();
        let count = u64::try_from(self.inner.images.list().len()).map_err(|error| unknown(&error))?;
        let usage = |path: &std::path::Path, used: u64, inodes: u64| api::FilesystemUsage {
            timestamp,
            fs_id: Some(api::FilesystemIdentifier { mountpoint: path.display().to_string() }),
            used_bytes: Some(api::UInt64Value { value: used }),
            inodes_used: Some(api::UInt64Value { value: inodes }),
        };
        Ok(api::ImageFsInfoResponse {
            image_filesystems: vec![usage(self.inner.images.directory(), used, count)],
            container_filesystems: vec![usage(&self.inner.config.root.join("pods"), 0, 0)],
        })
    }
}
