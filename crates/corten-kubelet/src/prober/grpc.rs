//! The health protocol of gRPC: one unary call, spoken over HTTP/2 by hand.
//!
//! Upstream: pkg/probe/grpc; grpc.health.v1 (grpc/proto/grpc/health/v1/health.proto).

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::target::join_host_port;

/// What is read of an answer: a message with one number.
const ANSWER_BYTES_MAX: usize = 4 << 10;
/// The code of a method that is not there.
const UNIMPLEMENTED: &str = "12";
/// The code of a server whose time ran out.
const DEADLINE_EXCEEDED: &str = "4";
/// The names of `HealthCheckResponse.ServingStatus`.
const STATES: &[&str] = &["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/// Asks whether `service` (empty for the whole server) is healthy. `timeout` is for messages: the caller keeps it.
///
/// Errors: why it is not, in upstream's words.
pub(super) async fn check(
    stream: TcpStream,
    host: &str,
    port: u16,
    service: &str,
    user_agent: &'static str,
    timeout: &str,
) -> Result<String, String> {
    let failed = |error: hyper::Error| {
        format!(
            "error: health rpc probe failed: rpc error: code = Unavailable desc = {}",
            corten_base::ErrorChain(&error)
        )
    };
    // Only hyper's own bookkeeping of HTTP/2 streams is run there; it ends with the connection.
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(failed)?;
    let request = Request::post(format!("http://{}/grpc.health.v1.Health/Check", join_host_port(host, port)))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", user_agent)
        .body(Full::new(message(service)))
        .map_err(|error| error.to_string())?;
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(failed)?;
        let (head, mut incoming) = response.into_parts();
        let (mut body, mut trailers) = (BytesMut::new(), HeaderMap::new());
        while let Some(frame) = incoming.frame().await {
            match frame.map_err(failed)?.into_data() {
                Ok(data) if body.len() + data.len() <= ANSWER_BYTES_MAX => body.put(data),
                Ok(_) => return Err("error: health rpc probe failed: the answer is too long".to_owned()),
                Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
            }
        }
        // An answer without a body has its trailers in the head.
        let text = |name: &str| {
            let value = trailers.get(name).or_else(|| head.headers.get(name));
            value.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        match text("grpc-status").as_str() {
            "0" => {}
            UNIMPLEMENTED => {
                return Err(format!(
                    "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {}",
                    text("grpc-message")
                ));
            }
            DEADLINE_EXCEEDED => return Err(format!("timeout: health rpc did not complete within {timeout}")),
            code => {
                let name = code.parse().ok().and_then(|code: usize| CODES.get(code)).copied().unwrap_or("Unknown");
                let message = text("grpc-message");
                return Err(format!("error: health rpc probe failed: rpc error: code = {name} desc = {message}"));
            }
        }
        match state(&body) {
            Some(1) => Ok("service healthy".to_owned()),
            Some(state) => {
                let name = usize::try_from(state).ok().and_then(|state| STATES.get(state));
                let name = name.map_or_else(|| state.to_string(), |name| (*name).to_owned());
                Err(format!("service unhealthy (responded with \"{name}\")"))
            }
            None => Err("error: health rpc probe failed: the answer is no HealthCheckResponse".to_owned()),
        }
    };
    super::drive(exchange, connection).await
}

/// The names of gRPC's codes, by number.
const CODES: &[&str] = &[
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// A framed `HealthCheckRequest`: field 1 is the service.
fn message(service: &str) -> Bytes {
    let mut content = BytesMut::new();
    if !service.is_empty() {
        content.put_u8(0x0a);
        varint(&mut content, service.len());
        content.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(content.len()).unwrap_or(u32::MAX));
    framed.put(content);
    framed.freeze()
}

fn varint(out: &mut BytesMut, mut number: usize) {
    while number >= 0x80 {
        out.put_u8((number as u8 & 0x7f) | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

/// The status in a framed `HealthCheckResponse`: field 1, a small number; absent means 0.
fn state(framed: &[u8]) -> Option<u64> {
    let (head, content) = framed.split_at_checked(5)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    let content = content.get(..usize::try_from(length).ok()?)?;
    match content {
        [] => Some(0),
        [0x08, number, ..] if *number < 0x80 => Some(u64::from(*number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_framed() {
        assert_eq!(&message("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&message("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert_eq!(state(&[0, 0, 0, 0, 2, 8, 1]), Some(1));
        assert_eq!(state(&[0, 0, 0, 0, 0]), Some(0));
        assert_eq!(state(&[0, 0, 0, 0, 9, 8]), None);
    }
}
