//! One question to one resolver: over UDP from a fresh port, over TCP when the reply was cut.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use corten_base::Rng;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
};

use crate::message::{MAX_UDP_BYTES, UpstreamReply, upstream::Question};

/// A failed exchange.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    #[error("talk over {transport}")]
    Io {
        transport: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the reply over TCP is not one to the question")]
    WrongReply,
}

/// Asks `resolver`. The caller sets the deadline. Cancel-safe: sockets close.
pub(super) async fn ask(
    resolver: SocketAddr,
    question: &Question,
    rng: &dyn Rng,
) -> Result<UpstreamReply, ExchangeError> {
    let id = rng.below(1 << 16) as u16;
    let query = question.message(id);
    let over = |transport| move |source| ExchangeError::Io { transport, source };
    let reply = over_udp(resolver, &query, id, question).await.map_err(over("UDP"))?;
    if !reply.is_truncated() {
        return Ok(reply);
    }
    let message = over_tcp(resolver, &query).await.map_err(over("TCP"))?;
    UpstreamReply::read(&message, id, question).ok_or(ExchangeError::WrongReply)
}

async fn over_udp(resolver: SocketAddr, query: &[u8], id: u16, question: &Question) -> io::Result<UpstreamReply> {
    let any: SocketAddr = match resolver {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(resolver).await?;
    socket.send(query).await?;
    let mut buffer = [0; MAX_UDP_BYTES];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // What is not the reply may be a forgery or a late one: the right one can still come.
        if let Some(reply) = UpstreamReply::read(&buffer[..length], id, question) {
            return Ok(reply);
        }
    }
}

async fn over_tcp(resolver: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(resolver).await?;
    let length = u16::try_from(query.len()).expect("a query is shorter than 64 KiB");
    stream.write_all(&[&length.to_be_bytes(), query].concat()).await?;
    let mut reply = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut reply).await?;
    Ok(reply)
}
