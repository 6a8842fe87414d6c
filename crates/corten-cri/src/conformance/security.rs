//! Who containers are, and what they may not do.

use super::{
    Fixture,
    pod::{IDLE, pod_namespaces, security},
};
use crate::api::{
    Capability, ContainerConfig, Int64Value, SecurityProfile, SupplementalGroupsPolicy, security_profile::ProfileType,
};

const WHO: &str = "id -u; id -g; id -G";

fn number(value: i64) -> Option<Int64Value> {
    Some(Int64Value { value })
}

fn profile(profile_type: ProfileType) -> Option<SecurityProfile> {
    Some(SecurityProfile { profile_type: profile_type as i32, localhost_ref: String::new() })
}

/// The words of a list of groups, sorted: their order is nobody's promise.
fn sorted(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| {
            let mut words: Vec<_> = line.split(' ').collect();
            words.sort_unstable_by_key(|word| word.parse::<u64>().unwrap_or(0));
            words.dedup();
            words.join(" ")
        })
        .collect()
}

/// Numbers need no entry in the image's files.
pub async fn user_and_groups_are_the_configs(fixture: &Fixture) {
    let pod = fixture.pod("numbers").await;
    let output = pod
        .run_with("main", WHO, |config| {
            security(config).run_as_user = number(4001);
            security(config).run_as_group = number(4002);
            security(config).supplemental_groups = vec![4003, 4004];
        })
        .await;
    assert_eq!(sorted(&output.stdout), ["4001", "4002", "4002 4003 4004"]);
    let output = pod.run_with("user-only", WHO, |config| security(config).run_as_user = number(1001)).await;
    assert_eq!(sorted(&output.stdout)[..2], ["1001", "1002"], "the group of the user in the image");
}

/// A name stands for the numbers of `/etc/passwd`, with the groups of `/etc/group`.
pub async fn a_user_name_is_looked_up_in_the_image(fixture: &Fixture) {
    let pod = fixture.pod("name").await;
    let output = pod
        .run_with("main", WHO, |config| {
            security(config).run_as_username = "tester".to_owned();
            security(config).supplemental_groups = vec![4003];
        })
        .await;
    assert_eq!(sorted(&output.stdout), ["1001", "1002", "1002 1003 4003"]);
}

/// Nobody by that name in the image.
pub async fn an_unknown_user_name_is_an_error(fixture: &Fixture) {
    let pod = fixture.pod("nobody").await;
    let change = |config: &mut ContainerConfig| security(config).run_as_username = "no-such-user".to_owned();
    assert!(pod.try_run("main", IDLE, change).await.is_err());
}

/// `run_as_group` needs a user.
pub async fn a_group_without_a_user_is_an_error(fixture: &Fixture) {
    let pod = fixture.pod("group-only").await;
    let change = |config: &mut ContainerConfig| security(config).run_as_group = number(4002);
    assert!(pod.try_run("main", IDLE, change).await.is_err());
}

/// `Strict`: only what the config says.
pub async fn strict_groups_leave_the_images_groups_out(fixture: &Fixture) {
    let pod = fixture.pod("strict").await;
    let output = pod
        .run_with("main", WHO, |config| {
            security(config).run_as_username = "tester".to_owned();
            security(config).supplemental_groups = vec![4003];
            security(config).set_supplemental_groups_policy(SupplementalGroupsPolicy::Strict);
        })
        .await;
    assert_eq!(sorted(&output.stdout), ["1001", "1002", "1002 4003"]);
}

/// `ContainerStatus.user` is who the first process is.
pub async fn the_status_tells_the_user(fixture: &Fixture) {
    let pod = fixture.pod("told").await;
    let id = pod
        .start_with("main", IDLE, |config| {
            security(config).run_as_user = number(4001);
            security(config).run_as_group = number(4002);
            security(config).supplemental_groups = vec![4003];
        })
        .await;
    let user = fixture.container_status(&id).await.expect("status").user.and_then(|user| user.linux).expect("a user");
    assert_eq!((user.uid, user.gid), (4001, 4002));
    assert!(user.supplemental_groups.contains(&4003), "{user:?}");
}

/// Names come without `CAP_`; dropping all leaves what is added.
pub async fn capabilities_are_added_and_dropped(fixture: &Fixture) {
    let pod = fixture.pod("capabilities").await;
    let script = "sed -n 's/^CapBnd:\\s*//p' /proc/self/status";
    let bounding = |add: &[&str], drop: &[&str]| {
        let (add, drop): (Vec<_>, Vec<_>) =
            (add.iter().map(|name| (*name).to_owned()).collect(), drop.iter().map(|name| (*name).to_owned()).collect());
        let name = format!("c{}-{}", add.concat().len(), drop.concat().len());
        let pod = &pod;
        async move {
            let output = pod.run_with(&name, script, |config| {
                let capabilities =
                    Capability { add_capabilities: add, drop_capabilities: drop, ..Capability::default() };
                security(config).capabilities = Some(capabilities);
            });
            u64::from_str_radix(output.await.stdout.trim(), 16).expect("a mask")
        }
    };
    // Numbers of linux/capability.h.
    let (chown, net_bind, sys_chroot, sys_ptrace) = (1_u64, 1 << 10, 1 << 18, 1 << 19);
    let usual = bounding(&[], &[]).await;
    assert_eq!(usual & (chown | net_bind), chown | net_bind, "{usual:x}");
    assert_eq!(usual & sys_ptrace, 0, "{usual:x}");
    assert_eq!(bounding(&["SYS_PTRACE"], &[]).await, usual | sys_ptrace);
    assert_eq!(bounding(&[], &["CHOWN"]).await, usual & !chown);
    assert_eq!(bounding(&["SYS_CHROOT"], &["ALL"]).await, sys_chroot);
}

/// Everything that confines is off.
pub async fn a_privileged_container_has_every_capability_and_no_masks(fixture: &Fixture) {
    let pod = fixture
        .pod_with("privileged", |config| {
            pod_namespaces(config);
            let linux = config.linux.get_or_insert_default();
            linux.security_context.get_or_insert_default().privileged = true;
        })
        .await;
    let script = "sed -n 's/^CapBnd:\\s*//p' /proc/self/status; sed -n 's/^Seccomp:\\s*//p' /proc/self/status; \
                  grep -c ' /sys .*[ ,]ro[ ,]' /proc/mounts";
    let output = pod.run_with("main", script, |config| security(config).privileged = true).await;
    let own = std::fs::read_to_string("/proc/self/status").expect("this process's status");
    let own = own.lines().find_map(|line| line.strip_prefix("CapBnd:")).expect("a mask").trim();
    assert_eq!(output.stdout, format!("{own}\n0\n0\n"));
}

/// Only mounts stay writable.
pub async fn a_read_only_root_cannot_be_written(fixture: &Fixture) {
    let pod = fixture.pod("read-only").await;
    let script = "echo x 2>/dev/null > /file || echo refused; echo x > /dev/null && echo fine";
    let output = pod.run_with("main", script, |config| security(config).readonly_rootfs = true).await;
    assert_eq!(output.stdout, "refused\nfine\n");
}

/// The flag of the process.
pub async fn no_new_privileges_is_set(fixture: &Fixture) {
    let pod = fixture.pod("no-new-privs").await;
    for (name, wanted) in [("without", false), ("with", true)] {
        let script = "sed -n 's/^NoNewPrivs:\\s*//p' /proc/self/status";
        let output = pod.run_with(name, script, |config| security(config).no_new_privs = wanted).await;
        assert_eq!(output.stdout, format!("{}\n", u8::from(wanted)));
    }
}

/// The default profile is a filter, `Unconfined` is none.
pub async fn the_seccomp_profile_filters(fixture: &Fixture) {
    let pod = fixture.pod("seccomp").await;
    for (name, kind, want) in
        [("default", ProfileType::RuntimeDefault, "2\n"), ("unconfined", ProfileType::Unconfined, "0\n")]
    {
        let script = "sed -n 's/^Seccomp:\\s*//p' /proc/self/status";
        let output = pod.run_with(name, script, |config| security(config).seccomp = profile(kind)).await;
        assert_eq!(output.stdout, want, "{name}");
    }
}

/// A profile from a file; a file that is not there is an error.
pub async fn a_profile_on_the_node_filters(fixture: &Fixture) {
    let pod = fixture.pod("own-profile").await;
    let file = fixture.dir.join("no-chmod.json");
    let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["chmod", "fchmod", "fchmodat"], "action": "SCMP_ACT_ERRNO"}]}"#;
    std::fs::write(&file, text).expect("write the profile");
    let with = |path: &std::path::Path| {
        let localhost_ref = path.display().to_string();
        Some(SecurityProfile { profile_type: ProfileType::Localhost as i32, localhost_ref })
    };
    let script = "touch /file; chmod 600 /file 2>/dev/null || echo refused";
    let output = pod.run_with("main", script, |config| security(config).seccomp = with(&file)).await;
    assert_eq!(output.stdout, "refused\n");
    let missing = with(&fixture.dir.join("absent.json"));
    assert!(pod.try_run("missing", IDLE, |config| security(config).seccomp = missing).await.is_err());
}

/// Masked paths are empty, read-only paths cannot be written.
pub async fn masked_and_read_only_paths_are(fixture: &Fixture) {
    let pod = fixture.pod("masked").await;
    let script = "cat /proc/uptime | wc -c; ls /proc/irq | wc -l; \
                  echo 1 2>/dev/null > /proc/sys/kernel/ns_last_pid || echo refused";
    let output = pod
        .run_with("main", script, |config| {
            security(config).masked_paths = ["/proc/uptime", "/proc/irq", "/no/such/path"].map(str::to_owned).into();
            security(config).readonly_paths = vec!["/proc/sys".to_owned()];
        })
        .await;
    assert_eq!(output.stdout, "0\n0\nrefused\n", "{}", output.stderr);
}
