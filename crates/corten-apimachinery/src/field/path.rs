//! The path of a field. Rules make one for every field they look at, and nearly all objects have no error: so a path is a
//! step that points to its parent, and the text is put together only where somebody reads it.
//!
//! The steps of a thread's paths are in a table of the thread, with a count of who points to each: some hundred are made and
//! given back for each pod, which is too often for the allocator.

use std::{cell::RefCell, fmt, iter, marker::PhantomData};

use crate::value::Str;

/// The path of a field, built from the root down: `spec.containers[0].ports[1].name`, `metadata.labels[app]`.
///
/// Cloning one costs a counter. Stays on its thread: rules are no place to wait in.
#[derive(Default)]
pub struct Path {
    /// Where its last step is; `None` for the object itself.
    last: Option<Place>,
    of_thread: PhantomData<*const ()>,
}

/// Where a step is in the table of its thread.
type Place = usize;

enum Step {
    Field(Str),
    Index(usize),
    Key(Str),
}

struct Node {
    /// How many paths and steps point to it.
    holders: usize,
    parent: Option<Place>,
    step: Step,
}

enum Slot {
    Taken(Node),
    /// With the one that is taken after this one.
    Free(Option<Place>),
}

/// The steps of all paths of a thread.
struct Steps {
    slots: Vec<Slot>,
    free: Option<Place>,
    taken: usize,
}

/// The table keeps room for so many steps when there is no path any more: nearly all objects need less.
const KEPT_MAX: usize = 1024;

thread_local!(static STEPS: RefCell<Steps> = const { RefCell::new(Steps { slots: Vec::new(), free: None, taken: 0 }) });

impl Path {
    /// The path of a top-level field.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self::root().child(name)
    }

    /// The path of the object itself.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// The field `name` of this one.
    #[must_use]
    pub fn child(&self, name: impl AsRef<str>) -> Self {
        let name = name.as_ref();
        if self.last.is_none() && name.is_empty() {
            return Self::root();
        }
        self.with(Step::Field(name.into()))
    }

    /// The item `index` of this list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    /// The entry `key` of this map.
    #[must_use]
    pub fn key(&self, key: impl AsRef<str>) -> Self {
        self.with(Step::Key(key.as_ref().into()))
    }

    #[inline]
    fn with(&self, step: Step) -> Self {
        Self::at(Some(STEPS.with_borrow_mut(|steps| steps.put(self.last, step))))
    }

    /// The path of which a holder is counted already.
    fn at(last: Option<Place>) -> Self {
        Self { last, of_thread: PhantomData }
    }
}

impl Clone for Path {
    fn clone(&self) -> Self {
        if let Some(last) = self.last {
            STEPS.with_borrow_mut(|steps| steps.node_mut(last).holders += 1);
        }
        Self::at(self.last)
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        if let Some(last) = self.last {
            // A thread that has ended took its table with it.
            let _ = STEPS.try_with(|steps| steps.borrow_mut().let_go(last));
        }
    }
}

impl Steps {
    fn node(&self, place: Place) -> &Node {
        match &self.slots[place] {
            Slot::Taken(node) => node,
            Slot::Free(_) => unreachable!("a step that a path points to is there"),
        }
    }

    fn node_mut(&mut self, place: Place) -> &mut Node {
        match &mut self.slots[place] {
            Slot::Taken(node) => node,
            Slot::Free(_) => unreachable!("a step that a path points to is there"),
        }
    }

    /// Puts in a step with one holder.
    fn put(&mut self, parent: Option<Place>, step: Step) -> Place {
        if let Some(parent) = parent {
            self.node_mut(parent).holders += 1;
        }
        self.taken += 1;
        let slot = Slot::Taken(Node { holders: 1, parent, step });
        let Some(place) = self.free else {
            self.slots.push(slot);
            return self.slots.len() - 1;
        };
        if let Slot::Free(next) = std::mem::replace(&mut self.slots[place], slot) {
            self.free = next;
        }
        place
    }

    /// A holder is gone. One after the other: a path is as long as the object it leads into is deep.
    fn let_go(&mut self, place: Place) {
        let mut next = Some(place);
        while let Some(place) = next {
            let node = self.node_mut(place);
            node.holders -= 1;
            if node.holders > 0 {
                return;
            }
            next = node.parent;
            self.slots[place] = Slot::Free(self.free);
            self.free = Some(place);
            self.taken -= 1;
        }
        if self.taken == 0 && self.slots.len() > KEPT_MAX {
            *self = Self { slots: Vec::new(), free: None, taken: 0 };
        }
    }

    /// The text of the path that ends at `last`.
    fn text(&self, last: Place) -> String {
        let nodes = iter::successors(Some(self.node(last)), |node| node.parent.map(|parent| self.node(parent)));
        let mut steps: Vec<&Step> = nodes.map(|node| &node.step).collect();
        steps.reverse();
        let mut text = String::new();
        for (at, step) in steps.into_iter().enumerate() {
            let mut digits = itoa::Buffer::new();
            text.extend(match step {
                Step::Field(name) if at == 0 => ["", name, ""],
                Step::Field(name) => [".", name, ""],
                Step::Index(index) => ["[", digits.format(*index), "]"],
                Step::Key(key) => ["[", key, "]"],
            });
        }
        text
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whole, so that nobody who is written to finds the table in use.
        match self.last {
            Some(last) => f.write_str(&STEPS.with_borrow(|steps| steps.text(last))),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({self})")
    }
}

/// By text, as clients see them.
impl PartialEq for Path {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Path {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_written_as_upstream_writes_them() {
        let spec = Path::new("spec");
        for (path, want) in [
            (Path::root(), ""),
            (Path::new(""), ""),
            (Path::root().index(1), "[1]"),
            (Path::root().key("a").child("b"), "[a].b"),
            (
                spec.child("containers").index(0).child("ports").index(12).child("name"),
                "spec.containers[0].ports[12].name",
            ),
            (Path::new("metadata").child("labels").key("a.b/c"), "metadata.labels[a.b/c]"),
            (spec.child(""), "spec."),
            (spec.clone(), "spec"),
        ] {
            assert_eq!(path.to_string(), want);
            assert_eq!(path, path.clone());
        }
        assert_ne!(spec.child("a"), spec.key("a"));
    }

    #[test]
    fn a_path_of_a_million_steps_is_dropped_without_recursion() {
        let path = (0..1_000_000).fold(Path::root(), |path, at| path.index(at));
        let shorter = path.clone();
        drop(path);
        assert_eq!(taken(), 1_000_000);
        drop(shorter);
        STEPS.with_borrow(|steps| assert_eq!((steps.taken, steps.slots.len(), steps.free), (0, 0, None)));
    }

    fn taken() -> usize {
        STEPS.with_borrow(|steps| steps.taken)
    }

    #[test]
    fn steps_that_nobody_points_to_are_used_again() {
        let spec = Path::new("spec");
        let mut last = spec.clone();
        for at in 0..1_000 {
            // The one before is still there when this is made.
            last = spec.child("containers").index(at);
        }
        assert_eq!(last.to_string(), "spec.containers[999]");
        assert_eq!(taken(), 3);
        STEPS.with_borrow(|steps| assert!(steps.slots.len() < 8, "{}", steps.slots.len()));
        drop(spec);
        assert_eq!((taken(), last.to_string().as_str()), (3, "spec.containers[999]"));
        drop(last);
        assert_eq!(taken(), 0);
    }
}
