//! Rules of nodes.

use corten_api::core::v1::{Node, Taint};
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    validation::{is_label_value, is_qualified_name, parse_cidr_sloppy, validate_cidr},
};

use crate::{
    core::pod_spec::validation::{resource_quantity, taint_effect},
    report::{Report, with_view},
    view::{Seen, each_of, list, or_default, text, texts},
};

pub(super) fn create(node: &Value) -> ErrorList {
    with_view(node, |node: &Node, errors| {
        let spec = or_default(&node.spec);
        // Upstream reports taints below `metadata`.
        taints(list(&spec.taints), &Path::new("metadata").child("taints"), errors);
        resources(node, errors);
        let (ranges, path) = (list(&spec.pod_cidrs), Path::new("spec").child("podCIDRs"));
        for (at, range) in each_of(ranges, &path) {
            errors.extend(validate_cidr(&at, range));
        }
        if ranges.len() > 1 {
            let of_family = |v4: bool| {
                let parsed = ranges.iter().filter_map(|range| parse_cidr_sloppy(range));
                parsed.filter(|(address, _)| address.is_ipv4() == v4).count()
            };
            if of_family(true) != 1 || of_family(false) != 1 {
                errors.invalid(&path, texts(ranges), "may specify no more than one CIDR for each IP family");
            }
            let mut seen = Seen::default();
            for (at, range) in each_of(ranges, &path) {
                if !seen.is_new(range) {
                    errors.push(Error::duplicate(&at, range.as_str()));
                }
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

fn taints(taints: &[Taint], path: &Path, errors: &mut ErrorList) {
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
            let mut shown =
                Value::object_of([("key", taint.key.as_str().into()), ("effect", taint.effect.as_str().into())]);
            if !value.is_empty() {
                shown.set(&["value"], value);
            }
            errors.push(Error {
                detail: "taints must be unique by key and effect pair".to_owned(),
                ..Error::duplicate(&at, shown)
            });
        }
    }
}

pub(super) fn update(node: &Value, old: &Value) -> ErrorList {
    with_view(node, |view: &Node, errors| {
        resources(view, errors);
        let addresses = view.status.as_ref().map(|status| list(&status.addresses)).unwrap_or_default();
        let mut seen = Seen::default();
        for (at, address) in each_of(addresses, &Path::new("status").child("addresses")) {
            if !seen.is_new(format!("{}/{}", address.type_, address.address)) {
                let shown = Value::object_of([
                    ("address", address.address.as_str().into()),
                    ("type", address.type_.as_str().into()),
                ]);
                errors.push(Error::duplicate(&at, shown));
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
