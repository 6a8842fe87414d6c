//! Which credentials of a pod's pull secrets are for an image.
//!
//! Upstream: k8s.io/kubernetes/pkg/credentialprovider (v1.35).

use std::collections::BTreeMap;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use corten_api::core::v1::Secret;
use corten_cri::api::AuthConfig;
use serde::Deserialize;

/// The key of credentials for the registry that names without one mean.
const DEFAULT_REGISTRY: &str = "index.docker.io";

/// Credentials of several secrets, by what they are for.
#[derive(Debug, Default, PartialEq)]
pub struct Keyring {
    by_place: BTreeMap<String, Vec<AuthConfig>>,
}

#[derive(Debug, Deserialize)]
struct DockerConfigJson {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Debug, Default, Deserialize)]
struct Entry {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    auth: String,
}

/// A secret of a known type whose content cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It is not the JSON that docker writes.
    #[error("parse docker configuration")]
    Parse(#[from] serde_json::Error),
    /// `auth` is not base64 of `user:password`.
    #[error("unable to parse auth field, must be formatted as base64(username:password)")]
    Auth,
}

impl Keyring {
    /// Adds what a secret holds; secrets of other types hold nothing.
    ///
    /// Errors: it says that it holds credentials, and they cannot be read.
    pub fn add(&mut self, secret: &Secret) -> Result<(), SecretError> {
        let data = |key: &str| secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.as_slice());
        let entries = match secret.type_.as_deref() {
            Some("kubernetes.io/dockerconfigjson") => match data(".dockerconfigjson") {
                Some(json) => serde_json::from_slice::<DockerConfigJson>(json)?.auths,
                None => return Ok(()),
            },
            Some("kubernetes.io/dockercfg") => match data(".dockercfg") {
                Some(json) => serde_json::from_slice(json)?,
                None => return Ok(()),
            },
            _ => return Ok(()),
        };
        for (place, entry) in entries {
            let (username, password) =
                if entry.auth.is_empty() { (entry.username, entry.password) } else { decode_auth(&entry.auth)? };
            let config = AuthConfig { username, password, ..AuthConfig::default() };
            self.by_place.entry(key_of(&place)).or_default().push(config);
        }
        Ok(())
    }

    /// What to try for a repository (`docker.io/library/nginx`), the most specific place first.
    #[must_use]
    pub fn look_up(&self, repository: &str) -> Vec<AuthConfig> {
        let fitting = self.by_place.iter().rev().filter(|(place, _)| matches(place, repository));
        let found: Vec<AuthConfig> = fitting.flat_map(|(_, configs)| configs.iter().cloned()).collect();
        if found.is_empty() && is_default_registry(repository) {
            return self.by_place.get(DEFAULT_REGISTRY).cloned().unwrap_or_default();
        }
        found
    }
}

fn decode_auth(auth: &str) -> Result<(String, String), SecretError> {
    let engine = if auth.ends_with('=') { STANDARD } else { STANDARD_NO_PAD };
    let decoded = engine.decode(auth.trim()).map_err(|_| SecretError::Auth)?;
    let text = String::from_utf8(decoded).map_err(|_| SecretError::Auth)?;
    let (username, password) = text.split_once(':').ok_or(SecretError::Auth)?;
    // docker's own tools end the password with NUL bytes.
    Ok((username.to_owned(), password.trim_matches('\0').to_owned()))
}

/// Scheme and API version say nothing about what the credentials are for.
fn key_of(place: &str) -> String {
    let rest = place.strip_prefix("https://").or_else(|| place.strip_prefix("http://")).unwrap_or(place);
    let (host, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let path = if path.starts_with("/v1/") || path.starts_with("/v2/") { &path[3..] } else { path };
    if path.is_empty() || path == "/" { host.to_owned() } else { format!("{host}{path}") }
}

fn split(place: &str) -> (&str, &str, &str) {
    let (authority, path) = place.find('/').map_or((place, ""), |at| place.split_at(at));
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
    (host, port, path)
}

/// Same port, hosts that fit label by label (`*.example`), and a path that begins with the pattern's.
fn matches(pattern: &str, repository: &str) -> bool {
    let ((pattern_host, pattern_port, pattern_path), (host, port, path)) = (split(pattern), split(repository));
    let (labels, wanted): (Vec<_>, Vec<_>) = (host.split('.').collect(), pattern_host.split('.').collect());
    port == pattern_port
        && labels.len() == wanted.len()
        && path.starts_with(pattern_path)
        && wanted.iter().zip(&labels).all(|(pattern, label)| glob(pattern.as_bytes(), label.as_bytes()))
}

/// `*` and `?` of shell patterns, without recursion deeper than the number of stars needs.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((star_p, star_t)) = star else { return false };
                star = Some((star_p, star_t + 1));
                p = star_p + 1;
                t = star_t + 1;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

fn is_default_registry(repository: &str) -> bool {
    match repository.split_once('/') {
        None => !repository.is_empty(),
        Some((first, _)) => {
            !first.is_empty() && (matches!(first, "docker.io" | "index.docker.io") || !first.contains(['.', ':']))
        }
    }
}

#[cfg(test)]
mod tests {
    use corten_api::ByteString;

    use super::*;

    fn secret(json: &str) -> Secret {
        Secret {
            type_: Some("kubernetes.io/dockerconfigjson".into()),
            data: Some([(".dockerconfigjson".to_owned(), ByteString(json.as_bytes().to_vec()))].into()),
            ..Secret::default()
        }
    }

    #[track_caller]
    fn check(places: &[&str], repository: &str, want: &[&str]) {
        let auths: BTreeMap<_, _> =
            places.iter().map(|place| (*place, serde_json::json!({"username": place, "password": "p"}))).collect();
        let mut keyring = Keyring::default();
        keyring.add(&secret(&serde_json::json!({ "auths": auths }).to_string())).unwrap();
        let found: Vec<_> = keyring.look_up(repository).into_iter().map(|config| config.username).collect();
        assert_eq!(found, want);
    }

    #[test]
    fn places_fit_by_host_port_and_path() {
        check(&["https://r.example/v1/"], "r.example/a/b", &["https://r.example/v1/"]);
        check(&["r.example:5000"], "r.example/a", &[]);
        check(&["r.example:5000"], "r.example:5000/a", &["r.example:5000"]);
        check(&["*.example"], "r.example/a", &["*.example"]);
        check(&["*.example"], "a.r.example/a", &[]);
        check(&["r.example", "r.example/team"], "r.example/team/app", &["r.example/team", "r.example"]);
        check(&["r.example/team"], "r.example/other/app", &[]);
    }

    #[test]
    fn the_default_registry_has_several_names() {
        check(&["https://index.docker.io/v1/"], "docker.io/library/nginx", &["https://index.docker.io/v1/"]);
        check(&["https://index.docker.io/v1/"], "r.example/nginx", &[]);
    }

    #[test]
    fn auth_is_user_and_password() {
        let mut keyring = Keyring::default();
        keyring.add(&secret(r#"{"auths":{"r.example":{"auth":"dTpwOnc="}}}"#)).unwrap();
        let found = &keyring.look_up("r.example/a")[0];
        assert_eq!((found.username.as_str(), found.password.as_str()), ("u", "p:w"));
        assert!(keyring.add(&secret(r#"{"auths":{"r.example":{"auth":"!"}}}"#)).is_err());
        assert!(keyring.add(&secret("nonsense")).is_err());
        keyring.add(&Secret::default()).unwrap();
    }
}
