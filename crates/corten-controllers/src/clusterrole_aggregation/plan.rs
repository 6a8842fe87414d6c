//! The rules of a sum.

use corten_apimachinery::{
    selector::label::Selector,
    value::{Value, semantically_equal},
};

/// Which roles a role sums up; none if it has no aggregation rule. The server has validated them.
pub(super) fn selectors(role: &Value) -> Vec<Selector> {
    let selectors = role.items_at(&["aggregationRule", "clusterRoleSelectors"]);
    selectors.iter().filter_map(|selector| Selector::from_object(selector).ok()).collect()
}

/// The rules that `role` should have, if it has others: those of `found` in their order, each once.
pub(super) fn plan(role: &Value, found: &[Value]) -> Option<Vec<Value>> {
    role.get("aggregationRule").filter(|rule| !rule.is_null())?;
    let mut rules: Vec<Value> = Vec::new();
    for rule in found.iter().flat_map(|part| part.items_at(&["rules"])) {
        if !rules.iter().any(|known| semantically_equal(Some(known), Some(rule))) {
            rules.push(rule.clone());
        }
    }
    let current = role.items_at(&["rules"]);
    let is_same = current.len() == rules.len()
        && current.iter().zip(&rules).all(|(current, rule)| semantically_equal(Some(current), Some(rule)));
    (!is_same).then_some(rules)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::objects::from_json;

    fn rule(verb: &str) -> serde_json::Value {
        json!({"verbs": [verb], "apiGroups": [""], "resources": ["pods"]})
    }

    #[track_caller]
    fn check(current: &[&str], found: &[&[&str]], want: Option<&[&str]>) {
        let rules = |verbs: &[&str]| verbs.iter().map(|verb| rule(verb)).collect::<Vec<_>>();
        let role = from_json(&json!({"aggregationRule": {"clusterRoleSelectors": [{}]}, "rules": rules(current)}));
        let found: Vec<Value> = found.iter().map(|verbs| from_json(&json!({"rules": rules(verbs)}))).collect();
        let want = want.map(|verbs| rules(verbs).iter().map(from_json).collect::<Vec<_>>());
        assert_eq!(plan(&role, &found), want);
    }

    #[test]
    fn a_sum_has_each_rule_once_in_the_order_of_its_parts() {
        check(&[], &[&["get"], &["list", "get"]], Some(&["get", "list"]));
        check(&["get", "list"], &[&["get"], &["list", "get"]], None);
        check(&["list", "get"], &[&["get"], &["list"]], Some(&["get", "list"]));
        check(&["get"], &[], Some(&[]));
    }

    #[test]
    fn a_role_without_a_rule_for_sums_is_left_alone() {
        assert_eq!(plan(&from_json(&json!({"rules": [rule("get")]})), &[]), None);
        assert!(selectors(&from_json(&json!({}))).is_empty());
    }
}
