//! The endpoint slices of a service that one controller keeps, among those of others.

use std::sync::Arc;

use corten_apimachinery::stored::Stored;
use corten_controller::Key;
use corten_informer::{Lister, indexer::label_index};

use crate::endpointslice::plan::{MANAGED_BY, SERVICE_NAME};

/// The service that a slice of `manager` is for; `None` for a slice of somebody else.
pub(crate) fn service_of(slice: &Stored, manager: &str) -> Option<Key> {
    let service = slice.facts.labels.get(SERVICE_NAME).filter(|name| is_of(slice, manager) && !name.is_empty())?;
    Some(Key::new(slice.namespace.clone(), service))
}

/// The slices that `manager` keeps for a service, from an informer that has them by the label.
///
/// Those on their way out are left out: they take no more changes, and a finalizer may hold them for ever.
pub(crate) fn of_service(slices: &Lister, service: &Key, manager: &str) -> Vec<Arc<Stored>> {
    let mut found = slices.by_index_in(&label_index(SERVICE_NAME), &service.name, &service.namespace);
    found.retain(|slice| !slice.facts.is_deleting && is_of(slice, manager));
    found
}

fn is_of(slice: &Stored, manager: &str) -> bool {
    slice.facts.labels.get(MANAGED_BY) == Some(manager)
}
