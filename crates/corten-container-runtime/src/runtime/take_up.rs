//! The pods that an earlier runtime left: they run on, or have ended with the machine.

use std::{path::Path, time::Duration};

use corten_base::fs;
use corten_cri::{Code, CriError, api};
use futures::StreamExt as _;

use super::{Container, ContainerRuntime, Told, events::unreadable, sandboxes};
use crate::format::{self, ContainerRecord, SandboxRecord};

/// How many pods are taken up at the same time: shims answer in a moment, and one that does not is not to hold up others.
const TAKE_UPS: usize = 16;
/// How long a shim has to answer a runtime that starts; one that takes longer is asked again when the runtime runs.
const TAKE_UP_PATIENCE: Duration = Duration::from_secs(5);

impl ContainerRuntime {
    /// Finds the pods of an earlier runtime. One that cannot be understood does not keep the others from going on; it is
    /// cleared away. One whose records cannot be read now, but may be later, is left as it is: it may be well.
    pub(super) async fn take_up(&self) -> Result<(), CriError> {
        let root = self.inner.config.root.join("pods");
        let found = self.blocking(move || read_records(&root)).await?;
        {
            let mut state = self.inner.state.lock();
            for record in found.containers {
                let container = Container { record, state: None, told: Told::Stopped };
                state.containers.insert(container.record.id.clone(), container);
            }
            state.sandboxes = found.sandboxes.into_iter().map(|record| (record.id.clone(), record)).collect();
        }
        let ready: Vec<(String, bool)> =
            self.inner.state.lock().sandboxes.values().map(|record| (record.id.clone(), record.ready)).collect();
        let taken = futures::stream::iter(ready).map(|(id, ready)| async move {
            let taken = self.take_up_pod(&id, ready).await;
            taken.err().map(|error| (id, error))
        });
        let failed: Vec<_> = taken.buffer_unordered(TAKE_UPS).filter_map(std::future::ready).collect().await;
        let unreadable = futures::stream::iter(found.unreadable.into_iter().chain(failed));
        let told = unreadable.map(|(id, error)| async move {
            if error.code != Code::DataLoss {
                tracing::error!(sandbox = %id, err = %error, "Could not read what is known of sandbox, left it alone");
                return;
            }
            match self.set_aside(&id, TAKE_UP_PATIENCE).await {
                Ok(()) => {
                    tracing::error!(sandbox = %id, err = %error, "Cleared away sandbox that cannot be understood")
                }
                Err(left) => {
                    tracing::error!(sandbox = %id, err = %left, cause = %error, "Could not clear away sandbox");
                }
            }
        });
        told.buffer_unordered(TAKE_UPS).collect::<()>().await;
        Ok(())
    }

    /// Errors: `DataLoss`, what its shim wrote is broken.
    async fn take_up_pod(&self, id: &str, ready: bool) -> Result<(), CriError> {
        for record in self.containers_of(id) {
            match self.refresh(&record.id).await {
                // What could not be read now is read again with the subscription, until that succeeds.
                Err(error) if error.code != Code::DataLoss => {
                    tracing::warn!(container = %record.id, err = %error, "Could not read state of container");
                }
                read => read?,
            }
            if let Some(container) = self.inner.state.lock().containers.get_mut(&record.id) {
                container.told = match container.phase() {
                    api::ContainerState::ContainerRunning => Told::Started,
                    api::ContainerState::ContainerExited => Told::Stopped,
                    _ => Told::Created,
                };
            }
        }
        if ready {
            match self.subscribe(id, TAKE_UP_PATIENCE).await {
                Ok(call) => {
                    self.listen(id, Some(call));
                    return Ok(());
                }
                Err(error) if error.code == Code::Unavailable => {
                    tracing::warn!(sandbox = id, err = %error, "Found sandbox without its shim");
                }
                Err(error) => {
                    tracing::warn!(sandbox = id, err = %error, "Could not take up sandbox yet");
                    self.listen(id, None);
                    return Ok(());
                }
            }
        }
        // Also of a sandbox that had ended before: its containers' ends may have been forgotten by a reboot.
        self.shim_ended(id).await;
        if ready && let Err(error) = self.change_sandbox(id, |record| record.ready = false).await {
            // The next runtime finds the same, and comes to the same conclusion.
            tracing::warn!(sandbox = id, err = %error, "Could not note that sandbox has ended");
            if let Some(record) = self.inner.state.lock().sandboxes.get_mut(id) {
                record.ready = false;
            }
        }
        Ok(())
    }
}

/// What an earlier runtime has written down.
#[derive(Default)]
struct Records {
    sandboxes: Vec<SandboxRecord>,
    containers: Vec<ContainerRecord>,
    /// Sandboxes of which something cannot be read, by id; `DataLoss` if it never will.
    unreadable: Vec<(String, CriError)>,
}

/// Errors: the directory itself cannot be read.
fn read_records(root: &Path) -> std::io::Result<Records> {
    let mut records = Records::default();
    // What else is there (`lost+found`) is nobody's pod.
    for id in sandboxes::names(root)?.into_iter().filter(|name| is_id(name)) {
        match read_pod(&root.join(&id)) {
            Ok((sandbox, containers)) => {
                records.sandboxes.push(sandbox);
                records.containers.extend(containers);
            }
            Err(error) => records.unreadable.push((id, unreadable(&error))),
        }
    }
    Ok(records)
}

/// Whether it is a name that `new_id` gives.
fn is_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn read_pod(directory: &Path) -> Result<(SandboxRecord, Vec<ContainerRecord>), fs::FsError> {
    use fs::Context as _;
    let path = directory.join("sandbox.json");
    // The record is written first and removed last, but for what a removal that was cut short has left.
    let missing = || Err(std::io::Error::from(std::io::ErrorKind::NotFound)).at("read", &path);
    let sandbox = format::read_version(&path, format::VERSION)?.map_or_else(missing, Ok)?;
    let (within, mut containers) = (directory.join("containers"), Vec::new());
    for id in sandboxes::names(&within).at("read directory", &within)? {
        // One without a record was never completed.
        containers.extend(format::read_version(&within.join(id).join("container.json"), format::VERSION)?);
    }
    Ok((sandbox, containers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Encoded;

    fn sandbox(id: &str) -> SandboxRecord {
        SandboxRecord {
            version: format::VERSION,
            id: id.to_owned(),
            config: Encoded::default(),
            created_at: 1,
            ready: true,
            ips: Vec::new(),
            cgroup: "/x".to_owned(),
        }
    }

    /// One record that could not be read kept the runtime, and with it the whole node, from starting.
    #[test]
    fn a_record_that_cannot_be_read_costs_no_other_pod() {
        let root = tempfile::tempdir().unwrap();
        let write = |id: &str, file: &str, text: &[u8]| {
            let path = root.path().join(id).join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let [good, newer, cut, half, left, closed] = &[1, 2, 3, 4, 5, 6].map(|id| format!("{id:064x}"));
        let text = serde_json::to_vec(&sandbox(good)).unwrap();
        let later = serde_json::to_vec(&SandboxRecord { version: 2, ..sandbox(newer) }).unwrap();
        write(good, "sandbox.json", &text);
        // A container that was never completed, and what is none.
        std::fs::create_dir_all(root.path().join(good).join("containers/c")).unwrap();
        write(good, "containers/file", b"");
        write(newer, "sandbox.json", &later);
        write(cut, "sandbox.json", &text[..text.len() / 2]);
        write(half, "sandbox.json", &text);
        write(half, "containers/c/container.json", b"{");
        write(left, "containers/c/container.json", b"{}");
        // Cannot be read, whatever is in it: it was taken for broken, and a pod that was well was ended.
        std::fs::create_dir_all(root.path().join(closed).join("sandbox.json")).unwrap();
        // Taken for pods, and cleared away.
        write("lost+found", "x", b"");
        std::fs::write(root.path().join(format!("{:064x}", 7)), "").unwrap();
        let records = read_records(root.path()).unwrap();
        assert_eq!(records.sandboxes.iter().map(|record| &record.id).collect::<Vec<_>>(), [good]);
        assert!(records.containers.is_empty());
        let mut unreadable: Vec<_> = records.unreadable.iter().map(|(id, error)| (id, error.code)).collect();
        unreadable.sort_unstable_by_key(|(id, _)| *id);
        let lost = Code::DataLoss;
        assert_eq!(unreadable, [(newer, lost), (cut, lost), (half, lost), (left, lost), (closed, Code::Unknown)]);
    }
}
