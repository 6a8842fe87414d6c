//! What an expression costs at least and at most.
//!
//! Upstream: cel-go checker/cost.go (v0.26.0), with presence tests free as k8s.io/apiserver/pkg/cel/environment/base.go has it
//! (v1.35).

use std::{collections::BTreeMap, sync::Arc};

use super::{
    CallEstimate, CostRange, SizeEstimator, SizeRange,
    copies::{self, copies},
    standard::standard,
};
use crate::{
    checker::{Checked, Reference},
    eval::{LIST_COST, MAP_COST, OBJECT_COST},
    library::{CallSite, CostNode},
    syntax::{ACCUMULATOR, Comprehension, Literal, Node, NodeId},
    types::Type,
};

/// What an estimate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    /// What upstream counts.
    Cost,
    /// And what is copied and compared besides. `merges`: lists may be sets or have keys.
    Copies { merges: bool },
}

/// The cost of `checked`.
pub(crate) fn estimate(checked: &Checked, sizes: &dyn SizeEstimator, counts: Counts) -> CostRange {
    let mut coster = Coster {
        checked,
        sizes,
        counts,
        paths: BTreeMap::new(),
        locals: Vec::new(),
        computed: BTreeMap::new(),
        entries: BTreeMap::new(),
    };
    coster.cost(checked.ast.root())
}

type Path = Arc<[String]>;

/// The sizes of a container's keys or indexes, and of its values.
#[derive(Debug, Clone, Copy)]
struct EntrySize {
    is_list: bool,
    key: SizeRange,
    value: SizeRange,
}

struct Local {
    name: Arc<str>,
    path: Option<Path>,
    size: Option<SizeRange>,
    entries: Option<EntrySize>,
}

struct Coster<'c> {
    checked: &'c Checked,
    sizes: &'c dyn SizeEstimator,
    counts: Counts,
    paths: BTreeMap<NodeId, Path>,
    locals: Vec<Local>,
    computed: BTreeMap<NodeId, SizeRange>,
    entries: BTreeMap<NodeId, EntrySize>,
}

fn extended(path: Option<Path>, with: &str) -> Path {
    path.iter().flat_map(|path| path.iter().cloned()).chain([with.to_owned()]).collect()
}

impl<'c> Coster<'c> {
    fn node(&self, id: NodeId) -> &'c Node {
        self.checked.ast.node(id)
    }

    fn local(&self, name: &str) -> Option<&Local> {
        self.locals.iter().rev().find(|local| &*local.name == name)
    }

    /// The name of a variable, also where it was written with dots.
    fn variable(&self, id: NodeId) -> Option<Arc<str>> {
        match (self.node(id), self.checked.reference(id)) {
            (_, Some(Reference::Ident { name, .. })) => Some(name.clone()),
            (Node::Ident(name), _) => Some(name.clone()),
            _ => None,
        }
    }

    fn path(&self, id: NodeId) -> Option<Path> {
        if let Some(name) = self.variable(id)
            && let Some(local) = self.local(&name)
        {
            return local.path.clone();
        }
        self.paths.get(&id).cloned()
    }

    fn cost(&mut self, id: NodeId) -> CostRange {
        if let Some(name) = self.variable(id) {
            let path = match self.local(&name) {
                Some(local) => local.path.clone(),
                None => Some(vec![name.to_string()].into()),
            };
            self.paths.extend(path.map(|path| (id, path)));
            return CostRange::fixed(1);
        }
        match self.checked.ast.node(id) {
            Node::Error | Node::Literal(_) | Node::Ident(_) => CostRange::fixed(0),
            Node::Select { operand, field, test_only } => self.select(id, *operand, field, *test_only),
            Node::Call { .. } => self.call(id),
            Node::List(elements) => {
                let mut sum = CostRange::fixed(LIST_COST);
                let mut items = None;
                for element in elements {
                    sum = sum.plus(self.cost(element.value));
                    items = Some(union(items, self.size_or_unknown(element.value)));
                }
                let value = items.unwrap_or(SizeRange::fixed(0));
                self.entries.insert(id, EntrySize { is_list: true, key: SizeRange::fixed(1), value });
                sum
            }
            Node::Map(entries) => {
                let mut sum = CostRange::fixed(MAP_COST);
                let (mut keys, mut values) = (None, None);
                for entry in entries {
                    sum = sum.plus(self.cost(entry.key)).plus(self.cost(entry.value));
                    keys = Some(union(keys, self.size_or_unknown(entry.key)));
                    values = Some(union(values, self.size_or_unknown(entry.value)));
                }
                let none = SizeRange::fixed(0);
                let sizes = EntrySize { is_list: false, key: keys.unwrap_or(none), value: values.unwrap_or(none) };
                self.entries.insert(id, sizes);
                sum
            }
            Node::Struct { fields, .. } => {
                fields.iter().fold(CostRange::fixed(OBJECT_COST), |sum, field| sum.plus(self.cost(field.value)))
            }
            Node::Comprehension(parts) if self.is_bind(parts) => self.bind(id, parts),
            Node::Comprehension(parts) => self.comprehension(id, parts),
        }
    }

    fn select(&mut self, id: NodeId, operand: NodeId, field: &str, test_only: bool) -> CostRange {
        let cost = self.cost(operand);
        if test_only {
            return cost;
        }
        self.paths.insert(id, extended(self.path(operand), field));
        match self.checked.type_of(operand) {
            Type::Map(_) | Type::Object(_) | Type::Param(_) => cost.plus(CostRange::fixed(1)),
            _ => cost,
        }
    }

    fn call(&mut self, id: NodeId) -> CostRange {
        let Node::Call { function, target, args } = self.checked.ast.node(id) else { return CostRange::fixed(0) };
        if &**function == "dyn"
            && let [arg] = args.as_slice()
        {
            let cost = self.cost(*arg);
            self.copy_sizes(id, *arg);
            return cost.plus(CostRange::fixed(1));
        }
        let costs: Vec<CostRange> = args.iter().map(|arg| self.cost(*arg)).collect();
        let nodes: Vec<CostNode<'c>> = args.iter().map(|arg| self.cost_node(*arg)).collect();
        let (name, rule, overloads): (&str, _, Vec<&str>) = match self.checked.reference(id) {
            Some(Reference::Function { declaration, overloads }) => (
                &declaration.name,
                declaration.cost,
                overloads.iter().map(|index| &*declaration.overloads[*index].id).collect(),
            ),
            _ => (function, &crate::library::STANDARD_COST, vec!["select_optional_field"]),
        };
        if overloads.is_empty() {
            return CostRange::fixed(0);
        }
        let mut sum = CostRange::fixed(0);
        let mut target_node = None;
        if let Some(target) = target.filter(|_| !name.contains('.')) {
            sum = self.cost(target);
            target_node = Some(self.cost_node(target));
        }
        let mut cost: Option<CostRange> = None;
        let mut size: Option<SizeRange> = None;
        for overload in overloads {
            let call = CallSite { overload, target: target_node.as_ref(), args: &nodes, sizes: self.sizes };
            let found = match overload {
                "logical_and" | "logical_or" => {
                    CallEstimate::of(CostRange { min: costs[0].min, max: costs[0].plus(costs[1]).max })
                }
                "conditional" => self.conditional(id, args, &costs),
                _ => {
                    let mut found = (rule.estimate)(&call).unwrap_or_else(|| standard(&call));
                    found.cost = costs.iter().fold(found.cost, |sum, cost| sum.plus(*cost));
                    if let Counts::Copies { merges } = self.counts {
                        found.cost = found.cost.plus(copies(&call, found.size, merges));
                        if let ("string_format", [values]) = (overload, args.as_slice()) {
                            found.cost = found.cost.plus(self.written(*values));
                        }
                    }
                    found
                }
            };
            if matches!(overload, "add_string" | "add_bytes" | "add_list")
                && let [left, right] = args.as_slice()
                && let Some(both) = union_entries(self.entry_size(*left), self.entry_size(*right))
            {
                self.entries.insert(id, both);
            }
            cost = Some(cost.map_or(found.cost, |cost| cost.union(found.cost)));
            size = match (size, found.size) {
                (Some(size), Some(found)) => Some(size.union(found)),
                (size, found) => size.or(found),
            };
            if let ("index_list" | "index_map", [operand, ..]) = (overload, args.as_slice()) {
                size = self.entry_size(*operand).map(|entries| entries.value);
                let step = if overload == "index_list" { "@items" } else { "@values" };
                self.paths.insert(id, extended(self.path(*operand), step));
            }
            size = size.or_else(|| self.size(id));
        }
        self.computed.extend(size.map(|size| (id, size)));
        sum.plus(cost.unwrap_or_default())
    }

    /// What `format` writes of its values.
    fn written(&mut self, values: NodeId) -> CostRange {
        let Node::List(elements) = self.checked.ast.node(values) else { return CostRange::UNKNOWN };
        elements.iter().fold(CostRange::fixed(0), |sum, element| {
            let is_text = matches!(self.checked.type_of(element.value), Type::String | Type::Bytes);
            let factor = if is_text { copies::TEXT_FACTOR } else { 1.0 };
            sum.plus(self.size_or_unknown(element.value).cost(factor))
        })
    }

    fn conditional(&mut self, id: NodeId, args: &[NodeId], costs: &[CostRange]) -> CallEstimate {
        let ([_, yes, no], [condition, yes_cost, no_cost]) = (args, costs) else {
            return CallEstimate::of(CostRange::UNKNOWN);
        };
        let size = self.size_or_unknown(*yes).union(self.size_or_unknown(*no));
        let entries = union_entries(self.entry_size(*yes), self.entry_size(*no));
        self.entries.extend(entries.map(|entries| (id, entries)));
        CallEstimate { cost: condition.plus(yes_cost.union(*no_cost)), size: Some(size) }
    }

    fn is_bind(&self, parts: &Comprehension) -> bool {
        matches!(self.node(parts.range), Node::List(items) if items.is_empty())
            && matches!(self.node(parts.condition), Node::Literal(Literal::Bool(false)))
            && &*parts.accumulator != ACCUMULATOR
    }

    fn push(&mut self, name: &Arc<str>, path: Option<Path>, size: Option<SizeRange>, entries: Option<EntrySize>) {
        self.locals.push(Local { name: name.clone(), path, size, entries });
    }

    fn push_value(&mut self, name: &Arc<str>, of: NodeId) {
        let (path, size, entries) = (self.path(of), self.size(of), self.entry_size(of));
        self.push(name, path, size, entries);
    }

    fn bind(&mut self, id: NodeId, parts: &Comprehension) -> CostRange {
        let sum = self.cost(parts.range).plus(self.cost(parts.init));
        self.push_value(&parts.accumulator, parts.init);
        let sum = sum.plus(self.cost(parts.result));
        self.locals.pop();
        self.copy_sizes(id, parts.result);
        sum
    }

    fn comprehension(&mut self, id: NodeId, parts: &Comprehension) -> CostRange {
        let sum = self.cost(parts.range).plus(self.cost(parts.init));
        let depth = self.locals.len();
        self.push_value(&parts.accumulator, parts.init);
        let entries = self.entry_size(parts.range);
        let path = self.path(parts.range);
        let is_list = match entries {
            Some(entries) => entries.is_list,
            None => matches!(self.checked.type_of(parts.range), Type::List(_)),
        };
        let key = entries.map(|entries| entries.key);
        let value = entries.map(|entries| entries.value);
        if let Some(second) = &parts.second_variable {
            let step = if is_list { "@indices" } else { "@keys" };
            self.push(&parts.variable, Some(extended(path.clone(), step)), key, None);
            let step = if is_list { "@items" } else { "@values" };
            self.push(second, Some(extended(path, step)), value, None);
        } else {
            let (step, size) = if is_list { ("@items", value) } else { ("@keys", key) };
            self.push(&parts.variable, Some(extended(path, step)), size, None);
        }
        let turn = self.cost(parts.condition).plus(self.cost(parts.step));
        self.locals.truncate(depth + 1);
        let sum = sum.plus(self.cost(parts.result));
        self.locals.truncate(depth);
        let turns = self.size_or_unknown(parts.range);
        match self.checked.ast.node(parts.init) {
            Node::Literal(_) => {
                let size = self.size(parts.init);
                self.computed.extend(size.map(|size| (id, size)));
            }
            Node::List(_) | Node::Map(_) => {
                self.computed.insert(id, turns);
                let entries = self.entry_size(parts.step);
                self.entries.extend(entries.map(|entries| (id, entries)));
            }
            _ => {}
        }
        sum.plus(turns.times_cost(turn))
    }

    fn cost_node(&mut self, id: NodeId) -> CostNode<'c> {
        let path = self.path(id).filter(|path| path.first().is_some_and(|first| first != ACCUMULATOR));
        let size = self.size(id);
        let literal = match self.checked.ast.node(id) {
            Node::Literal(literal) => Some(literal),
            _ => None,
        };
        CostNode { path, of: self.checked.type_of(id), size, literal }
    }

    fn size_or_unknown(&mut self, id: NodeId) -> SizeRange {
        self.size(id).unwrap_or(SizeRange::UNKNOWN)
    }

    fn copy_sizes(&mut self, to: NodeId, from: NodeId) {
        let (size, entries) = (self.size(from), self.entry_size(from));
        self.computed.extend(size.map(|size| (to, size)));
        self.entries.extend(entries.map(|entries| (to, entries)));
    }

    fn size(&mut self, id: NodeId) -> Option<SizeRange> {
        if let Some(size) = self.computed.get(&id) {
            return Some(*size);
        }
        let exact = match self.checked.ast.node(id) {
            Node::Literal(Literal::String(text)) => Some(text.chars().count()),
            Node::Literal(Literal::Bytes(bytes)) => Some(bytes.len()),
            Node::Literal(_) => Some(1),
            Node::List(elements) => Some(elements.len()),
            Node::Map(entries) => Some(entries.len()),
            _ => None,
        };
        if let Some(exact) = exact {
            return Some(SizeRange::fixed(exact as u64));
        }
        let of = self.checked.type_of(id);
        if let Some(size) = self.sizes.size(self.path(id).as_deref(), of) {
            self.computed.insert(id, size);
            return Some(size);
        }
        if is_scalar(of) {
            return Some(SizeRange::fixed(1));
        }
        let name = self.variable(id)?;
        self.local(&name).and_then(|local| local.size)
    }

    fn entry_size(&self, id: NodeId) -> Option<EntrySize> {
        if let Some(entries) = self.entries.get(&id) {
            return Some(*entries);
        }
        let name = self.variable(id)?;
        self.local(&name).and_then(|local| local.entries)
    }
}

fn union(before: Option<SizeRange>, found: SizeRange) -> SizeRange {
    before.map_or(found, |before| before.union(found))
}

fn union_entries(a: Option<EntrySize>, b: Option<EntrySize>) -> Option<EntrySize> {
    let (a, b) = (a?, b?);
    Some(EntrySize { is_list: a.is_list, key: a.key.union(b.key), value: a.value.union(b.value) })
}

fn is_scalar(of: &Type) -> bool {
    match of {
        Type::Bool | Type::Double | Type::Duration | Type::Int | Type::Timestamp | Type::Uint => true,
        of => of.unwrap_optional().is_some_and(is_scalar),
    }
}
