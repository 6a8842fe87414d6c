//! WATCH: initial objects, then changes as they happen, filtered by selectors, with bookmarks.
//!
//! Upstream: k8s.io/apiserver/pkg/endpoints/handlers/watch.go and storage/cacher (v1.35).

use std::{collections::VecDeque, convert::Infallible, fmt, sync::Arc, time::Duration};

use corten_apimachinery::{
    selector::{field, label},
    status::{Reason, Status},
    stored::Stored,
    value::Str,
};
use corten_base::SharedClock;
use corten_storage::cacher::{CacheEvent, Change, Purpose, Snapshot, Watcher, WatcherClosed};
use corten_streaming::negotiate;
use http::HeaderMap;

use super::{
    options::{ListOptions, Match},
    read::{Pace, matches, namespace_of, settle_fields, settle_name, store_of},
    routes::Endpoint,
};
use crate::{
    registry::{Store, read_failure},
    request::Request,
    response::{Reply, Response},
    server::Server,
    upgrade::Upgrade,
};

/// How often a quiet watch gets a bookmark. Upstream: `bookmarkFrequency`.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

/// How long before its end a watch gets a last bookmark, so that who comes again goes on from there. Upstream:
/// `nextBookmarkTime` in storage/cacher/cache_watcher.go.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);

/// The shortest time after which the server ends a watch without `timeoutSeconds`; up to twice that, by chance, so that
/// clients do not all come back at once. Upstream: `--min-request-timeout`.
const TIMEOUT_MIN_SECONDS: u64 = 1_800;

/// How many initial objects are selected at a time: what a watch that stands still holds on to beside the state.
const SELECTED_MAX: usize = 256;

/// What a watch sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// An object came into view.
    Added,
    /// An object in view changed.
    Modified,
    /// An object went out of view.
    Deleted,
    /// Nothing else happened so far.
    Bookmark,
}

impl EventType {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
            Self::Bookmark => "BOOKMARK",
        }
    }
}

/// One item of a watch.
#[derive(Debug, Clone)]
pub enum Item {
    /// A change of one object.
    Object {
        /// What happened, from this watch's point of view.
        event: EventType,
        /// The object, in the version asked for.
        object: Arc<Stored>,
        /// The event in the cache, whose frames are shared among all to whom it is of the same type; `None` for initial
        /// objects.
        shared: Option<Arc<CacheEvent>>,
    },
    /// Progress.
    Bookmark {
        /// Everything up to here was sent.
        revision: u64,
        /// Whether this ends the initial objects.
        initial_events_end: bool,
    },
}

/// A running watch.
pub struct WatchSource {
    store: Arc<Store>,
    endpoint: Endpoint,
    labels: label::Selector,
    fields: field::Selector,
    namespace: String,
    /// What is left of the state that the watch begins with; `None` once all of it was looked at.
    initial: Option<Initial>,
    /// Objects of it that are to be sent next.
    selected: VecDeque<Arc<Stored>>,
    /// The bookmark that ends the initial objects, still to be sent.
    initial_end: Option<u64>,
    watcher: Watcher,
    pending: VecDeque<Arc<CacheEvent>>,
    batch: Vec<Arc<CacheEvent>>,
    clock: SharedClock,
    deadline: Duration,
    /// `None` if there is none before the end.
    next_bookmark: Option<Duration>,
    switch: Option<Switch>,
}

/// A state that a watch begins with, and how far it was looked at. It shares the cache's entries: a watch that stands still holds
/// no list of its own.
struct Initial {
    snapshot: Snapshot,
    /// The key to go on from.
    start: String,
}

impl Initial {
    /// Looks at the next objects, as many as in one go, and gives those in view to `selected`; `false` if these were the last.
    fn look(
        &mut self,
        namespace: &str,
        is_in_view: impl Fn(&Stored) -> bool,
        selected: &mut VecDeque<Arc<Stored>>,
    ) -> bool {
        let mut looked_at = 0;
        let next = self.snapshot.range(namespace, &self.start).find_map(|(key, object)| {
            if looked_at == Pace::OBJECTS || selected.len() == SELECTED_MAX {
                return Some(key.to_owned());
            }
            looked_at += 1;
            if is_in_view(object) {
                selected.push_back(Arc::clone(object));
            }
            None
        });
        let is_more = next.is_some();
        self.start = next.unwrap_or_default();
        is_more
    }
}

/// A connection that is to become a WebSocket, with an event in each message.
#[derive(Debug)]
pub struct Switch {
    /// The connection.
    pub upgrade: Upgrade,
    /// The headers of the answer 101.
    pub headers: HeaderMap,
}

/// Begins a watch.
pub(super) async fn watch(
    server: &Arc<Server>,
    endpoint: &Endpoint,
    mut request: Box<Request>,
) -> Result<Reply, Status> {
    let store = store_of(endpoint)?;
    let has_watch_list = server.features().is_enabled("WatchList");
    let mut options = ListOptions::parse_by(&request.query, true, has_watch_list)?;
    settle_fields(endpoint, store, &mut options.fields)?;
    settle_name(&request, &mut options.fields)?;
    let switch = match request.upgrade.take() {
        Some(upgrade) if negotiate::is_websocket(&request.headers) => {
            match negotiate::plain_websocket(&request.headers) {
                Ok(headers) => Some(Switch { upgrade, headers }),
                Err(refusal) => return Ok(Reply::text(refusal.code, refusal.message)),
            }
        }
        _ => None,
    };
    let mut source = match begin(server, store, endpoint, namespace_of(endpoint, &request), options).await {
        Ok(source) => source,
        // All was understood: what fails from here on is news of the watch. Upstream: `newErrWatcher` in storage/cacher.
        Err(status) if matches!(status.reason, Reason::Expired | Reason::Timeout) && switch.is_none() => {
            return Ok(Reply::new(Response::EndedWatch(Box::new(status))));
        }
        Err(status) => return Err(status),
    };
    source.switch = switch;
    Ok(Reply::new(Response::Watch(Box::new(source))))
}

async fn begin(
    server: &Arc<Server>,
    store: &Arc<Store>,
    endpoint: &Endpoint,
    namespace: &str,
    options: ListOptions,
) -> Result<WatchSource, Status> {
    store.check_key(namespace, "")?;
    let cacher = store.cacher();
    // Upstream's watch cache begins again and again with a list that fails.
    if cacher.any().corrupt("", "").next().is_some() {
        return Err(Status::too_many_requests("storage is (re)initializing", 1));
    }
    let wants_initial = options.send_initial_events == Some(true)
        || (options.send_initial_events.is_none() && matches!(options.revision, None | Some(0)));
    let (mut initial, mut initial_end, watcher) = if wants_initial {
        let newest = options.revision.is_none() && options.matching != Match::Exact;
        if newest {
            store.consistent().await?;
        }
        let (snapshot, watcher) = cacher.watch_from_now(options.revision.unwrap_or(0)).await.map_err(read_failure)?;
        let end = (options.send_initial_events == Some(true) && options.bookmarks).then(|| snapshot.revision());
        (Some(Initial { snapshot, start: String::new() }), end, watcher)
    } else {
        let watcher = match options.revision {
            Some(revision) if revision > 0 => cacher.watch_after(revision).await,
            _ => cacher.watch_from_now(0).await.map(|(_, watcher)| watcher),
        };
        (None, None, watcher.map_err(read_failure)?)
    };
    let watcher = match options.fields.required_value("metadata.name") {
        Some(name) => {
            let is_anywhere = store.resource().is_namespaced() && namespace.is_empty();
            watcher.only((!is_anywhere).then_some(namespace), name)
        }
        None => watcher,
    };
    let clock = Arc::clone(server.clock());
    let seconds = match options.timeout_seconds.unwrap_or_default() {
        0 => TIMEOUT_MIN_SECONDS + server.rng().below(TIMEOUT_MIN_SECONDS),
        // It is over before it began.
        ..0 => {
            (initial, initial_end) = (None, None);
            0
        }
        seconds => seconds.unsigned_abs(),
    };
    let now = clock.monotonic();
    let deadline = now.saturating_add(Duration::from_secs(seconds));
    Ok(WatchSource {
        store: Arc::clone(store),
        endpoint: endpoint.clone(),
        labels: options.labels,
        fields: options.fields,
        namespace: namespace.to_owned(),
        initial,
        selected: VecDeque::new(),
        initial_end,
        watcher,
        pending: VecDeque::new(),
        batch: Vec::new(),
        deadline,
        next_bookmark: options.bookmarks.then(|| bookmark_after(now, deadline)).flatten(),
        clock,
        switch: None,
    })
}

impl WatchSource {
    /// The resource that is watched.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The connection that is to become a WebSocket, if the client wants one.
    pub fn take_switch(&mut self) -> Option<Switch> {
        self.switch.take()
    }

    /// The endpoint that is watched through.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// When the watch's time is up, in the clock's monotonic time.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The next item; `None` when the watch's time is up, or another store has taken the place of this one. Cancel-safe.
    ///
    /// Errors: once, when events were lost; the client has to list again.
    pub async fn next(&mut self) -> Option<Result<Item, Status>> {
        loop {
            if let Some(item) = self.ready() {
                return Some(item);
            }
            let now = self.clock.monotonic();
            if now >= self.deadline {
                return None;
            }
            if let Some(initial) = &mut self.initial {
                let (store, labels, fields) = (&self.store, &self.labels, &self.fields);
                let is_in_view = |object: &Stored| matches(store, labels, fields, object);
                if !initial.look(&self.namespace, is_in_view, &mut self.selected) {
                    self.initial = None;
                }
                if self.selected.is_empty() {
                    // A selector may look at many before it finds one: others have their turn.
                    tokio::task::yield_now().await;
                }
                continue;
            }
            let wake_at = self.next_bookmark.unwrap_or(self.deadline);
            let sleep = self.clock.sleep_until(wake_at);
            tokio::select! {
                biased;
                result = self.watcher.next(&mut self.batch) => match result {
                    Ok(()) => self.pending.extend(self.batch.drain(..)),
                    Err(closed) => return lost(closed).map(Err),
                },
                () = sleep => {
                    let now = self.clock.monotonic();
                    if self.next_bookmark.is_some_and(|at| now >= at) && now < self.deadline {
                        self.next_bookmark = bookmark_after(now, self.deadline);
                        // Nothing is pending, so everything up to what the cache shows was sent.
                        match self.watcher.drain(&mut self.batch) {
                            Ok(true) => self.pending.extend(self.batch.drain(..)),
                            Ok(false) => {
                                let revision = self.watcher.revision();
                                return Some(Ok(Item::Bookmark { revision, initial_events_end: false }));
                            }
                            Err(closed) => return lost(closed).map(Err),
                        }
                    }
                }
            }
        }
    }

    /// The next item that is at hand without waiting.
    pub fn ready(&mut self) -> Option<Result<Item, Status>> {
        if let Some(object) = self.selected.pop_front() {
            if self.selected.is_empty() {
                // A watch goes on for long after its initial objects.
                self.selected = VecDeque::new();
            }
            return Some(self.present(EventType::Added, &object, None));
        }
        if self.initial.is_some() {
            // There is more to look at, which `next` does.
            return None;
        }
        if let Some(revision) = self.initial_end.take() {
            return Some(Ok(Item::Bookmark { revision, initial_events_end: true }));
        }
        loop {
            let Some(event) = self.pending.pop_front() else {
                // A batch may have been cut: what else is in the ring is at hand, too.
                match self.watcher.drain(&mut self.batch) {
                    Ok(true) => {
                        self.pending.extend(self.batch.drain(..));
                        continue;
                    }
                    Ok(false) => return None,
                    Err(closed) => return lost(closed).map(Err),
                }
            };
            if let Some((kind, object)) = self.view(&event) {
                return Some(self.present(kind, &object, Some(event)));
            }
        }
    }

    /// What an event means to this watch: objects come into view and go out of it as they change.
    ///
    /// Of one event, all watches that are told the same type show the same object.
    fn view(&self, event: &CacheEvent) -> Option<(EventType, Arc<Stored>)> {
        if !self.namespace.is_empty() && event.object.namespace != self.namespace.as_str() {
            return None;
        }
        let selects_all = self.labels.is_empty() && self.fields.is_empty();
        let in_view = |object: &Stored| selects_all || matches(&self.store, &self.labels, &self.fields, object);
        let before = event.previous.as_deref().is_some_and(in_view);
        let after = event.change == Change::Put && in_view(&event.object);
        match (before, after) {
            (false, false) => None,
            (false, true) => Some((EventType::Added, Arc::clone(&event.object))),
            (true, true) => Some((EventType::Modified, Arc::clone(&event.object))),
            (true, false) if event.change == Change::Delete => Some((EventType::Deleted, Arc::clone(&event.object))),
            // It went out of view by a change: the client gets the last state it could see, at the change's revision.
            (true, false) => {
                use corten_storage::object::ObjectCodec as _;
                let previous = event.previous.as_deref()?;
                let purpose = Purpose { api_version: Str::default(), form: EventType::Deleted as u32 };
                let last = || Ok::<_, Infallible>(self.store.codec().at_revision(previous, event.revision));
                let Ok(last) = event.shown(&purpose, last);
                Some((EventType::Deleted, last))
            }
        }
    }

    fn present(&self, event: EventType, object: &Arc<Stored>, shared: Option<Arc<CacheEvent>>) -> Result<Item, Status> {
        let convert = || self.endpoint.present(&self.store, object);
        let object = match &shared {
            Some(shared) if !self.endpoint.version.is_hub => {
                // Added and modified objects are the same.
                let form = u32::from(event == EventType::Deleted);
                shared.shown(&Purpose { api_version: self.endpoint.api_version.clone(), form }, convert)?
            }
            _ => convert()?,
        };
        Ok(Item::Object { event, object, shared })
    }
}

/// When the next bookmark is due after `now`, in a watch that ends at `deadline`.
fn bookmark_after(now: Duration, deadline: Duration) -> Option<Duration> {
    let at = (now + BOOKMARK_EVERY).min(deadline.saturating_sub(BOOKMARK_BEFORE_END));
    (at > now).then_some(at)
}

/// What a client is told whose watch ends before its time: nothing if a definition of custom resources has changed, as
/// upstream, where the connection ends with the old storage.
fn lost(closed: WatcherClosed) -> Option<Status> {
    match closed {
        WatcherClosed::Behind { .. } => Some(Status::expired(closed.to_string())),
        WatcherClosed::Replaced => None,
    }
}

impl fmt::Debug for WatchSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchSource").field("watcher", &self.watcher).finish_non_exhaustive()
    }
}
