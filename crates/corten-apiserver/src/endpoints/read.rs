//! GET of one object and of a collection, from the watch cache.

use std::sync::Arc;

use corten_apimachinery::{
    codec::FieldValidation,
    field::quote,
    selector::{field, label},
    status::Status,
    stored::Stored,
    value::{Str, Value},
};
use corten_storage::{
    cacher::{ReadError, Snapshot},
    object::cache_key,
};
use http::StatusCode;

use super::{
    body::decode_json,
    go_base64,
    options::{ListOptions, Match, resource_version},
    routes::Endpoint,
};
use crate::{
    large::{LARGE_BYTES, Who},
    registry::Store,
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
    const OBJECTS: usize = 1_024;

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

fn read_failure(error: ReadError) -> Status {
    crate::registry::read_failure(error)
}

/// The token for the next page, in upstream's form.
#[derive(Debug, PartialEq, Eq)]
struct ContinueToken {
    /// The revision of the list; 0 for "whatever is newest".
    revision: u64,
    /// The cache key to start from.
    start: String,
    /// How many objects there are from there on, if all are in view: counted for the first page, and not for each one anew.
    /// Upstream's tokens do not say it, and nothing but the number that a client is told depends on it.
    left: Option<u64>,
}

impl ContinueToken {
    const VERSION: &str = "meta.k8s.io/v1";

    fn encode(&self) -> String {
        let rv = if self.revision == 0 { -1 } else { i64::try_from(self.revision).unwrap_or(i64::MAX) };
        let mut tree = Value::object_of([
            ("v", Value::from(Self::VERSION)),
            ("rv", rv.into()),
            ("start", self.start.as_str().into()),
        ]);
        if let Some(left) = self.left.and_then(|left| i64::try_from(left).ok()) {
            tree.set(&["left"], left);
        }
        crate::base64_url(&corten_apimachinery::codec::json::encode(&tree, None))
    }

    /// Upstream: `DecodeContinue` in k8s.io/apiserver/pkg/storage/continue.go (v1.35).
    fn decode(token: &str) -> Result<Self, Status> {
        let invalid =
            |why: &str| Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
        let bytes = go_base64::decode_url(token).map_err(|error| invalid(&error.to_string()))?;
        let tree =
            decode_json(&bytes, None, FieldValidation::Ignore).map_err(|error| invalid(&error.to_string()))?.value;
        if let Some(why) = Self::mismatch(&tree) {
            return Err(invalid(&why));
        }
        let text = |key: &str| tree.str_at(&[key]).unwrap_or_default();
        if text("v") != Self::VERSION {
            return Err(invalid(&format!("server does not recognize this encoded version {}", text("v"))));
        }
        let revision = match tree.i64_at(&["rv"]).unwrap_or_default() {
            0 => return Err(invalid("incorrect encoded start resourceVersion (version meta.k8s.io/v1)")),
            revision => u64::try_from(revision).unwrap_or(0),
        };
        let start = text("start");
        if start.is_empty() {
            return Err(invalid("encoded start key empty (version meta.k8s.io/v1)"));
        }
        // A forged key could only leave the resource's keys by stepping up.
        if start.strip_prefix('/').unwrap_or(start).split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(invalid(start));
        }
        let left = tree.i64_at(&["left"]).and_then(|left| u64::try_from(left).ok());
        Ok(Self { revision, start: start.to_owned(), left })
    }

    /// The first field that is of another type than it should be, in the words of Go's decoder.
    fn mismatch(tree: &Value) -> Option<String> {
        let is_type = |value: &Value, ty: &str| match value {
            Value::Null => true,
            Value::String(_) => ty == "string",
            Value::Int(_) => ty == "int64",
            _ => false,
        };
        let fields = match tree {
            Value::Null => return None,
            Value::Object(fields) => fields,
            other => {
                let found = other.go_json_type();
                return Some(format!("json: cannot unmarshal {found} into Go value of type storage.continueToken"));
            }
        };
        [("v", "string"), ("rv", "int64"), ("start", "string")].into_iter().find_map(|(name, ty)| {
            let value = fields.get(name).filter(|value| !is_type(value, ty))?;
            let found = match value {
                Value::Float(number) => format!("number {number}"),
                other => other.go_json_type().to_owned(),
            };
            Some(format!("json: cannot unmarshal {found} into Go struct field continueToken.{name} of type {ty}"))
        })
    }
}

/// The list can only be finished in another state than it began: the client may choose that, or start again.
fn expired_continue(token: &ContinueToken) -> Status {
    let expired = Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without \
         the continue parameter, or use the continue token in this response to retrieve the remainder of the results. \
         Continuing with the provided token results in an inconsistent list - objects that were created, modified, or \
         deleted between the time the first chunk was returned and now may show up in the list.",
    );
    Status { continue_token: ContinueToken { revision: 0, start: token.start.clone(), left: None }.encode(), ..expired }
}

#[cfg(test)]
mod tests {
    use corten_base::SimRng;
    use futures::FutureExt as _;

    use super::{ContinueToken, LARGE_BYTES, Pace};

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

    #[test]
    fn no_input_harms_a_decoder() {
        let corpus = || {
            let tokens = [(7, "default/web"), (0, "a"), (u64::MAX, "x/y/z")];
            let token = |(revision, start): (u64, &str)| {
                ContinueToken { revision, start: start.to_owned(), left: None }.encode()
            };
            let forged = [r#"{"v":"meta.k8s.io/v1","rv":-1,"start":"../x"}"#, r#"{"v":1,"rv":1e99,"start":[]}"#];
            let forged = forged.map(|text| crate::base64_url(text.as_bytes()));
            tokens.map(token).into_iter().chain(forged).map(String::into_bytes).collect()
        };
        let run = |input: &[u8]| {
            let Ok(text) = std::str::from_utf8(input) else { return };
            if let Ok(token) = ContinueToken::decode(text) {
                assert!(!token.start.split('/').any(|segment| segment == ".."), "{token:?} leads elsewhere");
                assert_eq!(ContinueToken::decode(&token.encode()).unwrap().start, token.start);
            }
            // What is inside, past the encoding.
            let _ = ContinueToken::decode(&crate::base64_url(input));
        };
        corten_fuzz::smoke(&[corten_fuzz::Target { name: "continue token", corpus, run }]);
    }

    #[test]
    fn a_token_survives() {
        let token = ContinueToken { revision: 7, start: "default/web".to_owned(), left: Some(3) };
        assert_eq!(ContinueToken::decode(&token.encode()).unwrap(), token);
    }

    #[test]
    fn a_token_that_was_tampered_with_harms_nobody() {
        let rng = SimRng::shared(7);
        let token = ContinueToken { revision: 7, start: "default/web".to_owned(), left: Some(3) }.encode();
        for _ in 0..20_000 {
            let mut forged = token.clone().into_bytes();
            for _ in 0..=rng.below(2) {
                let at = rng.below(forged.len() as u64) as usize;
                forged[at] = b' ' + rng.below(95) as u8;
            }
            if let Ok(read) = ContinueToken::decode(std::str::from_utf8(&forged).unwrap()) {
                assert_eq!(ContinueToken::decode(&read.encode()).unwrap(), read);
            }
        }
    }

    /// Go's decoders speak through upstream's.
    #[test]
    fn a_forged_token_is_refused_in_upstreams_words() {
        #[track_caller]
        fn check(token: &str, want: &str) {
            let status = ContinueToken::decode(token).unwrap_err();
            let prefix = "invalid continue token: continue key is not valid: ";
            assert_eq!((status.code, status.message.strip_prefix(prefix)), (400, Some(want)), "{token}");
        }
        let forged = |json: &str| crate::base64_url(json.as_bytes());
        check("abc", "invalid character 'i' looking for beginning of value");
        check("", "unexpected end of JSON input");
        check("not base64!", "illegal base64 data at input byte 3");
        check("abcde", "illegal base64 data at input byte 4");
        check("e30=", "illegal base64 data at input byte 3");
        check("e30", "server does not recognize this encoded version ");
        check(&forged("[]"), "json: cannot unmarshal array into Go value of type storage.continueToken");
        check(&forged("7"), "json: cannot unmarshal number into Go value of type storage.continueToken");
        let field = "json: cannot unmarshal number into Go struct field continueToken.v of type string";
        check(&forged(r#"{"v": 1}"#), field);
        check(&forged(r#"{"v": "v2"}"#), "server does not recognize this encoded version v2");
        let version = r#""v": "meta.k8s.io/v1""#;
        let revision = "incorrect encoded start resourceVersion (version meta.k8s.io/v1)";
        check(&forged(&format!("{{{version}}}")), revision);
        check(&forged(&format!("{{{version}, \"rv\": 3}}")), "encoded start key empty (version meta.k8s.io/v1)");
        for start in ["../secrets", "a//b", "a/./b", "a/", "//a"] {
            check(&ContinueToken { revision: 7, start: start.to_owned(), left: None }.encode(), start);
        }
    }
}
