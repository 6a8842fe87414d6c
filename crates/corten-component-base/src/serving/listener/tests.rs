use std::{future::ready, pin::Pin};

use corten_base::{ShutdownTrigger, SystemClock};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio_rustls::{TlsConnector, client};

use super::*;
use crate::serving::{ClientCertificate, ServerCertificate, server_config};

/// The configuration of a server for `localhost`, and its certificate.
fn tls() -> (Arc<ServerConfig>, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = made.signing_key.serialize_pem();
    let certificate = ServerCertificate::new(&made.cert.pem(), &key).unwrap();
    (server_config(certificate, ClientCertificate::Any).unwrap(), made.cert.der().clone())
}

/// An alert of seven bytes told nobody what was wrong with `http://`.
#[tokio::test]
async fn who_does_not_speak_tls_is_told_so() {
    let acceptor = TlsAcceptor::from(tls().0);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    client.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let mut answer = String::new();
    let (refused, read) = futures::join!(handshake(&acceptor, server), client.read_to_string(&mut answer));
    assert_eq!(refused.unwrap_err().to_string(), "the client does not speak TLS");
    read.unwrap();
    assert!(answer.starts_with("HTTP/1.0 400 Bad Request\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"), "{answer}");
}

/// Answers every request with nothing.
struct Empty;

impl Service<Request<Incoming>> for Empty {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<String>, Infallible>>;

    fn call(&self, _: Request<Incoming>) -> Self::Future {
        ready(Ok(Response::new(String::new())))
    }
}

/// A server whose heads have little room together.
struct Small {
    listener: TcpListener,
    certificate: CertificateDer<'static>,
    peers: Peers,
    shared: Shared,
    /// Kept: without it, the server would stop.
    _trigger: ShutdownTrigger,
}

impl Small {
    async fn start() -> Self {
        Self::with_room(64 << 10).await
    }

    async fn with_room(bytes_of_peer: usize) -> Self {
        let (config, certificate) = tls();
        let limits = Limits { name: "test", connections: 8, streams_per_connection: 8, drain: Duration::from_secs(1) };
        let (trigger, shutdown) = Shutdown::new();
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            certificate,
            _trigger: trigger,
            peers: Peers::new(Bounds { bytes_of_peer, ..Bounds::of(8) }),
            shared: Shared {
                limits,
                clock: SystemClock::shared(),
                tasks: TaskSet::new("test"),
                shutdown,
                acceptor: TlsAcceptor::from(config),
            },
        }
    }

    async fn connect(&self, protocol: &[u8]) -> Pin<Box<client::TlsStream<TcpStream>>> {
        let stream = TcpStream::connect(self.listener.local_addr().unwrap()).await.unwrap();
        let (accepted, address) = self.listener.accept().await.unwrap();
        let permit = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        let peer = self.peers.connect(address.ip()).unwrap();
        let accepted = Accepted { permit, stream: accepted, address, peer };
        self.shared.tasks.spawn("connection", connection(self.shared.clone(), accepted, |_| Empty));
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        Box::pin(TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap())
    }
}

/// The last of what `client` is sent, up to the end, or until it has `wanted`.
async fn answer(client: &mut client::TlsStream<TcpStream>, wanted: &str) -> String {
    let (mut all, mut space) = (Vec::new(), [0; 4_096]);
    loop {
        let read = client.read(&mut space).await.unwrap_or_default();
        all.extend_from_slice(&space[..read]);
        let text = String::from_utf8_lossy(&all).into_owned();
        if read == 0 || !wanted.is_empty() && text.contains(wanted) {
            return text;
        }
    }
}

const HEAD: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n";

/// Anybody could make the server keep a megabyte for each of 65,536 connections.
#[tokio::test]
async fn a_head_that_finds_no_room_is_refused_and_small_ones_are_served() {
    let server = Small::start().await;
    let large = format!("{HEAD}X-Large: {}", "x".repeat(60 << 10));
    let mut first = server.connect(b"http/1.1").await;
    first.write_all(large.as_bytes()).await.unwrap();
    // The first has its room once others find none.
    let mut refused = server.connect(b"http/1.1").await;
    refused.write_all(large.as_bytes()).await.unwrap();
    let mut clients = [first, refused];
    let tried = clients.iter_mut().map(|client| Box::pin(answer(client, "\r\n\r\n")));
    let (told, which, others) = futures::future::select_all(tried).await;
    assert!(told.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{told}");
    drop(others);
    // One that fits into what every connection has is served all the same, and the other as soon as it is complete.
    let mut small = server.connect(b"http/1.1").await;
    for (client, rest) in [(&mut small, format!("{HEAD}\r\n")), (&mut clients[1 - which], "\r\n\r\n".to_owned())] {
        client.write_all(rest.as_bytes()).await.unwrap();
        let told = answer(client, "\r\n\r\n").await;
        assert!(told.starts_with("HTTP/1.1 200 OK\r\n"), "{told}");
    }
    // What hyper keeps for the next head still counts; it is given back with the connection.
    let mut third = server.connect(b"http/1.1").await;
    third.write_all(large.as_bytes()).await.unwrap();
    assert!(answer(&mut third, "\r\n\r\n").await.contains("429"));
    clients[1 - which].shutdown().await.unwrap();
    answer(&mut clients[1 - which], "").await;
    let mut fourth = server.connect(b"http/1.1").await;
    fourth.write_all(format!("{large}\r\n\r\n").as_bytes()).await.unwrap();
    assert!(answer(&mut fourth, "\r\n\r\n").await.contains("200 OK"));
}

#[tokio::test]
async fn headers_without_end_are_refused_over_http2() {
    let server = Small::start().await;
    let frame = |kind: u8, payload: &[u8]| {
        let [.., high, middle, low] = payload.len().to_be_bytes();
        let stream = u8::from(kind != 4);
        [&[high, middle, low, kind, 0, 0, 0, 0, stream][..], payload].concat()
    };
    // A header `a` whose value has 500,000 bytes.
    let mut payload = vec![0, 1, b'a', 0x7f, 0xa1, 0xc1, 0x1e];
    payload.resize(16_384, b'x');
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    sent.extend(frame(4, &[]));
    sent.extend(frame(1, &payload));
    for _ in 0..5 {
        sent.extend(frame(9, &[b'x'; 16_384]));
    }
    let mut refused = server.connect(b"h2").await;
    refused.write_all(&sent).await.unwrap();
    let told = answer(&mut refused, "").await;
    assert!(told.ends_with("too many open heads"), "{told:?}");
}

#[tokio::test]
async fn a_head_in_several_frames_is_served_over_http2() {
    let server = Small::start().await;
    let mut client = server.connect(b"h2").await;
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    sent.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    // GET over https with the end of the stream; then / and localhost with the end of the headers.
    sent.extend([0, 0, 2, 1, 1, 0, 0, 0, 1, 0x82, 0x87]);
    sent.extend([0, 0, 12, 9, 4, 0, 0, 0, 1, 0x84, 0x41, 9]);
    sent.extend(b"localhost");
    client.write_all(&sent).await.unwrap();
    let mut header = [0; 9];
    loop {
        client.read_exact(&mut header).await.unwrap();
        let mut payload = vec![0; u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize];
        client.read_exact(&mut payload).await.unwrap();
        // The answer's headers begin with the status 200.
        if header[3] == 1 {
            assert_eq!(payload[0], 0x88, "{payload:?}");
            return;
        }
        assert_ne!(header[3], 7, "the connection ends");
    }
}

/// What hyper refused had a code and no text.
#[tokio::test]
async fn what_is_no_request_is_refused_in_gos_words() {
    let server = Small::with_room(8 << 20).await;
    let large = format!("{HEAD}X-Large: {}\r\n\r\n", "x".repeat(2 << 20));
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(70 << 10));
    let head = |more: &str| format!("{HEAD}{more}\r\n\r\n");
    let bad = ("400 Bad Request", "400 Bad Request");
    let cases = [
        ("hello\r\n\r\n".to_owned(), bad),
        ("GET / FTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), bad),
        ("G{T / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), bad),
        (head("bad name: x"), bad),
        (head("Content-Length: x"), bad),
        (head("Content-Length: 1\r\nContent-Length: 2"), bad),
        (head("Transfer-Encoding: gzip"), ("501 Not Implemented", "Unsupported transfer encoding")),
        (large, ("431 Request Header Fields Too Large", "431 Request Header Fields Too Large")),
        (long, ("414 Request URI Too Long", "414 Request URI Too Long")),
    ];
    for (request, (status, text)) in cases {
        let line = request.get(..60).unwrap_or(&request).to_owned();
        let want =
            format!("HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n{text}");
        let mut client = server.connect(b"http/1.1").await;
        client.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(answer(&mut client, "").await, want, "{line}");
        // After others, too, which are answered as ever.
        let mut client = server.connect(b"http/1.1").await;
        for _ in 0..2 {
            client.write_all(format!("{HEAD}\r\n").as_bytes()).await.unwrap();
            let told = answer(&mut client, "\r\n\r\n").await;
            assert!(told.starts_with("HTTP/1.1 200 OK\r\n"), "{told}");
        }
        client.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(answer(&mut client, "").await, want, "{line}");
    }
}
