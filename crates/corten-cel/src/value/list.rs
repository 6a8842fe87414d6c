//! Lists: a part of an object, or made.
//!
//! Adding two lists does not copy them: the sum refers to both. Sums of sums are made flat when they get deep, and short ends
//! are gathered, so that a loop that adds to a list costs what it adds. What is copied on the way the evaluation pays for.

use std::sync::Arc;

use corten_apimachinery::value as tree;

use super::{ListEquality, Shape, Value};
use crate::{error::EvalError, eval::Context};

/// A sum this deep is made flat.
const DEPTH_MAX: u8 = 32;

/// Ends shorter than this are copied rather than referred to.
const GATHER_MAX: usize = 512;

/// The longest list that can be made. No expression within its cost could go through more.
pub(crate) const LENGTH_MAX: usize = 2_000_000;

/// A list.
#[derive(Debug, Clone)]
pub enum List<'a> {
    /// Of an object.
    Tree(&'a [tree::Value], &'a Shape),
    /// Made of values.
    Items(Arc<Vec<Value<'a>>>),
    /// Made by adding to a list of an object that is a set or has keys.
    Merged(Arc<Vec<Value<'a>>>, &'a ListEquality),
    /// One after the other.
    Sum(Arc<Sum<'a>>),
}

/// Two lists, one after the other.
#[derive(Debug)]
pub struct Sum<'a> {
    left: List<'a>,
    right: List<'a>,
    length: usize,
    depth: u8,
}

impl<'a> List<'a> {
    /// Of `items`.
    #[must_use]
    pub fn of(items: Vec<Value<'a>>) -> Self {
        Self::Items(Arc::new(items))
    }

    /// How many elements it has.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Tree(items, _) => items.len(),
            Self::Items(items) | Self::Merged(items, _) => items.len(),
            Self::Sum(sum) => sum.length,
        }
    }

    /// Whether it has no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at `index`.
    #[must_use]
    pub fn get(&self, mut index: usize) -> Option<Value<'a>> {
        let mut list = self;
        loop {
            match list {
                Self::Tree(items, shape) => return items.get(index).map(|item| shape.items().view(item)),
                Self::Items(items) | Self::Merged(items, _) => return items.get(index).cloned(),
                Self::Sum(sum) if index < sum.left.len() => list = &sum.left,
                Self::Sum(sum) => {
                    index -= sum.left.len();
                    list = &sum.right;
                }
            }
        }
    }

    /// Its elements in order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let mut rest = vec![(self.clone(), 0_usize)];
        std::iter::from_fn(move || {
            loop {
                let (list, at) = rest.pop()?;
                if let Self::Sum(sum) = &list {
                    rest.push((sum.right.clone(), 0));
                    rest.push((sum.left.clone(), 0));
                    continue;
                }
                if let Some(item) = list.get(at) {
                    rest.push((list, at + 1));
                    return Some(item);
                }
            }
        })
    }

    /// The elements of both.
    ///
    /// Errors: they are too many, or more is copied than the evaluation may.
    pub(crate) fn concat(self, context: &mut Context<'_>, right: Self) -> Result<Self, EvalError> {
        if right.is_empty() {
            return Ok(self);
        }
        if self.is_empty() {
            return Ok(right);
        }
        let length = self.len().checked_add(right.len()).filter(|length| *length <= LENGTH_MAX).ok_or_else(too_long)?;
        if right.len() > GATHER_MAX {
            return Self::sum(context, self, right, length);
        }
        match self {
            Self::Items(mut items) => {
                let is_own = Arc::get_mut(&mut items).is_some();
                if !is_own && items.len() > GATHER_MAX {
                    return Self::sum(context, Self::Items(items), right, length);
                }
                context.make_items(if is_own { right.len() } else { length })?;
                Arc::make_mut(&mut items).extend(right.iter());
                Ok(Self::Items(items))
            }
            Self::Sum(sum) if sum.right.len() + right.len() <= GATHER_MAX => {
                context.make_items(sum.right.len() + right.len())?;
                let mut end = sum.right.to_vec();
                end.extend(right.iter());
                Self::sum(context, sum.left.clone(), Self::of(end), length)
            }
            left => Self::sum(context, left, right, length),
        }
    }

    fn sum(context: &mut Context<'_>, left: Self, right: Self, length: usize) -> Result<Self, EvalError> {
        let depth = left.depth().max(right.depth()) + 1;
        let sum = Self::Sum(Arc::new(Sum { left, right, length, depth }));
        if depth <= DEPTH_MAX {
            return Ok(sum);
        }
        context.make_items(length)?;
        Ok(Self::of(sum.to_vec()))
    }

    fn depth(&self) -> u8 {
        match self {
            Self::Sum(sum) => sum.depth,
            _ => 0,
        }
    }

    fn to_vec(&self) -> Vec<Value<'a>> {
        let mut items = Vec::with_capacity(self.len());
        items.extend(self.iter());
        items
    }

    /// When it equals another list, and what adding to it means.
    pub(crate) fn equality(&self) -> &'a ListEquality {
        match self {
            Self::Tree(_, Shape::List(_, equality)) => equality,
            Self::Merged(_, equality) => equality,
            _ => &ListEquality::Atomic,
        }
    }
}

fn too_long() -> EvalError {
    EvalError::too_large("operation cancelled: a list is too long")
}
