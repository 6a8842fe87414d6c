//! A custom resource definition as the resource that it defines. Pure.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go (v1.35).

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use corten_apimachinery::{
    Shared, Value,
    codec::json,
    json_path::JsonPath,
    meta::ObjectMeta as _,
    resource::{
        Change, FieldReader, Resource, ResourceVersion, ScalePaths, Scope, SelectableField, Strategy, Subresource,
        SubresourceKind, Verb,
    },
    schema::{ConvertError, CustomKind, MetaType, Published, Structural, prune_defaults, to_types},
    type_table::TypeTable,
    value::{Str, go_text},
};
use corten_base::TaskPanic;
use sha2::{Digest as _, Sha256};

use super::{
    BuiltIn,
    conditions::{TERMINATING, is_true},
    printer::CustomPrinter,
    schema::CustomSchema,
    strategy::{Endpoint, Rules, VersionRules},
};
use crate::discovery::by_preference;

/// Why a definition cannot be served. Validation refuses such definitions.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadDefinition {
    /// A schema that is none.
    #[error("read the schema of version {version}")]
    Schema {
        /// The version.
        version: Str,
        /// Why.
        #[source]
        source: ConvertError,
    },
    /// A bug, which concerns this definition alone.
    #[error("read the definition")]
    Panicked(#[from] TaskPanic),
    /// No version is the stored one.
    #[error("no version is stored")]
    NoStorage,
    /// A built-in resource keeps its objects where these would be.
    #[error("keep objects under {0}, where those of a built-in resource are")]
    Kept(Str),
    /// The built-in types lack those of metadata.
    #[error("the types of metadata are missing")]
    NoMetadata,
}

const READ_AND_WRITE: &[Verb] = &[Verb::Get, Verb::Patch, Verb::Update];

/// The resource of `definition`; `builtin` has the types of metadata. Its versions that are built in, whatever resources
/// these have, are not served.
pub(super) fn resource_of(
    definition: &Value,
    builtin: &'static TypeTable,
    built_in: &BuiltIn,
) -> Result<Resource, BadDefinition> {
    let text = |path: &[&str]| Str::from(definition.str_at(path).unwrap_or_default());
    let names = definition.at(&["status", "acceptedNames"]).cloned().unwrap_or_default();
    let name = |field: &str| Str::from(names.str_at(&[field]).unwrap_or_default());
    let texts = |field: &str| -> Vec<Str> {
        let texts = names.get(field).and_then(Value::as_array).into_iter().flatten();
        texts.filter_map(Value::as_str).map(Str::from).collect()
    };
    let group = text(&["spec", "group"]);
    let (kind, list_kind, plural) = (name("kind"), name("listKind"), name("plural"));
    let storage_prefix = Str::from(format!("{group}/{plural}"));
    if built_in.keeps(&storage_prefix) {
        return Err(BadDefinition::Kept(storage_prefix));
    }
    let versions = definition.items_at(&["spec", "versions"]);
    let mut rules = BTreeMap::new();
    for version in versions {
        let version_name = Str::from(version.str_at(&["name"]).unwrap_or_default());
        rules.insert(version_name.clone(), version_rules(version, &version_name, builtin)?);
    }
    let hub = versions.iter().find(|version| version.bool_at(&["storage"]) == Some(true));
    let hub = Str::from(hub.and_then(|hub| hub.str_at(&["name"])).ok_or(BadDefinition::NoStorage)?);
    let needs_webhook = definition.str_at(&["spec", "conversion", "strategy"]) == Some("Webhook");
    let rules = Arc::new(Rules { versions: rules, hub });
    let mut made = Vec::new();
    for version in versions {
        let version_name = version.str_at(&["name"]).unwrap_or_default();
        let kind =
            CustomKind { group: &group, version: version_name, kind: &kind, list_kind: &list_kind, plural: &plural };
        let mut version = version_of(version, kind, &rules, builtin, better(versions, version_name))?;
        version.is_served &= !built_in.serves(&group, version_name);
        version.needs_webhook = needs_webhook && !version.is_hub;
        made.push(Arc::new(version));
    }
    made.sort_by(|a, b| by_preference(&a.name, &b.name));
    Ok(Resource {
        storage_prefix,
        group,
        kind,
        list_kind,
        plural,
        singular: name("singular"),
        short_names: texts("shortNames"),
        categories: texts("categories"),
        scope: match definition.str_at(&["spec", "scope"]) {
            Some("Namespaced") => Scope::Namespaced,
            _ => Scope::Cluster,
        },
        versions: made,
        stored_as: None,
        verbs: Verb::ALL,
        strategy: Shared::Counted(Arc::new(Endpoint::main(rules)) as Arc<dyn Strategy>),
        selectable_fields: selectable_fields(versions),
        expires: false,
        is_terminating: is_true(definition, TERMINATING) || definition.deletion_timestamp().is_some(),
    })
}

fn version_rules(version: &Value, name: &Str, builtin: &'static TypeTable) -> Result<VersionRules, BadDefinition> {
    let props = version.at(&["schema", "openAPIV3Schema"]).cloned().unwrap_or_else(|| {
        // Without a schema, anything goes; validation asks for one.
        Value::object_of([("x-kubernetes-preserve-unknown-fields", Value::from(true)), ("type", "object".into())])
    });
    let structural = Structural::from_props(&props);
    let mut structural = structural.map_err(|source| BadDefinition::Schema { version: name.clone(), source })?;
    prune_defaults(&mut structural, true, MetaType::of(builtin).ok_or(BadDefinition::NoMetadata)?);
    // With the dot that they begin with: errors show it.
    let path = |field: &str| Str::from(version.str_at(&["subresources", "scale", field]).unwrap_or_default());
    let has_scale = version.at(&["subresources", "scale"]).is_some_and(|scale| !scale.is_null());
    Ok(VersionRules {
        schema: Arc::new(CustomSchema::new(structural, builtin)),
        has_status: version.at(&["subresources", "status"]).is_some_and(|status| !status.is_null()),
        scale: has_scale.then(|| ScalePaths {
            spec_replicas: path("specReplicasPath"),
            status_replicas: path("statusReplicasPath"),
            selector: path("labelSelectorPath"),
        }),
    })
}

/// The best version that is to be used instead of `than`, if there is a better one.
fn better<'a>(versions: &'a [Value], than: &str) -> Option<&'a str> {
    let usable =
        |version: &&Value| version.bool_at(&["served"]) == Some(true) && version.bool_at(&["deprecated"]) != Some(true);
    let names = versions.iter().filter(usable).filter_map(|version| version.str_at(&["name"]));
    names.filter(|name| by_preference(name, than).is_lt()).min_by(|a, b| by_preference(a, b))
}

fn version_of(
    version: &Value,
    kind: CustomKind<'_>,
    rules: &Arc<Rules>,
    builtin: &'static TypeTable,
    better: Option<&str>,
) -> Result<ResourceVersion, BadDefinition> {
    let own = &rules.versions[kind.version];
    let (table, type_id) = to_types(Some(&own.schema.structural), kind, builtin).ok_or(BadDefinition::NoMetadata)?;
    let mut subresources = Vec::new();
    if let Some(scale) = &own.scale {
        subresources.push(Subresource { name: "scale".into(), kind: SubresourceKind::Scale(scale.clone()) });
    }
    if own.has_status {
        let strategy = Shared::Counted(Arc::new(Endpoint::status(Arc::clone(rules))) as Arc<dyn Strategy>);
        subresources.push(Subresource {
            name: "status".into(),
            kind: SubresourceKind::Object { strategy, verbs: READ_AND_WRITE },
        });
    }
    let schema = Arc::clone(&own.schema);
    let defaults: Change = {
        let schema = Arc::clone(&schema);
        Arc::new(move |object: &mut Value| corten_apimachinery::resource::ObjectSchema::fill_in(&*schema, object))
    };
    let is_hub = rules.hub == kind.version;
    let from_hub: Option<Change> = (!is_hub).then(|| {
        let schema = Arc::clone(&schema);
        Arc::new(move |object: &mut Value| schema.prune(object)) as Change
    });
    let is_deprecated = version.bool_at(&["deprecated"]) == Some(true);
    let deprecation = is_deprecated.then(|| {
        let usual = || {
            let CustomKind { group, version, kind, .. } = kind;
            let advice = better.map(|better| format!("; use {group}/{better} {kind}")).unwrap_or_default();
            format!("{group}/{version} {kind} is deprecated{advice}").into()
        };
        version.str_at(&["deprecationWarning"]).map_or_else(usual, Str::from)
    });
    Ok(ResourceVersion {
        name: kind.version.into(),
        type_name: table.get(type_id).name.clone(),
        table: Shared::Counted(Arc::new(table)),
        type_id,
        is_hub,
        is_served: version.bool_at(&["served"]) == Some(true),
        deprecation,
        defaults,
        // Rules look at what a request says in its own version; the hub's schema comes last (`Strategy::canonicalize`).
        to_hub: None,
        from_hub,
        misfit: None,
        needs_webhook: false,
        selectable_fields: Some(selectable_paths(version).map(field_name).collect()),
        subresources: Shared::Counted(subresources.into()),
        printer: Shared::Counted(Arc::new(CustomPrinter::new(version.items_at(&["additionalPrinterColumns"])))),
        published: Some(published(version, kind, &schema)),
        schema: Some(schema),
    })
}

/// What OpenAPI tells of a version. Whatever the definition says of it makes another document: that is simple and enough.
fn published(version: &Value, names: CustomKind<'_>, schema: &CustomSchema) -> Published {
    let CustomKind { group, version: name, kind, list_kind, plural } = names;
    let mut digest = Sha256::new();
    for part in [group, name, kind, list_kind, plural] {
        digest.update(part);
        digest.update("\n");
    }
    digest.update(json::encode(version, None));
    Published {
        group: group.into(),
        version: name.into(),
        kind: kind.into(),
        list_kind: list_kind.into(),
        plural: plural.into(),
        schema: Arc::clone(&schema.structural),
        selectable_fields: selectable_paths(version).map(Str::from).collect(),
        digest: BASE64_STANDARD.encode(digest.finalize()).into(),
    }
}

/// The JSON paths of the fields that a version has as selectable.
fn selectable_paths(version: &Value) -> impl Iterator<Item = &str> {
    version.items_at(&["selectableFields"]).iter().filter_map(|field| field.str_at(&["jsonPath"]))
}

/// What field selectors call the field at a JSON path.
fn field_name(path: &str) -> Str {
    Str::from(path.strip_prefix('.').unwrap_or(path))
}

/// The fields that any version has as selectable, by name: an object has their values, whatever version it is looked at in.
fn selectable_fields(versions: &[Value]) -> Vec<SelectableField> {
    let mut fields = BTreeMap::new();
    for path in versions.iter().flat_map(selectable_paths) {
        // One that cannot be read selects nothing: validation refuses it.
        let Ok(template) = JsonPath::parse(&format!("{{{path}}}"), true) else { continue };
        let read = move |object: &Value| {
            let found = template.find(object).ok().and_then(|found| found.into_iter().flatten().next());
            found.map(Cow::into_owned).filter(|value| !value.is_null()).map(|value| text_of(&value)).unwrap_or_default()
        };
        let name = field_name(path);
        fields.insert(name.clone(), SelectableField { name, value: FieldReader::Counted(Arc::new(read)) });
    }
    fields.into_values().collect()
}

/// A value as Go prints it.
fn text_of(value: &Value) -> Str {
    match value {
        Value::String(text) => text.clone(),
        other => go_text(other).into(),
    }
}
