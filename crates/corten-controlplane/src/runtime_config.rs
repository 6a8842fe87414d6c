//! Which versions and resources are served: `--runtime-config`.
//!
//! Upstream: k8s.io/apiserver/pkg/server/resourceconfig/helpers.go, pkg/controlplane/instance.go (v1.35).

use std::collections::BTreeMap;

use corten_apimachinery::{
    Features,
    gvk::GroupVersion,
    resource::{Maturity, ResourceDefinition, Version},
};
use corten_base::parse_bool;
use corten_resources::catalog::{GROUPS, RESOURCES};

// order matters: by group, then by version.

/// Versions that upstream's scheme knows and does not serve (any more, or at all): to switch them on or off is no error.
const NEVER_SERVED: &[(&str, &[&str])] = &[
    ("admission.k8s.io", &["v1", "v1beta1"]),
    ("apps", &["v1beta1", "v1beta2"]),
    ("authentication.k8s.io", &["v1alpha1", "v1beta1"]),
    ("authorization.k8s.io", &["v1beta1"]),
    ("autoscaling", &["v2beta1", "v2beta2"]),
    ("batch", &["v1beta1"]),
    ("discovery.k8s.io", &["v1beta1"]),
    ("events.k8s.io", &["v1beta1"]),
    ("extensions", &["v1beta1"]),
    ("flowcontrol.apiserver.k8s.io", &["v1beta1", "v1beta2", "v1beta3"]),
    ("imagepolicy.k8s.io", &["v1alpha1"]),
    ("node.k8s.io", &["v1alpha1", "v1beta1"]),
    ("policy", &["v1beta1"]),
    ("rbac.authorization.k8s.io", &["v1alpha1", "v1beta1"]),
    ("scheduling.k8s.io", &["v1beta1"]),
    ("storage.k8s.io", &["v1alpha1", "v1beta1"]),
];

/// What is switched on or off against the defaults: stable versions are on, others off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuntimeConfig {
    all: Option<bool>,
    stable: Option<bool>,
    beta: Option<bool>,
    alpha: Option<bool>,
    versions: BTreeMap<(String, String), bool>,
    resources: BTreeMap<(String, String, String), bool>,
}

/// Why `--runtime-config` is not taken. Worded as upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRuntimeConfig {
    /// A key that is no group and version. The core group has an empty name: `/v1`.
    #[error("runtime-config invalid key {0}")]
    NoVersion(String),
    /// A group of versions (`api/all`) that is neither `true` nor `false`.
    #[error("invalid value {0}={1}")]
    NoSwitch(String, String),
    /// A value that is neither true nor false.
    #[error("invalid value of {key}: {value}, err: strconv.ParseBool: parsing {value:?}: invalid syntax")]
    NoBool {
        /// The key.
        key: String,
        /// What it was to be.
        value: String,
    },
    /// No such groups.
    #[error("unknown api groups {}", .0.join(","))]
    UnknownGroups(Vec<String>),
    /// No such version in its group.
    #[error("group version {0} that has not been registered")]
    UnknownVersion(String),
    /// A resource that is not in lower case.
    #[error("invalid key {key}: group/version/resource and resource is always lowercase plural, not {resource:?}")]
    BadResource {
        /// The key.
        key: String,
        /// The resource.
        resource: String,
    },
    /// Without the stable versions, nothing would work.
    #[error("invalid key with only api/all=false")]
    NothingLeft,
}

/// The keys that stand for versions of all groups.
const MANY: [&str; 4] = ["api/all", "api/ga", "api/beta", "api/alpha"];

impl RuntimeConfig {
    /// Reads `api/beta=true,group/version=false,group/version/resource`; a key without a value is on, and the last word on a
    /// key holds.
    ///
    /// Errors: upstream's first, with the keys in their order.
    pub fn parse(settings: &str) -> Result<Self, BadRuntimeConfig> {
        let entries = settings.split(',').filter(|entry| !entry.is_empty());
        let entries: BTreeMap<&str, &str> = entries
            .map(|entry| entry.split_once('=').unwrap_or((entry, "")))
            .map(|(key, value)| (key.trim(), value.trim()))
            .collect();
        if entries.len() == 1 && entries.get("api/all") == Some(&"false") {
            return Err(BadRuntimeConfig::NothingLeft);
        }
        let named = entries.iter().filter(|(key, _)| !MANY.contains(key));
        let named: Vec<Named<'_>> = named.map(|(key, value)| Named::read(key, value)).collect::<Result<_, _>>()?;
        let unknown: Vec<String> =
            named.iter().filter(|named| !named.has_group()).map(|named| named.group.to_owned()).collect();
        if !unknown.is_empty() {
            return Err(BadRuntimeConfig::UnknownGroups(unknown));
        }
        let many = |key: &str| match entries.get(key) {
            None => Ok(None),
            Some(&"true") => Ok(Some(true)),
            Some(&"false") => Ok(Some(false)),
            Some(&value) => Err(BadRuntimeConfig::NoSwitch(key.to_owned(), value.to_owned())),
        };
        let [all, stable, beta, alpha] = MANY;
        let mut config =
            Self { all: many(all)?, stable: many(stable)?, beta: many(beta)?, alpha: many(alpha)?, ..Self::default() };
        for named in named {
            config.set(&named)?;
        }
        Ok(config)
    }

    fn set(&mut self, named: &Named<'_>) -> Result<(), BadRuntimeConfig> {
        let &Named { key, group, version, resource, value } = named;
        if !named.has_version() {
            return Err(BadRuntimeConfig::UnknownVersion(GroupVersion::new(group, version).to_string()));
        }
        let is_on = if value.is_empty() { Some(true) } else { parse_bool(value) };
        let is_on = is_on.ok_or_else(|| BadRuntimeConfig::NoBool { key: key.to_owned(), value: value.to_owned() })?;
        match resource {
            None => _ = self.versions.insert((group.into(), version.into()), is_on),
            Some(resource) if resource.to_lowercase() != resource => {
                return Err(BadRuntimeConfig::BadResource { key: key.into(), resource: resource.into() });
            }
            Some(resource) => _ = self.resources.insert((group.into(), version.into(), resource.into()), is_on),
        }
        Ok(())
    }

    /// Whether a version of a resource is served.
    #[must_use]
    pub fn serves(&self, features: &Features, definition: &ResourceDefinition, version: &Version) -> bool {
        if version.feature_gate.is_some_and(|gate| !features.is_enabled(gate)) {
            return false;
        }
        let group_version = (definition.group.to_owned(), version.name.to_owned());
        let resource = (definition.group.to_owned(), version.name.to_owned(), definition.plural.to_owned());
        let by_name = self.resources.get(&resource).or_else(|| self.versions.get(&group_version)).copied();
        by_name.unwrap_or_else(|| match version.maturity() {
            Maturity::Stable => self.stable.or(self.all).unwrap_or(true),
            Maturity::Beta => self.beta.or(self.all).unwrap_or(false),
            Maturity::Alpha => self.alpha.or(self.all).unwrap_or(false),
        })
    }
}

/// An entry of one version or resource.
#[derive(Debug, Clone, Copy)]
struct Named<'a> {
    key: &'a str,
    group: &'a str,
    version: &'a str,
    resource: Option<&'a str>,
    value: &'a str,
}

impl<'a> Named<'a> {
    fn read(key: &'a str, value: &'a str) -> Result<Self, BadRuntimeConfig> {
        let parts: Vec<&str> = key.split('/').collect();
        let (group, version, resource) = match parts[..] {
            [group, version] => (group, version, None),
            [group, version, resource] => (group, version, Some(resource)),
            _ => return Err(BadRuntimeConfig::NoVersion(key.to_owned())),
        };
        Ok(Self { key, group, version, resource, value })
    }

    fn has_group(&self) -> bool {
        GROUPS.contains(&self.group) || !self.never_served().is_empty()
    }

    fn has_version(&self) -> bool {
        let of_group = |definition: &&&ResourceDefinition| definition.group == self.group;
        self.never_served().contains(&self.version)
            || RESOURCES.iter().filter(of_group).any(|definition| definition.version(self.version).is_some())
    }

    /// The versions of its group that nobody serves.
    fn never_served(&self) -> &'static [&'static str] {
        NEVER_SERVED.iter().find(|(name, _)| *name == self.group).map_or(&[], |(_, versions)| versions)
    }
}

#[cfg(test)]
mod tests {
    use corten_resources::{apps, core};

    use super::*;

    #[test]
    fn stable_versions_are_served_and_what_is_named_as_it_says() {
        let features = Features::default();
        let serves = |settings: &str, definition: &ResourceDefinition| {
            RuntimeConfig::parse(settings).unwrap().serves(&features, definition, definition.hub())
        };
        assert!(serves("", &apps::deployment::RESOURCE));
        assert!(serves("api/beta=true", &apps::deployment::RESOURCE));
        assert!(!serves("api/ga=false", &apps::deployment::RESOURCE));
        assert!(!serves("apps/v1=false", &apps::deployment::RESOURCE));
        assert!(serves("apps/v1=false", &core::pod::RESOURCE));
        assert!(serves("apps/v1=false,apps/v1/deployments", &apps::deployment::RESOURCE));
        assert!(!serves("api/all=false,api/ga=false", &core::pod::RESOURCE));
        assert!(serves("api/all=false,/v1=true", &core::pod::RESOURCE));
        assert!(!serves("api/all=false,/v1=true", &apps::deployment::RESOURCE));
        assert!(serves("/v1=false,/v1=1", &core::pod::RESOURCE));
    }

    #[test]
    fn maturity_is_in_the_name() {
        let version = |name| Version::hub(name, "", |_| ());
        let features = Features::new([("SomeGate", false)]);
        for (settings, name, want) in [
            ("", "v2beta1", false),
            ("api/beta=true", "v2beta1", true),
            ("api/beta=true", "v1alpha1", false),
            ("api/all=true", "v1alpha1", true),
            ("api/all=true,api/alpha=false", "v1alpha1", false),
        ] {
            let config = RuntimeConfig::parse(settings).unwrap();
            assert_eq!(config.serves(&features, &core::pod::RESOURCE, &version(name)), want, "{settings} {name}");
            let gated = version(name).gated("SomeGate");
            assert!(!config.serves(&features, &core::pod::RESOURCE, &gated), "{settings} {name}");
        }
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        for (settings, want) in [
            (
                "apps/v1=maybe",
                "invalid value of apps/v1: maybe, err: strconv.ParseBool: parsing \"maybe\": invalid syntax",
            ),
            ("fancy/v1=true,apps/v7=true,api/v1=true", "unknown api groups api,fancy"),
            ("v1=true", "runtime-config invalid key v1"),
            ("apps=true,fancy/v1=true", "runtime-config invalid key apps"),
            ("api/all", "invalid value api/all="),
            ("api/beta=1,apps/v7=true", "invalid value api/beta=1"),
            ("apps/v7=true", "group version apps/v7 that has not been registered"),
            (
                "apps/v1/Deployments=true",
                "invalid key apps/v1/Deployments: group/version/resource and resource is always lowercase plural, not \
                 \"Deployments\"",
            ),
            ("api/all=false", "invalid key with only api/all=false"),
        ] {
            assert_eq!(RuntimeConfig::parse(settings).unwrap_err().to_string(), want);
        }
    }

    /// The server ended where upstream's starts.
    #[test]
    fn versions_that_nobody_serves_any_more_can_be_switched() {
        for setting in ["extensions/v1beta1=true", "apps/v1beta1=false", "batch/v1beta1/cronjobs=true"] {
            RuntimeConfig::parse(setting).expect(setting);
        }
        let error = |setting: &str| RuntimeConfig::parse(setting).unwrap_err().to_string();
        assert_eq!(error("extensions/v1=true"), "group version extensions/v1 that has not been registered");
        assert_eq!(error("apps/v2=true"), "group version apps/v2 that has not been registered");
        assert_eq!(error("example.com/v1=true"), "unknown api groups example.com");
    }

    #[test]
    fn every_version_that_upstream_has_data_of_is_known() {
        let Some(folder) = std::env::var_os("CORTEN_UPSTREAM_DATA") else {
            println!("skipped: CORTEN_UPSTREAM_DATA is not set");
            return;
        };
        let folder = std::path::PathBuf::from(folder).join("api-roundtrip/v1.35");
        let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        for name in names.filter(|name| name.ends_with(".json")) {
            let parts: Vec<&str> = name.split('.').collect();
            let [group @ .., version, _, _] = &*parts else { panic!("{name}") };
            let group = group.join(".");
            // Discovery is written by hand, and is in no scheme that counts.
            if group != "apidiscovery.k8s.io" {
                let group = if group == "core" { String::new() } else { group };
                RuntimeConfig::parse(&format!("{group}/{version}=true"))
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
            }
        }
    }
}
