//! Pulls against a scripted runtime, in simulated time. Secrets come from an API server of one answer.

use corten_api::{
    core::v1::{Container, LocalObjectReference, PodSpec},
    meta::v1::ObjectMeta,
};
use corten_apimachinery::status::{Reason, Status};
use corten_base::SimClock;
use corten_client::{Answer, Call, Transport, events::EventQueue};
use corten_cri::fake::FakeCri;

use super::*;
use crate::interfaces::ContainerKind;

/// Has no secret.
#[derive(Debug)]
struct NoSecrets;

impl Transport for NoSecrets {
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Answer, Status>> {
        Box::pin(async move { Err(Status::new(Reason::NotFound, format!("no {}", call.name))) })
    }
}

struct Fixture {
    clock: Arc<SimClock>,
    fake: FakeCri,
    images: ImageManager,
    events: EventQueue,
}

fn fixture() -> Fixture {
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let fake = FakeCri::new(clock.clone());
    let (recorder, events) = Recorder::new("kubelet", "n", clock.clone());
    let client = Client::new(Arc::new(NoSecrets), "kubelet");
    let images = ImageManager::new(Arc::new(fake.clone()), client, recorder, clock.clone());
    Fixture { clock, fake, images, events }
}

fn pod(uid: &str, secrets: &[&str]) -> SharedPod {
    let secrets = secrets.iter().map(|name| LocalObjectReference { name: (*name).to_owned() }).collect();
    let spec = PodSpec { image_pull_secrets: Some(secrets), ..PodSpec::default() };
    let metadata = ObjectMeta { uid: Some(uid.to_owned()), ..ObjectMeta::default() };
    Arc::new(Pod { metadata, spec: Some(spec), ..Pod::default() })
}

fn container(image: &str, policy: &str) -> ContainerRef {
    let spec = Container {
        name: "main".into(),
        image: Some(image.into()),
        image_pull_policy: Some(policy.into()),
        ..Container::default()
    };
    ContainerRef { kind: ContainerKind::Ordinary, spec: Arc::new(spec), target: None }
}

impl Fixture {
    async fn ensure(&self, image: &str, policy: &str) -> Result<ImageRef, Failure> {
        self.images.ensure(&pod("u", &[]), &container(image, policy), &api::PodSandboxConfig::default()).await
    }

    fn told(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(event) = self.events.try_next() {
            told.push(format!("{} {}", event.reason, event.message));
        }
        told
    }
}

#[tokio::test]
async fn an_absent_image_is_pulled_once_and_then_used() {
    let mut fixture = fixture();
    let image = fixture.ensure("app", "IfNotPresent").await.unwrap();
    assert!(image.id.starts_with("sha256:") && image.repo_digest.contains("@sha256:"), "{image:?}");
    assert_eq!(fixture.fake.take_calls(), ["pull_image app:latest"]);
    let told = fixture.told();
    assert_eq!(told[0], "Pulling Pulling image \"app\"");
    assert!(
        told[1].starts_with("Pulled Successfully pulled image \"app\" in 0s (0s including waiting). Image size: "),
        "{told:?}"
    );
    fixture.ensure("app", "IfNotPresent").await.unwrap();
    assert!(fixture.fake.take_calls().is_empty());
    let want = "Pulled Container image \"app\" already present on machine and can be accessed by the pod";
    assert_eq!(fixture.told(), [want]);
    fixture.ensure("app", "Always").await.unwrap();
    assert_eq!(fixture.fake.take_calls(), ["pull_image app:latest"]);
}

#[tokio::test]
async fn what_must_not_be_pulled_or_has_no_name_waits_with_its_reason() {
    let mut fixture = fixture();
    let never = fixture.ensure("app", "Never").await.unwrap_err();
    let text = "Container image \"app\" is not present with pull policy of Never";
    assert_eq!(never, Failure::new("ErrImageNeverPull", text));
    assert_eq!(fixture.told(), [format!("ErrImageNeverPull {text}")]);
    let invalid = fixture.ensure("App:", "Always").await.unwrap_err();
    assert_eq!(invalid.reason, "InvalidImageName");
    let want =
        "Failed to apply default image tag \"App:\": couldn't parse image name \"App:\": invalid reference format";
    assert!(invalid.message.starts_with(want), "{}", invalid.message);
    assert!(fixture.fake.take_calls().is_empty());
}

#[tokio::test]
async fn a_failed_pull_backs_off_and_says_why_it_waits() {
    let mut fixture = fixture();
    fixture.fake.fail_pull("app:1", 2, CriError::not_found("no such image"));
    let error = "rpc error: code = NotFound desc = no such image";
    let failed = fixture.ensure("app:1", "IfNotPresent").await.unwrap_err();
    assert_eq!(failed, Failure::new("ErrImagePull", error));
    assert_eq!(fixture.told()[1], format!("Failed Failed to pull image \"app:1\": {error}"));

    let waits = fixture.ensure("app:1", "IfNotPresent").await.unwrap_err();
    let text = format!("Back-off pulling image \"app:1\": ErrImagePull: {error}");
    assert_eq!(waits, Failure::new("ImagePullBackOff", text));
    assert_eq!(fixture.told(), ["BackOff Back-off pulling image \"app:1\""]);

    fixture.clock.advance(Duration::from_secs(10));
    assert_eq!(fixture.ensure("app:1", "IfNotPresent").await.unwrap_err().reason, "ErrImagePull");
    fixture.clock.advance(Duration::from_secs(19));
    assert_eq!(fixture.ensure("app:1", "IfNotPresent").await.unwrap_err().reason, "ImagePullBackOff");
    fixture.images.forget("u");
    fixture.ensure("app:1", "IfNotPresent").await.unwrap();
}

#[tokio::test]
async fn an_unavailable_registry_has_a_reason_of_its_own() {
    let fixture = fixture();
    fixture.fake.fail_pull("app:1", 1, CriError::unknown("RegistryUnavailable: 503"));
    let failed = fixture.ensure("app:1", "Always").await.unwrap_err();
    let want = "image pull failed for app:1 because the registry is unavailable: 503";
    assert_eq!(failed, Failure::new("RegistryUnavailable", want));
}

#[tokio::test]
async fn those_who_wait_for_the_same_image_share_its_pull() {
    let fixture = fixture();
    let hold = fixture.fake.hold("pull_image");
    let (first, second, sandbox) = (pod("a", &[]), pod("b", &[]), api::PodSandboxConfig::default());
    let container = container("app:1", "Always");
    let mut one = fixture.images.ensure(&first, &container, &sandbox);
    let mut other = fixture.images.ensure(&second, &container, &sandbox);
    assert!(futures::poll!(&mut one).is_pending() && futures::poll!(&mut other).is_pending());
    // The first one goes away: the transfer is the other's now.
    drop(one);
    hold.release();
    other.await.unwrap();
    assert_eq!(fixture.fake.take_calls(), ["pull_image app:1"]);
}

#[tokio::test]
async fn secrets_that_are_missing_are_told_and_do_not_stop_the_pull() {
    let mut fixture = fixture();
    let sandbox = api::PodSandboxConfig::default();
    fixture.images.ensure(&pod("u", &["one", "two"]), &container("app:1", "Always"), &sandbox).await.unwrap();
    let want = "FailedToRetrieveImagePullSecret Unable to retrieve some image pull secrets (one, two); \
                attempting to pull the image may not succeed.";
    assert!(fixture.told().contains(&want.to_owned()));
}

/// Four registries that never came to an end held all places: nobody's image was fetched any more.
#[tokio::test]
async fn a_transfer_that_does_not_end_holds_its_place_for_a_while() {
    let fixture = fixture();
    let _hold = fixture.fake.hold("pull_image");
    let (pod, sandbox) = (pod("a", &[]), api::PodSandboxConfig::default());
    let containers: Vec<_> = (0..=PULLS_MAX).map(|number| container(&format!("app:{number}"), "Always")).collect();
    let pulls = containers.iter().map(|container| fixture.images.ensure(&pod, container, &sandbox));
    let mut pulls: Vec<_> = pulls.collect();
    let mut poll = || pulls.iter_mut().for_each(|pull| assert!(pull.as_mut().now_or_never().is_none()));
    poll();
    assert_eq!(fixture.fake.take_calls().len(), PULLS_MAX);
    fixture.clock.advance(PLACE_HELD_MAX);
    poll();
    poll();
    assert_eq!(fixture.fake.take_calls(), [format!("pull_image app:{PULLS_MAX}")]);
}

/// All of them were, by one who held a place meanwhile.
#[tokio::test]
async fn of_many_credentials_some_are_tried() {
    let fixture = fixture();
    fixture.fake.fail_pull("app:1", u32::MAX, CriError::not_found("no such image"));
    let image = api::ImageSpec { image: "app:1".to_owned(), ..api::ImageSpec::default() };
    let credentials = vec![api::AuthConfig::default(); 20_000];
    let failed = transfer(&fixture.fake, image, credentials, api::PodSandboxConfig::default()).await.unwrap_err();
    assert_eq!(fixture.fake.take_calls().len(), CREDENTIALS_MAX);
    let want = "[rpc error: code = NotFound desc = no such image, 19968 more credentials that fit were not tried]";
    assert_eq!(failed.to_string(), want);
}

/// The server was asked for each, one after the other, at every pull.
#[tokio::test]
async fn of_many_pull_secrets_some_are_read() {
    let mut fixture = fixture();
    let sandbox = api::PodSandboxConfig::default();
    let pod = pod("u", &["s"; 10_000]);
    fixture.images.ensure(&pod, &container("app:1", "Always"), &sandbox).await.unwrap();
    assert!(fixture.told().iter().any(|told| told.contains("s, 9744 more than the 256 that are read);")));
}
