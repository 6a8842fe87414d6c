//! One request to an API server and its answer, as values: what every transport carries.

use std::{fmt, pin::Pin, sync::Arc};

use bytes::Bytes;
use corten_apimachinery::{
    gvk::GroupVersionResource,
    status::Status,
    stored::Stored,
    value::{Str, Value},
};
use futures::Stream;

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Reads one object.
    Get,
    /// Reads many.
    List,
    /// Follows changes.
    Watch,
    /// Makes one.
    Create,
    /// Replaces one.
    Update,
    /// Changes parts of one.
    Patch(PatchKind),
    /// Deletes one.
    Delete,
    /// Deletes many.
    DeleteCollection,
}

/// The language of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PatchKind {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' own, by merge keys.
    Strategic,
    /// Server-side apply.
    Apply,
}

impl PatchKind {
    /// The media type of the request.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Apply => "application/apply-patch+yaml",
        }
    }
}

/// What a call sends.
#[derive(Clone, Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// A tree, which an in-process server uses as it is.
    Tree(Value),
    /// JSON text.
    Json(Bytes),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Tree(_) => f.write_str("Tree(..)"),
            Self::Json(bytes) => write!(f, "Json({} bytes)", bytes.len()),
        }
    }
}

/// One request.
#[derive(Debug, Clone)]
pub struct Call {
    /// What to do.
    pub verb: Verb,
    /// With which resource; an empty one for a path that is none, which is in `name` then.
    pub resource: GroupVersionResource,
    /// In which namespace; empty for cluster-scoped resources and for all namespaces.
    pub namespace: Str,
    /// With which object; empty for calls on a collection.
    pub name: Str,
    /// With which part of it; empty for the object itself.
    pub subresource: Str,
    /// The query, decoded: `limit`, `labelSelector`, `fieldManager`, `dryRun` ...
    pub query: Vec<(&'static str, String)>,
    /// What to send.
    pub body: Body,
}

/// What came back.
pub enum Answer {
    /// One object.
    Object(Arc<Stored>),
    /// Many objects.
    List(ObjectList),
    /// A stream of changes.
    Watch(WatchStream),
    /// A `Status` that reports success, such as that of a delete.
    Success(Value),
}

/// Many objects, as of one revision.
#[derive(Debug, Clone, Default)]
pub struct ObjectList {
    /// The objects, by namespace and name.
    pub items: Vec<Arc<Stored>>,
    /// The revision that the list shows: where a watch goes on.
    pub revision: u64,
    /// The token for the next page; empty on the last.
    pub continue_token: String,
    /// How many objects follow the page, where the server knows.
    pub remaining: Option<u64>,
}

/// One change.
#[derive(Debug, Clone)]
pub enum WatchEvent {
    /// An object came into view.
    Added(Arc<Stored>),
    /// An object changed.
    Modified(Arc<Stored>),
    /// An object went out of view; its last state, with the revision of the change.
    Deleted(Arc<Stored>),
    /// Nothing else happened up to `revision`.
    Bookmark {
        /// The revision.
        revision: u64,
        /// Whether this mark ends the initial events.
        initial_events_end: bool,
    },
}

/// A stream of changes. It ends after an error; `Expired` means: list again.
pub type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchEvent, Status>> + Send>>;

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(object) => write!(f, "Object({}/{})", object.namespace, object.name),
            Self::List(list) => write!(f, "List({} items)", list.items.len()),
            Self::Watch(_) => f.write_str("Watch(..)"),
            Self::Success(status) => write!(f, "Success({status:?})"),
        }
    }
}
