//! What nodes said in annotations before there were fields for it: nobody acts on them any more, but they are still checked.
//!
//! Upstream: `ValidateNodeSpecificAnnotations` in pkg/apis/core/validation (v1.35).

use corten_api::core::v1::Taint;
use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    meta::ObjectMeta as _,
};

use super::validation::taints;
use crate::{
    go_json::{self, field, mismatch, text},
    report::Report,
};

const TAINTS: &str = "scheduler.alpha.kubernetes.io/taints";
const AVOID_PODS: &str = "scheduler.alpha.kubernetes.io/preferAvoidPods";

pub(super) fn check(node: &Value, errors: &mut ErrorList) {
    let path = Path::new("metadata").child("annotations");
    let said = |name: &str| node.annotation(name).filter(|said| !said.is_empty());
    if let Some(said) = said(TAINTS) {
        let read = go_json::list(said.as_bytes(), "[]core.Taint")
            .and_then(|items| items.iter().map(taint).collect::<Result<Vec<_>, _>>());
        match read {
            Ok(read) => taints(&read, &path.child(TAINTS), errors),
            Err(why) => errors.invalid(&path, TAINTS, why),
        }
    }
    if let Some(said) = said(AVOID_PODS)
        && let Err(why) = avoid_pods(said, &path.child(AVOID_PODS), errors)
    {
        errors.invalid(&path.child("AvoidPods"), AVOID_PODS, why);
    }
}

fn taint(item: &Value) -> Result<Taint, String> {
    let fields = match item {
        Value::Object(fields) => fields,
        Value::Null => return Ok(Taint::default()),
        other => return Err(mismatch(other, "value", "core.Taint")),
    };
    Ok(Taint {
        key: text(fields, "key", ("Taint.Key", "string"))?.to_owned(),
        value: Some(text(fields, "value", ("Taint.Value", "string"))?.to_owned()),
        effect: text(fields, "effect", ("Taint.Effect", "core.TaintEffect"))?.to_owned(),
        time_added: None,
    })
}

/// Pods of these controllers were better not put on the node.
///
/// Errors: a text that does not say this.
fn avoid_pods(said: &str, path: &Path, errors: &mut ErrorList) -> Result<(), String> {
    let all = go_json::object(said.as_bytes(), "v1.AvoidPods")?;
    let entries = match field(&all, "preferAvoidPods") {
        None => return Ok(()),
        Some(Value::Array(entries)) => entries,
        Some(other) => {
            return Err(mismatch(other, "struct field AvoidPods.preferAvoidPods", "[]v1.PreferAvoidPodsEntry"));
        }
    };
    for (index, entry) in entries.iter().enumerate() {
        let path = path.index(index).child("PodSignature");
        let within = |value: Option<&Value>, name: &str| {
            value.and_then(Value::as_object).and_then(|fields| field(fields, name)).cloned()
        };
        let controller = within(within(Some(entry), "podSignature").as_ref(), "podController");
        let Some(controller) = controller else {
            errors.required(&path, "");
            continue;
        };
        if within(Some(&controller), "controller") != Some(true.into()) {
            let path = path.child("PodController").child("Controller");
            errors.invalid(&path, false, "must point to a controller");
        }
    }
    Ok(())
}
