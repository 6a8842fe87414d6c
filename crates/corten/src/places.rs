//! Where a cluster keeps its things. Two clusters on one machine have two roots, and differ in everything that the machine
//! shares.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

use crate::descriptors;

/// Where everything is kept unless `--root` says otherwise.
pub(crate) const DEFAULT_ROOT: &str = "/var/lib/corten";

/// The name of the cluster below the default root: of its control groups, bridge, packet rules and context.
const NAME: &str = "corten";

/// The longest path that a socket can have: `sun_path` has 108 bytes, the last of them zero.
const SOCKET_PATH_MAX: usize = 107;

/// The longest socket's path below the run directory: `runtime/sock/` and 24 digits of a pod's id.
const LONGEST_SOCKET: usize = "/runtime/sock/".len() + 24;

/// Where a cluster keeps its things, and what it calls what it shares with the rest of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    /// What survives a reboot.
    pub(crate) root: PathBuf,
    /// What a reboot ends.
    pub(crate) run: PathBuf,
    /// The start of the names of control groups, bridge, packet rules; the name of the context.
    pub(crate) name: String,
}

impl Places {
    /// The places of the cluster kept under `root`; a relative path starts at the working directory. Links are followed here,
    /// once, so that one directory is one cluster.
    ///
    /// Errors: the working directory cannot be read, the path is empty or the machine's own root.
    pub(crate) fn new(root: &Path) -> anyhow::Result<Self> {
        let root = std::path::absolute(root).with_context(|| format!("find the directory {:?}", root.display()))?;
        // `a/b/` and `a/b` are one place.
        let root = resolved(&root.components().collect::<PathBuf>());
        if root == Path::new("/") {
            bail!("the root of the machine's files cannot be a cluster's: name another directory with --root");
        }
        if root == resolved(Path::new(DEFAULT_ROOT)) {
            return Ok(Self { root, run: Path::new("/run").join(NAME), name: NAME.to_owned() });
        }
        let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
        // 24 bits tell the clusters of one machine apart; an interface name has 15 bytes.
        let name = format!("{NAME}-{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2]);
        let below = root.join("run");
        let fits = below.as_os_str().len() + LONGEST_SOCKET <= SOCKET_PATH_MAX;
        let run = if fits { below } else { Path::new("/run").join(&name) };
        Ok(Self { root, run, name })
    }

    /// Whether this is the cluster that commands mean which name none.
    pub(crate) fn is_default(&self) -> bool {
        self.name == NAME
    }

    /// The flag that leads other commands to the same cluster, with a blank before it, as a shell takes it.
    pub(crate) fn flag(&self) -> String {
        if self.is_default() { String::new() } else { format!(" --root {}", quoted(&self.root)) }
    }

    /// Certificates and keys.
    pub(crate) fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    /// Certificates and keys in whose place `restore` has put others.
    pub(crate) fn replaced_pki(&self) -> PathBuf {
        self.root.join("pki.replaced")
    }

    /// What `restore` unpacks.
    pub(crate) fn restoring(&self) -> PathBuf {
        self.root.join(".restoring")
    }

    /// The store.
    pub(crate) fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// Images, snapshots and the records of pods.
    pub(crate) fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    /// The images alone.
    pub(crate) fn images(&self) -> PathBuf {
        self.containers().join("images")
    }

    /// Pods' volumes.
    pub(crate) fn kubelet(&self) -> PathBuf {
        self.root.join("kubelet")
    }

    /// Logs of the process.
    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// The process's own log.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.log().join("corten.log")
    }

    /// The log of the DNS process.
    pub(crate) fn dns_log_file(&self) -> PathBuf {
        self.log().join("dns.log")
    }

    /// Logs of containers. The default root has them where every log collector looks.
    pub(crate) fn pod_logs(&self) -> PathBuf {
        if self.is_default() { PathBuf::from("/var/log/pods") } else { self.log().join("pods") }
    }

    /// Links to the logs of containers, as the kubelet makes them.
    pub(crate) fn log_links(&self) -> PathBuf {
        self.pod_logs().with_file_name("containers")
    }

    /// The lock that a running process holds, with its process id.
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("corten.pid")
    }

    /// What the cluster was made with.
    pub(crate) fn record(&self) -> PathBuf {
        self.root.join("cluster.json")
    }

    /// Whether a cluster has been started here, whose store therefore has to be there.
    pub(crate) fn has_cluster(&self) -> bool {
        // Clusters of earlier versions have no record.
        self.record().exists() || self.admin_kubeconfig().exists()
    }

    /// The administrator's kubeconfig.
    pub(crate) fn admin_kubeconfig(&self) -> PathBuf {
        self.root.join("admin.conf")
    }

    /// The socket on which the running process takes commands.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.run.join("control.sock")
    }

    /// The socket on which the DNS process is fed.
    pub(crate) fn dns_socket(&self) -> PathBuf {
        self.run.join("dns.sock")
    }

    /// What is known of the DNS process.
    pub(crate) fn dns_record(&self) -> PathBuf {
        self.run.join("dns.json")
    }

    /// What the machine's settings were before the cluster changed them.
    pub(crate) fn found_settings(&self) -> PathBuf {
        self.run.join("settings.json")
    }

    /// The pods' bridge.
    pub(crate) fn bridge(&self) -> String {
        format!("{}0", self.name)
    }

    /// The table of the service proxy's packet rules.
    pub(crate) fn proxy_table(&self) -> String {
        format!("{}-proxy", self.name)
    }

    /// The container runtime's places; `executable` is this program.
    pub(crate) fn container_runtime(&self, executable: PathBuf) -> corten_container_runtime::Config {
        corten_container_runtime::Config {
            bridge: self.bridge(),
            open_files: descriptors::inherited(),
            ..corten_container_runtime::Config::new(&self.name, self.containers(), self.run.join("runtime"), executable)
        }
    }

    /// Everything below the root that corten makes: what `delete` removes.
    pub(crate) fn data(&self) -> Vec<PathBuf> {
        let mut data = vec![
            self.pki(),
            self.replaced_pki(),
            self.restoring(),
            self.store(),
            self.containers(),
            self.kubelet(),
            self.log(),
        ];
        data.push(self.admin_kubeconfig());
        data.push(self.record());
        data.push(self.lock());
        data
    }
}

/// A path as a word of a shell's command line.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |one: char| one.is_ascii_alphanumeric() || "/._-+:@%,=".contains(one);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// An absolute path without links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        // What cannot be looked at now is said when it is used.
        if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            return real.join(rest).components().collect();
        }
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_root_has_the_plain_names() {
        let places = Places::new(Path::new("/var/lib/corten/")).unwrap();
        assert_eq!((places.run.to_str(), &*places.name, &*places.bridge()), (Some("/run/corten"), "corten", "corten0"));
        assert_eq!(places.pod_logs(), Path::new("/var/log/pods"));
    }

    #[test]
    fn another_root_has_names_of_its_own() {
        let (one, other) = (Places::new(Path::new("/tmp/one")).unwrap(), Places::new(Path::new("/tmp/other")).unwrap());
        assert_ne!(one.name, other.name);
        assert_ne!(one.bridge(), other.bridge());
        assert_eq!(one.run, Path::new("/tmp/one/run"));
        assert!(one.bridge().len() <= 15, "{}", one.bridge());
        assert_eq!(one.pod_logs(), Path::new("/tmp/one/log/pods"));
    }

    /// Below a link a cluster once had another name, bridge and run directory than below the directory itself: `down` left half.
    #[test]
    fn a_directory_is_one_place_by_whatever_path() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().canonicalize().unwrap();
        std::os::unix::fs::symlink(&real, real.join("link")).unwrap();
        for (path, want) in [("root", "root"), ("link/root", "root"), ("link/link/a/b/", "a/b"), ("./a//b", "a/b")] {
            let places = Places::new(&real.join(path)).unwrap();
            assert_eq!(places, Places::new(&real.join(want)).unwrap(), "{path}");
            assert_eq!(places.root, real.join(want));
        }
    }

    #[test]
    fn the_roots_root_is_nobodys() {
        for path in ["/", "/..", "//"] {
            assert!(Places::new(Path::new(path)).unwrap_err().to_string().contains("--root"), "{path}");
        }
    }

    /// What was printed to be typed next could not be, for a root with a blank in it.
    #[test]
    fn what_is_to_be_typed_next_is_one_word_to_a_shell() {
        for (root, want) in [
            ("/var/lib/corten", ""),
            ("/no-such/a_1.b", " --root /no-such/a_1.b"),
            ("/no-such/with space & x", " --root '/no-such/with space & x'"),
            ("/no-such/it's", r" --root '/no-such/it'\''s'"),
        ] {
            assert_eq!(Places::new(Path::new(root)).unwrap().flag(), want);
        }
    }

    #[test]
    fn sockets_fit_below_any_root() {
        for length in [1, 40, 60, 70, 200] {
            let places = Places::new(&Path::new("/").join("d".repeat(length))).unwrap();
            let longest = places.container_runtime(PathBuf::new()).run.join("sock").join("0".repeat(24));
            assert!(longest.as_os_str().len() <= SOCKET_PATH_MAX, "{}", longest.display());
        }
    }
}
