//! The path of a field. Rules make one for every field they look at, and nearly all objects have no error: so a path is a
//! step that points to its parent, and the text is put together only where somebody reads it. Most paths are not gone on
//! from, so that the last step is in the path itself, and is put where others can point to it when one does.

use std::{cell::OnceCell, fmt, iter, rc::Rc};

use crate::value::Str;

/// The path of a field, built from the root down: `spec.containers[0].ports[1].name`, `metadata.labels[app]`.
///
/// Cloning one costs a counter or two. Stays on its thread: rules are no place to wait in.
#[derive(Clone, Default)]
pub struct Path {
    parent: Option<Rc<Node>>,
    /// `None` for the object itself.
    last: Option<Step>,
    /// This path as a parent, once it is one.
    node: OnceCell<Rc<Node>>,
}

struct Node {
    parent: Option<Rc<Node>>,
    step: Step,
}

#[derive(Clone)]
enum Step {
    Field(Str),
    Index(usize),
    Key(Str),
}

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
        let node = |last: &Step| {
            self.node.get_or_init(|| Rc::new(Node { parent: self.parent.clone(), step: last.clone() })).clone()
        };
        Self { parent: self.last.as_ref().map(node), last: Some(step), node: OnceCell::new() }
    }

    /// The steps from the root down.
    fn steps(&self) -> Vec<&Step> {
        let parents = iter::successors(self.parent.as_deref(), |node| node.parent.as_deref()).map(|node| &node.step);
        let mut steps: Vec<&Step> = self.last.iter().chain(parents).collect();
        steps.reverse();
        steps
    }
}

impl Drop for Node {
    /// One after the other: a path is as long as the object it leads into is deep.
    fn drop(&mut self) {
        let mut next = self.parent.take();
        while let Some(mut node) = next.and_then(Rc::into_inner) {
            next = node.parent.take();
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps().into_iter().enumerate() {
            match step {
                Step::Field(name) if at == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => write!(f, "[{key}]")?,
            }
        }
        Ok(())
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
        drop(shorter);
    }
}
