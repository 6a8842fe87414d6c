//! The command line is whole, and means what it says.

use clap::{CommandFactory as _, Parser as _};
use clap_complete::Shell;

use super::{Arguments, COMPONENTS, Command, by_name, completion};

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

/// `corten image list --root X` was a wrong flag, where every other command takes it at its end.
#[test]
fn the_root_may_stand_before_and_after_what_is_done_with_images() {
    for line in ["corten image --root /srv/one list", "corten image list --root /srv/one"] {
        check(line, |it| format!("{it:?}").contains("root: \"/srv/one\""));
    }
}

/// As kubeadm's manifests have them; each of them ended the process with 2.
#[test]
fn command_lines_made_for_upstream_are_taken() {
    let pki = "--client-ca-file=a --tls-cert-file=b --tls-private-key-file=c --service-account-key-file=d \
               --service-account-signing-key-file=e --kubelet-client-certificate=f --kubelet-client-key=g";
    check(
        &format!(
            "kube-apiserver --data-dir=s {pki} --advertise-address=10.0.0.1 --allow-privileged=true \
             --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --enable-bootstrap-token-auth=true \
             --etcd-cafile=h --etcd-certfile=i --etcd-keyfile=j --etcd-servers=https://127.0.0.1:2379 \
             --kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname --proxy-client-cert-file=k \
             --proxy-client-key-file=l --requestheader-allowed-names=front-proxy-client --requestheader-client-ca-file=m \
             --requestheader-extra-headers-prefix=X-Remote-Extra- --requestheader-group-headers=X-Remote-Group \
             --requestheader-username-headers=X-Remote-User --secure-port=6443 \
             --service-account-issuer=https://kubernetes.default.svc.cluster.local --service-cluster-ip-range=10.96.0.0/12"
        ),
        |it| matches!(it, Command::KubeApiserver(_)),
    );
    check(
        "kube-controller-manager --allocate-node-cidrs=true --authentication-kubeconfig=a --authorization-kubeconfig=a \
         --bind-address=127.0.0.1 --client-ca-file=b --cluster-cidr=10.244.0.0/16 --cluster-name=kubernetes \
         --cluster-signing-cert-file=b --cluster-signing-key-file=c --controllers=*,bootstrapsigner,tokencleaner \
         --kubeconfig=a --leader-elect=true --requestheader-client-ca-file=d --root-ca-file=b \
         --service-account-private-key-file=e --service-cluster-ip-range=10.96.0.0/12 \
         --use-service-account-credentials=true --node-monitor-grace-period=40s",
        |it| match it {
            Command::KubeControllerManager(options) => options.check().is_ok(),
            _ => false,
        },
    );
    check(
        "kube-scheduler --authentication-kubeconfig=a --authorization-kubeconfig=a --bind-address=127.0.0.1 --kubeconfig=a \
         --leader-elect=True --config=b --profiling",
        |it| matches!(it, Command::KubeScheduler(_)),
    );
    check(
        "kubelet --bootstrap-kubeconfig=a --kubeconfig=b --config=c --container-runtime-endpoint=unix:///run/d.sock \
         --pod-infra-container-image=pause:3.10 --cpu-cfs-quota --rotate-certificates",
        |it| matches!(it, Command::Kubelet(_)),
    );
    for (flag, want) in
        [("", false), (" --masquerade-all", true), (" --masquerade-all=true", true), (" --masquerade-all=0", false)]
    {
        check(&format!("kube-proxy --hostname-override=n1 --kubeconfig=a{flag}"), |it| {
            format!("{it:?}").contains(&format!("masquerade_all: {want}"))
        });
    }
}

/// The page of the command line has every flag of every component, as it is.
#[test]
fn the_tables_of_flags_are_those_of_the_components() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once(TABLES_BEGIN).unwrap();
    let (_, after) = rest.split_once(TABLES_END).unwrap();
    let tables: String = COMPONENTS.iter().map(|name| table_of(name)).collect();
    let want = format!("{before}{TABLES_BEGIN}\n\n{tables}{TABLES_END}{after}");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &want).unwrap();
    } else {
        assert!(
            page == want,
            "the tables of docs/cli.md are not those of the flags: `cargo xtask golden -p corten` makes them"
        );
    }
}

const TABLES_BEGIN: &str = "<!-- Made by `cargo xtask golden -p corten`: -->";
const TABLES_END: &str = "<!-- End of what is made. -->";

fn table_of(component: &str) -> String {
    let arguments = Arguments::command();
    let command = arguments.find_subcommand(component).unwrap();
    let mut flags: Vec<_> = command.get_arguments().filter_map(|flag| Some((flag.get_long()?, flag))).collect();
    flags.sort_by_key(|(name, _)| *name);
    let (hidden, shown): (Vec<_>, Vec<_>) = flags.into_iter().partition(|(_, flag)| flag.is_hide_set());
    let rows = shown.into_iter().map(|(name, flag)| {
        let value = flag.get_value_names().unwrap_or_default().join(" ");
        let written = match (flag.get_action().takes_values(), flag.is_require_equals_set()) {
            (false, _) => format!("--{name}"),
            (true, false) => format!("--{name} {value}"),
            (true, true) => format!("--{name}[={value}]"),
        };
        let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
        let defaults: Vec<_> = flag.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let default = if defaults.is_empty() { String::new() } else { format!(" [default: {}]", defaults.join(",")) };
        format!("| `{written}` | {help}{default} |\n")
    });
    let rows: String = rows.collect();
    let hidden: Vec<_> = hidden.into_iter().map(|(name, _)| format!("`--{name}`")).collect();
    let ignored = format!("Taken and not followed: {}.", hidden.join(", "));
    format!("### {component}\n\n| Flag | What it is |\n| --- | --- |\n{rows}\n{ignored}\n\n")
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
