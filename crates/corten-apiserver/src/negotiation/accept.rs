//! The clauses of an `Accept` header, in the order in which upstream tries them.
//!
//! Upstream: github.com/munnerz/goautoneg, and `acceptMediaTypeOptions` in
//! k8s.io/apiserver/pkg/endpoints/handlers/negotiation/negotiate.go (v1.35).

use super::{Accepted, Encoding, Encodings, Offer, Shape};

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
    first(header, offer.encodings, |clause, encoding| {
        let shape = match clause.target() {
            None => None,
            Some((kind, group, version)) => Some(Shape::parse(kind.unwrap_or_default(), group?, version?)?),
        };
        let (shape, shape_version) = shape.unwrap_or((Shape::Object, "v1"));
        let is_version = |version: &str| version.is_empty() || (offer.is_resource && version == "v1");
        let has_all = offer.has(shape, encoding) && clause.of("sv").is_none_or(is_version);
        has_all.then(|| Accepted { encoding, shape, shape_version, pretty: clause.is_pretty() })
    })
}

/// The versions of all of discovery at once.
const AGGREGATED_VERSIONS: [&str; 2] = ["v2", "v2beta1"];

/// The first form and version, by weight and by order, of all of discovery at once. Clauses that want something else do not
/// count, however much they weigh.
///
/// Upstream: `DiscoveryEndpointRestrictions` in k8s.io/apiserver/pkg/endpoints/discovery/aggregated/negotiation.go (v1.35),
/// which has given up v2beta1: clients of the releases before v1.30 know nothing else.
pub(super) fn choose_aggregated(header: &str) -> Option<(Accepted, &'static str)> {
    let version_of = |clause: &Clause<'_>| {
        let (kind, group, version) = clause.target()?;
        let is_wanted = kind == Some("APIGroupDiscoveryList") && group == Some("apidiscovery.k8s.io");
        AGGREGATED_VERSIONS.into_iter().find(|known| is_wanted && version == Some(known))
    };
    first(header, Encodings::STABLE, |clause, encoding| {
        let version = version_of(clause).filter(|_| clause.of("sv").is_none_or(str::is_empty))?;
        let shape = Shape::Object;
        Some((Accepted { encoding, shape, shape_version: "v1", pretty: clause.is_pretty() }, version))
    })
}

/// What `taken` makes of the first clause and encoding, of those that go together, that it takes.
fn first<T>(header: &str, encodings: Encodings, taken: impl Fn(&Clause<'_>, Encoding) -> Option<T>) -> Option<T> {
    let clauses = clauses(header);
    let candidates = clauses.iter().flat_map(|clause| encodings.0.iter().map(move |&encoding| (clause, encoding)));
    candidates.filter(|(clause, encoding)| clause.names(*encoding)).find_map(|(clause, encoding)| {
        let is_streamed = |stream: &str| stream.is_empty() || (stream == "watch" && encoding.is_streamed());
        if clause.of("stream").is_none_or(is_streamed) { taken(clause, encoding) } else { None }
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

impl<'a> Clause<'a> {
    /// A parameter. What the last of several of a name says, holds.
    fn of(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().rev().find(|(known, _)| *known == name).map(|&(_, value)| value)
    }

    /// What the object is to be shown as: kind, group and version; `None` if it is wanted as it is.
    fn target(&self) -> Option<(Option<&'a str>, Option<&'a str>, Option<&'a str>)> {
        let target = (self.of("as"), self.of("g"), self.of("v"));
        (target != (None, None, None)).then_some(target)
    }

    fn is_pretty(&self) -> bool {
        self.of("pretty") == Some("1")
    }

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
