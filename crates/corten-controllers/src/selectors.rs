//! The selectors of objects that own others, read once per version: whoever hears of an object without an owner asks all of
//! its namespace, in the informer's handler, where nothing may be decoded.

use corten_apimachinery::{
    labels::Labels,
    selector::label::{Selector, SelectorError},
    stored::Stored,
    value::Value,
};
use corten_informer::Projection;

use crate::objects::{has_same, part};

/// What is kept of an object that selects others.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ObjectSelector(Option<Selector>);

impl ObjectSelector {
    /// The selector that `read` finds in the `spec.selector` of a served object, of which there may have been a version before;
    /// none if it selects everything or cannot be read.
    pub(crate) fn of(
        object: &Stored,
        before: Option<&Projection<Self>>,
        read: impl Fn(&Value) -> Result<Selector, SelectorError>,
    ) -> Self {
        const SELECTOR: [&str; 2] = ["spec", "selector"];
        if let Some(before) = before.filter(|before| has_same(&before.object, object, &[&SELECTOR])) {
            return before.value.clone();
        }
        let selector = read(&part(object, &[&SELECTOR])).ok();
        Self(selector.filter(|selector| !selector.is_empty()))
    }

    /// Whether an object with these labels is selected.
    pub(crate) fn matches(&self, labels: &Labels) -> bool {
        self.0.as_ref().is_some_and(|selector| selector.matches(labels))
    }
}

/// The selector in `spec.selector`.
pub(crate) fn of_spec(object: &Value) -> Result<Selector, SelectorError> {
    Selector::from_object(object.at(&["spec", "selector"]).unwrap_or(&Value::Null))
}
