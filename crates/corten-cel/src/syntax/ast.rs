//! The tree of an expression: nodes in one vector, children by index.
//!
//! The index of a node is its id, under which the checker keeps its type and the estimator its size. Dropping a tree needs no
//! recursion, and its size has a limit, because some macros copy their operands.
//!
//! Upstream: cel-go common/ast (v0.26.0).

use std::sync::Arc;

/// The index of a node in its [`Ast`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A constant of the text.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `null`
    Null,
    /// `true`
    Bool(bool),
    /// `1`
    Int(i64),
    /// `1u`
    Uint(u64),
    /// `1.0`
    Double(f64),
    /// `'a'`
    String(Arc<str>),
    /// `b'a'`
    Bytes(Arc<[u8]>),
}

/// One element of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    /// What it is.
    pub value: NodeId,
    /// Written with `?`: an optional that may be left out.
    pub optional: bool,
}

/// One entry of a map.
#[derive(Debug, Clone, PartialEq)]
pub struct MapEntry {
    /// The key.
    pub key: NodeId,
    /// The value.
    pub value: NodeId,
    /// Written with `?`: an optional that may be left out.
    pub optional: bool,
}

/// One field of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct StructField {
    /// Where the field's colon is, as a node of its own.
    pub id: NodeId,
    /// The name.
    pub name: Arc<str>,
    /// The value.
    pub value: NodeId,
    /// Written with `?`: an optional that may be left out.
    pub optional: bool,
}

/// What all macros over lists and maps become.
#[derive(Debug, Clone, PartialEq)]
pub struct Comprehension {
    /// What is gone through.
    pub range: NodeId,
    /// The variable of the element; of the index or key where there are two.
    pub variable: Arc<str>,
    /// The variable of the element where there are two.
    pub second_variable: Option<Arc<str>>,
    /// The variable of the result so far.
    pub accumulator: Arc<str>,
    /// The result before the first step.
    pub init: NodeId,
    /// Whether to go on.
    pub condition: NodeId,
    /// The result after a step.
    pub step: NodeId,
    /// What comes out.
    pub result: NodeId,
}

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Something that could not be read; there is an issue that says why.
    Error,
    /// A constant.
    Literal(Literal),
    /// A name, with a leading dot if it was written with one.
    Ident(Arc<str>),
    /// `operand.field`
    Select {
        /// What has the field.
        operand: NodeId,
        /// Its name.
        field: Arc<str>,
        /// `has(operand.field)`: whether it is there.
        test_only: bool,
    },
    /// A function, operator or method.
    Call {
        /// The name.
        function: Arc<str>,
        /// What stands before the dot.
        target: Option<NodeId>,
        /// What stands between the parentheses.
        args: Vec<NodeId>,
    },
    /// `[a, b]`
    List(Vec<Element>),
    /// `{a: b}`
    Map(Vec<MapEntry>),
    /// `Name{a: b}`
    Struct {
        /// The name of the message.
        name: Arc<str>,
        /// Its fields.
        fields: Vec<StructField>,
    },
    /// A loop.
    Comprehension(Box<Comprehension>),
}

/// The largest tree. An expression of 100,000 characters has fewer nodes, unless it piles up macros that copy.
const NODES_MAX: usize = 500_000;

/// A whole expression.
#[derive(Debug, Clone)]
pub struct Ast {
    nodes: Vec<Node>,
    positions: Vec<u32>,
    root: NodeId,
}

impl Ast {
    pub(crate) fn new() -> Self {
        Self { nodes: Vec::new(), positions: Vec::new(), root: NodeId(0) }
    }

    /// Adds a node whose text begins at byte `position`.
    pub(crate) fn add(&mut self, position: u32, node: Node) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).expect("trees have a limit far below"));
        self.nodes.push(node);
        self.positions.push(position);
        id
    }

    pub(crate) fn is_too_large(&self) -> bool {
        self.nodes.len() > NODES_MAX
    }

    pub(crate) fn set_root(&mut self, root: NodeId) {
        self.root = root;
    }

    /// The node that is the whole expression.
    #[must_use]
    pub fn root(&self) -> NodeId {
        self.root
    }

    /// The node `id`.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// At which byte of the text the node `id` stands.
    #[must_use]
    pub fn position(&self, id: NodeId) -> u32 {
        self.positions[id.index()]
    }

    /// All nodes, parts before the whole.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }

    /// How many nodes there are; ids are below.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are no nodes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Copies the tree under `id`, with new ids. Depth is bounded by the parser's limit; stops adding when the tree is too large.
    pub(crate) fn copy(&mut self, id: NodeId) -> NodeId {
        if self.is_too_large() {
            return id;
        }
        let position = self.position(id);
        let mut node = self.node(id).clone();
        match &mut node {
            Node::Error | Node::Literal(_) | Node::Ident(_) => {}
            Node::Select { operand, .. } => *operand = self.copy(*operand),
            Node::Call { target, args, .. } => {
                for child in target.iter_mut().chain(args) {
                    *child = self.copy(*child);
                }
            }
            Node::List(elements) => {
                for element in elements {
                    element.value = self.copy(element.value);
                }
            }
            Node::Map(entries) => {
                for entry in entries {
                    entry.key = self.copy(entry.key);
                    entry.value = self.copy(entry.value);
                }
            }
            Node::Struct { fields, .. } => {
                for field in fields {
                    let at = self.position(field.id);
                    field.id = self.add(at, Node::Error);
                    field.value = self.copy(field.value);
                }
            }
            Node::Comprehension(comprehension) => {
                let parts = &mut **comprehension;
                for child in
                    [&mut parts.range, &mut parts.init, &mut parts.condition, &mut parts.step, &mut parts.result]
                {
                    *child = self.copy(*child);
                }
            }
        }
        self.add(position, node)
    }

    /// The dotted name that the tree under `id` spells, if it is made of names and selections alone.
    #[must_use]
    pub fn qualified_name(&self, id: NodeId) -> Option<String> {
        let mut parts = Vec::new();
        let mut node = self.node(id);
        loop {
            match node {
                Node::Ident(name) => {
                    parts.push(&**name);
                    break;
                }
                Node::Select { operand, field, test_only: false } => {
                    parts.push(field);
                    node = self.node(*operand);
                }
                _ => return None,
            }
        }
        parts.reverse();
        Some(parts.join("."))
    }
}
