//! How long a pod may stay on a node with these taints.

use std::time::Duration;

use corten_apimachinery::value::Value;

/// How long a pod may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stay {
    /// As long as it likes.
    Forever,
    /// This long since its time began.
    For(Duration),
}

/// The taints of a node that drive pods off.
pub(super) fn no_execute(node: &Value) -> Vec<Value> {
    let taints = node.items_at(&["spec", "taints"]).iter();
    taints.filter(|taint| taint.str_at(&["effect"]) == Some("NoExecute")).cloned().collect()
}

/// Decides by the shortest of the tolerations that are needed.
pub(super) fn stay(taints: &[Value], tolerations: &[Value]) -> Stay {
    let mut shortest: Option<i64> = None;
    for taint in taints {
        let mut is_tolerated = false;
        for toleration in tolerations.iter().filter(|toleration| tolerates(toleration, taint)) {
            is_tolerated = true;
            if let Some(seconds) = toleration.i64_at(&["tolerationSeconds"]) {
                shortest = Some(shortest.map_or(seconds, |shortest| shortest.min(seconds)));
            }
        }
        if !is_tolerated {
            return Stay::For(Duration::ZERO);
        }
    }
    match shortest {
        // Nothing and less than nothing are: at once.
        Some(seconds) => Stay::For(Duration::from_secs(u64::try_from(seconds).unwrap_or_default())),
        None => Stay::Forever,
    }
}

/// Upstream: `Toleration.ToleratesTaint`.
fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let text = |value: &Value, field: &str| value.str_at(&[field]).unwrap_or_default().to_owned();
    let (effect, key) = (text(toleration, "effect"), text(toleration, "key"));
    if !effect.is_empty() && effect != text(taint, "effect") || !key.is_empty() && key != text(taint, "key") {
        return false;
    }
    match text(toleration, "operator").as_str() {
        "" | "Equal" => text(toleration, "value") == text(taint, "value"),
        "Exists" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::objects::from_json;

    #[track_caller]
    fn check(taints: serde_json::Value, tolerations: serde_json::Value, want: Stay) {
        let list = |json: &serde_json::Value| from_json(json).as_array().unwrap().to_vec();
        assert_eq!(stay(&list(&taints), &list(&tolerations)), want);
    }

    #[test]
    fn the_shortest_toleration_decides() {
        let taint = json!([{"key": "gone", "effect": "NoExecute"}]);
        let seconds = |seconds: u64| Stay::For(Duration::from_secs(seconds));
        check(json!([]), json!([]), Stay::Forever);
        check(taint.clone(), json!([]), seconds(0));
        check(taint.clone(), json!([{"operator": "Exists"}]), Stay::Forever);
        check(taint.clone(), json!([{"key": "gone", "operator": "Exists", "tolerationSeconds": 300}]), seconds(300));
        check(taint.clone(), json!([{"key": "gone", "value": "x"}]), seconds(0));
        check(
            taint.clone(),
            json!([{"operator": "Exists", "tolerationSeconds": 9}, {"key": "gone", "tolerationSeconds": -1}]),
            seconds(0),
        );
        check(taint, json!([{"operator": "Exists", "effect": "NoSchedule"}]), seconds(0));
    }
}
