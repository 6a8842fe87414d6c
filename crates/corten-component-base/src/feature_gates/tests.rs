use std::path::PathBuf;

use super::*;

#[test]
fn gates_are_sorted_and_named_once() {
    assert!(FEATURE_GATES.is_sorted_by(|a, b| a.name < b.name));
    let gates = FeatureGates::default();
    assert!(FEATURE_GATES.iter().all(|gate| gates.is_enabled(gate.name) == gate.default));
}

#[test]
fn settings_change_what_they_name() {
    let gates =
        FeatureGates::parse("AllAlpha=true, HPAScaleToZero=f,AllBeta=false,AllBeta=true,PodLogsQuerySplitStreams=0");
    let gates = gates.unwrap();
    for (name, want) in [
        ("MutatingAdmissionPolicy", true),
        ("HPAScaleToZero", false),
        ("PodLogsQuerySplitStreams", false),
        ("GenericWorkload", true),
        ("JobSuccessPolicy", true),
    ] {
        assert_eq!(gates.is_enabled(name), want, "{name}");
    }
    assert_eq!(FeatureGates::parse("").unwrap(), FeatureGates::default());
}

#[test]
fn what_cannot_be_set_is_refused_in_upstreams_words() {
    for (settings, want) in [
        ("Some", "missing bool value for Some"),
        (
            "PodLevelResources=yes",
            "invalid value of PodLevelResources=yes, err: strconv.ParseBool: parsing \"yes\": invalid syntax",
        ),
        ("Fancy=true", "unrecognized feature gate: Fancy"),
        ("kubelet:PodLevelResources=true", "component not registered: kubelet"),
        (
            "kube:PodLevelResources=true,ContainerRestartRules=true",
            "set kube feature gates with default empty prefix or kube: prefix consistently, do not mix use",
        ),
        ("JobSuccessPolicy=false", "cannot set feature gate JobSuccessPolicy to false, feature is locked to true"),
    ] {
        assert_eq!(FeatureGates::parse(settings).unwrap_err().to_string(), want);
    }
}

#[test]
fn the_table_is_upstreams() {
    let Some(folder) = std::env::var_os("CORTEN_UPSTREAM_DATA").map(PathBuf::from) else {
        eprintln!("skipped: CORTEN_UPSTREAM_DATA is not set");
        return;
    };
    let list = std::fs::read_to_string(folder.join("feature-gates.yaml")).unwrap();
    let entries: Vec<&str> = list.split("\n- name: ").skip(1).collect();
    assert_eq!(entries.len(), FEATURE_GATES.len());
    for gate in FEATURE_GATES {
        let entry = entries.iter().find(|entry| entry.lines().next() == Some(gate.name));
        let entry = entry.unwrap_or_else(|| panic!("upstream has no {}", gate.name));
        // Versions come in their order, so that the last one holds.
        let last =
            |field: &str| entry.lines().rev().find_map(|line| line.trim_start_matches(['-', ' ']).strip_prefix(field));
        let stage = match gate.stage {
            Stage::Stable => "GA".to_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(last("default: "), Some(gate.default.to_string().as_str()), "{}", gate.name);
        assert_eq!(last("lockToDefault: "), Some(gate.locked.to_string().as_str()), "{}", gate.name);
        assert_eq!(last("preRelease: "), Some(stage.as_str()), "{}", gate.name);
    }
}

/// They were taken on their own, and half of a feature was on.
#[test]
fn a_gate_needs_those_that_it_builds_on() {
    assert!(DEPENDENCIES.is_sorted_by(|a, b| a.0 < b.0));
    for (gate, needed) in DEPENDENCIES {
        let mut names = needed.iter().chain([gate]);
        assert!(needed.is_sorted() && names.all(|name| place(name).is_some()), "{gate}");
    }
    for (settings, want) in [
        (
            "GangScheduling=true",
            "GangScheduling is enabled, but depends on features that are disabled: [GenericWorkload]",
        ),
        (
            "ProcMountType=true,UserNamespacesSupport=false",
            "ProcMountType is enabled, but depends on features that are disabled: [UserNamespacesSupport]",
        ),
        (
            "PodLevelResources=false,InPlacePodLevelResourcesVerticalScaling=true,DRADeviceTaintRules=true",
            "[DRADeviceTaintRules is enabled, but depends on features that are disabled: [DRADeviceTaints], \
             InPlacePodLevelResourcesVerticalScaling is enabled, but depends on features that are disabled: \
             [NodeDeclaredFeatures PodLevelResources]]",
        ),
    ] {
        assert_eq!(FeatureGates::parse(settings).unwrap_err().to_string(), want);
    }
    for settings in
        ["", "AllAlpha=true,AllBeta=true", "GangScheduling=true,GenericWorkload=true", "GangScheduling=false"]
    {
        FeatureGates::parse(settings).expect(settings);
    }
}

#[test]
fn the_component_may_be_named() {
    let gates = FeatureGates::parse("kube:HPAScaleToZero=true, kube:AllBeta=true").unwrap();
    assert!(gates.is_enabled("HPAScaleToZero") && gates.is_enabled("MutatingAdmissionPolicy"));
}
