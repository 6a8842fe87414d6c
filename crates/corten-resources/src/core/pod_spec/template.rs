//! Rules of a template of pods, which name the metadata that pods will get.

use corten_api::core::v1::PodTemplateSpec;
use corten_apimachinery::{
    Map,
    field::{ErrorList, Path},
    resource::Context,
    validation::{validate_annotations, validate_label_map},
};

use super::validation::{self, Options};
use crate::{
    report::Report,
    view::{list, or_default},
};

/// The rules of a template at `path`.
pub(crate) fn validate(cx: &Context<'_>, template: &PodTemplateSpec, path: &Path, errors: &mut ErrorList) {
    let metadata = template.metadata.clone().unwrap_or_default();
    let map = |map: Option<std::collections::BTreeMap<String, String>>| -> Map {
        map.unwrap_or_default().into_iter().map(|(key, value)| (key.into(), value.into())).collect()
    };
    let (labels, annotations) = (map(metadata.labels), map(metadata.annotations));
    errors.extend(validate_label_map(&labels, &path.child("labels")));
    errors.extend(validate_annotations(&annotations, &path.child("annotations")));
    let spec = or_default(&template.spec);
    let options = Options { is_pod: false, pod_name: "", is_static: false, features: cx.features, old: None };
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
