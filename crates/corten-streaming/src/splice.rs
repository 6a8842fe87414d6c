//! Two connections made one, by somebody between a client and what it speaks with.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use crate::websocket::copy_frames;

/// Hands on what either side sends, and each one's end, until both have ended. What a backend says in frames of a WebSocket
/// (`is_websocket`) reaches the client a frame at a time.
///
/// Errors: one of them broke. Cancel-safe only if both are given up.
pub async fn splice(
    client: impl AsyncRead + AsyncWrite + Unpin,
    backend: impl AsyncRead + AsyncWrite + Unpin,
    is_websocket: bool,
) -> io::Result<()> {
    let (mut client, mut backend) = (client, backend);
    if !is_websocket {
        return tokio::io::copy_bidirectional(&mut client, &mut backend).await.map(|_| ());
    }
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_backend, mut to_backend) = tokio::io::split(backend);
    let there = async {
        tokio::io::copy(&mut from_client, &mut to_backend).await?;
        to_backend.shutdown().await
    };
    let back = copy_frames(&mut from_backend, &mut to_client);
    tokio::try_join!(there, back).map(|_| ())
}

#[cfg(test)]
mod tests;
