//! Rules of pod templates.

use corten_api::core::v1::PodTemplate;
use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    resource::Context,
};

use crate::{core::pod_spec::template, report::with_view, view::or_default};

/// The rules of a new object, or of one that takes the place of `old`.
pub(super) fn main(cx: &Context<'_>, object: &Value, old: Option<&Value>) -> ErrorList {
    with_view(object, |view: &PodTemplate, errors| {
        template::validate(
            cx,
            &or_default(&view.template),
            old.and_then(|old| old.get("template")),
            &Path::new("template"),
            errors,
        );
    })
}
