//! Keys in the paths of JSON patches.
//!
//! Upstream: k8s.io/apiserver/pkg/cel/library/jsonpatch.go (v1.35).

use super::{Function, Library, costs, overload, wrong_types};
use crate::{error::EvalError, eval::Context, value::Value};

fn escape_key<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::String(key)] = args else { return wrong_types() };
    let escaped = key.replace('~', "~0").replace('/', "~1");
    context.make_text(escaped.len())?;
    Ok(Value::string(escaped))
}

const FUNCTIONS: &[Function] = &[Function {
    name: "jsonpatch.escapeKey",
    cost: &costs::STANDARD,
    overloads: &[overload("string_jsonpatch_escapeKey_string", "(string): string", escape_key)],
}];

pub(super) static LIBRARY: Library = Library { name: "kubernetes.jsonpatch", types: &[], functions: &[FUNCTIONS] };
