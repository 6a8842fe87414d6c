//! Names of images: whether they are some, and which registry they mean.
//!
//! Upstream: github.com/distribution/reference, as pkg/util/parsers uses it.

/// Why a name is none; the text is that of the reference library.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It does not follow the grammar.
    #[error("invalid reference format")]
    Format,
    /// Repositories are in lower case.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    /// It could be confused with an image's id.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    Identifier(String),
    /// The path is too long.
    #[error("repository name must not be more than 255 characters")]
    Length,
}

/// A name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// What the runtime is given: the name as written, `:latest` added if it has neither tag nor digest.
    pub full: String,
    /// The repository with its registry, as credentials are looked up: `docker.io/library/nginx`.
    pub repository: String,
}

const PATH_BYTES_MAX: usize = 255;

impl ImageName {
    /// Reads a name.
    ///
    /// Errors: in the reference library's words.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        if name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(NameError::Identifier(name.to_owned()));
        }
        let (rest, digest) = match name.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (name, None),
        };
        // A colon before the last slash belongs to the registry's port.
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
            _ => (rest, None),
        };
        let (domain, path) = split_domain(repository);
        if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(NameError::Uppercase(path));
        }
        let valid = is_domain(domain)
            && path.split('/').all(is_component)
            && tag.is_none_or(is_tag)
            && digest.is_none_or(is_digest);
        if !valid {
            return Err(NameError::Format);
        }
        if path.len() > PATH_BYTES_MAX {
            return Err(NameError::Length);
        }
        let full = if tag.is_none() && digest.is_none() { format!("{name}:latest") } else { name.to_owned() };
        Ok(Self { full, repository: format!("{domain}/{path}") })
    }
}

/// Docker's rule: the first part is a registry if it looks like a host.
fn split_domain(repository: &str) -> (&str, String) {
    let (domain, path) = match repository.split_once('/') {
        Some((first, path))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|byte| byte.is_ascii_uppercase()) =>
        {
            (first, path)
        }
        _ => ("docker.io", repository),
    };
    let domain = if domain == "index.docker.io" { "docker.io" } else { domain };
    let path = if domain == "docker.io" && !path.contains('/') { format!("library/{path}") } else { path.to_owned() };
    (domain, path)
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.rsplit_once(':') {
        Some((host, port)) if !domain.ends_with(']') => (host, Some(port)),
        _ => (domain, None),
    };
    let label = |label: &str| {
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        edge(label.as_bytes().first())
            && edge(label.as_bytes().last())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host = match literal {
        Some(address) => !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':'),
        None => host.split('.').all(label),
    };
    host && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Letters and digits with separators between them: one dot, one or two underscores, any number of dashes.
fn is_component(component: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut bytes = component.bytes().peekable();
    let mut separator = String::new();
    let mut seen = false;
    while let Some(byte) = bytes.next() {
        if alphanumeric(byte) {
            let fits = match separator.as_str() {
                "" | "." | "_" | "__" => true,
                dashes => dashes.bytes().all(|byte| byte == b'-'),
            };
            if !fits || (!separator.is_empty() && !seen) {
                return false;
            }
            separator.clear();
            seen = true;
        } else {
            separator.push(char::from(byte));
            if bytes.peek().is_none() {
                return false;
            }
        }
    }
    seen
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        algorithm.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && algorithm.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+._-".contains(&byte))
            && hex.len() >= 32
            && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, full: &str, repository: &str) {
        let want = ImageName { full: full.into(), repository: repository.into() };
        assert_eq!(ImageName::parse(name), Ok(want));
    }

    #[test]
    fn a_name_without_tag_means_the_latest() {
        check("nginx", "nginx:latest", "docker.io/library/nginx");
        check("nginx:1.28", "nginx:1.28", "docker.io/library/nginx");
        check("localhost/a/b", "localhost/a/b:latest", "localhost/a/b");
        check("127.0.0.1:5000/a__b", "127.0.0.1:5000/a__b:latest", "127.0.0.1:5000/a__b");
        check("r.example:1/x/y:v", "r.example:1/x/y:v", "r.example:1/x/y");
        let digest = format!("a@sha256:{}", "0".repeat(64));
        check(&digest, &digest, "docker.io/library/a");
    }

    #[test]
    fn what_is_no_name_is_refused_in_the_librarys_words() {
        for name in ["", "a:", "a b", "a//b", "-a", "a-", "a@b", "a..b", "http://a/b"] {
            assert_eq!(ImageName::parse(name), Err(NameError::Format), "{name:?}");
        }
        let error = ImageName::parse("Nginx").unwrap_err();
        assert_eq!(error.to_string(), "invalid reference format: repository name (library/Nginx) must be lowercase");
    }
}
