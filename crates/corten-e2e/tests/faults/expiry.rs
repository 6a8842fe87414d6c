//! Clients whose state the server has forgotten: pages of a list after a compaction, watches from before a restart.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context as _, ensure};
use corten_e2e::{Cluster, Kubectl, Piece, eventually};
use http::{Method, header};
use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::client::{Client, JSON, media_type};

const SCRIPTS: &[(&str, &str)] = &[
    ("checks.py", include_str!("../it/clients/scripts/checks.py")),
    ("expired.py", include_str!("scripts/expired.py")),
    ("checks.mjs", include_str!("../it/clients/scripts/checks.mjs")),
    ("informer.mjs", include_str!("scripts/informer.mjs")),
];

const FORGETS_SOON: &[&str] = &["--etcd-compaction-interval=1s"];

/// An API server alone that forgets its history every second, and can be killed and started on its address.
struct World {
    cluster: Cluster,
    kubectl: Kubectl,
    port: u16,
    server: Option<Piece>,
}

impl World {
    fn start() -> anyhow::Result<Self> {
        // A cluster that was started once has certificates, and a namespace that is ready.
        let mut cluster = Cluster::start()?;
        let kubectl = cluster.kubectl()?;
        let server = kubectl.ok(&["config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"]);
        let port = server.rsplit(':').next().context("the server has a port")?.parse()?;
        cluster.stop()?;
        let mut world = Self { cluster, kubectl, port, server: None };
        world.restart()?;
        Ok(world)
    }

    fn restart(&mut self) -> anyhow::Result<()> {
        drop(self.server.take());
        self.server = Some(Piece::api_server(self.cluster.root(), self.port, FORGETS_SOON)?);
        eventually("the server is ready", || {
            let ready = self.kubectl.run(&["get", "--raw", "/readyz"])?;
            ensure!(ready.out == "ok", "{ready:?}");
            Ok(())
        })
    }

    fn script(&self, program: &str, name: &str) -> anyhow::Result<Command> {
        let tools = std::env::var_os("CORTEN_TEST_TOOLS").context("CORTEN_TEST_TOOLS is not set")?;
        let tools = PathBuf::from(tools);
        let folder = self.cluster.root().join("scripts");
        std::fs::create_dir_all(&folder).context("make a folder for the scripts")?;
        for (name, text) in SCRIPTS {
            std::fs::write(folder.join(name), text).with_context(|| format!("write {name}"))?;
        }
        let packages = folder.join("node_modules");
        if !packages.exists() {
            // A module finds packages beside itself alone.
            std::os::unix::fs::symlink(tools.join("javascript-client/node_modules"), packages)?;
        }
        let mut command = Command::new(tools.join("bin").join(program));
        command.arg(folder.join(name)).arg("default").env_clear();
        command.env("KUBECONFIG", self.kubectl.kubeconfig()).env("HOME", &folder);
        Ok(command)
    }
}

#[test]
fn clients_go_on_where_history_is_forgotten() {
    let run = || {
        let mut world = World::start()?;
        let python = world.script("python-client", "expired.py")?.output().context("run the Python client")?;
        let told = String::from_utf8_lossy(&python.stdout);
        ensure!(python.status.success() && told.contains("ok "), "{told}{}", String::from_utf8_lossy(&python.stderr));
        kubectl_says_that_its_pages_are_too_old(&world)?;
        an_informer_goes_on_after_restarts(&mut world)
    };
    let outcome: anyhow::Result<()> = run();
    if let Err(error) = outcome {
        panic!("{error:?}");
    }
}

fn an_informer_goes_on_after_restarts(world: &mut World) -> anyhow::Result<()> {
    let make = |world: &World, name: &str| {
        world
            .kubectl
            .apply(&format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, labels: {{kept: here}}}}}}"))
    };
    make(world, "kept")?;
    make(world, "gone")?;
    let mut script = world.script("node", "informer.mjs")?;
    let mut script: Child =
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("start the JavaScript client")?;
    let mut told = BufReader::new(script.stdout.take().context("it is piped")?);
    let mut line = String::new();
    told.read_line(&mut line)?;
    ensure!(line == "listening\n", "{line}");
    world.restart()?;
    make(world, "made")?;
    world.kubectl.ok(&["delete", "configmap", "gone"]);
    // What the informer knows is from before this start now.
    world.restart()?;
    script.stdin.take().context("it is piped")?.write_all(b"go\n")?;
    told.read_to_string(&mut line)?;
    ensure!(script.wait()?.success() && line.contains("ok "), "{line}");
    Ok(())
}

/// `kubectl get` asks for page after page; between the first and the second the first one's state is forgotten.
fn kubectl_says_that_its_pages_are_too_old(world: &World) -> anyhow::Result<()> {
    for number in 0..7 {
        world.kubectl.ok(&["create", "configmap", &format!("chunk-{number}")]);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let client = runtime.block_on(Client::open(world.kubectl.kubeconfig(), 1))?;
    let listener = TcpListener::bind("127.0.0.1:0").context("listen")?;
    let server = format!("http://{}", listener.local_addr()?);
    let is_over = AtomicBool::new(false);
    let got = std::thread::scope(|scope| {
        scope.spawn(|| {
            for stream in listener.incoming() {
                if is_over.load(Ordering::SeqCst) {
                    break;
                }
                pass_on(stream.expect("a connection"), &runtime, &client).expect("a request is passed on");
            }
        });
        let home = world.cluster.root();
        let got = anonymous(&server, home).and_then(|kubectl| {
            kubectl.run(&["get", "configmaps", "--chunk-size=3", "-o", "name", "--server", &server])
        });
        is_over.store(true, Ordering::SeqCst);
        // Who waits for a connection gets a last one.
        drop(TcpStream::connect(listener.local_addr()?));
        got
    })?;
    ensure!(!got.success, "{got:?}");
    let want =
        "Error from server (Expired): The provided continue parameter is too old to display a consistent list result.";
    ensure!(got.err.contains(want), "{got:?}");
    // Asked in one piece it is all there, what was made meanwhile too.
    let all = world.kubectl.ok(&["get", "configmaps", "--chunk-size=0", "-o", "name"]);
    ensure!((0..7).all(|number| all.contains(&format!("configmap/chunk-{number}\n"))), "{all}");
    ensure!(all.contains("configmap/meanwhile\n"), "{all}");
    Ok(())
}

/// kubectl without credentials, which go to no server without TLS.
fn anonymous(server: &str, home: &Path) -> anyhow::Result<Kubectl> {
    let kubeconfig = home.join("plain.conf");
    let cluster = json!({"name": "plain", "cluster": {"server": server}});
    let context = json!({"name": "plain", "context": {"cluster": "plain", "user": ""}});
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [context], "current-context": "plain",
    });
    std::fs::write(&kubeconfig, config.to_string()).context("write a kubeconfig")?;
    Kubectl::new(&kubeconfig, home)
}

/// Answers one request of kubectl with what the server says: on the way to a later page something is written, and it takes as
/// long as the server needs to forget what was before.
fn pass_on(stream: TcpStream, runtime: &Runtime, client: &Client) -> anyhow::Result<()> {
    let mut lines = BufReader::new(&stream).lines();
    let mut line = || lines.next().transpose().map(Option::unwrap_or_default);
    let first = line()?;
    let mut accept = JSON.to_owned();
    loop {
        let header = line()?;
        if header.is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("accept")
        {
            accept = value.trim().to_owned();
        }
    }
    let Some(path) = first.split(' ').nth(1) else { return Ok(()) };
    let answer = runtime.block_on(async {
        if path.contains("continue=") {
            let map = json!({"metadata": {"name": "meanwhile"}});
            client.post("/api/v1/namespaces/default/configmaps", &map).await?.expect(201)?;
            while client.get(path).await?.code == 200 {}
        }
        let answer = client.send(0, Method::GET, path, (JSON, &accept), "").await?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        anyhow::Ok((head, body))
    })?;
    let (head, body) = answer;
    let reply = format!(
        "HTTP/1.1 {} Passed On\r\n{}: {}\r\n{}: {}\r\nconnection: close\r\n\r\n",
        head.status.as_u16(),
        header::CONTENT_TYPE,
        media_type(&head.headers),
        header::CONTENT_LENGTH,
        body.len()
    );
    (&stream).write_all(&[reply.as_bytes(), &body].concat()).context("answer kubectl")
}
