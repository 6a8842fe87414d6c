//! One rule of a role: what it allows, what of another rule it covers, and how it prints.
//!
//! Upstream: pkg/apis/rbac/v1/evaluation_helpers.go, k8s.io/component-helpers/auth/rbac/validation (v1.35).

use std::fmt::Write as _;

use corten_apimachinery::{
    field::quote,
    value::{Str, Value},
};
use corten_apiserver::RequestInfo;

const ALL: &str = "*";

/// One rule of a role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rule {
    /// The verbs, or `*`.
    pub verbs: Vec<Str>,
    /// The groups, or `*`.
    pub api_groups: Vec<Str>,
    /// The resources: `pods`, `pods/log`, `*/scale`, or `*`.
    pub resources: Vec<Str>,
    /// The only objects that it is about; empty for all.
    pub resource_names: Vec<Str>,
    /// Paths besides resources: `/healthz`, `/healthz/*`, or `*`.
    pub non_resource_urls: Vec<Str>,
}

impl Rule {
    /// Everything there is.
    #[must_use]
    pub fn full_authority() -> [Self; 2] {
        let all = || vec![Str::const_new(ALL)];
        [
            Self { verbs: all(), api_groups: all(), resources: all(), ..Self::default() },
            Self { verbs: all(), non_resource_urls: all(), ..Self::default() },
        ]
    }

    /// Reads an entry of `rules`.
    #[must_use]
    pub fn from_value(rule: &Value) -> Self {
        let texts = |key: &str| rule.items_at(&[key]).iter().filter_map(Value::as_str).map(Str::from).collect();
        Self {
            verbs: texts("verbs"),
            api_groups: texts("apiGroups"),
            resources: texts("resources"),
            resource_names: texts("resourceNames"),
            non_resource_urls: texts("nonResourceURLs"),
        }
    }

    /// Writes an entry of `rules`; empty lists are left out.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let fields = [
            ("verbs", &self.verbs),
            ("apiGroups", &self.api_groups),
            ("resources", &self.resources),
            ("resourceNames", &self.resource_names),
            ("nonResourceURLs", &self.non_resource_urls),
        ];
        let filled = fields.into_iter().filter(|(_, texts)| !texts.is_empty());
        Value::object_of(filled.map(|(key, texts)| (key, Value::array(texts.iter().cloned().map(Value::from)))))
    }

    /// Whether this allows `request`; `combined` is its resource with its subresource: `pods/log`.
    #[must_use]
    pub fn allows(&self, request: &RequestInfo, combined: &str) -> bool {
        if !has_or_all(&self.verbs, &request.verb) {
            return false;
        }
        if !request.is_resource {
            return self.covers_url(&request.path);
        }
        has_or_all(&self.api_groups, &request.group)
            && self.resources.iter().any(|resource| matches_resource(resource, combined, &request.subresource))
            && (self.resource_names.is_empty() || has(&self.resource_names, &request.name))
    }

    fn covers_url(&self, path: &str) -> bool {
        self.non_resource_urls
            .iter()
            .any(|url| url == path || url.ends_with('*') && path.starts_with(url.trim_end_matches('*')))
    }

    /// Whether this allows everything that `part` allows, which is about resources or about paths.
    pub(super) fn covers(&self, part: &Rule) -> bool {
        let covers_resource = |resource: &Str| {
            has_or_all(&self.resources, resource)
                || resource.split_once('/').is_some_and(|(_, subresource)| {
                    self.resources.iter().any(|own| own.strip_prefix("*/") == Some(subresource))
                })
        };
        let covers_names = if part.resource_names.is_empty() {
            self.resource_names.is_empty()
        } else {
            self.resource_names.is_empty() || part.resource_names.iter().all(|name| has(&self.resource_names, name))
        };
        part.verbs.iter().all(|verb| has_or_all(&self.verbs, verb))
            && part.api_groups.iter().all(|group| has_or_all(&self.api_groups, group))
            && part.resources.iter().all(covers_resource)
            && part.non_resource_urls.iter().all(|url| self.covers_url(url))
            && covers_names
    }

    /// How many texts this has.
    pub(super) fn texts(&self) -> usize {
        let lists = [&self.verbs, &self.api_groups, &self.resources, &self.resource_names, &self.non_resource_urls];
        lists.into_iter().map(Vec::len).sum()
    }

    /// How many texts `covers` compares at most.
    pub(super) fn comparisons(&self, part: &Rule) -> u64 {
        let lists = [
            (&self.verbs, &part.verbs),
            (&self.resources, &part.resources),
            (&self.resource_names, &part.resource_names),
        ];
        lists.into_iter().map(product).sum::<u64>() + self.comparisons_of_places(part)
    }

    /// How many texts `is_near` compares at most.
    pub(super) fn comparisons_of_places(&self, rule: &Rule) -> u64 {
        1 + product((&self.api_groups, &rule.api_groups)) + product((&self.non_resource_urls, &rule.non_resource_urls))
    }

    /// Whether this is about a group or path that `rule` is about: if not, it covers no part of it.
    pub(super) fn is_near(&self, rule: &Rule) -> bool {
        rule.api_groups.iter().any(|group| has_or_all(&self.api_groups, group))
            || rule.non_resource_urls.iter().any(|url| self.covers_url(url))
    }

    /// The smallest rules that together allow the same, one after the other: there may be more than memory has room for.
    pub(super) fn parts(&self) -> impl Iterator<Item = Rule> {
        let names = move || {
            let each = self.resource_names.iter().map(|name| vec![name.clone()]);
            each.chain(self.resource_names.is_empty().then(Vec::new))
        };
        // What has no verb or resource has no parts: the others are not worth a walk.
        let is_about_resources = !self.resources.is_empty() && !self.verbs.is_empty();
        let groups = self.api_groups.iter().filter(move |_| is_about_resources);
        let of_resources = groups.flat_map(move |group| {
            self.resources.iter().flat_map(move |resource| {
                self.verbs.iter().flat_map(move |verb| {
                    names().map(move |names| Rule {
                        verbs: vec![verb.clone()],
                        api_groups: vec![group.clone()],
                        resources: vec![resource.clone()],
                        resource_names: names,
                        non_resource_urls: Vec::new(),
                    })
                })
            })
        });
        let of_urls = self.non_resource_urls.iter().flat_map(move |url| {
            self.verbs.iter().map(move |verb| Rule {
                verbs: vec![verb.clone()],
                non_resource_urls: vec![url.clone()],
                ..Rule::default()
            })
        });
        of_resources.chain(of_urls)
    }

    /// The rule on one line, as refusals name it.
    #[must_use]
    pub fn describe(&self) -> String {
        let fields = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        let shown = fields.iter().filter(|(_, texts)| !texts.is_empty());
        let parts: Vec<String> = shown.map(|(key, texts)| format!("{key}:{}", quote_all(texts))).collect();
        format!("{{{}}}", parts.join(", "))
    }

    /// The key under which rules about the same thing are put together; `None` for rules that are about several.
    pub(super) fn subject(&self) -> Option<(Str, Str, Option<Str>)> {
        let is_simple = self.api_groups.len() == 1
            && self.resources.len() == 1
            && self.resource_names.len() <= 1
            && self.non_resource_urls.is_empty();
        is_simple.then(|| (self.api_groups[0].clone(), self.resources[0].clone(), self.resource_names.first().cloned()))
    }
}

/// Texts as Go prints a slice of them with `%q`.
pub(super) fn quote_all<S: AsRef<str>>(texts: &[S]) -> String {
    let mut shown = String::from("[");
    for (index, text) in texts.iter().enumerate() {
        let gap = if index == 0 { "" } else { " " };
        let _ = write!(shown, "{gap}{}", quote(text.as_ref()));
    }
    shown.push(']');
    shown
}

fn product((a, b): (&Vec<Str>, &Vec<Str>)) -> u64 {
    u64::try_from(a.len().saturating_mul(b.len())).unwrap_or(u64::MAX)
}

fn has(texts: &[Str], wanted: &str) -> bool {
    texts.iter().any(|text| text == wanted)
}

fn has_or_all(texts: &[Str], wanted: &str) -> bool {
    texts.iter().any(|text| text == wanted || text == ALL)
}

fn matches_resource(resource: &str, combined: &str, subresource: &str) -> bool {
    resource == ALL
        || resource == combined
        || !subresource.is_empty() && resource.strip_prefix("*/") == Some(subresource)
}
