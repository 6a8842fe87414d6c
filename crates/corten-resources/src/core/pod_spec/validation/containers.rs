//! Rules of containers: common ones, and those of regular, init and ephemeral containers.

use std::collections::BTreeSet;

use corten_api::core::v1::{
    Container, ContainerPort, ContainerResizePolicy, ContainerRestartRule, EphemeralContainer, PodSpec,
};
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    validation::{is_dns1123_label, is_port_name},
};

use super::{Options, env, mounts, probes, resources, security};
use crate::{
    core::pod_spec::gates::has_restart_rules,
    report::Report,
    view::{Seen, each, each_of, list, text},
};

/// The protocols of ports.
pub(crate) const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

const RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
const RULES_WITHOUT_POLICY: &str = "must specify restartPolicy when restart rules are used";
/// What restarts all containers of a pod, and in a new order.
const RESTART_ALL: &str = "RestartAllContainers";

/// What the rules of one container need to know of its pod.
pub(super) struct Scope<'a> {
    spec: &'a PodSpec,
    volumes: mounts::Volumes<'a>,
    claim_names: BTreeSet<&'a str>,
    host_users: bool,
    has_files: bool,
    restarts: Restarts,
}

/// What the restart policies and rules of containers may say.
#[derive(Debug, Clone, Copy)]
struct Restarts {
    /// Whether there are any besides the policy of sidecars.
    are_allowed: bool,
    /// Whether a rule may restart the whole pod.
    may_be_of_all: bool,
}

impl Restarts {
    fn new(options: &Options<'_>) -> Self {
        let of_all = |old: &Value| {
            let lists = ["initContainers", "containers"].into_iter();
            let mut rules = lists
                .flat_map(|list| old.items_at(&[list]))
                .flat_map(|container| container.items_at(&["restartPolicyRules"]));
            rules.any(|rule| rule.str_at(&["action"]) == Some(RESTART_ALL))
        };
        Self {
            are_allowed: options.allows("ContainerRestartRules", has_restart_rules),
            may_be_of_all: options.allows("RestartAllContainersOnContainerExits", of_all),
        }
    }
}

impl<'a> Scope<'a> {
    /// `volumes` are those that keep their rules.
    pub(super) fn new(spec: &'a PodSpec, volumes: mounts::Volumes<'a>, options: &Options<'_>) -> Self {
        Self {
            spec,
            volumes,
            claim_names: list(&spec.resource_claims).iter().map(|claim| claim.name.as_str()).collect(),
            host_users: spec.host_users.unwrap_or(true),
            has_files: env::has_files(options),
            restarts: Restarts::new(options),
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
            if self.restarts.are_allowed {
                self.restart_policy(container, &path, errors);
            } else if container.restart_policy.is_some() {
                errors.forbidden(&path.child("restartPolicy"), "may not be set for non-init containers");
            }
        }
        host_port_conflicts(&self.spec.containers, path, errors);
    }

    pub(super) fn init_containers(&self, path: &Path, errors: &mut ErrorList) {
        if list(&self.spec.init_containers).is_empty() {
            return;
        }
        let mut names = Seen::default();
        for container in &self.spec.containers {
            names.is_new(&container.name);
        }
        for (index, container) in list(&self.spec.init_containers).iter().enumerate() {
            let list_path = path;
            let path = path.index(index);
            self.common(container, &path, errors);
            self.init_restart_policy(container, &path, errors);
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
        if list(&self.spec.ephemeral_containers).is_empty() {
            return;
        }
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
        env::env(container, self.has_files, &at("env"), errors);
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
            let os = self.spec.os.as_ref().map(|os| os.name.as_str());
            probes::hooks(lifecycle, grace, os, &path.child("lifecycle"), errors);
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

    fn init_restart_policy(&self, container: &Container, path: &Path, errors: &mut ErrorList) {
        let (policy, rules) = (container.restart_policy.as_deref(), list(&container.restart_policy_rules));
        match policy {
            None if !rules.is_empty() => errors.required(&path.child("restartPolicy"), RULES_WITHOUT_POLICY),
            None => {}
            Some(policy) if !self.restarts.are_allowed => {
                errors.one_of(&path.child("restartPolicy"), policy, &["Always"]);
            }
            Some("Always") if !self.restarts.may_be_of_all && rules.is_empty() => {}
            Some("Always") if !self.restarts.may_be_of_all => {
                let detail = "restartPolicyRules are not allowed for init containers with restart policy Always";
                errors.forbidden(&path.child("restartPolicyRules"), detail);
            }
            Some(_) => self.restart_policy(container, path, errors),
        }
    }

    fn restart_policy(&self, container: &Container, path: &Path, errors: &mut ErrorList) {
        let rules: &[ContainerRestartRule] = list(&container.restart_policy_rules);
        let at = path.child("restartPolicy");
        match &container.restart_policy {
            Some(policy) => errors.one_of(&at, policy, &["Always", "Never", "OnFailure"]),
            None if !rules.is_empty() => errors.required(&at, RULES_WITHOUT_POLICY),
            None => return,
        }
        let path = path.child("restartPolicyRules");
        // Upstream counts both lists as if they were texts.
        if rules.len() > RULES_MAX {
            errors.push(Error::too_long(&path, RULES_MAX));
        }
        for (at, rule) in each_of(rules, &path) {
            let is_of_all = self.restarts.may_be_of_all && rule.action == RESTART_ALL;
            if !is_of_all {
                errors.one_of(&at.child("action"), &rule.action, &["Restart"]);
            }
            let at = at.child("exitCodes");
            let Some(codes) = &rule.exit_codes else {
                errors.required(&at, "must be specified");
                continue;
            };
            errors.one_of(&at.child("operator"), &codes.operator, &["In", "NotIn"]);
            if list(&codes.values).len() > EXIT_CODES_MAX {
                errors.push(Error::too_long(&at.child("values"), EXIT_CODES_MAX));
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
