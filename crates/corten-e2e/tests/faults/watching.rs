//! A watcher: lists, watches, and goes on from the last version it knows whenever a watch ends, in the form it was given.

use anyhow::{Context as _, bail, ensure};
use bytes::BytesMut;
use http::Method;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::{
    client::{Client, JSON, version_of},
    history::{Change, Heard, Objects, Seen},
    protobuf,
};

/// The annotation in which writers leave their marks.
pub(crate) const MARK: &str = "mark";

/// How a watcher asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form {
    pub(crate) accept: &'static str,
    pub(crate) has_bookmarks: bool,
    /// Whether the first objects come by the watch, too.
    pub(crate) is_watch_list: bool,
}

pub(crate) const PLAIN: Form = Form { accept: JSON, has_bookmarks: false, is_watch_list: false };
pub(crate) const BOOKMARKS: Form = Form { has_bookmarks: true, ..PLAIN };
pub(crate) const WATCH_LIST: Form = Form { is_watch_list: true, ..BOOKMARKS };
pub(crate) const PROTOBUF: Form = Form { accept: "application/vnd.kubernetes.protobuf;stream=watch", ..BOOKMARKS };
pub(crate) const TABLE: Form = Form { accept: "application/json;as=Table;v=v1;g=meta.k8s.io", ..PLAIN };

/// One event, whatever its form.
#[derive(Debug)]
enum Event {
    Changed(Change, String, Seen),
    /// Its version, and whether it ends the first objects.
    Bookmark(u64, bool),
    /// The code of the failure, and all of it.
    Error(u64, String),
}

/// Why one watch is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The server ended it, or the connection has: to be continued.
    Over,
    /// It was told that its version is too old: to begin again.
    TooOld,
    /// It has heard of the object that it was to hear of.
    Heard,
}

/// What one watcher knows.
#[derive(Debug)]
pub(crate) struct Watching {
    path: String,
    form: Form,
    /// How long one watch lasts.
    seconds: u32,
    at: Option<u64>,
    pub(crate) heard: Vec<Heard>,
}

impl Watching {
    /// A watcher of the collection at `path` that has heard nothing.
    pub(crate) fn new(path: &str, form: Form, seconds: u32) -> Self {
        Self { path: path.to_owned(), form, seconds, at: None, heard: Vec::new() }
    }

    /// A watcher that knows everything up to a version.
    pub(crate) fn resuming(path: &str, form: Form, seconds: u32, at: u64) -> Self {
        Self { at: Some(at), ..Self::new(path, form, seconds) }
    }

    /// Lists if it has to, and watches until that is over or an object of the name `last` is added.
    ///
    /// Errors: the server says what it must not say; or the connection is gone before a watch begins.
    pub(crate) async fn watch(&mut self, client: &Client, connection: usize, last: &str) -> anyhow::Result<Ended> {
        if self.at.is_none() && !self.form.is_watch_list {
            let answer = client.get(&self.path).await?.expect(200)?;
            let (version, objects) = listed(&answer.body)?;
            let is_there = objects.contains_key(last);
            self.begin(version, objects);
            if is_there {
                return Ok(Ended::Heard);
            }
        }
        let mut path = format!("{}?watch=true&timeoutSeconds={}", self.path, self.seconds);
        if self.form.has_bookmarks {
            path.push_str("&allowWatchBookmarks=true");
        }
        match self.at {
            Some(version) => path.push_str(&format!("&resourceVersion={version}")),
            None => path.push_str("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"),
        }
        let answer = client.send(connection, Method::GET, &path, (JSON, self.form.accept), "").await?;
        let code = answer.status();
        ensure!(code == 200, "{path}: {code}");
        let is_protobuf = self.form.accept.contains("protobuf");
        let (mut body, mut unread, mut first) = (answer.into_body(), BytesMut::new(), Objects::new());
        loop {
            let read = if is_protobuf { protobuf::watch_frame(&mut unread) } else { line(&mut unread) };
            if let Some(frame) = read {
                let event = if is_protobuf { in_protobuf(&frame) } else { in_json(&frame) };
                let event = event.with_context(|| String::from_utf8_lossy(&frame).into_owned())?;
                match event {
                    Event::Error(410, _) => {
                        self.at = None;
                        return Ok(Ended::TooOld);
                    }
                    Event::Error(_, failure) => bail!("{path}: {failure}"),
                    event => {
                        if self.take(event, &mut first, last)? {
                            return Ok(Ended::Heard);
                        }
                    }
                }
                continue;
            }
            match body.frame().await {
                Some(Ok(frame)) => unread.extend_from_slice(&frame.into_data().unwrap_or_default()),
                // What was cut off is told again.
                Some(Err(_)) | None => return Ok(Ended::Over),
            }
        }
    }

    /// Takes an event in; true if it is the addition of `last`.
    fn take(&mut self, event: Event, first: &mut Objects, last: &str) -> anyhow::Result<bool> {
        match event {
            Event::Changed(Change::Added, name, seen) if self.at.is_none() => {
                ensure!(first.insert(name.clone(), seen).is_none(), "{name} is there twice");
            }
            Event::Bookmark(version, true) if self.at.is_none() => {
                let is_there = first.contains_key(last);
                self.begin(version, std::mem::take(first));
                return Ok(is_there);
            }
            Event::Changed(_, name, seen) if self.at.is_some() && !is_ours(&name) => self.at = Some(seen.version),
            Event::Changed(change, name, seen) if self.at.is_some() => {
                self.at = Some(seen.version);
                let is_last = name == last;
                self.heard.push(Heard::Changed { change, name, seen });
                return Ok(is_last);
            }
            Event::Bookmark(version, false) if self.at.is_some() && self.form.has_bookmarks => {
                self.at = Some(version);
                self.heard.push(Heard::Marked { version });
            }
            event => bail!("this has no place at {:?}: {event:?}", self.at),
        }
        Ok(false)
    }

    fn begin(&mut self, version: u64, mut objects: Objects) {
        objects.retain(|name, _| is_ours(name));
        self.at = Some(version);
        self.heard.push(Heard::Listed { version, objects });
    }
}

/// Whether the tests have made it: controllers make some, too.
fn is_ours(name: &str) -> bool {
    name.starts_with("o-")
}

/// The version of a list, and its objects: those of the tests.
pub(crate) fn listed(list: &Value) -> anyhow::Result<(u64, Objects)> {
    let items = list["items"].as_array().with_context(|| format!("no list: {list}"))?;
    let mut objects = items.iter().map(named).collect::<anyhow::Result<Objects>>()?;
    objects.retain(|name, _| is_ours(name));
    Ok((version_of(list)?, objects))
}

fn named(object: &Value) -> anyhow::Result<(String, Seen)> {
    let name = object["metadata"]["name"].as_str().with_context(|| format!("no name: {object}"))?;
    Ok((name.to_owned(), seen(object)?))
}

/// The version and the mark of an object.
pub(crate) fn seen(object: &Value) -> anyhow::Result<Seen> {
    let mark = object["metadata"]["annotations"][MARK].as_str().unwrap_or_default().to_owned();
    Ok(Seen { version: version_of(object)?, mark })
}

fn line(unread: &mut BytesMut) -> Option<BytesMut> {
    let end = unread.iter().position(|byte| *byte == b'\n')?;
    Some(unread.split_to(end + 1))
}

fn change_of(text: &str) -> Option<Change> {
    match text {
        "ADDED" => Some(Change::Added),
        "MODIFIED" => Some(Change::Modified),
        "DELETED" => Some(Change::Deleted),
        _ => None,
    }
}

fn in_json(line: &[u8]) -> anyhow::Result<Event> {
    let event: Value = serde_json::from_slice(line).context("an event is JSON")?;
    let (kind, object) = (event["type"].as_str().unwrap_or_default(), &event["object"]);
    if kind == "ERROR" {
        return Ok(Event::Error(object["code"].as_u64().unwrap_or_default(), object.to_string()));
    }
    let object = if object["kind"] == json!("Table") { &object["rows"][0]["object"] } else { object };
    match (change_of(kind), kind) {
        (Some(change), _) => named(object).map(|(name, seen)| Event::Changed(change, name, seen)),
        (None, "BOOKMARK") => {
            let ends = &object["metadata"]["annotations"]["k8s.io/initial-events-end"];
            Ok(Event::Bookmark(version_of(object)?, *ends == json!("true")))
        }
        _ => bail!("an event of type {kind:?}"),
    }
}

fn in_protobuf(frame: &[u8]) -> anyhow::Result<Event> {
    let (kind, object) = protobuf::watch_event(frame)?;
    if kind == "ERROR" {
        return Ok(Event::Error(protobuf::code(object), format!("{object:?}")));
    }
    let metadata = protobuf::metadata(object)?;
    let version = metadata.version.parse().context("a version is a number")?;
    let of = |name: &str| metadata.annotations.get(name).cloned();
    match (change_of(&kind), &*kind) {
        (Some(change), _) => {
            let seen = Seen { version, mark: of(MARK).unwrap_or_default() };
            Ok(Event::Changed(change, metadata.name, seen))
        }
        (None, "BOOKMARK") => Ok(Event::Bookmark(version, of("k8s.io/initial-events-end").as_deref() == Some("true"))),
        _ => bail!("an event of type {kind:?}"),
    }
}
