//! Paths of the server itself: discovery, its version, and what there is to know of the tokens that it issues.
//!
//! Upstream: k8s.io/apiserver/pkg/endpoints/discovery, pkg/routes/{version,openidmetadata}.go (v1.35).

use super::{
    Dialect, PathOptions,
    operation::{Answer, META, Writer, group_tag, group_words, operation_id, root, tag, texts},
};
use crate::{
    gvk::GroupVersion,
    value::{Map, Str, Value, format_str},
};

/// A path of the server itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerPath {
    /// `/api`: the versions of the core group.
    CoreVersions,
    /// `/apis`: all other groups.
    Groups,
    /// One group.
    Group(Str),
    /// The resources of one version of a group.
    Resources(GroupVersion),
    /// The version of the program.
    Version,
    /// What clients have to know who check tokens.
    IssuerConfiguration,
    /// The keys to check tokens with.
    IssuerKeys,
}

impl ServerPath {
    /// The path, with a slash at its end.
    #[must_use]
    pub fn path(&self) -> Str {
        match self {
            Self::CoreVersions => "/api/".into(),
            Self::Groups => "/apis/".into(),
            Self::Group(group) => format_str!("/apis/{group}/"),
            Self::Resources(group_version) => format_str!("{}/", root(group_version)),
            Self::Version => "/version/".into(),
            Self::IssuerConfiguration => "/.well-known/openid-configuration/".into(),
            Self::IssuerKeys => "/openid/v1/jwks/".into(),
        }
    }

    /// The id of its operation.
    fn operation_id(&self) -> String {
        match self {
            Self::CoreVersions => "getCoreAPIVersions".to_owned(),
            Self::Groups => "getAPIVersions".to_owned(),
            Self::Group(group) => {
                let group: String = group_words(group).map(super::operation::capitalized).collect();
                format!("get{group}APIGroup")
            }
            Self::Resources(group_version) => operation_id(group_version, "get", "APIResources"),
            Self::Version => "getCodeVersion".to_owned(),
            Self::IssuerConfiguration => "getServiceAccountIssuerOpenIDConfiguration".to_owned(),
            Self::IssuerKeys => "getServiceAccountIssuerOpenIDKeyset".to_owned(),
        }
    }

    fn tag(&self) -> String {
        match self {
            Self::CoreVersions => "core".to_owned(),
            Self::Groups => "apis".to_owned(),
            Self::Group(group) => group_tag(group),
            Self::Resources(group_version) => tag(group_version),
            Self::Version => "version".to_owned(),
            Self::IssuerConfiguration => "WellKnown".to_owned(),
            Self::IssuerKeys => "openid".to_owned(),
        }
    }

    fn description(&self) -> &'static str {
        match self {
            Self::CoreVersions | Self::Groups => "get available API versions",
            Self::Group(_) => "get information of a group",
            Self::Resources(_) => "get available resources",
            Self::Version => "get the version information for this server",
            Self::IssuerConfiguration => {
                "get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'"
            }
            Self::IssuerKeys => {
                "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)"
            }
        }
    }

    fn answer(&self) -> Answer {
        let meta = |name: &str| Answer::Object(format_str!("{META}.{name}"));
        match self {
            Self::CoreVersions => meta("APIVersions"),
            Self::Groups => meta("APIGroupList"),
            Self::Group(_) => meta("APIGroup"),
            Self::Resources(_) => meta("APIResourceList"),
            Self::Version => Answer::Json("io.k8s.apimachinery.pkg.version.Info".into()),
            Self::IssuerConfiguration => Answer::Text(vec!["application/json"]),
            Self::IssuerKeys => Answer::Text(vec!["application/jwk-set+json"]),
        }
    }
}

/// The path item of a path of the server itself.
#[must_use]
pub fn server_path(of: &ServerPath, options: PathOptions) -> (Str, Value) {
    // Of these, only what is there once for each version of a group has the media types of resources.
    let options = PathOptions { cbor: options.cbor && matches!(of, ServerPath::Resources(_)), ..options };
    let (writer, answer) = (Writer { options, is_custom: false }, of.answer());
    let mut operation = Map::new();
    operation.insert("description", of.description());
    operation.insert("operationId", of.operation_id());
    operation.insert("tags", Value::array([of.tag().into()]));
    operation.insert("responses", writer.responses(&[("200", "OK")], &answer));
    if options.dialect == Dialect::V2 {
        let media_types = texts(writer.answer_media_types(&answer));
        if !matches!(answer, Answer::Text(_)) {
            operation.insert("consumes", media_types.clone());
        }
        operation.insert("produces", media_types);
        operation.insert("schemes", texts(vec!["https"]));
    }
    (of.path(), Value::object_of([("get", operation.into())]))
}
