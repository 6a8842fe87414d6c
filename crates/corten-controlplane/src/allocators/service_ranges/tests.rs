use std::collections::BTreeSet;

use corten_base::SimRng;
use serde_json::json;

use super::*;

fn ranges(objects: &[serde_json::Value]) -> ServiceRanges {
    let ranges = objects.iter().flat_map(|object| ranges_of(&crate::testing::tree(object.clone()))).collect();
    ServiceRanges { revisions: Vec::new(), ranges }
}

fn object(cidrs: &[&str], ready: &str) -> serde_json::Value {
    let conditions = if ready.is_empty() { json!([]) } else { json!([{"type": "Ready", "status": ready}]) };
    json!({"metadata": {"name": "r"}, "spec": {"cidrs": cidrs}, "status": {"conditions": conditions}})
}

#[track_caller]
fn check(objects: &[serde_json::Value], address: &str, want_contain: bool, want_give: bool) {
    let (ranges, address) = (ranges(objects), address.parse().unwrap());
    assert_eq!((ranges.contain(address), ranges.give(address)), (want_contain, want_give), "{objects:?} {address}");
}

#[test]
fn only_ready_ranges_give_addresses() {
    let mut going = object(&["10.0.0.0/24"], "True");
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    check(&[], "10.0.0.1", false, false);
    check(&[object(&["10.0.0.0/24"], "")], "10.0.0.1", true, true);
    check(&[object(&["10.0.0.0/24"], "True")], "10.0.0.1", true, true);
    check(&[object(&["10.0.0.0/24"], "False")], "10.0.0.1", true, false);
    check(&[object(&["10.0.0.0/24"], "Unknown")], "10.0.0.1", true, false);
    check(&[going.clone()], "10.0.0.1", true, false);
    // Two objects share a range: one that is ready is enough.
    check(&[going, object(&["10.0.0.0/24"], "True")], "10.0.0.1", true, true);
}

#[test]
fn a_range_has_neither_its_own_address_nor_the_broadcast_one() {
    let v4 = [object(&["10.0.0.0/29"], "")];
    for (address, want) in [("10.0.0.0", false), ("10.0.0.1", true), ("10.0.0.6", true), ("10.0.0.7", false)] {
        check(&v4, address, want, want);
    }
    let v6 = [object(&["fd00::/64"], "")];
    for (address, want) in
        [("fd00::", false), ("fd00::1", true), ("fd00::ffff:ffff:ffff:ffff", true), ("fd01::1", false)]
    {
        check(&v6, address, want, want);
    }
    // The broadcast address of one range is one like others in a larger one.
    check(&[object(&["10.0.0.0/29"], ""), object(&["10.0.0.0/24"], "")], "10.0.0.7", true, true);
    check(&[object(&["fd00::/63"], "")], "fd00::1", false, false);
    check(&[object(&["10.0.0.1/32"], "")], "10.0.0.1", false, false);
}

#[test]
fn all_addresses_of_the_family_are_tried_once_range_by_range() {
    let ranges = ranges(&[
        object(&["10.0.0.0/29", "fd00::/120"], ""),
        object(&["10.0.0.0/29"], ""),
        object(&["10.0.1.0/29"], "False"),
        object(&["10.0.2.0/29"], "True"),
    ]);
    let mut first_ranges = BTreeSet::new();
    for seed in 0..32 {
        let rng = SimRng::shared(seed);
        let tried: Vec<String> = ranges.search("IPv4", &*rng).map(|address| address.to_string()).collect();
        let (head, tail) = tried.split_at(6);
        let sets = [head, tail].map(|part| part.iter().cloned().collect::<BTreeSet<_>>());
        let of = |net: &str| (1..=6).map(|host| format!("{net}.{host}")).collect::<BTreeSet<_>>();
        let mut want = [of("10.0.0"), of("10.0.2")];
        first_ranges.insert(head[0].starts_with("10.0.2"));
        if head[0].starts_with("10.0.2") {
            want.reverse();
        }
        assert_eq!((tried.len(), sets), (12, want));
    }
    assert_eq!(first_ranges.len(), 2, "either range comes first at times");
}

#[test]
fn the_lower_part_comes_last() {
    let check = |net: &str, want_by_hand: usize| {
        let ranges = ranges(&[object(&[net], "")]);
        let rng = SimRng::shared(7);
        let tried: Vec<IpAddr> = ranges.search("IPv4", &*rng).collect();
        let by_hand: BTreeSet<IpAddr> = tried[tried.len() - want_by_hand..].iter().copied().collect();
        let lowest: BTreeSet<IpAddr> = {
            let mut all = tried.clone();
            all.sort_unstable();
            all.into_iter().take(want_by_hand).collect()
        };
        assert_eq!(by_hand, lowest, "{net}");
        let upper = &tried[..tried.len() - want_by_hand];
        let is_mixed = upper.windows(2).any(|pair| pair[0] > pair[1]);
        assert!(is_mixed || upper.len() < 2, "{net}: the search begins at a random place");
    };
    check("10.0.0.0/28", 0);
    check("10.0.0.0/27", 16);
    check("10.0.0.0/24", 16);
    check("10.0.0.0/23", 32);
    check("10.0.0.0/20", 256);
    check("10.0.0.0/16", 256);
}
