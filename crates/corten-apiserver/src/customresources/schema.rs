//! What the schema of one version does to objects between their bytes and the rules.
//!
//! Upstream: `schemaCoercingDecoder` and `unstructuredDefaulter` in
//! k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go (v1.35).

use std::sync::Arc;

use corten_apimachinery::{
    Value,
    field::{Error, Path},
    resource::ObjectSchema,
    schema::{
        MetaType, Structural, UnknownFields, apply_defaults, coerce_object_meta, prune, prune_nulls_without_defaults,
    },
    type_table::TypeTable,
};
use corten_cel::rules::RuleSet;

/// The schema of one version of a custom resource.
#[derive(Debug)]
pub(super) struct CustomSchema {
    /// The schema itself.
    pub(super) structural: Arc<Structural>,
    /// Its rules in CEL, if it has some.
    pub(super) rules: Option<RuleSet>,
    /// Where the type of metadata is.
    pub(super) table: &'static TypeTable,
}

impl CustomSchema {
    /// Of `structural`, with the type of metadata in `table`.
    pub(super) fn new(structural: Structural, table: &'static TypeTable) -> Self {
        let structural = Arc::new(structural);
        Self { rules: RuleSet::new(Arc::clone(&structural)), structural, table }
    }

    /// Takes out of an object of another version what this one does not have.
    ///
    /// Upstream: `schemaCoercingConverter` in customresource_handler.go, after each conversion.
    pub(super) fn prune(&self, object: &mut Value) {
        prune(object, &self.structural, true, &mut UnknownFields::ignored());
    }

    /// The type of metadata.
    pub(super) fn meta(&self) -> MetaType<'_> {
        MetaType::of(self.table).expect("the built-in types have metadata")
    }
}

impl ObjectSchema for CustomSchema {
    fn settle(&self, object: &mut Value, drop_invalid: bool) -> Result<Vec<String>, Error> {
        let mut unknown = UnknownFields::tracked();
        let root = Path::root();
        coerce_object_meta(&root, object, &self.structural, true, self.meta(), drop_invalid, &mut unknown)?;
        prune(object, &self.structural, true, &mut unknown);
        Ok(unknown.into_paths())
    }

    fn fill_in(&self, object: &mut Value) {
        prune_nulls_without_defaults(object, &self.structural);
        apply_defaults(object, &self.structural);
    }

    fn is_costly(&self) -> bool {
        self.rules.as_ref().is_some_and(RuleSet::is_costly)
    }
}
