//! Holds an object against the rules of its schema, from the root down.
//!
//! A rule about a change needs something to compare with, or says that it does not. A rule that a value did not keep before
//! either, and that is not about the change, is a warning.
//! Depth is that of the schema, which is bounded; cost and work are bounded for each evaluation and for all together.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go (v1.35).

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{Arc, OnceLock},
};

use corten_apimachinery::{
    field::{Error, ErrorList, Path},
    schema::{AdditionalProperties, Correlation, Structural, ValidationRule},
    value::{Str, Value as Tree},
};

use super::{
    compile::{CompiledRule, OLD_SELF, RuleTypes, SELF},
    failure::{self, Message},
    place::{At, Before, Step},
};
use crate::{
    Program, Value,
    error::EvalError,
    eval::{Activation, Work},
    limits::{PER_CALL, PER_REQUEST},
    value::Shape,
};

/// Up to this estimate an object is held against its rules in some milliseconds.
const CHEAP_COST: u64 = 100_000;

/// The rules of a schema, which are compiled when they are first needed.
#[derive(Debug)]
pub struct RuleSet {
    schema: Arc<Structural>,
    root: OnceLock<Option<Node>>,
    /// What they cost at most for one object.
    cost: OnceLock<u64>,
}

/// What came of checking an object.
#[derive(Debug, Default)]
pub struct Checked {
    /// The rules that it does not keep.
    pub errors: ErrorList,
    /// Those that it did not keep before, where it has not changed.
    pub warnings: ErrorList,
}

/// A place in the schema with rules here or further down.
#[derive(Debug)]
struct Node {
    /// `None` if expressions can do nothing with the values.
    types: Option<RuleTypes>,
    rules: OnceLock<Vec<CompiledRule>>,
    items: Option<Box<Node>>,
    additional: Option<Box<Node>>,
    properties: BTreeMap<Str, Node>,
}

impl Node {
    fn of(schema: &Structural, types: Option<RuleTypes>) -> Option<Self> {
        let elements = || types.as_ref().and_then(RuleTypes::elements);
        let below = |schema: &Structural| Node::of(schema, elements()).map(Box::new);
        let property = |(name, schema): (&Str, &Structural)| {
            // A field that expressions can do nothing with is not looked into.
            let types = types.as_ref()?.property(name)?;
            Some((name.clone(), Node::of(schema, Some(types))?))
        };
        let items = schema.items.as_deref().and_then(below);
        let additional = schema.additional_properties.as_ref().and_then(AdditionalProperties::schema).and_then(below);
        let properties: BTreeMap<Str, Node> = schema.properties.iter().filter_map(property).collect();
        let has_rules = !schema.extensions.validations.is_empty();
        (has_rules || items.is_some() || additional.is_some() || !properties.is_empty()).then(|| Self {
            types,
            rules: OnceLock::new(),
            items,
            additional,
            properties,
        })
    }
}

impl Node {
    /// What the rules here and further down cost at most, where the value can be there `count` times.
    fn cost(&self, schema: &Structural, count: u64) -> u64 {
        let compile = |types: &RuleTypes| {
            let compiled = self.rules.get_or_init(|| types.compile(schema));
            types.cost(compiled, count)
        };
        let mut cost = self.types.as_ref().map_or(0, compile);
        let limit = |max: Option<i64>| max.and_then(|max| u64::try_from(max).ok()).unwrap_or(u64::MAX);
        let validation = schema.validation.as_deref();
        let items = self.items.as_deref().zip(schema.items.as_deref());
        let items = items.map(|(node, schema)| (node, schema, limit(validation.and_then(|rules| rules.max_items))));
        let additional = schema.additional_properties.as_ref().and_then(AdditionalProperties::schema);
        let additional = self.additional.as_deref().zip(additional);
        let additional =
            additional.map(|(node, schema)| (node, schema, limit(validation.and_then(|rules| rules.max_properties))));
        let properties =
            self.properties.iter().filter_map(|(name, node)| Some((node, schema.properties.get(name)?, 1)));
        for (node, schema, times) in items.into_iter().chain(additional).chain(properties) {
            cost = cost.saturating_add(node.cost(schema, count.saturating_mul(times)));
        }
        cost
    }
}

impl RuleSet {
    /// The rules of `schema`, which is that of whole objects; `None` if it has none.
    #[must_use]
    pub fn new(schema: Arc<Structural>) -> Option<Self> {
        schema.has_rules().then(|| Self { schema, root: OnceLock::new(), cost: OnceLock::new() })
    }

    /// Whether a check may take long: the rules are not compiled yet, or cost much by their estimate.
    #[must_use]
    pub fn is_costly(&self) -> bool {
        self.cost.get().is_none_or(|cost| *cost > CHEAP_COST)
    }

    /// Whether `object`, which is as the rest of the schema says, keeps the rules; `old` is what is stored of it.
    #[must_use]
    pub fn check(&self, object: &Tree, old: Option<&Tree>) -> Checked {
        self.check_within(object, old, PER_REQUEST)
    }

    pub(super) fn check_within(&self, object: &Tree, old: Option<&Tree>, budget: u64) -> Checked {
        let root = self.root.get_or_init(|| Node::of(&self.schema, RuleTypes::of(&self.schema, true)));
        self.cost.get_or_init(|| root.as_ref().map_or(0, |root| root.cost(&self.schema, 1)));
        let mut walk = Walk { budget, work: Work::of_request(), checked: Checked::default() };
        if let Some(root) = root {
            let correlation = old.map(|old| Correlation::new(object, Some(old), &self.schema));
            let values = Values { value: object, old: old.filter(|old| !old.is_null()) };
            // Whether it ended early is in the errors.
            let _ = walk.place(root, &self.schema, At::root(None), values, &Before::root(correlation));
        }
        walk.checked
    }
}

/// Holds the defaults of a schema against its rules, all of them within one budget.
#[derive(Debug)]
pub struct DefaultRules {
    /// The cost that is left, and the work; `None` once it is spent.
    budget: Option<(u64, Work)>,
}

impl Default for DefaultRules {
    fn default() -> Self {
        Self { budget: Some((PER_REQUEST, Work::of_request())) }
    }
}

impl DefaultRules {
    /// The rules of `schema` that its default at `path`, which is as the rest of it says, does not keep. A default is what it
    /// was, so that rules about changes hold for it as for an update that changes nothing.
    pub fn check(&mut self, path: &Path, schema: &Structural, is_resource: bool, default: &Tree) -> ErrorList {
        if !schema.has_rules() {
            return ErrorList::new();
        }
        let Some((budget, work)) = self.budget.take() else { return ErrorList::new() };
        let mut walk = Walk { budget, work, checked: Checked::default() };
        let mut end = ControlFlow::Continue(());
        if let Some(root) = Node::of(schema, RuleTypes::of(schema, is_resource)) {
            let values = Values { value: default, old: Some(default) };
            end = walk.place(&root, schema, At::root(Some(path)), values, &Before::root(None));
        }
        self.budget = end.is_continue().then_some((walk.budget, walk.work));
        walk.checked.errors
    }
}

/// A value and what it was.
#[derive(Debug, Clone, Copy)]
struct Values<'v> {
    value: &'v Tree,
    old: Option<&'v Tree>,
}

struct Walk {
    budget: u64,
    /// What all evaluations may do together that cost does not count.
    work: Work,
    checked: Checked,
}

impl Walk {
    fn place<'v>(
        &mut self,
        node: &'v Node,
        schema: &'v Structural,
        at: At<'_>,
        values: Values<'v>,
        before: &Before<'v, '_>,
    ) -> ControlFlow<()> {
        if values.value.is_null() {
            // Whether it may be null is for the rules above.
            return ControlFlow::Continue(());
        }
        if !schema.extensions.validations.is_empty() {
            self.rules(node, schema, at, values, before)?;
        }
        match values.value {
            Tree::Object(map) => {
                let additional = schema.additional_properties.as_ref().and_then(AdditionalProperties::schema);
                let additional = node.additional.as_deref().zip(additional);
                for (name, value) in map.iter() {
                    let property = node.properties.get(name).zip(schema.properties.get(name));
                    let Some((node, schema)) = property.or(additional) else { continue };
                    let step = if property.is_some() { Step::Field(name) } else { Step::Key(name) };
                    let old = values.old.and_then(|old| old.get(name)).filter(|old| !old.is_null());
                    self.place(node, schema, at.step(step), Values { value, old }, &before.field(name))?;
                }
            }
            Tree::Array(items) => {
                let Some((node, schema)) = node.items.as_deref().zip(schema.items.as_deref()) else {
                    return ControlFlow::Continue(());
                };
                let old_items = before.correlation().and_then(Correlation::old_items);
                for (index, value) in items.iter().enumerate() {
                    let correlation = old_items.as_ref().and_then(|old| old.of(value));
                    let values = Values { value, old: correlation.and_then(Correlation::old) };
                    self.place(node, schema, at.step(Step::Index(index)), values, &before.item(correlation))?;
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn rules<'v>(
        &mut self,
        node: &'v Node,
        schema: &'v Structural,
        at: At<'_>,
        values: Values<'v>,
        before: &Before<'v, '_>,
    ) -> ControlFlow<()> {
        let ty = &*schema.generic.ty;
        let Some(types) = &node.types else {
            self.fail(at, ty, no_types(schema));
            return ControlFlow::Continue(());
        };
        if self.budget == 0 {
            self.fail(at, ty, failure::OUT_OF_BUDGET);
            return ControlFlow::Break(());
        }
        let compiled = node.rules.get_or_init(|| types.compile(schema));
        let place = Place {
            values,
            shape: types.shape(),
            ty,
            at,
            before,
            has_old: compiled.iter().any(|rule| rule.uses_old_self),
        };
        for (rule, compiled) in schema.extensions.validations.iter().zip(compiled) {
            match &compiled.program {
                Err(error) => self.fail(at, ty, format!("rule compile error: {error}")),
                Ok(None) => {}
                Ok(Some(program)) => self.rule(rule, compiled, program, &place)?,
            }
            if self.checked.errors.is_full() {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn rule<'v>(
        &mut self,
        rule: &ValidationRule,
        compiled: &'v CompiledRule,
        program: &'v Program,
        place: &Place<'v, '_>,
    ) -> ControlFlow<()> {
        let old_is_optional = rule.optional_old_self == Some(true);
        if compiled.uses_old_self && place.values.old.is_none() && !old_is_optional {
            return ControlFlow::Continue(());
        }
        let (result, cost) = program.eval_within(&Variables { place, old_is_optional }, PER_CALL, &mut self.work);
        let Some(left) = self.budget.checked_sub(cost) else {
            self.fail(place.at, place.ty, failure::OUT_OF_BUDGET);
            return ControlFlow::Break(());
        };
        self.budget = left;
        match result {
            Ok(Value::Bool(true)) => return ControlFlow::Continue(()),
            Ok(_) => {}
            Err(error) => {
                let (detail, is_fatal) = failure::not_evaluated(&error, rule);
                self.fail(place.at, place.ty, detail);
                return if is_fatal { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            }
        }
        let path = place.at.path(compiled.field_path.as_deref());
        let is_warning = !compiled.uses_old_self && place.before.is_unchanged();
        let mut detail = None;
        if let Ok(Some(message)) = &compiled.message {
            // The old value is not optional here, whatever it is to the rule.
            let variables = Variables { place, old_is_optional: false };
            let (message, left) = failure::message(message, rule, &variables, (self.budget, &mut self.work));
            self.budget = left;
            match message {
                Message::Text(text) => detail = Some(text),
                Message::None => {}
                Message::Fatal(detail) => {
                    self.add(Error::invalid(&path, place.ty, detail), is_warning);
                    return ControlFlow::Break(());
                }
            }
        }
        let detail = detail.unwrap_or_else(|| failure::usual_message(rule));
        self.add(failure::refused(rule, &path, (place.values.value, place.ty), detail), is_warning);
        ControlFlow::Continue(())
    }

    fn fail(&mut self, at: At<'_>, ty: &str, detail: impl Into<String>) {
        let path: Path = at.path(None);
        self.checked.errors.push(Error::invalid(&path, ty, detail));
    }

    fn add(&mut self, error: Error, is_warning: bool) {
        let list = if is_warning { &mut self.checked.warnings } else { &mut self.checked.errors };
        list.push(error);
    }
}

fn no_types(schema: &Structural) -> String {
    format!(
        "rule compiler initialization error: rule declared on schema that does not support validation rules type: '{}' \
         x-kubernetes-preserve-unknown-fields: '{}'",
        schema.generic.ty, schema.extensions.preserve_unknown_fields
    )
}

/// Where rules are evaluated.
struct Place<'v, 'p> {
    values: Values<'v>,
    shape: &'v Shape,
    ty: &'p str,
    at: At<'p>,
    before: &'p Before<'v, 'p>,
    /// Whether one of the rules compares with the old value.
    has_old: bool,
}

struct Variables<'v, 'p> {
    place: &'p Place<'v, 'p>,
    old_is_optional: bool,
}

impl<'v> Activation<'v> for Variables<'v, '_> {
    fn variable(&self, name: &str) -> Option<Result<Value<'v>, EvalError>> {
        let Place { values, shape, has_old, .. } = *self.place;
        let view = |node| Value::of_tree(node, shape);
        match name {
            SELF => Some(Ok(view(values.value))),
            OLD_SELF if !has_old => None,
            OLD_SELF if self.old_is_optional => Some(Ok(Value::Optional(values.old.map(view).map(Arc::new)))),
            OLD_SELF => values.old.map(view).map(Ok),
            _ => None,
        }
    }
}
