//! What the tests of the group use: writes with feature gates on that are off by default.

use corten_apimachinery::{
    Features, Value,
    resource::{Context, ResourceDefinition, Strategy},
};

use crate::testing::{assert_fits, context, defaulted, features};

/// All gates of the group that are off by default.
pub(crate) const ALL: &str = "DRAConsumableCapacity=true,DRADeviceBindingConditions=true,DRADeviceTaints=true,\
                              DRAExtendedResource=true,DRAPartitionableDevices=true";

fn within<T>(resource: &ResourceDefinition, gates: &str, run: impl FnOnce(&Context<'_>) -> T) -> T {
    let features: Features = features(gates);
    run(&Context { features: &features, ..context(resource.versions[0].name) })
}

/// What a create makes of an object with `gates` set, and the errors of its validation.
pub(crate) fn created(resource: &ResourceDefinition, gates: &str, json: serde_json::Value) -> (Value, Vec<String>) {
    within(resource, gates, |cx| {
        let mut object = defaulted(resource, json);
        resource.strategy.prepare_for_create(cx, &mut object);
        assert_fits(resource, &object);
        let errors = resource.strategy.validate(cx, &object);
        (object, errors.iter().map(ToString::to_string).collect())
    })
}

/// What an update under `strategy` makes of `old` with `gates` set, and the errors of its validation.
pub(crate) fn updated(
    resource: &ResourceDefinition,
    strategy: &dyn Strategy,
    gates: &str,
    old: serde_json::Value,
    new: serde_json::Value,
) -> (Value, Vec<String>) {
    within(resource, gates, |cx| {
        let (old, mut new) = (defaulted(resource, old), defaulted(resource, new));
        strategy.prepare_for_update(cx, &mut new, &old);
        assert_fits(resource, &new);
        let errors = strategy.validate_update(cx, &new, &old);
        (new, errors.iter().map(ToString::to_string).collect())
    })
}

/// Creating `json` with `gates` set breaks exactly these rules.
#[track_caller]
pub(crate) fn refuses(resource: &ResourceDefinition, gates: &str, json: serde_json::Value, want: &[&str]) {
    assert_eq!(created(resource, gates, json).1, want);
}
