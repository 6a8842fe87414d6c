//! Connections to objects are admitted: plugins see what is asked for as an object, the options of the connection.
//!
//! What plugins change in the options is not followed, and their advice is not shown: the answer is the target's.
//! Upstream: `ConnectResource` in k8s.io/apiserver/pkg/endpoints/handlers/rest.go (v1.35).

use corten_apimachinery::{field::quote, gvk::GroupVersionKind, status::Status, value::Value};
use corten_apiserver::{Request, endpoints::Endpoint, registry::WriteContext};

/// Lets the plugins see a connection, which `request` asks for.
///
/// Errors: what the first of them says that refuses it; a port that is none.
pub(super) async fn admit(endpoint: &Endpoint, request: &Request) -> Result<(), Status> {
    let info = &request.info;
    let store = endpoint.store.as_ref().ok_or_else(|| Status::internal("what is connected to is not stored"))?;
    let (kind, options) = options(request)?;
    let cx = WriteContext {
        user: &request.user,
        now: request.received,
        namespace: &info.namespace,
        api_version: &endpoint.api_version,
        subresource: &info.subresource,
        field_manager: "",
        served_as: &endpoint.resource,
        is_apply: false,
        dry_run: false,
    };
    store.admit_connect(&cx, &GroupVersionKind::new("", "v1", kind), &info.name, options).await
}

/// What is asked for, with its kind.
///
/// Errors: a port is no number.
fn options(request: &Request) -> Result<(&'static str, Value), Status> {
    let (info, query) = (&request.info, &request.query);
    let kind = match (info.resource.as_str(), info.subresource.as_str()) {
        (_, "exec") => "PodExecOptions",
        (_, "attach") => "PodAttachOptions",
        (_, "portforward") => "PodPortForwardOptions",
        ("services", _) => "ServiceProxyOptions",
        ("nodes", _) => "NodeProxyOptions",
        _ => "PodProxyOptions",
    };
    let mut options = Value::object_of([("kind", Value::from(kind)), ("apiVersion", "v1".into())]);
    match info.subresource.as_str() {
        "exec" | "attach" => {
            for stream in ["stdin", "stdout", "stderr", "tty"] {
                if query.flag(stream) {
                    options.set(&[stream], true);
                }
            }
            if !query.get("container").is_empty() {
                options.set(&["container"], query.get("container"));
            }
            let command: Vec<Value> = query.all("command").map(Value::from).collect();
            if info.subresource == "exec" && !command.is_empty() {
                options.set(&["command"], command);
            }
        }
        "portforward" => {
            let ports = query.all("ports").flat_map(|ports| ports.split(','));
            let ports: Vec<Value> =
                ports.map(|text| port(text).map(|port| Value::Int(port.into()))).collect::<Result<_, _>>()?;
            if !ports.is_empty() {
                options.set(&["ports"], ports);
            }
        }
        _ if !info.rest.is_empty() => options.set(&["path"], info.rest.as_str()),
        _ => {}
    }
    Ok((kind, options))
}

/// Reads the number of a port as Go does.
///
/// Upstream: `Convert_Slice_string_To_Slice_int32` in k8s.io/apimachinery/pkg/apis/meta/v1/conversion.go (v1.35).
fn port(text: &str) -> Result<u16, Status> {
    let wrong = |why: &str| {
        let text = quote(text);
        Status::bad_request(format!("cannot convert to []int32: strconv.ParseUint: parsing {text}: {why}"))
    };
    let mut port: Option<u16> = None;
    // The first that is wrong counts: a number that is too large before what is none.
    for c in text.chars() {
        let digit = c.to_digit(10).ok_or_else(|| wrong("invalid syntax"))?;
        let next = u32::from(port.unwrap_or_default()) * 10 + digit;
        port = Some(u16::try_from(next).map_err(|_| wrong("value out of range"))?);
    }
    port.ok_or_else(|| wrong("invalid syntax"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use corten_apimachinery::{codec, gvk::GroupVersionResource};
    use corten_apiserver::admission::{Attributes, Operation, Plugin};
    use corten_base::SimClock;
    use parking_lot::Mutex;

    use super::*;
    use crate::testing::{Cluster, admin};

    /// Writes down connections, and refuses all.
    #[derive(Debug, Default)]
    struct Refuses(Mutex<Vec<String>>);

    #[async_trait]
    impl Plugin for Refuses {
        fn name(&self) -> &'static str {
            "Refuses"
        }

        fn handles(&self, operation: Operation, _resource: &GroupVersionResource, _subresource: &str) -> bool {
            operation == Operation::Connect
        }

        async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
            let json = codec::json::encode(&attributes.object, None);
            let json = String::from_utf8_lossy(&json).into_owned();
            self.0.lock().push(format!("{} {} {json}", attributes.kind.kind, attributes.name));
            Err(Status::bad_request("no connections"))
        }
    }

    /// Whoever refused connections was not asked.
    #[tokio::test]
    async fn connections_are_admitted_with_what_they_ask_for() {
        let plugin = Arc::new(Refuses::default());
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let cluster = Cluster::start_admitted(clock, Arc::clone(&plugin) as _).await;
        cluster.make_pod("p").await;
        let pods = "/api/v1/namespaces/default/pods/p";
        for (path, want) in [
            (
                format!("{pods}/exec?command=sh&command=-c&stdin=true&stderr=false&container=c"),
                r#"PodExecOptions p {"apiVersion":"v1","command":["sh","-c"],"container":"c","kind":"PodExecOptions","stdin":true}"#,
            ),
            (
                format!("{pods}/attach?stdout=1&command=x"),
                r#"PodAttachOptions p {"apiVersion":"v1","kind":"PodAttachOptions","stdout":true}"#,
            ),
            (
                format!("{pods}/portforward?ports=80&ports=81,82"),
                r#"PodPortForwardOptions p {"apiVersion":"v1","kind":"PodPortForwardOptions","ports":[80,81,82]}"#,
            ),
            (
                format!("{pods}/proxy/a/b?c=d"),
                r#"PodProxyOptions p {"apiVersion":"v1","kind":"PodProxyOptions","path":"a/b"}"#,
            ),
            (
                "/api/v1/namespaces/default/services/s/proxy".to_owned(),
                r#"ServiceProxyOptions s {"apiVersion":"v1","kind":"ServiceProxyOptions"}"#,
            ),
            (
                "/api/v1/nodes/n:10250/proxy/metrics".to_owned(),
                r#"NodeProxyOptions n:10250 {"apiVersion":"v1","kind":"NodeProxyOptions","path":"metrics"}"#,
            ),
        ] {
            assert_eq!(cluster.get(admin(), &path).await.unwrap_err().message, "no connections", "{path}");
            assert_eq!(plugin.0.lock().drain(..).collect::<Vec<_>>(), [want]);
        }
        // They were Rust's words, and numbers below zero and above 65,535 were ports.
        for (ports, wrong, why) in [
            ("x", "x", "invalid syntax"),
            ("80,-1", "-1", "invalid syntax"),
            ("%2B80", "+80", "invalid syntax"),
            ("80,", "", "invalid syntax"),
            ("65536x", "65536x", "value out of range"),
        ] {
            let refused = cluster.get(admin(), &format!("{pods}/portforward?ports={ports}")).await.unwrap_err();
            let want = format!("cannot convert to []int32: strconv.ParseUint: parsing \"{wrong}\": {why}");
            assert_eq!((refused.code, refused.message), (400, want), "{ports}");
        }
        assert!(plugin.0.lock().is_empty(), "what cannot be read is not asked about");
        // What is no connection goes another way.
        cluster.get(admin(), &format!("{pods}/log")).await.unwrap();
        assert!(plugin.0.lock().is_empty());
        cluster.stop().await;
    }
}
