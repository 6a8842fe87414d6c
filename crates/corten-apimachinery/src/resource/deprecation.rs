//! What clients are told of a version that goes.
//!
//! Upstream: k8s.io/apiserver/pkg/endpoints/deprecation and the life cycles of types in k8s.io/api (v1.35).

use crate::{
    gvk::GroupVersion,
    value::{Str, format_str},
};

/// How long clients are to use a version of a kind, by the minor releases of version 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deprecation {
    since: u8,
    gone_in: Option<u8>,
    replacement: Option<&'static str>,
}

impl Deprecation {
    /// Deprecated since a release, without an end.
    #[must_use]
    pub const fn since(minor: u8) -> Self {
        Self { since: minor, gone_in: None, replacement: None }
    }

    /// Three releases after a version is deprecated it goes; that is the rule for all that are not stable.
    #[must_use]
    pub const fn beta_since(minor: u8) -> Self {
        Self { gone_in: Some(minor + 3), ..Self::since(minor) }
    }

    /// The same, with what clients are to use instead, such as `discovery.k8s.io/v1 EndpointSlice`.
    #[must_use]
    pub const fn replaced_by(self, replacement: &'static str) -> Self {
        Self { replacement: Some(replacement), ..self }
    }

    /// What every client of the version is told.
    #[must_use]
    pub fn advice(&self, version: &GroupVersion, kind: &str) -> Str {
        let mut advice = format_str!("{version} {kind} is deprecated in v1.{}+", self.since);
        if let Some(minor) = self.gone_in {
            advice.push_str(&format_str!(", unavailable in v1.{minor}+"));
        }
        if let Some(replacement) = self.replacement {
            advice.push_str("; use ");
            advice.push_str(replacement);
        }
        advice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_is_upstreams() {
        let check = |version: (&str, &str), kind: &str, deprecation: Deprecation, want: &str| {
            assert_eq!(deprecation.advice(&GroupVersion::new(version.0, version.1), kind), want);
        };
        check(("", "v1"), "ComponentStatus", Deprecation::since(19), "v1 ComponentStatus is deprecated in v1.19+");
        check(
            ("", "v1"),
            "Endpoints",
            Deprecation::since(33).replaced_by("discovery.k8s.io/v1 EndpointSlice"),
            "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
        );
        check(
            ("resource.k8s.io", "v1beta1"),
            "ResourceClaim",
            Deprecation::beta_since(35),
            "resource.k8s.io/v1beta1 ResourceClaim is deprecated in v1.35+, unavailable in v1.38+",
        );
        check(
            ("storage.k8s.io", "v1beta1"),
            "VolumeAttributesClass",
            Deprecation::beta_since(34).replaced_by("storage.k8s.io/v1 VolumeAttributesClass"),
            "storage.k8s.io/v1beta1 VolumeAttributesClass is deprecated in v1.34+, unavailable in v1.37+; \
             use storage.k8s.io/v1 VolumeAttributesClass",
        );
    }
}
