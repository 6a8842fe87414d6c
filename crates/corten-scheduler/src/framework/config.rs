//! `KubeSchedulerConfiguration`, the part that is used here, as typed values.
//!
//! Source: kubescheduler.config.k8s.io/v1 (v1.35). Extenders, leader election and client settings are the assembly's.

use std::{collections::BTreeMap, time::Duration};

use corten_apimachinery::value::{Str, Value};

use super::plugin::ArgsError;
use crate::plugins::catalog;

/// A scheduler's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Its profiles; at least one.
    pub profiles: Vec<ProfileConfig>,
    /// How many of all nodes are looked at until enough fit, in percent; 0 adapts to the cluster.
    pub percentage_of_nodes_to_score: u8,
    /// The first wait of a pod that did not fit.
    pub pod_initial_backoff: Duration,
    /// The longest.
    pub pod_max_backoff: Duration,
}

/// One profile: a scheduler name and its plugins.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileConfig {
    /// `spec.schedulerName` of the pods it takes.
    pub scheduler_name: Str,
    /// In place of the scheduler's.
    pub percentage_of_nodes_to_score: Option<u8>,
    /// The plugins in order.
    pub plugins: Vec<PluginConfig>,
}

/// A plugin of a profile.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginConfig {
    /// The name in the catalog.
    pub name: Str,
    /// The weight of its score.
    pub weight: i64,
    /// Its arguments; null for none.
    pub args: Value,
    /// Extension points that are switched off for it, by their names in configuration (`score`, `preFilter`).
    pub disabled_points: Vec<Str>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            profiles: vec![ProfileConfig::default()],
            percentage_of_nodes_to_score: 0,
            pod_initial_backoff: Duration::from_secs(1),
            pod_max_backoff: Duration::from_secs(10),
        }
    }
}

impl Default for ProfileConfig {
    fn default() -> Self {
        let plugins = catalog::PLUGINS.iter().map(|plugin| PluginConfig::new(plugin.name, plugin.default_weight));
        Self {
            scheduler_name: "default-scheduler".into(),
            percentage_of_nodes_to_score: None,
            plugins: plugins.collect(),
        }
    }
}

impl PluginConfig {
    fn new(name: &str, weight: i64) -> Self {
        Self { name: name.into(), weight, args: Value::Null, disabled_points: Vec::new() }
    }
}

impl Config {
    /// Reads a `KubeSchedulerConfiguration`. Profiles' `multiPoint` adds and removes plugins; a set of one extension point
    /// removes plugins from it and sets weights (`score`).
    ///
    /// Errors: unknown plugins and values out of range, with their paths.
    pub fn from_value(value: &Value) -> Result<Self, ArgsError> {
        let default = Self::default();
        let seconds = |field: &str, default: Duration| match value.i64_at(&[field]) {
            None => Ok(default),
            Some(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds.unsigned_abs())),
            Some(_) => Err(error(field, "must be greater than 0")),
        };
        let config = Self {
            percentage_of_nodes_to_score: percentage(value, "percentageOfNodesToScore")?.unwrap_or(0),
            pod_initial_backoff: seconds("podInitialBackoffSeconds", default.pod_initial_backoff)?,
            pod_max_backoff: seconds("podMaxBackoffSeconds", default.pod_max_backoff)?,
            profiles: match value.items_at(&["profiles"]) {
                [] => default.profiles,
                profiles => profiles
                    .iter()
                    .enumerate()
                    .map(|(at, profile)| ProfileConfig::from_value(profile, &format!("profiles[{at}]")))
                    .collect::<Result<_, _>>()?,
            },
        };
        if config.pod_max_backoff < config.pod_initial_backoff {
            return Err(error("podMaxBackoffSeconds", "must be greater than or equal to podInitialBackoffSeconds"));
        }
        Ok(config)
    }
}

impl ProfileConfig {
    fn from_value(value: &Value, path: &str) -> Result<Self, ArgsError> {
        let mut profile =
            Self { percentage_of_nodes_to_score: percentage(value, "percentageOfNodesToScore")?, ..Self::default() };
        if let Some(name) = value.str_at(&["schedulerName"]) {
            profile.scheduler_name = name.into();
        }
        let no_sets = corten_apimachinery::value::Map::new();
        let sets = value.get("plugins").and_then(Value::as_object).unwrap_or(&no_sets);
        // Sets of single points change what multiPoint has made.
        let multi_point = sets.iter().filter(|(point, _)| *point == "multiPoint");
        for (point, set) in multi_point.chain(sets.iter().filter(|(point, _)| *point != "multiPoint")) {
            profile.apply_set(point, set, &format!("{path}.plugins.{point}"))?;
        }
        let mut args = BTreeMap::new();
        for (at, entry) in value.items_at(&["pluginConfig"]).iter().enumerate() {
            let name = entry.str_at(&["name"]).unwrap_or_default();
            if args.insert(name, entry.get("args").cloned().unwrap_or_default()).is_some() {
                return Err(error(&format!("{path}.pluginConfig[{at}]"), "repeats a plugin"));
            }
        }
        for plugin in &mut profile.plugins {
            plugin.args = args.remove(plugin.name.as_str()).unwrap_or_default();
        }
        Ok(profile)
    }

    fn apply_set(&mut self, point: &str, set: &Value, path: &str) -> Result<(), ArgsError> {
        for entry in set.items_at(&["disabled"]) {
            let name = entry.str_at(&["name"]).unwrap_or_default();
            let is_meant = |plugin: &PluginConfig| name == "*" || plugin.name == name;
            if point == "multiPoint" {
                self.plugins.retain(|plugin| !is_meant(plugin));
            } else {
                let meant = self.plugins.iter_mut().filter(|plugin| is_meant(plugin));
                meant.for_each(|plugin| plugin.disabled_points.push(point.into()));
            }
        }
        for (at, entry) in set.items_at(&["enabled"]).iter().enumerate() {
            let name = entry.str_at(&["name"]).unwrap_or_default();
            let descriptor = catalog::PLUGINS.iter().find(|plugin| plugin.name == name);
            let Some(descriptor) = descriptor else {
                return Err(error(&format!("{path}.enabled[{at}].name"), &format!("unknown plugin {name}")));
            };
            let weight = entry.i64_at(&["weight"]).filter(|weight| *weight > 0);
            match self.plugins.iter_mut().find(|plugin| plugin.name == name) {
                Some(plugin) => {
                    plugin.weight = weight.unwrap_or(plugin.weight);
                    plugin.disabled_points.retain(|disabled| disabled != point);
                }
                None => {
                    self.plugins.push(PluginConfig::new(name, weight.unwrap_or(descriptor.default_weight.max(1))));
                }
            }
        }
        Ok(())
    }
}

fn percentage(value: &Value, field: &str) -> Result<Option<u8>, ArgsError> {
    let Some(number) = value.i64_at(&[field]) else { return Ok(None) };
    match u8::try_from(number) {
        Ok(number) if number <= 100 => Ok(Some(number)),
        _ => Err(error(field, "not in valid range [0-100]")),
    }
}

fn error(path: &str, problem: &str) -> ArgsError {
    ArgsError { path: path.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use corten_apimachinery::value::Value;

    use super::{Config, PluginConfig};

    fn read(profile: Value) -> Result<Vec<PluginConfig>, String> {
        let value = Value::object_of([("profiles", Value::array([profile]))]);
        Config::from_value(&value).map(|config| config.profiles[0].plugins.clone()).map_err(|error| error.to_string())
    }

    fn set(point: &str, list: &str, name: &str) -> Value {
        let entry = Value::object_of([("name", Value::from(name)), ("weight", Value::Int(7))]);
        Value::object_of([("plugins", Value::object_of([(point, Value::object_of([(list, Value::array([entry]))]))]))])
    }

    #[test]
    fn the_default_profile_has_upstreams_weights() {
        let plugins = read(Value::object()).unwrap();
        let weight = |name: &str| plugins.iter().find(|plugin| plugin.name == name).unwrap().weight;
        assert_eq!((weight("TaintToleration"), weight("NodeAffinity"), weight("NodeResourcesFit")), (3, 2, 1));
    }

    #[test]
    fn sets_change_weights_and_switch_plugins_off() {
        let plugins = read(set("score", "enabled", "ImageLocality")).unwrap();
        assert_eq!(plugins.iter().find(|plugin| plugin.name == "ImageLocality").unwrap().weight, 7);
        let plugins = read(set("multiPoint", "disabled", "ImageLocality")).unwrap();
        assert!(plugins.iter().all(|plugin| plugin.name != "ImageLocality"));
        let plugins = read(set("filter", "disabled", "NodePorts")).unwrap();
        assert_eq!(plugins.iter().find(|plugin| plugin.name == "NodePorts").unwrap().disabled_points, ["filter"]);
    }

    #[test]
    fn unknown_plugins_are_refused_with_their_path() {
        assert_eq!(
            read(set("score", "enabled", "Nope")).unwrap_err(),
            "profiles[0].plugins.score.enabled[0].name: unknown plugin Nope"
        );
    }
}
