//! What a runtime says about itself.

use super::Fixture;
use crate::{API_VERSION, api};

/// `Version` names the runtime and the interface.
pub async fn the_version_names_the_runtime_and_the_interface(fixture: &Fixture) {
    let version = fixture.runtime.version(api::VersionRequest::default()).await.expect("version");
    assert!(!version.version.is_empty());
    assert!(!version.runtime_name.is_empty());
    assert!(!version.runtime_version.is_empty());
    assert_eq!(version.runtime_api_version, API_VERSION);
}

/// `Status` has the two conditions that a node needs, and both hold for a runtime under test.
pub async fn the_status_has_both_conditions(fixture: &Fixture) {
    let status = fixture.runtime.status(api::StatusRequest { verbose: false }).await.expect("status");
    let conditions = status.status.expect("a status").conditions;
    for wanted in ["RuntimeReady", "NetworkReady"] {
        let condition = conditions.iter().find(|condition| condition.r#type == wanted).expect(wanted);
        assert!(condition.status, "{condition:?}");
    }
}

/// `info` is empty unless `verbose` was set.
pub async fn more_information_comes_only_when_asked_for(fixture: &Fixture) {
    let pod = fixture.pod("verbose").await;
    let container_id = pod.create("main", "exit 0").await;
    for verbose in [false, true] {
        let status = fixture.runtime.status(api::StatusRequest { verbose }).await.expect("status");
        assert_eq!(!status.info.is_empty(), verbose, "of the runtime");
        let request = api::PodSandboxStatusRequest { pod_sandbox_id: pod.id.clone(), verbose };
        let status = fixture.runtime.pod_sandbox_status(request).await.expect("status of the sandbox");
        assert_eq!(!status.info.is_empty(), verbose, "of the sandbox");
        let request = api::ContainerStatusRequest { container_id: container_id.clone(), verbose };
        let status = fixture.runtime.container_status(request).await.expect("status of the container");
        assert_eq!(!status.info.is_empty(), verbose, "of the container");
    }
}
