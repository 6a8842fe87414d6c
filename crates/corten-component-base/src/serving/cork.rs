//! What an HTTP/2 connection writes, gathered: full TLS records, and one write to the socket for all that is at hand.
//!
//! HTTP/2 flushes after each frame. Passed on as it is, that is a record of 16 KiB, another of the nine bytes that did not
//! fit in, and a system call, for every frame; a small answer costs as much as a large one. So writes stay here until a
//! turn of the connection is over, or until much has come together.
//!
//! Invariant: `Corked::drive` sends after each turn, so that nothing stays behind while the connection waits.
//! HTTP/1 writes once per answer, and hands its connection on for an upgrade: there, everything is passed on as it comes.

use std::{
    io::{self, IoSlice, Write as _},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

/// What one TLS record carries at most.
const RECORD_BYTES: usize = 16 * 1024;

/// This much goes to the socket without waiting for the end of the turn: the other side gets to work, and memory has a bound.
const UNSENT_BYTES_MAX: usize = 128 * 1024;

/// A TLS connection whose writes are gathered. Its clone is the same connection; both belong to one task.
#[derive(Debug)]
pub(super) struct Corked<S>(Arc<Mutex<Inner<S>>>);

#[derive(Debug)]
struct Inner<S> {
    tls: TlsStream<S>,
    /// Whether writes wait for the end of the turn.
    gathers: bool,
    /// Less than a record of what was written and is not encrypted yet.
    held: Vec<u8>,
    /// How much was encrypted since all was sent.
    unsent: usize,
}

impl<S> Clone for Corked<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Corked<S> {
    pub(super) fn new(mut tls: TlsStream<S>) -> Self {
        let session = tls.get_mut().1;
        let gathers = session.alpn_protocol() == Some(b"h2");
        // Where writes are gathered the bound is ours: what rustls refuses would have to be held here. What is passed on as it
        // comes has no other bound than that of rustls, and a writer has to feel that the other side does not read.
        session.set_buffer_limit((!gathers).then_some(UNSENT_BYTES_MAX));
        Self(Arc::new(Mutex::new(Inner { tls, gathers, held: Vec::new(), unsent: 0 })))
    }

    /// Runs `connection`, which writes to a clone of this, and sends after each of its turns what that has written.
    ///
    /// Cancel-safe where `connection` is; what was not sent is lost with it.
    pub(super) async fn drive<F: Future>(&self, connection: F) -> F::Output {
        let mut connection = std::pin::pin!(connection);
        std::future::poll_fn(|cx| {
            let turn = connection.as_mut().poll(cx);
            let mut inner = self.0.lock();
            if inner.gathers {
                // A broken socket shows in the connection's next read or write; a full one wakes this task when it is not.
                let _ = inner.send(cx);
            }
            turn
        })
        .await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Inner<S> {
    /// Takes all of `bufs`: whole records are encrypted, the rest is held.
    fn take(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let size: usize = bufs.iter().map(|buf| buf.len()).sum();
        let mut whole = (self.held.len() + size) / RECORD_BYTES * RECORD_BYTES;
        if whole == 0 {
            bufs.iter().for_each(|buf| self.held.extend_from_slice(buf));
            return Ok(size);
        }
        let mut records = Vec::with_capacity(bufs.len() + 1);
        records.push(IoSlice::new(&self.held));
        whole -= self.held.len();
        let mut rest = Vec::new();
        for buf in bufs {
            let (record, held) = buf.split_at(whole.min(buf.len()));
            whole -= record.len();
            records.push(IoSlice::new(record));
            rest.extend_from_slice(held);
        }
        encrypt(&mut self.tls, &records)?;
        self.unsent += self.held.len() + size - rest.len();
        self.held = rest;
        Ok(size)
    }

    /// Sends all.
    fn send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.held.is_empty() {
            // Not kept for the next turn: most connections are idle.
            let held = std::mem::take(&mut self.held);
            encrypt(&mut self.tls, &[IoSlice::new(&held)])?;
            self.unsent += held.len();
        }
        self.send_encrypted(cx)
    }

    /// Sends what is encrypted.
    fn send_encrypted(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unsent > 0 {
            ready!(Pin::new(&mut self.tls).poll_flush(cx))?;
            self.unsent = 0;
        }
        Poll::Ready(Ok(()))
    }
}

/// Encrypts all of `plain`, to be sent with the next flush.
fn encrypt<S>(tls: &mut TlsStream<S>, plain: &[IoSlice<'_>]) -> io::Result<()> {
    let size: usize = plain.iter().map(|slice| slice.len()).sum();
    let taken = tls.get_mut().1.writer().write_vectored(plain)?;
    // Without a limit it takes all, except when the connection was closed with an alert.
    if taken == size { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Corked<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().tls).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Corked<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.lock();
        if !inner.gathers {
            return Pin::new(&mut inner.tls).poll_write_vectored(cx, bufs);
        }
        if inner.unsent >= UNSENT_BYTES_MAX {
            ready!(inner.send_encrypted(cx))?;
        }
        Poll::Ready(inner.take(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        if inner.gathers { Poll::Ready(Ok(())) } else { Pin::new(&mut inner.tls).poll_flush(cx) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        ready!(inner.send(cx))?;
        Pin::new(&mut inner.tls).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        pki_types::{PrivateKeyDer, ServerName},
    };
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use tokio_rustls::{TlsAcceptor, TlsConnector, client};

    use super::*;

    /// Both ends of a TLS connection that speaks `protocol`, over a pipe that holds `pipe_bytes`.
    async fn connection(protocol: &[u8], pipe_bytes: usize) -> (client::TlsStream<DuplexStream>, Corked<DuplexStream>) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        server.alpn_protocols = vec![protocol.to_vec()];
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![protocol.to_vec()];
        let (near, far) = tokio::io::duplex(pipe_bytes);
        let (connector, acceptor) = (TlsConnector::from(Arc::new(client)), TlsAcceptor::from(Arc::new(server)));
        let (client, server) =
            futures::join!(connector.connect(ServerName::try_from("localhost").unwrap(), near), acceptor.accept(far));
        (client.unwrap(), Corked::new(server.unwrap()))
    }

    #[tokio::test]
    async fn everything_arrives_as_it_was_written() {
        // Smaller than what is gathered: the writer has to wait.
        let (mut client, corked) = connection(b"h2", 20_000).await;
        let mut writer = corked.clone();
        let frames: Vec<Vec<u8>> =
            (0..60_usize).map(|n| vec![n as u8; [16_393, 9, 16_384, 40_000, 1, 700][n % 6]]).collect();
        let want = frames.concat();
        let writing = corked.drive(async {
            for frame in &frames {
                writer.write_all(frame).await.unwrap();
                writer.flush().await.unwrap();
            }
            writer.shutdown().await.unwrap();
        });
        let mut got = Vec::new();
        let (_, read) = futures::join!(writing, client.read_to_end(&mut got));
        read.unwrap();
        assert!(got == want, "{} of {} bytes", got.len(), want.len());
    }

    #[track_caller]
    fn is_waiting(client: &mut client::TlsStream<DuplexStream>) -> bool {
        let mut space = [0; 8];
        let mut cx = Context::from_waker(std::task::Waker::noop());
        Pin::new(client).poll_read(&mut cx, &mut ReadBuf::new(&mut space)).is_pending()
    }

    #[tokio::test]
    async fn what_one_turn_writes_leaves_at_its_end() {
        let (mut client, corked) = connection(b"h2", 20_000).await;
        let mut writer = corked.clone();
        corked
            .drive(async {
                for text in ["one ", "turn"] {
                    writer.write_all(text.as_bytes()).await.unwrap();
                    writer.flush().await.unwrap();
                }
                assert!(is_waiting(&mut client));
            })
            .await;
        let mut got = [0; 8];
        client.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"one turn");
    }

    /// The answer of HTTP/1 to a client that did not read was taken without end: gigabytes for a few watches of a large object.
    #[tokio::test]
    async fn what_the_other_side_does_not_read_is_not_taken() {
        for protocol in [&b"http/1.1"[..], b"h2"] {
            let (_client, mut corked) = connection(protocol, 20_000).await;
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let frame = vec![b'x'; 50_000];
            let mut taken = 0;
            while let Poll::Ready(wrote) = Pin::new(&mut corked).poll_write(&mut cx, &frame) {
                taken += wrote.unwrap();
                assert!(taken < 1 << 20, "{taken} bytes were taken");
                let _ = Pin::new(&mut corked).poll_flush(&mut cx);
            }
            assert!(taken >= UNSENT_BYTES_MAX, "{taken}");
        }
    }

    /// Who takes a connection over need not flush: bytes to a container's input went out with each write.
    #[tokio::test]
    async fn a_connection_that_can_be_taken_over_holds_nothing_back() {
        let (mut client, corked) = connection(b"http/1.1", 20_000).await;
        corked.clone().write_all(b"key").await.unwrap();
        assert!(!is_waiting(&mut client));
    }
}
