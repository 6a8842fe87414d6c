//! The command line is whole, and means what it says.

use clap::{CommandFactory as _, Parser as _};
use clap_complete::Shell;

use super::{Arguments, Command, by_name, completion};

#[test]
fn the_command_line_contradicts_itself_nowhere() {
    Arguments::command().debug_assert();
}

#[test]
fn every_command_and_every_flag_is_explained() {
    let mut commands: Vec<_> = Arguments::command().get_subcommands().cloned().collect();
    while let Some(command) = commands.pop() {
        assert!(command.get_about().is_some(), "{} has no help", command.get_name());
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{} {} has no help", command.get_name(), argument.get_id());
        }
        commands.extend(command.get_subcommands().cloned());
    }
}

#[test]
fn completions_know_every_command_and_flag() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let text = String::from_utf8(completion::of(shell)).unwrap();
        for command in Arguments::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            assert!(text.contains(command.get_name()), "{shell}: {}", command.get_name());
            for flag in command.get_arguments().filter(|flag| !flag.is_hide_set()).filter_map(|flag| flag.get_long()) {
                assert!(text.contains(flag), "{shell}: {} --{flag}", command.get_name());
            }
        }
    }
}

#[track_caller]
fn check(line: &str, is_it: impl FnOnce(&Command) -> bool) {
    let arguments = by_name(line.split(' ').map(Into::into).collect());
    let command = Arguments::try_parse_from(arguments).unwrap().command;
    assert!(is_it(&command), "{line}: {command:?}");
}

#[test]
fn command_lines_mean_what_they_say() {
    check("corten up", |it| matches!(it, Command::Up(_)));
    check(
        "corten up --detach --root /srv/one --api-port 7443 --proxy-mode userspace --image a.tar --image b.tar",
        |it| matches!(it, Command::Up(_)),
    );
    check("corten down --root /srv/one", |it| matches!(it, Command::Down(_)));
    check("corten delete --root /srv/one", |it| matches!(it, Command::Delete(_)));
    check("corten status --json", |it| matches!(it, Command::Status(_)));
    check("corten image import a.tar b.tar", |it| matches!(it, Command::Image(_)));
    check("corten image --root /srv/one rm nginx", |it| matches!(it, Command::Image(_)));
    check("corten server --root /srv/one --listen 127.0.0.1:0", |it| matches!(it, Command::Server(_)));
    check(
        "corten kubelet --kubeconfig a --config b --node-ip 10.0.0.7 --hostname-override n1 --root-dir /srv/kubelet \
         --node-labels a=b,c=d --register-with-taints a=b:NoSchedule,c:NoExecute --max-pods 20 --cpu-cfs-quota=false --node-status-update-frequency 5s",
        |it| matches!(it, Command::Kubelet(_)),
    );
    check("corten kube-scheduler --kubeconfig a --v=2", |it| matches!(it, Command::KubeScheduler(_)));
}

#[test]
fn the_binary_is_the_component_that_it_is_called() {
    check("/usr/bin/kube-proxy --kubeconfig a", |it| matches!(it, Command::KubeProxy(_)));
    check("kube-controller-manager --kubeconfig a", |it| matches!(it, Command::KubeControllerManager(_)));
    assert!(Arguments::try_parse_from(by_name(vec!["corten".into()])).is_err(), "it says what there is");
}

#[test]
fn what_cannot_be_is_refused() {
    for line in [
        "corten image import",
        "corten up --proxy-mode ipvs",
        "corten up --api-port 70000",
        "corten backup",
        "corten kubelet --node-labels a",
        "corten kubelet --register-with-taints a=b",
    ] {
        assert!(Arguments::try_parse_from(line.split(' ')).is_err(), "{line}");
    }
}
