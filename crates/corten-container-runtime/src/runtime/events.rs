//! What happened to containers: read from what the shims wrote, and told to whoever listens.

use corten_base::{ErrorChain, fs};
use corten_cri::{Code, CriError, api};

use super::{ContainerRuntime, State, Told, service, unknown};
use crate::{
    blocking,
    shim::protocol::{ContainerState, Exit, VERSION},
};

/// A failure to read a record: `DataLoss` if it is broken, newer than this program or not there, and will be tomorrow.
/// Anything else (too many open files, a disk that fails) says nothing of the record.
pub(super) fn unreadable(error: &fs::FsError) -> CriError {
    use std::io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    match error.source.kind() {
        InvalidData | UnexpectedEof | NotFound => CriError::new(Code::DataLoss, ErrorChain(error).to_string()),
        _ => unknown(error),
    }
}

impl ContainerRuntime {
    pub(super) fn send(&self, id: &str, sandbox: &str, kind: api::ContainerEventType) {
        let event = {
            let state = self.inner.state.lock();
            self.event(&state, id, sandbox, kind)
        };
        // Nobody listens: nothing is lost, a listener lists first.
        let _ = self.inner.events.send(event);
    }

    fn event(
        &self,
        state: &State,
        id: &str,
        sandbox: &str,
        kind: api::ContainerEventType,
    ) -> api::ContainerEventResponse {
        api::ContainerEventResponse {
            container_id: id.to_owned(),
            container_event_type: kind as i32,
            created_at: self.now(),
            pod_sandbox_status: state.sandboxes.get(sandbox).map(service::sandbox_status),
            containers_statuses: state
                .containers
                .values()
                .filter(|container| container.record.sandbox == sandbox)
                .map(service::container_status)
                .collect(),
        }
    }

    /// Reads what the shim wrote about a container and tells what is new.
    ///
    /// Errors: `DataLoss` if that is broken; whatever kept it from being read.
    pub(super) async fn refresh(&self, id: &str) -> Result<(), CriError> {
        let Some(record) = self.inner.state.lock().containers.get(id).map(|container| container.record.clone()) else {
            return Ok(());
        };
        let directory = self.live_container(&record);
        let read = move || ContainerState::read(&directory).map_err(|error| unreadable(&error));
        let found = blocking::run(&self.inner.tasks, "blocking", read).await;
        self.advance(id, found.map_err(|panicked| unknown(&panicked))??);
        Ok(())
    }

    pub(super) fn advance(&self, id: &str, found: Option<ContainerState>) {
        let mut state = self.inner.state.lock();
        let Some(container) = state.containers.get_mut(id) else { return };
        if container.exit().is_none() && found.is_some() {
            container.state = found;
        }
        let (sandbox, has_started, has_ended) =
            (container.record.sandbox.clone(), container.started_at() != 0, container.exit().is_some());
        for (told, is_so, kind) in [
            (Told::Started, has_started, api::ContainerEventType::ContainerStartedEvent),
            (Told::Stopped, has_ended, api::ContainerEventType::ContainerStoppedEvent),
        ] {
            let container = state.containers.get_mut(id).expect("found above, under the same lock");
            if is_so && container.told < told {
                container.told = told;
                let event = self.event(&state, id, &sandbox, kind);
                let _ = self.inner.events.send(event);
            }
        }
        drop(state);
        if has_ended {
            self.inner.ended.send_modify(|count| *count += 1);
        }
    }

    /// Marks containers as ended whose shim has gone: all at once, so that no event shows one of them as running.
    pub(super) fn lost(&self, ids: &[String]) {
        let finished_at = self.now();
        {
            let mut state = self.inner.state.lock();
            for id in ids {
                if let Some(container) = state.containers.get_mut(id).filter(|container| container.exit().is_none()) {
                    let none = ContainerState { version: VERSION, pid: 0, started_at: None, exit: None };
                    let exit = Exit { code: 255, finished_at, oom_killed: false, start_error: None };
                    container.state.get_or_insert(none).exit = Some(exit);
                }
            }
        }
        for id in ids {
            self.advance(id, None);
        }
    }
}
