//! Rules of a template of pods, which name the metadata that pods will get.

use corten_api::core::v1::PodTemplateSpec;
use corten_apimachinery::{
    Map, Value,
    field::{ErrorList, Path},
    resource::Context,
    validation::{validate_annotations, validate_label_map},
};

use super::validation::{self, Options};
use crate::{
    report::Report,
    view::{list, or_default},
};

/// The rules of a template at `path`. `old` is the stored template, if there is one: what it holds it may keep, as
/// `GetValidationOptionsFromPodTemplate` (pkg/api/pod/util.go, v1.35) says.
pub(crate) fn validate(
    cx: &Context<'_>,
    template: &PodTemplateSpec,
    old: Option<&Value>,
    path: &Path,
    errors: &mut ErrorList,
) {
    let metadata = template.metadata.clone().unwrap_or_default();
    let map = |map: Option<std::collections::BTreeMap<String, String>>| -> Map {
        map.unwrap_or_default().into_iter().map(|(key, value)| (key.into(), value.into())).collect()
    };
    let (labels, annotations) = (map(metadata.labels), map(metadata.annotations));
    errors.extend(validate_label_map(&labels, &path.child("labels")));
    errors.extend(validate_annotations(&annotations, &path.child("annotations")));
    let spec = or_default(&template.spec);
    let old = old.and_then(|old| old.get("spec"));
    let options = Options { is_pod: false, pod_name: "", is_static: false, features: cx.features, old };
    validation::pod_annotations(&annotations, &spec, &path.child("annotations"), errors);
    validation::pod_spec(&spec, &path.child("spec"), &options, errors);
    validation::seccomp_matches(&annotations, &spec, &path.child("spec"), errors);
    validation::apparmor_matches(&annotations, &spec, &path.child("spec"), errors);
    if !list(&spec.ephemeral_containers).is_empty() {
        errors.forbidden(
            &path.child("spec").child("ephemeralContainers"),
            "ephemeral containers not allowed in pod template",
        );
    }
}

#[cfg(test)]
mod tests {
    use corten_apimachinery::resource::ResourceDefinition;
    use serde_json::{Value as Json, json};

    use crate::{
        apps::{daemon_set, deployment, replica_set, stateful_set},
        batch::{cron_job, job},
        core::{pod_template, replication_controller},
        testing::{created, patched, updated},
    };

    /// Each kind that has a template, with one that a gate allows which is off, and the path of its spec.
    fn kinds() -> Vec<(&'static ResourceDefinition, Json, &'static str)> {
        let labels = json!({"app": "web"});
        let template = |policy: &str| {
            json!({
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [{"name": "c", "image": "a"}],
                    "restartPolicy": policy,
                    "tolerations": [{"key": "sla", "operator": "Gt", "value": "5"}],
                },
            })
        };
        let selector = json!({"matchLabels": labels});
        let named = |spec: Json| json!({"metadata": {"name": "web", "namespace": "default"}, "spec": spec});
        let selecting = || named(json!({"selector": selector, "template": template("Always")}));
        let job_spec = json!({"template": template("Never")});
        let own_job = json!({"manualSelector": true, "selector": selector, "template": template("Never")});
        vec![
            (&deployment::RESOURCE, selecting(), "spec.template.spec"),
            (&replica_set::RESOURCE, selecting(), "spec.template.spec"),
            (&daemon_set::RESOURCE, selecting(), "spec.template.spec"),
            (
                &stateful_set::RESOURCE,
                patched(selecting(), json!({"spec": {"serviceName": "web"}})),
                "spec.template.spec",
            ),
            (
                &replication_controller::RESOURCE,
                named(json!({"selector": labels, "template": template("Always")})),
                "spec.template.spec",
            ),
            (&job::RESOURCE, named(own_job), "spec.template.spec"),
            (
                &cron_job::RESOURCE,
                named(json!({"schedule": "0 0 * * *", "jobTemplate": {"spec": job_spec}})),
                "spec.jobTemplate.spec.template.spec",
            ),
            (
                &pod_template::RESOURCE,
                json!({"metadata": {"name": "web", "namespace": "default"}, "template": template("Always")}),
                "template.spec",
            ),
        ]
    }

    #[test]
    fn what_a_stored_template_holds_it_may_keep() {
        for (resource, object, spec) in kinds() {
            let errors = created(resource, object.clone()).1;
            assert!(!errors.is_empty(), "{}", resource.plural);
            let at = format!("{spec}.tolerations[0].operator: Unsupported value: \"Gt\"");
            assert!(errors.iter().all(|error| error.starts_with(&at)), "{}: {errors:?}", resource.plural);
            let relabelled = patched(object.clone(), json!({"metadata": {"labels": {"a": "b"}}}));
            let errors = updated(resource, resource.strategy, object, relabelled).1;
            assert_eq!(errors, [""; 0], "{}", resource.plural);
        }
    }
}
