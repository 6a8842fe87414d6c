//! Projections: of each object only what a component needs, as its own compact struct, kept once per process.
//!
//! A component that decodes 150,000 pods keeps gigabytes; one that keeps its facts of them keeps a fraction. The
//! projection is made once per version of an object, when the informer hears of it. Most versions leave most of an object as it
//! was, and so whoever projects gets the version before, too: what is written as it was then need not be read
//! (`json::Outlined::fields`).

use std::sync::Arc;

use corten_apimachinery::{stored::Stored, value::Str};
use parking_lot::{Mutex, RwLock};

use crate::{
    handler::Handler,
    key::Key,
    keyed_set::{KeyedSet, Named},
};

/// What is kept of one version of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection<P> {
    /// That version, which the informer keeps as long.
    pub object: Arc<Stored>,
    /// What the component needs.
    pub value: P,
}

impl<P> Projection<P> {
    /// The object's key.
    #[must_use]
    pub fn key(&self) -> Key {
        Key::of(&self.object)
    }
}

impl<P> Named for Projection<P> {
    fn namespace(&self) -> &Str {
        &self.object.namespace
    }

    fn name(&self) -> &Str {
        &self.object.name
    }
}

/// Told of changes like a `Handler`, with projections.
pub trait ProjectionHandler<P>: Send + Sync + 'static {
    /// An object came into view.
    fn on_add(&self, object: &Arc<Projection<P>>);
    /// An object changed; also when the projection came out equal.
    fn on_update(&self, old: &Arc<Projection<P>>, new: &Arc<Projection<P>>);
    /// An object went out of view; the projection of the last state that was seen.
    fn on_delete(&self, object: &Arc<Projection<P>>);
}

/// Makes what is kept of a version; of the one before, if there was one.
type Project<P> = dyn Fn(&Stored, Option<&Projection<P>>) -> P + Send + Sync;

/// A store of projections, fed by an informer as one of its handlers.
///
/// Capacity: as many entries as the informer has objects.
pub struct Projected<P> {
    project: Box<Project<P>>,
    objects: RwLock<KeyedSet<Projection<P>>>,
    /// Held while a change is stored and told: that orders handlers that come late.
    handlers: Mutex<Vec<Arc<dyn ProjectionHandler<P>>>>,
}

impl<P: Send + Sync + 'static> Projected<P> {
    /// An empty store; `project` runs once per version of each object, on the reflector's task. It is given the version before
    /// as well, unless the object is new.
    pub fn new(project: impl Fn(&Stored, Option<&Projection<P>>) -> P + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { project: Box::new(project), objects: RwLock::default(), handlers: Mutex::default() })
    }

    /// Tells `handler` of everything that is there, then of every change.
    pub fn add_handler(&self, handler: Arc<dyn ProjectionHandler<P>>) {
        let mut handlers = self.handlers.lock();
        for object in self.list() {
            handler.on_add(&object);
        }
        handlers.push(handler);
    }

    /// One projection.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Arc<Projection<P>>> {
        self.objects.read().get(&key.namespace, &key.name).cloned()
    }

    /// All projections, by namespace and name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Projection<P>>> {
        self.objects.read().iter().cloned().collect()
    }

    /// The projections of a namespace, by name.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<Projection<P>>> {
        self.objects.read().in_namespace(namespace).cloned().collect()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.read().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.read().is_empty()
    }

    fn put(&self, object: &Arc<Stored>, before: Option<Arc<Projection<P>>>) {
        let value = (self.project)(object, before.as_deref());
        let new = Arc::new(Projection { object: Arc::clone(object), value });
        let handlers = self.handlers.lock();
        let old = self.objects.write().replace(Arc::clone(&new));
        for handler in handlers.iter() {
            match &old {
                Some(old) => handler.on_update(old, &new),
                None => handler.on_add(&new),
            }
        }
    }
}

impl<P: Send + Sync + 'static> Handler for Projected<P> {
    fn on_add(&self, object: &Arc<Stored>) {
        self.put(object, None);
    }

    fn on_update(&self, _old: &Arc<Stored>, new: &Arc<Stored>) {
        let before = self.objects.read().get(&new.namespace, &new.name).cloned();
        self.put(new, before);
    }

    fn on_delete(&self, object: &Arc<Stored>, _final_state_unknown: bool) {
        let handlers = self.handlers.lock();
        let Some(old) = self.objects.write().take(&object.namespace, &object.name) else { return };
        for handler in handlers.iter() {
            handler.on_delete(&old);
        }
    }
}

impl<P> std::fmt::Debug for Projected<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Projected").field("of", &std::any::type_name::<P>()).finish_non_exhaustive()
    }
}
