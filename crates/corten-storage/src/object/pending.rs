//! An object on its way into the store: the writer and the watch cache share what one of them worked out.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use corten_apimachinery::{
    codec::json::Spliceable,
    stored::{Facts, Stored},
    value::Str,
};

use crate::kv::Revision;

/// An object that is being written: its bytes, and all of its served form but the revision.
#[derive(Debug)]
pub struct Pending {
    encoded: Spliceable,
    namespace: Str,
    name: Str,
    uid: Str,
    facts: Facts,
    served: OnceLock<Arc<Stored>>,
}

impl Pending {
    /// The object that `encoded` holds.
    #[must_use]
    pub fn new(encoded: Spliceable, namespace: Str, name: Str, uid: Str, facts: Facts) -> Arc<Self> {
        Arc::new(Self { encoded, namespace, name, uid, facts, served: OnceLock::new() })
    }

    /// What is stored: the object without `metadata.resourceVersion`.
    #[must_use]
    pub fn value(&self) -> &Bytes {
        self.encoded.bytes()
    }

    /// The object as it is served once the store has given it `revision`; 0 for one that was not stored (a dry run).
    ///
    /// Whoever asks first makes it, all others share it.
    pub fn at(&self, revision: Revision) -> Arc<Stored> {
        let served = self.served.get_or_init(|| Arc::new(self.serve(revision)));
        if served.revision == revision { Arc::clone(served) } else { Arc::new(self.serve(revision)) }
    }

    fn serve(&self, revision: Revision) -> Stored {
        Stored {
            revision,
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            json: if revision == 0 { self.encoded.bare() } else { self.encoded.splice(revision) },
            facts: self.facts.clone(),
        }
    }
}
