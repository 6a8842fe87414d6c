//! What a call holds while it makes something: its name, and the image.

use std::sync::Arc;

use corten_cri::CriError;

use super::{ContainerRuntime, State};
use crate::images::{Digest, store::Image};

impl ContainerRuntime {
    /// Keeps two calls from making one pod or container; the guard gives the name free.
    pub(super) fn reserve(&self, name: String, is_taken: impl Fn(&State) -> bool) -> Result<Reserved, CriError> {
        let mut state = self.inner.state.lock();
        if is_taken(&state) || !state.reserved.insert(name.clone()) {
            return Err(CriError::unknown(format!("failed to reserve name {name:?}: name is already reserved")));
        }
        Ok(Reserved { runtime: self.clone(), name })
    }

    /// Finds an image and keeps it from being removed until the guard goes.
    pub(super) fn find_and_keep(&self, name: &str) -> Option<(Arc<Image>, Needed)> {
        self.inner.images.find_and(name, |image| {
            self.inner.state.lock().needed.push(image.id.clone());
            (Arc::clone(image), Needed { runtime: self.clone(), image: image.id.clone() })
        })
    }
}

/// A name that is being used to make something.
pub(super) struct Reserved {
    runtime: ContainerRuntime,
    name: String,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.runtime.inner.state.lock().reserved.remove(&self.name);
    }
}

/// An image that a container is being made of.
pub(super) struct Needed {
    runtime: ContainerRuntime,
    image: Digest,
}

impl Drop for Needed {
    fn drop(&mut self) {
        let mut state = self.runtime.inner.state.lock();
        if let Some(at) = state.needed.iter().position(|image| *image == self.image) {
            state.needed.swap_remove(at);
        }
    }
}
