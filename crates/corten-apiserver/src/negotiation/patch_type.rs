//! Which language a patch is in, and what that is written in.
//!
//! Upstream: `PatchType` in k8s.io/apimachinery/pkg/types, and `supportedTypes` in k8s.io/apiserver/pkg/endpoints/installer.go
//! and k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go (v1.35).

use corten_apimachinery::status::{Reason, Status};
use corten_client::PatchKind;

use super::{Encoding, Encodings, unknown_body};
use crate::response::generic;

/// What the body of a patch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchType {
    Json,
    Merge,
    Strategic,
    ApplyYaml,
    ApplyCbor,
}

impl PatchType {
    const ALL: [Self; 5] = [Self::Json, Self::Merge, Self::Strategic, Self::ApplyYaml, Self::ApplyCbor];

    /// Reads a `Content-Type`: what stands before its parameters, to the letter. Whether it is served is told by
    /// `Encodings::patch_type`.
    pub(crate) fn of(content_type: &str) -> Option<Self> {
        let media_type = content_type.split(';').next().unwrap_or_default();
        Self::ALL.into_iter().find(|known| known.media_type() == media_type)
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::ApplyCbor => "application/apply-patch+cbor",
            other => other.kind().content_type(),
        }
    }

    /// The language.
    pub(crate) fn kind(self) -> PatchKind {
        match self {
            Self::Json => PatchKind::Json,
            Self::Merge => PatchKind::Merge,
            Self::Strategic => PatchKind::Strategic,
            Self::ApplyYaml | Self::ApplyCbor => PatchKind::Apply,
        }
    }

    /// What it is written in.
    pub(crate) fn encoding(self) -> Encoding {
        match self {
            Self::Json | Self::Merge | Self::Strategic => Encoding::Json,
            Self::ApplyYaml => Encoding::Yaml,
            Self::ApplyCbor => Encoding::Cbor,
        }
    }
}

impl Encodings {
    /// The patches of a resource. Those of a custom one know no strategy: how lists merge is said of built-in types alone.
    fn patch_types(self, is_custom: bool) -> impl Iterator<Item = PatchType> {
        PatchType::ALL.into_iter().filter(move |known| match known {
            PatchType::Strategic => !is_custom,
            PatchType::ApplyCbor => self.0.contains(&Encoding::Cbor),
            _ => true,
        })
    }

    /// What the body of a patch is, by its `Content-Type`.
    ///
    /// Errors: `UnsupportedMediaType`.
    pub(crate) fn patch_type(self, content_type: &str, is_custom: bool) -> Result<PatchType, Status> {
        let named = PatchType::of(content_type);
        self.patch_types(is_custom).find(|&known| Some(known) == named).ok_or_else(|| {
            let served: Vec<&str> = self.patch_types(is_custom).map(PatchType::media_type).collect();
            unknown_body(&served)
        })
    }

    /// Whether the router finds the language of a patch, before anything else is looked at.
    ///
    /// Errors: `UnsupportedMediaType`.
    pub(crate) fn route_patch(self, content_type: &str) -> Result<(), Status> {
        let is_known = content_type.split(',').any(|one| {
            let media_type = one.split(';').next().unwrap_or_default().trim_matches(' ');
            self.patch_types(false).any(|known| known.media_type() == media_type)
        });
        is_known.then_some(()).ok_or_else(|| generic(Reason::UnsupportedMediaType, "415: Unsupported Media Type"))
    }
}
