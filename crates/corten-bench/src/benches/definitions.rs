//! How soon discovery and OpenAPI tell of a custom resource definition, of its change and of its end.

use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Bench, block_on};
use crate::{load::Load, process, report::Report, server::Server};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// How many definitions there are besides the one that changes.
const OTHERS: usize = 50;
/// How soon clients are to see a change.
const BUDGET_MS: f64 = 100.0;
/// When a change counts as never seen.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) static BENCH: Bench = Bench {
    name: "definitions",
    about: "custom resource definitions until discovery and OpenAPI tell of them",
    needs_sandbox: false,
    run,
};

fn run(report: &mut Report) -> anyhow::Result<()> {
    let server = Server::start()?;
    block_on(async {
        let load = Load::open(&server.kubeconfig(), 1).await?;
        let at_rest = process::resident_bytes(server.pid())?;
        let (_, cpu, wall) = server.measure(load.fetch(Method::GET, "/openapi/v2", "")).await?;
        report.add("OpenAPI v2 made", "ms", millis(wall), None);
        report.add("OpenAPI v2 made: processor", "ms cpu", millis(cpu), None);
        let grown = process::resident_bytes(server.pid())?.saturating_sub(at_rest);
        report.add("memory for OpenAPI v2", "MiB", grown as f64 / 1_048_576.0, None);
        for number in 0..OTHERS {
            load.call(0, Method::POST, DEFINITIONS, definition(&format!("others{number}")), StatusCode::CREATED)
                .await?;
        }
        let bench = Watched { load: &load, server: &server };
        bench.until("/apis/others49.bench.example/v1", |status, _| status == StatusCode::OK).await?;
        for (what, path) in [
            ("discovery", "/apis/NAME.bench.example/v1"),
            ("OpenAPI v3", "/openapi/v3/apis/NAME.bench.example/v1"),
            ("OpenAPI v2", "/openapi/v2"),
        ] {
            bench.one(what, path, report).await?;
        }
        Ok(())
    })
}

/// A server and a client of it.
struct Watched<'a> {
    load: &'a Load,
    server: &'a Server,
}

impl Watched<'_> {
    /// The life of a definition as one document shows it.
    async fn one(&self, what: &str, path: &str, report: &mut Report) -> anyhow::Result<()> {
        let name = what.to_ascii_lowercase().replace(' ', "-");
        let (path, kind) = (path.replace("NAME", &name), format!("Kind{name}").replace('-', ""));
        let tells = |word: &str| {
            let word = word.to_owned();
            move |status: StatusCode, body: &Bytes| {
                status == StatusCode::OK && std::str::from_utf8(body).is_ok_and(|text| text.contains(&word))
            }
        };
        self.load.call(0, Method::POST, DEFINITIONS, definition(&name), StatusCode::CREATED).await?;
        let taken = self.until(&path, tells(&kind)).await?;
        report.add(format!("{what} of a new definition"), "ms", millis(taken), Some(BUDGET_MS));
        // Another short name, and another description of a field: both are told at once.
        let item = format!("{DEFINITIONS}/{name}s.{name}.bench.example");
        let word = format!("changed{}", name.replace('-', ""));
        self.change(&item, |changed| {
            changed["spec"]["names"]["shortNames"] = json!([word]);
            changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = json!(word);
        })
        .await?;
        let taken = self.until(&path, tells(&word)).await?;
        report.add(format!("{what} of a change"), "ms", millis(taken), Some(BUDGET_MS));
        self.load.call(0, Method::DELETE, &item, "", StatusCode::OK).await?;
        let is_told = tells(&kind);
        let taken = self.until(&path, |status, body| !is_told(status, body)).await?;
        report.add(format!("{what} of the end"), "ms", millis(taken), Some(BUDGET_MS));
        Ok(())
    }

    /// Changes an object that the server writes the status of, too: again, where that came in between.
    async fn change(&self, item: &str, by: impl Fn(&mut Value)) -> anyhow::Result<()> {
        loop {
            let (_, body) = self.load.fetch(Method::GET, item, "").await?;
            let mut changed: Value = serde_json::from_slice(&body)?;
            by(&mut changed);
            let (status, _) = self.load.fetch(Method::PUT, item, changed.to_string()).await?;
            if status != StatusCode::CONFLICT {
                ensure!(status == StatusCode::OK, "{item}: {status}");
                return Ok(());
            }
        }
    }

    /// How long it takes until an answer is as wanted.
    async fn until(&self, path: &str, holds: impl Fn(StatusCode, &Bytes) -> bool) -> anyhow::Result<Duration> {
        let began = self.server.clock.monotonic();
        loop {
            let (status, body) = self.load.fetch(Method::GET, path, "").await?;
            let taken = self.server.clock.monotonic() - began;
            if holds(status, &body) {
                return Ok(taken);
            }
            ensure!(taken < PATIENCE, "{path} does not follow: {status}");
        }
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A definition with a group of its own, and some fields.
fn definition(name: &str) -> String {
    let fields: Value =
        (0..40).map(|n| (format!("field{n}"), json!({"type": "string", "description": "A field."}))).collect();
    let group = format!("{name}.bench.example");
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{name}s.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": format!("{name}s"), "kind": format!("Kind{name}").replace('-', "")},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": fields}}}}}],
        },
    })
    .to_string()
}
