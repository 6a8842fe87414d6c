//! Which encoding the client sends and which it wants.
//!
//! Upstream: k8s.io/apiserver/pkg/endpoints/handlers/negotiation (v1.35).

use corten_apimachinery::status::{Reason, Status};
use corten_client::PatchKind;
use http::Method;

const PATCH_TYPES: [PatchKind; 4] = [PatchKind::Json, PatchKind::Merge, PatchKind::Strategic, PatchKind::Apply];

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

impl Shape {
    /// What there is of stored objects besides themselves.
    pub const ALL: &[Self] = &[Self::Table, Self::Metadata, Self::MetadataList];
    /// What there is of objects that have no columns.
    pub const NO_TABLE: &[Self] = &[Self::Metadata, Self::MetadataList];
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

    fn parse(media_type: &str) -> Option<Self> {
        match media_type {
            "application/json" | "application/*" | "*/*" => Some(Self::Json),
            "application/yaml" => Some(Self::Yaml),
            "application/vnd.kubernetes.protobuf" => Some(Self::Protobuf),
            "application/cbor" => Some(Self::Cbor),
            _ => None,
        }
    }

    /// Reads a `Content-Type`; JSON when there is none.
    ///
    /// Errors: `UnsupportedMediaType`.
    pub fn of_body(content_type: &str) -> Result<Self, Status> {
        if content_type.is_empty() {
            return Ok(Self::Json);
        }
        let media_type = media_type_of(content_type);
        Self::parse(media_type).filter(|_| !media_type.contains('*')).ok_or_else(unsupported_media_type)
    }

    /// What the body of a request is written in, be it an object or a patch; `None` if nobody reads it.
    pub(crate) fn of_request(method: &Method, content_type: &str) -> Option<Self> {
        if method != Method::PATCH {
            return Self::of_body(content_type).ok();
        }
        patch_kind(content_type).ok().map(|kind| match kind {
            PatchKind::Apply => Self::Yaml,
            PatchKind::Json | PatchKind::Merge | PatchKind::Strategic => Self::Json,
        })
    }
}

/// The media type in a `Content-Type`: what decides how a body is read. Parameters do not.
fn media_type_of(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// Reads the `Content-Type` of a patch.
///
/// Errors: `UnsupportedMediaType`.
pub(crate) fn patch_kind(content_type: &str) -> Result<PatchKind, Status> {
    let media_type = media_type_of(content_type);
    PATCH_TYPES.into_iter().find(|kind| kind.content_type() == media_type).ok_or_else(|| {
        Status::new(
            Reason::UnsupportedMediaType,
            format!(
                "the body of the request was in an unknown format - accepted media types include: {}",
                PATCH_TYPES.map(PatchKind::content_type).join(", ")
            ),
        )
    })
}

/// The failure for a body in an encoding that nobody reads.
#[must_use]
pub fn unsupported_media_type() -> Status {
    Status::new(
        Reason::UnsupportedMediaType,
        "the body of the request was in an unknown format - accepted media types include: application/json, \
         application/yaml, application/vnd.kubernetes.protobuf",
    )
}

/// Reads an `Accept` header: the first clause, by weight and then by order, that can be served.
///
/// `shapes` says which shapes besides the object itself can be given for this request. `user_agent` decides indentation together with
/// the `pretty` parameter: people with curl, wget or a browser get it.
///
/// Errors: `NotAcceptable`.
pub fn accept(header: &str, shapes: &[Shape], pretty: Option<&str>, user_agent: &str) -> Result<Accepted, Status> {
    let by_agent = ["curl", "Wget", "Mozilla/5.0"].iter().any(|agent| user_agent.starts_with(agent));
    let pretty = pretty.map_or(by_agent, |value| !matches!(value, "false" | "0"));
    let json = Accepted { encoding: Encoding::Json, shape: Shape::Object, shape_version: "v1", pretty };
    if header.trim().is_empty() {
        return Ok(json);
    }
    let mut clauses: Vec<(f32, Option<Accepted>)> = header
        .split(',')
        .map(|clause| {
            let mut parts = clause.split(';').map(str::trim);
            let encoding = Encoding::parse(parts.next().unwrap_or_default());
            let (mut weight, mut shape, mut version, mut known) = (1.0_f32, Shape::Object, "v1", true);
            for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                match (name.trim(), value.trim().trim_matches('"')) {
                    ("q", value) => weight = value.parse().unwrap_or(0.0),
                    ("as", "Table") => shape = Shape::Table,
                    ("as", "PartialObjectMetadata") => shape = Shape::Metadata,
                    ("as", "PartialObjectMetadataList") => shape = Shape::MetadataList,
                    ("as", _) => known = false,
                    ("g", group) => known &= group == "meta.k8s.io",
                    ("v", "v1") => version = "v1",
                    ("v", "v1beta1") => version = "v1beta1",
                    ("v", _) => known = false,
                    _ => {}
                }
            }
            // Tables are for people: upstream has no binary form of them.
            let has_form = shape != Shape::Table || matches!(encoding, Some(Encoding::Json | Encoding::Yaml));
            let usable = known && has_form && (shape == Shape::Object || shapes.contains(&shape));
            let accepted = encoding.filter(|_| usable);
            (weight, accepted.map(|encoding| Accepted { encoding, shape, shape_version: version, pretty }))
        })
        .collect();
    // A stable sort: clauses of one weight keep their order.
    clauses.sort_by(|a, b| b.0.total_cmp(&a.0));
    clauses.into_iter().filter(|(weight, _)| *weight > 0.0).find_map(|(_, accepted)| accepted).ok_or_else(|| {
        Status::new(
            Reason::NotAcceptable,
            "only the following media types are accepted: application/json, application/yaml, \
             application/vnd.kubernetes.protobuf",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, encoding: Encoding, shape: Shape) {
        let got = accept(header, Shape::ALL, None, "kubectl/v1.35.0").unwrap();
        assert_eq!((got.encoding, got.shape, got.pretty), (encoding, shape, false), "{header}");
    }

    #[test]
    fn clients_get_the_first_form_that_exists() {
        check("", Encoding::Json, Shape::Object);
        check("*/*", Encoding::Json, Shape::Object);
        check(
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
            Encoding::Json,
            Shape::Table,
        );
        check("application/vnd.kubernetes.protobuf,application/json", Encoding::Protobuf, Shape::Object);
        check(
            "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/yaml;as=Table;v=v1beta1;g=meta.k8s.io",
            Encoding::Yaml,
            Shape::Table,
        );
        check(
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
            Encoding::Protobuf,
            Shape::Metadata,
        );
        check("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", Encoding::Json, Shape::MetadataList);
        check(
            "text/html, application/json;as=Unknown;g=meta.k8s.io;v=v1, application/yaml",
            Encoding::Yaml,
            Shape::Object,
        );
    }

    #[test]
    fn a_form_that_does_not_exist_is_refused() {
        for header in [
            "text/html",
            "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io",
            "application/vnd.kubernetes.protobuf;as=Table;v=v1beta1;g=meta.k8s.io",
            "application/json;as=Table;v=v2;g=meta.k8s.io",
        ] {
            let refused = accept(header, Shape::ALL, None, "").unwrap_err();
            let text = "only the following media types are accepted: application/json, application/yaml, \
                        application/vnd.kubernetes.protobuf";
            assert_eq!((refused.code, refused.message.as_str()), (406, text), "{header}");
        }
        assert_eq!(Encoding::of_body("text/plain").unwrap_err().code, 415);
        assert_eq!(Encoding::of_body("application/json; charset=utf-8"), Ok(Encoding::Json));
    }

    #[test]
    fn what_has_no_columns_has_no_table() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        assert_eq!(accept(table, Shape::NO_TABLE, None, "").unwrap_err().code, 406);
        let both = accept(&format!("{table},application/json"), Shape::NO_TABLE, None, "").unwrap();
        assert_eq!(both.shape, Shape::Object);
    }

    #[test]
    fn people_get_indented_text() {
        assert!(accept("", Shape::ALL, None, "curl/8").unwrap().pretty);
        assert!(!accept("", Shape::ALL, Some("false"), "curl/8").unwrap().pretty);
        assert!(accept("", Shape::ALL, Some("true"), "kubectl").unwrap().pretty);
    }
}
