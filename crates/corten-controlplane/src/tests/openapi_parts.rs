//! Parts of OpenAPI documents, for clients that go on where they were interrupted.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::BodyExt as _;

use super::Served;

const V2: &str = "/openapi/v2";

async fn ask(served: &Served, path: &str, headers: &[(header::HeaderName, &str)]) -> (StatusCode, HeaderMap, String) {
    let (code, headers, body) = ask_by(served, Method::GET, path, headers).await;
    (code, headers, String::from_utf8_lossy(&body).into_owned())
}

async fn ask_by(
    served: &Served,
    method: Method,
    path: &str,
    headers: &[(header::HeaderName, &str)],
) -> (StatusCode, HeaderMap, Bytes) {
    let mut request = served.request_for(path, "*/*");
    *request.method_mut() = method;
    for (name, value) in headers {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let answer = served.http2().await.send_request(request).await.unwrap();
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status, head.headers, body)
}

/// The documents knew no ranges: who was interrupted got all of them again.
#[tokio::test]
async fn a_document_is_there_in_parts() {
    let served = Served::start().await;
    let whole = served.text(V2).await;
    let size = whole.len();
    let (code, headers, part) = ask(&served, V2, &[(header::RANGE, "bytes=100-300099")]).await;
    assert_eq!((code, &*part), (StatusCode::PARTIAL_CONTENT, &whole[100..300_100]));
    assert_eq!(headers[header::CONTENT_RANGE], format!("bytes 100-300099/{size}"));
    assert_eq!(headers[header::CONTENT_TYPE], "application/json");
    assert_eq!(headers[header::ACCEPT_RANGES], "bytes");
    let etag = headers[header::ETAG].to_str().unwrap().to_owned();

    let same = [(header::RANGE, "bytes=-2"), (header::IF_RANGE, &*etag)];
    let (code, _, part) = ask(&served, V2, &same).await;
    assert_eq!((code, &*part), (StatusCode::PARTIAL_CONTENT, &whole[size - 2..]));
    let other = [(header::RANGE, "bytes=-2"), (header::IF_RANGE, "\"other\"")];
    let (code, _, all) = ask(&served, V2, &other).await;
    assert!((code, all == whole) == (StatusCode::OK, true), "{code}");

    let (code, headers, parts) = ask(&served, V2, &[(header::RANGE, "bytes=0-0,-1")]).await;
    assert_eq!(code, StatusCode::PARTIAL_CONTENT);
    let media_types: Vec<_> = headers.get_all(header::CONTENT_TYPE).iter().collect();
    assert_eq!(media_types.len(), 1, "{media_types:?}");
    let boundary = media_types[0].to_str().unwrap().strip_prefix("multipart/byteranges; boundary=").unwrap();
    assert_eq!(parts.matches(&format!("--{boundary}")).count(), 3, "{parts}");

    let (code, headers, text) = ask(&served, V2, &[(header::RANGE, &format!("bytes={size}-"))]).await;
    assert_eq!((code, &*text), (StatusCode::RANGE_NOT_SATISFIABLE, "invalid range: failed to overlap\n"));
    assert_eq!(headers[header::CONTENT_RANGE], format!("bytes */{size}"));
    assert!(!headers.contains_key(header::ETAG) && !headers.contains_key(header::LAST_MODIFIED));

    let (code, headers, text) = ask(&served, V2, &[(header::IF_MATCH, "\"other\"")]).await;
    assert_eq!((code, &*text), (StatusCode::PRECONDITION_FAILED, ""));
    assert_eq!(headers[header::ETAG], *etag);

    // The index is no file to upstream either.
    let (code, headers, _) = ask(&served, "/openapi/v3", &[(header::RANGE, "bytes=0-0")]).await;
    assert_eq!((code, headers.contains_key(header::ACCEPT_RANGES)), (StatusCode::OK, false));
    served.stop().await;
}

/// Four megabytes were sent as they are to whoever would have taken a tenth of that.
#[tokio::test]
async fn the_second_version_is_compressed_for_who_takes_that() {
    let served = Served::start().await;
    let whole = served.text(V2).await;
    let gzip = (header::ACCEPT_ENCODING, "br, gzip;q=0.5");
    let (code, headers, body) = ask_by(&served, Method::GET, V2, std::slice::from_ref(&gzip)).await;
    assert_eq!((code, headers[header::CONTENT_ENCODING].to_str().unwrap()), (StatusCode::OK, "gzip"));
    let vary: Vec<_> = headers.get_all(header::VARY).iter().collect();
    assert_eq!(vary, ["Accept-Encoding", "Accept"]);
    assert!(body.len() < whole.len() / 5, "{} of {}", body.len(), whole.len());
    let mut back = String::new();
    GzDecoder::new(&*body).read_to_string(&mut back).unwrap();
    assert!(back == whole);
    // It is the same document, in whatever form it is sent.
    let etag = headers[header::ETAG].to_str().unwrap().to_owned();
    let (code, headers, body) = ask_by(&served, Method::GET, V2, &[gzip.clone(), (header::IF_NONE_MATCH, &etag)]).await;
    assert_eq!((code, body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert!(!headers.contains_key(header::CONTENT_ENCODING));
    let (code, headers, part) = ask_by(&served, Method::GET, V2, &[gzip, (header::RANGE, "bytes=0-9")]).await;
    assert_eq!((code, &*part), (StatusCode::PARTIAL_CONTENT, &whole.as_bytes()[..10]));
    assert!(!headers.contains_key(header::CONTENT_ENCODING));
    for (path, accepted) in [(V2, "identity"), (V2, "gzip;q=0"), ("/openapi/v3/apis/apps/v1", "gzip")] {
        let (code, headers, _) = ask_by(&served, Method::GET, path, &[(header::ACCEPT_ENCODING, accepted)]).await;
        assert_eq!(
            (code, headers.contains_key(header::CONTENT_ENCODING)),
            (StatusCode::OK, false),
            "{path} {accepted}"
        );
    }
    served.stop().await;
}

/// A head had no length, and all that can be read by `GET` was read by `HEAD`, too.
#[tokio::test]
async fn heads_are_read_where_upstream_looks_at_no_method() {
    let served = Served::start().await;
    for path in [V2, "/openapi/v3", "/", "/healthz", "/apis", "/apis/apps"] {
        let (code, headers, body) = ask_by(&served, Method::HEAD, path, &[]).await;
        let (_, _, whole) = ask_by(&served, Method::GET, path, &[]).await;
        assert_eq!((code, body.len()), (StatusCode::OK, 0), "{path}");
        assert_eq!(headers[header::CONTENT_LENGTH].to_str().unwrap(), whole.len().to_string(), "{path}");
    }
    for path in ["/api", "/api/v1", "/apis/apps/v1", "/version", "/api/v1/namespaces", "/api/v1/namespaces/default"] {
        let (code, _, body) = ask_by(&served, Method::HEAD, path, &[]).await;
        assert_eq!((code, body.len()), (StatusCode::METHOD_NOT_ALLOWED, 0), "{path}");
    }
    for method in [Method::OPTIONS, Method::POST] {
        let (code, _, body) = ask_by(&served, method, "/", &[]).await;
        assert!(code == StatusCode::OK && body.starts_with(b"{\n  \"paths\": ["), "{code} {body:?}");
    }
    served.stop().await;
}
