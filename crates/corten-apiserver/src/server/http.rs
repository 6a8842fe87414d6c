//! Between HTTP and the chain: requests in, bytes out.

use std::{collections::HashSet, convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use corten_apimachinery::{resource::UserInfo, status::Status, value::Value};
use corten_base::Shutdown;
use corten_component_base::serving::{OwnTask, Place, SendDeadline};
use futures::{StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response as HttpResponse, StatusCode, Version, header};
use hyper::body::{Body as _, Incoming};

use super::{
    Server,
    compressed::compress,
    encode::{self, Include},
    malformed,
    pieces::{Piece, Pieces},
    response_body::{Content, Frames, ResponseBody, Stall},
    wants::Wants,
    watch_socket::{self, Streams},
};
use crate::{
    authentication::ClientCertificates,
    endpoints::{
        scale,
        watch::{Item, WatchSource},
    },
    filters::chain::SEND_GRACE,
    large::{Size, Turn},
    negotiation::{Accepted, Shape},
    request::{Origin, Query, Request, RequestBody, RequestInfo},
    response::{Reply, Response, Sending},
    upgrade::Upgrade,
};

/// How many bytes of watch frames are gathered into one write.
const WATCH_GATHER_BYTES: usize = 64 * 1024;

/// So much of stored objects is read for one write of a watch: metadata, or a row, may be little of an object.
const WATCH_READ_BYTES: usize = 4 * WATCH_GATHER_BYTES;

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) peer: SocketAddr,
    pub(super) certificates: Arc<ClientCertificates>,
    /// The connection's place, for whoever takes it over.
    pub(super) place: Place,
}

/// How long all warnings of an answer may be together before each is cut, and to what. Upstream: `truncateAtTotalRunes`,
/// `truncateItemRunes`.
const WARNINGS_CHARS_MAX: usize = 4 * 1024;
const WARNING_CHARS_MAX: usize = 256;

/// Answers one HTTP request.
pub(super) async fn serve(
    server: Arc<Server>,
    client: Client,
    streams: Streams,
    mut http: http::Request<Incoming>,
) -> Result<HttpResponse<ResponseBody>, Infallible> {
    let Client { peer, certificates, place } = client;
    let upgrade = wants_upgrade(http.headers()).then(|| Upgrade::new(hyper::upgrade::on(&mut http), place));
    let (parts, body) = http.into_parts();
    if let Some(why) = malformed::complaint(&parts) {
        let mut reply = Reply::text(StatusCode::BAD_REQUEST, why);
        if parts.version <= Version::HTTP_11 {
            reply.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        return Ok(respond(&server, &streams, reply, &Wants::plain()).await);
    }
    if let Some(code) = malformed::own_answer(&parts) {
        let mut response = HttpResponse::new(Content::Empty.into());
        *response.status_mut() = code;
        if code == StatusCode::EXPECTATION_FAILED {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        return Ok(response);
    }
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let path = parts.uri.path().to_owned();
    let info = RequestInfo::parse(&parts.method, &path, &query);
    // Reads of one object are over sooner than a task is made for them.
    if info.verb != "get" || !info.is_resource || !info.subresource.is_empty() {
        OwnTask::default().await;
    }
    let wants = Wants::of(&server, &parts.headers, &query, &info);
    let head = parts.method == Method::HEAD;
    let request = Box::new(Request {
        method: parts.method,
        path,
        query,
        headers: parts.headers,
        body: RequestBody::Stream(body),
        origin: Origin::Connection { peer, certificates },
        upgrade,
        received: server.clock().now(),
        info,
        user: UserInfo::default(),
    });
    let reply = server.handle(request).await;
    let mut response = respond(&server, &streams, reply, &wants).await;
    if head {
        // What would be sent is told; Go tells it of short answers and of documents.
        let length = response.body().size_hint().exact().filter(|length| *length > 0);
        if let Some(length) = length {
            response.headers_mut().entry(header::CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
        }
        *response.body_mut() = Content::Empty.into();
    }
    Ok(response)
}

fn wants_upgrade(headers: &HeaderMap) -> bool {
    let names = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    names(header::CONNECTION).to_ascii_lowercase().contains("upgrade") && !names(header::UPGRADE).is_empty()
}

async fn respond(server: &Arc<Server>, streams: &Streams, reply: Reply, wants: &Wants) -> HttpResponse<ResponseBody> {
    let Reply { response, warnings, headers, mut sending } = reply;
    let is_watch = matches!(response, Response::Watch(_));
    let until = match &response {
        Response::Watch(source) => Some(source.deadline().saturating_add(SEND_GRACE)),
        // Bytes that come as they come have no end that anybody knows.
        Response::Stream { .. } | Response::Upgrade { .. } => None,
        _ => sending.until,
    };
    let accepted = wants.accepted.unwrap_or(Wants::PLAIN);
    let encoded = match response {
        Response::Tree { code, tree } if !code.is_success() => failure(server, code, &tree, wants),
        Response::Watch(mut source) => {
            if let Some(switch) = source.take_switch() {
                let form = (accepted, wants.include);
                // As upstream's, the answer that switches protocols has no warnings.
                let switched = watch_socket::begin(streams, Arc::clone(server), *source, switch, form);
                return upgraded(switched);
            }
            let content = Content::Watch(watch_body(
                Arc::clone(server),
                *source,
                streams.shutdown.clone(),
                (accepted, wants.include),
            ));
            Ok(Encoded { code: StatusCode::OK, media_type: accepted.encoding.stream_media_type(), content })
        }
        Response::Stream { content_type, code, body } => {
            let mut response = HttpResponse::new(Content::Stream(body).into());
            *response.status_mut() = code;
            *response.headers_mut() = headers_of_stream(&content_type, headers, warnings);
            return response;
        }
        Response::Upgrade { headers } => return upgraded(headers),
        response => match encode::size_if_large(&response, accepted) {
            None if sending.turn.is_none() => encode_whole(server, response, *wants),
            size => Box::pin(encode_aside(server, response, size, &mut sending, *wants)).await,
        },
    };
    let encoded = encoded.or_else(|status| {
        let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        failure(server, code, &status.to_value(), wants)
    });
    let Encoded { code, media_type, content } = encoded.unwrap_or_else(|status| Encoded {
        code: StatusCode::INTERNAL_SERVER_ERROR,
        media_type: "text/plain",
        content: Bytes::from(status.message).into(),
    });
    let (content, is_compressed) =
        if wants.compressed && !is_watch { compress(content).await } else { (content, false) };
    let deadline = until.and_then(SendDeadline::begin);
    let stall = until
        .filter(|_| is_watch)
        .zip(deadline.as_ref())
        .map(|(until, _)| Stall { clock: Arc::clone(server.clock()), until });
    let body = ResponseBody { content, _place: sending.place, deadline, stall };
    let mut response = HttpResponse::new(body);
    *response.status_mut() = code;
    let all = response.headers_mut();
    // What is not sent has no type, and several parts together have another than each.
    if code != StatusCode::NOT_MODIFIED && !headers.contains_key(header::CONTENT_TYPE) {
        all.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    if is_compressed {
        all.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        all.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        all.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    }
    for (name, value) in &headers {
        all.append(name, value.clone());
    }
    warn(all, warnings);
    response
}

/// What is said before bytes that come as they come.
fn headers_of_stream(content_type: &str, headers: HeaderMap, warnings: Vec<String>) -> HeaderMap {
    let mut all = HeaderMap::new();
    // A target of a proxy may not have said what it sends.
    if let Ok(value) = HeaderValue::from_str(content_type)
        && !value.is_empty()
    {
        all.insert(header::CONTENT_TYPE, value);
    }
    all.extend(headers);
    warn(&mut all, warnings);
    all
}

/// Adds the warnings of an answer.
fn warn(headers: &mut HeaderMap, warnings: Vec<String>) {
    for warning in limited(warnings) {
        if let Ok(value) = HeaderValue::from_str(&format!("299 - {}", quoted(&warning))) {
            headers.append(header::WARNING, value);
        }
    }
}

/// An answer as it is sent.
struct Encoded {
    code: StatusCode,
    media_type: &'static str,
    content: Content,
}

/// What went wrong, in the encoding that the client wants. One that there is not leaves JSON, indented and without a line end.
///
/// Upstream: `WriteObjectNegotiated`, `WriteRawJSON` in k8s.io/apiserver/pkg/endpoints/handlers/responsewriters (v1.35).
fn failure(server: &Server, code: StatusCode, status: &Value, wants: &Wants) -> Result<Encoded, Status> {
    let form = wants.failure.unwrap_or(Accepted { pretty: true, ..Wants::PLAIN });
    let content = encode::tree(server, status, form)?.into();
    Ok(Encoded { code, media_type: form.encoding.media_type(), content })
}

/// An answer that is no stream, in the form that the client wants.
fn encode_whole(
    server: &Arc<Server>,
    response: Response,
    Wants { accepted, include, is_custom_scale, .. }: Wants,
) -> Result<Encoded, Status> {
    if let Response::Raw { code, content_type, body } = response {
        return Ok(Encoded { code, media_type: content_type, content: body.into() });
    }
    let accepted = accepted.ok_or_else(|| server.encodings().none_acceptable())?;
    let media_type = accepted.encoding.media_type();
    let (code, content) = match response {
        Response::Object { code, object, store, version } => {
            let shown = encode::Shown { resource: store.resource(), printer: &*version.printer };
            (code, encode::object(server, shown, &object, accepted, include)?.into())
        }
        Response::Tree { code, tree } if accepted.shape == Shape::Table && scale::is_scale(&tree) => {
            (code, encode::scale_table(server, &tree, accepted, include)?.into())
        }
        Response::Tree { code, tree } => (code, encode::made_tree(server, &tree, accepted, is_custom_scale)?.into()),
        Response::Made(made) => (StatusCode::OK, encode::made(server, made, accepted, include)?.into()),
        Response::List(list) => (StatusCode::OK, encode::list(server, list, accepted, include)?),
        Response::EndedWatch(status) => {
            let content = encode::watch_failure(server, &status, accepted)?.into();
            return Ok(Encoded { code: StatusCode::OK, media_type: accepted.encoding.stream_media_type(), content });
        }
        Response::Raw { .. } | Response::Watch(_) | Response::Stream { .. } | Response::Upgrade { .. } => {
            unreachable!("what lasts is not encoded as a whole, and bytes are as they are")
        }
    };
    Ok(Encoded { code, media_type, content })
}

/// The turn of an answer that is much to encode: that of its request, or one of its own.
///
/// Errors: `Timeout` if its turn did not come while it could still be sent.
async fn turn_to_encode(server: &Server, sending: &mut Sending, size: Option<Size>) -> Result<Option<Turn>, Status> {
    if let Some(turn) = sending.turn.take() {
        return Ok(Some(turn));
    }
    let (Some(who), Some(size)) = (&sending.who, size) else { return Ok(None) };
    let clock = &**server.clock();
    let left = sending.until.map_or(Duration::MAX, |until| until.saturating_sub(clock.monotonic()));
    let turn = corten_base::timeout(clock, left, server.large().turn(who, size)).await;
    turn.map(Some).map_err(|_| Status::timeout("request did not complete within the allotted timeout", 0))
}

/// A large answer, encoded where that holds up nobody. It has its place also when nobody waits for it any more.
async fn encode_aside(
    server: &Arc<Server>,
    response: Response,
    size: Option<Size>,
    sending: &mut Sending,
    wants: Wants,
) -> Result<Encoded, Status> {
    let Some(turn) = turn_to_encode(server, sending, size).await? else { return encode_whole(server, response, wants) };
    let (server, place) = (Arc::clone(server), sending.place.take());
    match turn.work(move || (encode_whole(&server, response, wants), place)).await {
        Ok(((encoded, place), _turn)) => {
            sending.place = place;
            encoded
        }
        Err(panic) => {
            tracing::error!(err = %panic, "The encoding of an answer panicked");
            Err(Status::internal("the answer could not be made"))
        }
    }
}

fn upgraded(headers: HeaderMap) -> HttpResponse<ResponseBody> {
    let mut response = HttpResponse::new(Content::Empty.into());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = headers;
    response
}

/// Warnings as upstream sends them: each text once, and once they are long in all, each cut and no more than that.
///
/// Upstream: `recorder` in k8s.io/apiserver/pkg/endpoints/filters/warning.go (v1.35).
fn limited(warnings: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut texts: Vec<String> = Vec::new();
    let (mut sum, mut cuts) = (0, false);
    let cut = |text: &mut String| {
        if let Some((end, _)) = text.char_indices().nth(WARNING_CHARS_MAX) {
            text.truncate(end);
        }
        text.chars().count()
    };
    for mut warning in warnings {
        if cuts && sum >= WARNINGS_CHARS_MAX {
            break;
        }
        // Compared whole: what differs may look the same once it is cut.
        if warning.is_empty() || !seen.insert(warning.clone()) {
            continue;
        }
        sum += if cuts { cut(&mut warning) } else { warning.chars().count() };
        texts.push(warning);
        if !cuts && sum > WARNINGS_CHARS_MAX {
            cuts = true;
            sum = texts.iter_mut().map(cut).sum();
        }
    }
    texts
}

/// A quoted string as RFC 9110 has it; what a header cannot carry is left out.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// The frames of a watch, as they are: those of the cache's events are shared by all watchers, and held by those that do not
/// read. It ends with the server, which would wait for it in vain.
fn watch_body(
    server: Arc<Server>,
    source: WatchSource,
    shutdown: Shutdown,
    (accepted, include): (Accepted, Include),
) -> Frames {
    let state = (server, source, shutdown, true, false, 0);
    stream::unfold(state, move |(server, mut source, shutdown, mut first, ended, read_before)| async move {
        if ended || shutdown.is_requested() {
            return None;
        }
        if read_before >= WATCH_READ_BYTES {
            // There may be as much again: others have their turn first.
            tokio::task::yield_now().await;
        }
        let mut item = tokio::select! {
            biased;
            item = source.next() => item?,
            () = shutdown.requested() => return None,
        };
        let mut gathered: Vec<Piece> = Vec::new();
        let (mut size, mut read) = (0, 0);
        let mut ended = false;
        // Everything that is at hand goes out in one write.
        loop {
            if let Ok(Item::Object { object, .. }) = &item {
                read += object.json.len();
            }
            let frame = item.and_then(|item| encode::watch_item(&server, &source, &item, accepted, include, first));
            first = false;
            let frame = frame.unwrap_or_else(|status| {
                ended = true;
                encode::watch_failure(&server, &status, accepted).unwrap_or_default()
            });
            size += frame.len();
            gathered.push(Piece::Bytes(frame));
            if ended || size >= WATCH_GATHER_BYTES || read >= WATCH_READ_BYTES {
                break;
            }
            match source.ready() {
                Some(next) => item = next,
                None => break,
            }
        }
        Some((Pieces::from(gathered), (server, source, shutdown, first, ended, read)))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(warnings: &[String], want: &[String]) {
        assert_eq!(limited(warnings.to_vec()), want);
    }

    /// They were left out, and what was deprecated seemed to be as good as anything.
    #[test]
    fn a_stream_is_sent_with_its_warnings() {
        let headers = headers_of_stream("text/plain", HeaderMap::new(), vec!["old".to_owned(), "older".to_owned()]);
        let texts = |name: HeaderName| headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
        let (types, warnings): (Vec<_>, Vec<_>) = (texts(header::CONTENT_TYPE), texts(header::WARNING));
        assert_eq!((types, warnings), (vec!["text/plain"], vec!["299 - \"old\"", "299 - \"older\""]));
    }

    /// A body of 3 MB was answered with a head of megabytes, at which clients drop the connection.
    #[test]
    fn warnings_have_a_measure() {
        let text = |c: char, count: usize| c.to_string().repeat(count);
        check(&[text('a', 3), String::new(), text('b', 2), text('a', 3)], &[text('a', 3), text('b', 2)]);
        check(&[text('\u{fc}', 4_000), text('b', 96)], &[text('\u{fc}', 4_000), text('b', 96)]);
        check(
            &[text('\u{fc}', 4_000), text('b', 97), text('c', 300)],
            &[text('\u{fc}', 256), text('b', 97), text('c', 256)],
        );
        let many: Vec<String> = (0..100_000).map(|n| format!("{n:0100}")).collect();
        check(&many, &many[..41]);
        let long: Vec<String> = (0..1_000).map(|n| format!("{n:01000}")).collect();
        assert_eq!(limited(long).len(), 16);
    }
}
