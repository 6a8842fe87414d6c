//! A request is written once; its approval and its certificate come through endpoints of their own.

use std::collections::BTreeMap;

use corten_apimachinery::{
    Value,
    field::ErrorList,
    meta::format_time,
    resource::{Context, Strategy},
    validation::is_path_segment_name,
};

use super::validation;
use crate::{defaulting::each, rules::keep, status::Status};

/// The request itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, request: &mut Value) {
        // Who asks is what the server saw, whatever the client says.
        for field in ["username", "uid", "groups", "extra"] {
            request.unset(&["spec", field]);
        }
        let set = |request: &mut Value, field: &str, text: &str| {
            if !text.is_empty() {
                request.set(&["spec", field], text);
            }
        };
        set(request, "username", &cx.user.name);
        set(request, "uid", &cx.user.uid);
        if !cx.user.groups.is_empty() {
            let groups: Vec<Value> = cx.user.groups.iter().cloned().map(Value::from).collect();
            request.set(&["spec", "groups"], groups);
        }
        for (key, values) in &cx.user.extra {
            let values: Vec<Value> = values.iter().cloned().map(Value::from).collect();
            request.set(&["spec", "extra", key], values);
        }
        request.set(&["status"], Value::object());
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, request: &mut Value, old: &Value) {
        keep(request, old, &["spec"]);
        keep(request, old, &["status"]);
    }

    fn validate(&self, _cx: &Context<'_>, request: &Value) -> ErrorList {
        validation::create(request)
    }

    fn validate_update(&self, _cx: &Context<'_>, request: &Value, old: &Value) -> ErrorList {
        validation::update(request, old, validation::Allowed { approval: false, certificate: false })
    }

    fn validate_name(&self, name: &str, _prefix: bool) -> Vec<String> {
        is_path_segment_name(name)
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["spec"], &["status"]]
    }
}

/// Conditions say when they came and when they changed.
fn stamp_conditions(cx: &Context<'_>, request: &mut Value, old: &Value) {
    let now = format_time(cx.now);
    let key = |condition: &Value| {
        let text = |field: &str| condition.str_at(&[field]).unwrap_or_default().to_owned();
        (text("type"), text("status"))
    };
    let mut before: BTreeMap<(String, String), &Value> = BTreeMap::new();
    for condition in old.items_at(&["status", "conditions"]) {
        before.entry(key(condition)).or_insert(condition);
    }
    each(request, &["status", "conditions"], |condition| {
        let is_unset = |condition: &Value, field: &str| condition.str_at(&[field]).unwrap_or_default().is_empty();
        let same = before.get(&key(condition)).copied();
        if is_unset(condition, "lastUpdateTime") {
            condition.set(&["lastUpdateTime"], now.clone());
        }
        if is_unset(condition, "lastTransitionTime") {
            let kept = same.and_then(|old| old.str_at(&["lastTransitionTime"])).filter(|time| !time.is_empty());
            condition.set(&["lastTransitionTime"], kept.map_or_else(|| now.clone(), Into::into));
        }
    });
}

/// `status`: what a signer reports.
pub(super) static STATUS: Status = Status::new(|_cx, request, old| {
    validation::update(request, old, validation::Allowed { approval: false, certificate: true })
})
.preparing(stamp_conditions)
.resetting(&[&["spec"], &["status", "conditions"]]);

/// `approval`: what an approver says.
#[derive(Debug)]
pub(super) struct Approval;

impl Strategy for Approval {
    fn prepare_for_update(&self, cx: &Context<'_>, request: &mut Value, old: &Value) {
        keep(request, old, &["spec"]);
        keep(request, old, &["status", "certificate"]);
        stamp_conditions(cx, request, old);
    }

    fn validate(&self, _cx: &Context<'_>, _request: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, _cx: &Context<'_>, request: &Value, old: &Value) -> ErrorList {
        validation::update(request, old, validation::Allowed { approval: true, certificate: false })
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["spec"], &["status", "certificate"]]
    }
}
