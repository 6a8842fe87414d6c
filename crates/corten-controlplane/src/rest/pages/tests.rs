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
        let packed = packing.pack(page.to_vec()).unwrap();
        let body = stream::iter(packed.chunks(5).map(|part| Ok(Bytes::copy_from_slice(part))).collect::<Vec<_>>());
        let sent = all(pages.rewritten(&mut headers, body.boxed(), through_proxy).await).await;
        assert_eq!(headers[header::CONTENT_LENGTH], sent.len().to_string());
        assert_eq!(packing.unpack(&sent, PAGE_BYTES_MAX).unwrap(), "<a href=\"/proxy/x\">");
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    let body = stream::iter([Ok(page.clone())]).boxed();
    assert_eq!(all(pages.rewritten(&mut headers, body, through_proxy).await).await, page);
}
