//! The file of `--config`: `KubeSchedulerConfiguration` of kubescheduler.config.k8s.io/v1, as far as this scheduler follows it.
//!
//! Fields that upstream knows and this scheduler does not follow are named in the log, so that nobody relies on them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use corten_apimachinery::{codec::yaml, value::Value};
use corten_base::fs;
use corten_scheduler::framework::{Config, Profile};

const API_VERSION: &str = "kubescheduler.config.k8s.io/v1";
const KIND: &str = "KubeSchedulerConfiguration";

/// What the file says; absent fields have upstream's defaults.
#[derive(Debug, Default)]
pub(super) struct Configuration {
    /// How pods are scheduled.
    pub(super) scheduling: Config,
    /// `clientConnection.kubeconfig`.
    pub(super) kubeconfig: Option<PathBuf>,
    /// `leaderElection.leaderElect`.
    pub(super) leader_elect: Option<bool>,
    /// `leaderElection.resourceName`.
    pub(super) lease_name: Option<String>,
    /// `leaderElection.resourceNamespace`.
    pub(super) lease_namespace: Option<String>,
    /// The fields of the file that are not followed.
    pub(super) ignored: Vec<String>,
}

/// The fields that are followed, with those of the objects in them that are.
const FOLLOWED: &[(&str, &[&str])] = &[
    ("apiVersion", &[]),
    ("kind", &[]),
    ("profiles", &[]),
    ("percentageOfNodesToScore", &[]),
    ("podInitialBackoffSeconds", &[]),
    ("podMaxBackoffSeconds", &[]),
    ("clientConnection", &["kubeconfig"]),
    ("leaderElection", &["leaderElect", "resourceName", "resourceNamespace"]),
];

impl Configuration {
    /// Reads the file, YAML or JSON.
    ///
    /// Errors: it cannot be read, is something else, names an unknown plugin, or a field has a value that cannot be; all name
    /// the file.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        parse(&fs::read(path)?).with_context(|| format!("use {}", path.display()))
    }
}

fn parse(bytes: &[u8]) -> anyhow::Result<Configuration> {
    let documents = yaml::decode_all(bytes).context("parse it as YAML")?;
    let [value] = &documents[..] else { bail!("it has {} documents instead of one", documents.len()) };
    let field = |name: &str| value.str_at(&[name]).unwrap_or_default();
    if field("apiVersion") != API_VERSION || field("kind") != KIND {
        bail!("it is {:?} of {:?}, not {KIND} of {API_VERSION}", field("kind"), field("apiVersion"));
    }
    let scheduling = Config::from_value(value).context("understand its fields")?;
    let mut names: Vec<_> = scheduling.profiles.iter().map(|profile| &profile.scheduler_name).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!("two profiles have the scheduler name {:?}", pair[0].as_str());
    }
    // Arguments of plugins are read when a profile is built. Better now than when the lease is held.
    for profile in &scheduling.profiles {
        Profile::build(profile).context("understand the arguments of its plugins")?;
    }
    let text = |path: &[&str]| value.str_at(path).filter(|text| !text.is_empty()).map(str::to_owned);
    Ok(Configuration {
        kubeconfig: text(&["clientConnection", "kubeconfig"]).map(PathBuf::from),
        leader_elect: value.bool_at(&["leaderElection", "leaderElect"]),
        lease_name: text(&["leaderElection", "resourceName"]),
        lease_namespace: text(&["leaderElection", "resourceNamespace"]),
        ignored: ignored(value),
        scheduling,
    })
}

fn ignored(value: &Value) -> Vec<String> {
    let mut ignored = Vec::new();
    for (name, field) in value.as_object().into_iter().flat_map(|fields| fields.iter()) {
        let Some((_, within)) = FOLLOWED.iter().find(|(followed, _)| *followed == name) else {
            ignored.push(name.to_owned());
            continue;
        };
        if !within.is_empty() {
            let inner = field.as_object().into_iter().flat_map(|fields| fields.iter()).map(|(inner, _)| inner);
            let others = inner.filter(|inner| !within.contains(inner));
            ignored.extend(others.map(|inner| format!("{name}.{inner}")));
        }
    }
    ignored
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "apiVersion: kubescheduler.config.k8s.io/v1\n\
        kind: KubeSchedulerConfiguration\n\
        clientConnection: {kubeconfig: /etc/kubernetes/scheduler.conf, qps: 100}\n\
        leaderElection: {leaderElect: false, leaseDuration: 15s, resourceName: second}\n\
        parallelism: 16\n\
        podMaxBackoffSeconds: 20\n\
        profiles:\n\
        - schedulerName: default-scheduler\n\
        - schedulerName: packing\n  plugins:\n    score:\n      disabled: [{name: ImageLocality}]\n  pluginConfig:\n  \
        - name: NodeResourcesFit\n    args:\n      scoringStrategy: {type: MostAllocated, resources: [{name: cpu, weight: 1}]}\n";

    #[test]
    fn profiles_are_followed_and_what_is_not_is_named() {
        let read = parse(FILE.as_bytes()).unwrap();
        let names: Vec<_> = read.scheduling.profiles.iter().map(|profile| profile.scheduler_name.as_str()).collect();
        assert_eq!(names, ["default-scheduler", "packing"]);
        let plugins = &read.scheduling.profiles[1].plugins;
        let plugin = |name: &str| plugins.iter().find(|plugin| plugin.name == name).unwrap();
        assert_eq!(plugin("ImageLocality").disabled_points, ["score"]);
        assert_eq!(plugin("NodeResourcesFit").args.str_at(&["scoringStrategy", "type"]), Some("MostAllocated"));
        assert_eq!(read.scheduling.pod_max_backoff.as_secs(), 20);
        assert_eq!(read.kubeconfig.as_deref(), Some(Path::new("/etc/kubernetes/scheduler.conf")));
        assert_eq!((read.leader_elect, read.lease_name.as_deref()), (Some(false), Some("second")));
        assert_eq!(read.ignored, ["clientConnection.qps", "leaderElection.leaseDuration", "parallelism"]);
    }

    #[test]
    fn other_objects_and_wrong_values_are_refused() {
        for (from, to, why) in [
            ("KubeSchedulerConfiguration", "KubeletConfiguration", "not KubeSchedulerConfiguration"),
            ("schedulerName: packing", "schedulerName: default-scheduler", "two profiles"),
            ("{name: ImageLocality}]", "{name: ImageLocality}]\n      enabled: [{name: Nope}]", "unknown plugin Nope"),
            ("podMaxBackoffSeconds: 20", "podMaxBackoffSeconds: 0", "podMaxBackoffSeconds"),
            ("type: MostAllocated", "type: Nonsense", "arguments"),
            ("parallelism: 16", "parallelism: [", "YAML"),
        ] {
            assert!(FILE.contains(from), "{from}");
            let error = format!("{:#}", parse(FILE.replace(from, to).as_bytes()).unwrap_err());
            assert!(error.contains(why), "{why}: {error}");
        }
    }
}
