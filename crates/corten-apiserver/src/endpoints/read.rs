//! GET of one object and of a collection, from the watch cache.

use std::sync::Arc;

use corten_apimachinery::{
    field::quote,
    selector::{field, label},
    status::Status,
    stored::Stored,
    value::Str,
};
use corten_storage::{
    cacher::{ReadError, Snapshot},
    object::cache_key,
};
use http::StatusCode;

use super::{
    continue_token::{ContinueToken, expired_continue},
    options::{ListOptions, Match, resource_version},
    routes::Endpoint,
};
use crate::{
    large::{LARGE_BYTES, Who},
    registry::{Store, read_failure},
    request::Request,
    response::{ListResponse, Reply, Response},
    server::Server,
};

/// Reads one object.
pub(super) async fn get(endpoint: &Endpoint, request: &Request) -> Result<Reply, Status> {
    let store = store_of(endpoint)?;
    // Upstream gives this refusal no reason.
    let revision = resource_version(request.query.get("resourceVersion"))
        .map_err(|why| Status::new(corten_apimachinery::status::Reason::Unknown, why))?;
    let object = store.get(namespace_of(endpoint, request), &request.info.name, revision).await?;
    let object = endpoint.present(store, &object)?;
    let who = (object.json.len() > LARGE_BYTES).then(|| Who::of(request));
    Ok(endpoint.reply(StatusCode::OK, object, store).asked_by(who))
}

/// Reads a page of a collection.
pub(super) async fn list(_server: &Arc<Server>, endpoint: &Endpoint, request: &Request) -> Result<Reply, Status> {
    let store = store_of(endpoint)?;
    let mut options = ListOptions::parse(&request.query, false)?;
    settle_fields(endpoint, store, &mut options.fields)?;
    settle_name(request, &mut options.fields)?;
    let page = Page::read(store, namespace_of(endpoint, request), &options).await?;
    let items = present_all(endpoint, store, page.items).await?;
    let response = Response::List(ListResponse {
        items,
        revision: page.revision,
        continue_token: page.continue_token,
        remaining: page.remaining,
        store: Arc::clone(store),
        served: Arc::clone(&endpoint.resource),
        version: endpoint.version.name.clone(),
    });
    Ok(Reply::new(response).asked_by(Some(Who::of(request))))
}

/// Objects as the endpoint's version shows them.
pub(super) async fn present_all(
    endpoint: &Endpoint,
    store: &Store,
    mut objects: Vec<Arc<Stored>>,
) -> Result<Vec<Arc<Stored>>, Status> {
    // They are as they are: nobody has to look at each of them.
    if endpoint.version.is_hub {
        return Ok(objects);
    }
    let mut pace = Pace::default();
    for object in &mut objects {
        pace.work(object.json.len()).await;
        *object = endpoint.present(store, object)?;
    }
    Ok(objects)
}

/// The store behind an endpoint that has objects.
pub(super) fn store_of(endpoint: &Endpoint) -> Result<&Arc<Store>, Status> {
    endpoint.store.as_ref().ok_or_else(|| {
        let resource = corten_apimachinery::gvk::GroupResource::new(
            endpoint.resource.group.clone(),
            endpoint.resource.plural.clone(),
        );
        Status::method_not_supported(&resource, "get")
    })
}

/// The namespace that objects are kept under: namespaces themselves carry their name as the request's namespace.
pub(super) fn namespace_of<'a>(endpoint: &Endpoint, request: &'a Request) -> &'a str {
    if endpoint.resource.is_namespaced() { &request.info.namespace } else { "" }
}

/// Refuses field selectors on fields that cannot be selected, and gives the others the store's names: a resource that shows
/// another one's objects has its own names for the same fields, in the same order.
pub(super) fn settle_fields(endpoint: &Endpoint, store: &Store, fields: &mut field::Selector) -> Result<(), Status> {
    let (served, stored) = (&endpoint.resource, store.resource());
    debug_assert_eq!(served.selectable_fields.len(), stored.selectable_fields.len());
    // Kinds without fields of their own have upstream's conversion that all kinds begin with: it knows the namespace also where
    // no object has one. Custom resources have their own.
    let is_plain = served.selectable_fields.is_empty() && endpoint.version.schema.is_none();
    for name in fields.fields() {
        let known = matches!(name, "metadata.name")
            || (name == "metadata.namespace" && (served.is_namespaced() || is_plain))
            || (endpoint.version.selects(name) && served.selectable_fields.iter().any(|field| field.name == name));
        if !known {
            return Err(Status::bad_request(if is_plain {
                format!("{} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"", quote(name))
            } else {
                format!("field label not supported: {name}")
            }));
        }
    }
    if !Arc::ptr_eq(served, stored) {
        let pairs = || served.selectable_fields.iter().zip(&stored.selectable_fields);
        fields.rename(|name| pairs().find(|(served, _)| served.name == name).map(|(_, stored)| stored.name.clone()));
    }
    Ok(())
}

/// Holds a list or watch that was authorized for one object to that one, whatever else is selected.
///
/// Upstream: `ListResource` in k8s.io/apiserver/pkg/endpoints/handlers/get.go (v1.35).
pub(super) fn settle_name(request: &Request, fields: &mut field::Selector) -> Result<(), Status> {
    let name = &request.info.name;
    if name.is_empty() {
        return Ok(());
    }
    if fields.is_empty() {
        *fields = field::Selector::one("metadata.name", name.clone());
    }
    if fields.required_value("metadata.name") == Some(name.as_str()) {
        return Ok(());
    }
    Err(Status::bad_request("fieldSelector metadata.name doesn't match requested name"))
}

/// Lets others have their turn now and then, while a selector is tried on one object after the other, or each is converted.
#[derive(Debug, Default)]
pub(super) struct Pace {
    objects: usize,
    bytes: usize,
}

impl Pace {
    /// How many objects are looked at in one go: some tenth of a millisecond to a few, by the selector.
    pub(super) const OBJECTS: usize = 1_024;

    /// One more object is looked at.
    pub(super) async fn step(&mut self) {
        self.objects += 1;
        if self.objects.is_multiple_of(Self::OBJECTS) {
            tokio::task::yield_now().await;
        }
    }

    /// One more object is decoded and encoded: as much in one go as is no large request.
    pub(super) async fn work(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes > LARGE_BYTES {
            self.bytes = 0;
            tokio::task::yield_now().await;
        }
    }
}

/// Whether an object is in view.
pub(super) fn matches(store: &Store, labels: &label::Selector, fields: &field::Selector, object: &Stored) -> bool {
    labels.matches(&object.facts.labels)
        && fields.matches(|name| match name {
            "metadata.name" => &object.name,
            "metadata.namespace" => &object.namespace,
            _ => {
                let index = store.resource().selectable_fields.iter().position(|field| field.name == name);
                index.and_then(|index| object.facts.fields.get(index)).unwrap_or_default()
            }
        })
}

/// One page of a list.
pub(super) struct Page {
    pub(super) items: Vec<Arc<Stored>>,
    pub(super) revision: u64,
    pub(super) continue_token: String,
    pub(super) remaining: Option<u64>,
}

impl Page {
    pub(super) async fn read(store: &Store, namespace: &str, options: &ListOptions) -> Result<Self, Status> {
        store.check_key(namespace, "")?;
        let (snapshot, from) = Self::snapshot(store, namespace, options).await?;
        let start = from.as_ref().map_or("", |token| &token.start);
        if let Some(key) = only_key(store, namespace, &options.fields) {
            return Self::of_one(store, &snapshot, (&key, start), options);
        }
        let selects_all = options.labels.is_empty() && options.fields.is_empty();
        let limit = if options.limit == 0 { usize::MAX } else { options.limit };
        let likely = if selects_all && namespace.is_empty() { limit.min(snapshot.len()) } else { 0 };
        let mut items = Vec::with_capacity(likely);
        let first_corrupt = snapshot.corrupt(namespace, start).next();
        let mut rest = snapshot.range(namespace, start);
        let mut next_key = None;
        let mut pace = Pace::default();
        for (key, object) in rest.by_ref() {
            pace.step().await;
            if first_corrupt.is_some_and(|(corrupt, _)| corrupt < key) {
                break;
            }
            if selects_all || matches(store, &options.labels, &options.fields, object) {
                if items.len() == limit {
                    next_key = Some(key.to_owned());
                    break;
                }
                items.push(Arc::clone(object));
            }
        }
        // As upstream's storage has it: a list comes to its end before what cannot be decoded, or not at all.
        if let (None, Some((key, _))) = (&next_key, first_corrupt) {
            if items.len() < limit {
                // It would have come upon those, too, before it was full.
                let is_in_view = |object: &Stored| matches(store, &options.labels, &options.fields, object);
                let mut unread = snapshot.range(namespace, key).filter(|(_, object)| is_in_view(object));
                let is_bounded = options.limit > 0;
                let last = if is_bounded { unread.nth(limit - items.len() - 1) } else { None };
                let corrupt = snapshot.corrupt(namespace, start);
                let corrupt = corrupt.take_while(|(key, _)| last.is_none_or(|(last, _)| *key < last));
                return Err(store.unlistable(corrupt.map(|(_, corrupt)| corrupt)));
            }
            next_key = Some(key.to_owned());
        }
        let (mut remaining, mut continue_token) = (None, String::new());
        if let Some(next) = next_key {
            if selects_all {
                let count = match from.as_ref().and_then(|token| token.left) {
                    Some(left) => left.saturating_sub(items.len() as u64).max(1),
                    None if from.is_none() && namespace.is_empty() => {
                        (snapshot.len() + snapshot.corrupt("", "").count() - items.len()) as u64
                    }
                    None => count_from(&snapshot, namespace, &next, &mut pace).await,
                };
                remaining = Some(count);
            }
            store.cacher().keep(&snapshot);
            continue_token = ContinueToken { revision: snapshot.revision(), start: next, left: remaining }.encode();
        }
        Ok(Self { items, revision: snapshot.revision(), continue_token, remaining })
    }

    /// The page that has no object but that under `key`, if it is there, not before `start`, and in view.
    fn of_one(
        store: &Store,
        snapshot: &Snapshot,
        (key, start): (&str, &str),
        options: &ListOptions,
    ) -> Result<Self, Status> {
        let mut items = Vec::new();
        if key >= start {
            if let Some(corrupt) = snapshot.corrupt_at(key) {
                return Err(store.unlistable([corrupt].into_iter()));
            }
            let object = snapshot.get(key).filter(|object| matches(store, &options.labels, &options.fields, object));
            items.extend(object.cloned());
        }
        Ok(Self { items, revision: snapshot.revision(), continue_token: String::new(), remaining: None })
    }

    /// The state to read, of `namespace` at least, and where to go on in it, unless that is its beginning.
    async fn snapshot(
        store: &Store,
        namespace: &str,
        options: &ListOptions,
    ) -> Result<(Snapshot, Option<ContinueToken>), Status> {
        let cacher = store.cacher();
        if !options.continue_token.is_empty() {
            if options.revision.is_some_and(|revision| revision != 0) {
                return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
            }
            let token = ContinueToken::decode(&options.continue_token)?;
            if token.revision == 0 {
                // A token given after its list had expired: go on in the newest state.
                return Ok((store.consistent().await?, Some(token)));
            }
            return match cacher.exact(token.revision, namespace).await {
                Ok(snapshot) => Ok((snapshot, Some(token))),
                Err(ReadError::TooOld { .. }) => Err(expired_continue(&token)),
                Err(error) => Err(read_failure(error)),
            };
        }
        let snapshot = match (options.revision, options.matching) {
            (None, _) => cacher.consistent().await,
            (Some(0), _) => cacher.not_older_than(0).await,
            (Some(revision), Match::Exact) => cacher.exact(revision, namespace).await,
            // A first page at a revision shows just that one, as upstream's does, unless the client says otherwise.
            (Some(revision), Match::Unset) if options.limit > 0 => cacher.exact(revision, namespace).await,
            (Some(revision), _) => cacher.not_older_than(revision).await,
        };
        match snapshot {
            Ok(snapshot) => Ok((snapshot, None)),
            // In the words of upstream's storage, which is asked for revisions that are past.
            Err(ReadError::TooOld { .. }) => {
                Err(Status::expired("The resourceVersion for the provided list is too old."))
            }
            Err(error) => Err(read_failure(error)),
        }
    }
}

/// The key of the only object that can be in view, where namespace and name say it.
///
/// Upstream: `ListPredicate` in k8s.io/apiserver/pkg/registry/generic/registry/store.go (v1.35). There, what is continued is
/// looked through all the same.
fn only_key(store: &Store, namespace: &str, fields: &field::Selector) -> Option<Str> {
    let name = fields.required_value("metadata.name")?;
    let is_whole = !store.resource().is_namespaced() || !namespace.is_empty();
    is_whole.then(|| cache_key(namespace, name))
}

/// How many objects there are from the key `next` on, with those that cannot be decoded.
async fn count_from(snapshot: &Snapshot, namespace: &str, next: &str, pace: &mut Pace) -> u64 {
    let mut count = snapshot.corrupt(namespace, next).count() as u64;
    for _ in snapshot.range(namespace, next) {
        pace.step().await;
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::{LARGE_BYTES, Pace};

    /// A list of ten thousand objects and a selector kept its thread until it was through.
    #[test]
    fn a_selector_lets_others_have_their_turn() {
        let looked = async |objects: usize| {
            let mut pace = Pace::default();
            for _ in 0..objects {
                pace.step().await;
            }
        };
        assert!(looked(Pace::OBJECTS - 1).now_or_never().is_some());
        assert!(looked(Pace::OBJECTS).now_or_never().is_none());
    }

    /// A list in another version than the stored one was converted in one go.
    #[test]
    fn a_conversion_lets_others_have_their_turn() {
        let converted = async |objects: usize| {
            let mut pace = Pace::default();
            for _ in 0..objects {
                pace.work(LARGE_BYTES / 8).await;
            }
        };
        assert!(converted(8).now_or_never().is_some());
        assert!(converted(9).now_or_never().is_none());
    }
}
