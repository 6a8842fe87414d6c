//! Kubeconfigs: the administrator's own file, and the context in the file of whoever started the cluster.

mod merge;
mod user_file;

use std::net::SocketAddr;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use corten_component_base::certificates::KeyPairPem;
use serde_json::{Value, json};

pub(crate) use user_file::find;

/// How to reach a cluster as somebody, in three entries that have one name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// The name of cluster and context.
    pub(crate) name: String,
    /// The name of the user.
    pub(crate) user: String,
    cluster_body: Value,
    user_body: Value,
}

impl Entry {
    /// The entry that reaches `server` with the client certificate `identity`.
    pub(crate) fn new(name: &str, server: SocketAddr, authority: &str, identity: &KeyPairPem) -> Self {
        let encode = |text: &str| BASE64_STANDARD.encode(text);
        Self {
            name: name.to_owned(),
            user: user_name(name),
            cluster_body: json!({
                "certificate-authority-data": encode(authority),
                "server": format!("https://{server}"),
            }),
            user_body: json!({
                "client-certificate-data": encode(&identity.certificate),
                "client-key-data": encode(&identity.key),
            }),
        }
    }

    /// A kubeconfig with nothing else in it.
    pub(crate) fn to_text(&self) -> anyhow::Result<String> {
        merge::add("", self)
    }
}

/// The name of the user of a context.
fn user_name(context: &str) -> String {
    format!("{context}-admin")
}
