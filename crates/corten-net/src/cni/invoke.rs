//! Runs the plugins of a network configuration, as the specification's section 3 says: ADD in order, DEL in reverse,
//! each with what the one before gave.
//!
//! A plugin whose executable lies in a plugin directory is executed; it inherits this process's namespaces and
//! environment. Otherwise the built-in plugin of that type runs on a blocking thread. Results are cached on disk (in
//! libcni's format), because DEL and CHECK need them, possibly after a restart.
//!
//! Cancellation: dropping a call kills a running executable; a built-in plugin runs to its end in the background. After
//! an addition that failed or was dropped, delete.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use corten_base::{
    TaskSet, blocking,
    fs::{self, Context as _, FsError},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
};

use super::{
    CniError, CniResult, Host, NetworkConfigList, Plugin, PluginConfig, Request, Version, catalog, code,
    config::is_valid_name, host_local,
};
use crate::netlink::MacAddress;

/// 1 MiB: a result has a few hundred bytes; an executable that writes more than this is broken.
const OUTPUT_MAX_BYTES: u64 = 1 << 20;
/// A cached result before it has its name.
const STAGED: &str = ".staged";

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Add,
    Delete,
    Check,
    Status,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Delete => "DEL",
            Self::Check => "CHECK",
            Self::Status => "STATUS",
        }
    }
}

/// Why a network operation failed.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// A plugin said no.
    #[error("plugin {plugin} failed ({verb})")]
    Plugin {
        /// Its type.
        plugin: String,
        /// `ADD`, `DEL`, `CHECK`, `STATUS`.
        verb: &'static str,
        /// Its answer.
        #[source]
        source: CniError,
    },
    /// A plugin is neither installed nor built in.
    #[error("failed to find plugin {plugin:?} in path {directories:?}")]
    NotFound {
        /// Its type.
        plugin: String,
        /// Where it was looked for.
        directories: Vec<PathBuf>,
    },
    /// An executable could not be run.
    #[error("execute plugin {}", path.display())]
    Execute {
        /// The executable.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A plugin's answer is not what the specification says.
    #[error("read the answer of plugin {plugin}")]
    Answer {
        /// Its type.
        plugin: String,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// A name would not do as the name of a file or an interface.
    #[error("{what} {value:?} is not valid")]
    Invalid {
        /// Which.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// The cache of results could not be read or written.
    #[error(transparent)]
    Cache(#[from] FsError),
    /// The configuration's version has no such operation.
    #[error("CNI version {version} does not support CHECK")]
    CheckUnsupported {
        /// The version.
        version: Version,
    },
    /// A built-in plugin panicked.
    #[error("built-in plugin {plugin} panicked")]
    Panic {
        /// Its type.
        plugin: String,
    },
}

/// A sandbox's interface in a network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attachment {
    /// Id of the sandbox.
    pub container_id: String,
    /// Path of its network namespace. When deleting it may be absent, or gone.
    pub netns: Option<PathBuf>,
    /// Name of the interface inside the sandbox, `eth0`.
    pub interface: String,
    /// `CNI_ARGS`, in order.
    pub args: Vec<(String, String)>,
    /// What the runtime can give to plugins that declare the capability: `portMappings`, `bandwidth`, `dns`, `ips` ...
    pub capabilities: Map<String, Value>,
}

/// The parts of a cached result, in libcni's format, that say whose it is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CacheEntry {
    container_id: String,
    network_name: String,
    if_name: String,
    netns: Option<PathBuf>,
    cni_args: Option<Vec<(String, String)>>,
    capability_args: Option<Map<String, Value>>,
}

/// Runs plugins.
#[derive(Clone, Debug)]
pub struct Invoker {
    directories: Vec<PathBuf>,
    cache_dir: PathBuf,
    host: Arc<Host>,
    tasks: TaskSet,
}

impl Invoker {
    /// `directories` have the executables (`/opt/cni/bin`; none: built-in plugins only); `cache_dir` keeps results;
    /// `host` is the namespace in which built-in plugins make bridges and packet rules. What those do is a task of `tasks`: it
    /// comes to its end when nobody waits for it any more.
    #[must_use]
    pub fn new(directories: Vec<PathBuf>, cache_dir: PathBuf, host: Arc<Host>, tasks: TaskSet) -> Self {
        Self { directories, cache_dir, host, tasks }
    }

    /// Attaches a sandbox; returns the last plugin's result. May be repeated if all plugins allow that, as the built-in
    /// ones do.
    pub async fn add(&self, list: &NetworkConfigList, at: &Attachment) -> Result<CniResult, InvokeError> {
        check_names(at)?;
        let mut previous = None;
        for plugin in &list.plugins {
            let answer = self.run(Verb::Add, list, plugin, Some(at), previous.as_ref()).await?;
            previous = Some(answer.ok_or_else(|| missing_result(plugin))?);
        }
        let result = previous.ok_or_else(|| InvokeError::Invalid { what: "plugin list", value: list.name.clone() })?;
        self.remember(list, at, &result)?;
        Ok(result)
    }

    /// Detaches a sandbox. Fine if it is not attached, or its namespace is gone.
    pub async fn delete(&self, list: &NetworkConfigList, at: &Attachment) -> Result<(), InvokeError> {
        check_names(at)?;
        let previous = if list.version >= Version::V0_4_0 { self.recall(list, at) } else { Ok(None) };
        let previous = match previous {
            // A result that was cut off must not keep the sandbox for ever; plugins can do without.
            Err(InvokeError::Answer { .. }) => None,
            recalled => recalled?,
        };
        for plugin in list.plugins.iter().rev() {
            self.run(Verb::Delete, list, plugin, Some(at), previous.as_ref()).await?;
        }
        Ok(fs::remove_file(&self.cache_path(list, at))?)
    }

    /// Looks whether a sandbox is attached as the addition said.
    pub async fn check(&self, list: &NetworkConfigList, at: &Attachment) -> Result<(), InvokeError> {
        check_names(at)?;
        if list.version < Version::V0_4_0 {
            return Err(InvokeError::CheckUnsupported { version: list.version });
        }
        if list.disable_check {
            return Ok(());
        }
        let previous = self.recall(list, at)?;
        for plugin in &list.plugins {
            self.run(Verb::Check, list, plugin, Some(at), previous.as_ref()).await?;
        }
        Ok(())
    }

    /// Looks whether the plugins are ready for additions: that they are there and, from version 1.1.0, say so.
    pub async fn status(&self, list: &NetworkConfigList) -> Result<(), InvokeError> {
        for plugin in &list.plugins {
            if self.executable(plugin).is_none() && catalog::find(&plugin.plugin_type).is_none() {
                return Err(self.not_found(plugin));
            }
            if list.version >= Version::V1_1_0 {
                self.run(Verb::Status, list, plugin, None, None).await?;
            }
        }
        Ok(())
    }

    /// The result of an earlier addition, from the cache. Blocks for one small file.
    pub fn recall(&self, list: &NetworkConfigList, at: &Attachment) -> Result<Option<CniResult>, InvokeError> {
        let path = self.cache_path(list, at);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.is_not_found() => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let mut entry: Value = serde_json::from_slice(&text).map_err(unreadable_cache)?;
        serde_json::from_value(entry["result"].take()).map(Some).map_err(unreadable_cache)
    }

    /// Deletes the attachments to this network that nobody knows any more: those of the cache, and those that only hold
    /// an address because an addition was cut off by a crash. `keep` has the container ids that exist. Returns what was
    /// deleted.
    ///
    /// Must not run together with additions to the network: one that is under way is not known yet.
    pub async fn collect_garbage(
        &self,
        list: &NetworkConfigList,
        keep: &HashSet<String>,
    ) -> Result<Vec<Attachment>, InvokeError> {
        let mut lost = self.cached(list)?;
        for plugin in &list.plugins {
            if plugin.fields.get("ipam").is_none_or(|ipam| ipam["type"] != "host-local") {
                continue;
            }
            // On a blocking thread: it waits for the lock that an addition holds.
            let (fields, network) = (plugin.fields.clone(), list.name.clone());
            let holders = blocking::run(&self.tasks, "addresses", move || host_local::holders(&fields, &network)).await;
            let holders = holders.map_err(|_| InvokeError::Panic { plugin: plugin.plugin_type.clone() })?;
            for (container_id, interface) in holders.map_err(|e| plugin_error(plugin, Verb::Delete, e))? {
                if !lost.iter().any(|at| at.container_id == container_id && at.interface == interface) {
                    lost.push(Attachment { container_id, interface, ..Attachment::default() });
                }
            }
        }
        lost.retain(|at| !keep.contains(&at.container_id));
        for at in &lost {
            self.delete(list, at).await?;
        }
        Ok(lost)
    }

    /// The attachments to a network in the cache.
    fn cached(&self, list: &NetworkConfigList) -> Result<Vec<Attachment>, InvokeError> {
        let dir = self.cache_dir.join("results");
        let entries = match std::fs::read_dir(&dir).at("read directory", &dir) {
            Ok(entries) => entries,
            Err(e) if e.is_not_found() => return Ok(Vec::new()),
            Err(e) => return Err(e.into()),
        };
        let mut out = Vec::new();
        for entry in entries {
            let path = entry.at("read directory", &dir)?.path();
            if path.to_string_lossy().ends_with(STAGED) {
                continue;
            }
            // One that was cut off says nothing about its attachment, whose address is found by its holder.
            let Ok(cached) = serde_json::from_slice::<CacheEntry>(&fs::read(&path)?) else {
                fs::remove_file(&path)?;
                continue;
            };
            if cached.network_name == list.name {
                out.push(Attachment {
                    container_id: cached.container_id,
                    netns: cached.netns,
                    interface: cached.if_name,
                    args: cached.cni_args.unwrap_or_default(),
                    capabilities: cached.capability_args.unwrap_or_default(),
                });
            }
        }
        Ok(out)
    }

    async fn run(
        &self,
        verb: Verb,
        list: &NetworkConfigList,
        plugin: &PluginConfig,
        at: Option<&Attachment>,
        previous: Option<&CniResult>,
    ) -> Result<Option<CniResult>, InvokeError> {
        let mut config = plugin.fields.clone();
        config.insert("name".to_owned(), json!(list.name));
        config.insert("cniVersion".to_owned(), json!(list.version.to_string()));
        // Declared by the plugin, given by the runtime, and not part of what the plugin sees.
        let declared = config.remove("capabilities");
        if let Some(at) = at {
            let runtime: Map<_, _> = at
                .capabilities
                .iter()
                .filter(|(name, _)| declared.as_ref().is_some_and(|d| d[name.as_str()] == json!(true)))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            if !runtime.is_empty() {
                config.insert("runtimeConfig".to_owned(), Value::Object(runtime));
            }
        }
        match (self.executable(plugin), catalog::find(&plugin.plugin_type)) {
            (Some(path), _) => {
                if let Some(previous) = previous {
                    config.insert("prevResult".to_owned(), previous.to_value(list.version));
                }
                self.execute(&path, verb, plugin, &Value::Object(config), at).await
            }
            (None, Some(builtin)) => self.call(builtin, verb, list, plugin, config, at, previous).await,
            (None, None) => Err(self.not_found(plugin)),
        }
    }

    async fn execute(
        &self,
        path: &Path,
        verb: Verb,
        plugin: &PluginConfig,
        config: &Value,
        at: Option<&Attachment>,
    ) -> Result<Option<CniResult>, InvokeError> {
        let failed = |source| InvokeError::Execute { path: path.to_owned(), source };
        let mut command = Command::new(path);
        command.env("CNI_COMMAND", verb.word());
        let search_path = std::env::join_paths(&self.directories).map_err(|e| failed(io::Error::other(e)))?;
        command.env("CNI_PATH", search_path);
        if let Some(at) = at {
            let args: Vec<_> = at.args.iter().map(|(k, v)| format!("{k}={v}")).collect();
            command
                .env("CNI_CONTAINERID", &at.container_id)
                .env("CNI_NETNS", at.netns.as_deref().unwrap_or(Path::new("")))
                .env("CNI_IFNAME", &at.interface)
                .env("CNI_ARGS", args.join(";"));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(failed)?;
        let mut stdin = child.stdin.take().expect("piped above");
        let stdout = child.stdout.take().expect("piped above");
        let stderr = child.stderr.take().expect("piped above");
        let input = config.to_string();
        let feed = async move {
            // A plugin may answer without reading its configuration to the end.
            match stdin.write_all(input.as_bytes()).await {
                Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e),
                _ => Ok(()),
            }
        };
        let (fed, output, complaints) = tokio::join!(feed, read_limited(stdout), read_limited(stderr));
        let status = child.wait().await.map_err(failed)?;
        fed.map_err(failed)?;
        let (output, complaints) = (output.map_err(failed)?, complaints.map_err(failed)?);
        if !status.success() {
            return Err(plugin_error(plugin, verb, read_failure(&output, &complaints)));
        }
        if verb != Verb::Add {
            return Ok(None);
        }
        let answer = |source| InvokeError::Answer { plugin: plugin.plugin_type.clone(), source };
        serde_json::from_slice(&output).map(Some).map_err(answer)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one request; a struct would repeat `Request` with owned fields"
    )]
    async fn call(
        &self,
        builtin: &'static dyn Plugin,
        verb: Verb,
        list: &NetworkConfigList,
        plugin: &PluginConfig,
        config: Map<String, Value>,
        at: Option<&Attachment>,
        previous: Option<&CniResult>,
    ) -> Result<Option<CniResult>, InvokeError> {
        // Ready as long as the process runs.
        let Some(at) = at.cloned() else { return Ok(None) };
        let (network, version, previous, host) =
            (list.name.clone(), list.version, previous.cloned(), Arc::clone(&self.host));
        let work = move || {
            let request = Request {
                version,
                network: &network,
                container_id: &at.container_id,
                netns: at.netns.as_ref(),
                interface: &at.interface,
                config: &config,
                previous: previous.as_ref(),
                host: &host,
            };
            match verb {
                Verb::Add => builtin.add(&request).map(Some),
                Verb::Delete => builtin.delete(&request).map(|()| None),
                Verb::Check => builtin.check(&request).map(|()| None),
                Verb::Status => Ok(None),
            }
        };
        let outcome = blocking::run(&self.tasks, "plugin", work).await;
        outcome
            .map_err(|_| InvokeError::Panic { plugin: plugin.plugin_type.clone() })?
            .map_err(|source| plugin_error(plugin, verb, source))
    }

    fn executable(&self, plugin: &PluginConfig) -> Option<PathBuf> {
        self.directories.iter().map(|d| d.join(&plugin.plugin_type)).find(|path| path.is_file())
    }

    fn not_found(&self, plugin: &PluginConfig) -> InvokeError {
        InvokeError::NotFound { plugin: plugin.plugin_type.clone(), directories: self.directories.clone() }
    }

    fn cache_path(&self, list: &NetworkConfigList, at: &Attachment) -> PathBuf {
        self.cache_dir.join("results").join(format!("{}-{}-{}", list.name, at.container_id, at.interface))
    }

    fn remember(&self, list: &NetworkConfigList, at: &Attachment, result: &CniResult) -> Result<(), InvokeError> {
        let path = self.cache_path(list, at);
        let args: Vec<_> = at.args.iter().map(|(k, v)| [k, v]).collect();
        let entry = json!({
            "kind": "cniCacheV1",
            "containerId": at.container_id,
            "config": BASE64_STANDARD.encode(list.source.to_string()),
            "ifName": at.interface,
            "networkName": list.name,
            "netns": at.netns,
            "cniArgs": args,
            "capabilityArgs": at.capabilities,
            "result": result.to_value(list.version),
        });
        fs::create_dir_all(&self.cache_dir.join("results"))?;
        // Written aside and renamed, so that a crash leaves the old entry or the new one.
        let staged = path.with_file_name(format!("{}-{}-{}{STAGED}", list.name, at.container_id, at.interface));
        fs::write(&staged, entry.to_string().as_bytes())?;
        std::fs::rename(&staged, &path).at("rename", &path)?;
        Ok(())
    }
}

fn unreadable_cache(source: serde_json::Error) -> InvokeError {
    InvokeError::Answer { plugin: "cache".to_owned(), source }
}

async fn read_limited(from: impl AsyncRead + Unpin) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    from.take(OUTPUT_MAX_BYTES).read_to_end(&mut out).await?;
    Ok(out)
}

/// What a failed executable said: its error object, or whatever it wrote.
fn read_failure(output: &[u8], complaints: &[u8]) -> CniError {
    match serde_json::from_slice::<CniError>(output) {
        Ok(error) => error,
        Err(_) if output.is_empty() && complaints.is_empty() => {
            CniError::new(code::IO, "netplugin failed with no error message")
        }
        Err(_) => {
            let text = if output.is_empty() { complaints } else { output };
            CniError::new(code::IO, format!("netplugin failed: {}", String::from_utf8_lossy(text).trim()))
        }
    }
}

fn plugin_error(plugin: &PluginConfig, verb: Verb, source: CniError) -> InvokeError {
    InvokeError::Plugin { plugin: plugin.plugin_type.clone(), verb: verb.word(), source }
}

fn missing_result(plugin: &PluginConfig) -> InvokeError {
    plugin_error(plugin, Verb::Add, CniError::new(code::DECODE, "the plugin gave no result"))
}

/// Ids and names become parts of file names.
fn check_names(at: &Attachment) -> Result<(), InvokeError> {
    if !is_valid_name(&at.container_id) {
        return Err(InvokeError::Invalid { what: "container id", value: at.container_id.clone() });
    }
    crate::netlink::check_interface_name(&at.interface)
        .map_err(|_| InvokeError::Invalid { what: "interface name", value: at.interface.clone() })
}

impl CniResult {
    /// The hardware address of an interface inside the sandbox.
    #[must_use]
    pub fn mac_of(&self, interface: &str) -> Option<MacAddress> {
        self.interfaces.iter().find(|i| i.name == interface && !i.sandbox.is_empty())?.mac.parse().ok()
    }
}
