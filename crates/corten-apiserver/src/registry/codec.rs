//! Between bytes, trees and versions of one resource.
//!
//! Stored bytes are the hub's JSON without `metadata.resourceVersion`; served bytes have it spliced in. A write is encoded
//! once and both forms share that work.

use std::sync::Arc;

use bytes::Bytes;
use corten_apimachinery::{
    codec::{
        self, FieldValidation,
        json::{self, Spliceable},
        protobuf,
    },
    field::quote,
    gvk::GroupVersion,
    meta::ObjectMeta as _,
    resource::{Resource, ResourceVersion},
    stack,
    stored::{Facts, Measured, Stored},
    type_table::{TypeId, TypeTable},
    value::Value,
};
use corten_storage::{
    kv::Revision,
    object::{CorruptObject, ObjectCodec, Pending},
};

/// The conversions of one resource.
#[derive(Debug)]
pub struct ResourceCodec {
    resource: Arc<Resource>,
    hub: Arc<ResourceVersion>,
}

impl ResourceCodec {
    /// The conversions of `resource`, whose objects are its own.
    #[must_use]
    pub fn new(resource: Arc<Resource>) -> Self {
        let hub = Arc::clone(resource.hub());
        Self { resource, hub }
    }

    /// The resource.
    #[must_use]
    pub fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    /// The hub's type table.
    #[must_use]
    pub fn table(&self) -> &TypeTable {
        &self.hub.table
    }

    /// Reads the JSON or protobuf that is stored since `revision`, or served JSON, as a tree of the hub's form.
    pub fn decode_tree(&self, key: &str, bytes: &Bytes, revision: Revision) -> Result<Value, CorruptObject> {
        let corrupt = |why: String| CorruptObject { key: key.to_owned(), revision, why };
        if protobuf::is_envelope(bytes) {
            return protobuf::decode(bytes, &self.hub.table, self.hub.type_id)
                .map_err(|error| corrupt(error.to_string()));
        }
        json::decode(bytes, None, FieldValidation::Ignore)
            .map(|decoded| decoded.value)
            .map_err(|error| corrupt(error.to_string()))
    }

    /// What order the fields of stored objects have: that of their type, or in custom resources that of their names.
    fn encoding(&self) -> Option<(&TypeTable, TypeId)> {
        self.hub.schema.is_none().then(|| (&*self.hub.table, self.hub.type_id))
    }

    /// An object of the hub's form, without resource version, on its way into the store.
    #[must_use]
    pub fn pending(&self, object: &Value) -> Arc<Pending> {
        self.pending_as(object, json::encode_spliceable(object, self.encoding()), false)
    }

    /// Makes a valid object what it is once it was stored, also if it is not to be: see `codec::settle_empty_lists`. Custom
    /// resources, definitions and API services are JSON there, which tells an empty list from none.
    pub(super) fn settle(&self, object: &mut Value) {
        // Where upstream has a server of its own for them, the path begins with the group.
        let is_json =
            self.resource.storage_prefix.split_once('/').is_some_and(|(first, _)| self.resource.group == first);
        if !is_json {
            codec::settle_empty_lists(object, &self.hub.table, self.hub.type_id);
        }
    }

    fn pending_as(&self, object: &Value, encoded: Spliceable, is_outdated: bool) -> Arc<Pending> {
        let (namespace, name, uid) = (object.namespace().into(), object.name().into(), object.uid().into());
        Pending::new(encoded, namespace, name, uid, Facts { is_outdated, ..self.facts(object) })
    }

    /// The served object of a tree that is stored at `revision`; 0 for one that is not (a dry run).
    #[must_use]
    pub fn stored(&self, object: &Value, revision: Revision) -> Arc<Stored> {
        if object.resource_version().is_empty() {
            return self.pending(object).at(revision);
        }
        let mut bare = object.clone();
        bare.unset_meta("resourceVersion");
        self.pending(&bare).at(revision)
    }

    fn facts(&self, object: &Value) -> Facts {
        let labels = object.labels().into_iter().flat_map(|labels| labels.iter());
        Facts {
            labels: labels.filter_map(|(key, value)| Some((key, value.as_str()?))).collect(),
            fields: self.resource.selectable_fields.iter().map(|field| field.read(object)).collect(),
            controller_uid: object
                .controller_owner()
                .and_then(|owner| owner.str_at(&["uid"]))
                .unwrap_or_default()
                .into(),
            is_deleting: object.deletion_timestamp().is_some(),
            protobuf_length: Measured::default(),
            is_outdated: false,
        }
    }
}

impl ObjectCodec for ResourceCodec {
    fn decode(&self, key: &str, value: &Bytes, revision: Revision) -> Result<Arc<Stored>, CorruptObject> {
        let is_deep = json::is_deeper_than(value, stack::SHALLOW);
        stack::deep_if(is_deep, || self.decode_as_hub(key, value, revision))
    }

    fn at_revision(&self, object: &Stored, revision: Revision) -> Arc<Stored> {
        let json = json::replace_resource_version(&object.json, object.revision, revision);
        Arc::new(Stored { revision, json, ..object.clone() })
    }
}

impl ResourceCodec {
    /// What is wrong with the version of a stored object of a built-in kind: upstream's table of kinds has no other versions.
    fn unknown_kind(&self, tree: &Value) -> Option<String> {
        let api_version = tree.api_version();
        if self.hub.schema.is_some() || api_version.is_empty() {
            return None;
        }
        let is_known = GroupVersion::parse(api_version)
            .is_some_and(|known| known.group == self.resource.group && self.resource.version(&known.version).is_some());
        // The last words are where upstream's table is made.
        (!is_known).then(|| {
            let (kind, version) = (quote(tree.kind()), quote(api_version));
            format!(
                "no kind {kind} is registered for version {version} in scheme \"pkg/api/legacyscheme/scheme.go:30\""
            )
        })
    }

    /// The object of the hub's form that stored bytes are, whoever has written them, and when.
    ///
    /// Objects in the cache are in this form already: what this process writes does not come here, unless the cache misses it.
    /// Upstream: `NewStorageCodec` in k8s.io/apiserver/pkg/server/storage/storage_codec.go, `Decode` in
    /// k8s.io/apimachinery/pkg/runtime/serializer/versioning/versioning.go (v1.35).
    pub(super) fn hub_tree(&self, key: &str, value: &Bytes, revision: Revision) -> Result<Value, CorruptObject> {
        let mut tree = self.decode_tree(key, value, revision)?;
        let stored_in = tree.api_version().rsplit('/').next().unwrap_or_default();
        let version = self.resource.version(stored_in);
        if version.is_none() && self.hub.schema.is_some() {
            // Nobody can tell what it would be in another version. Upstream: `crConverter.ConvertToVersion` in
            // k8s.io/apiextensions-apiserver/pkg/apiserver/conversion/converter.go (v1.35).
            let why = format!("request to convert CR from an invalid group/version: {}", tree.api_version());
            return Err(CorruptObject { key: key.to_owned(), revision, why });
        }
        if let Some(why) = self.unknown_kind(&tree) {
            return Err(CorruptObject { key: key.to_owned(), revision, why });
        }
        if self.hub.schema.is_none() {
            // It may be older than a default, or another server's. The version is the one that it is stored in.
            (version.unwrap_or(&self.hub).defaults)(&mut tree);
        }
        if let Some(version) = version.filter(|version| !version.is_hub) {
            if version.needs_webhook {
                let why = self.resource.webhook_failure(tree.api_version());
                return Err(CorruptObject { key: key.to_owned(), revision, why });
            }
            if let Some(convert) = &version.to_hub {
                convert(&mut tree);
            }
            tree.set(&["apiVersion"], self.resource.hub_api_version());
        }
        if let Some(schema) = &self.hub.schema {
            // What is stored may be older than the schema.
            let settled = schema.settle(&mut tree, true);
            settled.map_err(|error| CorruptObject { key: key.to_owned(), revision, why: error.to_string() })?;
            schema.fill_in(&mut tree);
        }
        Ok(tree)
    }

    fn decode_as_hub(&self, key: &str, value: &Bytes, revision: Revision) -> Result<Arc<Stored>, CorruptObject> {
        let mut tree = self.hub_tree(key, value, revision)?;
        tree.unset_meta("resourceVersion");
        // What was read may be stored otherwise than it would be now.
        let encoded = json::encode_spliceable(&tree, self.encoding());
        let is_outdated = encoded.bytes() != value;
        Ok(self.pending_as(&tree, encoded, is_outdated).at(revision))
    }
}
