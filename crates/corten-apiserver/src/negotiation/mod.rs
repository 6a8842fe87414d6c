//! Which encoding the client sends and which it wants.
//!
//! Upstream: k8s.io/apiserver/pkg/endpoints/handlers/negotiation (v1.35), and the router before it, which knows what each path
//! consumes and produces.

mod accept;
mod media_type;
mod patch_type;
#[cfg(test)]
mod tests;

use corten_apimachinery::{
    Features,
    status::{Reason, Status},
};
use corten_base::parse_bool;
use http::Method;

pub(crate) use self::patch_type::PatchType;
use crate::response::generic;

/// An encoding of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `application/json`.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
    /// `application/cbor`.
    Cbor,
}

/// What shape the client wants objects in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// As they are.
    Object,
    /// `as=Table`.
    Table,
    /// `as=PartialObjectMetadata`, of what is no list.
    Metadata,
    /// `as=PartialObjectMetadataList`, of a list.
    MetadataList,
}

/// The encodings that are served, in the order in which they are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encodings(&'static [Encoding]);

/// What there is of a path.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    /// The encodings.
    pub encodings: Encodings,
    /// Shapes besides the object itself.
    pub shapes: &'static [Shape],
    /// Whether it is a path of a resource: those know the version of what is no resource itself, `sv=v1`.
    pub is_resource: bool,
    /// Whether it is of a custom resource: these have no binary form of their own.
    pub is_custom: bool,
}

/// What the client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Accepted {
    /// The encoding.
    pub encoding: Encoding,
    /// The shape.
    pub shape: Shape,
    /// The version of the shape's group: `v1` or `v1beta1`.
    pub shape_version: &'static str,
    /// Whether text is to be indented.
    pub pretty: bool,
}

impl Shape {
    /// What there is of stored objects besides themselves.
    pub const ALL: &[Self] = &[Self::Table, Self::Metadata, Self::MetadataList];
    /// What there is of objects that have no columns.
    pub const NO_TABLE: &[Self] = &[Self::Metadata, Self::MetadataList];

    fn parse(kind: &str, group: &str, version: &str) -> Option<(Self, &'static str)> {
        let version = ["v1", "v1beta1"].into_iter().find(|known| *known == version)?;
        let shape = match kind {
            "Table" => Self::Table,
            "PartialObjectMetadata" => Self::Metadata,
            "PartialObjectMetadataList" => Self::MetadataList,
            _ => return None,
        };
        (group == "meta.k8s.io").then_some((shape, version))
    }
}

impl Offer {
    /// The object itself and nothing else: failures, documents of discovery.
    #[must_use]
    pub fn plain(encodings: Encodings) -> Self {
        Self { encodings, shapes: &[], is_resource: false, is_custom: false }
    }

    /// Tables are for people: upstream has no binary form of them.
    fn has(&self, shape: Shape, encoding: Encoding) -> bool {
        match shape {
            Shape::Object => !(self.is_custom && encoding == Encoding::Protobuf),
            Shape::Table if !matches!(encoding, Encoding::Json | Encoding::Yaml) => false,
            shape => self.shapes.contains(&shape),
        }
    }
}

impl Encodings {
    /// What is always served.
    pub const STABLE: Self = Self(&[Encoding::Json, Encoding::Yaml, Encoding::Protobuf]);

    /// With `CBORServingAndStorage` there is one more.
    #[must_use]
    pub fn of(features: &Features) -> Self {
        const ALL: &[Encoding] = &[Encoding::Json, Encoding::Yaml, Encoding::Protobuf, Encoding::Cbor];
        if features.is_enabled("CBORServingAndStorage") { Self(ALL) } else { Self::STABLE }
    }

    fn media_types(self) -> Vec<&'static str> {
        self.0.iter().map(|encoding| encoding.media_type()).collect()
    }

    fn stream_media_types(self) -> Vec<&'static str> {
        self.0.iter().filter_map(|encoding| encoding.named_stream()).collect()
    }

    /// Expects a `Content-Type` that is read.
    ///
    /// Errors: `UnsupportedMediaType`.
    pub(crate) fn expect_body(self, content_type: &str) -> Result<(), Status> {
        let encoding = Encoding::of_body(content_type).ok().filter(|encoding| self.0.contains(encoding));
        encoding.map(drop).ok_or_else(|| unknown_body(&self.media_types()))
    }

    /// Expects an encoding that objects can be sent in as they change.
    ///
    /// Errors: `NotAcceptable`.
    pub(crate) fn expect_stream(self, encoding: Encoding) -> Result<(), Status> {
        if encoding.is_streamed() { Ok(()) } else { Err(not_acceptable(&self.stream_media_types())) }
    }

    /// The failure for a client that takes nothing of what there is.
    pub(crate) fn none_acceptable(self) -> Status {
        not_acceptable(&self.media_types())
    }

    /// Whether the router finds something that the client takes, before anything else is looked at.
    ///
    /// Errors: `NotAcceptable`.
    pub(crate) fn route(self, header: &str, produced: Produced) -> Result<(), Status> {
        // What nearly all clients say.
        if header.is_empty() || accept::is_routed(header, &[Encoding::Json.media_type()]) {
            return Ok(());
        }
        let produced = match produced {
            Produced::Objects => self.media_types(),
            Produced::ObjectsOrStream => [self.media_types(), self.stream_media_types()].concat(),
            Produced::Log => [vec!["text/plain"], self.media_types()].concat(),
            Produced::Documents => Self::STABLE.media_types(),
            Produced::Json => vec![Encoding::Json.media_type()],
        };
        if accept::is_routed(header, &produced) {
            return Ok(());
        }
        let list = produced.join(", ");
        Err(generic(Reason::NotAcceptable, &format!("406: Not Acceptable\n\nAvailable representations: {list}")))
    }
}

impl Encoding {
    /// The media type of one object.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
            Self::Cbor => "application/cbor",
        }
    }

    /// The media type of a stream of objects.
    #[must_use]
    pub fn stream_media_type(self) -> &'static str {
        match self {
            Self::Json | Self::Yaml => "application/json",
            Self::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
            Self::Cbor => "application/cbor-seq",
        }
    }

    /// Whether there are streams of objects in it.
    #[must_use]
    pub fn is_streamed(self) -> bool {
        self.named_stream().is_some()
    }

    /// What a client asks for who wants a stream.
    fn named_stream(self) -> Option<&'static str> {
        match self {
            Self::Json => Some("application/json;stream=watch"),
            Self::Yaml => None,
            Self::Protobuf | Self::Cbor => Some(self.stream_media_type()),
        }
    }

    /// Reads a `Content-Type`; JSON when there is none. Whether it is served is told by `Encodings::expect_body`.
    ///
    /// Errors: `UnsupportedMediaType`.
    pub fn of_body(content_type: &str) -> Result<Self, Status> {
        const ALL: [Encoding; 4] = [Encoding::Json, Encoding::Yaml, Encoding::Protobuf, Encoding::Cbor];
        if content_type.is_empty() {
            return Ok(Self::Json);
        }
        let media_type = media_type::parse(content_type);
        let found =
            media_type.and_then(|media_type| ALL.into_iter().find(|encoding| encoding.media_type() == media_type));
        found.ok_or_else(unsupported_media_type)
    }

    /// What the body of a request is written in, be it an object or a patch; `None` if nobody reads it.
    pub(crate) fn of_request(method: &Method, content_type: &str) -> Option<Self> {
        if method != Method::PATCH {
            return Self::of_body(content_type).ok();
        }
        PatchType::of(content_type).map(PatchType::encoding)
    }
}

/// What a path and method produce, as the router knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Produced {
    /// Objects.
    Objects,
    /// Objects, or a stream of them.
    ObjectsOrStream,
    /// A log, or objects that say why there is none.
    Log,
    /// The versions of the core group, which are in no encoding that is tried out.
    Documents,
    /// The version.
    Json,
}

/// The failure for a body in an encoding that nobody reads.
#[must_use]
pub fn unsupported_media_type() -> Status {
    unknown_body(&Encodings::STABLE.media_types())
}

pub(crate) fn unknown_body(accepted: &[&str]) -> Status {
    let list = accepted.join(", ");
    Status::new(
        Reason::UnsupportedMediaType,
        format!("the body of the request was in an unknown format - accepted media types include: {list}"),
    )
}

fn not_acceptable(accepted: &[&str]) -> Status {
    let list = accepted.join(", ");
    Status::new(Reason::NotAcceptable, format!("only the following media types are accepted: {list}"))
}

/// Reads an `Accept` header: the first clause, by weight and then by order, that can be served.
///
/// `pretty` is the query's word on indentation; without one, people with curl, wget or a browser get it.
///
/// Errors: `NotAcceptable`.
pub fn accept(header: &str, offer: &Offer, pretty: &str, user_agent: &str) -> Result<Accepted, Status> {
    let first = Accepted { encoding: Encoding::Json, shape: Shape::Object, shape_version: "v1", pretty: false };
    // What programs here say, and need not be taken apart.
    let is_first = header.is_empty() || header == Encoding::Json.media_type();
    let accepted = if is_first { Some(first) } else { accept::choose(header, offer) };
    let accepted = accepted.ok_or_else(|| offer.encodings.none_acceptable())?;
    Ok(accepted.for_people(pretty, user_agent))
}

/// Reads an `Accept` header: the form and the version in which the client wants all of discovery at once, if it does. The rest
/// as `accept`.
pub(crate) fn accept_aggregated(header: &str, pretty: &str, user_agent: &str) -> Option<(Accepted, &'static str)> {
    let chosen = accept::choose_aggregated(header);
    chosen.map(|(accepted, version)| (accepted.for_people(pretty, user_agent), version))
}

impl Accepted {
    fn for_people(self, pretty: &str, user_agent: &str) -> Self {
        let by_agent = || ["curl", "Wget", "Mozilla/5.0"].iter().any(|agent| user_agent.starts_with(agent));
        let is_pretty = if pretty.is_empty() { by_agent() } else { parse_bool(pretty) == Some(true) };
        Self { pretty: self.pretty || is_pretty, ..self }
    }
}
