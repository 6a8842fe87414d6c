//! Who is granted what by which binding: found by namespace and subject. Pure.

use std::{
    collections::HashSet,
    ops::Bound,
    sync::{Arc, LazyLock},
};

use corten_apimachinery::{
    field::quote,
    meta::ObjectMeta as _,
    resource::UserInfo,
    value::{Str, Value},
};
use immutable_chunkmap::map::MapM;

/// The role that a binding grants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RoleRef {
    /// A cluster role.
    Cluster(Str),
    /// A role in the binding's namespace.
    Namespaced(Str),
}

/// All grants. Cloning is O(1).
#[derive(Debug, Default, Clone)]
pub(super) struct Grants(MapM<Key, Grant>);

/// Whom a binding grants something, and where. Ordered so that all grants of one subject in one place are side by side.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// Empty: everywhere.
    namespace: Arc<str>,
    subject: Subject,
    binding: Arc<str>,
}

/// What a binding grants to one of its subjects.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) binding: Arc<Binding>,
    /// Why a request was allowed.
    pub(super) reason: Arc<str>,
}

/// A role binding or cluster role binding.
#[derive(Debug)]
pub(super) struct Binding {
    /// Empty for those of the cluster.
    pub(super) namespace: Arc<str>,
    name: Arc<str>,
    pub(super) role: RoleRef,
    /// Each of them once.
    subjects: Vec<(Subject, Arc<str>)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Subject {
    User(Arc<str>),
    Group(Arc<str>),
}

impl Binding {
    pub(super) fn parse(binding: &Value) -> Self {
        let namespace = binding.namespace();
        let text = |path: &[&str]| binding.str_at(path).unwrap_or_default();
        let (role_kind, role_name) = (text(&["roleRef", "kind"]), text(&["roleRef", "name"]));
        let role = match role_kind {
            "Role" => RoleRef::Namespaced(role_name.into()),
            _ => RoleRef::Cluster(role_name.into()),
        };
        let (kind, shown) = if namespace.is_empty() {
            ("ClusterRoleBinding", binding.name().to_owned())
        } else {
            ("RoleBinding", format!("{}/{namespace}", binding.name()))
        };
        let source = format!("{kind} {} of {role_kind} {}", quote(&shown), quote(role_name));
        let subjects = binding.items_at(&["subjects"]).iter().filter_map(|subject| {
            let text = |key: &str| subject.str_at(&[key]).unwrap_or_default();
            let (kind, name) = (text("kind"), text("name"));
            let (subject, shown) = match kind {
                "User" => (Subject::User(name.into()), name.to_owned()),
                "Group" => (Subject::Group(name.into()), name.to_owned()),
                "ServiceAccount" => {
                    let own = text("namespace");
                    let namespace = if own.is_empty() { namespace } else { own };
                    if namespace.is_empty() {
                        return None;
                    }
                    let user = format!("system:serviceaccount:{namespace}:{name}");
                    (Subject::User(user.into()), format!("{name}/{namespace}"))
                }
                _ => return None,
            };
            Some((subject, kind, shown))
        });
        // Whoever is named twice is granted it once, for the first reason.
        let mut seen = HashSet::new();
        let new = subjects.filter(|(subject, ..)| seen.insert(subject.clone()));
        let subjects = new
            .map(|(subject, kind, shown)| {
                (subject, format!("RBAC: allowed by {source} to {kind} {}", quote(&shown)).into())
            })
            .collect();
        Self { namespace: namespace.into(), name: binding.name().into(), role, subjects }
    }

    fn key(&self, subject: &Subject) -> Key {
        Key { namespace: Arc::clone(&self.namespace), subject: subject.clone(), binding: Arc::clone(&self.name) }
    }
}

impl Grants {
    /// Takes away what the bindings `gone` granted, and then adds what `come` grant. Returns how many grants that were.
    pub(super) fn replace<'a>(
        &mut self,
        gone: impl Iterator<Item = &'a Arc<Binding>>,
        come: impl Iterator<Item = &'a Arc<Binding>>,
    ) -> usize {
        let gone = gone.flat_map(|binding| binding.subjects.iter().map(|(subject, _)| binding.key(subject)));
        let mut gone: Vec<Key> = gone.collect();
        let come = come.flat_map(|binding| {
            let grant = |reason: &Arc<str>| Grant { binding: Arc::clone(binding), reason: Arc::clone(reason) };
            binding.subjects.iter().map(move |(subject, reason)| (binding.key(subject), grant(reason)))
        });
        let mut come: Vec<(Key, Grant)> = come.collect();
        let touched = gone.len() + come.len();
        // In their order, many go at once.
        gone.sort_unstable();
        come.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        self.0 = self.0.remove_many(gone).insert_many(come);
        touched
    }

    /// What `user` is granted everywhere and in `namespace`, if that is not empty.
    pub(super) fn of<'a>(&'a self, user: &UserInfo, namespace: &str) -> impl Iterator<Item = &'a Grant> {
        static NOWHERE: LazyLock<Arc<str>> = LazyLock::new(Arc::default);
        let local = (!namespace.is_empty()).then(|| Arc::from(namespace));
        let scopes = std::iter::once(Arc::clone(&NOWHERE)).chain(local);
        let groups = user.groups.iter().map(|group| Subject::Group(group.as_str().into()));
        let subjects: Vec<Subject> = std::iter::once(Subject::User(user.name.as_str().into())).chain(groups).collect();
        scopes.flat_map(move |namespace| {
            let starts: Vec<Key> = subjects
                .iter()
                .map(|subject| Key {
                    namespace: Arc::clone(&namespace),
                    subject: subject.clone(),
                    binding: Arc::clone(&NOWHERE),
                })
                .collect();
            starts.into_iter().flat_map(move |start| {
                let Key { namespace, subject, .. } = start.clone();
                self.0
                    .range((Bound::Included(start), Bound::Unbounded))
                    .take_while(move |(key, _)| key.subject == subject && key.namespace == namespace)
                    .map(|(_, grant)| grant)
            })
        })
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> Vec<String> {
        self.0.into_iter().map(|(key, _)| format!("{key:?}")).collect()
    }
}
