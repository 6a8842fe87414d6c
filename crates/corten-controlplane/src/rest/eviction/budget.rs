//! What a disruption budget says to the eviction of one of its pods. Pure.
//!
//! Upstream: `checkAndDecrement`, `getPodDisruptionBudgets` in pkg/registry/core/pod/storage/eviction.go, and
//! k8s.io/component-helpers/apps/poddisruptionbudget (v1.35).

use corten_apimachinery::{
    gvk::GroupResource,
    meta::ObjectMeta as _,
    selector::label::Selector,
    status::{Cause, Reason, Status},
    value::Value,
};
use corten_apiserver::conditions::set_condition;

/// As many evicted pods as a budget may wait for. The disruption controller takes them out as they go; more than these mean
/// that it does not. Upstream: `MaxDisruptedPodSize`.
const DISRUPTED_MAX: usize = 2_000;

/// When clients should try again whose budget is behind. Upstream has no better guess either.
const RETRY_AFTER_SECONDS: i32 = 10;

const ALLOWED: &str = "DisruptionAllowed";
const VIOLATED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";

/// Whether `budget` counts `pod`. One without a selector, or with one that cannot be read, counts none.
pub(super) fn counts(budget: &Value, pod: &Value) -> bool {
    let selector = budget.at(&["spec", "selector"]).filter(|selector| !selector.is_null());
    selector.is_some_and(|selector| Selector::from_object(selector).is_ok_and(|selector| selector.matches_object(pod)))
}

/// Of two budgets it is not known which one would have to be asked first: 500, and no reason.
pub(super) fn several() -> Status {
    let message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    Status::new(Reason::Unknown, message)
}

/// Whether the pod may go without being counted: it is not ready, and the budget says so or has enough others.
pub(super) fn spares(budget: &Value, pod: &Value) -> bool {
    if is_ready(pod) {
        return false;
    }
    let number = |field: &str| budget.i64_at(&["status", field]).unwrap_or_default();
    let (current, desired) = (number("currentHealthy"), number("desiredHealthy"));
    budget.str_at(&["spec", "unhealthyPodEvictionPolicy"]) == Some("AlwaysAllow") || (current >= desired && desired > 0)
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.items_at(&["status", "conditions"]);
    let ready = conditions.iter().find(|condition| condition.str_at(&["type"]) == Some("Ready"));
    ready.is_some_and(|ready| ready.str_at(&["status"]) == Some("True"))
}

/// The budget after one more of its pods has been sent away.
///
/// Errors: `TooManyRequests` if it allows none or does not know yet, `Forbidden` if it makes no sense.
pub(super) fn spend(budget: &Value, pod: &str, now: &str) -> Result<Value, Status> {
    let name = budget.name();
    let number = |field: &str| budget.i64_at(&["status", field]).unwrap_or_default();
    if number("observedGeneration") < budget.generation() {
        return Err(behind(name));
    }
    let forbidden = |why: &str| Status::forbidden(&GroupResource::new("policy", "poddisruptionbudget"), name, why);
    let allowed = number("disruptionsAllowed");
    if allowed < 0 {
        return Err(forbidden("pdb disruptions allowed is negative"));
    }
    let disrupted = budget.at(&["status", "disruptedPods"]).and_then(Value::as_object).map_or(0, |pods| pods.len());
    if disrupted > DISRUPTED_MAX {
        return Err(forbidden("DisruptedPods map too big - too many evictions not confirmed by PDB controller"));
    }
    if allowed == 0 {
        return Err(refused(0, why_none(budget)));
    }
    let mut budget = budget.clone();
    budget.set(&["status", "disruptionsAllowed"], allowed - 1);
    if allowed == 1 {
        deny(&mut budget, now);
    }
    budget.set(&["status", "disruptedPods", pod], now);
    Ok(budget)
}

/// The budget, or the pod, changes right now: it is not known what may be.
pub(super) fn behind(budget: &str) -> Status {
    refused(RETRY_AFTER_SECONDS, format!("The disruption budget {budget} is still being processed by the server."))
}

fn refused(retry_after_seconds: i32, why: String) -> Status {
    let mut status = Status::too_many_requests(VIOLATED, retry_after_seconds);
    let cause = Cause { reason: "DisruptionBudget".into(), message: why, field: String::new() };
    status.details.get_or_insert_default().causes.push(cause);
    status
}

/// Why no pod may go.
fn why_none(budget: &Value) -> String {
    let name = budget.name();
    let number = |field: &str| budget.i64_at(&["status", field]).unwrap_or_default();
    let (current, desired) = (number("currentHealthy"), number("desiredHealthy"));
    let text = |condition: &Value, field: &str| condition.str_at(&[field]).unwrap_or_default().to_owned();
    let conditions = budget.items_at(&["status", "conditions"]);
    let condition = conditions.iter().find(|condition| condition.str_at(&["type"]) == Some(ALLOWED));
    let denial = condition
        .filter(|condition| condition.str_at(&["status"]) == Some("False"))
        .map(|condition| (text(condition, "reason"), text(condition, "message")))
        .filter(|(_, message)| !message.is_empty());
    match denial {
        // Numbers mean nothing if the controller could not count.
        Some((reason, message)) if reason == "SyncFailed" => {
            format!(
                "The disruption budget {name} does not allow evicting pods currently because it failed sync: {message}"
            )
        }
        _ if current <= desired => {
            format!("The disruption budget {name} needs {desired} healthy pods and has {current} currently")
        }
        Some((reason, message)) => {
            format!("The disruption budget {name} does not allow evicting pods currently ({reason}): {message}")
        }
        None => format!("The disruption budget {name} does not allow evicting pods currently"),
    }
}

/// Says in the budget's conditions that no pod may go now.
///
/// Upstream: `UpdateDisruptionAllowedCondition`.
fn deny(budget: &mut Value, now: &str) {
    let mut denial = Value::object_of([
        ("type", Value::from(ALLOWED)),
        ("status", "False".into()),
        ("reason", "InsufficientPods".into()),
        ("message", "".into()),
        ("lastTransitionTime", now.into()),
    ]);
    if let Some(observed) = budget.i64_at(&["status", "observedGeneration"]).filter(|observed| *observed != 0) {
        denial.set(&["observedGeneration"], observed);
    }
    set_condition(budget, denial);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::tree;

    fn budget(status: serde_json::Value) -> Value {
        tree(json!({"metadata": {"name": "b", "generation": 2}, "spec": {}, "status": status}))
    }

    fn pod(ready: &str) -> Value {
        let conditions = json!([{"type": "Ready", "status": ready}]);
        tree(json!({"metadata": {"name": "p", "labels": {"app": "web"}}, "status": {"conditions": conditions}}))
    }

    #[test]
    fn a_selector_has_to_be_there_and_may_be_empty() {
        let cases = [
            (json!(null), false),
            (json!({}), true),
            (json!({"matchLabels": {"app": "web"}}), true),
            (json!({"matchLabels": {"app": "other"}}), false),
            (json!({"matchExpressions": [{"key": "app", "operator": "Odd"}]}), false),
        ];
        for (selector, want) in cases {
            let budget = tree(json!({"metadata": {"name": "b"}, "spec": {"selector": selector}}));
            assert_eq!(counts(&budget, &pod("True")), want, "{selector}");
        }
    }

    #[test]
    fn an_unready_pod_is_spared_if_others_are_enough_or_always() {
        let with = |current: i64, desired: i64, policy: Option<&str>| {
            let mut budget = budget(json!({"currentHealthy": current, "desiredHealthy": desired}));
            policy.into_iter().for_each(|policy| budget.set(&["spec", "unhealthyPodEvictionPolicy"], policy));
            (spares(&budget, &pod("False")), spares(&budget, &pod("True")))
        };
        assert_eq!(with(2, 2, None), (true, false));
        assert_eq!(with(1, 2, None), (false, false));
        assert_eq!(with(0, 0, None), (false, false));
        assert_eq!(with(1, 2, Some("IfHealthyBudget")), (false, false));
        assert_eq!(with(0, 0, Some("AlwaysAllow")), (true, false));
    }

    #[test]
    fn a_pod_that_goes_is_counted() {
        let old = budget(json!({"observedGeneration": 2, "disruptionsAllowed": 2, "currentHealthy": 3}));
        let once = spend(&old, "p", "t1").unwrap();
        let want = json!({
            "observedGeneration": 2, "disruptionsAllowed": 1, "currentHealthy": 3, "disruptedPods": {"p": "t1"},
        });
        assert_eq!(once, budget(want));
        let twice = spend(&once, "q", "t2").unwrap();
        let denial = json!({
            "type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": "",
            "lastTransitionTime": "t2", "observedGeneration": 2,
        });
        let want = json!({
            "observedGeneration": 2, "disruptionsAllowed": 0, "currentHealthy": 3,
            "disruptedPods": {"p": "t1", "q": "t2"}, "conditions": [denial],
        });
        assert_eq!(twice, budget(want));
    }

    #[test]
    fn a_budget_says_why_not() {
        let many: serde_json::Map<String, serde_json::Value> =
            (0..2_001).map(|number| (format!("p{number}"), json!("t"))).collect();
        let condition = |reason: &str, message: &str| json!([{"type": "DisruptionAllowed", "status": "False", "reason": reason, "message": message}]);
        let none = |more: serde_json::Value| {
            let mut status = json!({"observedGeneration": 2, "currentHealthy": 2, "desiredHealthy": 3});
            status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            status
        };
        let needs = "The disruption budget b needs 3 healthy pods and has 2 currently";
        let enough = json!({"currentHealthy": 4});
        let cases = [
            (
                json!({"observedGeneration": 1}),
                429,
                10,
                "The disruption budget b is still being processed by the server.",
            ),
            (none(json!({})), 429, 0, needs),
            (none(json!({"conditions": condition("InsufficientPods", "")})), 429, 0, needs),
            (
                none(json!({"conditions": condition("SyncFailed", "no scale")})),
                429,
                0,
                "The disruption budget b does not allow evicting pods currently because it failed sync: no scale",
            ),
            (none(enough.clone()), 429, 0, "The disruption budget b does not allow evicting pods currently"),
            (
                none(json!({"currentHealthy": 4, "conditions": condition("Odd", "so")})),
                429,
                0,
                "The disruption budget b does not allow evicting pods currently (Odd): so",
            ),
        ];
        for (status, code, seconds, why) in cases {
            let refused = spend(&budget(status), "p", "t").unwrap_err();
            let details = refused.details.unwrap();
            assert_eq!((refused.code, details.retry_after_seconds), (code, seconds), "{why}");
            assert_eq!(refused.message, VIOLATED);
            let cause = &details.causes[0];
            assert_eq!((cause.reason.as_str(), cause.message.as_str()), ("DisruptionBudget", why));
        }
        for (status, why) in [
            (json!({"observedGeneration": 2, "disruptionsAllowed": -1}), "pdb disruptions allowed is negative"),
            (
                json!({"observedGeneration": 2, "disruptionsAllowed": 1, "disruptedPods": many}),
                "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
            ),
        ] {
            let refused = spend(&budget(status), "p", "t").unwrap_err();
            assert_eq!(refused.code, 403);
            assert_eq!(refused.message, format!("poddisruptionbudget.policy \"b\" is forbidden: {why}"));
        }
    }
}
