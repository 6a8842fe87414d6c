//! Links of HTML pages that come through a proxy: those to the page's own server lead through the proxy, too.
//!
//! Flow: body, unpacked -> start tags -> the values of attributes that are links -> body, packed as it was. All other bytes
//! stay as they are.
//! Upstream: k8s.io/apimachinery/pkg/util/proxy/transport.go (v1.35), which reads pages of any size into memory; here those
//! beyond `PAGE_BYTES_MAX`, and those packed in other ways than gzip and deflate, go on as they came.

mod links;
mod packing;

use std::{io, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use corten_apiserver::response::ByteStream;
use corten_base::{SharedClock, TaskSet, timeout};
use corten_component_base::serving::SendDeadline;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use self::{links::links, packing::Packing};

/// The largest page whose links are rewritten, unpacked.
const PAGE_BYTES_MAX: usize = 8 << 20;

/// Up to here a page is read and rewritten without asking anybody: it takes less than a millisecond.
const SMALL_BYTES_MAX: usize = 64 * 1024;

/// What may become of such a page without asking anybody: a link of five bytes can become one of a thousand.
const SMALL_RESULT_BYTES_MAX: usize = 4 * SMALL_BYTES_MAX;

/// How many larger pages may be in memory at once, until they are sent; each twice while it is rewritten.
const LARGE_PAGES_MAX: usize = 8;

/// What may become of a larger page; one that would outgrow this goes on as it came.
const LARGE_RESULT_BYTES_MAX: usize = 2 * PAGE_BYTES_MAX;

/// How long a larger page may be sent, so that who does not read does not keep its place.
const SEND_PATIENCE: Duration = Duration::from_secs(300);

/// What of a larger page is handed to the connection at once: that much waits there, whatever becomes of the page.
const PIECE_BYTES: usize = 64 * 1024;

/// How long a larger page may wait for its place and for its bytes, so that those that come slowly do not keep others from
/// theirs. After that it goes on as it came.
const LARGE_PAGE_PATIENCE: Duration = Duration::from_secs(10);

/// Whether a body of this type is a page.
pub(super) fn is_page(content_type: &str) -> bool {
    content_type.split(';').next().unwrap_or_default().trim() == "text/html"
}

/// Rewrites pages: small ones at once, the others a few at a time and on threads that may be busy for long.
#[derive(Debug)]
pub(super) struct Pages {
    places: Arc<Semaphore>,
    clock: SharedClock,
    tasks: TaskSet,
}

impl Pages {
    /// The work on large pages runs in `tasks`.
    pub(super) fn new(clock: SharedClock, tasks: TaskSet) -> Self {
        Self { places: Arc::new(Semaphore::new(LARGE_PAGES_MAX)), clock, tasks }
    }

    /// The body with its links rewritten; `rewrite` gives what a link is to become, or `None` to keep it.
    pub(super) async fn rewritten(
        &self,
        headers: &mut HeaderMap,
        mut body: ByteStream,
        rewrite: impl Fn(&str) -> Option<String> + Send + 'static,
    ) -> ByteStream {
        let Some(packing) = Packing::of(headers.get(header::CONTENT_ENCODING)) else { return body };
        let mut whole = BytesMut::new();
        let mut read = read_up_to(SMALL_BYTES_MAX, &mut body, &mut whole).await;
        // How large a packed page is shows only when it is unpacked.
        let is_whole = matches!(read, Read::All);
        let is_small = packing == Packing::Plain && is_whole;
        let mut place = None;
        if !is_small && !matches!(read, Read::Failed(_)) {
            let rest = async {
                place = Arc::clone(&self.places).acquire_owned().await.ok();
                if is_whole { Read::All } else { read_up_to(PAGE_BYTES_MAX, &mut body, &mut whole).await }
            };
            read = timeout(&*self.clock, LARGE_PAGE_PATIENCE, rest).await.unwrap_or(Read::More);
        }
        let page = whole.freeze();
        match read {
            // What there is goes on, and then the failure.
            Read::Failed(error) => return joined(self.sent(page, place), stream::once(async { Err(error) }).boxed()),
            Read::More => return joined(self.sent(page, place), body),
            Read::All => {}
        }
        if place.is_none() {
            match changed(packing, &page, &rewrite, SMALL_RESULT_BYTES_MAX) {
                Ok(changed) => return whole_page(headers, changed.len(), self.sent(changed, None)),
                Err(Unchanged::Unreadable) => return whole_page(headers, page.len(), self.sent(page, None)),
                Err(Unchanged::TooLarge) => {
                    let asked = Arc::clone(&self.places).acquire_owned();
                    place = timeout(&*self.clock, LARGE_PAGE_PATIENCE, asked).await.ok().and_then(Result::ok);
                }
            }
        }
        if place.is_none() {
            return whole_page(headers, page.len(), self.sent(page, None));
        }
        let (done, answer) = oneshot::channel();
        let own = page.clone();
        self.tasks.spawn_blocking("page", move || {
            let changed = changed(packing, &own, &rewrite, LARGE_RESULT_BYTES_MAX).unwrap_or(own);
            // Who asked may have gone.
            let _gone = done.send((changed, place));
        });
        let (sent, place) = answer.await.unwrap_or((page, None));
        whole_page(headers, sent.len(), self.sent(sent, place))
    }

    /// The body that is `page`. It keeps the page's place while it keeps the page.
    fn sent(&self, page: Bytes, place: Option<OwnedSemaphorePermit>) -> ByteStream {
        let Some(place) = place else { return stream::once(async { Ok(page) }).boxed() };
        let deadline = SendDeadline::begin(self.clock.monotonic().saturating_add(SEND_PATIENCE));
        let pieces = stream::unfold(Some((page, (place, deadline))), |state| async {
            let (mut page, held) = state?;
            if page.is_empty() {
                return None;
            }
            // A copy: a piece that waits in the connection does not keep the page.
            let piece = Bytes::copy_from_slice(&page.split_to(PIECE_BYTES.min(page.len())));
            Some((Ok(piece), (!page.is_empty()).then_some((page, held))))
        });
        pieces.boxed()
    }
}

/// A page that is there as a whole.
fn whole_page(headers: &mut HeaderMap, length: usize, body: ByteStream) -> ByteStream {
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    body
}

/// Why a page goes on as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unchanged {
    /// It is packed wrongly, or is too large before anything was rewritten.
    Unreadable,
    /// It would become too large.
    TooLarge,
}

/// How far a page was read.
enum Read {
    All,
    More,
    Failed(io::Error),
}

/// Reads on until there are more than `limit` bytes. Cancel-safe: what was read is in `whole`.
async fn read_up_to(limit: usize, body: &mut ByteStream, whole: &mut BytesMut) -> Read {
    while whole.len() <= limit {
        match body.next().await {
            Some(Ok(bytes)) => whole.extend_from_slice(&bytes),
            Some(Err(error)) => return Read::Failed(error),
            None => return Read::All,
        }
    }
    Read::More
}

/// The page with its links rewritten, packed as it was; unpacked it has no more than `limit` bytes.
fn changed(
    packing: Packing,
    page: &Bytes,
    rewrite: &impl Fn(&str) -> Option<String>,
    limit: usize,
) -> Result<Bytes, Unchanged> {
    let page = packing.unpack(page, PAGE_BYTES_MAX).ok_or(Unchanged::Unreadable)?;
    let changed = links(&page, rewrite, limit).ok_or(Unchanged::TooLarge)?;
    packing.pack(changed).map_err(|_| Unchanged::Unreadable)
}

/// `first`, which is dropped when it is over, and `rest`.
fn joined(first: ByteStream, rest: ByteStream) -> ByteStream {
    first.chain(rest).boxed()
}

#[cfg(test)]
mod tests;
