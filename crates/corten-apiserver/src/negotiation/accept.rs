//! The clauses of an `Accept` header, in the order in which upstream tries them.
//!
//! Upstream: github.com/munnerz/goautoneg, and `acceptMediaTypeOptions` in
//! k8s.io/apiserver/pkg/endpoints/handlers/negotiation/negotiate.go (v1.35).

use super::{Accepted, Encoding, Offer, Shape};

/// Up to so many clauses Go sorts by insertion, which shows where its comparison is no order.
const INSERTED_MAX: usize = 12;

/// A media range with its parameters.
#[derive(Debug, Clone, PartialEq)]
struct Clause<'a> {
    kind: &'a str,
    subtype: &'a str,
    weight: f32,
    parameters: Vec<(&'a str, &'a str)>,
}

/// The first form, by weight and by order, that `offer` has. Not empty: who says nothing gets the first encoding there is.
pub(super) fn choose(header: &str, offer: &Offer) -> Option<Accepted> {
    let clauses = clauses(header);
    let candidates =
        clauses.iter().flat_map(|clause| offer.encodings.0.iter().map(move |&encoding| (clause, encoding)));
    candidates.filter(|(clause, encoding)| clause.names(*encoding)).find_map(|(clause, encoding)| {
        // What the last of several parameters of a name says, holds.
        let of = |name: &str| clause.parameters.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let shape = match (of("as"), of("g"), of("v")) {
            (None, None, None) => None,
            (kind, group, version) => Some(Shape::parse(kind.unwrap_or_default(), group?, version?)?),
        };
        let (shape, shape_version) = shape.unwrap_or((Shape::Object, "v1"));
        let is_streamed = |stream: &str| stream.is_empty() || (stream == "watch" && encoding.is_streamed());
        let is_version = |version: &str| version.is_empty() || (offer.is_resource && version == "v1");
        let has_all =
            offer.has(shape, encoding) && of("stream").is_none_or(is_streamed) && of("sv").is_none_or(is_version);
        has_all.then(|| Accepted { encoding, shape, shape_version, pretty: of("pretty") == Some("1") })
    })
}

/// Whether the router finds one of `produced`, which stand for a path and method: it knows no ranges but `*/*`, and no
/// parameters.
///
/// Upstream: `Route.matchesAccept` in github.com/emicklei/go-restful/v3.
pub(super) fn is_routed(header: &str, produced: &[&str]) -> bool {
    header.is_empty()
        || header.split(',').any(|clause| {
            let media_type = clause.split(';').next().unwrap_or_default().trim_matches(' ');
            media_type == "*/*" || produced.contains(&media_type)
        })
}

impl Clause<'_> {
    fn names(&self, encoding: Encoding) -> bool {
        let (kind, subtype) = encoding.media_type().split_once('/').unwrap_or_default();
        match (self.kind, self.subtype) {
            ("*", "*") => true,
            (own, "*") => own == kind,
            (own, own_subtype) => own == kind && own_subtype == subtype,
        }
    }

    /// Whether this comes before `other`. Of two clauses each may: that of the greater weight, and that without wildcards.
    fn precedes(&self, other: &Self) -> bool {
        self.weight > other.weight
            || (self.kind != "*" && other.kind == "*")
            || (self.subtype != "*" && other.subtype == "*")
    }
}

fn clauses(header: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = header.split(',').filter_map(clause).collect();
    if clauses.len() <= INSERTED_MAX {
        for end in 1..clauses.len() {
            let mut at = end;
            while at > 0 && clauses[at].precedes(&clauses[at - 1]) {
                clauses.swap(at, at - 1);
                at -= 1;
            }
        }
    } else {
        clauses.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    }
    clauses
}

fn clause(text: &str) -> Option<Clause<'_>> {
    let mut parts = text.trim_matches(' ').split(';');
    let range = parts.next().unwrap_or_default();
    let (kind, subtype) = match range.split_once('/') {
        Some((_, rest)) if rest.contains('/') => return None,
        Some((kind, subtype)) if !subtype.is_empty() => (kind.trim_matches(' '), subtype.trim_matches(' ')),
        _ if range.trim_end_matches('/').trim_matches(' ') == "*" => ("*", "*"),
        _ => return None,
    };
    let mut clause = Clause { kind, subtype, weight: 1.0, parameters: Vec::new() };
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        if value.is_empty() || value.contains('=') {
            continue;
        }
        match name.trim_matches(' ') {
            "q" => clause.weight = value.parse().unwrap_or(0.0),
            name => clause.parameters.push((name, value.trim_matches(' '))),
        }
    }
    Some(clause)
}
