//! The fake keeps the promises of the interface that need no processes.

use corten_base::SystemClock;

use super::FakeCri;
use crate::{
    CriError,
    conformance::{Fixture, Need, Pullable, TestImages},
    cri_conformance,
};

/// A fresh fake with everything that cases expect of it.
pub(crate) fn fixture() -> Fixture {
    let clock = SystemClock::shared();
    let fake = FakeCri::new(clock.clone());
    fake.add_image("shell:1").unwrap();
    fake.fail_pull("absent:1", u32::MAX, CriError::not_found("absent:1: not found"));
    fake.alias_image("pulled:2", "pulled:1");
    let digest = FakeCri::new(clock.clone()).add_image("pulled:1").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let cri = fake.cri();
    Fixture {
        runtime: cri.runtime,
        images: cri.images,
        streaming: Some(std::sync::Arc::new(fake)),
        clock,
        dir: dir.path().to_owned(),
        cgroup_parent: String::new(),
        test_images: TestImages {
            shell: "shell:1".to_owned(),
            absent: "absent:1".to_owned(),
            pullable: Some(Pullable {
                tag: "pulled:1".to_owned(),
                other_tag: "pulled:2".to_owned(),
                digest: format!("pulled@{digest}"),
            }),
        },
        provides: vec![
            Need::Events,
            Need::ImageFilter,
            Need::StopUnknown,
            Need::Network,
            Need::Registry,
            Need::Resources,
            Need::Stats,
            Need::Streaming,
        ],
        owner: Fixture::unique_owner(),
        keep: Some(Box::new(dir)),
    }
}

cri_conformance!(fixture());
