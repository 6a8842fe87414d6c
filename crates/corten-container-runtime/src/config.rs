//! Where a runtime keeps its things. Two clusters on one machine differ in all of it.

use std::{path::PathBuf, time::Duration};

use crate::images::registry::RegistryConfig;

/// The places and names of one container runtime.
#[derive(Debug, Clone)]
pub struct Config {
    /// What survives a reboot: images, snapshots, records of pods. Not on overlayfs, which cannot carry another one.
    pub root: PathBuf,
    /// What a reboot ends: sockets, bundles, pinned namespaces. A tmpfs; short, because a socket's path has 107 bytes.
    pub run: PathBuf,
    /// The control group, below the root of each hierarchy, of pods whose config names no parent.
    pub cgroup_root: String,
    /// The bridge of the built-in pod network.
    pub bridge: String,
    /// The nftables table of the built-in pod network.
    pub nft_table: String,
    /// The built-in pod network's ranges until the kubelet tells others; empty: none, and pods wait for the node's range.
    pub pod_cidrs: Vec<String>,
    /// TCP ports of the node that no pod is given: its own servers listen there.
    pub reserved_ports: Vec<u16>,
    /// Where other pod networks leave their CNI configuration; what is found there is used instead of the built-in one.
    pub cni_config_dir: PathBuf,
    /// Where the executables of CNI plugins are.
    pub cni_plugin_dirs: Vec<PathBuf>,
    /// The program of a pod's shim; it is given `shim_arguments` and calls `shim::main`.
    pub shim_executable: PathBuf,
    /// What precedes the shim's own arguments: `["shim"]` for the `corten` binary.
    pub shim_arguments: Vec<String>,
    /// How long a shim may take to answer when it is to end something; one that takes longer hangs for good and is killed,
    /// with its pod: otherwise nobody could ever end it. Upstream: `runtimeRequestTimeout`.
    pub shim_patience: Duration,
    /// How many files shims, and so containers that ask for nothing else, may have open: the soft limit that they begin with.
    /// Absent: that of this process.
    pub open_files: Option<u64>,
    /// Where images come from.
    pub registries: RegistryConfig,
}

impl Config {
    /// Everything below `root` and `run`, with `name` in whatever the machine shares.
    #[must_use]
    pub fn new(name: &str, root: PathBuf, run: PathBuf, shim_executable: PathBuf) -> Self {
        Self {
            cgroup_root: name.to_owned(),
            // Interface names have 15 bytes.
            bridge: format!("{}0", name.chars().take(14).collect::<String>()),
            nft_table: format!("{name}-cni"),
            pod_cidrs: Vec::new(),
            reserved_ports: Vec::new(),
            cni_config_dir: root.join("cni/net.d"),
            cni_plugin_dirs: Vec::new(),
            root,
            run,
            shim_executable,
            shim_arguments: vec!["shim".to_owned()],
            shim_patience: crate::shim::client::ANSWER_PATIENCE,
            open_files: None,
            registries: RegistryConfig::default(),
        }
    }
}
