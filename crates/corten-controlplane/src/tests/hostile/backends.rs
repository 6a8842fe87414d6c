//! Kubelets that lead elsewhere, or refuse to switch a connection: the client's ends with that, and nothing more goes on
//! through it.

use corten_component_base::certificates::KeyPairPem;
use parking_lot::Mutex;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::KubeletClient;

const POD: &str = "/api/v1/namespaces/default/pods/web";

fn key_pair() -> KeyPairPem {
    let folder = tempfile::tempdir().unwrap();
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let authority = Authority::ensure(&CertificateFiles::new(folder.path(), "ca"), "ca", now).unwrap();
    let leaf = LeafRequest { common_name: "node".to_owned(), server: true, ..LeafRequest::default() };
    authority.issue(&leaf, now, LEAF_VALID).unwrap()
}

/// A kubelet that gives every connection the next of its answers, and keeps what it was asked.
async fn kubelet(answers: Vec<&'static str>, asked: Arc<Mutex<Vec<String>>>, tasks: &TaskSet) -> u16 {
    let pair = key_pair();
    let certificate = ServerCertificate::new(&pair.certificate, &pair.key).unwrap();
    let acceptor = TlsAcceptor::from(server_config(certificate, ClientCertificate::Any).unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn("kubelet", async move {
        for answer in answers {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            // It stays open: whether anything more comes through it is the question.
            let mut more = Vec::new();
            let _ = stream.read_to_end(&mut more).await;
            asked.lock().push(String::from_utf8([head, more].concat()).unwrap());
        }
    });
    port
}

/// Makes a node with a kubelet at a port, and a pod on it.
async fn make_pod_at(served: &Served, port: u16) {
    let cluster = &served.cluster;
    cluster.post(admin(), "/api/v1/nodes", json!({"metadata": {"name": "n1"}})).await.unwrap();
    let status = json!({"metadata": {"name": "n1"}, "status": {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }});
    cluster.patch(admin(), "/api/v1/nodes/n1/status", PatchKind::Merge, status).await.unwrap();
    cluster.make_pod("web").await;
    let target = json!({"metadata": {"name": "web"}, "target": {"kind": "Node", "name": "n1"}});
    cluster.post(admin(), format!("{POD}/binding"), target).await.unwrap();
}

#[tokio::test]
async fn a_kubelet_that_does_not_switch_ends_the_connection() {
    let served = Served::start().await;
    served.cluster.identify_to_kubelets(&KubeletClient { pair: key_pair(), authorities: None });
    let asked = Arc::new(Mutex::new(Vec::new()));
    let answers = vec![
        "HTTP/1.1 302 Found\r\nlocation: https://127.0.0.1:1/exec\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\nno!",
        "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
    ];
    let port = kubelet(answers, Arc::clone(&asked), &served.tasks).await;
    make_pod_at(&served, port).await;
    // What follows the request would reach the kubelet with the server's rights if the connection were handed on.
    let exec = request(
        "POST",
        &format!("{POD}/exec?command=id&stdout=true&container=c"),
        &[("connection", "Upgrade"), ("upgrade", "SPDY/3.1"), ("x-stream-protocol-version", "v4.channel.k8s.io")],
        "",
    );
    let follow = b"POST /run/kube-system/x/y?cmd=id HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
    let wire = [&exec[..], follow].concat();
    let redirected = "the backend attempted to redirect this request, which is not permitted";
    for (code, said) in [(502, redirected), (502, redirected), (403, "no!"), (500, "")] {
        let answer = served.ask(&wire).await.expect("an answer");
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.code, code, "{} {body}", answer.head);
        assert!(body.contains(said), "{body}");
        assert!(!answer.head.contains("location: "), "the way on is not told: {}", answer.head);
        served.lives().await;
    }
    served.advance(120);
    served.cluster.end_kubelet_connections().await;
    let asked = std::mem::take(&mut *asked.lock());
    assert!(asked.iter().all(|asked| asked.starts_with("POST /exec/default/web/c?")), "{asked:?}");
    assert!(asked.iter().all(|asked| !asked.contains("/run/")), "nothing follows: {asked:?}");
    served.stop().await;
}

/// A redirect, and a switch that nobody asked for, were the client's: it was led elsewhere, or spoke HTTP to nobody.
#[tokio::test]
async fn a_kubelet_leads_readers_of_logs_nowhere() {
    let served = Served::start().await;
    served.cluster.identify_to_kubelets(&KubeletClient { pair: key_pair(), authorities: None });
    let asked = Arc::new(Mutex::new(Vec::new()));
    let switched = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    let answers = vec![
        "HTTP/1.1 302 Found\r\nlocation: https://127.0.0.1:1/exec\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n",
        switched,
    ];
    let port = kubelet(answers, Arc::clone(&asked), &served.tasks).await;
    make_pod_at(&served, port).await;
    let log = request("GET", &format!("{POD}/log?container=c"), &[], "");
    let proxy = request("GET", "/api/v1/nodes/n1/proxy/pods", &[], "");
    let redirected = format!(r#"Get \"https://127.0.0.1:{port}/containerLogs/default/web/c\": redirects forbidden"#);
    let switch = r#"backend tried to switch protocol \"x\" when \"\" was requested"#.to_owned();
    for (wire, said) in [(&log, &redirected), (&log, &redirected), (&proxy, &switch)] {
        let answer = served.ask(wire).await.expect("an answer");
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.code, 500, "{} {body}", answer.head);
        assert!(body.contains(said), "{body}");
        assert!(!answer.head.contains("location: "), "the way on is not told: {}", answer.head);
    }
    served.cluster.end_kubelet_connections().await;
    served.stop().await;
}
