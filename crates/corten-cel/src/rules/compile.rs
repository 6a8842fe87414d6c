//! The rules of one place in a schema as programs, and what is to be said of them when the schema is defined.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/compilation.go (v1.35). All that its libraries have was
//! there in the version before, so that rules which are stored may use nothing that new ones may not.

use std::{borrow::Cow, cell::OnceCell, sync::Arc};

use corten_apimachinery::schema::{Structural, ValidationRule, resolve_field_path};

use super::{
    declare::{Declaration, REQUEST_BYTES_MAX, declare},
    escape,
};
use crate::{
    Environment, Program,
    declared::{DeclaredSizes, DeclaredTypes},
    syntax::Source,
    types::Type,
    value::Shape,
};

/// The value that a rule is about.
pub(super) const SELF: &str = "self";
/// What that was before.
pub(super) const OLD_SELF: &str = "oldSelf";

/// What a rule costs at least that compiles patterns: some tens of milliseconds, which upstream counts by the length of the
/// pattern.
const PATTERN_COST: u64 = 200_000;

/// The type of a place in a schema, with all types below it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RuleTypes {
    declaration: Declaration,
    types: Arc<DeclaredTypes>,
}

/// What is to be said of a rule in a definition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Why the rule is none.
    pub error: Option<String>,
    /// Why its message expression is none.
    pub message_error: Option<String>,
    /// What it costs at most, for one value.
    pub cost: u64,
    /// How often the value can be in an object, going by the size of a request alone.
    pub max_cardinality: u64,
    /// What its message expression costs at most, if it has one.
    pub message_cost: Option<u64>,
    /// Whether it compares with the old value.
    pub uses_old_self: bool,
}

/// A rule as a program.
#[derive(Debug)]
pub(super) struct CompiledRule {
    /// `None` for a rule without a text, which always holds.
    pub(super) program: Result<Option<Program>, String>,
    /// The expression of its message, if it has one that can be evaluated.
    pub(super) message: Result<Option<Program>, String>,
    pub(super) uses_old_self: bool,
    /// The field below the place that errors name.
    pub(super) field_path: Option<String>,
}

impl RuleTypes {
    /// The type of `schema`; `None` if expressions can do nothing with its values. `is_resource`: they are whole objects.
    #[must_use]
    pub fn of(schema: &Structural, is_resource: bool) -> Option<Self> {
        let declaration = declare(schema, is_resource)?;
        let types = Arc::new(DeclaredTypes::unnamed([&*declaration.ty]));
        Some(Self { declaration, types })
    }

    fn part(&self, declaration: Declaration) -> Self {
        Self { declaration, types: self.types.clone() }
    }

    /// The type of the field `name`; `None` if expressions can do nothing with it.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<Self> {
        let name = escape(name).unwrap_or(Cow::Borrowed(name));
        let ty = self.declaration.ty.field(&name)?.clone();
        let shape = match &self.declaration.shape {
            Shape::Object(_, fields) => fields.get(&*name)?.shape.clone(),
            _ => return None,
        };
        Some(self.part(Declaration { ty, shape }))
    }

    /// The type of the items of a list, or of the values of a map.
    #[must_use]
    pub fn elements(&self) -> Option<Self> {
        let ty = self.declaration.ty.elements()?.clone();
        let shape = match &self.declaration.shape {
            Shape::List(items, _) | Shape::Map(items) => Shape::clone(items),
            _ => Shape::Dynamic,
        };
        Some(self.part(Declaration { ty, shape }))
    }

    pub(super) fn shape(&self) -> &Shape {
        &self.declaration.shape
    }

    /// What is to be said of each rule of `schema`, whose type this is.
    #[must_use]
    pub fn examine(&self, schema: &Structural) -> Vec<Findings> {
        let sizes = DeclaredSizes(&self.declaration.ty);
        let findings = |rule: CompiledRule| match rule.program {
            Ok(None) => Findings::default(),
            Err(error) => Findings { error: Some(error), ..Findings::default() },
            Ok(Some(program)) => {
                let mut findings = Findings {
                    cost: program.estimate(&sizes).max,
                    max_cardinality: self.max_cardinality(),
                    uses_old_self: rule.uses_old_self,
                    ..Findings::default()
                };
                match rule.message {
                    Ok(message) => findings.message_cost = message.map(|message| message.estimate(&sizes).max),
                    Err(error) => findings.message_error = Some(error),
                }
                findings
            }
        };
        self.compile(schema).into_iter().map(findings).collect()
    }

    /// What `rules` cost at most, for one value, or for `count` where a request can hold so many; with what upstream does not
    /// count.
    pub(super) fn cost(&self, rules: &[CompiledRule], count: u64) -> u64 {
        let sizes = DeclaredSizes(&self.declaration.ty);
        let merges = self.declaration.shape.merges();
        let of_program = |program: &Program| {
            let estimate = program.estimate_with_copies(&sizes, merges);
            if program.compiles_patterns() { estimate.max(PATTERN_COST) } else { estimate }
        };
        let cost = |program: &Option<Program>| program.as_ref().map_or(0, of_program);
        let of_rule = |rule: &CompiledRule| {
            let message = rule.message.as_ref().map_or(0, cost);
            rule.program.as_ref().map_or(0, cost).saturating_add(message)
        };
        let count = count.min(self.max_cardinality());
        rules.iter().map(of_rule).fold(0, u64::saturating_add).saturating_mul(count)
    }

    /// How often the value can be in an object, going by the size of a request alone.
    fn max_cardinality(&self) -> u64 {
        REQUEST_BYTES_MAX / (self.declaration.ty.min_bytes() + 1)
    }

    /// The rules of `schema`, whose type this is, in order.
    pub(super) fn compile(&self, schema: &Structural) -> Vec<CompiledRule> {
        let (always_old, maybe_old) = (OnceCell::new(), OnceCell::new());
        let rules = &schema.extensions.validations;
        let compile = |rule: &ValidationRule| {
            let ty = || self.declaration.ty.ty().clone();
            let environment = if rule.optional_old_self == Some(true) {
                maybe_old.get_or_init(|| self.environment(Type::optional(ty())))
            } else {
                always_old.get_or_init(|| self.environment(ty()))
            };
            compile_rule(rule, environment, schema)
        };
        rules.iter().map(compile).collect()
    }

    fn environment(&self, old: Type) -> Environment {
        Environment::kubernetes()
            .types(self.types.clone())
            .variable(SELF, self.declaration.ty.ty().clone())
            .variable(OLD_SELF, old)
    }
}

fn compile_rule(rule: &ValidationRule, environment: &Environment, schema: &Structural) -> CompiledRule {
    let mut compiled = CompiledRule { program: Ok(None), message: Ok(None), uses_old_self: false, field_path: None };
    if rule.rule.trim().is_empty() {
        return compiled;
    }
    let program = compile_text(
        environment,
        &rule.rule,
        &Type::Bool,
        "compilation failed",
        "cel expression must evaluate to a bool",
    );
    let program = match program {
        Ok(program) => program,
        Err(error) => return CompiledRule { program: Err(error), ..compiled },
    };
    compiled.uses_old_self = program.checked().refers_to(OLD_SELF);
    compiled.program = Ok(Some(program));
    if !rule.message_expression.is_empty() {
        let wrong_type = "messageExpression must evaluate to a string";
        let message = compile_text(
            environment,
            &rule.message_expression,
            &Type::String,
            "messageExpression compilation failed",
            wrong_type,
        );
        compiled.message = message.map(Some);
    }
    if !rule.field_path.is_empty() {
        let resolved = resolve_field_path(&rule.field_path, schema, true);
        compiled.field_path = resolved.ok().map(|(path, _)| path.to_string());
    }
    compiled
}

fn compile_text(
    environment: &Environment,
    text: &str,
    gives: &Type,
    failed: &str,
    wrong_type: &str,
) -> Result<Program, String> {
    let program =
        environment.compile(text).map_err(|issues| format!("{failed}: {}", Source::new(text).display(&issues)))?;
    if program.result_type() == gives { Ok(program) } else { Err(wrong_type.to_owned()) }
}
