//! Roles and bindings compiled for decisions: role -> rules by resource, namespace and subject -> grants. Pure.
//!
//! An index never changes; the next one shares with it all that stayed as it was. So a change costs what it changes, and one
//! look at the revision of each object of its resource.

use std::{collections::HashSet, ops::Bound, sync::Arc};

use corten_apimachinery::{
    gvk::GroupResource, meta::ObjectMeta as _, resource::UserInfo, status::Status, value::Value,
};
use corten_apiserver::{RequestInfo, authorization::Decision};
use corten_storage::{cacher::Snapshot, object::cache_key};
use immutable_chunkmap::map::MapM;

use super::{
    GROUP,
    compiled_role::{Asked, CompiledRole},
    grants::{Binding, Grant, Grants, RoleRef},
    rule::Rule,
};
use crate::caches::{Caches, tree};

/// So many roles that are not there are told.
const MISSING_ROLES_MAX: usize = 10;

/// So many texts may be in the rules that somebody is said to hold: a hundred times what all rights of an administrator have.
const HELD_TEXTS_MAX: usize = 100_000;

/// So many roles are compared with each other before it is worth a set.
const FEW: usize = 16;

/// So many bytes of roles and bindings are read in one go: about a millisecond.
const WORK_AT_ONCE: usize = 64 << 10;

/// To look whether an object has changed takes as long as to read so many bytes of one.
const LOOK: usize = 16;

/// The four resources, in the order of `Index::seen`.
const RESOURCES: [&str; 4] = ["clusterroles", "roles", "clusterrolebindings", "rolebindings"];

/// What a user holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Held<'a> {
    /// The rules.
    pub rules: Vec<&'a Rule>,
    /// Why these may not be all: roles that bindings name and that do not exist, or too many rules.
    pub errors: Vec<String>,
}

/// Everything that is granted, at one state of roles and bindings. Cloning is O(1).
#[derive(Debug, Default, Clone)]
pub struct Index {
    cluster_roles: Objects<CompiledRole>,
    roles: Objects<CompiledRole>,
    cluster_bindings: Objects<Binding>,
    bindings: Objects<Binding>,
    grants: Grants,
    /// The revisions of which this is the state.
    seen: Option<[u64; 4]>,
}

/// Compiled objects with their revisions, by cache key.
type Objects<T> = MapM<Box<str>, Entry<T>>;
type Entry<T> = (u64, Arc<T>);

/// What became of objects, by cache key, in its order; `None` if they are gone.
type Changes<T> = Vec<(Box<str>, Option<Entry<T>>)>;

/// Those that were there before, few or many.
#[derive(Default)]
struct Seen<'a> {
    few: Vec<&'a RoleRef>,
    many: HashSet<&'a RoleRef>,
}

impl<'a> Seen<'a> {
    fn is_new(&mut self, role: &'a RoleRef) -> bool {
        if self.few.contains(&role) {
            return false;
        }
        if self.few.len() < FEW {
            self.few.push(role);
            return true;
        }
        self.many.insert(role)
    }
}

/// Roles that are not there.
#[derive(Default)]
struct Missing {
    told: Vec<String>,
    further: usize,
}

impl Missing {
    /// Each role comes once.
    fn add(&mut self, role: &RoleRef) {
        if self.told.len() < MISSING_ROLES_MAX {
            self.told.push(no_such_role(role).message);
        } else {
            self.further += 1;
        }
    }

    fn into_errors(mut self) -> Vec<String> {
        if self.further > 0 {
            self.told.push(format!("{} more roles not found", self.further));
        }
        self.told
    }
}

impl Index {
    /// Compiles objects; for tests and for callers without caches.
    #[must_use]
    pub fn compile<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Self {
        let (mut cluster_roles, mut roles) = (Changes::new(), Changes::new());
        let (mut cluster_bindings, mut bindings) = (Changes::new(), Changes::new());
        for object in objects {
            let key = Box::from(cache_key(object.namespace(), object.name()).as_str());
            match object.kind() {
                "ClusterRole" => cluster_roles.push((key, Some((0, Arc::new(CompiledRole::compile(object)))))),
                "Role" => roles.push((key, Some((0, Arc::new(CompiledRole::compile(object)))))),
                "ClusterRoleBinding" => cluster_bindings.push((key, Some((0, Arc::new(Binding::parse(object)))))),
                _ => bindings.push((key, Some((0, Arc::new(Binding::parse(object)))))),
            }
        }
        let mut index = Self::default();
        apply(&mut index.cluster_roles, cluster_roles);
        apply(&mut index.roles, roles);
        regrant(&mut index.grants, &mut index.cluster_bindings, cluster_bindings);
        regrant(&mut index.grants, &mut index.bindings, bindings);
        index
    }

    /// Whether this is what the caches show.
    pub(super) fn is_current(&self, caches: &Caches) -> bool {
        let Some(seen) = &self.seen else { return false };
        RESOURCES
            .iter()
            .zip(seen)
            .all(|(&plural, &seen)| caches.get(GROUP, plural).is_none_or(|cacher| cacher.is_at(seen)))
    }

    /// What the caches show; what did not change is shared with this one. Others have their turn meanwhile.
    pub(super) async fn next(&self, caches: &Caches) -> Self {
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
                "clusterroles" => replace_roles(&mut next.cluster_roles, &snapshot).await,
                "roles" => replace_roles(&mut next.roles, &snapshot).await,
                "clusterrolebindings" => {
                    replace_bindings(&mut next.grants, &mut next.cluster_bindings, &snapshot).await;
                }
                _ => replace_bindings(&mut next.grants, &mut next.bindings, &snapshot).await,
            }
        }
        next.seen = Some(seen);
        next
    }

    /// Whether `user` may do what `request` asks for.
    #[must_use]
    pub fn decide(&self, user: &UserInfo, request: &RequestInfo) -> Decision {
        let asked = Asked::new(request);
        let mut missing = Missing::default();
        for grant in self.roles_of(user, &request.namespace) {
            match self.role(&grant.binding.role, &grant.binding.namespace) {
                Some(role) if role.allows(request, &asked) => {
                    return Decision::Allow { reason: Some(Arc::clone(&grant.reason)) };
                }
                Some(_) => {}
                None => missing.add(&grant.binding.role),
            }
        }
        let reason = match missing.into_errors().as_slice() {
            [] => String::new(),
            [one] => format!("RBAC: {one}"),
            many => format!("RBAC: [{}]", many.join(", ")),
        };
        Decision::NoOpinion { reason }
    }

    /// What `user` may do in `namespace` (nowhere in particular, if it is empty), cluster-wide rights included.
    #[must_use]
    pub fn rules_for(&self, user: &UserInfo, namespace: &str) -> Held<'_> {
        let (mut rules, mut missing) = (Vec::new(), Missing::default());
        let (mut bindings, mut not_there) = (HashSet::new(), Seen::default());
        let mut texts_left = HELD_TEXTS_MAX;
        let mut is_all = true;
        for Grant { binding, .. } in self.grants.of(user, namespace) {
            // Upstream asks each binding once whether it is about somebody.
            if !bindings.insert(Arc::as_ptr(binding)) {
                continue;
            }
            let Some(role) = self.role(&binding.role, &binding.namespace) else {
                if not_there.is_new(&binding.role) {
                    missing.add(&binding.role);
                }
                continue;
            };
            for rule in role.rules() {
                let left = texts_left.checked_sub(1 + rule.texts());
                texts_left = left.unwrap_or_default();
                is_all &= left.is_some();
                if !is_all {
                    break;
                }
                rules.push(rule);
            }
            if !is_all {
                break;
            }
        }
        let mut errors = missing.into_errors();
        if !is_all {
            errors.push(format!("too many rules: only the first {} are looked at", rules.len()));
        }
        Held { rules, errors }
    }

    /// The rules of the role that a binding in `namespace` names.
    ///
    /// Errors: `NotFound`.
    pub fn role_rules(&self, role: &RoleRef, namespace: &str) -> Result<&[Rule], Status> {
        self.role(role, namespace).map(CompiledRole::rules).ok_or_else(|| no_such_role(role))
    }

    fn role(&self, role: &RoleRef, namespace: &str) -> Option<&CompiledRole> {
        match role {
            RoleRef::Cluster(name) => self.cluster_roles.get(name.as_str()),
            RoleRef::Namespaced(name) => self.roles.get(cache_key(namespace, name).as_str()),
        }
        .map(|(_, role)| &**role)
    }

    /// The grants of `user`, each role once: what it allows does not depend on who gave it, or where.
    fn roles_of<'a>(&'a self, user: &UserInfo, namespace: &str) -> impl Iterator<Item = &'a Grant> {
        let mut seen = Seen::default();
        self.grants.of(user, namespace).filter(move |grant| seen.is_new(&grant.binding.role))
    }
}

async fn replace_roles(known: &mut Objects<CompiledRole>, snapshot: &Snapshot) {
    let mut from: Option<Box<str>> = Some(Box::default());
    while let Some(start) = from {
        let (changes, next) = changes(known, snapshot, &start, CompiledRole::compile);
        apply(known, changes);
        from = next;
        tokio::task::yield_now().await;
    }
}

async fn replace_bindings(grants: &mut Grants, known: &mut Objects<Binding>, snapshot: &Snapshot) {
    let mut from: Option<Box<str>> = Some(Box::default());
    while let Some(start) = from {
        let (changes, next) = changes(known, snapshot, &start, Binding::parse);
        regrant(grants, known, changes);
        from = next;
        tokio::task::yield_now().await;
    }
}

/// What makes of `known` the objects of `snapshot`, from the key `start` on: so much as is read in one go, and where to go on.
fn changes<T>(
    known: &Objects<T>,
    snapshot: &Snapshot,
    start: &str,
    parse: fn(&Value) -> T,
) -> (Changes<T>, Option<Box<str>>) {
    let (mut changes, mut work) = (Changes::new(), 0);
    let objects = snapshot.range("", start);
    let known = known.range((Bound::Included(Box::from(start)), Bound::Unbounded));
    let mut known = known.map(|(key, (revision, _))| (key, *revision)).peekable();
    for (key, object) in objects {
        while let Some((gone, _)) = known.next_if(|(old, _)| &***old < key) {
            changes.push((gone.clone(), None));
        }
        if work >= WORK_AT_ONCE {
            return (changes, Some(key.into()));
        }
        work += LOOK;
        let before = known.next_if(|(old, _)| &***old == key);
        if before.is_some_and(|(_, revision)| revision == object.revision) {
            continue;
        }
        work += object.json.len();
        match tree(object) {
            Ok(tree) => changes.push((key.into(), Some((object.revision, Arc::new(parse(&tree)))))),
            // What cannot be read grants nothing.
            Err(error) => {
                tracing::error!(object = key, err = %error, "Could not read a role or binding");
                changes.extend(before.map(|(key, _)| (key.clone(), None)));
            }
        }
    }
    changes.extend(known.map(|(gone, _)| (gone.clone(), None)));
    (changes, None)
}

fn apply<T>(objects: &mut Objects<T>, changes: Changes<T>) {
    *objects = objects.update_many(changes, |key, entry, _| entry.map(|entry| (key, entry)));
}

/// Applies `changes` to `bindings`, and to `grants` what follows from them. Returns how many grants were touched.
fn regrant(grants: &mut Grants, bindings: &mut Objects<Binding>, changes: Changes<Binding>) -> usize {
    let gone = changes.iter().filter_map(|(key, _)| bindings.get(key)).map(|(_, binding)| binding);
    let come = changes.iter().filter_map(|(_, entry)| entry.as_ref()).map(|(_, binding)| binding);
    let touched = grants.replace(gone, come);
    apply(bindings, changes);
    touched
}

fn no_such_role(role: &RoleRef) -> Status {
    // The singular is upstream's, and visible to clients.
    let (resource, name) = match role {
        RoleRef::Cluster(name) => ("clusterrole", name),
        RoleRef::Namespaced(name) => ("role", name),
    };
    Status::not_found(&GroupResource::new(GROUP, resource), name)
}

#[cfg(test)]
mod tests;
