//! Images that no container needs: they go before pods do when disk space is scarce.
//!
//! Flow: every look notes what is there -> `unused` (pure) -> the runtime removes it. Invariant: an image that a container
//! has, that is pinned, or that has only just come stays: the container it was pulled for may not be there yet.
//! Upstream: `DeleteUnusedImages` of pkg/kubelet/images/image_gc_manager.go (v1.35).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use corten_cri::{Cri, CriError, api};
use tracing::{info, warn};

/// How long an image stays at least. Upstream: `imageMinimumGCAge`.
const AGE_MIN: Duration = Duration::from_secs(120);

/// When each image was first seen, by the monotonic clock; `None` for those that were there at the start.
#[derive(Debug, Default)]
pub(super) struct Images {
    seen: BTreeMap<String, Option<Duration>>,
    has_looked: bool,
}

impl Images {
    /// Takes note of what is there. Returns it.
    pub(super) async fn look(&mut self, cri: &Cri, now: Duration) -> Result<Vec<api::Image>, CriError> {
        let images = cri.images.list_images(api::ListImagesRequest { filter: None }).await?.images;
        self.note(&images, now);
        Ok(images)
    }

    fn note(&mut self, images: &[api::Image], now: Duration) {
        let first = self.has_looked.then_some(now);
        self.has_looked = true;
        self.seen.retain(|id, _| images.iter().any(|image| image.id == *id));
        for image in images {
            self.seen.entry(image.id.clone()).or_insert(first);
        }
    }

    /// Removes what nobody needs. Returns how many images went.
    pub(super) async fn reclaim(&mut self, cri: &Cri, now: Duration) -> Result<usize, CriError> {
        let images = self.look(cri, now).await?;
        // Also those that have ended: they may be started again, and their records name the image.
        let request = api::ListContainersRequest { filter: None };
        let containers = cri.runtime.list_containers(request).await?.containers;
        let mut removed = 0;
        for id in self.unused(&images, &used(&containers), now) {
            let image = Some(api::ImageSpec { image: id.clone(), ..api::ImageSpec::default() });
            match cri.images.remove_image(api::RemoveImageRequest { image }).await {
                Ok(_) => {
                    info!(image = id, "Removed image that no container needs");
                    removed += 1;
                }
                // A container may have come that needs it.
                Err(err) => warn!(image = id, %err, "Could not remove image"),
            }
        }
        Ok(removed)
    }

    fn unused(&self, images: &[api::Image], used: &BTreeSet<String>, now: Duration) -> Vec<String> {
        let is_old = |id: &str| match self.seen.get(id) {
            Some(Some(first)) => now.saturating_sub(*first) >= AGE_MIN,
            Some(None) => true,
            None => false,
        };
        let is_used = |image: &api::Image| {
            let names = image.repo_tags.iter().chain(&image.repo_digests).chain([&image.id]);
            names.into_iter().any(|name| used.contains(name))
        };
        let free = images.iter().filter(|image| !image.pinned && is_old(&image.id) && !is_used(image));
        free.map(|image| image.id.clone()).collect()
    }
}

/// The images of containers, under all the names that the runtime gives for them.
fn used(containers: &[api::Container]) -> BTreeSet<String> {
    let names = containers.iter().flat_map(|container| {
        let spec = container.image.as_ref().map(|image| image.image.clone());
        [Some(container.image_id.clone()), Some(container.image_ref.clone()), spec]
    });
    names.flatten().filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(id: &str) -> api::Image {
        let repo_tags = vec![format!("{id}:latest")];
        api::Image { id: id.to_owned(), repo_tags, ..api::Image::default() }
    }

    #[test]
    fn images_go_that_are_neither_needed_nor_pinned_nor_new() {
        let at = Duration::from_secs;
        let mut all = vec![image("old"), image("by-id"), image("by-tag")];
        all.push(api::Image { pinned: true, ..image("pinned") });
        let mut images = Images::default();
        images.note(&all, at(10));
        all.push(image("new"));
        images.note(&all, at(20));
        let spec = api::ImageSpec { image: "by-tag:latest".to_owned(), ..api::ImageSpec::default() };
        let used = used(&[
            api::Container { image_id: "by-id".to_owned(), ..api::Container::default() },
            api::Container { image: Some(spec), ..api::Container::default() },
        ]);
        assert_eq!(images.unused(&all, &used, at(139)), ["old"]);
        assert_eq!(images.unused(&all, &used, at(140)), ["old", "new"]);
        // Gone and pulled anew, it is new again.
        images.note(&all[1..], at(150));
        images.note(&all, at(160));
        assert_eq!(images.unused(&all, &used, at(170)), ["new"]);
    }
}
