//! Requests whose end two servers could see in different places.

use super::*;

/// What is behind a body that ends early for one server and late for another.
const SMUGGLED: &str = "DELETE /api/v1/namespaces/default/configmaps/m0 HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Sends bytes as they are, with credentials, and reads what comes until the server ends the connection.
async fn answers(served: &Served, head: &str, body: &str) -> String {
    let line = head.find('\n').unwrap() + 1;
    let credentials = format!("authorization: Bearer {}\r\n", served.token);
    let mut stream = served.connect(b"http/1.1").await;
    let wire = [&head[..line], &credentials, &head[line..], body].concat();
    let _ = stream.write_all(wire.as_bytes()).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    // The server may end the connection the hard way.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_request_ends_where_it_ends() {
    let served = Served::start().await;
    let post = |headers: &str| {
        format!("POST {MAPS} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}\r\n")
    };
    let chunked = |body: &str| format!("{body}0\r\n\r\n");
    let mut wrong = Vec::new();
    for (what, head, body) in [
        ("a length and pieces", post("content-length: 5\r\ntransfer-encoding: chunked\r\n"), chunked("")),
        ("pieces and a length", post("transfer-encoding: chunked\r\ncontent-length: 5\r\n"), chunked("")),
        ("two lengths", post("content-length: 0\r\ncontent-length: 90\r\n"), String::new()),
        ("a list of lengths", post("content-length: 0, 90\r\n"), String::new()),
        ("a length with a sign", post("content-length: +0\r\n"), String::new()),
        ("a negative length", post("content-length: -1\r\n"), String::new()),
        ("a length in another base", post("content-length: 0x0\r\n"), String::new()),
        ("a length beyond numbers", post("content-length: 99999999999999999999\r\n"), String::new()),
        ("an unknown encoding", post("transfer-encoding: xchunked\r\n"), chunked("")),
        ("an encoding behind pieces", post("transfer-encoding: chunked, identity\r\n"), chunked("")),
        ("pieces twice", post("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"), chunked("")),
        ("a space before the colon", post("content-length : 90\r\n"), String::new()),
        ("a line that goes on", post("x: a\r\n content-length: 90\r\n"), String::new()),
        (
            "a size of a piece beyond numbers",
            post("transfer-encoding: chunked\r\n"),
            "fffffffffffffffff\r\n".to_owned(),
        ),
        ("a size of a piece with a sign", post("transfer-encoding: chunked\r\n"), "+0\r\n\r\n".to_owned()),
        ("a name with a byte of nothing", post("x\0: a\r\n"), String::new()),
        ("a value with a byte of nothing", post("x: a\0b\r\n"), String::new()),
        ("a carriage return alone", post("x: a\rcontent-length: 90\r\n"), String::new()),
    ] {
        let said = answers(&served, &head, &format!("{body}{SMUGGLED}")).await;
        let first = said.split("\r\n").next().unwrap_or_default().to_owned();
        // An end without an answer is a refusal, too; what must not be is a second answer.
        if !(first.is_empty() || first.starts_with("HTTP/1.1 4") || first.starts_with("HTTP/1.1 501"))
            || said.matches("HTTP/1.1 ").count() > 1
        {
            wrong.push(format!("{what}: {said}"));
        }
        served.lives().await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(served.cluster.get(admin(), &format!("{MAPS}/m0")).await.is_ok(), "nothing was smuggled");
    served.stop().await;
}

#[tokio::test]
async fn heads_are_bounded() {
    let served = Served::start().await;
    let long = |path: usize, header: usize, headers: usize| {
        let mut head = format!("GET /api/{} HTTP/1.1\r\nhost: localhost\r\n", "a".repeat(path));
        for n in 0..headers {
            head.push_str(&format!("x-{n}: {}\r\n", "v".repeat(header)));
        }
        head + "\r\n"
    };
    for (what, head, code) in [
        ("a path", long(100_000, 0, 0), "414"),
        ("a header", long(0, 3 << 20, 1), "431"),
        ("headers", long(0, 8, 20_000), "431"),
    ] {
        let (said, cost) = Footprint::of_future(answers(&served, &head, "")).await;
        assert!(
            said.starts_with(&format!("HTTP/1.1 {code}")),
            "{what}: {}",
            said.chars().take(200).collect::<String>()
        );
        assert!(cost.peak_bytes < PEAK_BYTES_MAX && cost.elapsed < ELAPSED_MAX, "{what}: {cost:?}");
        served.lives().await;
    }
    served.stop().await;
}
