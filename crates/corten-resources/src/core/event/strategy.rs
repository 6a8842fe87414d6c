//! Events are stored as sent, and nothing owns or is owned by them.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, GarbagePolicy, Strategy},
    validation::{is_dns1123_subdomain_prefixed, is_path_segment_name_prefixed},
};

use super::validation;

/// The event, through both groups; the stricter rules of `events.k8s.io` go by the request's version.
#[derive(Debug)]
pub(crate) struct Main;

impl Strategy for Main {
    fn validate(&self, cx: &Context<'_>, object: &Value) -> ErrorList {
        validation::create(object, cx.api_version)
    }

    fn validate_update(&self, cx: &Context<'_>, object: &Value, old: &Value) -> ErrorList {
        validation::update(object, old, cx.api_version)
    }

    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        is_path_segment_name_prefixed(name, prefix)
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn garbage_policy(&self) -> GarbagePolicy {
        GarbagePolicy::Unsupported
    }
}

/// The same through `events.k8s.io`, where names follow the usual rule.
#[derive(Debug)]
pub(crate) struct Strict;

impl Strategy for Strict {
    fn validate(&self, cx: &Context<'_>, object: &Value) -> ErrorList {
        Main.validate(cx, object)
    }

    fn validate_update(&self, cx: &Context<'_>, object: &Value, old: &Value) -> ErrorList {
        Main.validate_update(cx, object, old)
    }

    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        is_dns1123_subdomain_prefixed(name, prefix)
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn garbage_policy(&self) -> GarbagePolicy {
        GarbagePolicy::Unsupported
    }
}
