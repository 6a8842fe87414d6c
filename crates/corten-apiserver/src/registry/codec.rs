//! Between bytes, trees and versions of one resource.
//!
//! Stored bytes are the hub's JSON without `metadata.resourceVersion`; served bytes have it spliced in. A write is encoded
//! once and both forms share that work.

use std::sync::Arc;

use bytes::Bytes;
use corten_apimachinery::{
    codec::{FieldValidation, json, protobuf},
    meta::ObjectMeta as _,
    resource::ResourceDefinition,
    stored::{Facts, Stored},
    type_table::{TypeId, TypeTable},
    value::{Str, Value},
};
use corten_storage::{
    kv::Revision,
    object::{CorruptObject, ObjectCodec, Pending},
};

/// The conversions of one resource.
#[derive(Debug)]
pub struct ResourceCodec {
    definition: &'static ResourceDefinition,
    table: &'static TypeTable,
    hub_type: TypeId,
}

impl ResourceCodec {
    /// The conversions of `definition`, whose types are in `table`.
    ///
    /// Panics if a type is missing: the catalog's test checks that none is.
    #[must_use]
    pub fn new(definition: &'static ResourceDefinition, table: &'static TypeTable) -> Self {
        let name = definition.hub().type_name;
        let hub_type = table.find(name).unwrap_or_else(|| panic!("type {name} is not in the table"));
        Self { definition, table, hub_type }
    }

    /// The type table.
    #[must_use]
    pub fn table(&self) -> &'static TypeTable {
        self.table
    }

    /// Reads stored or served JSON, or stored protobuf, as a tree of the hub's form.
    pub fn decode_tree(&self, key: &str, bytes: &Bytes) -> Result<Value, CorruptObject> {
        let corrupt = |why: String| CorruptObject { key: key.to_owned(), why };
        if protobuf::is_envelope(bytes) {
            return protobuf::decode(bytes, self.table, self.hub_type).map_err(|error| corrupt(error.to_string()));
        }
        json::decode(bytes, None, FieldValidation::Ignore)
            .map(|decoded| decoded.value)
            .map_err(|error| corrupt(error.to_string()))
    }

    /// An object of the hub's form, without resource version, on its way into the store.
    #[must_use]
    pub fn pending(&self, object: &Value) -> Arc<Pending> {
        let encoded = json::encode_spliceable(object, Some((self.table, self.hub_type)));
        let (namespace, name, uid) = (object.namespace().into(), object.name().into(), object.uid().into());
        Pending::new(encoded, namespace, name, uid, self.facts(object))
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
            labels: labels.filter_map(|(key, value)| Some((Str::from(key), Str::from(value.as_str()?)))).collect(),
            fields: self.definition.selectable_fields.iter().map(|field| (field.value)(object)).collect(),
            controller_uid: object
                .controller_owner()
                .and_then(|owner| owner.str_at(&["uid"]))
                .unwrap_or_default()
                .into(),
            is_deleting: object.deletion_timestamp().is_some(),
        }
    }
}

impl ObjectCodec for ResourceCodec {
    fn decode(&self, key: &str, value: &Bytes, revision: Revision) -> Result<Arc<Stored>, CorruptObject> {
        let mut tree = self.decode_tree(key, value)?;
        let version = tree.api_version().rsplit('/').next().unwrap_or_default();
        if let Some(version) = self.definition.version(version).filter(|version| !version.is_hub) {
            if let Some(convert) = version.to_hub {
                convert(&mut tree);
            }
            tree.set(&["apiVersion"], self.definition.hub_api_version());
        }
        Ok(self.stored(&tree, revision))
    }

    fn at_revision(&self, object: &Stored, revision: Revision) -> Arc<Stored> {
        let json = json::replace_resource_version(&object.json, object.revision, revision);
        Arc::new(Stored { revision, json, ..object.clone() })
    }
}
