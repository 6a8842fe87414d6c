//! Whether anything goes on in a connection: one that is silent for long gives its place to others.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use corten_base::SharedClock;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, service::Service};
use pin_project_lite::pin_project;

/// How long a connection may stay without a request. Upstream: `IdleTimeout` of its HTTP/2 servers.
const IDLE_MAX: Duration = Duration::from_secs(90);

/// The requests of one connection; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Activity {
    counts: Arc<Counts>,
    clock: SharedClock,
}

#[derive(Debug)]
struct Counts {
    open: AtomicUsize,
    /// How many there have been.
    begun: AtomicUsize,
    /// Whether the connection is somebody else's, for something else than requests.
    is_handed_over: AtomicBool,
    /// When the last one ended, or the connection began; milliseconds of the clock.
    ended: AtomicU64,
}

/// A request under way, until the last byte of its answer.
struct Open(Activity);

impl Activity {
    pub(super) fn new(clock: SharedClock) -> Self {
        let counts = Counts {
            open: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            is_handed_over: AtomicBool::new(false),
            ended: AtomicU64::new(millis(clock.monotonic())),
        };
        Self { counts: Arc::new(counts), clock }
    }

    fn begin(&self) -> Open {
        self.counts.open.fetch_add(1, Ordering::Relaxed);
        self.counts.begun.fetch_add(1, Ordering::Relaxed);
        Open(self.clone())
    }

    /// How many requests have begun.
    pub(super) fn requests(&self) -> usize {
        self.counts.begun.load(Ordering::Relaxed)
    }

    /// Whether a request goes on, or the connection was handed over: then what comes is no head of a request.
    pub(super) fn is_busy(&self) -> bool {
        self.counts.open.load(Ordering::Relaxed) > 0 || self.counts.is_handed_over.load(Ordering::Relaxed)
    }

    /// Completes once nothing has gone on for `IDLE_MAX`. Looks now and then instead of being told of every request, which
    /// would cost each of them a turn of the connection.
    pub(super) async fn idle(&self) {
        let mut wait = IDLE_MAX;
        loop {
            self.clock.sleep(wait).await;
            let ended = Duration::from_millis(self.counts.ended.load(Ordering::Relaxed));
            let idle = self.clock.monotonic().saturating_sub(ended);
            wait = match self.counts.open.load(Ordering::Relaxed) {
                0 if idle >= IDLE_MAX => return,
                0 => IDLE_MAX - idle,
                _ => IDLE_MAX,
            };
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.counts.ended.store(millis(self.0.clock.monotonic()), Ordering::Relaxed);
        self.0.counts.open.fetch_sub(1, Ordering::Relaxed);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A service whose requests are counted.
#[derive(Debug)]
pub(super) struct Counted<S> {
    pub(super) service: S,
    pub(super) activity: Activity,
}

impl<S, B> Service<Request<Incoming>> for Counted<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
{
    type Response = Response<CountedBody<B>>;
    type Error = Infallible;
    type Future = CountedFuture<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let open = Some(self.activity.begin());
        let is_tunnel = request.method() == Method::CONNECT;
        CountedFuture { future: self.service.call(request), is_tunnel, open }
    }
}

pin_project! {
    /// The making of a counted answer.
    pub(super) struct CountedFuture<F> {
        #[pin]
        future: F,
        is_tunnel: bool,
        open: Option<Open>,
    }
}

impl<F, B> Future for CountedFuture<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<CountedBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (open, is_tunnel) = (this.open, *this.is_tunnel);
        this.future.poll(cx).map(|answer| {
            answer.map(|answer| {
                let code = answer.status();
                if code == StatusCode::SWITCHING_PROTOCOLS || is_tunnel && code.is_success() {
                    open.iter().for_each(|open| open.0.counts.is_handed_over.store(true, Ordering::Relaxed));
                }
                answer.map(|body| CountedBody { body, open: open.take() })
            })
        })
    }
}

pin_project! {
    /// The body of a counted answer.
    pub(super) struct CountedBody<B> {
        #[pin]
        body: B,
        open: Option<Open>,
    }
}

impl<B: Body> Body for CountedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use corten_base::SimClock;
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_connection_is_idle_after_a_while_without_a_request() {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let activity = Activity::new(clock.clone());
        let mut idle = Box::pin(activity.idle());
        let mut is_idle_after = |seconds: u64| {
            assert!((&mut idle).now_or_never().is_none());
            clock.advance(Duration::from_secs(seconds));
            (&mut idle).now_or_never().is_some()
        };
        let watch = activity.begin();
        assert!(!is_idle_after(90));
        assert!(!is_idle_after(80));
        drop(watch);
        assert!(!is_idle_after(10), "it ended a moment ago");
        drop(activity.begin());
        assert!(!is_idle_after(80));
        assert!(is_idle_after(10));
    }
}
