use serde_json::{Value, json};

use super::{RESOURCE, strategy};
use crate::testing::{created, patched, refuses, refuses_update, row, updated, value};

fn range(ranges: &[&str]) -> Value {
    json!({"metadata": {"name": "r"}, "spec": {"cidrs": ranges}})
}

#[test]
fn a_range_is_stored_as_sent() {
    let (object, errors) = created(&RESOURCE, range(&["10.0.0.0/24", "fd00::/112"]));
    assert_eq!((object, errors), (value(range(&["10.0.0.0/24", "fd00::/112"])), Vec::new()));
}

#[test]
fn ranges_are_checked() {
    let cases: [(&[&str], &[&str]); 6] = [
        (&[], &["spec.cidrs: Required value: at least one CIDR required"]),
        (
            &["a", "b", "c"],
            &["spec.cidrs: Invalid value: {\"CIDRs\":[\"a\",\"b\",\"c\"]}: may only hold up to 2 values"],
        ),
        (
            &["10.0.0.1/24"],
            &["spec.cidrs[0]: Invalid value: \"10.0.0.1/24\": must not have bits set beyond the prefix length"],
        ),
        (
            &["10.0.0.0/24", "FD00::/112"],
            &["spec.cidrs[1]: Invalid value: \"FD00::/112\": must be in canonical form (\"fd00::/112\")"],
        ),
        (
            &["10.0.0.0/24", "ten"],
            &["spec.cidrs[1]: Invalid value: \"ten\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"],
        ),
        (
            &["10.0.0.0/24", "10.1.0.0/24"],
            &[
                "spec.cidrs: Invalid value: [\"10.0.0.0/24\",\"10.1.0.0/24\"]: may specify no more than one IP for each IP \
                 family, i.e 192.168.0.0/24 and 2001:db8::/64",
            ],
        ),
    ];
    for (ranges, want) in cases {
        refuses(&RESOURCE, range(ranges), want);
    }
}

#[test]
fn a_range_stays_and_a_second_family_may_come() {
    let (one, two) = (["10.0.0.0/24"], ["10.0.0.0/24", "fd00::/112"]);
    let check = |old: &[&str], new: &[&str], want: &[&str]| {
        refuses_update(&RESOURCE, RESOURCE.strategy, range(old), range(new), want);
    };
    check(&one, &two, &[]);
    check(&two, &two, &[]);
    check(&one, &["10.1.0.0/24"], &["spec.cidrs[0]: Invalid value: \"10.1.0.0/24\": field is immutable"]);
    check(&one, &["10.1.0.0/24", "fd00::/112"], &["spec.cidrs[0]: Invalid value: \"10.1.0.0/24\": field is immutable"]);
    check(&two, &one, &["spec.cidrs: Invalid value: [\"10.0.0.0/24\"]: field is immutable"]);
    let bad = "spec.cidrs[1]: Invalid value: \"fd00::1/112\": must not have bits set beyond the prefix length";
    check(&one, &["10.0.0.0/24", "fd00::1/112"], &[bad]);
}

#[test]
fn a_status_is_written_alone() {
    let old = patched(range(&["10.0.0.0/24"]), json!({"metadata": {"labels": {"a": "b"}}}));
    let conditions = json!([{"type": "Ready", "status": "True"}]);
    let new = patched(range(&["10.1.0.0/24"]), json!({"status": {"conditions": conditions}}));
    let (status, errors) = updated(&RESOURCE, &strategy::STATUS, old.clone(), new);
    assert_eq!(status, value(patched(old, json!({"status": {"conditions": conditions}}))));
    assert_eq!(errors, [""; 0]);
}

#[test]
fn a_row_shows_the_ranges() {
    let want = ["r", "10.0.0.0/24,fd00::/112", "<unknown>"];
    assert_eq!(row(&RESOURCE, range(&["10.0.0.0/24", "fd00::/112"])), want);
}
