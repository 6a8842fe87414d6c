//! From JSON to `Stored`: the text is kept, only the metadata is read.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use corten_apimachinery::{
    codec::{FieldValidation, json},
    status::{Details, Reason, Status},
    stored::{Facts, Measured, Stored},
    texts::Texts,
    value::{Str, Value},
};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::call::{Answer, ObjectList, WatchEvent};

/// The parts of an object that become facts.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object<'a> {
    #[serde(borrow, default)]
    api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    #[serde(default)]
    metadata: Option<Metadata>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: Str,
    namespace: Str,
    uid: Str,
    resource_version: Str,
    labels: Option<BTreeMap<Str, Str>>,
    annotations: Option<BTreeMap<Str, IgnoredText>>,
    owner_references: Option<Vec<OwnerReference>>,
    deletion_timestamp: Option<IgnoredAny>,
}

/// A text of which only the word `true` matters: annotations can be large.
#[derive(Default)]
struct IgnoredText {
    is_true: bool,
}

impl<'de> Deserialize<'de> for IgnoredText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Ok(Self { is_true: text == "true" })
    }
}

#[derive(Deserialize)]
struct OwnerReference {
    #[serde(default)]
    uid: Str,
    #[serde(default)]
    controller: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    #[serde(default)]
    api_version: Str,
    #[serde(default)]
    kind: Str,
    #[serde(default)]
    metadata: ListMetadata,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ListMetadata {
    resource_version: Str,
    r#continue: String,
    remaining_item_count: Option<u64>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// An answer that is one object, or a `Status` that reports success.
pub(super) fn answer(body: Bytes) -> Result<Answer, Status> {
    let object: Object<'_> = parse(&body)?;
    if object.kind == "Status" && object.api_version == "v1" {
        return tree(&body);
    }
    stored(&object, trimmed(&body)).map(Answer::Object)
}

/// An answer as a tree.
pub(super) fn tree(body: &Bytes) -> Result<Answer, Status> {
    if body.is_empty() {
        return Ok(Answer::Success(Value::Null));
    }
    let decoded = json::decode(body, None, FieldValidation::Ignore).map_err(unreadable)?;
    Ok(Answer::Success(decoded.value))
}

/// An answer that is a list. Items of typed lists come without `apiVersion` and `kind`, which are put in.
pub(super) fn list(body: &Bytes) -> Result<ObjectList, Status> {
    let list: List<'_> = parse(body)?;
    let kind = list.kind.strip_suffix("List").unwrap_or(&list.kind);
    let prefix = format!(r#"{{"kind":{},"apiVersion":{}"#, quoted(kind), quoted(&list.api_version));
    let items = list.items.unwrap_or_default().into_iter().map(|raw| {
        let text = raw.get();
        let object: Object<'_> = parse(text.as_bytes())?;
        if !object.kind.is_empty() {
            return stored(&object, Bytes::copy_from_slice(text.as_bytes()));
        }
        let rest = text[1..].trim_start();
        let comma = if rest.starts_with('}') { "" } else { "," };
        stored(&object, Bytes::from([&prefix, comma, rest].concat()))
    });
    Ok(ObjectList {
        items: items.collect::<Result<_, _>>()?,
        revision: revision(&list.metadata.resource_version)?,
        continue_token: list.metadata.r#continue,
        remaining: list.metadata.remaining_item_count,
    })
}

/// One event of a watch.
///
/// Errors: what the server sent as an `ERROR`, or an event that makes no sense.
pub(super) fn event(frame: &Bytes) -> Result<WatchEvent, Status> {
    let event: Event<'_> = parse(frame)?;
    let text = event.object.get();
    if event.r#type == "ERROR" {
        return Err(status(text.as_bytes()).unwrap_or_else(|| unreadable("an error that is no Status")));
    }
    let object: Object<'_> = parse(text.as_bytes())?;
    if event.r#type == "BOOKMARK" {
        let metadata = object.metadata.unwrap_or_default();
        let annotations = metadata.annotations.unwrap_or_default();
        return Ok(WatchEvent::Bookmark {
            revision: revision(&metadata.resource_version)?,
            initial_events_end: annotations.get("k8s.io/initial-events-end").is_some_and(|text| text.is_true),
        });
    }
    let object = stored(&object, Bytes::copy_from_slice(text.as_bytes()))?;
    match &*event.r#type {
        "ADDED" => Ok(WatchEvent::Added(object)),
        "MODIFIED" => Ok(WatchEvent::Modified(object)),
        "DELETED" => Ok(WatchEvent::Deleted(object)),
        other => Err(unreadable(format!("an event of the unknown type {other:?}"))),
    }
}

/// The failure that a response reports.
pub(super) fn failure(code: StatusCode, headers: &HeaderMap, body: &[u8]) -> Status {
    let mut failure = status(body).unwrap_or_else(|| {
        let text = String::from_utf8_lossy(body);
        let text = text.trim();
        let message = if text.is_empty() {
            format!("the server answered with the code {}", code.as_u16())
        } else {
            format!(
                "the server answered with the code {}: {}",
                code.as_u16(),
                text.chars().take(2_048).collect::<String>()
            )
        };
        Status { code: code.as_u16(), ..Status::new(reason(code), message) }
    });
    let retry_after = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    if let Some(seconds) = retry_after {
        let details = failure.details.get_or_insert_with(|| Box::new(Details::default()));
        details.retry_after_seconds = details.retry_after_seconds.max(seconds);
    }
    failure
}

/// The reason that a bare code stands for. Source: apimachinery, `NewGenericServerResponse`.
fn reason(code: StatusCode) -> Reason {
    match code.as_u16() {
        400 => Reason::BadRequest,
        401 => Reason::Unauthorized,
        403 => Reason::Forbidden,
        404 => Reason::NotFound,
        405 => Reason::MethodNotAllowed,
        406 => Reason::NotAcceptable,
        409 => Reason::Conflict,
        410 => Reason::Gone,
        413 => Reason::RequestEntityTooLarge,
        415 => Reason::UnsupportedMediaType,
        422 => Reason::Invalid,
        429 => Reason::TooManyRequests,
        500 => Reason::InternalError,
        502 | 503 => Reason::ServiceUnavailable,
        504 => Reason::Timeout,
        _ => Reason::Unknown,
    }
}

fn status(body: &[u8]) -> Option<Status> {
    let tree = json::decode(body, None, FieldValidation::Ignore).ok()?.value;
    (tree.str_at(&["kind"]) == Some("Status")).then(|| Status::from_value(&tree))
}

fn stored(object: &Object<'_>, json: Bytes) -> Result<Arc<Stored>, Status> {
    let empty = Metadata::default();
    let metadata = object.metadata.as_ref().unwrap_or(&empty);
    let labels = metadata.labels.iter().flatten();
    let controller = metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    Ok(Arc::new(Stored {
        revision: revision(&metadata.resource_version)?,
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
        uid: metadata.uid.clone(),
        json: json.into(),
        facts: Facts {
            labels: labels.collect(),
            fields: Texts::default(),
            controller_uid: controller.map(|owner| owner.uid.clone()).unwrap_or_default(),
            is_deleting: metadata.deletion_timestamp.is_some(),
            protobuf_length: Measured::default(),
            is_outdated: false,
        },
    }))
}

/// A resource version as a number; 0 for objects that have none, such as the answers of subresources.
fn revision(text: &str) -> Result<u64, Status> {
    if text.is_empty() { Ok(0) } else { text.parse().map_err(|_| unreadable(format!("resourceVersion {text:?}"))) }
}

fn trimmed(body: &Bytes) -> Bytes {
    body.slice_ref(body.trim_ascii())
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn parse<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Status> {
    serde_json::from_slice(text).map_err(unreadable)
}

fn unreadable(why: impl std::fmt::Display) -> Status {
    Status::new(Reason::InternalError, format!("could not read the server's answer: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_a_typed_list_get_their_type() {
        let body = Bytes::from_static(
            br#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"12","continue":"next","remainingItemCount":3},
                "items":[{"metadata":{"name":"a","namespace":"ns","uid":"u","resourceVersion":"7","deletionTimestamp":"2026-01-01T00:00:00Z",
                "labels":{"b":"2","a":"1"},"ownerReferences":[{"uid":"x"},{"uid":"y","controller":true}]},"spec":{}}, {} ]}"#,
        );
        let list = list(&body).unwrap();
        assert_eq!((list.revision, &*list.continue_token, list.remaining), (12, "next", Some(3)));
        let pod = &list.items[0];
        assert!(pod.json.starts_with(br#"{"kind":"Pod","apiVersion":"v1","metadata""#));
        assert_eq!((pod.revision, &*pod.namespace, &*pod.name, &*pod.uid), (7, "ns", "a", "u"));
        assert_eq!(
            (pod.facts.labels.get("b"), &*pod.facts.controller_uid, pod.facts.is_deleting),
            (Some("2"), "y", true)
        );
        assert_eq!(&list.items[1].json[..], br#"{"kind":"Pod","apiVersion":"v1"}"#);
    }

    #[test]
    fn events_are_told_apart() {
        let event = |text: &str| event(&Bytes::copy_from_slice(text.as_bytes()));
        let object = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","resourceVersion":"7"}}"#;
        let Ok(WatchEvent::Modified(pod)) = event(&format!(r#"{{"type":"MODIFIED","object":{object}}}"#)) else {
            panic!("it is a change")
        };
        assert_eq!((pod.revision, &pod.json[..]), (7, object.as_bytes()));
        let mark = r#"{"metadata":{"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":"true"}}}"#;
        let event_of = event(&format!(r#"{{"type":"BOOKMARK","object":{mark}}}"#));
        assert!(matches!(event_of, Ok(WatchEvent::Bookmark { revision: 9, initial_events_end: true })));
        let gone = Status::expired("too old resource version");
        let text = String::from_utf8(json::encode(&gone.to_value(), None).to_vec()).unwrap();
        assert_eq!(event(&format!(r#"{{"type":"ERROR","object":{text}}}"#)).unwrap_err(), gone);
        assert!(event(r#"{"type":"WHAT","object":{}}"#).is_err());
        assert!(event("{").is_err());
    }

    #[test]
    fn failures_carry_the_servers_words_and_advice() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("7"));
        let busy = failure(StatusCode::TOO_MANY_REQUESTS, &headers, b"Too many requests");
        assert_eq!(busy.reason, Reason::TooManyRequests);
        assert_eq!(busy.details.unwrap().retry_after_seconds, 7);
        let missing = Status::not_found(&corten_apimachinery::gvk::GroupResource::new("", "pods"), "web");
        let body = json::encode(&missing.to_value(), None);
        assert_eq!(failure(StatusCode::NOT_FOUND, &HeaderMap::new(), &body), missing);
    }

    #[test]
    fn a_success_without_an_object_is_told_apart() {
        let body = Bytes::from_static(br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"}"#);
        assert!(matches!(answer(body), Ok(Answer::Success(_))));
    }
}
