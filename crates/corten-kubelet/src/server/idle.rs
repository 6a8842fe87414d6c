//! The end of streams that nobody uses: a client that vanished does not say so.
//!
//! Invariant: a connection is closed no sooner than `IDLE_TIMEOUT` after its last byte, in either direction.
//! Upstream: `streamingConnectionIdleTimeout` (v1.35).

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use corten_base::SharedClock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How long a stream may be silent. Upstream: the default of `streamingConnectionIdleTimeout`.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(4 * 3_600);

/// When something last went over a connection.
#[derive(Clone)]
pub(super) struct Activity {
    clock: SharedClock,
    /// Milliseconds on the monotonic clock.
    last: Arc<AtomicU64>,
}

impl Activity {
    /// Begins now.
    pub(super) fn new(clock: SharedClock) -> Self {
        let activity = Self { clock, last: Arc::default() };
        activity.note();
        activity
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX)
    }

    fn note(&self) {
        self.last.store(self.now(), Ordering::Relaxed);
    }

    /// Completes once nothing has gone over the connection for too long. Cancel-safe.
    pub(super) async fn over(&self) {
        loop {
            let silent = Duration::from_millis(self.now().saturating_sub(self.last.load(Ordering::Relaxed)));
            let Some(left) = IDLE_TIMEOUT.checked_sub(silent).filter(|left| !left.is_zero()) else { return };
            self.clock.sleep(left).await;
        }
    }
}

/// A connection whose activity is noted.
pub(super) struct Watched<T> {
    io: T,
    activity: Activity,
}

impl<T> Watched<T> {
    pub(super) fn new(io: T, activity: Activity) -> Self {
        Self { io, activity }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.note();
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        if matches!(polled, Poll::Ready(Ok(written)) if written > 0) {
            self.activity.note();
        }
        polled
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
    use corten_base::SimClock;
    use futures::FutureExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_silent_connection_is_over_and_one_that_is_used_is_not() {
        let clock = SimClock::new(jiff::Timestamp::UNIX_EPOCH);
        let activity = Activity::new(Arc::clone(&clock) as SharedClock);
        let (ours, mut theirs) = tokio::io::duplex(16);
        let mut ours = Watched::new(ours, activity.clone());
        let mut over = Box::pin(activity.over());
        assert!((&mut over).now_or_never().is_none());
        clock.advance(IDLE_TIMEOUT - Duration::from_secs(1));
        theirs.write_all(b"a").await.unwrap();
        ours.read_u8().await.unwrap();
        clock.advance(Duration::from_secs(2));
        assert!((&mut over).now_or_never().is_none(), "something came");
        clock.advance(IDLE_TIMEOUT - Duration::from_secs(3));
        ours.write_all(b"b").await.unwrap();
        clock.advance(Duration::from_secs(2));
        assert!((&mut over).now_or_never().is_none(), "something went");
        clock.advance(IDLE_TIMEOUT);
        assert!((&mut over).now_or_never().is_some());
    }
}
