//! What stays of claims without their gates.

use serde_json::{Value, json};

use super::{RESOURCE, STATUS, allocated, claim, one, several};
use crate::{
    resource::testing::{ALL, created, updated},
    testing::patched,
};

#[test]
fn what_is_behind_a_gate_goes_unless_it_is_in_use() {
    let spec = claim(json!({
        "requests": [
            {"name": "a", "exactly": {"deviceClassName": "c", "adminAccess": true, "capacity": {"requests": {"m": "1"}},
                "tolerations": [{"key": "k"}]}},
            {"name": "s", "firstAvailable": [{"name": "x", "deviceClassName": "c",
                "capacity": {"requests": {"m": "1"}}, "tolerations": [{"key": "k"}]}]},
        ],
        "constraints": [{"matchAttribute": "a/b", "distinctAttribute": "a/c"}],
    }));
    let status = json!({"status": {
        "allocation": {"allocationTimestamp": "2026-01-01T00:00:00Z", "devices": {"results": [{
            "request": "a", "driver": "d", "pool": "p", "device": "x", "adminAccess": true,
            "bindingConditions": ["b"], "bindingFailureConditions": ["f"],
            "shareID": "a1b2c3d4-0000-1111-2222-333344445555", "consumedCapacity": {"m": "1"},
        }]}},
        "devices": [{"driver": "d", "pool": "p", "device": "x", "shareID": "a1b2c3d4-0000-1111-2222-333344445555"}],
    }});
    let full = patched(spec.clone(), status);
    let shown = |object: &corten_apimachinery::Value| format!("{object:?}");
    let fields = [
        "adminAccess",
        "firstAvailable",
        "capacity",
        "tolerations",
        "distinctAttribute",
        "bindingConditions",
        "bindingFailureConditions",
        "shareID",
        "consumedCapacity",
    ];
    let off = "DRAAdminAccess=false,DRAPrioritizedList=false,DRAResourceClaimDeviceStatus=false";
    let (bare, _) = created(&RESOURCE, off, spec.clone());
    let plain = claim(json!({"requests": [{"name": "a", "exactly": {"deviceClassName": "c"}}]}));
    let (status, _) = updated(&RESOURCE, &STATUS, off, plain, full.clone());
    let (kept, _) = updated(&RESOURCE, &STATUS, off, full.clone(), full);
    for field in fields {
        let named = format!("\"{field}\"");
        assert!(!shown(&bare).contains(&named) && !shown(&status).contains(&named), "{field}");
        assert!(shown(&kept).contains(&named), "{field} in {}", shown(&kept));
    }
    assert_eq!(status.at(&["status", "devices"]), None);
    assert_eq!(created(&RESOURCE, ALL, spec).0.items_at(&["spec", "devices", "requests"]).len(), 2);
}

/// It went with the conditions, which needed the gate of reports, too.
#[test]
fn conditions_have_one_gate_and_the_time_of_the_allocation_none() {
    let plain = claim(json!({"requests": [one()]}));
    let with = patched(
        plain.clone(),
        json!({"status": {"allocation": {"allocationTimestamp": "2026-01-01T00:00:00Z", "devices": {"results": [{
            "request": "a", "driver": "d", "pool": "p", "device": "x",
            "bindingConditions": ["b"], "bindingFailureConditions": ["f"],
        }]}}}}),
    );
    for (gates, is_kept) in [
        ("DRADeviceBindingConditions=false", false),
        ("DRADeviceBindingConditions=true,DRAResourceClaimDeviceStatus=true", true),
    ] {
        let (object, errors) = updated(&RESOURCE, &STATUS, gates, plain.clone(), with.clone());
        assert_eq!(errors, [""; 0]);
        let allocation = object.at(&["status", "allocation"]).unwrap();
        assert_eq!(allocation.str_at(&["allocationTimestamp"]), Some("2026-01-01T00:00:00Z"), "{gates}");
        let result = &allocation.items_at(&["devices", "results"])[0];
        assert_eq!(!result.items_at(&["bindingConditions"]).is_empty(), is_kept, "{gates}");
        assert_eq!(!result.items_at(&["bindingFailureConditions"]).is_empty(), is_kept, "{gates}");
    }
}

/// A report about a share that is not told apart without the gate goes with the device, and so does the metadata of a status.
#[test]
fn a_status_is_cut_before_what_it_speaks_of_is_looked_for() {
    assert_eq!(corten_apimachinery::resource::Strategy::reset_fields(&STATUS), [&["metadata"], &["spec"]]);
    let share = "a1b2c3d4-0000-1111-2222-333344445555";
    let old = allocated(json!({}));
    let new = patched(
        claim(json!({"requests": [one(), several()]})),
        json!({"status": {"devices": [{"driver": "d", "pool": "p", "device": "x", "shareID": share}]}}),
    );
    let (object, errors) = updated(&RESOURCE, &STATUS, "DRAConsumableCapacity=false", old.clone(), new.clone());
    assert_eq!((object.items_at(&["status", "devices"]).len(), errors.len()), (0, 0));
    let (object, _) = updated(&RESOURCE, &STATUS, "DRAConsumableCapacity=true", old, new);
    assert_eq!(object.items_at(&["status", "devices"]).len(), 1);
}

/// Tolerations stayed without their gate, and what a status used was kept in a spec that did not use it.
#[test]
fn each_field_of_a_spec_has_its_gate() {
    let request = |field: &str, value: Value| {
        let mut request = json!({"name": "a", "exactly": {"deviceClassName": "c"}});
        request["exactly"][field] = value;
        claim(json!({"requests": [request]}))
    };
    let other = |field: &str, value: Value| {
        let mut request = json!({"name": "a", "firstAvailable": [{"name": "x", "deviceClassName": "c"}]});
        request["firstAvailable"][0][field] = value;
        claim(json!({"requests": [request]}))
    };
    let tolerations = || json!([{"key": "k", "operator": "Exists"}]);
    let capacity = || json!({"requests": {"m": "1"}});
    for (field, gate, sent) in [
        ("tolerations", "DRADeviceTaints", request("tolerations", tolerations())),
        ("tolerations", "DRADeviceTaints", other("tolerations", tolerations())),
        ("capacity", "DRAConsumableCapacity", request("capacity", capacity())),
        ("capacity", "DRAConsumableCapacity", other("capacity", capacity())),
        ("adminAccess", "DRAAdminAccess", request("adminAccess", json!(true))),
    ] {
        let (on, off) = (format!("{gate}=true"), format!("{gate}=false"));
        let has = |object: &corten_apimachinery::Value| format!("{object:?}").contains(&format!("\"{field}\""));
        assert!(has(&created(&RESOURCE, &on, sent.clone()).0), "{field}");
        assert!(!has(&created(&RESOURCE, &off, sent.clone()).0), "{field}");
        assert!(has(&updated(&RESOURCE, RESOURCE.strategy, &off, sent.clone(), sent).0), "{field}");
    }
    let used = json!({"status": {"allocation": {"devices": {"results": [
        {"request": "a", "driver": "d", "pool": "p", "device": "x", "adminAccess": true},
    ]}}}});
    let plain = patched(claim(json!({"requests": [one()]})), used);
    let more = json!({"spec": {"devices": {"requests": [
        {"name": "a", "exactly": {"deviceClassName": "gpu", "adminAccess": true}},
    ]}}});
    let (kept, errors) =
        updated(&RESOURCE, RESOURCE.strategy, "DRAAdminAccess=false", plain.clone(), patched(plain, more));
    assert_eq!(errors, [""; 0]);
    let request = &kept.items_at(&["spec", "devices", "requests"])[0];
    assert_eq!(request.at(&["exactly", "adminAccess"]), None);
    let result = &kept.items_at(&["status", "allocation", "devices", "results"])[0];
    assert_eq!(result.bool_at(&["adminAccess"]), Some(true));
}
