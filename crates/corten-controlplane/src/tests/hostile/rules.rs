//! Rules in CEL that cost as much as they may, or make much and cost little.

use std::pin::pin;

use corten_base::SystemClock;
use futures::future::{Either, select};

use super::*;

const COSTLY: &str = "/apis/example.com/v1/namespaces/default/costly";

/// With a custom resource `costly` whose spec is as `spec` says.
async fn served(spec: serde_json::Value) -> Served {
    let served = Served::start().await;
    let definition = json!({
        "metadata": {"name": "costly.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "costly", "kind": "Costly"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema":
                {"type": "object", "properties": {"spec": spec}}}}]},
    });
    served.cluster.post(admin(), super::super::custom_resources::CRDS, definition).await.unwrap();
    super::super::custom_resources::until_established(&served.cluster, "costly.example.com").await;
    served
}

/// Ten rules, each of which goes through all triples of a list: nearly what one request may cost.
fn triples() -> serde_json::Value {
    let rule = |n: usize| json!({"rule": format!("self.l.all(a, self.l.all(b, self.l.all(c, a + b + c >= {n})))"), "message": "no"});
    let rules: Vec<_> = (0..10).map(rule).collect();
    json!({"type": "object", "x-kubernetes-validations": rules,
        "properties": {"l": {"type": "array", "maxItems": 40, "items": {"type": "integer"}}}})
}

/// They were evaluated on the thread of the request, which answered nobody else for most of a second.
#[tokio::test]
async fn a_write_with_hostile_rules_holds_up_nobody() {
    let served = served(triples()).await;
    let clock = SystemClock::shared();
    // The first one compiles the rules, too.
    for name in ["a", "b", "c"] {
        let object = json!({"apiVersion": "example.com/v1", "kind": "Costly", "metadata": {"name": name},
            "spec": {"l": vec![5; 40]}});
        let wire = request("POST", COSTLY, &[("content-type", "application/json")], object.to_string());
        let began = clock.monotonic();
        let mut write = pin!(served.ask(&wire));
        let (mut reads, mut longest) = (0, Duration::ZERO);
        let answer = loop {
            let asked = clock.monotonic();
            match select(write, pin!(served.lives())).await {
                Either::Left((answer, _)) => break answer.unwrap(),
                Either::Right(((), unanswered)) => write = unanswered,
            }
            reads += 1;
            longest = longest.max(clock.monotonic() - asked);
        };
        let took = clock.monotonic() - began;
        assert_eq!(answer.code, 201, "{}", String::from_utf8_lossy(&answer.body));
        assert!(reads >= 5 && longest * 2 < took, "{reads} reads, of which one took {longest:?}, during {took:?}");
        eprintln!("{reads} reads, of which one took {longest:?}, during {took:?}");
    }
    served.stop().await;
}

/// A set was copied for each of its items, and a sum as deep as sums become for each turn of a loop, for some units of cost: the
/// first took gigabytes for 20,000 items.
#[tokio::test]
async fn rules_that_make_much_are_refused() {
    let long = format!("[{}]", vec!["0"; 513].join(","));
    let flattened = format!(
        "[{long}]{}.map(a, a{}).all(a, self.items.map(x, a + {long}).size() > 0)",
        ".map(a, a + a)".repeat(10),
        format!(" + {long}").repeat(22),
    );
    let values = |kind: Option<&str>, max: usize, rule: &str| {
        let items = json!({"type": "array", "maxItems": max, "items": {"type": "integer"}, "x-kubernetes-list-type": kind.unwrap_or("atomic")});
        json!({"type": "object", "x-kubernetes-validations": [{"rule": format!("!has(self.items) || {rule}")}],
            "properties": {"items": items}})
    };
    let served = served(json!({"type": "object", "properties": {
        "merged": values(Some("set"), 20_000, "self.items.map(x, self.items + [-1]).size() >= 0"),
        "flattened": values(None, 100, &format!("({flattened})")),
    }}))
    .await;
    let row = |what: &'static str, count: usize| Row {
        what,
        request: request(
            "POST",
            COSTLY,
            &[("content-type", "application/json")],
            json!({"apiVersion": "example.com/v1", "kind": "Costly", "metadata": {"name": what},
                "spec": {what: {"items": (0..count).collect::<Vec<_>>()}}})
            .to_string(),
        ),
        want: (422, "Invalid", "operation cancelled: actual cost limit exceeded"),
    };
    served.check(vec![row("merged", 20_000), row("flattened", 100)]).await;
    served.stop().await;
}
