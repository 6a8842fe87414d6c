//! One attempt of one probe.
//!
//! Upstream: pkg/kubelet/prober/prober.go, pkg/probe (v1.35).

use std::{
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use corten_api::core::v1::{Container, Probe};
use corten_base::{Clock, timeout};
use corten_cri::{Code, RuntimeService, api};

use super::{grpc, http::Get, target::port_of, tcp};
use crate::{containers::expansion, pod_ref::go_duration};

/// How probes name themselves.
const USER_AGENT: &str = "kube-probe/1.35";
/// What is kept of a command's output. Upstream: `maxReadLength`.
const OUTPUT_BYTES_MAX: usize = 10 << 10;
/// How much longer than its timeout a command's call may take: the runtime itself has to notice and kill.
const EXEC_SLACK: Duration = Duration::from_secs(2);

/// The pause before a gRPC server is tried again, and how it grows. Source: gRPC's connection backoff, without its jitter.
const GRPC_PAUSE: Duration = Duration::from_secs(1);
const GRPC_PAUSE_GROWTH: f64 = 1.6;

/// What an attempt found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// All is well; with the output.
    Success(String),
    /// Well enough, but people should know.
    Warning(String),
    /// It is not.
    Failure(String),
    /// The probe itself could not be made: the result says nothing.
    Error(String),
}

/// Everything one attempt needs.
pub(super) struct Attempt<'a> {
    pub(super) runtime: &'a dyn RuntimeService,
    pub(super) clock: &'a dyn Clock,
    pub(super) probe: &'a Probe,
    pub(super) timeout: Duration,
    pub(super) container: &'a Container,
    pub(super) container_id: &'a str,
    pub(super) pod_ip: Option<IpAddr>,
}

impl Attempt<'_> {
    pub(super) async fn run(&self) -> Finding {
        let probe = self.probe;
        if let Some(action) = &probe.exec {
            self.exec(action.command.as_deref().unwrap_or_default()).await
        } else if let Some(action) = &probe.http_get {
            match Get::of(action, self.container, self.pod_ip, USER_AGENT) {
                Ok(get) => self.http(&get).await,
                Err(error) => Finding::Error(error),
            }
        } else if let Some(action) = &probe.tcp_socket {
            let port = match port_of(&action.port, self.container) {
                Ok(port) => port,
                Err(error) => return Finding::Error(error),
            };
            match self.host(action.host.as_deref()) {
                Ok(host) => self.tcp(&host, port).await,
                Err(error) => Finding::Error(error),
            }
        } else if let Some(action) = &probe.grpc {
            let (Ok(port), Ok(host)) = (u16::try_from(action.port), self.host(None)) else {
                return Finding::Error("the pod has no address".to_owned());
            };
            self.grpc(&host, port, action.service.as_deref().unwrap_or_default()).await
        } else {
            let name = &self.container.name;
            Finding::Error(format!("missing probe handler for container {name}"))
        }
    }

    fn host(&self, given: Option<&str>) -> Result<String, String> {
        match given.filter(|host| !host.is_empty()) {
            Some(host) => Ok(host.to_owned()),
            None => self.pod_ip.map(|ip| ip.to_string()).ok_or_else(|| "the pod has no address".to_owned()),
        }
    }

    async fn exec(&self, given: &[String]) -> Finding {
        let cmd = match expansion::expand_static(given, self.container.env.as_deref().unwrap_or_default()) {
            Ok(cmd) => cmd,
            Err(error) => return Finding::Error(error.to_string()),
        };
        let late = || Finding::Failure(format!("command \"{}\" timed out", cmd.join(" ")));
        let request = api::ExecSyncRequest {
            container_id: self.container_id.to_owned(),
            cmd: cmd.clone(),
            timeout: i64::try_from(self.timeout.as_secs()).unwrap_or(i64::MAX),
        };
        let call = self.runtime.exec_sync(request);
        match timeout(self.clock, self.timeout + EXEC_SLACK, call).await {
            Err(_) => late(),
            Ok(Err(error)) if error.code == Code::DeadlineExceeded => late(),
            Ok(Err(error)) => Finding::Error(error.to_string()),
            Ok(Ok(response)) => {
                let mut output = response.stdout.to_vec();
                output.extend_from_slice(&response.stderr);
                output.truncate(OUTPUT_BYTES_MAX);
                let output = String::from_utf8_lossy(&output).into_owned();
                if response.exit_code == 0 { Finding::Success(output) } else { Finding::Failure(output) }
            }
        }
    }

    async fn http(&self, get: &Get) -> Finding {
        match timeout(self.clock, self.timeout, get.send()).await {
            Err(_) => Finding::Failure(format!(
                "Get \"{}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
                get.url()
            )),
            Ok(Err(error)) => Finding::Failure(error),
            Ok(Ok(page)) => match page.code {
                200..=299 => Finding::Success(page.body),
                300..=399 => Finding::Warning(format!("Probe terminated redirects, Response body: {}", page.body)),
                code => Finding::Failure(format!("HTTP probe failed with statuscode: {code}")),
            },
        }
    }

    async fn tcp(&self, host: &str, port: u16) -> Finding {
        match timeout(self.clock, self.timeout, tcp::dial(host, port)).await {
            Ok(Ok(_)) => Finding::Success(String::new()),
            Ok(Err(error)) => Finding::Failure(error),
            Err(_) => {
                let place = super::target::join_host_port(host, port);
                Finding::Failure(format!("dial tcp {place}: i/o timeout"))
            }
        }
    }

    async fn grpc(&self, host: &str, port: u16, service: &str) -> Finding {
        let within = go_duration(self.timeout);
        let place = super::target::join_host_port(host, port);
        let is_connected = AtomicBool::new(false);
        let call = async {
            // A server that comes to listen before the time is up is a success: gRPC tries until then.
            let mut pause = GRPC_PAUSE;
            let stream = loop {
                match tcp::dial(host, port).await {
                    Ok(stream) => break stream,
                    Err(error) => tracing::trace!(place, error, "Could not connect yet"),
                }
                self.clock.sleep(pause).await;
                pause = pause.mul_f64(GRPC_PAUSE_GROWTH);
            };
            is_connected.store(true, Ordering::Relaxed);
            grpc::check(stream, host, port, service, USER_AGENT, &within).await
        };
        match timeout(self.clock, self.timeout, call).await {
            Ok(Ok(output)) => Finding::Success(output),
            Ok(Err(error)) => Finding::Failure(error),
            Err(_) if is_connected.load(Ordering::Relaxed) => {
                Finding::Failure(format!("timeout: health rpc did not complete within {within}"))
            }
            Err(_) => Finding::Failure(format!(
                "timeout: failed to connect service \"{place}\" within {within}: context deadline exceeded"
            )),
        }
    }
}
