//! Clients say how much there may be, the server how much there is.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    quantity::Quantity,
    resource::{Context, Strategy},
};

use super::validation;
use crate::{quantity::Amount as _, rules::keep, status::Status};

/// The quota itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, _cx: &Context<'_>, quota: &mut Value) {
        quota.set(&["status"], Value::object());
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, quota: &mut Value, old: &Value) {
        keep(quota, old, &["status"]);
    }

    fn validate(&self, _cx: &Context<'_>, quota: &Value) -> ErrorList {
        validation::create(quota)
    }

    fn validate_update(&self, _cx: &Context<'_>, quota: &Value, old: &Value) -> ErrorList {
        validation::update(quota, old)
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, quota: &Value) -> Vec<String> {
        warnings(quota)
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }

    fn returns_deleted_object(&self) -> bool {
        true
    }
}

/// A quota of requests above that of limits is never used up.
fn warnings(quota: &Value) -> Vec<String> {
    let hard = |name: &str| {
        let text = quota.str_at(&["spec", "hard", name])?;
        Some((text.to_owned(), Quantity::parse(text)?))
    };
    let mut warnings = Vec::new();
    for name in ["cpu", "memory", "storage", "ephemeral-storage"] {
        let mut request_name = format!("requests.{name}");
        let mut request = hard(&request_name);
        if request.is_none() && matches!(name, "cpu" | "memory") {
            request = hard(name);
            request_name = name.to_owned();
        }
        let limit_name = format!("limits.{name}");
        if let (Some((request, asked)), Some((limit, most))) = (request, hard(&limit_name))
            && asked > most
        {
            warnings
                .push(format!("ResourceQuota {request_name} ({request}) should be less than {limit_name} ({limit})"));
        }
    }
    warnings
}

/// `status`: what the quota controller and the admission plugin count.
///
/// Upstream asks for a resource version, too; a write always has one by now.
pub(super) static STATUS: Status = Status::new(|_cx, quota, _old| validation::status(quota));
