//! Images: blobs by digest, unpacked layers, names.
//!
//! Flow: archive -> `import`, or registry -> `registry` -> `content` (blobs) and `snapshot` (one overlayfs lower per layer) -> `store` (names).

pub mod content;
pub mod digest;
pub mod import;
pub mod reference;
pub mod registry;
pub mod snapshot;
pub mod store;
mod unpack;

#[cfg(test)]
mod fuzz;

use std::io;

use corten_base::fs::FsError;

pub use digest::Digest;
pub use reference::Reference;

/// The longest document of an image, which is read into memory: manifests and configs of real images have a few KiB.
pub(crate) const DOCUMENT_BYTES_MAX: u64 = 8 << 20;

/// Why an image could not be stored, found or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FsError),
    /// The name is no image's name.
    #[error("invalid reference format: {0:?}")]
    Reference(String),
    /// Bytes are not those that their digest promises.
    #[error("content of {wanted} has digest {found}")]
    Digest {
        /// What was promised.
        wanted: Digest,
        /// What came.
        found: Digest,
    },
    /// An archive, a manifest or a config that does not follow its format.
    #[error("invalid image: {0}")]
    Invalid(String),
    /// A document of an image is not JSON of its form.
    #[error("parse {what}")]
    Parse {
        /// Which document.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A layer could not be unpacked.
    #[error("unpack layer {layer}")]
    Unpack {
        /// The layer's uncompressed digest.
        layer: Digest,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A mount was refused.
    #[error("mount overlay on {target}")]
    Mount {
        /// Where.
        target: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A container still uses the image.
    #[error("image {0} is in use by a container")]
    InUse(Digest),
}

/// A document that is not read.
pub(crate) fn too_long(name: &str) -> ImageError {
    ImageError::Invalid(format!("{name} has more than {DOCUMENT_BYTES_MAX} bytes"))
}
