//! What an update of a service may not change.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
};

use super::allocation::needs_health_check_node_port;
use crate::report::Report;

/// Every rule that the change from `old` breaks.
pub(super) fn validate(service: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let ty = |service: &Value| service.str_at(&["spec", "type"]).unwrap_or_default().to_owned();
    let items = |service: &Value, field: &str| service.items_at(&["spec", field]).to_vec();
    let headless = |service: &Value| items(service, "clusterIPs") == [Value::from("None")];
    let external_name = ty(service) == "ExternalName" || ty(old) == "ExternalName";
    let stays_headless = headless(service) && headless(old);
    if !external_name && !stays_headless {
        let shown = items(service, "clusterIPs");
        family_change("clusterIPs", "primary clusterIP", "secondary clusterIP", service, old, shown, &mut errors);
    }
    if !external_name && !headless(service) && !headless(old) {
        let shown = items(service, "ipFamilies");
        family_change("ipFamilies", "primary ipFamily", "secondary ipFamily", service, old, shown, &mut errors);
    }
    if ty(service) == "LoadBalancer" && ty(old) == "LoadBalancer" {
        let class = ["spec", "loadBalancerClass"];
        if service.at(&class) != old.at(&class) {
            let shown = service.at(&class).cloned().unwrap_or_default();
            errors.invalid(&path.child("loadBalancerClass"), shown, "may not change once set");
        }
    }
    let check = ["spec", "healthCheckNodePort"];
    if needs_health_check_node_port(service)
        && needs_health_check_node_port(old)
        && service.at(&check) != old.at(&check)
    {
        errors.forbidden(&path.child("healthCheckNodePort"), "field is immutable");
    }
    errors
}

/// The first address or family stays; a second one may come, and go with `SingleStack`.
fn family_change(
    field: &str,
    primary: &str,
    secondary: &str,
    service: &Value,
    old: &Value,
    shown: Vec<Value>,
    errors: &mut ErrorList,
) {
    let (new, was) = (service.items_at(&["spec", field]), old.items_at(&["spec", field]));
    let path = Path::new("spec").child(field);
    let changed = "may not change once set";
    let shown = if shown.is_empty() { Value::Null } else { Value::array(shown) };
    if was.len() == new.len() {
        for (index, _) in was.iter().zip(new).enumerate().filter(|(_, (was, new))| was != new) {
            let index = if field == "ipFamilies" { 0 } else { index };
            errors.invalid(&path.index(index), shown.clone(), changed);
        }
        return;
    }
    if was.len() > new.len() && new.is_empty() {
        errors.invalid(&path.index(0), shown.clone(), format!("{primary} can not be unset"));
    }
    if let (Some(was), Some(new)) = (was.first(), new.first())
        && was != new
    {
        errors.invalid(&path.index(0), shown, changed);
    }
    let policy = service.at(&["spec", "ipFamilyPolicy"]);
    if was.len() > new.len() && new.len() == 1 && policy.and_then(Value::as_str) != Some("SingleStack") {
        let detail = format!("must be set to 'SingleStack' when releasing the {secondary}");
        let at = Path::new("spec").child("ipFamilyPolicy");
        errors.invalid(&at, policy.cloned().unwrap_or_default(), detail);
    }
}
