//! The real kubectl against an API server and a kubelet server, with a scripted runtime behind them.
//!
//! Skipped, and said so, where `CORTEN_KUBECTL` names no kubectl.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use corten_api::core::v1::Pod;
use corten_apimachinery::resource::UserInfo;
use corten_apiserver::filters::Limits;
use corten_base::{SharedClock, Shutdown, SystemClock, SystemRng, TaskSet};
use corten_client::{Api, Client};
use corten_component_base::certificates::{Authority, CertificateFiles, KeyPairPem, LeafRequest};
use corten_controlplane::{
    ControlPlane, KubeletClient, ServiceAccounts, ServiceNetwork,
    authentication::service_account::{DEFAULT_ISSUER, new_key},
};
use corten_cri::{Cri, CriError, StreamIo, Streaming, StreamingAccess, api, fake::FakeCri, streaming::Duplex};
use corten_kubelet::{
    interfaces::{Failure, LogFile, Pods, SharedPod},
    server::{Config, Parts, Server, access::Certificates},
};
use corten_storage::memory::{MemoryEngine, MemoryStore};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::Command,
};

const LARGE: usize = 5 << 20;

struct Scripted;

fn broken(error: std::io::Error) -> CriError {
    CriError::unknown(error.to_string())
}

#[async_trait]
impl Streaming for Scripted {
    async fn stream_exec(&self, request: api::ExecRequest, mut io: StreamIo) -> Result<i32, CriError> {
        let mut stdout = io.stdout.take().expect("kubectl wants stdout");
        match request.cmd[0].as_str() {
            "cat" => {
                tokio::io::copy(&mut io.stdin.take().unwrap(), &mut stdout).await.map_err(broken)?;
            }
            "large" => stdout.write_all(&vec![b'x'; LARGE]).await.map_err(broken)?,
            "fail" => {
                io.stderr.take().unwrap().write_all(b"oops\n").await.map_err(broken)?;
                return Ok(3);
            }
            other => stdout.write_all(format!("{other}\n").as_bytes()).await.map_err(broken)?,
        }
        Ok(0)
    }

    async fn stream_attach(&self, _request: api::AttachRequest, mut io: StreamIo) -> Result<(), CriError> {
        io.stdout.take().unwrap().write_all(b"attached\n").await.map_err(broken)
    }

    async fn stream_port_forward(&self, _: &str, _: u16, connection: Box<dyn Duplex>) -> Result<(), CriError> {
        let (mut from, mut to) = tokio::io::split(connection);
        tokio::io::copy(&mut from, &mut to).await.map_err(broken)?;
        to.shutdown().await.map_err(broken)
    }
}

struct OnePod(PathBuf);

#[async_trait]
impl Pods for OnePod {
    fn list(&self) -> Vec<SharedPod> {
        Vec::new()
    }

    fn get(&self, _: &str, name: &str) -> Option<SharedPod> {
        let pod = json!({"metadata": {"name": name, "uid": "u"}, "spec": {"containers": [{"name": "c"}]}});
        Some(Arc::new(serde_json::from_value::<Pod>(pod).unwrap()))
    }

    async fn running_container(&self, _: &str, _: &str, _: &str) -> Result<String, Failure> {
        Ok("id".to_owned())
    }

    async fn sandbox(&self, _: &str, _: &str) -> Result<String, Failure> {
        Ok("sandbox".to_owned())
    }

    async fn log_path(&self, _: &str, pod: &str, container: &str, previous: bool) -> Result<LogFile, Failure> {
        if previous {
            let message = format!("previous terminated container {container:?} in pod {pod:?} not found");
            return Err(Failure::new("BadRequest", message));
        }
        Ok(LogFile { path: self.0.clone(), container_id: "id".to_owned(), is_running: false })
    }
}

struct Kubectl {
    program: PathBuf,
    config: PathBuf,
}

impl Kubectl {
    fn command(&self, args: &[&str], websockets: bool) -> Command {
        let mut command = Command::new(&self.program);
        command.env("KUBECONFIG", &self.config).args(args).kill_on_drop(true);
        command.env("HOME", self.config.parent().unwrap());
        command.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets.to_string());
        command.env("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    async fn run(&self, args: &[&str], websockets: bool, stdin: &[u8]) -> (i32, Vec<u8>, String) {
        let mut child = self.command(args, websockets).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let write = async {
            // A command that does not read its input closes it.
            let _closed = input.write_all(stdin).await;
            drop(input);
        };
        let ((), output) = tokio::join!(write, child.wait_with_output());
        let output = output.unwrap();
        (output.status.code().unwrap(), output.stdout, String::from_utf8(output.stderr).unwrap())
    }

    /// Forwards a port and sends something through it.
    async fn forward(&self, websockets: bool) {
        let mut child = self.command(&["port-forward", "pod/p", ":80"], websockets).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect("port-forward says where it listens");
        let address = line.split(' ').nth(2).unwrap().to_owned();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream.write_all(&vec![b'z'; 200_000]).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            assert_eq!(all.len(), 200_000);
        }
        child.kill().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_reaches_containers() {
    let Some(program) = std::env::var_os("CORTEN_KUBECTL") else {
        println!("skipped: CORTEN_KUBECTL names no kubectl");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let clock = SystemClock::shared();
    let (stop, shutdown) = Shutdown::new();
    let tasks = TaskSet::new("test");
    let pki = Pki::new(directory.path(), &clock);

    let log = directory.path().join("0.log");
    std::fs::write(&log, "2026-01-01T00:00:01Z stdout F one\n2026-01-01T00:00:02Z stdout F two\n").unwrap();
    let cri = FakeCri::new(Arc::clone(&clock)).cri();
    let parts = Parts {
        pods: Arc::new(OnePod(log)),
        cri: Cri { streaming: StreamingAccess::Direct(Arc::new(Scripted)), ..cri },
        access: Arc::new(Certificates),
        clock: Arc::clone(&clock),
        is_syncing: Arc::new(|| true),
    };
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = Config {
        address: loopback,
        certificate: pki.serving.certificate.clone(),
        key: pki.serving.key.clone(),
        client_authorities: pki.authority.clone(),
    };
    let kubelet = Server::bind(&config, parts, shutdown.clone()).await.unwrap();
    let kubelet_port = kubelet.local_addr().unwrap().port();
    tasks.spawn("kubelet", kubelet.run());

    let engine = MemoryEngine::open(&MemoryStore::default(), Arc::clone(&clock), &tasks, &shutdown);
    let (signing_key, _) = new_key().unwrap();
    let config = corten_controlplane::Config {
        address: loopback,
        advertise_address: SocketAddr::from(([192, 0, 2, 1], 6443)),
        serving: pki.serving.clone(),
        client_authorities: pki.authority.clone(),
        service_accounts: ServiceAccounts {
            issuer: DEFAULT_ISSUER.to_owned(),
            signing_key,
            further_keys: Vec::new(),
            audiences: Vec::new(),
        },
        services: ServiceNetwork::default(),
        event_ttl: Duration::from_secs(3_600),
        kubelet_client: Some(KubeletClient { pair: pki.admin.clone(), authorities: pki.authority.clone() }),
        limits: Limits::default(),
    };
    let control_plane =
        ControlPlane::build(config, Arc::new(engine), Arc::clone(&clock), SystemRng::shared()).await.unwrap();
    let address = control_plane.local_addr().unwrap();
    let admin = UserInfo { name: "a".into(), groups: vec!["system:masters".into()], ..UserInfo::default() };
    let client = control_plane.client(admin, "test");
    tasks.spawn("control plane", control_plane.run(shutdown));
    prepare(&client, &clock, kubelet_port).await;

    let kubectl = Kubectl { program: program.into(), config: pki.kubeconfig(directory.path(), address) };
    for websockets in [true, false] {
        let said = kubectl.run(&["exec", "p", "--", "hello"], websockets, b"").await;
        assert_eq!(said, (0, b"hello\n".to_vec(), String::new()), "websockets: {websockets}");
        let sent = vec![b'y'; LARGE];
        let (code, out, err) = kubectl.run(&["exec", "-i", "p", "--", "cat"], websockets, &sent).await;
        assert!((code, &err[..]) == (0, "") && out == sent, "{code} {} {err}", out.len());
        let (code, out, err) = kubectl.run(&["exec", "p", "--", "large"], websockets, b"").await;
        assert_eq!((code, out.len(), &err[..]), (0, LARGE, ""));
        let (code, _, err) = kubectl.run(&["exec", "p", "--", "fail"], websockets, b"").await;
        assert_eq!((code, &err[..]), (3, "oops\ncommand terminated with exit code 3\n"));
        let (code, out, err) = kubectl.run(&["attach", "p"], websockets, b"").await;
        assert_eq!((code, &out[..]), (0, &b"attached\n"[..]), "{err}");
        kubectl.forward(websockets).await;
    }
    let (_, out, err) = kubectl.run(&["logs", "p", "--tail=1"], true, b"").await;
    assert_eq!((&out[..], &err[..]), (&b"two\n"[..], ""));
    let (code, _, err) = kubectl.run(&["logs", "p", "--previous"], true, b"").await;
    let want = "Error from server (BadRequest): previous terminated container \"c\" in pod \"p\" not found\n";
    assert_eq!((code, &err[..]), (1, want));
    stop.request();
    tasks.join().await.unwrap();
}

async fn prepare(client: &Client, clock: &SharedClock, kubelet_port: u16) {
    let accounts = Api::<corten_api::core::v1::ServiceAccount>::namespaced(client, "default");
    let account = serde_json::from_value(json!({"metadata": {"name": "default"}})).unwrap();
    // The namespace is made when the control plane starts.
    while accounts.create(&account).await.is_err() {
        clock.sleep(Duration::from_millis(50)).await;
    }
    let node = json!({
        "metadata": {"name": "n"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
        },
    });
    let nodes = Api::<corten_api::core::v1::Node>::all(client);
    nodes.create(&serde_json::from_value(node).unwrap()).await.unwrap();
    let pods = Api::<Pod>::namespaced(client, "default");
    let pod =
        json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}});
    let made = pods.create(&serde_json::from_value(pod).unwrap()).await.unwrap();
    let mut made: Pod = corten_client::api::decode(&made).unwrap();
    made.status = serde_json::from_value(json!({"phase": "Running"})).unwrap();
    pods.update_status(&made).await.unwrap();
}

struct Pki {
    authority: String,
    serving: KeyPairPem,
    admin: KeyPairPem,
}

impl Pki {
    fn new(directory: &Path, clock: &SharedClock) -> Self {
        let now = clock.now();
        let authority = Authority::ensure(&CertificateFiles::new(directory, "ca"), "ca", now).unwrap();
        let issue = |request: LeafRequest| authority.issue(&request, now, Duration::from_secs(600)).unwrap();
        let serving = issue(LeafRequest {
            common_name: "server".to_owned(),
            addresses: vec![[127, 0, 0, 1].into()],
            server: true,
            ..LeafRequest::default()
        });
        let admin = issue(LeafRequest {
            common_name: "admin".to_owned(),
            organizations: vec!["system:masters".to_owned()],
            client: true,
            ..LeafRequest::default()
        });
        Self { authority: authority.pem().to_owned(), serving, admin }
    }

    fn kubeconfig(&self, directory: &Path, address: SocketAddr) -> PathBuf {
        for (name, text) in [("admin.crt", &self.admin.certificate), ("admin.key", &self.admin.key)] {
            std::fs::write(directory.join(name), text).unwrap();
        }
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {
                "server": format!("https://{address}"), "certificate-authority": "ca.crt",
            }}],
            "users": [{"name": "u", "user": {"client-certificate": "admin.crt", "client-key": "admin.key"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        });
        let path = directory.join("config");
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }
}
