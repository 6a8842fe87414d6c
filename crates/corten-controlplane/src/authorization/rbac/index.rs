//! Roles and bindings compiled for decisions: subject -> grants by scope, role -> rules by resource. Pure.

use std::{collections::HashMap, sync::Arc};

use corten_apimachinery::{
    field::quote,
    gvk::GroupResource,
    meta::ObjectMeta as _,
    resource::UserInfo,
    status::Status,
    stored::Stored,
    value::{Str, Value, format_str},
};
use corten_apiserver::{RequestInfo, authorization::Decision};
use corten_storage::cacher::Snapshot;

use super::{GROUP, rule::Rule};
use crate::caches::{Caches, tree};

/// The four resources, in the order of `Index::seen`.
const RESOURCES: [&str; 4] = ["clusterroles", "roles", "clusterrolebindings", "rolebindings"];

/// The role that a binding grants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RoleRef {
    /// A cluster role.
    Cluster(Str),
    /// A role in the binding's namespace.
    Namespaced(Str),
}

/// What a user holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// The rules.
    pub rules: Vec<Rule>,
    /// Roles that bindings name and that do not exist.
    pub errors: Vec<String>,
}

/// Everything that is granted, at one state of roles and bindings.
#[derive(Debug, Default, Clone)]
pub struct Index {
    cluster_roles: Arc<HashMap<Str, Arc<CompiledRole>>>,
    /// By namespace and name.
    roles: Arc<HashMap<Str, HashMap<Str, Arc<CompiledRole>>>>,
    cluster_grants: Arc<Grants>,
    /// By namespace.
    grants: Arc<HashMap<Str, Grants>>,
    /// The revisions of which this is the state.
    seen: Option<[u64; 4]>,
}

/// What is known of unchanged objects, so that a change costs the decoding of what changed.
#[derive(Debug, Default)]
pub struct Parsed {
    roles: HashMap<Str, (u64, Arc<CompiledRole>)>,
    bindings: HashMap<Str, (u64, Arc<Binding>)>,
}

/// A role's rules, found by resource.
#[derive(Debug, Default)]
struct CompiledRole {
    rules: Vec<Rule>,
    by_resource: HashMap<Str, Vec<usize>>,
    any_resource: Vec<usize>,
    urls: Vec<usize>,
}

/// What the subjects of some bindings are granted.
#[derive(Debug, Default)]
struct Grants {
    users: HashMap<Str, Vec<Grant>>,
    groups: HashMap<Str, Vec<Grant>>,
}

#[derive(Debug, Clone)]
struct Grant {
    role: RoleRef,
    reason: Arc<str>,
}

#[derive(Debug)]
struct Binding {
    namespace: Str,
    role: RoleRef,
    subjects: Vec<(Subject, Arc<str>)>,
}

#[derive(Debug)]
enum Subject {
    User(Str),
    Group(Str),
}

impl CompiledRole {
    fn compile(role: &Value) -> Self {
        let mut compiled =
            Self { rules: role.items_at(&["rules"]).iter().map(Rule::from_value).collect(), ..Self::default() };
        for (index, rule) in compiled.rules.iter().enumerate() {
            if !rule.non_resource_urls.is_empty() {
                compiled.urls.push(index);
            }
            for resource in &rule.resources {
                let place = if resource == "*" {
                    &mut compiled.any_resource
                } else {
                    compiled.by_resource.entry(resource.clone()).or_default()
                };
                place.push(index);
            }
        }
        compiled
    }

    fn allows(&self, request: &RequestInfo, asked: &Asked) -> bool {
        let allows = |indices: &[usize]| indices.iter().any(|&at| self.rules[at].allows(request, &asked.combined));
        if !request.is_resource {
            return allows(&self.urls);
        }
        let named = |key: &str| self.by_resource.get(key).is_some_and(|indices| allows(indices));
        named(&asked.combined) || allows(&self.any_resource) || !asked.any_of.is_empty() && named(&asked.any_of)
    }
}

/// The keys under which rules about a request are found.
struct Asked {
    /// `pods/log`.
    combined: Str,
    /// `*/log`; empty for none.
    any_of: Str,
}

impl Asked {
    fn new(request: &RequestInfo) -> Self {
        if request.subresource.is_empty() {
            return Self { combined: request.resource.clone(), any_of: Str::default() };
        }
        Self {
            combined: format_str!("{}/{}", request.resource, request.subresource),
            any_of: format_str!("*/{}", request.subresource),
        }
    }
}

impl Binding {
    fn parse(binding: &Value) -> Self {
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
                    let user = format_str!("system:serviceaccount:{namespace}:{name}");
                    (Subject::User(user), format!("{name}/{namespace}"))
                }
                _ => return None,
            };
            Some((subject, format!("RBAC: allowed by {source} to {kind} {}", quote(&shown)).into()))
        });
        Self { namespace: namespace.into(), role, subjects: subjects.collect() }
    }
}

impl Grants {
    fn add(&mut self, binding: &Binding) {
        for (subject, reason) in &binding.subjects {
            let grant = Grant { role: binding.role.clone(), reason: Arc::clone(reason) };
            match subject {
                Subject::User(name) => self.users.entry(name.clone()).or_default().push(grant),
                Subject::Group(name) => self.groups.entry(name.clone()).or_default().push(grant),
            }
        }
    }

    fn of<'a>(&'a self, user: &'a UserInfo) -> impl Iterator<Item = &'a Grant> {
        let groups = user.groups.iter().filter_map(|group| self.groups.get(group.as_str()));
        self.users.get(user.name.as_str()).into_iter().chain(groups).flatten()
    }
}

impl Index {
    /// Compiles objects; for tests and for callers without caches.
    #[must_use]
    pub fn compile<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Self {
        let (mut cluster_roles, mut roles) = (HashMap::new(), HashMap::<Str, HashMap<_, _>>::new());
        let mut bindings = Vec::new();
        for object in objects {
            let name = Str::from(object.name());
            match object.kind() {
                "ClusterRole" => drop(cluster_roles.insert(name, Arc::new(CompiledRole::compile(object)))),
                "Role" => {
                    let compiled = Arc::new(CompiledRole::compile(object));
                    roles.entry(object.namespace().into()).or_default().insert(name, compiled);
                }
                _ => bindings.push(Arc::new(Binding::parse(object))),
            }
        }
        let (cluster_grants, grants) = grants(&bindings);
        Self {
            cluster_roles: Arc::new(cluster_roles),
            roles: Arc::new(roles),
            cluster_grants: Arc::new(cluster_grants),
            grants: Arc::new(grants),
            seen: None,
        }
    }

    /// Whether this is what the caches show.
    pub(super) fn is_current(&self, caches: &Caches) -> bool {
        let Some(seen) = &self.seen else { return false };
        RESOURCES
            .iter()
            .zip(seen)
            .all(|(&plural, &seen)| caches.get(GROUP, plural).is_none_or(|cacher| cacher.is_at(seen)))
    }

    /// What the caches show; parts that did not change are shared with this one.
    pub(super) fn next(&self, caches: &Caches, parsed: &mut Parsed) -> Self {
        let mut next = self.clone();
        let mut seen = self.seen.unwrap_or_default();
        for (at, plural) in RESOURCES.into_iter().enumerate() {
            let Some(cacher) = caches.get(GROUP, plural) else { continue };
            let snapshot = cacher.any();
            if self.seen.is_some() && snapshot.is_at(seen[at]) {
                continue;
            }
            seen[at] = snapshot.revision();
            match plural {
                "clusterroles" => {
                    let roles = parsed.roles(plural, &snapshot).map(|(object, role)| (object.name.clone(), role));
                    next.cluster_roles = Arc::new(roles.collect());
                }
                "roles" => {
                    let mut roles = HashMap::<Str, HashMap<_, _>>::new();
                    for (object, role) in parsed.roles(plural, &snapshot) {
                        roles.entry(object.namespace.clone()).or_default().insert(object.name.clone(), role);
                    }
                    next.roles = Arc::new(roles);
                }
                "clusterrolebindings" => {
                    next.cluster_grants = Arc::new(grants(&parsed.bindings(plural, &snapshot)).0);
                }
                _ => next.grants = Arc::new(grants(&parsed.bindings(plural, &snapshot)).1),
            }
        }
        next.seen = Some(seen);
        next
    }

    /// Whether `user` may do what `request` asks for.
    #[must_use]
    pub fn decide(&self, user: &UserInfo, request: &RequestInfo) -> Decision {
        let asked = Asked::new(request);
        let mut missing: Vec<String> = Vec::new();
        for (namespace, grant) in self.grants_of(user, &request.namespace) {
            match self.role(&grant.role, namespace) {
                Some(role) if role.allows(request, &asked) => {
                    return Decision::Allow { reason: Some(Arc::clone(&grant.reason)) };
                }
                Some(_) => {}
                None => note(&mut missing, no_such_role(&grant.role).message),
            }
        }
        let reason = match missing.as_slice() {
            [] => String::new(),
            [one] => format!("RBAC: {one}"),
            many => format!("RBAC: [{}]", many.join(", ")),
        };
        Decision::NoOpinion { reason }
    }

    /// What `user` may do in `namespace` (nowhere in particular, if it is empty), cluster-wide rights included.
    #[must_use]
    pub fn rules_for(&self, user: &UserInfo, namespace: &str) -> Held {
        let mut held = Held::default();
        for (namespace, grant) in self.grants_of(user, namespace) {
            match self.role(&grant.role, namespace) {
                Some(role) => held.rules.extend(role.rules.iter().cloned()),
                None => note(&mut held.errors, no_such_role(&grant.role).message),
            }
        }
        held
    }

    /// The rules of the role that a binding in `namespace` names.
    ///
    /// Errors: `NotFound`.
    pub fn role_rules(&self, role: &RoleRef, namespace: &str) -> Result<&[Rule], Status> {
        self.role(role, namespace).map(|role| role.rules.as_slice()).ok_or_else(|| no_such_role(role))
    }

    fn role(&self, role: &RoleRef, namespace: &str) -> Option<&CompiledRole> {
        match role {
            RoleRef::Cluster(name) => self.cluster_roles.get(name.as_str()),
            RoleRef::Namespaced(name) => self.roles.get(namespace)?.get(name.as_str()),
        }
        .map(|role| &**role)
    }

    fn grants_of<'a>(&'a self, user: &'a UserInfo, namespace: &'a str) -> impl Iterator<Item = (&'a str, &'a Grant)> {
        let local = self.grants.get(namespace).filter(|_| !namespace.is_empty());
        let local = local.into_iter().flat_map(move |grants| grants.of(user));
        self.cluster_grants.of(user).map(|grant| ("", grant)).chain(local.map(move |grant| (namespace, grant)))
    }
}

impl Parsed {
    fn roles<'a>(
        &mut self,
        plural: &str,
        snapshot: &'a Snapshot,
    ) -> std::vec::IntoIter<(&'a Arc<Stored>, Arc<CompiledRole>)> {
        reuse(&mut self.roles, plural, snapshot, CompiledRole::compile).into_iter()
    }

    fn bindings(&mut self, plural: &str, snapshot: &Snapshot) -> Vec<Arc<Binding>> {
        reuse(&mut self.bindings, plural, snapshot, Binding::parse).into_iter().map(|(_, binding)| binding).collect()
    }
}

/// The parsed form of every object of `snapshot`: what is `known` if the object did not change, else parsed anew.
fn reuse<'a, T>(
    known: &mut HashMap<Str, (u64, Arc<T>)>,
    plural: &str,
    snapshot: &'a Snapshot,
    parse: fn(&Value) -> T,
) -> Vec<(&'a Arc<Stored>, Arc<T>)> {
    let prefix = format!("{plural}:");
    let mut fresh = HashMap::with_capacity(snapshot.len());
    let mut all = Vec::with_capacity(snapshot.len());
    for (key, object) in snapshot.range("", "") {
        let known_as = format_str!("{prefix}{key}");
        let parsed = match known.remove(&known_as) {
            Some((revision, parsed)) if revision == object.revision => parsed,
            // What cannot be read grants nothing.
            _ => match tree(object) {
                Ok(tree) => Arc::new(parse(&tree)),
                Err(error) => {
                    tracing::error!(object = %known_as, err = %error, "Could not read a role or binding");
                    continue;
                }
            },
        };
        fresh.insert(known_as, (object.revision, Arc::clone(&parsed)));
        all.push((object, parsed));
    }
    known.retain(|known_as, _| !known_as.starts_with(&prefix));
    known.extend(fresh);
    all
}

fn grants(bindings: &[Arc<Binding>]) -> (Grants, HashMap<Str, Grants>) {
    let (mut cluster, mut local) = (Grants::default(), HashMap::<Str, Grants>::new());
    for binding in bindings {
        let place = if binding.namespace.is_empty() {
            &mut cluster
        } else {
            local.entry(binding.namespace.clone()).or_default()
        };
        place.add(binding);
    }
    (cluster, local)
}

fn note(errors: &mut Vec<String>, error: String) {
    if !errors.contains(&error) {
        errors.push(error);
    }
}

fn no_such_role(role: &RoleRef) -> Status {
    // The singular is upstream's, and visible to clients.
    let (resource, name) = match role {
        RoleRef::Cluster(name) => ("clusterrole", name),
        RoleRef::Namespaced(name) => ("role", name),
    };
    Status::not_found(&GroupResource::new(GROUP, resource), name)
}
