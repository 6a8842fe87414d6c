//! One document: made when it is first asked for, then kept as bytes.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use corten_apimachinery::{openapi::Dialect, status::Status};
use corten_base::{TaskSet, blocking};
use http::{HeaderValue, Method, StatusCode, header};
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::{
    Source,
    conditional::{self, Outcome},
    contents::{Contents, Kept},
    form::Form,
    gzip, ranges,
};
use crate::{
    request::Request,
    response::{Reply, Response},
};

/// How documents are made, of which all of a server have one.
#[derive(Debug)]
pub(super) struct Making {
    /// They are made one after the other.
    turn: Arc<Semaphore>,
    kept: Kept,
}

impl Default for Making {
    fn default() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), kept: Kept::default() }
    }
}

/// One document, made when it is first asked for.
#[derive(Debug)]
pub(super) struct Document {
    recipe: Arc<Recipe>,
    pub(super) hash: String,
    making: Arc<Making>,
}

/// What a document is made of, and what was made of it.
#[derive(Debug)]
struct Recipe {
    source: Source,
    dialect: Dialect,
    contents: Contents,
    json: Written,
    protobuf: Written,
    /// Since when it is as it is: it was asked for then for the first time.
    modified: OnceLock<Timestamp>,
}

/// One form of a document.
#[derive(Debug, Clone, Default)]
struct Written {
    plain: OnceLock<Bytes>,
    /// The same in gzip, if somebody has asked for that.
    compressed: OnceLock<Bytes>,
}

impl Document {
    pub(super) fn new(
        source: Source,
        dialect: Dialect,
        contents: Contents,
        hash: String,
        making: &Arc<Making>,
    ) -> Self {
        let (json, protobuf, modified) = (Written::default(), Written::default(), OnceLock::new());
        let recipe = Recipe { source, dialect, contents, json, protobuf, modified };
        Self { recipe: Arc::new(recipe), hash, making: Arc::clone(making) }
    }

    /// The same document, of which `contents` tells the same: resources that have been replaced are let go.
    pub(super) fn of(&self, contents: Contents) -> Self {
        let Recipe { source, dialect, contents: _, json, protobuf, modified } = &*self.recipe;
        let (json, protobuf, modified) = (json.clone(), protobuf.clone(), modified.clone());
        let recipe = Recipe { source: *source, dialect: *dialect, contents, json, protobuf, modified };
        Self { recipe: Arc::new(recipe), hash: self.hash.clone(), making: Arc::clone(&self.making) }
    }

    /// The document. Making it takes some tens of milliseconds for the largest group, and more for the whole of v2: that is
    /// done once, on a thread that may be busy, and whoever else asks meanwhile waits for it.
    ///
    /// Errors: the making of it panicked. Cancellation: it is made all the same, for whoever asks next.
    pub(super) async fn bytes(&self, tasks: &TaskSet, form: Form) -> Result<Bytes, Status> {
        self.made(tasks, form, false).await
    }

    /// The same in gzip.
    pub(super) async fn compressed(&self, tasks: &TaskSet, form: Form) -> Result<Bytes, Status> {
        self.made(tasks, form, true).await
    }

    async fn made(&self, tasks: &TaskSet, form: Form, is_compressed: bool) -> Result<Bytes, Status> {
        let written = self.recipe.written(form);
        if let Some(made) = if is_compressed { &written.compressed } else { &written.plain }.get() {
            return Ok(made.clone());
        }
        let turn = Arc::clone(&self.making.turn).acquire_owned().await.expect("is never closed");
        let (recipe, making) = (Arc::clone(&self.recipe), Arc::clone(&self.making));
        let made = blocking::run(tasks, "openapi document", move || {
            let _turn = turn;
            let written = recipe.written(form);
            let write = || recipe.contents.write(recipe.source, recipe.dialect, form, &making.kept);
            let plain = written.plain.get_or_init(write);
            if is_compressed { written.compressed.get_or_init(|| gzip::compressed(plain)) } else { plain }.clone()
        });
        made.await.map_err(|panic| {
            tracing::error!(err = %panic, "The making of an OpenAPI document panicked");
            Status::internal("the document could not be made")
        })
    }

    pub(super) async fn reply(&self, tasks: &TaskSet, request: &Request) -> Result<Reply, Status> {
        let dialect = self.recipe.dialect;
        let Some(form) = Form::wanted(request.header(header::ACCEPT), dialect) else {
            return Ok(Reply::text(StatusCode::NOT_ACCEPTABLE, "406 Not Acceptable\n"));
        };
        let content_type = form.media_type(dialect);
        let etag = format!("\"{}\"", self.hash);
        let modified = *self.recipe.modified.get_or_init(|| request.received);
        let outcome = conditional::check(&request.method, &request.headers, &etag, modified);
        // Parts are cut from the document as it is, and who wants its head gets the length of that.
        let is_compressed = dialect == Dialect::V2
            && request.method != Method::HEAD
            && gzip::is_accepted(request.header(header::ACCEPT_ENCODING));
        let raw = |body| Reply::new(Response::Raw { code: StatusCode::OK, content_type, body });
        let empty = |code| Reply::new(Response::Raw { code, content_type, body: Bytes::new() });
        let mut reply = match outcome {
            Outcome::NotModified => empty(StatusCode::NOT_MODIFIED),
            Outcome::Failed => empty(StatusCode::PRECONDITION_FAILED),
            Outcome::Send("") if is_compressed => raw(self.compressed(tasks, form).await?),
            Outcome::Send(ranges) => ranges::cut(&self.bytes(tasks, form).await?, ranges, content_type, &self.hash),
        };
        let code = reply.response.code();
        // A failure is not the document.
        if code != StatusCode::RANGE_NOT_SATISFIABLE
            && let Ok(value) = HeaderValue::from_str(&etag)
        {
            reply.headers.insert(header::ETAG, value);
            // To who has it, a tag says more.
            if code != StatusCode::NOT_MODIFIED
                && let Ok(value) = HeaderValue::from_str(&conditional::http_date(modified))
            {
                reply.headers.insert(header::LAST_MODIFIED, value);
            }
        }
        if is_compressed && matches!(outcome, Outcome::Send("")) {
            reply.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            reply.headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
        if dialect == Dialect::V2 {
            reply.headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        reply.headers.append(header::VARY, HeaderValue::from_static("Accept"));
        Ok(reply)
    }
}

impl Recipe {
    fn written(&self, form: Form) -> &Written {
        match form {
            Form::Json => &self.json,
            Form::Protobuf => &self.protobuf,
        }
    }
}
