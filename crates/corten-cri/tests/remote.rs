//! The suite against a runtime that already runs, over its socket: containerd, CRI-O, or Corten's own as a server.
//!
//! `CORTEN_CRI_ENDPOINT` names the socket (`unix:///run/containerd/containerd.sock`); without it everything is skipped.
//! The run has to be root in the runtime's own network and mount namespaces. Further variables:
//! `CORTEN_CRI_SHELL_IMAGE` (see `TestImages::shell`), `CORTEN_CRI_ABSENT_IMAGE`, `CORTEN_CRI_PULL_TAG`,
//! `CORTEN_CRI_PULL_OTHER_TAG` and `CORTEN_CRI_PULL_DIGEST` (see `Pullable`), `CORTEN_CRI_CGROUP_PARENT`,
//! `CORTEN_CRI_WITHOUT` (names of `Need`s that the runtime does not provide, with commas between them).
//! Cases that pull use the same images: run this test with one thread.

use std::{env, sync::Arc};

use corten_base::SystemClock;
use corten_cri::{
    client::{CriClient, socket_path},
    conformance::{Fixture, Need, Pullable, TestImages},
    cri_conformance,
};

/// What a remote runtime can provide. Not `Streaming`: its streams are URLs.
const NEEDS: &[Need] = &[
    Need::Events,
    Need::GroupsPolicy,
    Need::HostPid,
    Need::HostPort,
    Need::ImageFilter,
    Need::Limits,
    Need::Mounts,
    Need::Network,
    Need::Privileged,
    Need::Processes,
    Need::Registry,
    Need::Resources,
    Need::Seccomp,
    Need::Stats,
    Need::StopSignal,
    Need::StopUnknown,
];

fn variable(name: &str) -> Option<String> {
    let value = env::var(name).ok()?;
    (!value.is_empty()).then_some(value)
}

fn fixture() -> Option<Fixture> {
    let endpoint = variable("CORTEN_CRI_ENDPOINT")?;
    let client = CriClient::connect(&socket_path(&endpoint).unwrap()).unwrap();
    let pullable = variable("CORTEN_CRI_PULL_TAG").map(|tag| Pullable {
        tag,
        other_tag: variable("CORTEN_CRI_PULL_OTHER_TAG").expect("CORTEN_CRI_PULL_OTHER_TAG"),
        digest: variable("CORTEN_CRI_PULL_DIGEST").expect("CORTEN_CRI_PULL_DIGEST"),
    });
    let without = variable("CORTEN_CRI_WITHOUT").unwrap_or_default();
    let provided = |need: &Need| {
        !without.split(',').any(|name| name == format!("{need:?}")) && (*need != Need::Registry || pullable.is_some())
    };
    let provides = NEEDS.iter().copied().filter(provided).collect();
    let dir = tempfile::tempdir().unwrap();
    Some(Fixture {
        runtime: Arc::new(client.clone()),
        images: Arc::new(client),
        streaming: None,
        clock: SystemClock::shared(),
        dir: dir.path().to_owned(),
        cgroup_parent: variable("CORTEN_CRI_CGROUP_PARENT").unwrap_or_default(),
        test_images: TestImages {
            shell: variable("CORTEN_CRI_SHELL_IMAGE").expect("CORTEN_CRI_SHELL_IMAGE"),
            absent: variable("CORTEN_CRI_ABSENT_IMAGE").unwrap_or_else(|| "localhost:1/no/such-image:1".to_owned()),
            pullable,
        },
        provides,
        owner: Fixture::unique_owner(),
        keep: Some(Box::new(dir)),
    })
}

cri_conformance!(fixture());
