//! Sets of field paths, and the JSON form that managed fields keep them in.
//!
//! A set is a tree whose nodes are sorted by path element. A node can belong to the set itself, have members below it, or
//! both; one with neither is not kept. So equal sets are equal trees.
//! Upstream: structured-merge-diff/fieldpath.

use std::{cmp::Ordering, fmt::Write as _, ops::ControlFlow};

use super::text;
use crate::{
    codec::{FieldValidation, json},
    field::quote,
    value::{Map, Str, Value},
};

/// The key that stands for a node's own membership.
pub(super) const SELF: &str = ".";

/// Any element, in patterns of paths.
const ANY: &str = "*";

/// The deepest set that is read. Trees are no deeper (the JSON decoder's limit), and recursion stays bounded.
const DEPTH_MAX: usize = json::DEPTH_MAX;

/// One step of a field path.
#[derive(Debug, Clone, PartialEq)]
pub enum PathElement {
    /// A field of an object: `f:name`.
    Field(Str),
    /// The item of a list whose key fields have these values, sorted by name: `k:{"name":"web"}`.
    Key(Box<[(Str, Value)]>),
    /// The item of a set with this value: `v:"web"`.
    Value(Value),
    /// The item at a place of a list: `i:0`.
    Index(i64),
}

/// A set of field paths.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FieldSet {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) element: PathElement,
    /// Whether the path that ends here is in the set.
    pub(super) member: bool,
    pub(super) below: FieldSet,
}

/// A managed-fields entry does not hold a set of fields.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadFields(String);

impl PathElement {
    /// The kind, in upstream's order.
    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }

    /// The item of a list whose key fields have these values.
    pub(super) fn key(mut fields: Vec<(Str, Value)>) -> Self {
        fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        fields.iter_mut().for_each(|(_, value)| unify_numbers(value));
        Self::Key(fields.into())
    }

    /// The item of a set with this value.
    pub(super) fn value(mut value: Value) -> Self {
        unify_numbers(&mut value);
        Self::Value(value)
    }

    /// Reads one key of the JSON form.
    pub(super) fn parse(text: &str) -> Result<Self, BadFields> {
        let bad = |why: String| BadFields(why);
        let Some((kind, rest)) = text.split_once(':') else {
            return Err(bad("missing colon".to_owned()));
        };
        let decode = || {
            json::decode(rest.as_bytes(), None, FieldValidation::Ignore)
                .map(|decoded| decoded.value)
                .map_err(|error| bad(format!("parsing value {}: {error}", quote(rest))))
        };
        match kind {
            "f" => Ok(Self::Field(rest.into())),
            "k" => match decode()? {
                Value::Object(map) => Ok(Self::key(map.into_entries())),
                _ => Err(bad(format!("parsing key {}: not an object", quote(rest)))),
            },
            "v" => decode().map(Self::value),
            "i" => rest
                .parse()
                .map(Self::Index)
                .map_err(|_| bad(format!("strconv.Atoi: parsing {}: invalid syntax", quote(rest)))),
            _ => Err(bad(format!("unknown path element type {}", quote(kind)))),
        }
    }

    /// Adds the key of the JSON form.
    pub(super) fn write_key(&self, out: &mut Vec<u8>) {
        match self {
            Self::Field(name) => {
                out.extend_from_slice(b"f:");
                out.extend_from_slice(name.as_bytes());
            }
            Self::Key(fields) => {
                out.extend_from_slice(b"k:{");
                for (at, (name, value)) in fields.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    json::put_string(out, name);
                    out.push(b':');
                    json::put_value(out, value);
                }
                out.push(b'}');
            }
            Self::Value(value) => {
                out.extend_from_slice(b"v:");
                json::put_value(out, value);
            }
            Self::Index(index) => {
                out.extend_from_slice(b"i:");
                out.extend_from_slice(itoa::Buffer::new().format(*index).as_bytes());
            }
        }
    }

    /// Adds the form that messages use: `.spec`, `[name="web"]`, `[="web"]`, `[0]`.
    fn print(&self, out: &mut String) {
        match self {
            Self::Field(name) => {
                out.push('.');
                out.push_str(name);
            }
            Self::Key(fields) => {
                out.push('[');
                for (at, (name, value)) in fields.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    out.push_str(name);
                    out.push('=');
                    out.push_str(&scalar_text(value));
                }
                out.push(']');
            }
            Self::Value(value) => {
                let _ = write!(out, "[={}]", scalar_text(value));
            }
            Self::Index(index) => {
                let _ = write!(out, "[{index}]");
            }
        }
    }
}

impl Eq for PathElement {}

impl PartialOrd for PathElement {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PathElement {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(a), Self::Field(b)) => a.cmp(b),
            (Self::Key(a), Self::Key(b)) => a
                .iter()
                .zip(b)
                .map(|((a_name, a), (b_name, b))| a_name.cmp(b_name).then_with(|| compare_values(a, b)))
                .find(|order| order.is_ne())
                .unwrap_or_else(|| a.len().cmp(&b.len())),
            (Self::Value(a), Self::Value(b)) => compare_values(a, b),
            (Self::Index(a), Self::Index(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// Upstream's order of values: numbers, texts, truth values, lists, objects, null.
fn compare_values(a: &Value, b: &Value) -> Ordering {
    fn rank(value: &Value) -> u8 {
        match value {
            Value::Int(_) | Value::Float(_) => 0,
            Value::String(_) => 1,
            Value::Bool(_) => 2,
            Value::Array(_) => 3,
            Value::Object(_) => 4,
            Value::Null => 5,
            // Never an element: only whole sets are kept as text.
            Value::Raw(_) => 6,
        }
    }
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Int(a), Value::Float(b)) => compare_numbers(*a, *b),
        (Value::Float(a), Value::Int(b)) => compare_numbers(*b, *a).reverse(),
        (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Raw(a), Value::Raw(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => a
            .iter()
            .zip(b.iter())
            .map(|(a, b)| compare_values(a, b))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| a.len().cmp(&b.len())),
        (Value::Object(a), Value::Object(b)) => a
            .iter()
            .zip(b.iter())
            .map(|((a_key, a), (b_key, b))| a_key.cmp(b_key).then_with(|| compare_values(a, b)))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| a.len().cmp(&b.len())),
        _ => rank(a).cmp(&rank(b)),
    }
}

/// Gives numbers that are written alike one form: `1.0` is written as `1`, and two elements of a set must not be written alike.
fn unify_numbers(value: &mut Value) {
    match value {
        Value::Float(_) => {
            let text = json::encode(value, None);
            if let Some(number) = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()) {
                *value = Value::Int(number);
            }
        }
        Value::Array(_) => value.as_array_mut().into_iter().flatten().for_each(unify_numbers),
        Value::Object(map) => map.iter_mut().for_each(|(_, value)| unify_numbers(value)),
        _ => {}
    }
}

/// Upstream loses digits here. Sorting needs a total order: two integers must not both equal a number that lies between them.
fn compare_numbers(a: i64, b: f64) -> Ordering {
    #[expect(clippy::cast_precision_loss, reason = "what is lost is compared after this")]
    let rounded = (a as f64).total_cmp(&b);
    // Equal to what an integer is rounded to: whole, and in range.
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
    rounded.then_with(|| i128::from(a).cmp(&(b as i128)))
}

fn scalar_text(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        other => format!("{other:?}"),
    }
}

/// A path as messages show it: `.spec.containers[name="web"].image`.
#[must_use]
pub fn path_text(path: &[&PathElement]) -> String {
    let mut out = String::new();
    for element in path {
        element.print(&mut out);
    }
    out
}

impl FieldSet {
    /// The set of these paths of field names.
    #[must_use]
    pub fn of_names(paths: &[&[&str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            let elements: Vec<_> = path.iter().map(|name| PathElement::Field((*name).into())).collect();
            set.insert(&elements);
        }
        set
    }

    /// Reads the JSON form.
    ///
    /// Errors: a node that is no object or stands too deep, or a key that is no path element.
    pub fn from_value(fields: &Value) -> Result<Self, BadFields> {
        match fields {
            Value::Null => Ok(Self::default()),
            Value::Object(map) => Self::from_map(map, DEPTH_MAX).map(|(set, _)| set),
            Value::Raw(raw) => match text::read(raw.text(), DEPTH_MAX) {
                Some(set) => Ok(set),
                None => Self::from_value(&raw.tree()),
            },
            _ => Err(BadFields("expected an object".to_owned())),
        }
    }

    /// The set of an object's entries, and whether the object names its own node.
    fn from_map(map: &Map, depth_left: usize) -> Result<(Self, bool), BadFields> {
        if depth_left == 0 {
            return Err(BadFields("fields are nested too deeply".to_owned()));
        }
        let mut nodes = Vec::with_capacity(map.len());
        let mut names_itself = false;
        for (key, value) in map.iter() {
            if key == SELF {
                names_itself = true;
                continue;
            }
            let element = PathElement::parse(key)?;
            let Value::Object(map) = value else {
                return Err(BadFields(format!("expected an object at {}", quote(key))));
            };
            let (below, member) = Self::from_map(map, depth_left - 1)?;
            // An empty object stands for the node alone.
            let member = member || map.is_empty();
            if member || !below.is_empty() {
                nodes.push(Node { element, member, below });
            }
        }
        Ok((Self::of_nodes(nodes), names_itself))
    }

    /// The set of nodes that come as their keys were found.
    pub(super) fn of_nodes(mut nodes: Vec<Node>) -> Self {
        // As text or as set, keys come sorted; the orders differ where there are numbers.
        if !nodes.is_sorted_by(|a: &Node, b| a.element < b.element) {
            nodes.sort_by(|a, b| a.element.cmp(&b.element));
            nodes = Self::without_duplicates(nodes);
        }
        Self { nodes }
    }

    /// Sorted nodes with those of one element made one: numbers can be written in many ways.
    fn without_duplicates(sorted: Vec<Node>) -> Vec<Node> {
        let mut distinct: Vec<Node> = Vec::with_capacity(sorted.len());
        let mut sorted = sorted.into_iter().peekable();
        while let Some(mut node) = sorted.next() {
            let mut same = Vec::new();
            while let Some(other) = sorted.next_if(|other| other.element == node.element) {
                node.member |= other.member;
                same.push(other.below);
            }
            if !same.is_empty() {
                same.push(node.below);
                node.below = Self::union_of(same);
            }
            distinct.push(node);
        }
        distinct
    }

    /// Writes the JSON form.
    #[must_use]
    pub fn to_value(&self) -> Value {
        text::write(self)
    }

    /// Whether no path is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How many paths are in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.iter().map(|node| usize::from(node.member) + node.below.len()).sum()
    }

    /// Adds a path. The empty path is nobody's.
    pub fn insert(&mut self, path: &[PathElement]) {
        let Some((first, rest)) = path.split_first() else { return };
        let at = match self.nodes.binary_search_by(|node| node.element.cmp(first)) {
            Ok(at) => at,
            Err(at) => {
                self.nodes.insert(at, Node { element: first.clone(), member: false, below: Self::default() });
                at
            }
        };
        if rest.is_empty() {
            self.nodes[at].member = true;
        } else {
            self.nodes[at].below.insert(rest);
        }
    }

    /// Adds what is known of one element; elements may come in any order, each once. Those that come in order cost least: in
    /// front of others each moves all that stand behind it.
    pub(super) fn push(&mut self, element: PathElement, member: bool, below: Self) {
        if !member && below.is_empty() {
            return;
        }
        let node = Node { element, member, below };
        match self.nodes.last() {
            Some(last) if last.element >= node.element => {
                match self.nodes.binary_search_by(|other| other.element.cmp(&node.element)) {
                    Ok(at) => {
                        self.nodes[at].member |= node.member;
                        self.nodes[at].below = self.nodes[at].below.union(&node.below);
                    }
                    Err(at) => self.nodes.insert(at, node),
                }
            }
            _ => self.nodes.push(node),
        }
    }

    /// Room for more elements at the top.
    pub(super) fn reserve(&mut self, more: usize) {
        self.nodes.reserve_exact(more);
    }

    /// Adds a member that comes behind all others.
    pub(super) fn push_last(&mut self, element: PathElement, below: Self) {
        debug_assert!(self.nodes.last().is_none_or(|last| last.element < element), "members come in order");
        self.nodes.push(Node { element, member: true, below });
    }

    fn find(&self, element: &PathElement) -> Option<&Node> {
        self.nodes.binary_search_by(|node| node.element.cmp(element)).ok().map(|at| &self.nodes[at])
    }

    /// Whether the path is in the set.
    #[must_use]
    pub fn has(&self, path: &[PathElement]) -> bool {
        let mut set = self;
        for (at, element) in path.iter().enumerate() {
            match set.find(element) {
                Some(node) if at + 1 == path.len() => return node.member,
                Some(node) => set = &node.below,
                None => return false,
            }
        }
        false
    }

    /// What the set says of one element: whether it is a member, and the set below it.
    pub(super) fn at(&self, element: &PathElement) -> (bool, Option<&Self>) {
        self.find(element).map_or((false, None), |node| (node.member, Some(&node.below)))
    }

    /// As `at`, for a field name.
    pub(super) fn at_field(&self, name: &str) -> (bool, Option<&Self>) {
        let found = self.nodes.binary_search_by(|node| match &node.element {
            PathElement::Field(field) => field.as_str().cmp(name),
            _ => Ordering::Greater,
        });
        found.map_or((false, None), |at| (self.nodes[at].member, Some(&self.nodes[at].below)))
    }

    /// The elements at the top with whether they are members and the sets below them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&PathElement, bool, &Self)> {
        self.nodes.iter().map(|node| (&node.element, node.member, &node.below))
    }

    /// The set with other nodes in these places, for the same elements.
    pub(super) fn with_nodes(&self, changes: Vec<(usize, Node)>) -> Self {
        let mut set = self.clone();
        for (at, node) in changes {
            debug_assert_eq!(set.nodes[at].element, node.element, "a node takes the place of its own");
            set.nodes[at] = node;
        }
        set
    }

    /// All paths of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.combine(other, &|a, b| a || b, true, true)
    }

    /// All paths of any of the sets. Sets of like size are united first: adding many small ones to a growing one costs the
    /// product of their number and its size.
    #[must_use]
    pub fn union_of(mut sets: Vec<Self>) -> Self {
        while sets.len() > 1 {
            let mut pairs = sets.into_iter();
            let mut united = Vec::with_capacity(pairs.len().div_ceil(2));
            while let Some(one) = pairs.next() {
                united.push(match pairs.next() {
                    Some(other) => one.union(&other),
                    None => one,
                });
            }
            sets = united;
        }
        sets.pop().unwrap_or_default()
    }

    /// The paths that are in both sets. Costs as much as the smaller is large, but for the looking up in the larger.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let self_is_larger = self.nodes.len() > other.nodes.len();
        let (few, many) = if self_is_larger { (other, self) } else { (self, other) };
        let common = few.nodes.iter().filter_map(|few| {
            let many = many.find(&few.element)?;
            let (a, b) = if self_is_larger { (many, few) } else { (few, many) };
            let (member, below) = (a.member && b.member, a.below.intersection(&b.below));
            (member || !below.is_empty()).then(|| Node { element: a.element.clone(), member, below })
        });
        Self { nodes: common.collect() }
    }

    /// As `difference`, in place.
    pub(super) fn subtract(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        self.nodes.retain_mut(|node| {
            if let Some(gone) = other.find(&node.element) {
                node.member &= !gone.member;
                node.below.subtract(&gone.below);
            }
            node.member || !node.below.is_empty()
        });
    }

    /// The paths that are not in `other`. What lies below a path of `other` stays.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(other, &|a, b| a && !b, true, false)
    }

    fn combine(&self, other: &Self, member: &impl Fn(bool, bool) -> bool, keep_a: bool, keep_b: bool) -> Self {
        let (mut a, mut b) = (self.nodes.iter().peekable(), other.nodes.iter().peekable());
        let mut nodes =
            Vec::with_capacity(if keep_b { self.nodes.len().max(other.nodes.len()) } else { self.nodes.len() });
        loop {
            let order = match (a.peek(), b.peek()) {
                (Some(a), Some(b)) => a.element.cmp(&b.element),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return Self { nodes },
            };
            match order {
                Ordering::Less => nodes.extend(a.next().filter(|_| keep_a).cloned()),
                Ordering::Greater => nodes.extend(b.next().filter(|_| keep_b).cloned()),
                Ordering::Equal => {
                    let (a, b) = (a.next().expect("it was peeked"), b.next().expect("it was peeked"));
                    let below = a.below.combine(&b.below, member, keep_a, keep_b);
                    let member = member(a.member, b.member);
                    if member || !below.is_empty() {
                        nodes.push(Node { element: a.element.clone(), member, below });
                    }
                }
            }
        }
    }

    /// The paths that are neither in `other` nor below a path of `other`.
    #[must_use]
    pub fn difference_with_children(&self, other: &Self) -> Self {
        if other.is_empty() {
            return self.clone();
        }
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            match other.find(&node.element) {
                None => nodes.push(node.clone()),
                Some(gone) if gone.member => {}
                Some(partly) => {
                    let below = node.below.difference_with_children(&partly.below);
                    if node.member || !below.is_empty() {
                        nodes.push(Node { element: node.element.clone(), member: node.member, below });
                    }
                }
            }
        }
        Self { nodes }
    }

    /// The paths that `patterns` lead to, with all below them; `*` stands for any element. What is on the way is not in it.
    #[must_use]
    pub(super) fn at_or_below(&self, patterns: &[&[&str]]) -> Self {
        let mut nodes = Vec::new();
        for node in &self.nodes {
            let rests: smallvec::SmallVec<[&[&str]; 4]> = patterns
                .iter()
                .filter_map(|pattern| pattern.split_first())
                .filter(|(first, _)| match &node.element {
                    PathElement::Field(name) => **first == ANY || name == **first,
                    _ => **first == ANY,
                })
                .map(|(_, rest)| rest)
                .collect();
            if rests.iter().any(|rest| rest.is_empty()) {
                nodes.push(node.clone());
                continue;
            }
            let below = node.below.at_or_below(&rests);
            if !below.is_empty() {
                nodes.push(Node { element: node.element.clone(), member: false, below });
            }
        }
        Self { nodes }
    }

    /// As `difference_with_children`, in place.
    pub(super) fn subtract_with_children(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        self.nodes.retain_mut(|node| {
            let Some(gone) = other.find(&node.element) else { return true };
            if !gone.member {
                node.below.subtract_with_children(&gone.below);
            }
            !gone.member && (node.member || !node.below.is_empty())
        });
    }

    /// Whether the sets have a path in common.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        let (few, many) = if self.nodes.len() <= other.nodes.len() { (self, other) } else { (other, self) };
        few.nodes
            .iter()
            .any(|a| many.find(&a.element).is_some_and(|b| (a.member && b.member) || a.below.intersects(&b.below)))
    }

    /// The paths below which the set has no other.
    #[must_use]
    pub fn leaves(&self) -> Self {
        let nodes = self.nodes.iter().map(|node| Node {
            element: node.element.clone(),
            member: node.member && node.below.is_empty(),
            below: node.below.leaves(),
        });
        Self { nodes: nodes.collect() }
    }

    /// Calls `visit` with each path until it breaks: at every level the members first, then what is below, as upstream lists
    /// them.
    pub fn try_for_each<'a>(
        &'a self,
        visit: &mut impl FnMut(&[&'a PathElement]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.walk(&mut Vec::new(), visit)
    }

    fn walk<'a>(
        &'a self,
        path: &mut Vec<&'a PathElement>,
        visit: &mut impl FnMut(&[&'a PathElement]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        for node in self.nodes.iter().filter(|node| node.member) {
            path.push(&node.element);
            visit(path)?;
            path.pop();
        }
        for node in &self.nodes {
            path.push(&node.element);
            node.below.walk(path, visit)?;
            path.pop();
        }
        ControlFlow::Continue(())
    }
}
