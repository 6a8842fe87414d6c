//! Images: names, digests, removal.

use super::{Fixture, Pullable};
use crate::{
    CriError, api,
    api::{Image, ImageSpec},
};

fn spec(image: &str) -> Option<ImageSpec> {
    Some(ImageSpec { image: image.to_owned(), ..ImageSpec::default() })
}

impl Fixture {
    async fn pull(&self, image: &str) -> Result<String, CriError> {
        let request = api::PullImageRequest { image: spec(image), ..Default::default() };
        Ok(self.images.pull_image(request).await?.image_ref)
    }

    async fn image(&self, image: &str) -> Option<Image> {
        let request = api::ImageStatusRequest { image: spec(image), verbose: false };
        self.images.image_status(request).await.expect("status of an image").image
    }

    async fn remove_image(&self, image: &str) {
        let request = api::RemoveImageRequest { image: spec(image) };
        self.images.remove_image(request).await.expect("remove an image");
    }

    async fn listed(&self, image: &str) -> Vec<Image> {
        let filter = if image.is_empty() { None } else { Some(api::ImageFilter { image: spec(image) }) };
        self.images.list_images(api::ListImagesRequest { filter }).await.expect("list images").images
    }

    /// The names of what can be pulled, all absent.
    async fn pullable(&self) -> &Pullable {
        let names = self.test_images.pullable.as_ref().expect("a fixture with a registry says what it has");
        for name in [&names.tag, &names.other_tag, &names.digest] {
            self.remove_image(name).await;
            assert_eq!(self.image(name).await, None, "{name}");
        }
        names
    }
}

/// Absence is an answer.
pub async fn an_image_that_is_not_present_has_no_status_and_can_be_removed(fixture: &Fixture) {
    let absent = &fixture.test_images.absent;
    assert_eq!(fixture.image(absent).await, None);
    fixture.remove_image(absent).await;
}

/// Only what the filter's name means.
pub async fn the_list_heeds_its_filter(fixture: &Fixture) {
    let (shell, absent) = (&fixture.test_images.shell, &fixture.test_images.absent);
    let present = fixture.image(shell).await.expect("present");
    assert_eq!(fixture.listed(shell).await, vec![present]);
    assert_eq!(fixture.listed(absent).await, []);
}

/// Names that no image can have.
pub async fn an_invalid_name_is_refused(fixture: &Fixture) {
    for name in ["", "UPPER/case:1", "name:", "a b", "name@sha256:short"] {
        assert!(fixture.pull(name).await.is_err(), "{name:?}");
    }
}

/// At least one file system, with a time, a mount point and what is used.
pub async fn the_file_system_reports_its_use(fixture: &Fixture) {
    let info = fixture.images.image_fs_info(api::ImageFsInfoRequest {}).await.expect("image file systems");
    let usage = info.image_filesystems.first().expect("a file system of images");
    assert!(usage.timestamp > 0);
    assert!(!usage.fs_id.as_ref().expect("an identity").mountpoint.is_empty());
    assert!(usage.used_bytes.is_some());
}

/// An error, and nothing is left.
pub async fn a_pull_of_what_does_not_exist_fails(fixture: &Fixture) {
    let absent = &fixture.test_images.absent;
    assert!(fixture.pull(absent).await.is_err());
    assert_eq!(fixture.image(absent).await, None);
}

/// Tag, id and list agree.
pub async fn a_pulled_tag_is_listed_and_found_by_name_and_id(fixture: &Fixture) {
    let names = fixture.pullable().await;
    let image_ref = fixture.pull(&names.tag).await.expect("pull");
    let image = fixture.image(&names.tag).await.expect("present");
    assert!(image.repo_tags.contains(&names.tag), "{image:?}");
    assert!(image.repo_digests.contains(&names.digest), "{image:?}");
    assert!(image.size > 0);
    for name in [&image_ref, &image.id, &names.digest] {
        assert_eq!(fixture.image(name).await.as_ref(), Some(&image), "{name}");
    }
    assert!(fixture.listed("").await.contains(&image));
    assert_eq!(fixture.pull(&names.tag).await.expect("pull again"), image_ref);
    fixture.remove_image(&names.tag).await;
}

/// A digest makes no tag.
pub async fn a_pulled_digest_is_found_by_its_digest(fixture: &Fixture) {
    let names = fixture.pullable().await;
    fixture.pull(&names.digest).await.expect("pull");
    let image = fixture.image(&names.digest).await.expect("present");
    assert_eq!(image.repo_digests, vec![names.digest.clone()]);
    assert_eq!(image.repo_tags, [""; 0]);
    fixture.remove_image(&names.digest).await;
}

/// One image with two tags.
pub async fn names_of_one_content_are_one_image(fixture: &Fixture) {
    let names = fixture.pullable().await;
    let first = fixture.pull(&names.tag).await.expect("pull");
    let second = fixture.pull(&names.other_tag).await.expect("pull");
    assert_eq!(first, second);
    let image = fixture.image(&names.other_tag).await.expect("present");
    let mut tags = image.repo_tags.clone();
    tags.sort();
    let mut want = [names.tag.clone(), names.other_tag.clone()];
    want.sort();
    assert_eq!(tags, want);
    assert_eq!(fixture.listed("").await.iter().filter(|listed| listed.id == image.id).count(), 1);
    fixture.remove_image(&names.tag).await;
}

/// Removal goes by content.
pub async fn removing_an_image_removes_all_its_names_and_again_is_fine(fixture: &Fixture) {
    let names = fixture.pullable().await;
    fixture.pull(&names.tag).await.expect("pull");
    fixture.pull(&names.other_tag).await.expect("pull");
    for _ in 0..2 {
        fixture.remove_image(&names.tag).await;
        assert_eq!(fixture.image(&names.tag).await, None);
        assert_eq!(fixture.image(&names.other_tag).await, None);
    }
}
