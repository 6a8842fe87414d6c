//! What OpenAPI has to know of one version of a custom resource.

use std::sync::Arc;

use super::{CustomKind, Structural, publish, publish_list};
use crate::{
    openapi::Options,
    value::{Str, Value},
};

/// One version of a custom resource as OpenAPI tells of it.
#[derive(Debug, Clone)]
pub struct Published {
    /// The group.
    pub group: Str,
    /// The version.
    pub version: Str,
    /// The kind.
    pub kind: Str,
    /// The kind of lists.
    pub list_kind: Str,
    /// The plural name of the resource.
    pub plural: Str,
    /// The schema.
    pub schema: Arc<Structural>,
    /// The paths that field selectors can name, as the definition has them.
    pub selectable_fields: Vec<Str>,
    /// Differs from that of any version of which OpenAPI tells something else.
    pub digest: Str,
}

impl Published {
    /// The names.
    #[must_use]
    pub fn names(&self) -> CustomKind<'_> {
        CustomKind {
            group: &self.group,
            version: &self.version,
            kind: &self.kind,
            list_kind: &self.list_kind,
            plural: &self.plural,
        }
    }

    /// The schemas of the kind and of its lists, by name.
    #[must_use]
    pub fn schemas(&self, options: Options<'_>) -> [(Str, Value); 2] {
        let names = self.names();
        [
            (names.schema_name(), publish(Some(&self.schema), names, &self.selectable_fields, options)),
            (names.list_schema_name(), publish_list(names, &self.selectable_fields, options)),
        ]
    }
}
