//! A role's rules, found by what a request is about. Pure.

use std::collections::HashMap;

use corten_apimachinery::value::{Str, Value, format_str};
use corten_apiserver::RequestInfo;

use super::rule::Rule;

/// A role's rules, found by resource.
#[derive(Debug, Default)]
pub(super) struct CompiledRole {
    rules: Vec<Rule>,
    by_resource: HashMap<Str, Vec<usize>>,
    any_resource: Vec<usize>,
    urls: Vec<usize>,
}

/// The keys under which rules about a request are found.
pub(super) struct Asked {
    /// `pods/log`.
    combined: Str,
    /// `*/log`; empty for none.
    any_of: Str,
}

impl CompiledRole {
    pub(super) fn compile(role: &Value) -> Self {
        let mut compiled =
            Self { rules: role.items_at(&["rules"]).iter().map(Rule::from_value).collect(), ..Self::default() };
        for (index, rule) in compiled.rules.iter().enumerate() {
            if !rule.non_resource_urls.is_empty() {
                compiled.urls.push(index);
            }
            for resource in &rule.resources {
                let place = if resource == "*" {
                    &mut compiled.any_resource
                } else {
                    compiled.by_resource.entry(resource.clone()).or_default()
                };
                // A resource that a rule names many times leads to it once.
                if place.last() != Some(&index) {
                    place.push(index);
                }
            }
        }
        compiled
    }

    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(super) fn allows(&self, request: &RequestInfo, asked: &Asked) -> bool {
        let allows = |indices: &[usize]| indices.iter().any(|&at| self.rules[at].allows(request, &asked.combined));
        if !request.is_resource {
            return allows(&self.urls);
        }
        let named = |key: &str| self.by_resource.get(key).is_some_and(|indices| allows(indices));
        named(&asked.combined) || allows(&self.any_resource) || !asked.any_of.is_empty() && named(&asked.any_of)
    }
}

impl Asked {
    pub(super) fn new(request: &RequestInfo) -> Self {
        if request.subresource.is_empty() {
            return Self { combined: request.resource.clone(), any_of: Str::default() };
        }
        Self {
            combined: format_str!("{}/{}", request.resource, request.subresource),
            any_of: format_str!("*/{}", request.subresource),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::tree;

    /// A rule that named one resource 60,000 times, and as many objects, was compared 4 * 10^9 times for one request.
    #[test]
    fn a_rule_is_found_once_whatever_it_names_twice() {
        let rule =
            json!({"verbs": ["get"], "apiGroups": [""], "resources": vec!["pods"; 60_000], "resourceNames": ["x"]});
        let any = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["*", "pods", "*"]});
        let role = CompiledRole::compile(&tree(json!({"rules": [rule, any]})));
        assert_eq!((&role.by_resource["pods"], &role.any_resource), (&vec![0, 1], &vec![1]));
    }
}
