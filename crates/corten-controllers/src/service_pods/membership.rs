//! Which services a change of a pod is about.

use std::sync::Arc;

use corten_apimachinery::{labels::Labels, selector::label::Selector, stored::Stored, value::Str};
use corten_controller::{Key, WorkQueue};
use corten_informer::{Projected, Projection, ProjectionHandler};
use serde::Deserialize;

use crate::{objects::has_same, pods::PodState};

/// A service's selector; `None` if it has none and so selects nothing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ServiceSelector(pub(crate) Option<Selector>);

#[derive(Deserialize, Default)]
#[serde(default)]
struct ServiceView {
    spec: SpecView,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SpecView {
    selector: Option<std::collections::BTreeMap<Str, Str>>,
}

impl ServiceSelector {
    /// The selector of a served service, of which there may have been a version before.
    pub(crate) fn of(service: &Stored, before: Option<&Projection<Self>>) -> Self {
        if let Some(before) = before.filter(|before| has_same(&before.object, service, &[&["spec", "selector"]])) {
            return before.value.clone();
        }
        let view: ServiceView = match service.json.view() {
            Ok(view) => view,
            Err(error) => {
                tracing::error!(service = %Key::of(service), err = %error, "Read a service that is none");
                ServiceView::default()
            }
        };
        let selector = view.spec.selector.filter(|selector| !selector.is_empty());
        Self(selector.map(|map| Selector::from_map(map.iter().map(|(key, value)| (key.as_str(), value.as_str())))))
    }

    /// Whether a pod with these labels belongs to the service.
    pub(crate) fn matches(&self, labels: &Labels) -> bool {
        self.0.as_ref().is_some_and(|selector| selector.matches(labels))
    }
}

/// Queues the services of pods that changed, and services that changed. Goes to both projections, so that a change of
/// either is seen by whoever looks at the other later.
pub(crate) struct Membership {
    queue: Arc<WorkQueue<Key>>,
    services: Arc<Projected<ServiceSelector>>,
}

impl Membership {
    /// Follows `pods` and `services` for `queue`.
    pub(crate) fn follow(
        queue: &Arc<WorkQueue<Key>>,
        pods: &Projected<PodState>,
        services: &Arc<Projected<ServiceSelector>>,
    ) {
        let this = Arc::new(Self { queue: Arc::clone(queue), services: Arc::clone(services) });
        services.add_handler(Arc::clone(&this) as Arc<dyn ProjectionHandler<ServiceSelector>>);
        pods.add_handler(this as Arc<dyn ProjectionHandler<PodState>>);
    }

    fn services_of(&self, pod: &Projection<PodState>) {
        for service in self.services.in_namespace(&pod.object.namespace) {
            if service.value.matches(&pod.object.facts.labels) {
                self.queue.add(service.key());
            }
        }
    }
}

impl ProjectionHandler<PodState> for Membership {
    fn on_add(&self, pod: &Arc<Projection<PodState>>) {
        self.services_of(pod);
    }

    fn on_update(&self, old: &Arc<Projection<PodState>>, new: &Arc<Projection<PodState>>) {
        let is_moved = old.object.facts.labels != new.object.facts.labels;
        if old.value.is_same_endpoint(&new.value) && !is_moved {
            return;
        }
        self.services_of(new);
        if is_moved {
            self.services_of(old);
        }
    }

    fn on_delete(&self, pod: &Arc<Projection<PodState>>) {
        self.services_of(pod);
    }
}

impl ProjectionHandler<ServiceSelector> for Membership {
    fn on_add(&self, service: &Arc<Projection<ServiceSelector>>) {
        self.queue.add(service.key());
    }

    fn on_update(&self, _old: &Arc<Projection<ServiceSelector>>, new: &Arc<Projection<ServiceSelector>>) {
        self.queue.add(new.key());
    }

    fn on_delete(&self, service: &Arc<Projection<ServiceSelector>>) {
        self.queue.add(service.key());
    }
}
