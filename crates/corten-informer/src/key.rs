//! `Key`: which object of a resource is meant, and nothing else about it.

use std::{fmt, str::FromStr};

use corten_apimachinery::{stored::Stored, value::Str};

/// The namespace and name of an object. It is written `namespace/name`, or `name` where there is no namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The namespace; empty for cluster-scoped objects.
    pub namespace: Str,
    /// The name.
    pub name: Str,
}

/// A text is no key: it has more than one slash, or no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unexpected key format: {0:?}")]
pub struct KeyError(String);

impl Key {
    /// The key of an object in a namespace; an empty namespace for cluster-scoped ones.
    pub fn new(namespace: impl Into<Str>, name: impl Into<Str>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of `object`.
    #[must_use]
    pub fn of(object: &Stored) -> Self {
        Self { namespace: object.namespace.clone(), name: object.name.clone() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (namespace, name) = text.split_once('/').unwrap_or(("", text));
        if name.is_empty() || name.contains('/') {
            return Err(KeyError(text.to_owned()));
        }
        Ok(Self::new(namespace, name))
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn keys_are_written_with_a_slash_only_inside_namespaces() {
        assert_eq!(Key::new("default", "web").to_string(), "default/web");
        assert_eq!(Key::new("", "node-1").to_string(), "node-1");
        assert_eq!("default/web".parse(), Ok(Key::new("default", "web")));
        assert_eq!("node-1".parse(), Ok(Key::new("", "node-1")));
        assert!("a/b/c".parse::<Key>().is_err());
        assert!("a/".parse::<Key>().is_err());
    }
}
