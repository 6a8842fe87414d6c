//! Rules of probes and lifecycle hooks.

use std::sync::LazyLock;

use corten_api::core::v1::{
    ExecAction, GRPCAction, HTTPGetAction, Lifecycle, LifecycleHandler, Probe, SleepAction, TCPSocketAction,
};
use corten_apimachinery::{
    field::{Error, ErrorList, Path},
    validation::is_http_header_name,
};

use super::env;
use crate::{
    report::Report,
    view::{list, text},
};

/// What a probe and a lifecycle hook have in common.
struct Handler<'p> {
    exec: Option<&'p ExecAction>,
    http_get: Option<&'p HTTPGetAction>,
    tcp_socket: Option<&'p TCPSocketAction>,
    grpc: Option<&'p GRPCAction>,
    sleep: Option<&'p SleepAction>,
}

impl<'p> From<&'p Probe> for Handler<'p> {
    fn from(probe: &'p Probe) -> Self {
        Self {
            exec: probe.exec.as_ref(),
            http_get: probe.http_get.as_ref(),
            tcp_socket: probe.tcp_socket.as_ref(),
            grpc: probe.grpc.as_ref(),
            sleep: None,
        }
    }
}

impl<'p> From<&'p LifecycleHandler> for Handler<'p> {
    fn from(hook: &'p LifecycleHandler) -> Self {
        Self {
            exec: hook.exec.as_ref(),
            http_get: hook.http_get.as_ref(),
            tcp_socket: hook.tcp_socket.as_ref(),
            grpc: None,
            sleep: hook.sleep.as_ref(),
        }
    }
}

/// The signals that can end a container on Linux, besides the numbered ones for real time.
const SIGNALS: &str = "SIGABRT SIGALRM SIGBUS SIGCHLD SIGCLD SIGCONT SIGFPE SIGHUP SIGILL SIGINT SIGIO SIGIOT SIGKILL SIGPIPE \
                       SIGPOLL SIGPROF SIGPWR SIGQUIT SIGRTMAX SIGRTMIN SIGSEGV SIGSTKFLT SIGSTOP SIGSYS SIGTERM SIGTRAP \
                       SIGTSTP SIGTTIN SIGTTOU SIGURG SIGUSR1 SIGUSR2 SIGVTALRM SIGWINCH SIGXCPU SIGXFSZ";

/// All signals that can end a container on Linux, sorted.
static LINUX_SIGNALS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut signals: Vec<String> = SIGNALS.split_ascii_whitespace().map(str::to_owned).collect();
    signals.extend((1..=14).map(|number| format!("SIGRTMAX-{number}")));
    signals.extend((1..=15).map(|number| format!("SIGRTMIN+{number}")));
    signals.sort_unstable();
    signals
});

/// The hooks of a container, and the signal that ends it, of a pod for the system `os`.
pub(super) fn hooks(
    lifecycle: &Lifecycle,
    grace_seconds: Option<i64>,
    os: Option<&str>,
    path: &Path,
    errors: &mut ErrorList,
) {
    for (field, hook) in [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)] {
        if let Some(hook) = hook {
            handler(&hook.into(), grace_seconds, &path.child(field), errors);
        }
    }
    let Some(signal) = &lifecycle.stop_signal else { return };
    let at = path.child("stopSignal");
    match os {
        None => errors.forbidden(&at, "may not be set for containers with empty `spec.os.name`"),
        Some("windows") => errors.one_of(&at, signal, &["SIGKILL", "SIGTERM"]),
        Some("linux") if !LINUX_SIGNALS.contains(signal) => {
            errors.push_with(|| Error::not_supported(&at, signal.as_str(), &LINUX_SIGNALS));
        }
        Some(_) => {}
    }
}

/// One probe of a container.
pub(super) fn probe(probe: &Probe, grace_seconds: Option<i64>, path: &Path, errors: &mut ErrorList) {
    handler(&probe.into(), grace_seconds, path, errors);
    for (field, value) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        errors.non_negative(&path.child(field), value.unwrap_or_default().into());
    }
    if let Some(seconds) = probe.termination_grace_period_seconds.filter(|seconds| *seconds <= 0) {
        errors.invalid(&path.child("terminationGracePeriodSeconds"), seconds, "must be greater than 0");
    }
}

fn handler(handler: &Handler<'_>, grace_seconds: Option<i64>, path: &Path, errors: &mut ErrorList) {
    let mut count = 0;
    let mut first = |field: &str, errors: &mut ErrorList| -> Option<Path> {
        let at = path.child(field);
        count += 1;
        if count > 1 {
            errors.forbidden(&at, "may not specify more than 1 handler type");
            return None;
        }
        Some(at)
    };
    if let Some(exec) = handler.exec
        && let Some(at) = first("exec", errors)
        && list(&exec.command).is_empty()
    {
        errors.required(&at.child("command"), "");
    }
    if let Some(http) = handler.http_get
        && let Some(at) = first("httpGet", errors)
    {
        errors.require(&at.child("path"), text(&http.path));
        env::port_number_or_name(&http.port, &at.child("port"), errors);
        errors.one_of(&at.child("scheme"), text(&http.scheme), &["HTTP", "HTTPS"]);
        for header in list(&http.http_headers) {
            errors.invalids(&at.child("httpHeaders"), &header.name, is_http_header_name(&header.name));
        }
    }
    if let Some(tcp) = handler.tcp_socket
        && let Some(at) = first("tcpSocket", errors)
    {
        env::port_number_or_name(&tcp.port, &at.child("port"), errors);
    }
    if let Some(grpc) = handler.grpc
        && let Some(at) = first("grpc", errors)
    {
        errors.port(&at.child("port"), grpc.port.into());
    }
    if let Some(sleep) = handler.sleep
        && let Some(at) = first("sleep", errors)
        && let Some(grace) = grace_seconds.filter(|grace| !(0..=*grace).contains(&sleep.seconds))
    {
        let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.invalid(&at, sleep.seconds, detail);
    }
    if count == 0 {
        errors.required(path, "must specify a handler type");
    }
}
