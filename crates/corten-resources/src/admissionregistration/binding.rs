//! Defaults, rules and columns of bindings: they put policies to use, for parameters and for some objects.

use corten_apimachinery::{
    Map, Value,
    field::{ErrorList, Path},
    resource::{Column, Context, Strategy, TableDefinition},
};

use super::matching;
use crate::{
    defaulting::within,
    report::Report,
    rules::{first_generation, next_generation},
    show,
    tree::{present, text_at, texts_at},
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

/// The policy, its parameters, and the objects.
pub(super) fn validate(spec: &Value, errors: &mut ErrorList) {
    let path = Path::new("spec");
    let (name, name_at) = (text_at(spec, &["policyName"]), path.child("policyName"));
    if errors.require(&name_at, name) {
        errors.object_name(&name_at, name);
    }
    if let Some(reference) = present(spec, &["paramRef"]) {
        matching::param_ref(reference, &path.child("paramRef"), errors);
    }
    if let Some(resources) = present(spec, &["matchResources"]) {
        matching::validate(resources, &path.child("matchResources"), errors);
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
        let param = present(binding, &["spec", "paramRef"]).map(parameters);
        vec![
            show::name(binding),
            show::text(binding, &["spec", "policyName"]),
            param.unwrap_or_else(|| show::UNSET.to_owned()).into(),
            show::age(binding, cx),
        ]
    },
    conditions: None,
    rank: None,
};

/// Parameters in a cell: their name, in any namespace unless it says which, or else what selects them, in Go's own form.
fn parameters(reference: &Value) -> String {
    let (namespace, name) = (text_at(reference, &["namespace"]), text_at(reference, &["name"]));
    match present(reference, &["selector"]) {
        _ if !name.is_empty() && namespace.is_empty() => format!("*/{name}"),
        _ if !name.is_empty() => format!("{namespace}/{name}"),
        Some(selector) => go_selector(selector),
        None => show::UNSET.to_owned(),
    }
}

/// Upstream: `LabelSelector.String` in k8s.io/apimachinery/pkg/apis/meta/v1/generated.pb.go (v1.35).
fn go_selector(selector: &Value) -> String {
    let labels = selector.at(&["matchLabels"]).and_then(Value::as_object).into_iter().flat_map(Map::iter);
    let labels = labels.map(|(key, value)| format!("{key}: {},", value.as_str().unwrap_or_default()));
    let expressions = selector.items_at(&["matchExpressions"]).iter().map(|expression| {
        format!(
            "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{}],}},",
            text_at(expression, &["key"]),
            text_at(expression, &["operator"]),
            texts_at(expression, &["values"]).join(" "),
        )
    });
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{}}},MatchExpressions:[]LabelSelectorRequirement{{{}}},}}",
        labels.collect::<String>(),
        expressions.collect::<String>(),
    )
}
