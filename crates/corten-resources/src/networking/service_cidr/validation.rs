//! Rules of service ranges.

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    validation::{parse_cidr_sloppy, validate_canonical_cidr},
};

use crate::report::Report;

const IMMUTABLE: &str = "field is immutable";

fn path() -> Path {
    Path::new("spec").child("cidrs")
}

fn ranges(object: &Value) -> &[Value] {
    object.items_at(&["spec", "cidrs"])
}

fn shown(object: &Value) -> Value {
    object.at(&["spec", "cidrs"]).cloned().unwrap_or_default()
}

pub(super) fn create(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, ranges) = (path(), ranges(object));
    if ranges.is_empty() {
        errors.required(&path, "at least one CIDR required");
        return errors;
    }
    if ranges.len() > 2 {
        // The spec under the name that upstream's own type has.
        let spec = Value::object_of([("CIDRs", shown(object))]);
        errors.push(Error::invalid(&path, spec, "may only hold up to 2 values"));
        return errors;
    }
    for (index, range) in ranges.iter().enumerate() {
        errors.extend(validate_canonical_cidr(&path.index(index), range.as_str().unwrap_or_default()));
    }
    let is_v6 = |range: &Value| Some(parse_cidr_sloppy(range.as_str()?)?.0.is_ipv6());
    if let [first, second] = ranges
        && is_v6(first).is_some()
        && is_v6(first) == is_v6(second)
    {
        let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        errors.invalid(&path, shown(object), detail);
    }
    errors
}

pub(super) fn update(object: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = path();
    let (new, was) = (ranges(object), ranges(old));
    let grows = (was.len(), new.len()) == (1, 2);
    if was.len() != new.len() && !grows {
        errors.invalid(&path, shown(object), IMMUTABLE);
        return errors;
    }
    for (index, (new, _)) in new.iter().zip(was).enumerate().filter(|(_, (new, was))| new != was) {
        errors.invalid(&path.index(index), new.clone(), IMMUTABLE);
    }
    if grows {
        errors.extend(create(object));
    }
    errors
}
