//! The messages have upstream's numbers on the wire, and do not tell secrets.

use prost::Message as _;

use super::v1::{AuthConfig, ContainerStats, ImageSpec, IoUsage, PsiStats, Signal};

#[track_caller]
fn check(message: &impl prost::Message, want: &[u8]) {
    assert_eq!(message.encode_to_vec(), want);
}

#[test]
fn fields_carry_upstreams_numbers() {
    check(
        &ImageSpec { user_specified_image: "a".into(), runtime_handler: "b".into(), ..ImageSpec::default() },
        // Field 18 and field 19, both length-delimited.
        &[0x92, 0x01, 1, b'a', 0x9a, 0x01, 1, b'b'],
    );
    check(
        &ContainerStats {
            io: Some(IoUsage { timestamp: 1, psi: Some(PsiStats::default()) }),
            ..ContainerStats::default()
        },
        &[0x32, 4, 0x08, 1, 0x12, 0],
    );
}

#[test]
fn fields_of_windows_nodes_are_skipped() {
    // ContainerStats has no windows field, but PodSandboxStats.windows is number 3.
    let decoded = super::v1::PodSandboxStats::decode(&[0x1a, 2, 0x0a, 0][..]).unwrap();
    assert_eq!(decoded, super::v1::PodSandboxStats::default());
}

#[test]
fn signals_are_numbered_by_the_interface_and_not_by_linux() {
    assert_eq!(Signal::Sigterm as i32, 23);
    assert_eq!(Signal::Sigrtmax as i32, 65);
    assert_eq!(Signal::from_str_name("SIGRTMAXMINUS14").map(|signal| signal as i32), Some(51));
}

#[test]
fn debug_text_of_credentials_holds_no_secret() {
    let auth = AuthConfig {
        username: "jane".into(),
        password: "hunter2".into(),
        auth: "amFuZTpodW50ZXIy".into(),
        server_address: "registry.test".into(),
        identity_token: "identity".into(),
        registry_token: "bearer".into(),
    };
    assert_eq!(format!("{auth:?}"), r#"AuthConfig { username: "jane", server_address: "registry.test", .. }"#);
}
