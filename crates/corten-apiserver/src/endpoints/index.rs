//! `/`: which paths there are besides objects.
//!
//! Upstream: k8s.io/apiserver/pkg/server/routes/index.go (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::{status::Status, value::Value};

use super::{NonResource, RoutesBuilder};
use crate::{request::Request, response::Reply, server::Server};

/// Where the list is; it does not name itself.
const PATHS: [&str; 2] = ["/", "/index.html"];

#[derive(Debug)]
struct Index;

/// Serves the list of all paths.
pub fn install(routes: &mut RoutesBuilder) {
    for path in PATHS {
        routes.path(path, Arc::new(Index));
    }
}

#[async_trait]
impl NonResource for Index {
    /// By whatever method: upstream looks at none.
    async fn handle(&self, server: &Arc<Server>, _request: Request) -> Result<Reply, Status> {
        let routes = server.routes();
        let paths = routes.paths().into_iter().filter(|path| !PATHS.contains(path)).map(Value::from);
        Ok(Reply::indented(&Value::object_of([("paths", Value::array(paths))])))
    }
}
