//! Offers a runtime on a unix socket, for crictl, a stock kubelet, or Corten's own kubelet in another process.
//!
//! Invariant: nothing outlives `run`: connections and calls are tasks of one set, and the socket is gone at the end.

mod services;
mod socket;

use std::{path::Path, sync::Arc, time::Duration};

use corten_base::{SetExecutor, SharedClock, Shutdown, TaskPanic, TaskSet, fs::FsError};
use futures::FutureExt as _;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{net::UnixStream, sync::Semaphore};
use tonic::service::Routes;

use crate::{
    MESSAGE_BYTES_MAX,
    api::{image_service_server::ImageServiceServer, runtime_service_server::RuntimeServiceServer},
    images::ImageService,
    runtime::RuntimeService,
};
use services::Services;
use socket::Socket;

/// The most connections at a time; the next one waits in the socket's backlog. A kubelet and its helpers need a handful.
const CONNECTIONS_MAX: usize = 64;

/// The most calls at a time on one connection: a kubelet with 250 pods starts them all at once.
const CALLS_MAX: u32 = 1_024;

/// How long to wait after a failed accept, which means that the process is out of descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A runtime with its socket.
pub struct CriServer {
    socket: Socket,
    runtime: Arc<dyn RuntimeService>,
    images: Arc<dyn ImageService>,
    clock: SharedClock,
    drain: Duration,
}

impl CriServer {
    /// Listens at `path`, with access for the owner only. From here on clients can connect; they wait for `run`.
    ///
    /// A socket that nobody listens on any more is replaced. Calls that run at shutdown get `drain` to end.
    /// Errors: another process listens there, or the file system refuses. Has to be called inside a tokio runtime.
    pub fn bind(
        path: &Path,
        runtime: Arc<dyn RuntimeService>,
        images: Arc<dyn ImageService>,
        clock: SharedClock,
        drain: Duration,
    ) -> Result<Self, FsError> {
        Ok(Self { socket: Socket::bind(path)?, runtime, images, clock, drain })
    }

    /// Serves until shutdown, then ends event streams, lets calls finish within the drain time, and removes the socket.
    ///
    /// Errors: the panic of a call, after everything has ended.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), TaskPanic> {
        let services = Services { runtime: self.runtime, images: self.images, shutdown: shutdown.clone() };
        let runtime = RuntimeServiceServer::new(services.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let images = ImageServiceServer::new(services)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let routes = Routes::new(runtime).add_service(images);

        let tasks = TaskSet::new("cri server");
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let slot = Arc::clone(&connections).acquire_owned().map(|slot| slot.expect("nobody closes the semaphore"));
            let next = async {
                let slot = slot.await;
                self.socket.listener.accept().await.map(|(stream, _)| (slot, stream))
            };
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                accepted = next => match accepted {
                    Ok((slot, stream)) => {
                        let connection = Connection {
                            stream,
                            routes: routes.clone(),
                            tasks: tasks.clone(),
                            clock: Arc::clone(&self.clock),
                            drain: self.drain,
                            shutdown: shutdown.clone(),
                        };
                        tasks.spawn("connection", async move {
                            connection.serve().await;
                            drop(slot);
                        });
                    }
                    Err(_out_of_descriptors) => self.clock.sleep(ACCEPT_RETRY).await,
                },
            }
        }
        // New clients must fail rather than wait for a server that has left.
        drop(self.socket);
        tasks.join().await
    }
}

struct Connection {
    stream: UnixStream,
    routes: Routes,
    tasks: TaskSet,
    clock: SharedClock,
    drain: Duration,
    shutdown: Shutdown,
}

impl Connection {
    /// Serves one client. How a connection ends is the client's affair: errors of its transport are not the server's.
    async fn serve(self) {
        let service = TowerToHyperService::new(self.routes);
        let mut connection = std::pin::pin!(
            hyper::server::conn::http2::Builder::new(SetExecutor::new(self.tasks, "call"))
                .max_concurrent_streams(CALLS_MAX)
                .serve_connection(TokioIo::new(self.stream), service)
        );
        tokio::select! {
            biased;
            _ended = connection.as_mut() => return,
            () = self.shutdown.requested() => connection.as_mut().graceful_shutdown(),
        }
        // Calls that are still running when the time is up are dropped with the connection.
        let _ended = corten_base::timeout(&*self.clock, self.drain, connection).await;
    }
}

#[cfg(all(test, feature = "conformance", feature = "fake"))]
mod conformance_tests;
#[cfg(all(test, feature = "fake"))]
mod tests;
