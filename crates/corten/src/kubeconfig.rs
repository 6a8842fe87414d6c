//! The kubeconfig of a client of this cluster.

use std::net::SocketAddr;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use corten_component_base::certificates::KeyPairPem;

/// The name of cluster, context and user in kubeconfigs.
pub(crate) const NAME: &str = "corten";

/// A kubeconfig with one context that reaches `server` with the client certificate `user`. JSON is YAML, too, but people
/// read these files.
pub(crate) fn kubeconfig(server: SocketAddr, authority: &str, user: &KeyPairPem) -> String {
    let encode = |text: &str| BASE64_STANDARD.encode(text);
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         clusters:\n\
         - name: {NAME}\n  cluster:\n    certificate-authority-data: {authority}\n    server: https://{server}\n\
         contexts:\n\
         - name: {NAME}\n  context:\n    cluster: {NAME}\n    user: {NAME}-admin\n\
         current-context: {NAME}\n\
         preferences: {{}}\n\
         users:\n\
         - name: {NAME}-admin\n  user:\n    client-certificate-data: {certificate}\n    client-key-data: {key}\n",
        authority = encode(authority),
        certificate = encode(&user.certificate),
        key = encode(&user.key),
    )
}
