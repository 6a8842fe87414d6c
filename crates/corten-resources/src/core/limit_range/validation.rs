//! Rules of limit ranges.

use std::collections::{BTreeMap, BTreeSet};

use corten_api::{
    core::v1::{LimitRange, LimitRangeItem},
    quantity::Quantity,
};
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    quantity::{Format, Quantity as Exact},
    validation::is_qualified_name,
};

use crate::{
    core::pod_spec::validation::{allows_overcommit, container_resource, resource_name},
    quantity::Amount,
    report::{Report, with_view},
    view::{Seen, each_of},
};

type Amounts = BTreeMap<String, Quantity>;

/// From here on, a number of thousandths does not fit into 64 bits.
const MILLI_MAX: i64 = i64::MAX / 1_000;

pub(super) fn validate(range: &Value) -> ErrorList {
    with_view(range, |range: &LimitRange, errors| {
        let limits = range.spec.as_ref().map(|spec| spec.limits.as_slice()).unwrap_or_default();
        let mut types = Seen::default();
        for (at, limit) in each_of(limits, &Path::new("spec").child("limits")) {
            type_name(&limit.type_, &at.child("type"), errors);
            if !types.is_new(&limit.type_) {
                errors.push(Error::duplicate(&at.child("type"), limit.type_.as_str()));
            }
            item(limit, &at, errors);
        }
    })
}

fn type_name(name: &str, path: &Path, errors: &mut ErrorList) {
    let messages = is_qualified_name(name);
    if !messages.is_empty() {
        errors.invalids(path, name, messages);
    } else if !name.contains('/') && !matches!(name, "Pod" | "Container" | "PersistentVolumeClaim") {
        errors.invalid(path, name, "must be a standard limit type or fully qualified");
    }
}

fn item(limit: &LimitRangeItem, path: &Path, errors: &mut ErrorList) {
    let name_rule = match limit.type_.as_str() {
        "Pod" | "Container" => container_resource,
        _ => resource_name,
    };
    let names = |field: &str, amounts: Option<&Amounts>, errors: &mut ErrorList| {
        for name in amounts.into_iter().flat_map(Amounts::keys) {
            name_rule(name, &path.child(field).key(name), errors);
        }
    };
    let (max, min) = (limit.max.as_ref(), limit.min.as_ref());
    names("max", max, errors);
    names("min", min, errors);
    let (mut default, mut request) = (limit.default.as_ref(), limit.default_request.as_ref());
    if limit.type_ == "Pod" {
        for (field, amounts) in [("default", default), ("defaultRequest", request)] {
            if amounts.is_some_and(|amounts| !amounts.is_empty()) {
                errors.forbidden(&path.child(field), "may not be specified when `type` is 'Pod'");
            }
        }
        (default, request) = (None, None);
    } else {
        names("default", default, errors);
        names("defaultRequest", request, errors);
    }
    let has_storage = |amounts: Option<&Amounts>| amounts.is_some_and(|amounts| amounts.contains_key("storage"));
    if limit.type_ == "PersistentVolumeClaim" && !has_storage(min) && !has_storage(max) {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        errors.required(&path.child("limits"), detail);
    }
    let ratio = limit.max_limit_request_ratio.as_ref();
    names("maxLimitRequestRatio", ratio, errors);
    let keys: BTreeSet<&String> =
        [max, min, default, request, ratio].into_iter().flatten().flat_map(Amounts::keys).collect();
    for key in keys {
        let of = |amounts: Option<&'_ Amounts>| amounts.and_then(|amounts| amounts.get(key)).map(Known::new);
        let bounds =
            Bounds { max: of(max), min: of(min), default: of(default), request: of(request), ratio: of(ratio) };
        bounds.check(key, path, errors);
    }
}

/// An amount as it reads and as it counts.
#[derive(Clone)]
struct Known {
    text: String,
    exact: Exact,
}

impl Known {
    fn new(quantity: &Quantity) -> Self {
        Self { text: quantity.0.clone(), exact: Exact::of(quantity) }
    }
}

/// What a limit says of one resource.
struct Bounds {
    max: Option<Known>,
    min: Option<Known>,
    default: Option<Known>,
    request: Option<Known>,
    ratio: Option<Known>,
}

impl Bounds {
    fn check(&self, key: &str, path: &Path, errors: &mut ErrorList) {
        let at = |field: &str| path.child(field).key(key);
        // Each is (field, the amount shown, the lower one, its name, the higher one, its name).
        let orders = [
            ("min", &self.min, &self.min, "min value", &self.max, "max value"),
            ("defaultRequest", &self.request, &self.min, "min value", &self.request, "default request value"),
            ("defaultRequest", &self.request, &self.request, "default request value", &self.max, "max value"),
            (
                "defaultRequest",
                &self.request,
                &self.request,
                "default request value",
                &self.default,
                "default limit value",
            ),
            ("default", &self.min, &self.min, "min value", &self.default, "default value"),
            ("default", &self.max, &self.default, "default value", &self.max, "max value"),
        ];
        for (field, shown, low, low_name, high, high_name) in orders {
            if let (Some(shown), Some(low), Some(high)) = (shown, low, high)
                && low.exact > high.exact
            {
                let detail = format!("{low_name} {} is greater than {high_name} {}", low.text, high.text);
                errors.invalid(&at(field), shown.text.as_str(), detail);
            }
        }
        if let Some(ratio) = &self.ratio {
            self.check_ratio(ratio, &at("maxLimitRequestRatio"), errors);
        }
        if let (Some(default), Some(request)) = (&self.default, &self.request)
            && default.exact != request.exact
            && !allows_overcommit(key)
        {
            let (limit, request) = (&default.text, &request.text);
            let detail = format!("default value {limit} must equal to defaultRequest value {request} in {key}");
            errors.invalid(&at("defaultRequest"), request.as_str(), detail);
        }
    }

    fn check_ratio(&self, ratio: &Known, path: &Path, errors: &mut ErrorList) {
        if ratio.exact < Exact::new(1, Format::DecimalSi) {
            errors.invalid(path, ratio.text.as_str(), format!("ratio {} is less than 1", ratio.text));
        }
        let (Some(min), Some(max)) = (&self.min, &self.max) else { return };
        let units = [&ratio.exact, &min.exact, &max.exact].map(Exact::units);
        #[expect(clippy::cast_precision_loss, reason = "upstream compares these as floating point numbers")]
        let [ratio_value, min_value, max_value] = if units.iter().all(|units| *units < MILLI_MAX) {
            let millis = [&ratio.exact, &min.exact, &max.exact].map(|amount| amount.millis() as f64);
            [millis[0] / 1_000.0, millis[1], millis[2]]
        } else {
            units.map(|units| units as f64)
        };
        let limit = max_value / min_value;
        if ratio_value > limit {
            let detail = format!("ratio {} is greater than max/min = {limit:.6}", ratio.text);
            errors.invalid(path, ratio.text.as_str(), detail);
        }
    }
}
