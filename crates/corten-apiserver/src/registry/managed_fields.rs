//! Who owns which field, for the objects of one store: connects the rules of apimachinery with versions and requests.

use std::{fmt, sync::Arc};

use corten_apimachinery::{
    gvk::GroupVersion,
    managed_fields::{self, ApplyError, Views, Write},
    meta::ObjectMeta as _,
    resource::{Resource, ResourceVersion, Strategy},
    type_table::{TypeId, TypeTable},
    value::Value,
};

use super::store::{Store, WriteContext};

/// The versions of one kind, also of the group that shows another group's objects.
struct Versions<'a> {
    served_as: &'a Resource,
    stored_as: &'a Resource,
}

impl<'a> Versions<'a> {
    fn find(&self, api_version: &str) -> Option<&'a Arc<ResourceVersion>> {
        let wanted = GroupVersion::parse(api_version)?;
        [self.served_as, self.stored_as]
            .into_iter()
            .filter(|resource| resource.group == wanted.group)
            .find_map(|resource| resource.version(&wanted.version))
    }
}

impl fmt::Debug for Versions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Versions").field("kind", &self.served_as.kind).finish_non_exhaustive()
    }
}

impl Views for Versions<'_> {
    fn typed(&self, api_version: &str) -> Option<(&TypeTable, TypeId)> {
        let version = self.find(api_version)?;
        Some((&version.table, version.type_id))
    }

    fn convert(&self, object: &Value, api_version: &str) -> Option<Value> {
        let (from, to) = (self.find(object.api_version())?, self.find(api_version)?);
        let mut object = object.clone();
        if let Some(convert) = &from.to_hub {
            convert(&mut object);
        }
        if let Some(convert) = &to.from_hub {
            convert(&mut object);
        }
        object.set(&["apiVersion"], api_version);
        Some(object)
    }
}

impl Store {
    fn with_write<T>(&self, cx: &WriteContext<'_>, strategy: &dyn Strategy, act: impl FnOnce(&Write<'_>) -> T) -> T {
        let views = Versions { served_as: cx.served_as, stored_as: &self.resource };
        act(&Write {
            views: &views,
            api_version: cx.api_version,
            kind: &self.resource.kind,
            manager: cx.field_manager,
            subresource: cx.subresource,
            now: cx.now,
            reset_fields: strategy.reset_fields(),
            owned_fields: strategy.owned_fields(),
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
