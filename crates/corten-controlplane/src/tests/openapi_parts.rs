//! Parts of OpenAPI documents, for clients that go on where they were interrupted.

use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;

use super::Served;

const V2: &str = "/openapi/v2";

async fn ask(served: &Served, path: &str, headers: &[(header::HeaderName, &str)]) -> (StatusCode, HeaderMap, String) {
    let mut request = served.request_for(path, "*/*");
    for (name, value) in headers {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let answer = served.http2().await.send_request(request).await.unwrap();
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status, head.headers, String::from_utf8_lossy(&body).into_owned())
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
