//! A runtime behind a unix socket, as the traits: containerd, CRI-O, or Corten's own in another process.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use futures::StreamExt as _;
use tonic::transport::{Channel, Endpoint};

use crate::{
    MESSAGE_BYTES_MAX, api,
    api::{image_service_client::ImageServiceClient, runtime_service_client::RuntimeServiceClient},
    calls::{image_calls, runtime_calls},
    error::CriError,
    images::ImageService,
    runtime::{EventStream, RuntimeService},
};

/// A connection to a runtime. Clones share it; it is made by the first call, and again after it was lost.
///
/// Cancellation: dropping a call resets its stream, so the runtime sees the call as cancelled.
#[derive(Debug, Clone)]
pub struct CriClient {
    runtime: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
}

/// An endpoint that is not a unix socket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("container runtime endpoint {0:?} is not a unix socket")]
pub struct EndpointError(pub String);

/// The socket's path in an endpoint as the kubelet's flags write it: `unix:///run/x.sock`, or just the path.
pub fn socket_path(endpoint: &str) -> Result<PathBuf, EndpointError> {
    let path = endpoint.strip_prefix("unix://").or_else(|| endpoint.strip_prefix("unix:")).unwrap_or(endpoint);
    if path.starts_with('/') { Ok(PathBuf::from(path)) } else { Err(EndpointError(endpoint.to_owned())) }
}

impl CriClient {
    /// A client for the socket at `path`, which need not exist yet. Has to be called inside a tokio runtime.
    ///
    /// Errors: a path that no URI can hold. Calls on a socket without a listener fail with `Unavailable`.
    pub fn connect(path: &Path) -> Result<Self, EndpointError> {
        let text = path.to_str().ok_or_else(|| EndpointError(path.display().to_string()))?;
        let endpoint = Endpoint::from_shared(format!("unix://{text}")).map_err(|_| EndpointError(text.to_owned()))?;
        let channel = endpoint.connect_lazy();
        Ok(Self {
            runtime: RuntimeServiceClient::new(channel.clone())
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX),
            images: ImageServiceClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX),
        })
    }
}

macro_rules! runtime_service {
    ($($call:ident($request:ident) -> $response:ident;)*) => {
        #[async_trait]
        impl RuntimeService for CriClient {
            $(async fn $call(&self, request: api::$request) -> Result<api::$response, CriError> {
                Ok(self.runtime.clone().$call(request).await?.into_inner())
            })*

            async fn get_container_events(&self, request: api::GetEventsRequest) -> Result<EventStream, CriError> {
                let events = self.runtime.clone().get_container_events(request).await?.into_inner();
                Ok(events.map(|event| event.map_err(CriError::from)).boxed())
            }
        }
    };
}
runtime_calls!(runtime_service);

macro_rules! image_service {
    ($($call:ident($request:ident) -> $response:ident;)*) => {
        #[async_trait]
        impl ImageService for CriClient {
            $(async fn $call(&self, request: api::$request) -> Result<api::$response, CriError> {
                Ok(self.images.clone().$call(request).await?.into_inner())
            })*
        }
    };
}
image_calls!(image_service);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(endpoint: &str, want: Option<&str>) {
        assert_eq!(socket_path(endpoint).ok().as_deref(), want.map(Path::new), "{endpoint}");
    }

    #[test]
    fn endpoints_are_unix_sockets() {
        check("unix:///run/containerd/containerd.sock", Some("/run/containerd/containerd.sock"));
        check("/run/crio/crio.sock", Some("/run/crio/crio.sock"));
        check("unix:/run/a.sock", Some("/run/a.sock"));
        check("tcp://127.0.0.1:1", None);
        check("", None);
    }

    #[tokio::test]
    async fn a_socket_without_a_listener_is_unavailable_and_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let client = CriClient::connect(&dir.path().join("nobody.sock")).unwrap();
        let error = client.version(api::VersionRequest::default()).await.unwrap_err();
        assert_eq!(error.code, crate::Code::Unavailable, "{error}");
        assert!(error.message.contains("No such file or directory"), "{error}");
    }
}
