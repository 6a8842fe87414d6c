//! Secure serving: TLS with a certificate that is renewed without restart, and HTTP/1.1 and HTTP/2 on it.
//!
//! Flow: [`TlsListener`] accepts -> handshake -> the service that the server makes for this connection.
//! Invariant: connections, streams, unfinished heads and silence are bounded for every server alike, and everything that goes
//! on in a connection is a task of the server's set.
//! Upstream: k8s.io/apiserver/pkg/server (SecureServingInfo, v1.35).

mod activity;
mod certificate;
mod cork;
mod heads;
mod listener;
mod own_answers;
mod peers;
mod plain;
mod send_deadline;
mod streams;

pub use certificate::{BadCertificate, ClientCertificate, ServerCertificate, server_config};
pub use listener::{Connection, Limits, Place, TlsListener};
pub use plain::{LISTEN_RETRY, PlainServer};
pub use send_deadline::SendDeadline;
pub use streams::OwnTask;
