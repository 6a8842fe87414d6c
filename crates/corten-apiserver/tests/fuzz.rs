//! Whatever request line comes, it means something.

use corten_apiserver::{RequestInfo, request::Query};
use corten_fuzz::{Target, texts};
use http::{Method, Uri};

const TARGETS: &[Target] = &[Target { name: "path and query", corpus: lines, run: read }];

fn lines() -> Vec<Vec<u8>> {
    texts(&[
        "/api/v1/namespaces/default/pods/web/log?container=c&tailLines=10&follow",
        "/apis/apps/v1/deployments?labelSelector=a%3Db&fieldSelector=metadata.name%3Dx&watch=true",
        "/api/v1/namespaces/a%2fb/services/https:web:443/proxy/x/../y?z=%zz;w=1+2",
        "/openapi/v3/apis/apps/v1?hash=1",
    ])
}

fn read(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let query = Query::parse(query);
    for (name, _) in query.iter() {
        assert!(query.find(name).is_some() && query.all(name).next().is_some(), "{name} is there");
    }
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let _ = RequestInfo::parse(&method, path, &query);
    }
    // What a connection lets through is an address; the rest never comes so far.
    if let Ok(uri) = text.parse::<Uri>() {
        let _ = RequestInfo::parse(&Method::GET, uri.path(), &Query::parse(uri.query().unwrap_or_default()));
    }
}

#[test]
fn no_input_harms_a_decoder() {
    corten_fuzz::smoke(TARGETS);
}
