//! Rules of what an autoscaler aims at.

use corten_api::autoscaling::v2::{
    ContainerResourceMetricSource, ExternalMetricSource, MetricIdentifier, MetricSpec, MetricTarget,
    ObjectMetricSource, PodsMetricSource, ResourceMetricSource,
};
use corten_apimachinery::{
    field::{ErrorList, Path},
    quantity::Quantity,
    validation::{is_dns1123_label, is_path_segment_name},
};

use super::reference::{self, Group};
use crate::{core::pod_spec::validation::container_resource, quantity::Amount, report::Report, view::each_of};

const TYPES: &[&str] = &["ContainerResource", "External", "Object", "Pods", "Resource"];

/// The rules of `metrics` at `path`; `described` is asked of the versions of objects that are described.
pub(super) fn check(metrics: &[MetricSpec], described: Group, path: &Path, errors: &mut ErrorList) {
    for (at, metric) in each_of(metrics, path) {
        spec(metric, described, &at, errors);
    }
}

fn spec(metric: &MetricSpec, described: Group, path: &Path, errors: &mut ErrorList) {
    let type_at = path.child("type");
    if metric.type_.is_empty() {
        errors.required(&type_at, "must specify a metric source type");
    }
    errors.one_of(&type_at, &metric.type_, TYPES);
    let present: Vec<&str> = [
        ("object", metric.object.is_some()),
        ("external", metric.external.is_some()),
        ("pods", metric.pods.is_some()),
        ("resource", metric.resource.is_some()),
        ("containerResource", metric.container_resource.is_some()),
    ]
    .into_iter()
    .filter_map(|(field, is_present)| is_present.then_some(field))
    .collect();
    // One is looked at; any further one should not be there.
    if let Some(first) = present.first() {
        source(metric, first, described, &path.child(first), errors);
    }
    let expected = match metric.type_.as_str() {
        "Object" => "object",
        "Pods" => "pods",
        "Resource" => "resource",
        "External" => "external",
        "ContainerResource" => "containerResource",
        _ => {
            // Upstream says so again.
            errors.one_of(&type_at, &metric.type_, TYPES);
            ""
        }
    };
    if !expected.is_empty() && !present.contains(&expected) {
        errors.required(&path.child(expected), "must populate information for the given metric source");
    }
    if present.len() > 1 {
        for field in present.into_iter().filter(|field| *field != expected) {
            errors.forbidden(&path.child(field), "must populate the given metric source only");
        }
    }
}

fn source(metric: &MetricSpec, field: &str, described: Group, path: &Path, errors: &mut ErrorList) {
    match field {
        "object" => metric.object.iter().for_each(|source| object(source, described, path, errors)),
        "external" => metric.external.iter().for_each(|source| external(source, path, errors)),
        "pods" => metric.pods.iter().for_each(|source| pods(source, path, errors)),
        "resource" => metric.resource.iter().for_each(|source| resource(source, path, errors)),
        _ => metric.container_resource.iter().for_each(|source| of_container(source, path, errors)),
    }
}

fn object(source: &ObjectMetricSource, described: Group, path: &Path, errors: &mut ErrorList) {
    reference::check(&source.described_object, described, &path.child("describedObject"), errors);
    identifier(&source.metric, &path.child("metric"), errors);
    let at = path.child("target");
    target(&source.target, &at, errors);
    if source.target.value.is_none() && source.target.average_value.is_none() {
        errors.required(&at.child("averageValue"), "must set either a target value or averageValue");
    }
}

fn external(source: &ExternalMetricSource, path: &Path, errors: &mut ErrorList) {
    identifier(&source.metric, &path.child("metric"), errors);
    let at = path.child("target");
    target(&source.target, &at, errors);
    match (&source.target.value, &source.target.average_value) {
        (None, None) => {
            let detail = "must set either a target value for metric or a per-pod target";
            errors.required(&at.child("averageValue"), detail);
        }
        (Some(_), Some(_)) => {
            errors.forbidden(&at.child("value"), "may not set both a target value for metric and a per-pod target");
        }
        _ => {}
    }
}

fn pods(source: &PodsMetricSource, path: &Path, errors: &mut ErrorList) {
    identifier(&source.metric, &path.child("metric"), errors);
    let at = path.child("target");
    target(&source.target, &at, errors);
    if source.target.average_value.is_none() {
        errors.required(&at.child("averageValue"), "must specify a positive target averageValue");
    }
}

fn of_container(source: &ContainerResourceMetricSource, path: &Path, errors: &mut ErrorList) {
    let name_at = path.child("name");
    if source.name.is_empty() {
        errors.required(&name_at, "must specify a resource name");
    } else {
        container_resource(&source.name, &name_at, errors);
    }
    let container_at = path.child("container");
    if source.container.is_empty() {
        errors.required(&container_at, "must specify a container");
    } else {
        errors.invalids(&container_at, &source.container, is_dns1123_label(&source.container));
    }
    resource_target(&source.target, &path.child("target"), errors);
}

fn resource(source: &ResourceMetricSource, path: &Path, errors: &mut ErrorList) {
    if source.name.is_empty() {
        errors.required(&path.child("name"), "must specify a resource name");
    }
    resource_target(&source.target, &path.child("target"), errors);
}

fn resource_target(aim: &MetricTarget, path: &Path, errors: &mut ErrorList) {
    target(aim, path, errors);
    match (aim.average_utilization, &aim.average_value) {
        (None, None) => {
            let detail = "must set either a target raw value or a target utilization";
            errors.required(&path.child("averageUtilization"), detail);
        }
        (Some(_), Some(_)) => {
            let detail = "may not set both a target raw value and a target utilization";
            errors.forbidden(&path.child("averageValue"), detail);
        }
        _ => {}
    }
}

fn target(aim: &MetricTarget, path: &Path, errors: &mut ErrorList) {
    let type_at = path.child("type");
    if aim.type_.is_empty() {
        errors.required(&type_at, "must specify a metric target type");
    }
    if !["Utilization", "Value", "AverageValue"].contains(&aim.type_.as_str()) {
        errors.invalid(&type_at, aim.type_.as_str(), "must be either Utilization, Value, or AverageValue");
    }
    for (field, amount) in [("value", &aim.value), ("averageValue", &aim.average_value)] {
        if let Some(amount) = amount.as_ref().filter(|amount| !Quantity::of(amount).is_positive()) {
            errors.invalid(&path.child(field), amount.0.as_str(), "must be positive");
        }
    }
    if let Some(share) = aim.average_utilization.filter(|&share| share < 1) {
        errors.invalid(&path.child("averageUtilization"), share, "must be greater than 0");
    }
}

fn identifier(metric: &MetricIdentifier, path: &Path, errors: &mut ErrorList) {
    let at = path.child("name");
    if metric.name.is_empty() {
        errors.required(&at, "must specify a metric name");
    } else {
        errors.invalids(&at, &metric.name, is_path_segment_name(&metric.name));
    }
}
