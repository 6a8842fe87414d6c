//! Everything that streams between kubectl and a container: exec, attach, run, port-forward, logs, cp, debug.

mod terminal;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::SocketAddr,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use corten_e2e::{Kubectl, Machine, Message, Proxy, eventually, http_get, in_sandbox, side_by_side};
use terminal::Terminal;

const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: talker, labels: {app: talker}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: busybox:1.28
    command: ['sh', '-c', 'echo first; echo second; mkdir /www; cd /www; echo page > index.html; echo "<a href=/next>next</a>" > links.html; seq 1 200000 > big.txt; exec httpd -f -p 8080 -h /www']
  - name: other
    image: busybox:1.28
    command: ['sh', '-c', 'echo from the other >&2; exec sleep 3600']
---
apiVersion: v1
kind: Service
metadata: {name: talker}
spec:
  selector: {app: talker}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Pod
metadata: {name: shell}
spec:
  terminationGracePeriodSeconds: 1
  restartPolicy: Never
  containers:
  - {name: shell, image: 'busybox:1.28', command: ['sh'], stdin: true, tty: true}
---
apiVersion: v1
kind: Pod
metadata: {name: failing}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: failing, image: 'busybox:1.28', command: ['sh', '-c', 'echo an attempt; exit 1']}
---
apiVersion: v1
kind: Pod
metadata: {name: homeless}
spec:
  nodeSelector: {no: such-node}
  containers:
  - {name: homeless, image: 'busybox:1.28', command: ['sleep', '3600']}
---
apiVersion: v1
kind: Pod
metadata: {name: imageless}
spec:
  containers:
  - {name: imageless, image: 'busybox:no-such-tag', imagePullPolicy: Never}
"#;

/// The variables that make kubectl speak SPDY.
const SPDY: [(&str, &str); 2] =
    [("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false"), ("KUBECTL_PORT_FORWARD_WEBSOCKETS", "false")];

/// What carries the streams.
#[derive(Debug, Clone, Copy)]
enum Transport {
    WebSocket,
    Spdy,
}

#[test]
fn kubectl_connects_with_containers() {
    in_sandbox("connect::kubectl_connects_with_containers", || {
        let machine = Machine::with_cluster()?;
        side_by_side(
            &machine.kubectl()?,
            &[
                ("websocket", |kubectl| streams_work(kubectl, Transport::WebSocket)),
                ("spdy", |kubectl| streams_work(kubectl, Transport::Spdy)),
                ("people", people_connect),
            ],
        )?;
        machine.corten(&["delete"])?;
        Ok(())
    });
}

fn streams_work(kubectl: &Kubectl, transport: Transport) -> anyhow::Result<()> {
    kubectl.apply(PODS)?;
    kubectl.ready("talker");
    commands_have_streams_and_an_exit_code(kubectl, transport)?;
    megabytes_pass_both_ways(kubectl, transport)?;
    a_command_has_a_terminal_of_the_clients_size(kubectl, transport)?;
    connections_are_forwarded(kubectl, transport)?;
    what_cannot_be_reached_is_said(kubectl, transport)
}

fn people_connect(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(PODS)?;
    kubectl.ready("talker");
    kubectl.ready("shell");
    a_running_shell_is_attached(kubectl)?;
    a_pod_is_run_and_removed(kubectl)?;
    logs_are_cut_as_asked_for(kubectl)?;
    logs_are_followed_to_the_end(kubectl)?;
    logs_come_over_a_web_socket(kubectl)?;
    links_of_pages_lead_through_the_proxy(kubectl)?;
    files_are_copied_both_ways(kubectl)?;
    containers_are_debugged_from_within(kubectl)?;
    the_node_is_debugged_from_a_pod(kubectl)
}

fn command(kubectl: &Kubectl, transport: Transport, arguments: &[&str]) -> Command {
    let mut command = kubectl.command(arguments);
    if matches!(transport, Transport::Spdy) {
        command.envs(SPDY);
    }
    command
}

/// Runs a command to its end with `input`.
fn feed(mut command: Command, input: &[u8]) -> anyhow::Result<Output> {
    let mut child = command.stdin(Stdio::piped()).spawn().context("start kubectl")?;
    let mut stdin = child.stdin.take().context("the input is piped")?;
    std::thread::scope(|scope| {
        // A command that ends early does not read to the end; its outputs say why.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().context("wait for kubectl")
    })
}

/// Both outputs and the exit code.
#[track_caller]
fn check(output: &Output, code: i32, out: &str, err: &str) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(
        (output.status.code(), text(&output.stdout), text(&output.stderr)),
        (Some(code), out.into(), err.into())
    );
}

fn commands_have_streams_and_an_exit_code(kubectl: &Kubectl, transport: Transport) -> anyhow::Result<()> {
    let script = "echo to out; echo to err >&2; exit 7";
    let run = command(kubectl, transport, &["exec", "talker", "-c", "web", "--", "sh", "-c", script]).output()?;
    check(&run, 7, "to out\n", "to err\ncommand terminated with exit code 7\n");

    let cat = command(kubectl, transport, &["exec", "-i", "talker", "-c", "web", "--", "cat"]);
    check(&feed(cat, b"from the input")?, 0, "from the input", "");

    // Without -i nothing is read, and the first container is the default.
    let hostname = feed(command(kubectl, transport, &["exec", "talker", "--", "hostname"]), b"ignored")?;
    check(&hostname, 0, "talker\n", "Defaulted container \"web\" out of: web, other\n");

    // A command that does not read its input ends nevertheless.
    let deaf = command(kubectl, transport, &["exec", "-i", "talker", "-c", "web", "--", "true"]);
    check(&feed(deaf, &[b'x'; 300_000])?, 0, "", "");
    Ok(())
}

fn megabytes_pass_both_ways(kubectl: &Kubectl, transport: Transport) -> anyhow::Result<()> {
    let in_web = |command: &[&'static str]| [&["exec", "-i", "talker", "-c", "web", "--"], command].concat();
    let script = "head -c 5242880 /dev/urandom > /tmp/big; md5sum < /tmp/big";
    let sum = command(kubectl, transport, &in_web(&["sh", "-c", script])).output()?.stdout;
    let big = command(kubectl, transport, &in_web(&["cat", "/tmp/big"])).output()?;
    ensure!(big.stdout.len() == 5_242_880, "{} bytes, {}", big.stdout.len(), String::from_utf8_lossy(&big.stderr));
    let back = feed(command(kubectl, transport, &in_web(&["md5sum"])), &big.stdout)?;
    check(&back, 0, &String::from_utf8(sum)?, "");
    Ok(())
}

fn a_command_has_a_terminal_of_the_clients_size(kubectl: &Kubectl, transport: Transport) -> anyhow::Result<()> {
    let script = "until [ \"$(stty size)\" = '33 101' ]; do sleep 0.1; done; echo started; \
                  until [ \"$(stty size)\" = '40 120' ]; do sleep 0.1; done; tty; read line; echo \"got $line\"; exit 3";
    let mut call = command(kubectl, transport, &["exec", "-it", "talker", "-c", "web", "--", "sh", "-c", script]);
    let mut terminal = Terminal::start(&mut call, 33, 101)?;
    terminal.expect("started")?;
    terminal.resize(40, 120)?;
    terminal.expect("/dev/pts/")?;
    terminal.type_line("a line")?;
    terminal.expect("got a line")?;
    terminal.expect("command terminated with exit code 3")?;
    ensure!(terminal.end()? == Some(3));
    Ok(())
}

/// A running `kubectl port-forward`; ended with the value.
struct PortForward {
    child: Child,
    /// Held open: kubectl tells every connection here, and ends when it cannot.
    _out: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl PortForward {
    fn start(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command.spawn().context("start kubectl port-forward")?;
        let mut out = BufReader::new(child.stdout.take().context("the output is piped")?);
        let mut line = String::new();
        out.read_line(&mut line)?;
        let address = line.strip_prefix("Forwarding from ").and_then(|rest| rest.split(' ').next());
        let address = address.with_context(|| format!("unexpected: {line}"))?.parse()?;
        Ok(Self { child, _out: out, address })
    }
}

impl Drop for PortForward {
    fn drop(&mut self) {
        // Gone already if the server ended it, which tests look at themselves.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

fn connections_are_forwarded(kubectl: &Kubectl, transport: Transport) -> anyhow::Result<()> {
    let forward = |target: &str, ports: &str| {
        PortForward::start(command(kubectl, transport, &["port-forward", "--address=127.0.0.1", target, ports]))
    };
    let of_pod = forward("pod/talker", ":8080")?;
    let big: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
    std::thread::scope(|scope| {
        let asks: Vec<_> = (0..8)
            .map(|number| {
                let path = if number % 2 == 0 { "/index.html" } else { "/big.txt" };
                scope.spawn(move || http_get(of_pod.address, path))
            })
            .collect();
        for (number, ask) in asks.into_iter().enumerate() {
            let page = ask.join().expect("asking does not panic")?;
            ensure!(if number % 2 == 0 { page == "page\n" } else { page == big }, "{} bytes", page.len());
        }
        anyhow::Ok(())
    })?;
    let of_service = forward("service/talker", ":http")?;
    ensure!(http_get(of_service.address, "/index.html")? == "page\n");

    // Nobody listens there: the client is told and gives up.
    let mut refused = forward("pod/talker", ":9")?;
    ensure!(http_get(refused.address, "/").is_err());
    let mut err = String::new();
    refused.child.stderr.take().context("the errors are piped")?.read_to_string(&mut err)?;
    let pod = format!("error forwarding port 9 to pod talker_{}, uid ", kubectl.namespace());
    ensure!(err.contains(&pod), "{err}");
    ensure!(err.ends_with("error: lost connection to pod\n"), "{err}");
    Ok(())
}

fn what_cannot_be_reached_is_said(kubectl: &Kubectl, transport: Transport) -> anyhow::Result<()> {
    let no_pod = format!(
        "error: error from server (NotFound): pods \"nobody\" not found in namespace \"{}\"\n",
        kubectl.namespace()
    );
    let cases: &[(&[&str], &str)] = &[
        (&["exec", "nobody", "--", "true"], "Error from server (NotFound): pods \"nobody\" not found\n"),
        (
            &["exec", "talker", "-c", "third", "--", "true"],
            "Error from server (BadRequest): container third is not valid for pod talker\n",
        ),
        (
            &["exec", "homeless", "--", "true"],
            "Error from server (BadRequest): pod homeless does not have a host assigned\n",
        ),
        (
            &["exec", "imageless", "--", "true"],
            "error: unable to upgrade connection: container not found (\"imageless\")\n",
        ),
        (
            &["port-forward", "homeless", ":80"],
            "error: unable to forward port because pod is not running. Current status=Pending\n",
        ),
        (&["logs", "nobody"], &no_pod),
        (&["logs", "talker", "-c", "third"], "error: container third is not valid for pod talker\n"),
        (
            &["logs", "imageless"],
            "Error from server (BadRequest): container \"imageless\" in pod \"imageless\" is waiting to start: ErrImageNeverPull\n",
        ),
        (
            &["logs", "talker", "-c", "web", "--previous"],
            "Error from server (BadRequest): previous terminated container \"web\" in pod \"talker\" not found\n",
        ),
    ];
    for (arguments, err) in cases {
        check(&command(kubectl, transport, arguments).output()?, 1, "", err);
    }
    let missing = command(kubectl, transport, &["exec", "talker", "-c", "web", "--", "/no/such"]).output()?;
    let err = String::from_utf8(missing.stderr)?;
    ensure!(err.contains("exec: \"/no/such\": stat /no/such: no such file or directory"), "{err}");
    Ok(())
}

fn a_running_shell_is_attached(kubectl: &Kubectl) -> anyhow::Result<()> {
    let mut terminal = Terminal::start(&mut kubectl.command(&["attach", "-it", "shell"]), 24, 80)?;
    terminal.type_line("echo $((40 + 2))")?;
    terminal.expect("42")?;
    terminal.type_line("exit 5")?;
    terminal.end()?;
    eventually("the shell has ended", || {
        let pod = kubectl.json(&["get", "pod", "shell"]);
        let state = &pod["status"]["containerStatuses"][0]["state"];
        ensure!(state["terminated"]["exitCode"] == 5, "{state}");
        Ok(())
    })?;
    check(
        &kubectl.command(&["exec", "shell", "--", "true"]).output()?,
        1,
        "",
        "error: cannot exec into a container in a completed pod; current phase is Failed\n",
    );
    Ok(())
}

fn a_pod_is_run_and_removed(kubectl: &Kubectl) -> anyhow::Result<()> {
    let run = kubectl.command(&["run", "once", "-i", "--rm", "--image=busybox:1.28", "--restart=Never", "--", "sh"]);
    let output = feed(run, b"echo from the script; exit 4\n")?;
    let (out, err) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    ensure!(output.status.code() == Some(4), "{out}{err}");
    ensure!(out.contains("from the script\n"), "{out}{err}");
    ensure!(out.contains("pod \"once\" deleted"), "{out}{err}");
    eventually("the pod is gone", || {
        ensure!(kubectl.run(&["get", "pod", "once"])?.err.contains("not found"));
        Ok(())
    })
}

fn logs_are_cut_as_asked_for(kubectl: &Kubectl) -> anyhow::Result<()> {
    let cases: &[(&[&str], &str)] = &[
        (&["-c", "web"], "first\nsecond\n"),
        (&["-c", "other"], "from the other\n"),
        (&["-c", "web", "--tail=1"], "second\n"),
        (&["-c", "web", "--tail=0"], ""),
        (&["-c", "web", "--limit-bytes=8"], "first\nse"),
        (&["-c", "web", "--since=1h"], "first\nsecond\n"),
        (&["-c", "web", "--since=1s"], ""),
        (&["-c", "web", "--since-time=2020-01-01T00:00:00Z"], "first\nsecond\n"),
    ];
    for (arguments, want) in cases {
        let got = kubectl.ok(&[&["logs", "talker"], *arguments].concat());
        ensure!(got == *want, "{arguments:?}: {got:?}");
    }
    // kubectl takes several containers in the order of a Go map, which is none.
    let sorted = |arguments: &[&str]| {
        let mut lines: Vec<String> = kubectl.ok(arguments).lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let all = sorted(&["logs", "talker", "--all-containers"]);
    ensure!(all == ["first", "from the other", "second"], "{all:?}");
    let selected = sorted(&["logs", "-l", "app=talker", "--all-containers", "--prefix"]);
    let want = ["[pod/talker/other] from the other", "[pod/talker/web] first", "[pod/talker/web] second"];
    ensure!(selected == want, "{selected:?}");
    let stamped = kubectl.ok(&["logs", "talker", "-c", "web", "--timestamps", "--tail=1"]);
    let (time, line) = stamped.split_once(' ').context("a time and a line")?;
    ensure!(
        line == "second\n" && time.len() == "2006-01-02T15:04:05.000000000Z".len() && time.ends_with('Z'),
        "{stamped}"
    );
    eventually("the failing container was restarted", || {
        let previous = kubectl.run(&["logs", "failing", "--previous"])?;
        ensure!(previous.success && previous.out == "an attempt\n", "{previous:?}");
        Ok(())
    })
}

fn logs_are_followed_to_the_end(kubectl: &Kubectl) -> anyhow::Result<()> {
    let script = "for i in 1 2 3; do echo line $i; sleep 1; done; printf end";
    kubectl.ok(&["run", "counting", "--image=busybox:1.28", "--restart=Never", "--", "sh", "-c", script]);
    eventually("the container has started", || {
        let logs = kubectl.run(&["logs", "counting"])?;
        ensure!(logs.success, "{}", logs.err);
        Ok(())
    })?;
    let followed = kubectl.ok(&["logs", "-f", "counting"]);
    // The last line has no end of its own and gets none, as under containerd.
    ensure!(followed == "line 1\nline 2\nline 3\nend", "{followed:?}");
    ensure!(kubectl.ok(&["logs", "-f", "counting", "--tail=1"]) == "end");
    kubectl.ok(&["delete", "pod", "counting", "--grace-period=1"]);
    Ok(())
}

/// What dashboards do: bytes as they are, or in base64 for those who can only read text.
fn logs_come_over_a_web_socket(kubectl: &Kubectl) -> anyhow::Result<()> {
    let proxy = Proxy::start(kubectl)?;
    let path = format!("/api/v1/namespaces/{}/pods/talker/log?container=web", kubectl.namespace());
    for protocol in ["", "binary.k8s.io", "base64.binary.k8s.io"] {
        let mut socket = proxy.web_socket(&path, protocol)?;
        let mut log = Vec::new();
        while let Some(message) = socket.receive()? {
            match message {
                Message::Binary(bytes) if protocol != "base64.binary.k8s.io" => log.extend(bytes),
                Message::Text(text) if protocol == "base64.binary.k8s.io" => log.extend(STANDARD.decode(text)?),
                other => anyhow::bail!("{protocol}: {other:?}"),
            }
        }
        ensure!(log == b"first\nsecond\n", "{protocol}: {:?}", String::from_utf8_lossy(&log));
    }
    Ok(())
}

fn links_of_pages_lead_through_the_proxy(kubectl: &Kubectl) -> anyhow::Result<()> {
    let base = format!("/api/v1/namespaces/{}/pods/talker:8080/proxy", kubectl.namespace());
    let page = kubectl.ok(&["get", "--raw", &format!("{base}/links.html")]);
    ensure!(page.contains(&format!("<a href={base}/next>next</a>")), "{page}");
    Ok(())
}

fn files_are_copied_both_ways(kubectl: &Kubectl) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let content: Vec<u8> = (0..700_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::create_dir_all(path("tree/deep"))?;
    std::fs::write(path("tree/deep/file"), &content)?;
    std::fs::write(path("tree/note"), "a note\n")?;
    kubectl.ok(&["cp", &path("tree"), "talker:/tmp/tree", "-c", "web"]);
    let note = kubectl.ok(&["exec", "talker", "-c", "web", "--", "cat", "/tmp/tree/note"]);
    ensure!(note == "a note\n", "{note}");
    kubectl.ok(&["cp", &format!("{}/talker:/tmp/tree/deep/file", kubectl.namespace()), &path("back"), "-c", "web"]);
    ensure!(std::fs::read(path("back"))? == content, "the file came back changed");
    kubectl.ok(&["cp", "talker:/tmp/tree", &path("again"), "-c", "web"]);
    ensure!(std::fs::read(path("again/deep/file"))? == content, "the folder came back changed");
    Ok(())
}

fn containers_are_debugged_from_within(kubectl: &Kubectl) -> anyhow::Result<()> {
    let debug = |name: &str, more: &[&str], command: &[&str]| {
        let all =
            [&["debug", "talker", "--image=busybox:1.28", "--profile=general", "-c", name], more, &["--"], command];
        kubectl.command(&all.concat())
    };
    let mut terminal = Terminal::start(&mut debug("typed", &["-it"], &["sh"]), 24, 80)?;
    terminal.type_line("echo of $(hostname)")?;
    terminal.expect("of talker")?;
    terminal.type_line("exit")?;
    ensure!(terminal.end()? == Some(0));

    let output = debug("seeing", &["--target=other"], &["ps"]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    eventually("the processes of the target are seen", || {
        let seen = kubectl.run(&["logs", "talker", "-c", "seeing"])?;
        ensure!(seen.out.contains("sleep 3600"), "{seen:?}");
        Ok(())
    })
}

fn the_node_is_debugged_from_a_pod(kubectl: &Kubectl) -> anyhow::Result<()> {
    let node = kubectl.ok(&["get", "nodes", "-o", "name"]);
    let script = "test -e /host/proc/1/cmdline && hostname";
    let said =
        kubectl.ok(&["debug", node.trim(), "--image=busybox:1.28", "--profile=general", "--", "sh", "-c", script]);
    let pod = said.split(' ').find(|word| word.starts_with("node-debugger-")).context("the pod is named")?;
    let hostname = eventually("the pod has ended", || {
        let pod = kubectl.json(&["get", "pod", pod]);
        ensure!(pod["status"]["phase"] == "Succeeded", "{}", pod["status"]);
        Ok(kubectl.ok(&["logs", pod["metadata"]["name"].as_str().unwrap_or_default()]))
    })?;
    ensure!(hostname.trim() == nix::unistd::gethostname()?.to_string_lossy(), "{hostname}");
    kubectl.ok(&["delete", "pod", pod, "--grace-period=1"]);
    Ok(())
}
