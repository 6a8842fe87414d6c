//! The way in for components of the same process: the same chain, without encoding.

use std::sync::Arc;

use corten_apimachinery::{
    codec::{self, FieldValidation},
    resource::UserInfo,
    status::{Reason, Status},
};
use corten_client::{Answer, Call, ObjectList, Transport, WatchEvent, WatchStream};
use futures::{FutureExt as _, future::BoxFuture, stream};
use http::StatusCode;

use super::Server;
use crate::{
    endpoints::watch::{EventType, Item, WatchSource},
    request::Request,
    response::{Reply, Response},
};

/// Calls the server of this process as one user.
#[derive(Debug)]
pub(super) struct InProcess {
    server: Arc<Server>,
    user: UserInfo,
}

impl InProcess {
    pub(super) fn new(server: Arc<Server>, user: UserInfo) -> Self {
        Self { server, user }
    }
}

impl Transport for InProcess {
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Answer, Status>> {
        let server = Arc::clone(&self.server);
        let request = Box::new(Request::from_call(call, self.user.clone(), server.clock().now()));
        async move { answer(server.handle(request).await) }.boxed()
    }
}

fn answer(reply: Reply) -> Result<Answer, Status> {
    match reply.response {
        Response::Object { object, .. } => Ok(Answer::Object(object)),
        Response::Tree { code, tree } if code.is_success() => Ok(Answer::Success(tree)),
        Response::Tree { tree, .. } => Err(Status::from_value(&tree)),
        Response::Made(made) => Ok(Answer::Success(made.into_tree())),
        Response::List(list) => Ok(Answer::List(ObjectList {
            items: list.items,
            revision: list.revision,
            continue_token: list.continue_token,
            remaining: list.remaining,
        })),
        Response::Watch(source) => Ok(Answer::Watch(watch_stream(*source))),
        Response::EndedWatch(status) => Err(*status),
        Response::Raw { code, content_type, body } if code.is_success() => document(content_type, &body),
        Response::Raw { code: StatusCode::NOT_FOUND, .. } => {
            Err(Status::new(Reason::NotFound, "the server could not find the requested resource"))
        }
        Response::Raw { body, .. } => Err(Status::internal(String::from_utf8_lossy(&body).trim())),
        Response::Upgrade { .. } | Response::Stream { .. } => {
            Err(Status::internal("a stream cannot be answered to a component of the same process"))
        }
    }
}

/// A document that is written elsewhere: `/version`, OpenAPI.
///
/// Errors: `NotAcceptable` for one that is no JSON.
fn document(content_type: &str, body: &[u8]) -> Result<Answer, Status> {
    if content_type.split(';').next() != Some("application/json") {
        let why = format!("components of the same process read JSON, and this is {content_type}");
        return Err(Status::new(Reason::NotAcceptable, why));
    }
    let decoded = codec::json::decode(body, None, FieldValidation::Ignore).map_err(Status::internal)?;
    Ok(Answer::Success(decoded.value))
}

fn watch_stream(source: WatchSource) -> WatchStream {
    Box::pin(stream::unfold(source, |mut source| async move {
        let item = source.next().await?;
        let event = item.map(|item| match item {
            Item::Object { event: EventType::Modified, object, .. } => WatchEvent::Modified(object),
            Item::Object { event: EventType::Deleted, object, .. } => WatchEvent::Deleted(object),
            Item::Object { object, .. } => WatchEvent::Added(object),
            Item::Bookmark { revision, initial_events_end } => WatchEvent::Bookmark { revision, initial_events_end },
        });
        Some((event, source))
    }))
}
