//! Defaults, rules and columns of bindings: they put policies to use, for parameters and for some objects.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    resource::{Column, Context, Strategy, TableDefinition},
};

use super::matching;
use crate::{
    defaulting::within,
    report::Report,
    rules::{first_generation, next_generation},
    show,
    tree::{present, text_at},
};

/// A binding.
#[derive(Debug)]
pub(super) struct Main {
    /// The rules of the kind.
    pub(super) validate: fn(&Value) -> ErrorList,
}

impl Strategy for Main {
    fn prepare_for_create(&self, _cx: &Context<'_>, binding: &mut Value) {
        first_generation(binding);
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, binding: &mut Value, old: &Value) {
        next_generation(binding, old, &[&["spec"]]);
    }

    fn validate(&self, _cx: &Context<'_>, binding: &Value) -> ErrorList {
        (self.validate)(binding)
    }

    fn validate_update(&self, _cx: &Context<'_>, binding: &Value, _old: &Value) -> ErrorList {
        (self.validate)(binding)
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}

/// All versions of all objects are meant unless said otherwise.
pub(super) fn defaults(binding: &mut Value) {
    within(binding, &["spec", "matchResources"], matching::defaults);
}

/// The policy, its parameters, and the objects: `resources_at` is the path that the rules of these name.
pub(super) fn validate(spec: &Value, resources_at: &Path, errors: &mut ErrorList) {
    let path = Path::new("spec");
    let (name, name_at) = (text_at(spec, &["policyName"]), path.child("policyName"));
    if errors.require(&name_at, name) {
        errors.object_name(&name_at, name);
    }
    if let Some(reference) = present(spec, &["paramRef"]) {
        matching::param_ref(reference, &path.child("paramRef"), errors);
    }
    if let Some(resources) = present(spec, &["matchResources"]) {
        matching::validate(resources, resources_at, errors);
    }
}

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("PolicyName", "The policy that is put to use."),
        Column::text("ParamRef", "The object that parameterizes it."),
        Column::AGE,
    ],
    row: |binding, cx| {
        let param = present(binding, &["spec", "paramRef"]).map(|reference| {
            let (namespace, name) = (text_at(reference, &["namespace"]), text_at(reference, &["name"]));
            if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
        });
        vec![
            show::name(binding),
            show::text(binding, &["spec", "policyName"]),
            param.unwrap_or_else(|| show::UNSET.to_owned()).into(),
            show::age(binding, cx),
        ]
    },
    conditions: None,
};
