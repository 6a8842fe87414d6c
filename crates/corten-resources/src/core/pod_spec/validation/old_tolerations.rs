//! The annotation that tolerations were before they were fields: nobody acts on it any more, but it is still checked.
//!
//! Upstream: `ValidateTolerationsInPodAnnotations` in pkg/apis/core/validation, `GetTolerationsFromPodAnnotations` in
//! pkg/apis/core/helper (v1.35), which reads it as the internal type.

use corten_api::core::v1::Toleration;
use corten_apimachinery::{
    Map, Value,
    field::{ErrorList, Path},
};

use super::{annotation, tolerations};
use crate::{
    go_json::{self, mismatch, text},
    report::Report,
};

const ANNOTATION: &str = "scheduler.alpha.kubernetes.io/tolerations";

pub(super) fn check(annotations: &Map, path: &Path, errors: &mut ErrorList) {
    let Some(said) = annotation(annotations, ANNOTATION).filter(|said| !said.is_empty()) else { return };
    let read = go_json::list(said.as_bytes(), "[]core.Toleration")
        .and_then(|items| items.iter().map(toleration).collect::<Result<Vec<_>, _>>());
    match read {
        Ok(read) => tolerations(&read, false, &path.child(ANNOTATION), errors),
        Err(why) => errors.invalid(path, ANNOTATION, why),
    }
}

fn toleration(item: &Value) -> Result<Toleration, String> {
    let fields = match item {
        Value::Object(fields) => fields,
        Value::Null => return Ok(Toleration::default()),
        other => return Err(mismatch(other, "value", "core.Toleration")),
    };
    let said = |name: &str, go: (&str, &str)| text(fields, name, go).map(|text| Some(text.to_owned()));
    Ok(Toleration {
        key: said("key", ("Toleration.Key", "string"))?,
        operator: said("operator", ("Toleration.Operator", "core.TolerationOperator"))?,
        value: said("value", ("Toleration.Value", "string"))?,
        effect: said("effect", ("Toleration.Effect", "core.TaintEffect"))?,
        toleration_seconds: match go_json::field(fields, "tolerationSeconds") {
            None => None,
            Some(Value::Int(seconds)) => Some(*seconds),
            Some(other) => return Err(mismatch(other, "struct field Toleration.TolerationSeconds", "int64")),
        },
    })
}
