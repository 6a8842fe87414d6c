//! Short ways to write a `ResourceDefinition`: everything that most resources share.

use corten_apimachinery::{
    Shared, Str,
    resource::{
        ResourceDefinition, ScalePaths, Scope, Strategy, Subresource, SubresourceKind, TableDefinition, Verb, Version,
    },
};

/// The verbs of an ordinary subresource that shows the object itself.
pub(crate) const GET_PATCH_UPDATE: &[Verb] = &[Verb::Get, Verb::Patch, Verb::Update];

/// Everything that most resources have in common, for `..STANDARD`-like use: `ResourceDefinition { .., ..standard(..) }`.
pub(crate) const fn standard(
    group: &'static str,
    kind: &'static str,
    (singular, plural): (&'static str, &'static str),
    versions: &'static [Version],
    strategy: &'static dyn Strategy,
    table: &'static TableDefinition,
) -> ResourceDefinition {
    ResourceDefinition {
        group,
        kind,
        plural,
        singular,
        short_names: &[],
        categories: &[],
        scope: Scope::Namespaced,
        versions,
        stored_as: None,
        verbs: Verb::ALL,
        strategy,
        subresources: &[],
        selectable_fields: &[],
        table,
        storage_prefix: plural,
        expires: false,
    }
}

/// A subresource that shows the whole object under other rules.
pub(crate) const fn object(name: &'static str, strategy: &'static dyn Strategy, verbs: &'static [Verb]) -> Subresource {
    Subresource {
        name: Str::const_new(name),
        kind: SubresourceKind::Object { strategy: Shared::Static(strategy), verbs },
    }
}

/// The status of the object, under its own rules.
pub(crate) const fn status(strategy: &'static dyn Strategy) -> Subresource {
    object("status", strategy, GET_PATCH_UPDATE)
}

/// The number of replicas.
pub(crate) const fn scale(paths: ScalePaths) -> Subresource {
    Subresource { name: Str::const_new("scale"), kind: SubresourceKind::Scale(paths) }
}

/// A subresource with a handler in the control plane.
pub(crate) const fn custom(
    name: &'static str,
    kind: (&'static str, &'static str, &'static str),
    verbs: &'static [Verb],
) -> Subresource {
    Subresource { name: Str::const_new(name), kind: SubresourceKind::Custom { kind, verbs } }
}

/// Makes a selectable field that reads the text (or truth value) at a path.
macro_rules! selectable {
    ($name:literal, $($path:literal),+) => {
        corten_apimachinery::resource::SelectableField::new($name, |object| {
            $crate::kind::field_text(object.at(&[$($path),+]))
        })
    };
}
pub(crate) use selectable;

/// How a field selector sees a value.
pub(crate) fn field_text(value: Option<&corten_apimachinery::Value>) -> corten_apimachinery::Str {
    use corten_apimachinery::Value;
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(truth)) => if *truth { "true" } else { "false" }.into(),
        Some(Value::Int(number)) => corten_apimachinery::value::format_str!("{number}"),
        _ => corten_apimachinery::Str::default(),
    }
}
