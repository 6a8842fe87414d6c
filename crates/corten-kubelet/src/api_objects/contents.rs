//! What a container's variables, or a volume's files, take of config maps and secrets.
//!
//! Invariant: each object is read once, however often it is named; nothing is kept of it but the values that are named, and
//! these are shared by all who name them. So what a pod costs goes with the objects that exist, not with its references.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use bytes::Bytes;

use super::{ApiObjects, ObjectError, ObjectKind};

/// The values of an object, by their keys.
pub type Values = BTreeMap<String, Bytes>;

/// Which values of a config map are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    /// `data` alone.
    No,
    /// `binaryData`, too.
    Yes,
}

/// What is taken of one object.
#[derive(Debug, Default)]
struct Wanted<'a> {
    all: bool,
    keys: BTreeSet<&'a str>,
}

/// The objects that something names, and what was read of them.
pub struct Contents<'a> {
    objects: &'a ApiObjects,
    namespace: &'a str,
    binary: Binary,
    wanted: BTreeMap<(ObjectKind, &'a str), Wanted<'a>>,
    read: BTreeMap<(ObjectKind, &'a str), Result<Values, ObjectError>>,
    bytes_max: usize,
    bytes: usize,
}

impl<'a> Contents<'a> {
    /// Nothing yet, of the objects in `namespace`; later no more than `bytes_max`.
    #[must_use]
    pub fn new(objects: &'a ApiObjects, namespace: &'a str, binary: Binary, bytes_max: usize) -> Self {
        let (wanted, read) = (BTreeMap::new(), BTreeMap::new());
        Self { objects, namespace, binary, wanted, read, bytes_max, bytes: 0 }
    }

    /// Says before anything is read that all of an object will be asked for.
    pub fn want_all(&mut self, kind: ObjectKind, name: &'a str) {
        self.wanted.entry((kind, name)).or_default().all = true;
    }

    /// Says before anything is read that this key of an object will be asked for.
    pub fn want(&mut self, kind: ObjectKind, name: &'a str, key: &'a str) {
        self.wanted.entry((kind, name)).or_default().keys.insert(key);
    }

    /// The values of an object, those at least that were wanted; `None` if there is no such object and it is `optional`.
    ///
    /// Errors: upstream's text, or that all together is more than the bound.
    pub async fn values(&mut self, kind: ObjectKind, name: &'a str, optional: bool) -> Result<Option<&Values>, String> {
        let object = (kind, name);
        if !self.read.contains_key(&object) {
            let read = match self.all_values(kind, name).await {
                Ok(all) => Ok(self.keep(object, all)?),
                Err(error) => Err(error),
            };
            self.read.insert(object, read);
        }
        match &self.read[&object] {
            Ok(values) => Ok(Some(values)),
            Err(error) if error.is_not_found() && optional => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn all_values(&self, kind: ObjectKind, name: &str) -> Result<Values, ObjectError> {
        match kind {
            ObjectKind::ConfigMap => {
                let map = self.objects.config_map(self.namespace, name).await?;
                let text = map.data.into_iter().flatten().map(|(key, value)| (key, Bytes::from(value)));
                let binary = map.binary_data.filter(|_| self.binary == Binary::Yes);
                let binary = binary.into_iter().flatten().map(|(key, value)| (key, Bytes::from(value.0)));
                Ok(text.chain(binary).collect())
            }
            ObjectKind::Secret => {
                let data = self.objects.secret(self.namespace, name).await?.data;
                Ok(data.into_iter().flatten().map(|(key, value)| (key, Bytes::from(value.0))).collect())
            }
        }
    }

    fn keep(&mut self, object: (ObjectKind, &'a str), mut all: Values) -> Result<Values, String> {
        if let Some(wanted) = self.wanted.get(&object).filter(|wanted| !wanted.all) {
            all = wanted.keys.iter().filter_map(|key| all.remove_entry(*key)).collect();
        }
        self.bytes += all.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        if self.bytes > self.bytes_max {
            let max = self.bytes_max;
            return Err(format!("config maps and secrets have more than {max} bytes together, which is too much"));
        }
        Ok(all)
    }
}

/// Without the values: they may be secret.
impl fmt::Debug for Contents<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents")
            .field("namespace", &self.namespace)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
