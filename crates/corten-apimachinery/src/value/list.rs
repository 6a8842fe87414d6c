//! The items of an array, shared copy-on-write.

use std::{fmt, ops::Deref, sync::Arc};

use super::Value;
use crate::stack;

/// The items of an array.
#[derive(Clone, Default)]
pub struct List(Arc<Vec<Value>>);

impl List {
    /// The items for change; copies them first if they are shared.
    pub fn make_mut(&mut self) -> &mut Vec<Value> {
        Arc::make_mut(&mut self.0)
    }
}

impl Deref for List {
    type Target = Vec<Value>;

    fn deref(&self) -> &Vec<Value> {
        &self.0
    }
}

impl From<Vec<Value>> for List {
    fn from(items: Vec<Value>) -> Self {
        Self(Arc::new(items))
    }
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || stack::with_room(|| self.0 == other.0)
    }
}

impl Drop for List {
    /// Each level is within the drop of the one above it.
    fn drop(&mut self) {
        if stack::is_low()
            && let Some(items) = Arc::get_mut(&mut self.0)
        {
            let items = std::mem::take(items);
            stack::with_room(move || drop(items));
        }
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
