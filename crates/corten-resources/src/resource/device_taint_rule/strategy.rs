//! A taint rule knows since when its taint has the effect that it has.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    meta::format_time,
    resource::{Context, Strategy},
};

use super::validation;
use crate::{
    defaulting::within,
    resource::rules::taints,
    rules::{first_generation, keep, next_generation},
    status::Status,
};

/// Where the taint is.
const TAINT: &[&str] = &["spec", "taint"];
/// What it does.
const EFFECT: &[&str] = &["spec", "taint", "effect"];
/// Since when.
const TIME_ADDED: &[&str] = &["spec", "taint", "timeAdded"];

/// The rule itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, rule: &mut Value) {
        within(rule, TAINT, |taint| taints::stamp(cx, taint));
        rule.set(&["status"], Value::object());
        first_generation(rule);
    }

    fn prepare_for_update(&self, cx: &Context<'_>, rule: &mut Value, old: &Value) {
        within(rule, TAINT, |taint| taints::stamp(cx, taint));
        keep(rule, old, &["status"]);
        // How long claims tolerate the taint counts from the effect on, unless the client says otherwise.
        let is_same = |path: &[&str]| rule.str_at(path) == old.str_at(path);
        if !is_same(EFFECT) && is_same(TIME_ADDED) {
            rule.set(TIME_ADDED, format_time(cx.now));
        }
        next_generation(rule, old, &[&["spec"]]);
    }

    fn validate(&self, _cx: &Context<'_>, rule: &Value) -> ErrorList {
        validation::validate(rule, None)
    }

    fn validate_update(&self, _cx: &Context<'_>, rule: &Value, old: &Value) -> ErrorList {
        validation::validate(rule, Some(old))
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }

    // Clients learn what was deleted.
    fn returns_deleted_object(&self) -> bool {
        true
    }
}

/// `status`: how far evictions have come.
pub(super) static STATUS: Status = Status::new(|_cx, rule, _old| validation::status(rule)).keeping_metadata();
