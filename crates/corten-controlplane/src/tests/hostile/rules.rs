//! Rules in CEL that cost as much as they may.

use std::pin::pin;

use corten_base::SystemClock;
use futures::future::{Either, select};

use super::*;

const COSTLY: &str = "/apis/example.com/v1/namespaces/default/costly";

/// Ten rules, each of which goes through all triples of a list: nearly what one request may cost.
async fn served() -> Served {
    let served = Served::start().await;
    let rule = |n: usize| json!({"rule": format!("self.l.all(a, self.l.all(b, self.l.all(c, a + b + c >= {n})))"), "message": "no"});
    let rules: Vec<_> = (0..10).map(rule).collect();
    let definition = json!({
        "metadata": {"name": "costly.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "costly", "kind": "Costly"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema":
                {"type": "object", "properties": {"spec": {"type": "object", "x-kubernetes-validations": rules,
                    "properties": {"l": {"type": "array", "maxItems": 40, "items": {"type": "integer"}}}}}}}}]},
    });
    served.cluster.post(admin(), super::super::custom_resources::CRDS, definition).await.unwrap();
    super::super::custom_resources::until_established(&served.cluster, "costly.example.com").await;
    served
}

/// They were evaluated on the thread of the request, which answered nobody else for most of a second.
#[tokio::test]
async fn a_write_with_hostile_rules_holds_up_nobody() {
    let served = served().await;
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
