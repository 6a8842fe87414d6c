//! Links of HTML pages that come through a proxy: those to the page's own server lead through the proxy, too.
//!
//! Flow: body, unpacked -> start tags -> the values of attributes that are links -> body, packed as it was. All other bytes
//! stay as they are.
//! Upstream: k8s.io/apimachinery/pkg/util/proxy/transport.go (v1.35), which reads pages of any size into memory; here those
//! beyond `PAGE_BYTES_MAX`, and those packed in other ways than gzip and deflate, go on as they came.

use std::{
    io::{self, Read as _, Write as _},
    sync::Arc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use corten_apiserver::response::ByteStream;
use corten_base::{SharedClock, TaskSet, timeout};
use corten_component_base::serving::SendDeadline;
use flate2::{
    Compression,
    read::{DeflateDecoder, GzDecoder},
    write::{DeflateEncoder, GzEncoder},
};
use futures::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

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

/// The attributes that are links, by element.
const LINKS: &[(&str, &[&str])] = &[
    ("a", &["href"]),
    ("applet", &["codebase"]),
    ("area", &["href"]),
    ("audio", &["src"]),
    ("base", &["href"]),
    ("blockquote", &["cite"]),
    ("body", &["background"]),
    ("button", &["formaction"]),
    ("command", &["icon"]),
    ("del", &["cite"]),
    ("embed", &["src"]),
    ("form", &["action"]),
    ("frame", &["longdesc", "src"]),
    ("head", &["profile"]),
    ("html", &["manifest"]),
    ("iframe", &["longdesc", "src"]),
    ("img", &["longdesc", "src", "usemap"]),
    ("input", &["formaction", "src", "usemap"]),
    ("ins", &["cite"]),
    ("link", &["href"]),
    ("object", &["classid", "codebase", "data", "usemap"]),
    ("q", &["cite"]),
    ("script", &["src"]),
    ("source", &["src"]),
    ("video", &["poster", "src"]),
];

/// Elements whose content is text up to their end tag, whatever it looks like.
const RAW: &[&str] = &["iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp"];

/// Whether a body of this type is a page.
pub(super) fn is_page(content_type: &str) -> bool {
    content_type.split(';').next().unwrap_or_default().trim() == "text/html"
}

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Plain,
    Gzip,
    Deflate,
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
        let packing = match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"") => Packing::Plain,
            Some(b"gzip") => Packing::Gzip,
            Some(b"deflate") => Packing::Deflate,
            Some(_) => return body,
        };
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
    let page = unpack(packing, page).ok_or(Unchanged::Unreadable)?;
    let changed = links(&page, rewrite, limit).ok_or(Unchanged::TooLarge)?;
    pack(packing, changed).map_err(|_| Unchanged::Unreadable)
}

/// `first`, which is dropped when it is over, and `rest`.
fn joined(first: ByteStream, rest: ByteStream) -> ByteStream {
    first.chain(rest).boxed()
}

/// The page itself; `None` if it is packed wrongly, or too large.
fn unpack(packing: Packing, packed: &Bytes) -> Option<Bytes> {
    let read = |reader: &mut dyn io::Read| {
        let mut page = Vec::new();
        let limit = PAGE_BYTES_MAX as u64 + 1;
        reader.take(limit).read_to_end(&mut page).ok()?;
        (page.len() <= PAGE_BYTES_MAX).then(|| page.into())
    };
    match packing {
        Packing::Plain => Some(packed.clone()),
        Packing::Gzip => read(&mut GzDecoder::new(&packed[..])),
        Packing::Deflate => read(&mut DeflateDecoder::new(&packed[..])),
    }
}

fn pack(packing: Packing, page: Vec<u8>) -> io::Result<Bytes> {
    let packed = match packing {
        Packing::Plain => page,
        Packing::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&page)?;
            encoder.finish()?
        }
        Packing::Deflate => {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&page)?;
            encoder.finish()?
        }
    };
    Ok(packed.into())
}

/// The page with its links rewritten; `None` if it would have more than `limit` bytes.
fn links(page: &[u8], rewrite: &impl Fn(&str) -> Option<String>, limit: usize) -> Option<Vec<u8>> {
    let mut out = Rewritten { bytes: Vec::with_capacity(page.len() + 1_024), left: limit.checked_sub(page.len())? };
    let mut at = 0;
    while let Some(start) = find(page, at, b"<") {
        out.bytes.extend_from_slice(&page[at..start]);
        at = start;
        if page[at..].starts_with(b"<!--") {
            let end = find(page, at + 4, b"-->").map_or(page.len(), |end| end + 3);
            out.bytes.extend_from_slice(&page[at..end]);
            at = end;
            continue;
        }
        if !page.get(at + 1).is_some_and(u8::is_ascii_alphabetic) {
            out.bytes.push(b'<');
            at += 1;
            continue;
        }
        let (element, end) = tag(page, at, &mut out, rewrite)?;
        at = end;
        if RAW.contains(&element.as_str()) {
            let end = end_tag(page, at, &element).unwrap_or(page.len());
            out.bytes.extend_from_slice(&page[at..end]);
            at = end;
        }
    }
    out.bytes.extend_from_slice(&page[at..]);
    Some(out.bytes)
}

/// What has become of a page so far.
struct Rewritten {
    bytes: Vec<u8>,
    /// By how much it may still grow.
    left: usize,
}

/// Copies the start tag at `start`. Returns its element, and where it ends; `None` if the page grows too much.
fn tag(
    page: &[u8],
    start: usize,
    out: &mut Rewritten,
    rewrite: &impl Fn(&str) -> Option<String>,
) -> Option<(String, usize)> {
    let until = |from: usize, is_end: fn(u8) -> bool| {
        page[from..].iter().position(|&byte| is_end(byte)).map_or(page.len(), |length| from + length)
    };
    let mut at = until(start + 1, |byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>'));
    let element = String::from_utf8_lossy(&page[start + 1..at]).to_ascii_lowercase();
    let wanted = LINKS.iter().find(|(name, _)| *name == element).map_or(&[][..], |(_, attributes)| attributes);
    let mut copied = start;
    loop {
        at = until(at, |byte| !byte.is_ascii_whitespace() && byte != b'/');
        match page.get(at) {
            None => break,
            Some(b'>') => {
                at += 1;
                break;
            }
            Some(_) => {}
        }
        // The name of an attribute may begin with an equals sign, but not go on with one.
        let end = until(at + 1, |byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>' | b'='));
        let name = String::from_utf8_lossy(&page[at..end]).to_ascii_lowercase();
        at = until(end, |byte| !byte.is_ascii_whitespace());
        if page.get(at) != Some(&b'=') {
            continue;
        }
        at = until(at + 1, |byte| !byte.is_ascii_whitespace());
        let (from, to, next) = match page.get(at) {
            Some(&quote @ (b'"' | b'\'')) => {
                let to = find(page, at + 1, &[quote]).unwrap_or(page.len());
                (at + 1, to, (to + 1).min(page.len()))
            }
            _ => {
                let to = until(at, |byte| byte.is_ascii_whitespace() || byte == b'>');
                (at, to, to)
            }
        };
        if wanted.contains(&name.as_str())
            && let Ok(link) = std::str::from_utf8(&page[from..to])
            && let Some(link) = rewrite(link)
        {
            out.left = (out.left + to - from).checked_sub(link.len())?;
            out.bytes.extend_from_slice(&page[copied..from]);
            out.bytes.extend_from_slice(link.as_bytes());
            copied = to;
        }
        at = next;
    }
    out.bytes.extend_from_slice(&page[copied..at]);
    Some((element, at))
}

/// Where the end tag of `element` begins.
fn end_tag(page: &[u8], from: usize, element: &str) -> Option<usize> {
    let mut at = from;
    while let Some(found) = find(page, at, b"</") {
        let name = page.get(found + 2..found + 2 + element.len());
        if name.is_some_and(|name| name.eq_ignore_ascii_case(element.as_bytes())) {
            return Some(found);
        }
        at = found + 2;
    }
    None
}

fn find(page: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    page.get(from..)?.windows(what.len()).position(|window| window == what).map(|length| from + length)
}

#[cfg(test)]
mod tests {
    use corten_base::SimClock;
    use futures::FutureExt as _;

    use super::*;

    fn through_proxy(link: &str) -> Option<String> {
        link.starts_with('/').then(|| format!("/proxy{link}"))
    }

    #[track_caller]
    fn check(page: &str, want: &str) {
        let got = links(page.as_bytes(), &through_proxy, 10_000).unwrap();
        assert_eq!(String::from_utf8(got).unwrap(), want);
    }

    #[test]
    fn links_of_start_tags_lead_through_the_proxy() {
        check("<a href=\"/rewriteme\">test</a>", "<a href=\"/proxy/rewriteme\">test</a>");
        check("<A title='/x' HREF = '/x'>", "<A title='/x' HREF = '/proxy/x'>");
        check("<img src=/a.png alt=/b><link href=\"css/x\">", "<img src=/proxy/a.png alt=/b><link href=\"css/x\">");
        check("<p href=\"/x\">1 < 2 <b></p>", "<p href=\"/x\">1 < 2 <b></p>");
        check(
            "<form action='/a' method=post><br/><input src='/b'/>",
            "<form action='/proxy/a' method=post><br/><input src='/proxy/b'/>",
        );
    }

    #[test]
    fn what_only_looks_like_a_tag_stays() {
        let script = "<script src=\"/proxy/s\">if (a<b) '<a href=\"/x\">'</script><a href=\"/proxy/y\">";
        check("<script src=\"/s\">if (a<b) '<a href=\"/x\">'</script><a href=\"/y\">", script);
        for page in [
            "<!-- <a href=\"/x\"> -->",
            "<!-- <a href=\"/x\">",
            "<",
            "<a",
            "<a href",
            "<a href=",
            "<a href=\"",
            "</a href=\"/x\">",
        ] {
            check(page, page);
        }
        check("<a href=\"/x", "<a href=\"/proxy/x");
    }

    fn pages() -> (Pages, Arc<SimClock>) {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        (Pages::new(clock.clone(), TaskSet::new("pages")), clock)
    }

    async fn all(body: ByteStream) -> Bytes {
        let sent: Vec<Bytes> = body.map(Result::unwrap).collect().await;
        sent.concat().into()
    }

    /// Any pod's pages of 8 MB were unpacked, read and packed on a thread of the runtime, as many at once as it liked.
    #[tokio::test]
    async fn large_pages_are_rewritten_aside_and_a_few_at_a_time() {
        let (pages, clock) = pages();
        let page = Bytes::from(format!("<a href=\"/x\">{}", " ".repeat(SMALL_BYTES_MAX)));
        let body = || stream::iter([Ok(page.clone())]).boxed();
        let runtime = std::thread::current().id();
        let rewrite = move |link: &str| {
            assert_ne!(std::thread::current().id(), runtime, "a large page is no work for this thread");
            through_proxy(link)
        };
        let sent = all(pages.rewritten(&mut HeaderMap::new(), body(), rewrite).await).await;
        assert!(sent.starts_with(b"<a href=\"/proxy/x\">"));
        // When all places are taken a page waits, and in the end goes on as it came.
        let taken = Arc::clone(&pages.places).acquire_many_owned(LARGE_PAGES_MAX as u32).await.unwrap();
        for packing in ["", "gzip"] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(packing));
            let mut waiting = Box::pin(pages.rewritten(&mut headers, body(), through_proxy));
            assert!((&mut waiting).now_or_never().is_none());
            clock.advance(LARGE_PAGE_PATIENCE);
            assert_eq!(all(waiting.await).await, page);
        }
        let small = stream::iter([Ok(Bytes::from_static(b"<a href=\"/x\">"))]).boxed();
        let sent = pages.rewritten(&mut HeaderMap::new(), small, through_proxy).now_or_never().unwrap();
        assert_eq!(all(sent).await, "<a href=\"/proxy/x\">");
        drop(taken);
        // One that comes slowly does not keep its place.
        let slow = stream::iter([Ok(page.clone())]).chain(stream::pending()).boxed();
        let mut headers = HeaderMap::new();
        let mut reading = Box::pin(pages.rewritten(&mut headers, slow, through_proxy));
        assert!((&mut reading).now_or_never().is_none());
        assert_eq!(pages.places.available_permits(), LARGE_PAGES_MAX - 1);
        clock.advance(LARGE_PAGE_PATIENCE);
        let mut sent = reading.await;
        let mut got = BytesMut::new();
        while got.len() < page.len() {
            got.extend_from_slice(&sent.next().await.unwrap().unwrap());
        }
        assert_eq!(got, page);
        assert_eq!(pages.places.available_permits(), LARGE_PAGES_MAX);
        pages.tasks.join().await.unwrap();
    }

    /// A place was given back when its page was rewritten: a thousand streams whose client read nothing kept 8 MiB each.
    #[tokio::test]
    async fn a_large_page_keeps_its_place_until_it_is_sent() {
        let (pages, clock) = pages();
        let whole = Bytes::from(format!("<a href=\"/x\">{}", " ".repeat(3 * PIECE_BYTES)));
        let beyond = Bytes::from(vec![b' '; PAGE_BYTES_MAX + 1]);
        for (page, rest) in [(whole, stream::empty().boxed()), (beyond, stream::pending().boxed())] {
            let body = stream::iter([Ok(page.clone())]).chain(rest).boxed();
            let mut sent = pages.rewritten(&mut HeaderMap::new(), body, through_proxy).await;
            let pieces = page.len().div_ceil(PIECE_BYTES);
            for left in (0..pieces).rev() {
                assert_eq!(pages.places.available_permits(), LARGE_PAGES_MAX - 1, "{left}");
                assert!(sent.next().await.unwrap().unwrap().len() <= PIECE_BYTES);
            }
            assert_eq!(pages.places.available_permits(), LARGE_PAGES_MAX);
            // One that nobody wants gives its place back, too.
            let body = stream::iter([Ok(page)]).boxed();
            let sent = pages.rewritten(&mut HeaderMap::new(), body, through_proxy).await;
            assert_eq!(pages.places.available_permits(), LARGE_PAGES_MAX - 1);
            drop(sent);
            assert_eq!(pages.places.available_permits(), LARGE_PAGES_MAX);
        }
        drop(clock);
        pages.tasks.join().await.unwrap();
    }

    /// A page of 8 MiB with links of one byte became 800 MB.
    #[tokio::test]
    async fn a_page_that_would_outgrow_its_bounds_goes_on_as_it_came() {
        let (pages, clock) = pages();
        let to_long = |link: &str| (link == "/").then(|| "x".repeat(1_000));
        let page_of = |links: usize| Bytes::from("<a href=/>".repeat(links));
        let rewritten = async |page: &Bytes| {
            let body = stream::iter([Ok(page.clone())]).boxed();
            all(pages.rewritten(&mut HeaderMap::new(), body, to_long).await).await
        };
        for links in [20_000, PAGE_BYTES_MAX / 10] {
            let huge = page_of(links);
            assert!(rewritten(&huge).await == huge, "{links} links");
        }
        // A small one that becomes large is rewritten in a place of its own, and goes on as it came if there is none.
        let growing = page_of(1_000);
        assert_eq!(rewritten(&growing).await.len(), 1_009_000);
        let taken = Arc::clone(&pages.places).acquire_many_owned(LARGE_PAGES_MAX as u32).await.unwrap();
        let mut waiting = Box::pin(rewritten(&growing));
        assert!((&mut waiting).now_or_never().is_none());
        clock.advance(LARGE_PAGE_PATIENCE);
        assert_eq!(waiting.await, growing);
        assert_eq!(rewritten(&page_of(100)).await.len(), 100_900);
        // The bound is on what there is at any time, not only between tags.
        let attributes = format!("<a {}>", "href=/ ".repeat(100));
        assert_eq!(links(attributes.as_bytes(), &to_long, 50_000), None);
        assert_eq!(links(attributes.as_bytes(), &to_long, 200_000).unwrap().len(), attributes.len() + 99_900);
        drop(taken);
        pages.tasks.join().await.unwrap();
    }

    #[tokio::test]
    async fn packed_pages_are_packed_again_and_others_left_alone() {
        let (pages, _clock) = pages();
        let page = Bytes::from_static(b"<a href=\"/x\">");
        for (encoding, packing) in [("", Packing::Plain), ("gzip", Packing::Gzip), ("deflate", Packing::Deflate)] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
            let packed = pack(packing, page.to_vec()).unwrap();
            let body = stream::iter(packed.chunks(5).map(|part| Ok(Bytes::copy_from_slice(part))).collect::<Vec<_>>());
            let sent = all(pages.rewritten(&mut headers, body.boxed(), through_proxy).await).await;
            assert_eq!(headers[header::CONTENT_LENGTH], sent.len().to_string());
            assert_eq!(unpack(packing, &sent).unwrap(), "<a href=\"/proxy/x\">");
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
        let body = stream::iter([Ok(page.clone())]).boxed();
        assert_eq!(all(pages.rewritten(&mut headers, body, through_proxy).await).await, page);
    }
}
