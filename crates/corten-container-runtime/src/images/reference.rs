//! Names of images, brought to the form that Docker's tools agree on: `docker.io/library/nginx:latest`.
//!
//! Upstream: distribution/reference, `ParseDockerRef`.

use std::{fmt, str::FromStr};

use super::{Digest, ImageError};

const DEFAULT_DOMAIN: &str = "docker.io";
const DEFAULT_TAG: &str = "latest";
/// The longest repository name. Source: distribution/reference.
const NAME_BYTES_MAX: usize = 255;
const TAG_BYTES_MAX: usize = 128;

/// A complete name: repository, and a tag or a digest or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// `docker.io`, `127.0.0.1:5000`.
    pub domain: String,
    /// `library/nginx`.
    pub path: String,
    /// `latest`; absent with a digest.
    pub tag: Option<String>,
    /// What the content must be.
    pub digest: Option<Digest>,
}

impl Reference {
    /// `docker.io/library/nginx`.
    #[must_use]
    pub fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The name with a digest in the place of its tag.
    #[must_use]
    pub fn with_digest(&self, digest: &Digest) -> String {
        format!("{}@{digest}", self.repository())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.domain, self.path)?;
        match (&self.digest, &self.tag) {
            (Some(digest), _) => write!(f, "@{digest}"),
            (None, Some(tag)) => write!(f, ":{tag}"),
            (None, None) => Ok(()),
        }
    }
}

impl FromStr for Reference {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let invalid = || ImageError::Reference(text.to_owned());
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>().map_err(|_| invalid())?)),
            None => (text, None),
        };
        // A colon in the last component begins the tag; one before it belongs to a port.
        let last = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[last..].find(':') {
            Some(colon) => (&rest[..last + colon], Some(&rest[last + colon + 1..])),
            None => (rest, None),
        };
        let (domain, path) = match name.split_once('/') {
            Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (first, path.to_owned()),
            _ if name.contains('/') => (DEFAULT_DOMAIN, name.to_owned()),
            _ => (DEFAULT_DOMAIN, format!("library/{name}")),
        };
        let domain = if domain == "index.docker.io" { DEFAULT_DOMAIN } else { domain };
        let is_valid = is_domain(domain)
            && path.split('/').all(is_component)
            && domain.len() + 1 + path.len() <= NAME_BYTES_MAX
            && tag.is_none_or(is_tag);
        if !is_valid {
            return Err(invalid());
        }
        let tag = match (tag, &digest) {
            (_, Some(_)) => None,
            (Some(tag), None) => Some(tag.to_owned()),
            (None, None) => Some(DEFAULT_TAG.to_owned()),
        };
        Ok(Self { domain: domain.to_owned(), path, tag, digest })
    }
}

fn is_domain(domain: &str) -> bool {
    !domain.is_empty() && domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
}

/// Lower-case words with `.`, `_`, `__` or dashes between them.
fn is_component(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|byte| is_word(*byte))
        && bytes.last().is_some_and(|byte| is_word(*byte))
        && bytes.iter().all(|byte| is_word(*byte) || b"._-".contains(byte))
        && !["..", "___", "._", "_.", ".-", "-.", "_-", "-_"].iter().any(|wrong| text.contains(wrong))
}

fn is_tag(tag: &str) -> bool {
    let mut bytes = tag.bytes();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= TAG_BYTES_MAX
        && bytes.next().is_some_and(is_word)
        && bytes.all(|byte| is_word(byte) || b".-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: &str) {
        assert_eq!(text.parse::<Reference>().map(|found| found.to_string()).unwrap_or_default(), want, "{text:?}");
    }

    #[test]
    fn names_are_completed() {
        check("nginx", "docker.io/library/nginx:latest");
        check("nginx:1.28", "docker.io/library/nginx:1.28");
        check("user/app", "docker.io/user/app:latest");
        check("index.docker.io/user/app:x", "docker.io/user/app:x");
        check("127.0.0.1:5000/a/b-c__d:v1.0", "127.0.0.1:5000/a/b-c__d:v1.0");
        check("localhost/a", "localhost/a:latest");
        let digest = Digest::of(b"");
        check(&format!("registry.test/a:tag@{digest}"), &format!("registry.test/a@{digest}"));
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for wrong in ["", "UPPER/case:1", "name:", "a b", "name@sha256:short", "a//b", "-a", "a:.x", "/a", "a/"] {
            check(wrong, "");
        }
    }
}
