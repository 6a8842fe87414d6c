//! Connecting, with errors in Go's words.

use std::{io, net::SocketAddr};

use tokio::net::TcpStream;

use super::target::join_host_port;

/// Connects.
///
/// Errors: `dial tcp 10.0.0.1:80: connect: connection refused`, `dial tcp: lookup h: no such host`.
pub(super) async fn dial(host: &str, port: u16) -> Result<TcpStream, String> {
    let place = join_host_port(host, port);
    let addresses: Vec<SocketAddr> = match tokio::net::lookup_host((host, port)).await {
        Ok(addresses) => addresses.collect(),
        Err(_) => return Err(format!("dial tcp: lookup {host}: no such host")),
    };
    let mut last = format!("dial tcp: lookup {host}: no such host");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // A failure here costs latency and nothing else.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = format!("dial tcp {place}: {}", words(&error)),
        }
    }
    Err(last)
}

/// An error of the operating system as Go prints it.
fn words(error: &io::Error) -> String {
    match error.raw_os_error().map(nix::errno::Errno::from_raw) {
        Some(nix::errno::Errno::ETIMEDOUT) => "connect: connection timed out".to_owned(),
        Some(errno) => format!("connect: {}", errno.desc().to_ascii_lowercase()),
        None => error.to_string(),
    }
}
