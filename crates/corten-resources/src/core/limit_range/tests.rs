use corten_apimachinery::meta::ObjectMeta as _;
use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{context, created, refuses, refuses_update, row, value};

fn range(limits: Value) -> Value {
    json!({"metadata": {"name": "r"}, "spec": {"limits": limits}})
}

#[test]
fn containers_get_what_is_not_said() {
    let (object, errors) = created(
        &RESOURCE,
        range(json!([
            {"type": "Container", "max": {"cpu": "2", "memory": "1Gi"}, "min": {"cpu": "100u"}, "default": {"cpu": "1"}},
            {"type": "Pod", "max": {"cpu": "2"}},
        ])),
    );
    assert_eq!(errors, [""; 0]);
    let container = json!({
        "type": "Container", "max": {"cpu": "2", "memory": "1Gi"}, "min": {"cpu": "1m"},
        "default": {"cpu": "1", "memory": "1Gi"}, "defaultRequest": {"cpu": "1", "memory": "1Gi"},
    });
    assert_eq!(object, value(range(json!([container, {"type": "Pod", "max": {"cpu": "2"}}]))));
    let (object, _) = created(&RESOURCE, range(json!([{"type": "Container", "min": {"cpu": "1"}}])));
    let want = json!([{"type": "Container", "min": {"cpu": "1"}, "defaultRequest": {"cpu": "1"}}]);
    assert_eq!(object, value(range(want)));
}

#[test]
fn one_without_a_name_is_named_by_its_uid() {
    let mut object = value(json!({"metadata": {"uid": "u-1"}, "spec": {"limits": []}}));
    RESOURCE.strategy.prepare_for_create(&context("v1"), &mut object);
    assert_eq!(object.name(), "u-1");
}

#[test]
fn limits_are_checked() {
    let cases: [(Value, &[&str]); 13] = [
        (json!([{"type": "acme.io/Thing", "max": {"acme.io/x": "1"}}]), &[]),
        (
            json!([{"type": "Odd"}, {"type": "Odd"}]),
            &[
                "spec.limits[0].type: Invalid value: \"Odd\": must be a standard limit type or fully qualified",
                "spec.limits[1].type: Invalid value: \"Odd\": must be a standard limit type or fully qualified",
                "spec.limits[1].type: Duplicate value: \"Odd\"",
            ],
        ),
        (
            json!([{"type": "Container", "max": {"storage": "1"}, "min": {"odd": "1"}, "maxLimitRequestRatio": {"": "1"}}]),
            &[
                "spec.limits[0].max[storage]: Invalid value: \"storage\": must be a standard resource for containers",
                "spec.limits[0].min[odd]: Invalid value: \"odd\": must be a standard resource type or fully qualified",
                "spec.limits[0].min[odd]: Invalid value: \"odd\": must be a standard resource for containers",
                "spec.limits[0].default[storage]: Invalid value: \"storage\": must be a standard resource for containers",
                "spec.limits[0].defaultRequest[odd]: Invalid value: \"odd\": must be a standard resource type or fully \
                 qualified",
                "spec.limits[0].defaultRequest[odd]: Invalid value: \"odd\": must be a standard resource for containers",
                "spec.limits[0].defaultRequest[storage]: Invalid value: \"storage\": must be a standard resource for \
                 containers",
                "spec.limits[0].maxLimitRequestRatio[]: Invalid value: \"\": name part must be non-empty",
                "spec.limits[0].maxLimitRequestRatio[]: Invalid value: \"\": name part must consist of alphanumeric \
                 characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or \
                 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
                "spec.limits[0].maxLimitRequestRatio[]: Invalid value: \"\": must be a standard resource for containers",
            ],
        ),
        (
            json!([{"type": "Pod", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "1"}}]),
            &[
                "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'",
                "spec.limits[0].defaultRequest: Forbidden: may not be specified when `type` is 'Pod'",
            ],
        ),
        (
            json!([{"type": "PersistentVolumeClaim", "max": {"cpu": "1"}}]),
            &[
                "spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither \
                 was provided",
            ],
        ),
        (
            json!([{"type": "Pod", "min": {"cpu": "2"}, "max": {"cpu": "1"}}]),
            &["spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1"],
        ),
        (
            json!([{"type": "Container", "min": {"cpu": "2"}, "defaultRequest": {"cpu": "1"}}]),
            &[
                "spec.limits[0].defaultRequest[cpu]: Invalid value: \"1\": min value 2 is greater than default request value 1",
            ],
        ),
        (
            json!([{"type": "Container", "max": {"cpu": "1"}, "default": {"cpu": "1"}, "defaultRequest": {"cpu": "2"}}]),
            &[
                "spec.limits[0].defaultRequest[cpu]: Invalid value: \"2\": default request value 2 is greater than max \
                 value 1",
                "spec.limits[0].defaultRequest[cpu]: Invalid value: \"2\": default request value 2 is greater than default \
                 limit value 1",
            ],
        ),
        (
            json!([{"type": "Container", "min": {"cpu": "2"}, "default": {"cpu": "1"}, "defaultRequest": {"cpu": "2"}}]),
            &[
                "spec.limits[0].defaultRequest[cpu]: Invalid value: \"2\": default request value 2 is greater than default \
                 limit value 1",
                "spec.limits[0].default[cpu]: Invalid value: \"2\": min value 2 is greater than default value 1",
            ],
        ),
        (
            json!([{"type": "Container", "max": {"cpu": "1"}, "default": {"cpu": "2"}, "defaultRequest": {"cpu": "1"}}]),
            &["spec.limits[0].default[cpu]: Invalid value: \"1\": default value 2 is greater than max value 1"],
        ),
        (
            json!([{"type": "Pod", "maxLimitRequestRatio": {"cpu": "800m"}}]),
            &["spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"800m\": ratio 800m is less than 1"],
        ),
        (
            json!([{"type": "Pod", "min": {"cpu": "1"}, "max": {"cpu": "2"}, "maxLimitRequestRatio": {"cpu": "10"}}]),
            &["spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"10\": ratio 10 is greater than max/min = \
                 2.000000"],
        ),
        (
            json!([{"type": "Container", "default": {"acme.io/gpu": "2"}, "defaultRequest": {"acme.io/gpu": "1"}}]),
            &["spec.limits[0].defaultRequest[acme.io/gpu]: Invalid value: \"1\": default value 2 must equal to \
                 defaultRequest value 1 in acme.io/gpu"],
        ),
    ];
    for (limits, want) in cases {
        refuses(&RESOURCE, range(limits), want);
    }
}

#[test]
fn an_update_is_checked_like_a_create() {
    let bad = range(json!([{"type": "Odd"}]));
    let want = ["spec.limits[0].type: Invalid value: \"Odd\": must be a standard limit type or fully qualified"];
    refuses_update(&RESOURCE, RESOURCE.strategy, range(json!([])), bad, &want);
}

#[test]
fn a_row_shows_when_it_was_made() {
    let object = json!({"metadata": {"name": "r", "creationTimestamp": "2026-01-01T00:00:00Z"}});
    assert_eq!(row(&RESOURCE, object), ["r", "2026-01-01T00:00:00Z"]);
}
