use serde_json::{Value as Json, json};

use super::*;

fn volume(name: &str, size: &str, spec: &Json) -> Value {
    let mut volume = json!({
        "metadata": {"name": name}, "status": {"phase": "Available"},
        "spec": {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"]},
    });
    volume["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    from_json(&volume)
}

fn claim(spec: &Json) -> Value {
    let mut claim = json!({
        "metadata": {"name": "c", "namespace": "ns", "uid": "1"},
        "spec": {"resources": {"requests": {"storage": "1Gi"}}, "accessModes": ["ReadWriteOnce"]},
    });
    claim["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    from_json(&claim)
}

/// What a plan comes to: the volume's name, or the event's reason.
fn outcome(plan: &ClaimPlan) -> String {
    match plan {
        ClaimPlan::Bind(volume) => volume.name().to_owned(),
        ClaimPlan::Wait(None) => "wait".to_owned(),
        ClaimPlan::Wait(Some((_, reason, text))) => format!("wait: {reason}: {text}"),
        ClaimPlan::Lose(report) => format!("lost: {}", report.as_ref().map_or("", |(_, reason, _)| reason)),
    }
}

#[track_caller]
fn check(spec: &Json, volumes: &[Value], class: Option<Class<'_>>, want: &str) {
    assert_eq!(outcome(&plan_claim(&claim(spec), volumes, class)), want);
    // What is kept of a volume decides as the whole of it.
    let offers: Vec<Value> = volumes.iter().map(offer).collect();
    assert_eq!(outcome(&plan_claim(&claim(spec), &offers, class)), want);
}

#[test]
fn a_claim_gets_the_smallest_volume_that_will_do() {
    let none = "wait: FailedBinding: no persistent volumes available for this claim and no storage class is set";
    let of_class = json!({"storageClassName": "fast"});
    let all = [
        volume("large", "4Gi", &json!({})),
        volume("small", "1Mi", &json!({})),
        volume("right", "1Gi", &json!({})),
        volume("fast", "1Gi", &of_class),
        volume("taken", "1Gi", &json!({"claimRef": {"namespace": "ns", "name": "other", "uid": "2"}})),
        volume("shared", "1Gi", &json!({"accessModes": ["ReadOnlyMany"]})),
    ];
    check(&json!({}), &all, None, "right");
    check(&json!({}), &all[..2], None, "large");
    check(&json!({}), &all[3..], None, none);
    let fast = Class::Provisioned { by: "example.com/p", late: false };
    check(&of_class, &all, Some(fast), "fast");
    check(&json!({"accessModes": ["ReadOnlyMany"]}), &all, None, "shared");
    check(&json!({"volumeMode": "Block"}), &all, None, none);
    let kept = volume("kept", "8Gi", &json!({"claimRef": {"namespace": "ns", "name": "c"}}));
    check(&json!({}), &[all[2].clone(), kept], None, "kept");
}

#[test]
fn a_claim_that_finds_nothing_says_why() {
    let class = json!({"storageClassName": "fast"});
    let of = |by: &'static str, late: bool| Some(Class::Provisioned { by, late });
    check(
        &class,
        &[],
        Some(Class::Missing),
        "wait: ProvisioningFailed: storageclass.storage.k8s.io \"fast\" not found",
    );
    let first = "wait: WaitForFirstConsumer: waiting for first consumer to be created before binding";
    check(&class, &[volume("v", "1Gi", &class)], of("kubernetes.io/no-provisioner", true), first);
    check(
        &class,
        &[],
        of("kubernetes.io/no-provisioner", false),
        "wait: ProvisioningFailed: no volume plugin matched name: kubernetes.io/no-provisioner",
    );
}

#[test]
fn a_claim_gets_the_volume_it_names_if_that_will_do() {
    let named = json!({"volumeName": "v"});
    check(&named, &[], None, "wait");
    check(&named, &[volume("v", "1Gi", &json!({}))], None, "v");
    check(
        &named,
        &[volume("v", "1Mi", &json!({}))],
        None,
        "wait: VolumeMismatch: Cannot bind to requested volume \"v\": requested PV is too small",
    );
    let taken = json!({"claimRef": {"namespace": "ns", "name": "other", "uid": "2"}});
    check(
        &named,
        &[volume("v", "1Gi", &taken)],
        None,
        "wait: FailedBinding: volume \"v\" already bound to a different claim.",
    );
}

#[test]
fn a_bound_claim_is_lost_with_its_volume() {
    let bound = |volume: &str| claim_with(&claim(&json!({})), volume).unwrap();
    assert_eq!(bound("v").annotation(BOUND_BY_CONTROLLER), Some("yes"));
    assert_eq!(claim_with(&bound("v"), "v"), None);
    let own = volume_for(&volume("v", "1Gi", &json!({})), &bound("v")).unwrap();
    assert_eq!(volume_for(&own, &bound("v")), None);
    let others = volume("v", "1Gi", &json!({"claimRef": {"namespace": "ns", "name": "c", "uid": "9"}}));
    for (volumes, want) in
        [(vec![own.clone()], "v"), (vec![], "lost: ClaimLost"), (vec![others], "lost: ClaimMisbound")]
    {
        assert_eq!(outcome(&plan_claim(&bound("v"), &volumes, None)), want);
    }
}

#[test]
fn a_volume_follows_its_claim() {
    let claim = claim(&json!({"volumeName": "v"}));
    let kept = |name: &str, policy: &str| {
        let spec = json!({"persistentVolumeReclaimPolicy": policy});
        volume_for(&volume(name, "1Gi", &spec), &claim).unwrap()
    };
    let free = volume("v", "1Gi", &json!({}));
    assert_eq!(plan_volume(&free, None), VolumePlan::Phase("Available", None));
    assert_eq!(plan_volume(&kept("v", "Retain"), Some(&claim)), VolumePlan::Phase("Bound", None));
    assert_eq!(plan_volume(&kept("v", "Retain"), None), VolumePlan::Phase("Released", None));
    let VolumePlan::Phase("Failed", Some((_, reason, _))) = plan_volume(&kept("v", "Delete"), None) else {
        panic!("nobody can delete it")
    };
    assert_eq!(reason, "VolumeFailedDelete");
    let VolumePlan::Release(other) = plan_volume(&kept("w", "Retain"), Some(&claim)) else {
        panic!("the claim has another")
    };
    assert!(!is_claimed(&other));
    assert_eq!(other.annotation(BOUND_BY_CONTROLLER), None);
}
