//! The log of a container, as the kubelet sends it.
//!
//! Upstream: pkg/registry/core/pod/rest/log.go, `LogLocation`, `ValidatePodLogOptions` (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::{
    codec::canonical_time,
    field::{Error, Path},
    gvk::GroupVersionKind,
    status::Status,
};
use corten_apiserver::{
    Reply, Request, Server,
    endpoints::{Custom, Endpoint},
    request::Query,
};
use corten_streaming::negotiate;
use http::StatusCode;

use super::{
    catalog::Handler,
    pod_connect::{Connector, QueryText, container_of, escape},
};

/// The handler.
pub(crate) static HANDLER: Handler =
    Handler { group: "", plural: "pods", subresource: "log", build: |parts| Arc::new(Log(Connector::new(parts))) };

#[derive(Debug)]
struct Log(Connector);

#[async_trait]
impl Custom for Log {
    async fn handle(&self, _server: &Arc<Server>, _endpoint: &Endpoint, mut request: Request) -> Result<Reply, Status> {
        let (namespace, name) = (request.info.namespace.as_str(), request.info.name.as_str());
        let errors = validate(&request.query)?;
        if !errors.is_empty() {
            return Err(Status::invalid(&GroupVersionKind::new("", "v1", "PodLogOptions"), name, &errors));
        }
        let pod = self.0.pod(&request).await?;
        let container = container_of(&pod, name, request.query.get("container"))?;
        let node = pod.str_at(&["spec", "nodeName"]).unwrap_or_default();
        if node.is_empty() {
            // A pod that runs nowhere has written nothing.
            return Ok(Reply::text(StatusCode::OK, ""));
        }
        let mut query = QueryText::default();
        for flag in ["follow", "previous", "timestamps"] {
            if request.query.flag(flag) {
                query.push(flag, "true");
            }
        }
        for value in ["sinceSeconds", "sinceTime", "tailLines", "limitBytes"] {
            if let Some(given) = request.query.find(value).filter(|given| !matches!(*given, "" | "null")) {
                query.push(value, given);
            }
        }
        let path =
            format!("/containerLogs/{}/{}/{}{}", escape(namespace), escape(name), escape(&container), query.text());
        let location = self.0.kubelets.locate(node, path).await?;
        let log = self.0.kubelets.read(&location, "pods/log", name).await?;
        if request.upgrade.is_some() && negotiate::is_websocket(&request.headers) {
            return self.0.kubelets.send_over_websocket(&mut request, log);
        }
        Ok(log)
    }
}

/// Checks the options.
///
/// Errors: `BadRequest` for what is no number or time.
fn validate(query: &Query) -> Result<Vec<Error>, Status> {
    let number = |name: &str| match query.find(name) {
        None => Ok(None),
        Some(text) => text.parse::<i64>().map(Some).map_err(|_| {
            Status::bad_request(format!(
                "strconv.ParseInt: parsing {}: invalid syntax",
                corten_apimachinery::field::quote(text)
            ))
        }),
    };
    // Nothing, and what clients of old said instead, are times of their own: the earliest. Upstream: `UnmarshalQueryParameter` of
    // `Time` in k8s.io/apimachinery/pkg/apis/meta/v1 (v1.35).
    let time = query.find("sinceTime");
    if let Some(text) = time.filter(|text| !matches!(*text, "" | "null")) {
        canonical_time(text).map_err(Status::bad_request)?;
    }
    let mut errors = Vec::new();
    let tail = number("tailLines")?;
    if let Some(tail) = tail.filter(|tail| *tail < 0) {
        errors.push(Error::invalid(&Path::new("tailLines"), tail, "must be greater than or equal to 0"));
    }
    if let Some(limit) = number("limitBytes")?.filter(|limit| *limit < 1) {
        errors.push(Error::invalid(&Path::new("limitBytes"), limit, "must be greater than 0"));
    }
    // Feature gate `PodLogsQuerySplitStreams` is alpha in v1.35, and off.
    if query.find("stream").is_some() {
        errors.push(Error::forbidden(&Path::new("stream"), "may not be specified"));
    }
    let seconds = number("sinceSeconds")?;
    match (seconds, time) {
        (Some(_), Some(_)) => errors
            .push(Error::forbidden(&Path::new(""), "at most one of `sinceTime` or `sinceSeconds` may be specified")),
        (Some(seconds), None) if seconds < 1 => {
            errors.push(Error::invalid(&Path::new("sinceSeconds"), seconds, "must be greater than 0"));
        }
        _ => {}
    }
    Ok(errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, want: &[&str]) {
        let errors = validate(&Query::parse(query)).unwrap();
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts, want, "{query}");
    }

    #[test]
    fn options_are_checked_in_upstreams_words() {
        check("follow=true&tailLines=0&limitBytes=1&sinceSeconds=5", &[]);
        check("tailLines=-1", &["tailLines: Invalid value: -1: must be greater than or equal to 0"]);
        check("limitBytes=0", &["limitBytes: Invalid value: 0: must be greater than 0"]);
        check("stream=Stdout", &["stream: Forbidden: may not be specified"]);
        check("sinceSeconds=0", &["sinceSeconds: Invalid value: 0: must be greater than 0"]);
        check("sinceTime=2026-01-02T03:04:05%2B01:00", &[]);
        check("sinceTime=null", &[]);
        let both = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified";
        check("sinceTime=&sinceSeconds=1", &[both]);
        assert_eq!(validate(&Query::parse("tailLines=x")).unwrap_err().code, 400);
        // It was told without a reason.
        let refused = validate(&Query::parse("sinceTime=x")).unwrap_err();
        let want = "parsing time \"x\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"x\" as \"2006\"";
        assert_eq!((refused.code, &*refused.message), (400, want));
    }
}
