//! The kinds of objects that the tests write.

use serde_json::{Value, json};

use crate::{client::Client, watching::MARK};

/// A collection, and how an object of it is made.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    /// What an object has beside its metadata, with some text and some number.
    content: fn(&str, u64) -> Value,
}

pub(crate) static RESOURCES: [Resource; 4] = [
    Resource {
        name: "configmaps",
        path: "/api/v1/namespaces/default/configmaps",
        content: |text, number| json!({"data": {"text": text, "more": "x".repeat(number as usize)}}),
    },
    Resource {
        name: "secrets",
        path: "/api/v1/namespaces/default/secrets",
        content: |text, number| json!({"type": "Opaque", "stringData": {"text": text, "number": number.to_string()}}),
    },
    Resource {
        name: "leases",
        path: "/apis/coordination.k8s.io/v1/namespaces/default/leases",
        content: |text, number| json!({"spec": {"holderIdentity": text, "leaseDurationSeconds": number + 1}}),
    },
    Resource {
        name: "widgets",
        path: "/apis/faults.example.com/v1/namespaces/default/widgets",
        content: |text, number| json!({"spec": {"text": text, "size": number}}),
    },
];

impl Resource {
    /// An object that bears a mark; of this version, if it is to replace one.
    pub(crate) fn object(&self, name: &str, mark: &str, of: Option<u64>, number: u64) -> Value {
        let mut object = (self.content)(mark, number);
        object["metadata"] = json!({"name": name, "annotations": {MARK: mark}});
        if let Some(of) = of {
            object["metadata"]["resourceVersion"] = json!(of.to_string());
        }
        let (api_version, kind) = match self.name {
            "configmaps" => ("v1", "ConfigMap"),
            "secrets" => ("v1", "Secret"),
            "leases" => ("coordination.k8s.io/v1", "Lease"),
            _ => ("faults.example.com/v1", "Widget"),
        };
        object["apiVersion"] = json!(api_version);
        object["kind"] = json!(kind);
        object
    }
}

/// Defines the custom resource and waits until the server takes it.
pub(crate) async fn define_widgets(client: &Client) -> anyhow::Result<()> {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "text": {"type": "string"}, "size": {"type": "integer"},
    }}}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.faults.example.com"},
        "spec": {
            "group": "faults.example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    });
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    client.post(definitions, &definition).await?.expect(201)?;
    loop {
        let now = client.get(&format!("{definitions}/widgets.faults.example.com")).await?.expect(200)?;
        let conditions = now.body["status"]["conditions"].as_array().cloned().unwrap_or_default();
        if conditions.iter().any(|one| one["type"] == "Established" && one["status"] == "True") {
            return Ok(());
        }
    }
}
