//! What a container wants done after its start and before its end.
//!
//! Upstream: pkg/kubelet/lifecycle/handlers.go (v1.35). A hook's output may hold secrets: events only say that it failed.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use corten_api::core::v1::{HTTPGetAction, LifecycleHandler};
use corten_apimachinery::field::quote;
use corten_base::{SharedClock, timeout};
use corten_client::events::Recorder;
use corten_cri::{RuntimeService, api};
use tracing::{debug, warn};

use crate::{
    containers::expansion,
    interfaces::{ContainerRef, Failure, Hooks, SharedPod},
    pod_ref::{container_ref, full_name, pod_ref},
    prober::{http::Get, target::port_of},
};

/// How hooks name themselves.
const USER_AGENT: &str = "kube-lifecycle/1.35";
/// What a hook's failed request shows when the server speaks HTTP only; then HTTP is tried.
const PLAIN_SERVER: &str = "server gave HTTP response to HTTPS client";

/// Runs hooks. Cheap to clone.
#[derive(Clone)]
pub struct HookRunner {
    runtime: Arc<dyn RuntimeService>,
    recorder: Recorder,
    clock: SharedClock,
}

/// What is known of the container whose hook runs.
struct Running<'a> {
    pod: &'a SharedPod,
    container: &'a ContainerRef,
    id: &'a str,
    pod_ip: Option<IpAddr>,
}

impl HookRunner {
    /// Hooks of a runtime's containers.
    #[must_use]
    pub fn new(runtime: Arc<dyn RuntimeService>, recorder: Recorder, clock: SharedClock) -> Self {
        Self { runtime, recorder, clock }
    }

    /// Runs a handler; how long it may take is the caller's matter. Errors: what failed and why, in upstream's words.
    async fn run(&self, handler: &LifecycleHandler, on: &Running<'_>) -> Result<(), String> {
        let failed = |what: String, why: String| {
            let (container, pod) = (quote(&on.container.spec.name), quote(&full_name(on.pod)));
            format!("{what} for Container {container} in Pod {pod} failed - error: {why}")
        };
        if let Some(action) = &handler.exec {
            let command = action.command.as_deref().unwrap_or_default();
            let what = || format!("Exec lifecycle hook ([{}])", command.join(" "));
            self.run_command(command, on).await.map_err(|(why, output)| {
                failed(what(), format!("{why}, message: {}", quote(&String::from_utf8_lossy(&output))))
            })
        } else if let Some(action) = &handler.http_get {
            let what = || format!("HTTP lifecycle hook ({})", action.path.as_deref().unwrap_or_default());
            self.send(action, on).await.map_err(|why| failed(what(), why))
        } else if let Some(action) = &handler.sleep {
            self.clock.sleep(Duration::from_secs(u64::try_from(action.seconds).unwrap_or_default())).await;
            Ok(())
        } else {
            Err("Cannot run handler: invalid handler: no action".to_owned())
        }
    }

    /// Errors: why the command failed, and what it printed.
    async fn run_command(&self, command: &[String], on: &Running<'_>) -> Result<(), (String, Vec<u8>)> {
        let cmd = expansion::expand_static(command, on.container.spec.env.as_deref().unwrap_or_default());
        let cmd = cmd.map_err(|error| (error.to_string(), Vec::new()))?;
        let shown = cmd.join(" ");
        let request = api::ExecSyncRequest { container_id: on.id.to_owned(), cmd, timeout: 0 };
        let ran = self.runtime.exec_sync(request).await;
        let response = ran.map_err(|error| (error.to_string(), Vec::new()))?;
        match response.exit_code {
            0 => Ok(()),
            code => {
                let why =
                    format!("command '{shown}' exited with {code}: {}", String::from_utf8_lossy(&response.stderr));
                Err((why, [response.stdout, response.stderr].concat()))
            }
        }
    }

    /// Sends a request; to a server that speaks HTTP where HTTPS was asked for, once more. Errors: why it failed.
    async fn send(&self, action: &HTTPGetAction, on: &Running<'_>) -> Result<(), String> {
        let container = &on.container.spec;
        // A name that is no port is the only thing that is wrong for good.
        port_of(&action.port, container)?;
        let get = Get::of(action, container, on.pod_ip, USER_AGENT)?;
        let error = match get.send().await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        if !get.is_tls() || !error.contains(PLAIN_SERVER) {
            return Err(error);
        }
        // When that fails, too, what went wrong first is told.
        if let Err(second) = get.without_tls().send().await {
            debug!(container = %container.name, err = %second, "Hook failed over HTTP, too");
            return Err(error);
        }
        let text =
            format!("request to HTTPS lifecycle hook {} got HTTP response, retry with HTTP succeeded", get.authority());
        self.recorder.warning(&pod_ref(on.pod), "LifecycleHTTPFallback", text);
        Ok(())
    }
}

#[async_trait]
impl Hooks for HookRunner {
    async fn post_start(
        &self,
        pod: &SharedPod,
        container: &ContainerRef,
        container_id: &str,
        pod_ip: Option<IpAddr>,
    ) -> Result<(), Failure> {
        let Some(handler) = container.spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref())
        else {
            return Ok(());
        };
        let on = Running { pod, container, id: container_id, pod_ip };
        self.run(handler, &on).await.map_err(|error| {
            warn!(container = %container.spec.name, err = %error, "PostStart hook failed");
            self.recorder.warning(&container_ref(pod, container), "FailedPostStartHook", "PostStartHook failed");
            Failure::new("PostStartHookError", error)
        })
    }

    async fn pre_stop(
        &self,
        pod: &SharedPod,
        container: &ContainerRef,
        container_id: &str,
        pod_ip: Option<IpAddr>,
        grace: Duration,
    ) {
        let Some(handler) = container.spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref()) else {
            return;
        };
        let on = Running { pod, container, id: container_id, pod_ip };
        match timeout(&*self.clock, grace, self.run(handler, &on)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                warn!(container = %container.spec.name, err = %error, "PreStop hook failed");
                self.recorder.warning(&container_ref(pod, container), "FailedPreStopHook", "PreStopHook failed");
            }
            // The grace period is over; upstream has no event for it.
            Err(elapsed) => warn!(container = %container.spec.name, err = %elapsed, "PreStop hook did not end in time"),
        }
    }
}

impl fmt::Debug for HookRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookRunner")
    }
}

#[cfg(test)]
mod tests;
