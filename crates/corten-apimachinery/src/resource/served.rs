//! A resource as a server has it: what a built-in definition, or a custom resource definition, comes to at run time.

use std::{fmt, sync::Arc};

use super::{ResourceDefinition, Scope, SelectableField, Strategy, Subresource, TableDefinition, Verb, Version};
use crate::{
    field::Error,
    gvk::GroupVersion,
    resource::table::{Cell, Column, RowCondition, RowContext},
    schema::Published,
    shared::Shared,
    type_table::{TypeId, TypeTable},
    value::{Str, Value},
};

/// What is done to a tree in place: defaults, conversions.
pub type Change = Arc<dyn Fn(&mut Value) + Send + Sync>;

/// One resource. Everything else (routes, discovery, OpenAPI, watch cache, tables, printing) is derived from this.
#[derive(Debug)]
pub struct Resource {
    /// The group; empty for the core group.
    pub group: Str,
    /// The kind.
    pub kind: Str,
    /// The kind of its lists.
    pub list_kind: Str,
    /// The plural name, which paths use.
    pub plural: Str,
    /// The singular name.
    pub singular: Str,
    /// Short names for the command line.
    pub short_names: Vec<Str>,
    /// Categories such as `all`.
    pub categories: Vec<Str>,
    /// Whether objects live in namespaces.
    pub scope: Scope,
    /// All versions, served or not, preferred one first; one is the hub, unless `stored_as` is set.
    pub versions: Vec<Arc<ResourceVersion>>,
    /// The resource of another group whose objects these are.
    pub stored_as: Option<Arc<Resource>>,
    /// The verbs, sorted.
    pub verbs: &'static [Verb],
    /// The rules.
    pub strategy: Shared<dyn Strategy>,
    /// The fields that field selectors can name besides `metadata.name` and `metadata.namespace`.
    pub selectable_fields: Vec<SelectableField>,
    /// The path segment under `/registry/` where objects are kept.
    pub storage_prefix: Str,
    /// Whether objects go by themselves after the server's event time-to-live.
    pub expires: bool,
    /// Whether its definition is being deleted: nothing new is made.
    pub is_terminating: bool,
}

/// One version of a resource.
pub struct ResourceVersion {
    /// The version: `v1`.
    pub name: Str,
    /// The name of its type.
    pub type_name: Str,
    /// The types.
    pub table: Shared<TypeTable>,
    /// The place of its type there.
    pub type_id: TypeId,
    /// Whether this is the version that is stored and validated.
    pub is_hub: bool,
    /// Whether clients see it.
    pub is_served: bool,
    /// What every client of this version is told, if it is not to be used any more.
    pub deprecation: Option<Str>,
    /// Fills in defaults, in place, after decoding.
    pub defaults: Change,
    /// Turns an object of this version into the hub's form, `apiVersion` and `kind` aside; `None` if they are the same.
    pub to_hub: Option<Change>,
    /// Turns an object of the hub's form into this version; `None` like `to_hub`.
    pub from_hub: Option<Change>,
    /// Why upstream cannot turn an object of this version into its own form, if it cannot: no client gets one in.
    pub misfit: Option<fn(&Value) -> Option<String>>,
    /// Whether only a webhook could turn objects of this version into the hub's form and back. Nobody calls it yet, and objects
    /// must not pass for what they are not.
    pub needs_webhook: bool,
    /// Those of the resource's selectable fields that this version has; `None` for all.
    pub selectable_fields: Option<Vec<Str>>,
    /// Further ways to look at the object.
    pub subresources: Shared<[Subresource]>,
    /// How objects print.
    pub printer: Shared<dyn Printer>,
    /// The schema of a custom resource; built-in types need none.
    pub schema: Option<Arc<dyn ObjectSchema>>,
    /// What OpenAPI tells of a custom resource; of built-in ones their type does.
    pub published: Option<Published>,
}

/// What the schema of a custom resource does to objects between their bytes and the rules.
pub trait ObjectSchema: fmt::Debug + Send + Sync {
    /// Brings a decoded object into the schema's form: what is neither in it nor in the type of metadata goes. Returns the
    /// paths of what went, sorted.
    ///
    /// Errors: metadata that does not fit its type, unless `drop_invalid` lets that go, too.
    fn settle(&self, object: &mut Value, drop_invalid: bool) -> Result<Vec<String>, Error>;
    /// Fills in defaults.
    fn fill_in(&self, object: &mut Value);
    /// Whether to hold an object against the schema may take as long as hundreds of other requests, however small it is.
    fn is_costly(&self) -> bool;
}

/// How objects of a kind print.
pub trait Printer: fmt::Debug + Send + Sync {
    /// The columns, first one the name.
    fn columns(&self) -> &[Column];
    /// The cells of one object, one per column and in their order.
    fn row(&self, object: &Value, cx: &RowContext) -> Vec<Cell>;
    /// What there is to say of the row of one object, such as that the object is finished.
    fn conditions(&self, object: &Value) -> Vec<RowCondition> {
        let _ = object;
        Vec::new()
    }

    /// What the rows of a list are sorted by, before the name.
    fn rank(&self) -> Option<fn(&Value) -> i64> {
        None
    }
}

impl Printer for TableDefinition {
    fn columns(&self) -> &[Column] {
        self.columns
    }

    fn row(&self, object: &Value, cx: &RowContext) -> Vec<Cell> {
        (self.row)(object, cx)
    }

    fn conditions(&self, object: &Value) -> Vec<RowCondition> {
        self.conditions.map(|conditions| conditions(object)).unwrap_or_default()
    }

    fn rank(&self) -> Option<fn(&Value) -> i64> {
        self.rank
    }
}

impl Resource {
    /// The built-in resource of `definition`, whose types are in `table`, with the versions of which `is_served` says so.
    ///
    /// Panics if a type is missing: the catalog's test checks that none is.
    #[must_use]
    pub fn built_in(
        definition: &'static ResourceDefinition,
        stored_as: Option<Arc<Resource>>,
        table: &'static TypeTable,
        is_served: impl Fn(&Version) -> bool,
    ) -> Self {
        let texts = |texts: &[&'static str]| texts.iter().map(|&text| Str::const_new(text)).collect();
        let version = |version: &'static Version| {
            let type_id = table.find(version.type_name);
            let change = |change: fn(&mut Value)| -> Change { Arc::new(change) };
            Arc::new(ResourceVersion {
                name: Str::const_new(version.name),
                type_name: Str::const_new(version.type_name),
                table: Shared::Static(table),
                type_id: type_id.unwrap_or_else(|| panic!("type {} is not in the table", version.type_name)),
                is_hub: version.is_hub,
                is_served: is_served(version),
                deprecation: version.deprecation.map(|deprecation| {
                    deprecation.advice(&GroupVersion::new(definition.group, version.name), definition.kind)
                }),
                defaults: change(version.defaults),
                to_hub: version.to_hub.map(change),
                from_hub: version.from_hub.map(change),
                misfit: version.misfit,
                needs_webhook: false,
                selectable_fields: None,
                subresources: Shared::Static(definition.subresources),
                printer: Shared::Static(definition.table),
                schema: None,
                published: None,
            })
        };
        Self {
            group: Str::const_new(definition.group),
            kind: Str::const_new(definition.kind),
            list_kind: format!("{}List", definition.kind).into(),
            plural: Str::const_new(definition.plural),
            singular: Str::const_new(definition.singular),
            short_names: texts(definition.short_names),
            categories: texts(definition.categories),
            scope: definition.scope,
            versions: definition.versions.iter().map(version).collect(),
            stored_as,
            verbs: definition.verbs,
            strategy: Shared::Static(definition.strategy),
            selectable_fields: definition.selectable_fields.to_vec(),
            storage_prefix: Str::const_new(definition.storage_prefix),
            expires: definition.expires,
            is_terminating: false,
        }
    }

    /// The `apiVersion` of objects in the hub's form.
    #[must_use]
    pub fn hub_api_version(&self) -> String {
        let group = &self.stored_as.as_deref().unwrap_or(self).group;
        if group.is_empty() { self.hub().name.to_string() } else { format!("{group}/{}", self.hub().name) }
    }

    /// The version that is stored and validated.
    #[must_use]
    pub fn hub(&self) -> &Arc<ResourceVersion> {
        let stored = self.stored_as.as_deref().unwrap_or(self);
        stored.versions.iter().find(|version| version.is_hub).expect("every resource has a hub")
    }

    /// The version of this name, served or not.
    #[must_use]
    pub fn version(&self, name: &str) -> Option<&Arc<ResourceVersion>> {
        self.versions.iter().find(|version| version.name == name)
    }

    /// The versions that clients see, preferred one first.
    pub fn served_versions(&self) -> impl Iterator<Item = &Arc<ResourceVersion>> {
        self.versions.iter().filter(|version| version.is_served)
    }

    /// Whether objects live in namespaces.
    #[must_use]
    pub fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }
}

impl Resource {
    /// Why an object of `api_version` cannot be turned into another version that needs a webhook for it.
    ///
    /// Upstream: `webhookConverter.Convert` in k8s.io/apiextensions-apiserver/pkg/apiserver/conversion/webhook_converter.go
    /// (v1.35).
    #[must_use]
    pub fn webhook_failure(&self, api_version: &str) -> String {
        let kind = &self.kind;
        format!(
            "conversion webhook for {api_version}, Kind={kind} failed: this server does not call conversion webhooks"
        )
    }
}

impl ResourceVersion {
    /// Whether field selectors can name the field `name` in this version, if they can in the resource.
    #[must_use]
    pub fn selects(&self, name: &str) -> bool {
        self.selectable_fields.as_ref().is_none_or(|fields| fields.iter().any(|field| field == name))
    }

    /// The subresource of this name.
    #[must_use]
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }
}

impl fmt::Debug for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceVersion")
            .field("name", &self.name)
            .field("type_name", &self.type_name)
            .finish_non_exhaustive()
    }
}
