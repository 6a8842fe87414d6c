//! A connection that a request takes over: exec, port-forward, WebSockets.
//!
//! Flow: `Request::upgrade` -> whoever takes it answers 101 -> `Upgrade::switched` -> bytes as they come.
//! Invariant: what goes on in the connection holds its place among all connections, until the end.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use corten_apimachinery::status::Status;
use corten_component_base::serving::Place;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The connection of a request that asks for it.
#[derive(Debug)]
pub struct Upgrade {
    on: OnUpgrade,
    place: Place,
}

impl Upgrade {
    pub(crate) fn new(on: OnUpgrade, place: Place) -> Self {
        Self { on, place }
    }

    /// Takes what a request has.
    ///
    /// Errors: `BadRequest` if it did not ask for an upgrade, in the words of apimachinery/pkg/util/proxy/upgradeaware.go (v1.35).
    pub fn take(upgrade: &mut Option<Self>) -> Result<Self, Status> {
        upgrade.take().ok_or_else(|| Status::bad_request("Upgrade request required"))
    }

    /// The connection itself, once the answer 101 is sent.
    ///
    /// Errors: the client has left before.
    pub async fn switched(self) -> hyper::Result<Switched> {
        Ok(Switched { io: TokioIo::new(self.on.await?), _place: self.place })
    }
}

/// A connection that has left HTTP.
#[derive(Debug)]
pub struct Switched {
    io: TokioIo<Upgraded>,
    _place: Place,
}

impl AsyncRead for Switched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Switched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Arc};

    use http_body_util::Empty;
    use hyper::{server::conn::http1, service::service_fn};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::{Semaphore, mpsc},
    };

    use super::*;

    /// The place was given back as soon as HTTP was over: execs and sockets were bounded by descriptors alone.
    #[tokio::test]
    async fn a_connection_that_was_taken_over_keeps_its_place() {
        let places = Arc::new(Semaphore::new(1));
        let place = Place::new(Arc::clone(&places).try_acquire_owned().unwrap());
        let (mut client, server) = tokio::io::duplex(4_096);
        let (taken, mut upgrades) = mpsc::channel(1);
        let service = service_fn(|mut request| {
            taken.try_send(Upgrade::new(hyper::upgrade::on(&mut request), place.clone())).unwrap();
            let mut answer = http::Response::new(Empty::<bytes::Bytes>::new());
            *answer.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
            answer.headers_mut().insert("connection", "upgrade".parse().unwrap());
            answer.headers_mut().insert("upgrade", "x".parse().unwrap());
            std::future::ready(Ok::<_, Infallible>(answer))
        });
        client.write_all(b"GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n").await.unwrap();
        http1::Builder::new().serve_connection(TokioIo::new(server), service).with_upgrades().await.unwrap();
        drop(place);
        let mut switched = upgrades.recv().await.unwrap().switched().await.unwrap();
        assert_eq!(places.available_permits(), 0);
        switched.write_all(b"hello").await.unwrap();
        drop(switched);
        assert_eq!(places.available_permits(), 1);
        let mut got = String::new();
        client.read_to_string(&mut got).await.unwrap();
        assert!(got.ends_with("\r\n\r\nhello"), "{got}");
    }
}
