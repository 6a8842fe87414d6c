//! Rules of pods for one operating system, and of what only Windows knows.

use corten_api::core::v1::{PodOS, PodSpec, SecurityContext, WindowsSecurityContextOptions};
use corten_apimachinery::{
    field::{ErrorList, Path},
    validation::is_dns1123_subdomain,
};

use super::security::containers;
use crate::{report::Report, view::list};

const CREDENTIALS_MAX_KIB: usize = 64;
const DOMAIN_MAX_BYTES: usize = 256;
const USER_MAX_BYTES: usize = 104;
/// The longest name of a machine or domain in the network of old, in letters.
const NETBIOS_MAX_CHARS: usize = 15;

/// A pod that says for which system it is has no settings of the other one.
pub(super) fn operating_system(os: &PodOS, spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    match os.name.as_str() {
        "" => errors.required(&path.child("os").child("name"), "cannot be empty"),
        "linux" => linux(spec, path, errors),
        "windows" => windows(spec, path, errors),
        other => errors.one_of(&path.child("os"), other, &["linux", "windows"]),
    }
}

fn linux(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let detail = "windows options cannot be set for a linux pod";
    if spec.security_context.as_ref().is_some_and(|context| context.windows_options.is_some()) {
        errors.forbidden(&path.child("securityContext").child("windowsOptions"), detail);
    }
    for (path, _, context) in containers(spec, path) {
        if context.is_some_and(|context| context.windows_options.is_some()) {
            errors.forbidden(&path.child("securityContext").child("windowsOptions"), detail);
        }
    }
}

fn windows(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    const DETAIL: &str = "cannot be set for a windows pod";
    let none = corten_api::core::v1::PodSecurityContext::default();
    let (context, at) = (spec.security_context.as_ref().unwrap_or(&none), path.child("securityContext"));
    for (parent, field, is_set) in [
        (&at, "appArmorProfile", context.app_armor_profile.is_some()),
        (&at, "seLinuxOptions", context.se_linux_options.is_some()),
        (path, "hostUsers", spec.host_users.is_some()),
        (path, "hostPID", spec.host_pid == Some(true)),
        (path, "hostIPC", spec.host_ipc == Some(true)),
        (&at, "seccompProfile", context.seccomp_profile.is_some()),
        (&at, "fsGroup", context.fs_group.is_some()),
        (&at, "fsGroupChangePolicy", context.fs_group_change_policy.is_some()),
        (&at, "sysctls", !list(&context.sysctls).is_empty()),
        (path, "shareProcessNamespace", spec.share_process_namespace.is_some()),
        (&at, "runAsUser", context.run_as_user.is_some()),
        (&at, "runAsGroup", context.run_as_group.is_some()),
        (&at, "supplementalGroups", context.supplemental_groups.is_some()),
        (&at, "supplementalGroupsPolicy", context.supplemental_groups_policy.is_some()),
        (&at, "seLinuxChangePolicy", context.se_linux_change_policy.is_some()),
    ] {
        if is_set {
            errors.forbidden(&parent.child(field), DETAIL);
        }
    }
    for (path, _, context) in containers(spec, path) {
        let (Some(context), at) = (context, path.child("securityContext")) else { continue };
        for (field, is_set) in [
            ("appArmorProfile", context.app_armor_profile.is_some()),
            ("seLinuxOptions", context.se_linux_options.is_some()),
            ("seccompProfile", context.seccomp_profile.is_some()),
            ("capabilities", context.capabilities.is_some()),
            ("readOnlyRootFilesystem", context.read_only_root_filesystem.is_some()),
            ("privileged", context.privileged.is_some()),
            ("allowPrivilegeEscalation", context.allow_privilege_escalation.is_some()),
            ("procMount", context.proc_mount.is_some()),
            ("runAsUser", context.run_as_user.is_some()),
            ("runAsGroup", context.run_as_group.is_some()),
        ] {
            if is_set {
                errors.forbidden(&at.child(field), DETAIL);
            }
        }
    }
}

/// Processes of the host: all containers are, or none is, and they have the host's network.
pub(super) fn host_process(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let of_pod = spec.security_context.as_ref().and_then(|context| context.windows_options.as_ref()?.host_process);
    let of_container = |context: Option<&SecurityContext>| context?.windows_options.as_ref()?.host_process;
    let (mut count, mut host_processes) = (0, 0);
    for (path, _, context) in containers(spec, path) {
        count += 1;
        let own = of_container(context);
        if let (Some(of_pod), Some(own)) = (of_pod, own)
            && of_pod != own
        {
            let at = path.child("securityContext").child("windowsOptions").child("hostProcess");
            let detail = format!("pod hostProcess value must be identical if both are specified, was {of_pod}");
            errors.invalid(&at, own, detail);
        }
        host_processes += usize::from(own.or(of_pod) == Some(true));
    }
    if host_processes == 0 {
        return;
    }
    if host_processes != count {
        let detail = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.invalid(path, "", detail);
    }
    if spec.host_network != Some(true) {
        let detail = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.invalid(&path.child("hostNetwork"), false, detail);
    }
}

/// Settings that only Windows knows.
pub(super) fn options(options: Option<&WindowsSecurityContextOptions>, path: &Path, errors: &mut ErrorList) {
    let Some(options) = options else { return };
    if let Some(name) = &options.gmsa_credential_spec_name {
        errors.invalids(&path.child("gmsaCredentialSpecName"), name, is_dns1123_subdomain(name));
    }
    if let Some(credentials) = options.gmsa_credential_spec.as_deref() {
        let at = path.child("gmsaCredentialSpec");
        if credentials.is_empty() {
            errors.invalid(&at, credentials, "gmsaCredentialSpec cannot be an empty string");
        } else if credentials.len() > CREDENTIALS_MAX_KIB * 1_024 {
            let detail = format!("gmsaCredentialSpec size must be under {CREDENTIALS_MAX_KIB} KiB");
            errors.invalid(&at, credentials, detail);
        }
    }
    if let Some(name) = options.run_as_user_name.as_deref() {
        user_name(name, &path.child("runAsUserName"), errors);
    }
}

/// A user, possibly of a domain: `DOMAIN\USER`.
fn user_name(name: &str, path: &Path, errors: &mut ErrorList) {
    let mut refuse = |detail: String| errors.invalid(path, name, detail);
    if name.is_empty() {
        return refuse("runAsUserName cannot be an empty string".to_owned());
    }
    if name.bytes().any(|byte| byte.is_ascii_control()) {
        return refuse("runAsUserName cannot contain control characters".to_owned());
    }
    let (domain, user) = match name.split('\\').collect::<Vec<_>>()[..] {
        [user] => (None, user),
        [domain, user] => (Some(domain), user),
        _ => return refuse("runAsUserName cannot contain more than one backslash".to_owned()),
    };
    if let Some(domain) = domain {
        if domain.len() >= DOMAIN_MAX_BYTES {
            refuse(format!("runAsUserName's Domain length must be under {DOMAIN_MAX_BYTES} characters"));
        }
        if !is_netbios(domain) && !is_dns(domain) {
            refuse("runAsUserName's Domain doesn't match the NetBios nor the DNS format".to_owned());
        }
    }
    if user.is_empty() {
        refuse("runAsUserName's User cannot be empty".to_owned());
    } else if user.len() > USER_MAX_BYTES {
        refuse(format!("runAsUserName's User length must not be longer than {USER_MAX_BYTES} characters"));
    }
    if !user.is_empty() && user.chars().all(|c| matches!(c, '.' | ' ')) {
        refuse("runAsUserName's User cannot contain only periods or spaces".to_owned());
    }
    if user.contains(['"', '/', '\\', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@', '[', ']']) {
        refuse("runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]".to_owned());
    }
}

fn is_netbios(domain: &str) -> bool {
    let is_odd = |c: char| matches!(c, '\\' | '/' | ':' | '*' | '?' | '"' | '<' | '>' | '|');
    (1..=NETBIOS_MAX_CHARS).contains(&domain.chars().count()) && !domain.starts_with('.') && !domain.contains(is_odd)
}

fn is_dns(domain: &str) -> bool {
    domain.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}
