//! The generated server traits, answered by an implementation of ours.

use std::sync::Arc;

use corten_base::Shutdown;
use futures::{StreamExt as _, stream::BoxStream};
use tonic::{Request, Response, Status, async_trait};

use crate::{
    api,
    api::{image_service_server, runtime_service_server},
    calls::{image_calls, runtime_calls},
    images::ImageService,
    runtime::RuntimeService,
};

#[derive(Clone)]
pub(super) struct Services {
    pub(super) runtime: Arc<dyn RuntimeService>,
    pub(super) images: Arc<dyn ImageService>,
    pub(super) shutdown: Shutdown,
}

macro_rules! runtime_service {
    ($($call:ident($request:ident) -> $response:ident;)*) => {
        #[async_trait]
        impl runtime_service_server::RuntimeService for Services {
            $(async fn $call(&self, request: Request<api::$request>) -> Result<Response<api::$response>, Status> {
                Ok(Response::new(self.runtime.$call(request.into_inner()).await?))
            })*

            type GetContainerEventsStream = BoxStream<'static, Result<api::ContainerEventResponse, Status>>;

            async fn get_container_events(
                &self,
                request: Request<api::GetEventsRequest>,
            ) -> Result<Response<Self::GetContainerEventsStream>, Status> {
                let events = self.runtime.get_container_events(request.into_inner()).await?;
                let shutdown = self.shutdown.clone();
                // A subscription has no end of its own: it must not hold the shutdown up.
                let events = events.take_until(async move { shutdown.requested().await });
                Ok(Response::new(events.map(|event| event.map_err(Status::from)).boxed()))
            }
        }
    };
}
runtime_calls!(runtime_service);

macro_rules! image_service {
    ($($call:ident($request:ident) -> $response:ident;)*) => {
        #[async_trait]
        impl image_service_server::ImageService for Services {
            $(async fn $call(&self, request: Request<api::$request>) -> Result<Response<api::$response>, Status> {
                Ok(Response::new(self.images.$call(request.into_inner()).await?))
            })*
        }
    };
}
image_calls!(image_service);
