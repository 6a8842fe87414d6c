//! A place in an object on the way down: its path, which is written for errors alone, and what it was before.
//!
//! Upstream: `ratchetingOptions` in k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go (v1.35).

use std::cell::OnceCell;

use corten_apimachinery::{field::Path, schema::Correlation};

/// How upstream writes the path of a whole object.
const NO_PATH: &str = "<nil>";

#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'p> {
    Field(&'p str),
    Key(&'p str),
    Index(usize),
}

/// A place, as a chain up to the root.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'p> {
    above: Option<(&'p At<'p>, Step<'p>)>,
    /// The path of the root; `None` for a whole object.
    root: Option<&'p Path>,
}

impl<'p> At<'p> {
    pub(super) fn root(path: Option<&'p Path>) -> Self {
        At { above: None, root: path }
    }

    pub(super) fn step<'q>(&'q self, step: Step<'q>) -> At<'q> {
        At { above: Some((self, step)), root: self.root }
    }

    /// The path of the field `below` this place, or of the place itself.
    pub(super) fn path(&self, below: Option<&str>) -> Path {
        let mut steps = Vec::new();
        let mut at = self;
        while let Some((above, step)) = &at.above {
            steps.push(*step);
            at = above;
        }
        if steps.is_empty() && below.is_none() && self.root.is_none() {
            return Path::new(NO_PATH);
        }
        let root = self.root.cloned().unwrap_or_default();
        let path = steps.into_iter().rev().fold(root, |path, step| match step {
            Step::Field(name) => path.child(name),
            Step::Key(name) => path.key(name),
            Step::Index(index) => path.index(index),
        });
        match below {
            Some(below) => path.child(below),
            None => path,
        }
    }
}

/// What a place was before, and whether that is what it is.
#[derive(Debug)]
pub(super) struct Before<'v, 'p> {
    correlation: Option<Correlation<'v>>,
    /// Of the nearest place above that could be told what it was.
    above: Option<&'p Before<'v, 'p>>,
    is_unchanged: OnceCell<bool>,
}

impl<'v> Before<'v, '_> {
    /// Of a whole object.
    pub(super) fn root(correlation: Option<Correlation<'v>>) -> Self {
        Self { correlation, above: None, is_unchanged: OnceCell::new() }
    }

    /// Of a part, which is `correlation` if it can be told what it was.
    fn part<'q>(&'q self, correlation: impl FnOnce(Correlation<'v>) -> Option<Correlation<'v>>) -> Before<'v, 'q> {
        let (correlation, above) = match self.correlation {
            Some(whole) => (correlation(whole), Some(self)),
            None => (None, self.above),
        };
        Before { correlation, above, is_unchanged: OnceCell::new() }
    }

    /// Of the field `name`.
    pub(super) fn field<'q>(&'q self, name: &str) -> Before<'v, 'q> {
        // All versions have the same kind, so that nobody sees it change.
        if self.above.is_none() && matches!(name, "apiVersion" | "kind") {
            return Before::root(None);
        }
        self.part(|whole| whole.field(name))
    }

    /// Of an item of a list, which is `correlation` if the list knows its items.
    pub(super) fn item<'q>(&'q self, correlation: Option<Correlation<'v>>) -> Before<'v, 'q> {
        self.part(|_| correlation)
    }

    /// What correlates the items of a list.
    pub(super) fn correlation(&self) -> Option<Correlation<'v>> {
        self.correlation
    }

    /// Whether the place, or else the nearest one above of which that can be told, is as it was.
    pub(super) fn is_unchanged(&self) -> bool {
        match (self.correlation, self.above) {
            (Some(correlation), _) => *self.is_unchanged.get_or_init(|| correlation.is_unchanged()),
            (None, Some(above)) => above.is_unchanged(),
            (None, None) => false,
        }
    }
}
