//! Programs in the foreground end well when they are told to, and what they started runs on.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use anyhow::{Context as _, ensure};
use corten_e2e::{Kubectl, Machine, eventually, in_sandbox};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A program in the foreground, with its output in a file; killed with the value if it still runs.
struct Foreground {
    child: Child,
    output: PathBuf,
}

impl Foreground {
    fn start(output: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        let binary = std::env::var_os("CORTEN_BIN").context("CORTEN_BIN is not set: run `cargo xtask test`")?;
        let output = PathBuf::from(output);
        let file = std::fs::File::create(&output).context("make the file of the output")?;
        let child = Command::new(binary)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .context("start corten")?;
        Ok(Self { child, output })
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }

    fn says(&mut self, word: &str) -> anyhow::Result<()> {
        eventually(word, || {
            ensure!(self.child.try_wait()?.is_none() && self.said().contains(word), "it said: {}", self.said());
            Ok(())
        })
    }

    /// Sends the signal and waits for the end, which is a good one.
    fn ends_well_on(mut self, signal: Signal) -> anyhow::Result<()> {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).context("send the signal")?;
        let status: ExitStatus =
            eventually("the program has ended", || self.child.try_wait()?.context("it still runs"))?;
        ensure!(status.success(), "{signal}: {status}: {}", self.said());
        Ok(())
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        // Only a test that failed leaves one, and its sandbox ends with it.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Which container the pod has, and how often it was started again.
fn container(kubectl: &Kubectl) -> String {
    let path = "jsonpath={.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}";
    kubectl.ok(&["get", "pod", "p", "-o", path])
}

#[test]
fn up_in_the_foreground_ends_well_and_its_pods_run_on() {
    in_sandbox("signals::up_in_the_foreground_ends_well_and_its_pods_run_on", || {
        let machine = Machine::here()?;
        let kubectl = machine.kubectl()?;
        let image = machine.image("busybox-1.28.docker.tar").display().to_string();
        let mut before = None;
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let mut up = Foreground::start("/run/up.out", &["up", "--image", &image])?;
            up.says("The cluster is ready")?;
            match &before {
                None => {
                    kubectl.ok(&["run", "p", "--image=busybox:1.28", "--", "sleep", "3600"]);
                    kubectl.ready("p");
                    before = Some(container(&kubectl));
                }
                Some(before) => {
                    let after = container(&kubectl);
                    ensure!(&after == before, "{before} became {after}");
                    ensure!(kubectl.ok(&["exec", "p", "--", "echo", "here"]) == "here\n");
                }
            }
            up.ends_well_on(signal)?;
            ensure!(machine.pid().is_err(), "{signal}: a process is left");
        }
        machine.corten(&["delete"])?;
        Ok(())
    });
}

/// What is wrong with the command line is said at once, before anything is made.
#[test]
fn a_start_that_cannot_succeed_is_refused_at_once() {
    in_sandbox("signals::a_start_that_cannot_succeed_is_refused_at_once", || {
        let machine = Machine::here()?;
        for (flags, why) in [
            (["--image", "/no/such/file"], "import /no/such/file: open it: No such file"),
            (["--image", "/proc/version"], "it is no archive of images"),
            (["--advertise-address", "127.0.0.1"], "127.0.0.1 is the loopback address"),
            (["--advertise-address", "0.0.0.0"], "name an address of this machine"),
        ] {
            for detach in [&["--detach"] as &[&str], &[]] {
                let refused = machine.try_corten(&[&["up"], detach, &flags].concat())?;
                ensure!(!refused.success && refused.err.contains(why), "{flags:?}: {refused:?}");
            }
        }
        ensure!(!Path::new("/var/lib/corten/store").exists(), "a store was made");
        let refused = machine.try_corten(&[
            "kube-controller-manager",
            "--kubeconfig=/no/such/file",
            "--controllers=*,no-such-controller",
        ])?;
        let known = "\"no-such-controller\" is not in the list of known controllers";
        ensure!(!refused.success && refused.err.contains(known), "{refused:?}");
        let refused = machine.try_corten(&["restore", "/tmp"])?;
        ensure!(!refused.success && refused.err.contains("/tmp is a directory"), "{refused:?}");
        Ok(())
    });
}

/// The kubelet makes its certificate itself, so that no authority of the control plane's knows it: upstream's API server
/// asks such kubelets unless it is told authorities, and ours refused their logs and commands.
#[test]
fn a_kubelet_alone_serves_a_control_plane_and_ends_well() {
    in_sandbox("signals::a_kubelet_alone_serves_a_control_plane_and_ends_well", || {
        let machine = Machine::here()?;
        // In the sandbox, /run is its own.
        let root = "/run/control-plane";
        let mut server =
            Foreground::start("/run/server.out", &["server", "--root", root, "--listen", "10.99.0.2:6443"])?;
        let kubeconfig = PathBuf::from(root).join("admin.conf");
        let kubectl = Kubectl::new(&kubeconfig, Path::new("/run"))?;
        eventually("the control plane is ready", || {
            ensure!(server.child.try_wait()?.is_none(), "it ended: {}", server.said());
            let ready = kubectl.run(&["get", "--raw", "/readyz"])?;
            ensure!(ready.out == "ok", "{ready:?}");
            Ok(())
        })?;
        let image = machine.image("busybox-1.28.docker.tar").display().to_string();
        let arguments = [
            "kubelet",
            &format!("--kubeconfig={}", kubeconfig.display()),
            &format!("--client-ca-file={root}/pki/ca.crt"),
            "--hostname-override=n2",
            &format!("--image={image}"),
        ];
        let mut before = None;
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let kubelet = Foreground::start("/run/kubelet.out", &arguments)?;
            match &before {
                None => {
                    kubectl.ok(&["wait", "--for=create", "node/n2", "--timeout=60s"]);
                    kubectl.ok(&["wait", "--for=condition=Ready", "node/n2", "--timeout=60s"]);
                    kubectl.ok(&["wait", "--for=create", "serviceaccount/default", "--timeout=60s"]);
                    kubectl.ok(&["run", "p", "--image=busybox:1.28", "--", "sh", "-c", "echo begun; sleep 3600"]);
                    kubectl.ready("p");
                    before = Some(container(&kubectl));
                }
                Some(before) => {
                    eventually("the kubelet is back", || {
                        let said = kubectl.run(&["exec", "p", "--", "true"])?;
                        ensure!(said.success, "{said:?} {}", kubelet.said());
                        Ok(())
                    })?;
                    let after = container(&kubectl);
                    ensure!(&after == before, "{before} became {after}");
                }
            }
            ensure!(kubectl.ok(&["logs", "p"]) == "begun\n");
            ensure!(kubectl.ok(&["exec", "p", "--", "echo", "here"]) == "here\n");
            kubelet.ends_well_on(signal)?;
        }
        // Who watches is told, and holds nobody up.
        let mut watcher = kubectl.start(&["get", "pods", "--watch"])?;
        let mut lines = BufReader::new(watcher.stdout.take().context("its output is piped")?).lines();
        ensure!(lines.by_ref().take(2).count() == 2, "it shows the columns and the pod");
        let output = server.output.clone();
        server.ends_well_on(Signal::SIGTERM)?;
        let said = std::fs::read_to_string(output)?;
        ensure!(!said.contains("cut off at shutdown"), "{said}");
        ensure!(lines.count() == 0, "the watch has ended without more");
        watcher.wait()?;
        machine.corten(&["delete"])?;
        Ok(())
    });
}
