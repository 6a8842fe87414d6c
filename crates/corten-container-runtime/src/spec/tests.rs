use super::*;

#[track_caller]
fn check(command: &[&str], args: &[&str], want: &[&str]) {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let image =
        ImageConfig { entrypoint: Some(owned(&["entry"])), cmd: Some(owned(&["cmd"])), ..ImageConfig::default() };
    let config = api::ContainerConfig { command: owned(command), args: owned(args), ..api::ContainerConfig::default() };
    assert_eq!(super::command(&config, &image).unwrap(), owned(want));
}

#[test]
fn the_config_replaces_what_the_image_runs() {
    check(&[], &[], &["entry", "cmd"]);
    check(&[], &["a"], &["entry", "a"]);
    check(&["c"], &[], &["c"]);
    check(&["c"], &["a"], &["c", "a"]);
    assert!(super::command(&api::ContainerConfig::default(), &ImageConfig::default()).is_err());
}

#[test]
fn signals_are_named_as_images_and_the_interface_name_them() {
    for (name, want) in [("SIGTERM", 15), ("quit", 3), ("9", 9), ("SIGRTMIN+3", 37), ("SIGRTMAXMINUS1", 63)] {
        assert_eq!(signal_number(name), Some(want), "{name}");
    }
}

/// Once, a container whose image named such a signal could not be ended at all.
#[test]
fn signals_that_there_are_not_are_not_sent() {
    let names = [
        "0",
        "-1",
        "65",
        "100",
        "99999999999",
        "SIGRTMIN+31",
        "SIGRTMIN+2147483647",
        "SIGRTMAX-31",
        "SIGRTMIN-1",
        "SIGRTMAX--1",
        "SIGRTMIN++1",
        "RTMINX",
        "SIGNOTHING",
        "",
    ];
    for name in names {
        assert_eq!(signal_number(name), None, "{name}");
        let image = ImageConfig { stop_signal: Some(name.to_owned()), ..ImageConfig::default() };
        assert_eq!(stop_signal(&api::ContainerConfig::default(), &image), 15, "{name}");
    }
    assert_eq!((signal_number("SIGRTMIN+30"), signal_number("SIGRTMAX-30")), (Some(64), Some(34)));
}

/// Once, each variable was compared with all before it.
#[test]
fn the_last_value_of_a_variable_counts_at_the_first_place_and_many_take_no_time() {
    let image = ImageConfig {
        env: Some((0..200_000).map(|n| format!("V{n}={n}")).chain(["V0=again".to_owned()]).collect()),
        ..ImageConfig::default()
    };
    let key = |key: &str, value: &str| api::KeyValue { key: key.to_owned(), value: value.to_owned() };
    let config =
        api::ContainerConfig { envs: vec![key("V1", "mine"), key("NEW", "x")], ..api::ContainerConfig::default() };
    let all = environment(&config, &image, "host");
    assert_eq!(all.len(), 200_003);
    assert_eq!(all[..4], [DEFAULT_PATH, "V0=again", "V1=mine", "V2=2"]);
    assert_eq!(all[200_001..], ["HOSTNAME=host", "NEW=x"]);
}

#[test]
fn capabilities_are_added_and_dropped() {
    let with = |add: &[&str], drop: &[&str]| {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let change = api::Capability {
            add_capabilities: list(add),
            drop_capabilities: list(drop),
            ..api::Capability::default()
        };
        let security = api::LinuxContainerSecurityContext { capabilities: Some(change), ..Default::default() };
        capabilities(&security, u64::MAX)
    };
    assert_eq!(with(&[], &[]).len(), DEFAULT_CAPABILITIES.len());
    assert_eq!(with(&["SYS_CHROOT"], &["ALL"]), ["SYS_CHROOT"]);
    assert_eq!(with(&["CAP_BPF"], &["chown"]).len(), DEFAULT_CAPABILITIES.len());
    assert_eq!(with(&["ALL"], &["BPF"]).len(), CAPABILITIES.len() - 1);
}
