//! What a namespace's config map lacks.

use corten_api::core::v1::{ConfigMap, Namespace};

/// The name of the config map.
pub(super) const NAME: &str = "kube-root-ca.crt";
/// The key that the bundle is under.
pub(super) const DATA_KEY: &str = "ca.crt";
/// Where the config map says what it is for.
pub(super) const DESCRIPTION_ANNOTATION: &str = "kubernetes.io/description";
/// Upstream's text.
pub(super) const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using \
     internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across \
     distributions of Kubernetes clusters.";

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing.
    Nothing,
    /// Make it.
    Create,
    /// Bring data and description back.
    Repair,
}

/// Decides for one namespace.
pub(super) fn plan(namespace: &Namespace, map: Option<&ConfigMap>, root_ca: &str) -> Action {
    if namespace.status.as_ref().and_then(|status| status.phase.as_deref()) != Some("Active") {
        return Action::Nothing;
    }
    let Some(map) = map else { return Action::Create };
    let data = map.data.as_ref();
    let is_right = data.is_some_and(|data| data.len() == 1 && data.get(DATA_KEY).is_some_and(|pem| pem == root_ca));
    let annotations = map.metadata.annotations.as_ref();
    let is_described = annotations.and_then(|all| all.get(DESCRIPTION_ANNOTATION)).is_some_and(|text| !text.is_empty());
    if is_right && is_described { Action::Nothing } else { Action::Repair }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(phase: &str, map: Option<Value>, want: Action) {
        let namespace = serde_json::from_value(json!({"status": {"phase": phase}})).unwrap();
        let map: Option<ConfigMap> = map.map(|map| serde_json::from_value(map).unwrap());
        assert_eq!(plan(&namespace, map.as_ref(), "pem"), want);
    }

    #[test]
    fn active_namespaces_have_the_bundle_and_its_description() {
        let described = json!({DESCRIPTION_ANNOTATION: "anything"});
        check("Active", None, Action::Create);
        check("Terminating", None, Action::Nothing);
        check(
            "Active",
            Some(json!({"data": {"ca.crt": "pem"}, "metadata": {"annotations": described}})),
            Action::Nothing,
        );
        check("Active", Some(json!({"data": {"ca.crt": "pem"}})), Action::Repair);
        check("Active", Some(json!({"data": {"ca.crt": "x"}, "metadata": {"annotations": described}})), Action::Repair);
        let more = json!({"data": {"ca.crt": "pem", "x": ""}, "metadata": {"annotations": described}});
        check("Active", Some(more), Action::Repair);
    }
}
