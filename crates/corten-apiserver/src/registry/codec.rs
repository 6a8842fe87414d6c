//! Between bytes, trees and versions of one resource.
//!
//! Stored bytes are the hub's JSON without `metadata.resourceVersion`; served bytes have it spliced in. A write is encoded
//! once and both forms share that work.

use std::sync::Arc;

use bytes::Bytes;
use corten_apimachinery::{
    codec::{
        FieldValidation,
        json::{self, Spliceable},
        protobuf,
    },
    meta::ObjectMeta as _,
    resource::{ResourceDefinition, Version},
    stored::{Facts, Stored},
    type_table::{TypeId, TypeTable},
    value::{Str, Value},
};
use corten_storage::{
    kv::Revision,
    object::{CorruptObject, ObjectCodec},
};

/// The conversions of one resource.
#[derive(Debug)]
pub struct ResourceCodec {
    definition: &'static ResourceDefinition,
    table: &'static TypeTable,
    /// The types of the versions, in the order of the definition.
    types: Vec<TypeId>,
}

impl ResourceCodec {
    /// The conversions of `definition`, whose types are in `table`.
    ///
    /// Panics if a type is missing: the catalog's test checks that none is.
    #[must_use]
    pub fn new(definition: &'static ResourceDefinition, table: &'static TypeTable) -> Self {
        let find = |version: &Version| {
            table.find(version.type_name).unwrap_or_else(|| panic!("type {} is not in the table", version.type_name))
        };
        Self { definition, table, types: definition.versions.iter().map(find).collect() }
    }

    /// The type table.
    #[must_use]
    pub fn table(&self) -> &'static TypeTable {
        self.table
    }

    /// The type of a served version.
    #[must_use]
    pub fn type_of(&self, version: &Version) -> TypeId {
        let index = self.definition.versions.iter().position(|candidate| candidate.name == version.name);
        self.types[index.expect("versions are taken from the definition")]
    }

    fn hub_type(&self) -> TypeId {
        self.type_of(self.definition.hub())
    }

    /// Reads stored or served JSON, or stored protobuf, as a tree of the hub's form.
    pub fn decode_tree(&self, key: &str, bytes: &Bytes) -> Result<Value, CorruptObject> {
        let corrupt = |why: String| CorruptObject { key: key.to_owned(), why };
        if protobuf::is_envelope(bytes) {
            return protobuf::decode(bytes, self.table, self.hub_type()).map_err(|error| corrupt(error.to_string()));
        }
        json::decode(bytes, None, FieldValidation::Ignore)
            .map(|decoded| decoded.value)
            .map_err(|error| corrupt(error.to_string()))
    }

    /// Encodes a tree of the hub's form as it is stored.
    #[must_use]
    pub fn encode(&self, object: &Value) -> Spliceable {
        json::encode_spliceable(object, Some((self.table, self.hub_type())))
    }

    /// The served object of a tree that is stored at `revision`; 0 for one that is not (a dry run).
    #[must_use]
    pub fn stored(&self, object: &Value, revision: Revision) -> Arc<Stored> {
        if object.resource_version().is_empty() {
            return self.stored_from(object, &self.encode(object), revision);
        }
        let mut bare = object.clone();
        bare.unset_meta("resourceVersion");
        self.stored_from(&bare, &self.encode(&bare), revision)
    }

    /// As `stored`, for a tree that is encoded already.
    #[must_use]
    pub fn stored_from(&self, object: &Value, encoded: &Spliceable, revision: Revision) -> Arc<Stored> {
        let json = if revision == 0 { encoded.bytes().clone() } else { encoded.splice(revision) };
        Arc::new(Stored {
            revision,
            namespace: object.namespace().into(),
            name: object.name().into(),
            uid: object.uid().into(),
            json,
            facts: self.facts(object),
        })
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

    /// The object as another served version shows it; the same one for the hub.
    pub fn in_version(&self, object: &Arc<Stored>, version: &Version) -> Result<Arc<Stored>, CorruptObject> {
        if version.is_hub {
            return Ok(Arc::clone(object));
        }
        let mut tree = self.decode_tree(&object.name, &object.json)?;
        self.from_hub(&mut tree, version);
        let json = json::encode(&tree, Some((self.table, self.type_of(version))));
        Ok(Arc::new(Stored { json, ..Stored::clone(object) }))
    }

    /// Turns a tree of the hub's form into one of `version`, in place.
    pub fn from_hub(&self, tree: &mut Value, version: &Version) {
        if let Some(convert) = version.from_hub {
            convert(tree);
        }
        tree.set(&["apiVersion"], self.api_version(version));
    }

    /// Turns a tree of `version` into one of the hub's form, in place.
    pub fn to_hub(&self, tree: &mut Value, version: &Version) {
        if let Some(convert) = version.to_hub {
            convert(tree);
        }
        tree.set(&["apiVersion"], self.api_version(self.definition.hub()));
        tree.set(&["kind"], self.definition.kind);
    }

    fn api_version(&self, version: &Version) -> Str {
        corten_apimachinery::gvk::GroupVersion::new(self.definition.group, version.name).to_string().into()
    }
}

impl ObjectCodec for ResourceCodec {
    fn decode(&self, key: &str, value: &Bytes, revision: Revision) -> Result<Arc<Stored>, CorruptObject> {
        let mut tree = self.decode_tree(key, value)?;
        let version = tree.api_version().rsplit('/').next().unwrap_or_default();
        if let Some(version) = self.definition.version(version).filter(|version| !version.is_hub) {
            self.to_hub(&mut tree, version);
        }
        Ok(self.stored(&tree, revision))
    }

    fn at_revision(&self, object: &Stored, revision: Revision) -> Arc<Stored> {
        let json = json::replace_resource_version(&object.json, object.revision, revision);
        Arc::new(Stored { revision, json, ..object.clone() })
    }
}
