//! A WebSocket on which only the server speaks, a message at a time.
//!
//! Upstream: `HandleWS` of watches, k8s.io/apiserver/pkg/endpoints/handlers/watch.go; `NewReader` for streams,
//! k8s.io/apimachinery/pkg/util/httpstream/wsstream/stream.go (v1.35).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{SinkExt as _, Stream, StreamExt as _};
use tokio_tungstenite::tungstenite::{
    Error, Message, Utf8Bytes,
    protocol::{CloseFrame, Role, frame::coding::CloseCode},
};

use super::switched;
use crate::BoxIo;

/// Sends what comes of a stream of bytes on `io`, which was switched to WebSocket already: as it is, or as base64 in text.
/// An empty message goes first. What the peer says is dropped.
///
/// Ends when the bytes do, when one of them is an error, or when the peer has closed the connection.
pub async fn send_bytes(io: BoxIo, is_base64: bool, bytes: impl Stream<Item = std::io::Result<Bytes>> + Send) {
    let first = futures::stream::once(std::future::ready(Bytes::new()));
    // What cannot be read any more is the end of it: a WebSocket has no word for why.
    let rest = bytes.take_while(|bytes| std::future::ready(bytes.is_ok())).filter_map(|bytes| {
        std::future::ready(bytes.ok().map(|bytes| if is_base64 { STANDARD.encode(&bytes).into() } else { bytes }))
    });
    send_messages(io, is_base64, first.chain(rest)).await;
}

/// Sends `messages` on `io`, which was switched to WebSocket already, as text if `is_text`. What the peer says is dropped.
///
/// Ends when the messages do, or when the peer has closed the connection. Cancel-safe: a message is sent whole or not.
pub async fn send_messages(io: BoxIo, is_text: bool, messages: impl Stream<Item = Bytes> + Send) {
    let (mut sink, mut stream) = switched(io, Role::Server).await.split();
    let send = async {
        let mut messages = std::pin::pin!(messages);
        while let Some(bytes) = messages.next().await {
            let message = match is_text {
                true => Message::Text(Utf8Bytes::try_from(bytes).map_err(|error| Error::Utf8(error.to_string()))?),
                false => Message::Binary(bytes),
            };
            sink.send(message).await?;
        }
        let close = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        sink.send(Message::Close(Some(close))).await
    };
    // A connection that broke on either side is over; there is nobody left to tell.
    tokio::select! {
        biased;
        _result = send => {}
        () = async { while let Some(Ok(_)) = stream.next().await {} } => {}
    }
}
