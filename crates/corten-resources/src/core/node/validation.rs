//! Rules of nodes.

use std::cmp::Ordering;

use corten_api::core::v1::{Node, Taint};
use corten_apimachinery::{
    Features, Value,
    field::{Error, ErrorList, Path, quote},
    validation::{is_label_value, is_qualified_name, parse_cidr_sloppy},
};

use super::old_annotations;
use crate::{
    core::pod_spec::validation::{NOT_POSITIVE, resource_quantity, taint_effect},
    internal_form,
    older_addresses::OlderAddresses,
    report::{Report, with_view},
    view::{Seen, each_of, list, or_default, text, texts},
};

/// As long as the name of a domain.
const FEATURE_MAX_BYTES: usize = 253;

pub(super) fn create(features: &Features, node: &Value) -> ErrorList {
    let (tree, older) = (node, OlderAddresses::new(features));
    with_view(node, |node: &Node, errors| {
        old_annotations::check(tree, errors);
        let spec = or_default(&node.spec);
        // Upstream reports taints below `metadata`.
        taints(list(&spec.taints), &Path::new("metadata").child("taints"), errors);
        resources(node, errors);
        let swap = node.status.as_ref().and_then(|status| status.node_info.as_ref()?.swap.as_ref()?.capacity);
        if let Some(capacity) = swap.filter(|capacity| *capacity <= 0) {
            // And this one.
            errors.invalid(&Path::new("metadata").child("nodeSwapStatus").child("capacity"), capacity, NOT_POSITIVE);
        }
        declared_features(node, errors);
        let (ranges, path) = (list(&spec.pod_cidrs), Path::new("spec").child("podCIDRs"));
        for (at, range) in each_of(ranges, &path) {
            errors.extend(older.cidr(&at, range));
        }
        if ranges.len() > 1 {
            if let Some(bad) = ranges.iter().find(|range| parse_cidr_sloppy(range).is_none()) {
                let why = format!(
                    "invalid PodCIDRs. failed to check with dual stack with error:failed to parse cidr value:{} with \
                     error:invalid CIDR address: {bad}",
                    quote(bad)
                );
                errors.push(Error::internal(&path, why));
            }
            let of_family = |v4: bool| {
                let parsed = ranges.iter().filter_map(|range| parse_cidr_sloppy(range));
                parsed.filter(|(address, _)| address.is_ipv4() == v4).count()
            };
            if ranges.len() != 2 || of_family(true) != 1 || of_family(false) != 1 {
                errors.invalid(&path, texts(ranges), "may specify no more than one CIDR for each IP family");
            }
        }
    })
}

fn resources(node: &Node, errors: &mut ErrorList) {
    let Some(status) = &node.status else { return };
    for (field, amounts) in [("capacity", &status.capacity), ("allocatable", &status.allocatable)] {
        for (name, amount) in amounts.iter().flatten() {
            resource_quantity(name, amount, &Path::new("status").child(field).child(name), errors);
        }
    }
}

/// What a kubelet says that it can do: sorted names like `MyFeature/mySubFeature`.
fn declared_features(node: &Node, errors: &mut ErrorList) {
    let features = node.status.as_ref().map(|status| list(&status.declared_features)).unwrap_or_default();
    let path = Path::new("status").child("declaredFeatures");
    for (index, feature) in features.iter().enumerate() {
        let shown = quote(feature);
        let fault = if feature.len() > FEATURE_MAX_BYTES {
            Some(format!("must be no more than {FEATURE_MAX_BYTES} characters"))
        } else if !is_feature_name(feature) {
            Some(
                "must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature \
                 or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes"
                    .to_owned(),
            )
        } else {
            None
        };
        if let Some(fault) = fault {
            let detail = format!("invalid feature name {shown}: {fault}");
            errors.invalid(&path.index(index), feature.as_str(), detail);
        }
        let (Some(next), at) = (features.get(index + 1), path.index(index + 1)) else { continue };
        match feature.cmp(next) {
            Ordering::Less => {}
            Ordering::Equal => errors.push_with(|| Error::duplicate(&at, next.as_str())),
            Ordering::Greater => errors.invalid(&at, next.as_str(), "list must be sorted alphabetically"),
        }
    }
}

fn is_feature_name(name: &str) -> bool {
    let mut segments = name.split('/');
    let is_word = |segment: &str| segment.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let starts = |segment: &str, is_start: fn(&u8) -> bool| segment.as_bytes().first().is_some_and(is_start);
    segments.next().is_some_and(|first| starts(first, u8::is_ascii_uppercase) && is_word(first))
        && segments.all(|segment| starts(segment, u8::is_ascii_alphabetic) && is_word(segment))
}

pub(super) fn taints(taints: &[Taint], path: &Path, errors: &mut ErrorList) {
    let mut seen = Seen::default();
    for (at, taint) in each_of(taints, path) {
        errors.invalids(&at.child("key"), &taint.key, is_qualified_name(&taint.key));
        let value = text(&taint.value);
        let messages = is_label_value(value);
        if !messages.is_empty() {
            errors.invalid(&at.child("value"), value, messages.join(";"));
        }
        taint_effect(&taint.effect, &at.child("effect"), errors);
        if !seen.is_new(format!("{}:{}", taint.effect, taint.key)) {
            errors.push(Error {
                detail: "taints must be unique by key and effect pair".to_owned(),
                ..Error::duplicate(&at, Value::Null).showing(internal_form::core_view("Taint", taint))
            });
        }
    }
}

pub(super) fn update(node: &Value, old: &Value) -> ErrorList {
    with_view(node, |view: &Node, errors| {
        old_annotations::check(node, errors);
        resources(view, errors);
        declared_features(view, errors);
        let addresses = view.status.as_ref().map(|status| list(&status.addresses)).unwrap_or_default();
        let mut seen = Seen::default();
        for (at, address) in each_of(addresses, &Path::new("status").child("addresses")) {
            if !seen.is_new(format!("{}/{}", address.type_, address.address)) {
                let shown = internal_form::core_view("NodeAddress", address);
                errors.push(Error::duplicate(&at, Value::Null).showing(shown));
            }
        }
        let (spec, ranges) = (Path::new("spec"), ["spec", "podCIDRs"]);
        let (was, is) = (old.items_at(&ranges), node.items_at(&ranges));
        if !was.is_empty() && was != is {
            let detail = "node updates may not change podCIDR except from \"\" to valid";
            let differences =
                if was.len() == is.len() { was.iter().zip(is).filter(|(a, b)| a != b).count() } else { 1 };
            for _ in 0..differences {
                errors.forbidden(&spec.child("podCIDRs"), detail);
            }
        }
        let provider = |node: &Value| node.str_at(&["spec", "providerID"]).unwrap_or_default().to_owned();
        if !provider(old).is_empty() && provider(old) != provider(node) {
            let detail = "node updates may not change providerID except from \"\" to valid";
            errors.forbidden(&spec.child("providerID"), detail);
        }
        taints(
            view.spec.as_ref().map(|spec| list(&spec.taints)).unwrap_or_default(),
            &Path::new("metadata").child("taints"),
            errors,
        );
        let external = |node: &Value| node.str_at(&["spec", "externalID"]).unwrap_or_default().to_owned();
        if external(old) != external(node) {
            errors.forbidden(&spec.child("externalID"), "may not be updated");
        }
    })
}
