//! `ImageService`: images and the file systems that hold them.

use async_trait::async_trait;

use crate::{
    api::{
        ImageFsInfoRequest, ImageFsInfoResponse, ImageStatusRequest, ImageStatusResponse, ListImagesRequest,
        ListImagesResponse, PullImageRequest, PullImageResponse, RemoveImageRequest, RemoveImageResponse,
    },
    error::CriError,
};

/// What a container runtime does with images.
///
/// An image is named by tag (`name:tag`, `:latest` if none is given), by digest (`name@sha256:...`) or by its id.
/// Deadlines come from the caller, who drops the call.
/// Source: k8s.io/cri-api, pkg/apis/services.go.
#[async_trait]
pub trait ImageService: Send + Sync + 'static {
    /// The images, or those that the filter's name or id means.
    async fn list_images(&self, request: ListImagesRequest) -> Result<ListImagesResponse, CriError>;

    /// One image. An image that is not present is an answer without `image`, not an error.
    async fn image_status(&self, request: ImageStatusRequest) -> Result<ImageStatusResponse, CriError>;

    /// Makes an image present and gives its id. Cancellation: the transfer stops; what is complete may be kept.
    ///
    /// Errors: `NotFound` if the registry does not have it, `Unauthenticated` or `PermissionDenied` if it does not give
    /// it, `InvalidArgument` for a name that is none, and messages that begin with a word of `error::reason`.
    async fn pull_image(&self, request: PullImageRequest) -> Result<PullImageResponse, CriError>;

    /// Removes an image under all its names. Idempotent; an image that is not present is not an error.
    async fn remove_image(&self, request: RemoveImageRequest) -> Result<RemoveImageResponse, CriError>;

    /// What images and writable layers use, per file system.
    async fn image_fs_info(&self, request: ImageFsInfoRequest) -> Result<ImageFsInfoResponse, CriError>;
}
