//! Hostile input, as bytes on the wire: each is refused with the right status, in bounded memory and time, and the server
//! goes on.
//!
//! A row says what is sent and what has to come back. A new trick is a row in the file of its family.

mod backends;
mod bodies;
mod depth;
mod lines;
mod names;
mod resets;
mod rights;
mod rules;

use corten_apimachinery::Value;
use corten_fuzz::Footprint;

use super::*;
use crate::testing::value;

/// The most memory that one request may cost: a body of 3 MiB as a tree has several times its size.
const PEAK_BYTES_MAX: usize = 192 << 20;

/// The longest that one request may take, unoptimised and beside other tests.
const ELAPSED_MAX: Duration = Duration::from_secs(10);

/// What is sent and what has to come back.
struct Row {
    what: &'static str,
    request: Vec<u8>,
    want: Want,
}

/// The answer: code, reason, and a part of the message.
type Want = (u16, &'static str, &'static str);

/// A request without credentials, which [`Served::ask`] adds.
fn request(method: &str, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if method != "GET" && method != "DELETE" {
        request.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    [request.as_bytes(), body].concat()
}

/// What came back.
#[derive(Debug)]
struct Answer {
    code: u16,
    head: String,
    body: Bytes,
}

impl Answer {
    /// Reads one answer; `None` if the connection ended instead.
    async fn read(stream: &mut TlsStream<TcpStream>) -> Option<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = |line: &str| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned);
        let mut body = Vec::new();
        match head.lines().find_map(length) {
            Some(length) => {
                body.resize(length.parse().unwrap(), 0);
                stream.read_exact(&mut body).await.ok()?;
            }
            // What has no length here is small and comes in one piece, or ends with the connection.
            None if head.contains("connection: close") => drop(stream.read_to_end(&mut body).await),
            None => {}
        }
        Some(Self { code, head, body: body.into() })
    }

    fn status(&self) -> Value {
        // Objects and lists of them may be deeper than what is read.
        if self.code >= 400 && self.body.starts_with(b"{") { value(&self.body) } else { Value::Null }
    }
}

impl Served {
    /// Sends a request on a connection of its own.
    async fn ask(&self, request: &[u8]) -> Option<Answer> {
        let line = request.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let credentials = format!("authorization: Bearer {}\r\n", self.token);
        let mut stream = self.connect(b"http/1.1").await;
        let wire = [&request[..line], credentials.as_bytes(), &request[line..]].concat();
        // A server that has read enough may answer and leave before all is sent.
        let _ = stream.write_all(&wire).await;
        let _ = stream.flush().await;
        Answer::read(&mut stream).await
    }

    /// Whether it still serves.
    async fn lives(&self) {
        let answer = self.ask(&request("GET", "/version", &[], "")).await.expect("the server lives");
        assert_eq!(answer.code, 200, "{}", answer.head);
    }

    /// Sends every row; all that fail are told together.
    async fn check(&self, rows: Vec<Row>) {
        let (mut wrong, mut worst) = (Vec::new(), (0, Duration::ZERO));
        for Row { what, request, want: (code, reason, message) } in rows {
            let (answer, cost) = Footprint::of_future(self.ask(&request)).await;
            let Some(answer) = answer else {
                wrong.push(format!("{what}: no answer"));
                continue;
            };
            let status = answer.status();
            let text = |key: &str| status.str_at(&[key]).map(str::to_owned);
            // What is no status is a text for people.
            let plain = || if code >= 400 { String::from_utf8_lossy(&answer.body).into_owned() } else { String::new() };
            let found = (answer.code, text("reason").unwrap_or_default(), text("message").unwrap_or_else(plain));
            if found.0 != code || found.1 != reason || !found.2.contains(message) {
                let body = String::from_utf8_lossy(&answer.body).chars().take(300).collect::<String>();
                wrong.push(format!("{what}: {code} {reason:?} {message:?} was wanted, not {} {body}", found.0));
            }
            if cost.peak_bytes > PEAK_BYTES_MAX || cost.elapsed > ELAPSED_MAX {
                wrong.push(format!("{what}: cost {cost:?}"));
            }
            worst = (worst.0.max(cost.peak_bytes), worst.1.max(cost.elapsed));
            self.lives().await;
        }
        eprintln!("at most {} MiB and {:?} for a request", worst.0 >> 20, worst.1);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
