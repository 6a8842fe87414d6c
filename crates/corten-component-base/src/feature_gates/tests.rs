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
        FeatureGates::parse("AllAlpha=true, PodLevelResources=f,AllBeta=true,AllBeta=false,MutatingAdmissionPolicy=1");
    let gates = gates.unwrap();
    for (name, want) in [
        ("MutatingAdmissionPolicy", true),
        ("PodLevelResources", false),
        ("ContainerRestartRules", false),
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
