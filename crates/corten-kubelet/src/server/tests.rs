//! The server over real sockets, with a scripted runtime and clients of each protocol.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use corten_api::core::v1::Pod;
use corten_base::{Shutdown, ShutdownTrigger, SystemClock, TaskSet};
use corten_component_base::certificates::{Authority, CertificateFiles, KeyPairPem, LeafRequest};
use corten_cri::{Cri, CriError, StreamIo, Streaming, StreamingAccess, api, fake::FakeCri, streaming::Duplex};
use corten_streaming::{
    BoxIo,
    spdy::{self, Headers, Role, Stream},
};
use futures::{SinkExt as _, StreamExt as _};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
};
use tokio_tungstenite::tungstenite::{Message, protocol};

use super::{Config, Parts, Server, access};
use crate::interfaces::{Failure, LogFile, NO_CONTAINER, Pods, SharedPod};

/// Runs commands that tests need, and echoes what comes to ports.
struct Scripted;

const LARGE: usize = 3 << 20;

#[async_trait]
impl Streaming for Scripted {
    async fn stream_exec(&self, request: api::ExecRequest, mut io: StreamIo) -> Result<i32, CriError> {
        let broken = |error: std::io::Error| CriError::unknown(error.to_string());
        let mut stdout = io.stdout.take().expect("tests want stdout");
        match request.cmd[0].as_str() {
            "cat" => {
                tokio::io::copy(&mut io.stdin.take().unwrap(), &mut stdout).await.map_err(broken)?;
                io.stderr.take().unwrap().write_all(b"done").await.map_err(broken)?;
            }
            "large" => stdout.write_all(&vec![b'x'; LARGE]).await.map_err(broken)?,
            "size" => {
                let size = io.resize.recv().await.unwrap();
                stdout.write_all(format!("{}x{}", size.width, size.height).as_bytes()).await.map_err(broken)?;
            }
            "missing" => return Err(CriError::unknown("no such file")),
            code => return Ok(code.parse().unwrap()),
        }
        Ok(0)
    }

    async fn stream_attach(&self, _request: api::AttachRequest, mut io: StreamIo) -> Result<(), CriError> {
        io.stdout.take().unwrap().write_all(b"attached").await.map_err(|error| CriError::unknown(error.to_string()))
    }

    async fn stream_port_forward(&self, _: &str, port: u16, connection: Box<dyn Duplex>) -> Result<(), CriError> {
        if port == 81 {
            return Err(CriError::unknown("connection refused"));
        }
        let (mut from, mut to) = tokio::io::split(connection);
        let copy = async {
            tokio::io::copy(&mut from, &mut to).await?;
            to.shutdown().await
        };
        copy.await.map_err(|error| CriError::unknown(error.to_string()))
    }
}

struct OnePod {
    log: PathBuf,
    running: watch::Sender<bool>,
}

#[async_trait]
impl Pods for OnePod {
    fn list(&self) -> Vec<SharedPod> {
        self.get("default", "p").into_iter().collect()
    }

    fn running(&self) -> Vec<SharedPod> {
        self.list()
    }

    fn get(&self, namespace: &str, name: &str) -> Option<SharedPod> {
        let pod = serde_json::json!({
            "metadata": {"namespace": "default", "name": "p", "uid": "u"}, "spec": {"containers": [{"name": "c"}]},
        });
        let pod: Pod = serde_json::from_value(pod).unwrap();
        (namespace == "default" && name == "p").then(|| Arc::new(pod))
    }

    async fn running_container(&self, _: &str, _: &str, container: &str) -> Result<String, Failure> {
        if container == "c" {
            return Ok("id".to_owned());
        }
        Err(Failure::new(NO_CONTAINER, format!("container not found (\"{container}\")")))
    }

    async fn sandbox(&self, _: &str, _: &str) -> Result<String, Failure> {
        Ok("sandbox".to_owned())
    }

    async fn log_path(&self, _: &str, _: &str, _: &str, previous: bool) -> Result<LogFile, Failure> {
        if previous {
            let message = "previous terminated container \"c\" in pod \"p\" not found";
            return Err(Failure::new("BadRequest", message));
        }
        let is_running = *self.running.borrow();
        Ok(LogFile { path: self.log.clone(), container_id: "id".to_owned(), is_running })
    }
}

struct Running {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    log: PathBuf,
    pods: Arc<OnePod>,
    stop: ShutdownTrigger,
    tasks: TaskSet,
    _directory: tempfile::TempDir,
}

impl Running {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = SystemClock::shared();
        let now = clock.now();
        let authority = Authority::ensure(&CertificateFiles::new(directory.path(), "ca"), "ca", now).unwrap();
        let issue = |request: LeafRequest| authority.issue(&request, now, std::time::Duration::from_secs(600)).unwrap();
        let serving = issue(LeafRequest {
            common_name: "node".to_owned(),
            addresses: vec![[127, 0, 0, 1].into()],
            server: true,
            ..LeafRequest::default()
        });
        let client = issue(LeafRequest {
            common_name: "kube-apiserver-kubelet-client".to_owned(),
            client: true,
            ..LeafRequest::default()
        });
        let log = directory.path().join("0.log");
        let pods = Arc::new(OnePod { log: log.clone(), running: watch::Sender::new(false) });
        let fake = FakeCri::new(Arc::clone(&clock));
        let cri = Cri { streaming: StreamingAccess::Direct(Arc::new(Scripted)), ..fake.cri() };
        let parts = Parts {
            pods: Arc::clone(&pods) as _,
            cri,
            config: Arc::new(crate::node::status::tests::config()),
            access: Arc::new(access::Certificates),
            clock,
            probe_metrics: Arc::new(|| "prober_probe_total 1\n".to_owned()),
            is_syncing: Arc::new(|| true),
        };
        let config = Config {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            certificate: serving.certificate,
            key: serving.key,
            client_authorities: authority.pem().to_owned(),
        };
        let (stop, shutdown) = Shutdown::new();
        let server = Server::bind(&config, parts, shutdown).await.unwrap();
        let address = server.local_addr().unwrap();
        let tasks = TaskSet::new("test");
        tasks.spawn("server", server.run());
        let tls = client_config(authority.pem(), Some(&client));
        Self { address, tls, log, pods, stop, tasks, _directory: directory }
    }

    async fn dial(&self) -> tokio_rustls::client::TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&self.tls));
        connector.connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await.unwrap()
    }

    /// Sends a request and reads the head of its answer.
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (String, BoxIo) {
        let mut stream = self.dial().await;
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: node\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{text}\r\n").as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        (String::from_utf8(head).unwrap(), Box::new(stream))
    }

    async fn get(&self, path: &str) -> (String, String) {
        let (head, mut stream) = self.ask("GET", path, &[("Connection", "close")]).await;
        let mut body = String::new();
        stream.read_to_string(&mut body).await.unwrap();
        (head, body)
    }

    /// Runs a command over WebSocket: what came on each channel.
    async fn websocket(&self, path: &str, send: &[&[u8]]) -> [Vec<u8>; 5] {
        let headers = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Protocol", "v5.channel.k8s.io"),
        ];
        let (head, stream) = self.ask("GET", path, &headers).await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        let mut socket = corten_streaming::websocket::switched(stream, protocol::Role::Client).await;
        for message in send {
            socket.send(Message::binary(message.to_vec())).await.unwrap();
        }
        let mut got: [Vec<u8>; 5] = Default::default();
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Binary(bytes) = message
                && let Some(channel) = got.get_mut(usize::from(bytes[0]))
            {
                channel.extend_from_slice(&bytes[1..]);
            }
        }
        got
    }

    async fn spdy(&self, path: &str, protocol: &str) -> (spdy::Connection, corten_streaming::Driver) {
        let headers = [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", protocol)];
        let (head, stream) = self.ask("POST", path, &headers).await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        spdy::connect(stream, Role::Client, SystemClock::shared())
    }

    async fn end(self) {
        self.stop.request();
        self.tasks.join().await.unwrap();
    }
}

fn client_config(authority: &str, pair: Option<&KeyPairPem>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match pair {
        Some(pair) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap(),
            )
            .unwrap(),
        None => builder.with_no_client_auth(),
    })
}

fn status(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).unwrap()
}

async fn read_all(stream: &mut Stream) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    all
}

#[tokio::test]
async fn commands_run_over_websocket() {
    let server = Running::start().await;
    let exec = "/exec/default/p/c";
    // Stdin ends by itself, and what was written before its end is there.
    let path = format!("{exec}?command=cat&input=1&output=1&error=1");
    let got = server.websocket(&path, &[b"\0hello ", b"\0world", b"\xff\0"]).await;
    assert_eq!((&got[1][..], &got[2][..]), (&b"hello world"[..], &b"done"[..]));
    assert_eq!(status(&got[3])["status"], "Success");
    let got = server.websocket(&format!("{exec}?command=large&output=1"), &[]).await;
    assert_eq!(got[1].len(), LARGE);
    let got = server.websocket(&format!("{exec}?command=7&output=1"), &[]).await;
    assert_eq!(status(&got[3])["details"]["causes"][0]["message"], "7");
    let size: &[u8] = b"\x04{\"Width\":80,\"Height\":24}";
    let got = server.websocket(&format!("{exec}?command=size&output=1&tty=1"), &[size]).await;
    assert_eq!(got[1], b"80x24");
    let got = server.websocket(&format!("{exec}?command=missing&output=1"), &[]).await;
    assert_eq!(
        status(&got[3])["message"],
        "Internal error occurred: error executing command in container: rpc error: code = Unknown desc = no such file"
    );
    let got = server.websocket("/attach/default/p/c?output=1", &[]).await;
    assert_eq!(got[1], b"attached");
    server.end().await;
}

#[tokio::test]
async fn commands_run_over_spdy() {
    let server = Running::start().await;
    let path = "/exec/default/p/c?command=cat&input=1&output=1&error=1";
    let (connection, driver) = server.spdy(path, "v4.channel.k8s.io").await;
    let sent = vec![b'y'; LARGE];
    let work = async {
        let mut streams = Vec::new();
        for name in ["error", "stdin", "stdout", "stderr"] {
            streams.push(connection.open(Headers::of([("streamType", name)])).await.unwrap());
        }
        let [mut error, mut stdin, mut stdout, mut stderr] = <[Stream; 4]>::try_from(streams).unwrap();
        let write = async {
            stdin.write_all(&sent).await.unwrap();
            stdin.shutdown().await.unwrap();
        };
        let ((), out) = tokio::join!(write, read_all(&mut stdout));
        assert!(out == sent, "{} bytes came back", out.len());
        assert_eq!(read_all(&mut stderr).await, b"done");
        assert_eq!(status(&read_all(&mut error).await)["status"], "Success");
        connection.close().await;
    };
    tokio::join!(driver, work);
    server.end().await;
}

#[tokio::test]
async fn ports_are_forwarded_over_spdy() {
    let server = Running::start().await;
    let (connection, driver) = server.spdy("/portForward/default/p", "portforward.k8s.io").await;
    let work = async {
        for (request, port) in [("0", "80"), ("1", "81")] {
            let headers = |kind| Headers::of([("streamType", kind), ("port", port), ("requestID", request)]);
            let mut error = connection.open(headers("error")).await.unwrap();
            error.shutdown().await.unwrap();
            let mut data = connection.open(headers("data")).await.unwrap();
            if port == "80" {
                data.write_all(b"ping").await.unwrap();
                data.shutdown().await.unwrap();
                assert_eq!(read_all(&mut data).await, b"ping");
                assert!(read_all(&mut error).await.is_empty());
            } else {
                let failure = read_all(&mut error).await;
                let want = "error forwarding port 81 to pod p_default, uid u: rpc error: code = Unknown desc = \
                            connection refused";
                assert_eq!(String::from_utf8(failure).unwrap(), want);
            }
        }
        connection.close().await;
    };
    tokio::join!(driver, work);
    server.end().await;
}

/// Past some 265 connections at once (a load test through one `kubectl port-forward`) all of them stood still.
#[tokio::test]
async fn many_connections_are_forwarded_at_once_and_a_client_that_ends_is_heard() {
    let server = Running::start().await;
    let (connection, driver) = server.spdy("/portForward/default/p", "portforward.k8s.io").await;
    let open = async |number: usize, kind: &str| {
        let request = number.to_string();
        let headers = [("streamType", kind), ("port", "80"), ("requestID", &request)];
        connection.open(Headers::of(headers)).await.unwrap()
    };
    let work = async {
        let mut streams = Vec::new();
        for number in 0..320 {
            let mut error = open(number, "error").await;
            error.shutdown().await.unwrap();
            streams.push((error, open(number, "data").await));
        }
        for (_, data) in &mut streams {
            data.write_all(b"ping").await.unwrap();
        }
        for (_, data) in &mut streams {
            let mut answer = [0; 4];
            data.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"ping");
        }
        // More than there are places for: they are refused, and the end is still heard.
        for number in 320..700 {
            streams.push((open(number, "error").await, open(number, "data").await));
        }
        connection.close().await;
        connection.closed().cancelled().await;
    };
    tokio::join!(driver, work);
    server.end().await;
}

#[tokio::test]
async fn logs_are_sent_and_bad_requests_refused() {
    let server = Running::start().await;
    let logs = "/containerLogs/default/p/c";
    std::fs::write(&server.log, "2026-01-01T00:00:01Z stdout F one\n2026-01-01T00:00:02Z stderr F two\n").unwrap();
    assert!(server.get(logs).await.1.contains("one\ntwo\n"));
    let (_, tail) = server.get(&format!("{logs}?tailLines=1&timestamps=true")).await;
    assert!(tail.contains("2026-01-01T00:00:02.000000000Z two\n") && !tail.contains("one"), "{tail}");
    let refused = async |path: &str, code: &str, text: &str| {
        let (head, body) = server.get(path).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {code}")) && body == text, "{path}: {head}{body}");
    };
    let previous = "previous terminated container \"c\" in pod \"p\" not found";
    refused(&format!("{logs}?previous=true"), "400", previous).await;
    refused("/containerLogs/default/q/c", "404", "pod \"q\" does not exist\n").await;
    refused("/containerLogs/default/p/x", "404", "container \"x\" not found in pod \"p\"\n").await;
    refused("/exec/default/p/c", "400", "you must specify at least 1 of stdin, stdout, stderr").await;
    refused("/exec/default/p/x?output=1", "500", "container not found (\"x\")").await;
    refused("/attach/default/p/x?output=1", "500", "container x not found in pod p_default").await;
    refused("/healthz", "200", "ok").await;
    refused("/nothing", "404", "404 page not found\n").await;
    let stranger = Running { tls: client_config_of_stranger(&server), ..server };
    let (head, body) = stranger.get("/healthz").await;
    assert!(head.starts_with("HTTP/1.1 401") && body == "Unauthorized", "{head}{body}");
    stranger.end().await;
}

fn client_config_of_stranger(server: &Running) -> Arc<ClientConfig> {
    let pem = std::fs::read_to_string(server.log.with_file_name("ca.crt")).unwrap();
    client_config(&pem, None)
}

#[tokio::test]
async fn a_followed_log_ends_with_its_container() {
    let server = Running::start().await;
    std::fs::write(&server.log, "2026-01-01T00:00:01Z stdout F one\n").unwrap();
    // The runtime knows no such container: it has ended, and so does the log.
    server.pods.running.send_replace(true);
    let (_, body) = server.get("/containerLogs/default/p/c?follow=true").await;
    assert!(body.contains("one\n"), "{body}");
    server.end().await;
}

#[tokio::test]
async fn running_pods_and_the_numbers_of_probes_are_told() {
    let server = Running::start().await;
    let (head, body) = server.get("/runningpods/").await;
    let list: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!((&list["kind"], &list["items"][0]["metadata"]["name"]), (&"PodList".into(), &"p".into()));
    let (head, body) = server.get("/metrics/probes").await;
    assert!(head.contains("text/plain; version=0.0.4") && body == "prober_probe_total 1\n", "{head}{body}");
    server.end().await;
}
