//! The worst of hostile input once more, on the real process: floods of HTTP/2 frames, and kubelets that lead elsewhere or
//! refuse to switch a connection. The tables of it are in `corten-controlplane` (`src/tests/hostile`).

use std::{fs, io::Write as _, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use corten_base::{SystemClock, TaskSet, timeout};
use corten_client::connections::Endpoint;
use corten_e2e::Cluster;
use parking_lot::Mutex;
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::client::{Client, MERGE_PATCH};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How many streams a flood opens and resets, unless the server ends the connection.
const STREAMS: u32 = 20_000;

/// ENHANCE_YOUR_CALM: what the server says of a flood.
const CALM: u32 = 11;

/// How much larger the process may be after the floods.
const GROWN_BYTES_MAX: usize = 64 << 20;

/// The longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

const POD: &str = "/api/v1/namespaces/default/pods/web";

#[test]
fn what_is_hostile_ends_its_own_connection_alone() {
    let run = || {
        let mut cluster = Cluster::start()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(async {
            let kubeconfig = cluster.root().join("admin.conf");
            let client = Client::open(&kubeconfig, 1).await?;
            floods_are_ended(&kubeconfig, &client, cluster.process_id()?).await.context("floods")?;
            kubelets_lead_nowhere(cluster.root(), &client).await.context("kubelets")
        })?;
        cluster.stop()
    };
    if let Err(error) = run() {
        panic!("{error:?}");
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The code in the server's GOAWAY (7), if there is one.
fn code_of(mut frames: &[u8]) -> Option<u32> {
    while let Some((head, rest)) = frames.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (payload, rest) = rest.split_at_checked(length)?;
        if head[3] == 7 {
            return payload.get(4..8)?.try_into().ok().map(u32::from_be_bytes);
        }
        frames = rest;
    }
    None
}

fn resident_bytes(process: u32) -> anyhow::Result<usize> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a process has memory")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? << 10)
}

/// Streams that are reset as soon as they are opened (CVE-2023-44487), on several connections at once.
async fn floods_are_ended(kubeconfig: &Path, client: &Client, process: u32) -> anyhow::Result<()> {
    // `GET https://localhost/version`, from the static table as far as it goes.
    let head = b"\x82\x87\x04\x08/version\x01\x09localhost";
    let (end_of_headers, end_of_stream) = (4, 1);
    let before = resident_bytes(process)?;
    let mut floods = Vec::new();
    for _ in 0..4 {
        let stream = Endpoint::of(kubeconfig, &[b"h2"])?.connect().await?;
        floods.push(async move {
            let (mut reading, mut writing) = tokio::io::split(stream);
            let send = async {
                let _ = writing.write_all(&[PREFACE, &frame(4, 0, 0, &[])].concat()).await;
                for n in 0..STREAMS {
                    let opened = frame(1, end_of_headers | end_of_stream, 2 * n + 1, head);
                    let both = [opened, frame(3, 0, 2 * n + 1, &8_u32.to_be_bytes())].concat();
                    if writing.write_all(&both).await.is_err() || writing.flush().await.is_err() {
                        return;
                    }
                }
            };
            let (_, said) = tokio::join!(send, everything(&mut reading));
            code_of(&said)
        });
    }
    let ended =
        timeout(&*SystemClock::shared(), PATIENCE, futures::future::join_all(floods)).await.context("floods end")?;
    ensure!(ended.iter().all(|code| *code == Some(CALM)), "{ended:?}");
    client.get("/version").await?.expect(200).context("others are served")?;
    let grown = resident_bytes(process)?.saturating_sub(before);
    writeln!(std::io::stderr(), "floods of streams: {} KiB more", grown >> 10)?;
    ensure!(grown < GROWN_BYTES_MAX, "{grown} bytes more");
    Ok(())
}

/// What comes until the connection ends, the hard way too.
async fn everything(reading: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let (mut received, mut buffer) = (Vec::new(), vec![0; 16 << 10]);
    while let Ok(length) = reading.read(&mut buffer).await
        && length > 0
    {
        received.extend_from_slice(&buffer[..length]);
    }
    received
}

/// What a kubelet shows: a certificate of the cluster's authority for this machine.
fn kubelet_config(root: &Path) -> anyhow::Result<ServerConfig> {
    let authority = fs::read_to_string(root.join("pki/ca.crt")).context("read the authority")?;
    let key = KeyPair::from_pem(&fs::read_to_string(root.join("pki/ca.key")).context("read its key")?)?;
    let issuer = Issuer::from_ca_cert_pem(&authority, key)?;
    let own = KeyPair::generate()?;
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()])?.signed_by(&own, &issuer)?;
    let chain = vec![CertificateDer::from_pem_slice(certificate.pem().as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(own.serialize_pem().as_bytes())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_no_client_auth().with_single_cert(chain, key)?)
}

/// A kubelet that redirects or refuses ends the client's connection: nothing that follows reaches it with the server's rights.
async fn kubelets_lead_nowhere(root: &Path, client: &Client) -> anyhow::Result<()> {
    let rows: [(&str, u16, &str); 4] = [
        (
            "HTTP/1.1 302 Found\r\nlocation: https://127.0.0.1:1/exec\r\ncontent-length: 0\r\n\r\n",
            502,
            "the backend attempted to redirect this request, which is not permitted",
        ),
        (
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n",
            502,
            "the backend attempted to redirect this request, which is not permitted",
        ),
        ("HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\nno!", 403, "no!"),
        ("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n", 500, ""),
    ];
    let acceptor = TlsAcceptor::from(Arc::new(kubelet_config(root)?));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let (tasks, asked) = (TaskSet::new("kubelet"), Arc::new(Mutex::new(Vec::new())));
    let heard = Arc::clone(&asked);
    tasks.spawn("kubelet", async move {
        for (answer, ..) in rows {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            // It stays open until the server leaves: whether more comes through it is the question.
            let more = everything(&mut stream).await;
            heard.lock().push(String::from_utf8_lossy(&[head, more].concat()).into_owned());
        }
    });
    make_pod_at(client, port).await?;
    let kubeconfig = root.join("admin.conf");
    for (_, code, text) in rows {
        let exec = format!(
            "POST {POD}/exec?command=id&stdout=true&container=c HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\n\
             upgrade: SPDY/3.1\r\nx-stream-protocol-version: v4.channel.k8s.io\r\ncontent-length: 0\r\n\r\n"
        );
        let follow = "POST /run/kube-system/x/y?cmd=id HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                      content-length: 0\r\n\r\n";
        let mut stream = Endpoint::of(&kubeconfig, &[b"http/1.1"])?.connect().await?;
        stream.write_all(format!("{exec}{follow}").as_bytes()).await?;
        stream.flush().await?;
        let said =
            timeout(&*SystemClock::shared(), PATIENCE, everything(&mut stream)).await.context("the connection ends")?;
        let said = String::from_utf8_lossy(&said);
        ensure!(said.starts_with(&format!("HTTP/1.1 {code} ")) && said.contains(text), "{said}");
        // What follows is a request to the API server like any other, which has no such path.
        let answers: Vec<&str> = said.split("HTTP/1.1 ").skip(2).collect();
        ensure!(answers.iter().all(|answer| answer.starts_with("404 ")), "nothing else answers: {said}");
        ensure!(!said.to_ascii_lowercase().contains("location:"), "the way on is not told: {said}");
        client.get("/version").await?.expect(200)?;
    }
    tasks.join().await?;
    let asked = asked.lock();
    ensure!(asked.iter().all(|asked| asked.starts_with("POST /exec/default/web/c?")), "{asked:?}");
    ensure!(asked.iter().all(|asked| !asked.contains("/run/")), "nothing follows: {asked:?}");
    Ok(())
}

/// Makes a node with a kubelet at a port, and a pod on it.
async fn make_pod_at(client: &Client, port: u16) -> anyhow::Result<()> {
    client.post("/api/v1/nodes", &json!({"metadata": {"name": "n1"}})).await?.expect(201)?;
    let status = json!({"status": {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }});
    client.call(0, http::Method::PATCH, "/api/v1/nodes/n1/status", MERGE_PATCH, &status).await?.expect(200)?;
    let account = "/api/v1/namespaces/default/serviceaccounts/default";
    // A controller makes it.
    while client.get(account).await?.code != 200 {}
    let pod = json!({
        "metadata": {"name": "web"},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]},
    });
    client.post("/api/v1/namespaces/default/pods", &pod).await?.expect(201)?;
    Ok(())
}
