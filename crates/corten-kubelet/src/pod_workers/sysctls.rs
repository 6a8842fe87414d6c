//! Which kernel parameters pods may set: those that are the pod's own and do no harm to others, and what the operator adds.
//!
//! Pure. Upstream: pkg/kubelet/sysctl (v1.35).

use std::collections::BTreeMap;

use corten_api::core::v1::Pod;

use crate::{containers::sandbox::sysctl_name, interfaces::Failure};

/// Parameters that are safe, with the kernel from which on they are the namespace's own.
static SAFE: &[(&str, (u32, u32))] = &[
    ("kernel.shm_rmid_forced", (0, 0)),
    ("net.ipv4.ip_local_port_range", (0, 0)),
    ("net.ipv4.tcp_syncookies", (0, 0)),
    ("net.ipv4.ping_group_range", (0, 0)),
    ("net.ipv4.ip_unprivileged_port_start", (0, 0)),
    ("net.ipv4.ip_local_reserved_ports", (3, 16)),
    ("net.ipv4.tcp_keepalive_time", (4, 5)),
    ("net.ipv4.tcp_fin_timeout", (4, 6)),
    ("net.ipv4.tcp_keepalive_intvl", (4, 5)),
    ("net.ipv4.tcp_keepalive_probes", (4, 5)),
    ("net.ipv4.tcp_rmem", (4, 15)),
    ("net.ipv4.tcp_wmem", (4, 15)),
];

/// The namespace that a parameter belongs to, as messages call it.
static NAMESPACES: &[(&str, &str)] =
    &[("kernel.sem", "ipc"), ("kernel.shm", "ipc"), ("kernel.msg", "ipc"), ("fs.mqueue.", "ipc"), ("net.", "net")];

/// How long a parameter's name may be. Upstream: `SysctlMaxLength`.
const NAME_MAX: usize = 253;
/// What names are made of, as the message says it. Upstream: `SysctlContainSlashPatternFmt`.
const NAME_PATTERN: &str = "([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*([a-z0-9][-_a-z0-9]*)?[a-z0-9*]";

/// The parameters that pods may set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowlist {
    names: BTreeMap<String, &'static str>,
    prefixes: BTreeMap<String, &'static str>,
}

impl Allowlist {
    /// The safe parameters of a kernel (`6.1.0-13-amd64`), and `unsafe_patterns`: names, or beginnings with `*` after them.
    ///
    /// Errors: upstream's text about a pattern of no namespace.
    pub fn new(kernel_release: &str, unsafe_patterns: &[String]) -> Result<Self, String> {
        let kernel = release(kernel_release);
        let mut list = Self::default();
        for (name, since) in SAFE {
            // Of an unknown kernel nothing is known to be safe but what always was.
            if *since == (0, 0) || kernel.is_some_and(|kernel| kernel >= *since) {
                list.add(name)?;
            }
        }
        for pattern in unsafe_patterns {
            list.add(pattern)?;
        }
        Ok(list)
    }

    fn add(&mut self, pattern: &str) -> Result<(), String> {
        if !is_pattern(pattern) {
            return Err(format!(
                "sysctl {pattern:?} must have at most {NAME_MAX} characters and match regex ^{NAME_PATTERN}$"
            ));
        }
        let dotted = sysctl_name(pattern);
        let (list, name, noun) = match dotted.strip_suffix('*') {
            Some(prefix) => (&mut self.prefixes, prefix, "sysctls"),
            None => (&mut self.names, dotted.as_str(), "sysctl"),
        };
        let namespace =
            namespace_of(name).ok_or_else(|| format!("the {noun} {dotted:?} are not known to be namespaced"))?;
        list.insert(name.to_owned(), namespace);
        Ok(())
    }

    /// Checks what a pod asks for. Errors: the reason and message of the pod's status.
    pub fn admit(&self, pod: &Pod) -> Result<(), Failure> {
        let Some(spec) = &pod.spec else { return Ok(()) };
        let sysctls = spec.security_context.as_ref().and_then(|context| context.sysctls.as_ref());
        for sysctl in sysctls.into_iter().flatten() {
            let name = sysctl_name(&sysctl.name);
            let forbidden = match self.namespace(&name) {
                None => format!("{name:?} not allowlisted"),
                Some("ipc") if spec.host_ipc == Some(true) => format!("{name:?} not allowed with host ipc enabled"),
                Some("net") if spec.host_network == Some(true) => format!("{name:?} not allowed with host net enabled"),
                Some(_) => continue,
            };
            return Err(Failure::new("SysctlForbidden", format!("Pod was rejected: forbidden sysctl: {forbidden}")));
        }
        Ok(())
    }

    fn namespace(&self, name: &str) -> Option<&'static str> {
        let by_prefix = || self.prefixes.iter().find(|(prefix, _)| name.starts_with(*prefix)).map(|(_, found)| *found);
        self.names.get(name).copied().or_else(by_prefix)
    }
}

fn namespace_of(name: &str) -> Option<&'static str> {
    let found = NAMESPACES.iter().find(
        |(known, _)| {
            if *known == "kernel.sem" { name == *known } else { name.starts_with(known) }
        },
    );
    found.map(|(_, namespace)| *namespace)
}

/// `6.1.0-13-amd64` -> (6, 1).
fn release(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Whether a text is a name or a beginning followed by `*`: [`NAME_PATTERN`].
fn is_pattern(text: &str) -> bool {
    let is_end = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_inner = |byte: u8| is_end(byte) || byte == b'-' || byte == b'_';
    let is_part = |part: &[u8]| {
        part.iter().all(|byte| is_inner(*byte))
            && part.first().is_some_and(|byte| is_end(*byte))
            && part.last().is_some_and(|byte| is_end(*byte))
    };
    let mut parts: Vec<&[u8]> = text.as_bytes().split(|byte| matches!(byte, b'.' | b'/')).collect();
    let Some(last) = parts.pop() else { return false };
    let is_last = match last.strip_suffix(b"*") {
        // Before the star a part may end in a dash.
        Some(begun) => begun.is_empty() || (is_end(begun[0]) && begun.iter().all(|byte| is_inner(*byte))),
        None => is_part(last),
    };
    text.len() <= NAME_MAX && is_last && parts.into_iter().all(is_part)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(extra: &[&str], spec: Value, want: Result<(), &str>) {
        let extra: Vec<String> = extra.iter().map(ToString::to_string).collect();
        let list = Allowlist::new("6.1.0-13-amd64", &extra).unwrap();
        let pod: Pod = serde_json::from_value(json!({"spec": spec})).unwrap();
        let want = want.map_err(|text| Failure::new("SysctlForbidden", format!("Pod was rejected: {text}")));
        assert_eq!(list.admit(&pod), want);
    }

    fn asks(name: &str) -> Value {
        json!({"containers": [], "securityContext": {"sysctls": [{"name": name, "value": "1"}]}})
    }

    #[test]
    fn only_safe_parameters_and_the_operators_are_allowed() {
        check(&[], json!({"containers": []}), Ok(()));
        check(&[], asks("net.ipv4.tcp_rmem"), Ok(()));
        check(&[], asks("net/ipv4/tcp_syncookies"), Ok(()));
        check(&[], asks("kernel.msgmax"), Err("forbidden sysctl: \"kernel.msgmax\" not allowlisted"));
        check(&["kernel.msg*"], asks("kernel.msgmax"), Ok(()));
        check(&["kernel.msg*"], asks("kernel.sem"), Err("forbidden sysctl: \"kernel.sem\" not allowlisted"));
        check(&["kernel.sem"], asks("kernel.sem"), Ok(()));
    }

    #[test]
    fn the_hosts_own_parameters_are_never_set() {
        let mut spec = asks("net.ipv4.tcp_syncookies");
        spec["hostNetwork"] = json!(true);
        let name = "net.ipv4.tcp_syncookies";
        check(&[], spec, Err(&format!("forbidden sysctl: {name:?} not allowed with host net enabled")));
        let mut spec = asks("kernel.shmmax");
        spec["hostIPC"] = json!(true);
        check(&["kernel.shm*"], spec, Err("forbidden sysctl: \"kernel.shmmax\" not allowed with host ipc enabled"));
    }

    #[test]
    fn old_kernels_have_fewer_safe_parameters() {
        let of = |release| Allowlist::new(release, &[]).unwrap().names.len();
        assert_eq!((of("3.10.0"), of("4.5.1"), of("4.14.0"), of("4.15"), of("unknown")), (5, 9, 10, 12, 5));
    }

    #[test]
    fn patterns_of_no_namespace_are_refused() {
        let add = |pattern: &str| Allowlist::new("6.1", &[pattern.to_owned()]).map(drop);
        assert_eq!(add("vm.swappiness"), Err("the sysctl \"vm.swappiness\" are not known to be namespaced".to_owned()));
        assert_eq!(add("vm.*"), Err("the sysctls \"vm.*\" are not known to be namespaced".to_owned()));
        assert!(add("net..x").unwrap_err().starts_with("sysctl \"net..x\" must have at most 253 characters"));
        assert_eq!(add("net.*"), Ok(()));
    }
}
