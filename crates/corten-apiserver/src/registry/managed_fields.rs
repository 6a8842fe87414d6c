//! Who owns which field, for the objects of one store: connects the rules of apimachinery with versions and requests.

use std::fmt;

use corten_apimachinery::{
    gvk::GroupVersion,
    managed_fields::{self, ApplyError, Views, Write},
    meta::ObjectMeta as _,
    resource::{ResourceDefinition, Strategy, Version},
    type_table::{TypeId, TypeTable},
    value::Value,
};

use super::store::{Store, WriteContext};

/// The versions of one kind, also of the group that shows another group's objects.
struct Versions<'a> {
    served_as: &'a ResourceDefinition,
    stored_as: &'a ResourceDefinition,
    table: &'a TypeTable,
}

impl<'a> Versions<'a> {
    fn find(&self, api_version: &str) -> Option<&'a Version> {
        let wanted = GroupVersion::parse(api_version)?;
        [self.served_as, self.stored_as]
            .into_iter()
            .filter(|definition| definition.group == wanted.group)
            .find_map(|definition| definition.version(&wanted.version))
    }
}

impl fmt::Debug for Versions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Versions").field("kind", &self.served_as.kind).finish_non_exhaustive()
    }
}

impl Views for Versions<'_> {
    fn type_id(&self, api_version: &str) -> Option<TypeId> {
        self.table.find(self.find(api_version)?.type_name)
    }

    fn convert(&self, object: &Value, api_version: &str) -> Option<Value> {
        let (from, to) = (self.find(object.api_version())?, self.find(api_version)?);
        let mut object = object.clone();
        if let Some(convert) = from.to_hub {
            convert(&mut object);
        }
        if let Some(convert) = to.from_hub {
            convert(&mut object);
        }
        object.set(&["apiVersion"], api_version);
        Some(object)
    }
}

impl Store {
    fn with_write<T>(&self, cx: &WriteContext<'_>, strategy: &dyn Strategy, act: impl FnOnce(&Write<'_>) -> T) -> T {
        let table = self.codec.table();
        let views = Versions { served_as: cx.served_as, stored_as: self.definition, table };
        act(&Write {
            table,
            views: &views,
            api_version: cx.api_version,
            kind: self.definition.kind,
            manager: cx.field_manager,
            subresource: cx.subresource,
            now: cx.now,
            reset_fields: strategy.reset_fields(),
        })
    }

    /// Records what a write other than an apply did; an apply has recorded it itself.
    pub(super) fn track_fields(
        &self,
        cx: &WriteContext<'_>,
        strategy: &dyn Strategy,
        live: Option<&Value>,
        new: &mut Value,
    ) {
        if !cx.is_apply {
            self.with_write(cx, strategy, |write| managed_fields::update_managed_fields(write, live, new));
        }
    }

    /// Applies a configuration of the request's version to the current object, which is in the hub's form.
    ///
    /// Returns the object in the request's version with its new managed fields, neither canonical nor defaulted; to be
    /// stored with `WriteContext::is_apply` set. Errors: conflicts, and configurations that are none of the kind.
    pub fn apply(
        &self,
        cx: &WriteContext<'_>,
        strategy: &dyn Strategy,
        live: Option<&Value>,
        config: &Value,
        force: bool,
    ) -> Result<Value, ApplyError> {
        self.with_write(cx, strategy, |write| managed_fields::apply(write, live, config, force))
            .map(|applied| applied.object)
    }
}
