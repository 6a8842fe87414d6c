//! Rules of containers: common ones, and those of regular, init and ephemeral containers.

use std::collections::BTreeSet;

use corten_api::core::v1::{
    Container, ContainerPort, ContainerResizePolicy, ContainerRestartRule, EphemeralContainer, PodSpec,
};
use corten_apimachinery::{
    field::{Error, ErrorList, Path},
    validation::{is_dns1123_label, is_port_name},
};

use super::{Options, env, mounts, probes, resources, security};
use crate::{
    report::Report,
    view::{Seen, each, each_of, list, text},
};

/// The protocols of ports.
pub(crate) const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

/// What the rules of one container need to know of its pod.
pub(super) struct Scope<'a> {
    spec: &'a PodSpec,
    volumes: mounts::Volumes<'a>,
    claim_names: BTreeSet<&'a str>,
    host_users: bool,
    restart_rules: bool,
}

impl<'a> Scope<'a> {
    /// `volumes` are those that keep their rules.
    pub(super) fn new(spec: &'a PodSpec, volumes: mounts::Volumes<'a>, options: &Options<'_>) -> Self {
        Self {
            spec,
            volumes,
            claim_names: list(&spec.resource_claims).iter().map(|claim| claim.name.as_str()).collect(),
            host_users: spec.host_users.unwrap_or(true),
            restart_rules: options.features.is_enabled("ContainerRestartRules"),
        }
    }

    pub(super) fn containers(&self, path: &Path, errors: &mut ErrorList) {
        if self.spec.containers.is_empty() {
            errors.required(path, "");
            return;
        }
        let mut names = Seen::default();
        for (path, container) in each_of(&self.spec.containers, path) {
            self.common(container, &path, errors);
            if !names.is_new(&container.name) {
                errors.push(Error::duplicate(&path.child("name"), container.name.as_str()));
            }
            self.long_running(container, &path, errors);
            if self.restart_rules {
                restart_policy(container, &path, &["Always", "OnFailure", "Never"], errors);
            } else if container.restart_policy.is_some() {
                errors.forbidden(&path.child("restartPolicy"), "may not be set for non-init containers");
            }
        }
        host_port_conflicts(&self.spec.containers, path, errors);
    }

    pub(super) fn init_containers(&self, path: &Path, errors: &mut ErrorList) {
        let mut names = Seen::default();
        for container in &self.spec.containers {
            names.is_new(&container.name);
        }
        for (index, container) in list(&self.spec.init_containers).iter().enumerate() {
            let list_path = path;
            let path = path.index(index);
            self.common(container, &path, errors);
            let supported: &[&str] = if self.restart_rules { &["Always", "OnFailure", "Never"] } else { &["Always"] };
            restart_policy(container, &path, supported, errors);
            if container.name.is_empty() {
                // Reported already.
            } else if !names.is_new(&container.name) {
                errors.push(Error::duplicate(&path.child("name"), container.name.as_str()));
            }
            // Init containers run one by one, so each is on its own.
            host_port_conflicts(std::slice::from_ref(container), list_path, errors);
            let is_sidecar = container.restart_policy.as_deref() == Some("Always");
            if is_sidecar {
                self.long_running(container, &path, errors);
            } else {
                let detail = "may not be set for init containers without restartPolicy=Always";
                for (field, is_set) in [
                    ("lifecycle", container.lifecycle.is_some()),
                    ("livenessProbe", container.liveness_probe.is_some()),
                    ("readinessProbe", container.readiness_probe.is_some()),
                    ("startupProbe", container.startup_probe.is_some()),
                ] {
                    if is_set {
                        errors.forbidden(&path.child(field), detail);
                    }
                }
            }
        }
    }

    pub(super) fn ephemeral_containers(&self, path: &Path, errors: &mut ErrorList) {
        let others: BTreeSet<&str> = self
            .spec
            .containers
            .iter()
            .chain(list(&self.spec.init_containers))
            .map(|container| container.name.as_str())
            .collect();
        let mut names = Seen::default();
        for name in &others {
            names.is_new(*name);
        }
        for (path, ephemeral) in each(&self.spec.ephemeral_containers, path) {
            let container = as_container(ephemeral);
            self.common(&container, &path, errors);
            image_without_padding(text(&container.image), &path, errors);
            if !names.is_new(&container.name) {
                errors.push(Error::duplicate(&path.child("name"), container.name.as_str()));
            }
            let target = text(&ephemeral.target_container_name);
            if !target.is_empty() && !others.contains(target) {
                errors.push(Error::not_found(&path.child("targetContainerName"), target));
            }
            let detail = "cannot be set for an Ephemeral Container";
            let resources = container.resources.as_ref();
            for (field, is_set) in [
                ("ports", !list(&container.ports).is_empty()),
                (
                    "resources",
                    resources.is_some_and(|resources| {
                        resources.claims.is_some() || resources.limits.is_some() || resources.requests.is_some()
                    }),
                ),
                ("resizePolicy", !list(&container.resize_policy).is_empty()),
                ("restartPolicy", container.restart_policy.is_some()),
                ("restartPolicyRules", !list(&container.restart_policy_rules).is_empty()),
                ("livenessProbe", container.liveness_probe.is_some()),
                ("readinessProbe", container.readiness_probe.is_some()),
                ("startupProbe", container.startup_probe.is_some()),
                ("lifecycle", container.lifecycle.is_some()),
            ] {
                if is_set {
                    errors.forbidden(&path.child(field), detail);
                }
            }
            for (path, mount) in each(&container.volume_mounts, &path.child("volumeMounts")) {
                for (field, value) in [("subPath", &mount.sub_path), ("subPathExpr", &mount.sub_path_expr)] {
                    if !text(value).is_empty() {
                        errors.forbidden(&path.child(field), detail);
                    }
                }
            }
        }
    }

    fn common(&self, container: &Container, path: &Path, errors: &mut ErrorList) {
        let at = |field: &str| path.child(field);
        if errors.require(&at("name"), &container.name) {
            errors.invalids(&at("name"), &container.name, is_dns1123_label(&container.name));
        }
        errors.require(&at("image"), text(&container.image));
        errors.require_one_of(
            &at("terminationMessagePolicy"),
            text(&container.termination_message_policy),
            &["File", "FallbackToLogsOnError"],
        );
        ports(&container.ports, &at("ports"), errors);
        env::env(container, &self.volumes, &at("env"), errors);
        env::env_from(container, &at("envFrom"), errors);
        mounts::volume_mounts(&self.volumes, container, &at("volumeMounts"), errors);
        mounts::volume_devices(&self.volumes, container, &at("volumeDevices"), errors);
        errors.require_one_of(
            &at("imagePullPolicy"),
            text(&container.image_pull_policy),
            &["Always", "IfNotPresent", "Never"],
        );
        if let Some(requirements) = &container.resources {
            resources::requirements(requirements, &at("resources"), errors);
            resources::claim_names(requirements, &self.claim_names, &at("resources").child("claims"), errors);
        }
        self.resize_policy(&container.resize_policy, &at("resizePolicy"), errors);
        security::container(container.security_context.as_ref(), &at("securityContext"), self.host_users, errors);
    }

    /// Probes and hooks of containers that stay: regular ones and sidecars.
    fn long_running(&self, container: &Container, path: &Path, errors: &mut ErrorList) {
        let grace = self.spec.termination_grace_period_seconds;
        if let Some(lifecycle) = &container.lifecycle {
            probes::hooks(lifecycle, grace, &path.child("lifecycle"), errors);
        }
        for (field, value, must_be_one) in [
            ("livenessProbe", &container.liveness_probe, true),
            ("readinessProbe", &container.readiness_probe, false),
            ("startupProbe", &container.startup_probe, true),
        ] {
            let Some(value) = value else { continue };
            let path = path.child(field);
            probes::probe(value, grace, &path, errors);
            if must_be_one && value.success_threshold != Some(1) {
                let path = path.child("successThreshold");
                errors.invalid(&path, value.success_threshold.unwrap_or_default(), "must be 1");
            }
            if let Some(seconds) = value.termination_grace_period_seconds.filter(|_| field == "readinessProbe") {
                let path = path.child("terminationGracePeriodSeconds");
                errors.invalid(&path, seconds, "must not be set for readinessProbes");
            }
        }
    }

    fn resize_policy(&self, policies: &Option<Vec<ContainerResizePolicy>>, path: &Path, errors: &mut ErrorList) {
        let mut seen = Seen::default();
        for (at, policy) in each(policies, path) {
            if !seen.is_new(&policy.resource_name) {
                errors.push(Error::duplicate(&at, policy.resource_name.as_str()));
            }
            errors.require_one_of(path, &policy.resource_name, &["cpu", "memory"]);
            errors.require_one_of(path, &policy.restart_policy, &["NotRequired", "RestartContainer"]);
            if self.spec.restart_policy.as_deref() == Some("Never") && policy.restart_policy != "NotRequired" {
                let detail = "must be 'NotRequired' when `restartPolicy` is 'Never'";
                errors.invalid(path, policy.restart_policy.as_str(), detail);
            }
        }
    }
}

fn as_container(ephemeral: &EphemeralContainer) -> Container {
    let e = ephemeral.clone();
    Container {
        args: e.args,
        command: e.command,
        env: e.env,
        env_from: e.env_from,
        image: e.image,
        image_pull_policy: e.image_pull_policy,
        lifecycle: e.lifecycle,
        liveness_probe: e.liveness_probe,
        name: e.name,
        ports: e.ports,
        readiness_probe: e.readiness_probe,
        resize_policy: e.resize_policy,
        resources: e.resources,
        restart_policy: e.restart_policy,
        restart_policy_rules: e.restart_policy_rules,
        security_context: e.security_context,
        startup_probe: e.startup_probe,
        stdin: e.stdin,
        stdin_once: e.stdin_once,
        termination_message_path: e.termination_message_path,
        termination_message_policy: e.termination_message_policy,
        tty: e.tty,
        volume_devices: e.volume_devices,
        volume_mounts: e.volume_mounts,
        working_dir: e.working_dir,
    }
}

pub(super) fn image_without_padding(image: &str, path: &Path, errors: &mut ErrorList) {
    if image.trim() != image {
        errors.invalid(&path.child("image"), image, "must not have leading or trailing whitespace");
    }
}

fn restart_policy(container: &Container, path: &Path, supported: &[&str], errors: &mut ErrorList) {
    let rules: &[ContainerRestartRule] = list(&container.restart_policy_rules);
    let at = path.child("restartPolicy");
    match &container.restart_policy {
        Some(policy) => errors.one_of(&at, policy, supported),
        None if !rules.is_empty() => {
            errors.required(&at, "must specify restartPolicy when restart rules are used");
        }
        None => {}
    }
    let path = path.child("restartPolicyRules");
    if rules.len() > 20 {
        errors.push(Error::too_many(&path, rules.len(), 20));
    }
    for (at, rule) in each_of(rules, &path) {
        // Upstream does not tell an empty value from a wrong one here.
        errors.one_of(&at.child("action"), &rule.action, &["Restart"]);
        let at = at.child("exitCodes");
        let Some(codes) = &rule.exit_codes else {
            errors.required(&at, "must be specified");
            continue;
        };
        errors.one_of(&at.child("operator"), &codes.operator, &["In", "NotIn"]);
        let values = list(&codes.values);
        if values.is_empty() {
            errors.required(&at.child("values"), "must specify at least one value");
        }
        if values.len() > 255 {
            errors.push(Error::too_many(&at.child("values"), values.len(), 255));
        }
    }
}

fn ports(ports: &Option<Vec<ContainerPort>>, path: &Path, errors: &mut ErrorList) {
    let mut names = Seen::default();
    for (at, port) in each(ports, path) {
        let name = text(&port.name);
        if !name.is_empty() {
            let messages = is_port_name(name);
            if !messages.is_empty() {
                errors.invalids(&at.child("name"), name, messages);
            } else if !names.is_new(name) {
                errors.push(Error::duplicate(&at.child("name"), name));
            }
        }
        if port.container_port == 0 {
            errors.required(&at.child("containerPort"), "");
        } else {
            errors.port(&at.child("containerPort"), port.container_port.into());
        }
        if let Some(port) = port.host_port.filter(|port| *port != 0) {
            errors.port(&at.child("hostPort"), port.into());
        }
        errors.require_one_of(&at.child("protocol"), text(&port.protocol), PROTOCOLS);
    }
}

fn host_port_conflicts(containers: &[Container], path: &Path, errors: &mut ErrorList) {
    let mut seen = Seen::default();
    for (at, container) in each_of(containers, path) {
        for (at, port) in each(&container.ports, &at.child("ports")) {
            let Some(number) = port.host_port.filter(|port| *port != 0) else { continue };
            let key = format!("{}/{}/{number}", text(&port.protocol), text(&port.host_ip));
            if !seen.is_new(key.as_str()) {
                errors.push(Error::duplicate(&at.child("hostPort"), key));
            }
        }
    }
}
