//! Network namespaces and their settings.

use std::fs;

use corten_net::{
    Netns,
    netlink::Rtnl,
    netns::NetnsError,
    sysctl::{self, SysctlError},
};

use crate::support::need_root;

#[test]
fn a_pinned_namespace_outlives_every_thread_and_is_gone_when_removed() {
    need_root!();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pod");
    let created = Netns::create_pinned(&path).unwrap();
    let opened = Netns::open(&path).unwrap();
    assert!(created.is_same(&opened).unwrap());
    assert!(!created.is_same(&Netns::current().unwrap()).unwrap());
    assert!(matches!(Netns::create_pinned(&path), Err(NetnsError::AlreadyPinned { .. })));
    drop((created, opened));
    // Only the pin holds it now.
    let names: Vec<_> =
        Rtnl::open_in(&Netns::open(&path).unwrap()).unwrap().links().unwrap().into_iter().map(|l| l.name).collect();
    assert_eq!(names, ["lo"]);
    assert!(Netns::remove_pinned(&path).unwrap());
    assert!(!Netns::remove_pinned(&path).unwrap(), "removing again is fine");
    assert!(!path.exists());
}

#[test]
fn a_file_left_by_a_crash_is_reused_and_is_no_namespace() {
    need_root!();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pod");
    fs::write(&path, "").unwrap();
    assert!(matches!(Netns::open(&path), Err(NetnsError::NotANamespace { .. })));
    Netns::create_pinned(&path).unwrap();
    assert!(Netns::remove_pinned(&path).unwrap());
    fs::write(&path, "").unwrap();
    assert!(Netns::remove_pinned(&path).unwrap(), "a file without a mount is removed too");
}

#[test]
fn the_loopback_interface_comes_up() {
    need_root!();
    let netns = Netns::create().unwrap();
    let rtnl = Rtnl::open_in(&netns).unwrap();
    assert!(!rtnl.expect_link("lo").unwrap().up);
    netns.bring_up_loopback().unwrap();
    assert!(rtnl.expect_link("lo").unwrap().up);
    assert!(rtnl.addresses(None).unwrap().iter().any(|a| a.net.addr().is_loopback()));
}

#[test]
fn settings_belong_to_one_namespace() {
    need_root!();
    let (a, b) = (Netns::create().unwrap(), Netns::create().unwrap());
    let name = "net/ipv4/conf/all/route_localnet";
    sysctl::write(&a, name, "1").unwrap();
    assert_eq!(sysctl::read(&a, name).unwrap(), "1");
    assert_eq!(sysctl::read(&b, name).unwrap(), "0");
    assert!(!sysctl::write_if_present(&a, "net/ipv4/no_such_setting", "1").unwrap());
    let missing = sysctl::read(&a, "net/ipv4/conf/no-such-link/route_localnet").unwrap_err();
    assert!(missing.is_not_found(), "{missing}");
    assert!(matches!(sysctl::write(&a, "kernel/hostname", "x"), Err(SysctlError::Name { .. })));
}

#[test]
fn a_panic_inside_a_namespace_reaches_the_caller() {
    need_root!();
    let netns = Netns::create().unwrap();
    let caught = std::panic::catch_unwind(|| netns.run(|| panic!("inside")));
    assert!(caught.is_err());
}
