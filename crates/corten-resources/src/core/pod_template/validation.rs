//! Rules of pod templates.

use corten_api::core::v1::PodTemplate;
use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    resource::Context,
};

use crate::{core::pod_spec::template, report::with_view, view::or_default};

pub(super) fn create(cx: &Context<'_>, object: &Value) -> ErrorList {
    with_view(object, |view: &PodTemplate, errors| {
        template::validate(cx, &or_default(&view.template), &Path::new("template"), errors);
    })
}
