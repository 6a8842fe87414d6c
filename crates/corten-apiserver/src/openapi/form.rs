//! What a document can be written as, and which form a client wants.

use corten_apimachinery::openapi::Dialect;

/// What a document can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Protobuf,
}

impl Form {
    pub(super) fn media_type(self, dialect: Dialect) -> &'static str {
        match (self, dialect) {
            (Self::Json, _) => "application/json",
            (Self::Protobuf, Dialect::V2) => "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
            (Self::Protobuf, Dialect::V3) => "application/com.github.proto-openapi.spec.v3.v1.0+protobuf",
        }
    }

    /// The first form that the client takes, by weight and then by order; `None` if it takes none of them.
    pub(super) fn wanted(accept: &str, dialect: Dialect) -> Option<Self> {
        if accept.is_empty() {
            return Some(Self::Json);
        }
        let mut clauses: Vec<(f32, Self)> = accept
            .split(',')
            .filter_map(|clause| {
                let (media_type, parameters) = clause.split_once(';').unwrap_or((clause, ""));
                let form = match media_type.trim() {
                    "application/json" | "application/*" | "*/*" => Self::Json,
                    media_type if Self::is_protobuf(media_type, dialect) => Self::Protobuf,
                    _ => return None,
                };
                let weight = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("q="));
                Some((weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0)), form))
            })
            .filter(|(weight, _)| *weight > 0.0)
            .collect();
        // A stable sort: clauses of one weight keep their order.
        clauses.sort_by(|a, b| b.0.total_cmp(&a.0));
        clauses.first().map(|&(_, form)| form)
    }

    /// The name with an at sign is no media type, and yet what clients ask for.
    fn is_protobuf(media_type: &str, dialect: Dialect) -> bool {
        media_type == Self::Protobuf.media_type(dialect)
            || media_type
                == match dialect {
                    Dialect::V2 => "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
                    Dialect::V3 => "application/com.github.proto-openapi.spec.v3@v1.0+protobuf",
                }
    }
}
