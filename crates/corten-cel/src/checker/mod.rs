//! Types of all parts of an expression, and what its names refer to.
//!
//! Upstream: cel-go checker/{checker,env}.go (v0.26.0).

mod calls;
mod literals;
mod names;

use std::sync::Arc;

use crate::{
    environment::{Declarations, FunctionDeclaration},
    library::Patterns,
    syntax::{Ast, Comprehension, Issues, Literal, Node, NodeId, Source, StructField},
    types::{Mapping, SIZE_MAX, Type, most_general},
    value::Value,
};

/// What a name or call refers to.
#[derive(Debug, Clone)]
pub enum Reference {
    /// A variable, or a constant such as a type.
    Ident {
        /// Its full name.
        name: Arc<str>,
        /// Its value, if it is a constant.
        constant: Option<Value<'static>>,
    },
    /// A function.
    Function {
        /// The function.
        declaration: Arc<FunctionDeclaration>,
        /// The overloads that it may be, by index.
        overloads: Vec<usize>,
    },
}

/// A checked expression.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The tree.
    pub ast: Ast,
    types: Vec<Type>,
    references: Vec<Option<Reference>>,
}

impl Checked {
    /// The type of the node `id`.
    #[must_use]
    pub fn type_of(&self, id: NodeId) -> &Type {
        &self.types[id.index()]
    }

    /// Whether something in it is a variable of this name.
    #[must_use]
    pub fn refers_to(&self, variable: &str) -> bool {
        let is_variable =
            |reference: &Reference| matches!(reference, Reference::Ident { name, .. } if &**name == variable);
        self.references.iter().flatten().any(is_variable)
    }

    /// What the node `id` refers to.
    #[must_use]
    pub fn reference(&self, id: NodeId) -> Option<&Reference> {
        self.references[id.index()].as_ref()
    }
}

/// Checks `ast`.
///
/// Errors: what is wrong with it.
pub(crate) fn check(
    source: Source<'_>,
    ast: Ast,
    declarations: &Declarations,
    patterns: &mut Patterns,
) -> Result<Checked, Issues> {
    let size = ast.len();
    let mut checker = Checker {
        source,
        ast: &ast,
        declarations,
        issues: Issues::default(),
        types: vec![Type::Error; size],
        references: vec![None; size],
        scopes: Vec::new(),
        mapping: Mapping::default(),
        free: 0,
    };
    checker.check(ast.root());
    literals::check(&mut checker, patterns);
    let Checker { issues, types, references, mapping, .. } = checker;
    if !issues.is_empty() {
        return Err(issues);
    }
    let types = types.iter().map(|found| mapping.substitute(found, true)).collect();
    Ok(Checked { ast, types, references })
}

struct Checker<'c> {
    source: Source<'c>,
    ast: &'c Ast,
    declarations: &'c Declarations,
    issues: Issues,
    types: Vec<Type>,
    references: Vec<Option<Reference>>,
    scopes: Vec<(Arc<str>, Type)>,
    mapping: Mapping,
    free: usize,
}

impl<'c> Checker<'c> {
    fn report(&mut self, at: NodeId, message: impl Into<String>) {
        self.issues.add(self.source, self.ast.position(at), message);
    }

    fn set(&mut self, id: NodeId, found: Type) {
        if found.is_larger_than(SIZE_MAX) {
            self.report(id, "the type of the expression is too large");
            return;
        }
        self.types[id.index()] = found;
    }

    fn get(&self, id: NodeId) -> &Type {
        &self.types[id.index()]
    }

    fn substituted(&self, id: NodeId) -> Type {
        self.mapping.substitute(self.get(id), false)
    }

    fn type_variable(&mut self) -> Type {
        self.free += 1;
        Type::Param(format!("_var{}", self.free - 1).into())
    }

    fn mismatch(&mut self, at: NodeId, expected: &Type, found: &Type) {
        self.report(at, format!("expected type '{expected}' but found '{found}'"));
    }

    fn check(&mut self, id: NodeId) {
        let found = match self.ast.node(id) {
            Node::Error => Type::Error,
            Node::Literal(literal) => match literal {
                Literal::Null => Type::Null,
                Literal::Bool(_) => Type::Bool,
                Literal::Int(_) => Type::Int,
                Literal::Uint(_) => Type::Uint,
                Literal::Double(_) => Type::Double,
                Literal::String(_) => Type::String,
                Literal::Bytes(_) => Type::Bytes,
            },
            Node::Ident(name) => self.ident(id, name),
            Node::Select { operand, field, test_only } => self.select(id, *operand, field, *test_only),
            Node::Call { .. } => self.call(id),
            Node::List(elements) => {
                let mut items = None;
                for element in elements {
                    self.check(element.value);
                    let found = self.entry_type(element.value, element.optional);
                    items = Some(self.join(element.value, items, found));
                }
                let items = items.unwrap_or_else(|| self.type_variable());
                Type::list(items)
            }
            Node::Map(entries) => {
                let (mut keys, mut values) = (None, None);
                for entry in entries {
                    self.check(entry.key);
                    let found = self.get(entry.key).clone();
                    keys = Some(self.join(entry.key, keys, found));
                    self.check(entry.value);
                    let found = self.entry_type(entry.value, entry.optional);
                    values = Some(self.join(entry.value, values, found));
                }
                let keys = keys.unwrap_or_else(|| self.type_variable());
                let values = values.unwrap_or_else(|| self.type_variable());
                Type::map(keys, values)
            }
            Node::Struct { name, fields } => self.message(id, name, fields),
            Node::Comprehension(comprehension) => self.comprehension(comprehension),
        };
        self.set(id, found);
    }

    /// The type of an element or value; what is in it, if it was written as optional.
    fn entry_type(&mut self, id: NodeId, optional: bool) -> Type {
        let found = self.get(id).clone();
        if !optional {
            return found;
        }
        if let Some(inner) = found.unwrap_optional() {
            return inner.clone();
        }
        if !found.is_dyn() {
            self.mismatch(id, &Type::optional(found.clone()), &found);
        }
        found
    }

    /// The type of a list's elements so far together with one more.
    fn join(&mut self, at: NodeId, before: Option<Type>, found: Type) -> Type {
        let Some(before) = before else { return found };
        if self.mapping.assignable(&before, &found) {
            return most_general(&before, &found);
        }
        if !self.declarations.homogeneous_literals {
            return Type::Dyn;
        }
        self.mismatch(at, &before, &found);
        Type::Error
    }

    fn ident(&mut self, id: NodeId, name: &str) -> Type {
        match self.look_up(name) {
            Some((found, reference)) => {
                self.references[id.index()] = Some(reference);
                found
            }
            None => {
                self.undeclared(id, name);
                Type::Error
            }
        }
    }

    fn undeclared(&mut self, at: NodeId, name: &str) {
        if !self.declarations.lenient {
            let container = &self.declarations.container;
            self.report(at, format!("undeclared reference to '{name}' (in container '{container}')"));
        }
    }

    fn select(&mut self, id: NodeId, operand: NodeId, field: &str, test_only: bool) -> Type {
        if !test_only
            && let Some(name) = self.ast.qualified_name(id)
            && let Some((found, reference)) = self.look_up(&name)
        {
            self.references[id.index()] = Some(reference);
            return found;
        }
        let found = self.field(id, operand, field, false);
        if test_only { Type::Bool } else { self.mapping.substitute(&found, false) }
    }

    /// The type of `operand.field`; optional, if `optional` or if the operand is.
    fn field(&mut self, id: NodeId, operand: NodeId, field: &str, optional: bool) -> Type {
        self.check(operand);
        let whole = self.substituted(operand);
        let inner = whole.unwrap_optional();
        let target = inner.unwrap_or(&whole);
        let found = match target {
            Type::Map(entries) => entries.1.clone(),
            Type::Object(name) => match self.declarations.provider.field(name, field) {
                Some(found) => found,
                None => {
                    self.report(id, format!("undefined field '{field}'"));
                    Type::Error
                }
            },
            Type::Param(_) => {
                // From here on it is dyn, so that it becomes nothing else later.
                self.mapping.assignable(&Type::Dyn, target);
                Type::Dyn
            }
            target => {
                if !target.is_dyn_or_error() {
                    self.report(id, format!("type '{target}' does not support field selection"));
                }
                Type::Dyn
            }
        };
        if optional || inner.is_some() { Type::optional(found) } else { found }
    }

    fn message(&mut self, id: NodeId, name: &str, fields: &[StructField]) -> Type {
        let found = match self.look_up(name) {
            None => {
                self.undeclared(id, name);
                return Type::Error;
            }
            Some((Type::Type(Some(of)), reference)) => match &*of {
                Type::Object(_) => {
                    self.references[id.index()] = Some(reference);
                    (*of).clone()
                }
                other => {
                    self.report(id, format!("'{}' is not a message type", other.runtime_name()));
                    Type::Error
                }
            },
            Some((other, _)) => {
                self.report(id, format!("'{}' is not a type", other.runtime_name()));
                Type::Error
            }
        };
        for field in fields {
            self.check(field.value);
            let declared = match &found {
                Type::Object(name) => match self.declarations.provider.field(name, &field.name) {
                    Some(declared) => declared,
                    None => {
                        self.report(field.id, format!("undefined field '{}'", field.name));
                        Type::Error
                    }
                },
                _ => Type::Error,
            };
            let value = self.entry_type(field.value, field.optional);
            if !self.mapping.assignable(&declared, &value) {
                let message =
                    format!("expected type of field '{}' is '{declared}' but provided type is '{value}'", field.name);
                self.report(field.id, message);
            }
        }
        found
    }

    fn comprehension(&mut self, parts: &Comprehension) -> Type {
        self.check(parts.range);
        self.check(parts.init);
        let range = self.substituted(parts.range);
        let (first, second) = match &range {
            Type::List(items) if parts.second_variable.is_some() => (Type::Int, (**items).clone()),
            Type::List(items) => ((**items).clone(), Type::Error),
            Type::Map(entries) => (entries.0.clone(), entries.1.clone()),
            Type::Dyn | Type::Error | Type::Param(_) => {
                self.mapping.assignable(&Type::Dyn, &range);
                (Type::Dyn, Type::Dyn)
            }
            _ => {
                let message = format!(
                    "expression of type '{range}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.report(parts.range, message);
                (Type::Error, Type::Error)
            }
        };
        let depth = self.scopes.len();
        let accumulated = self.get(parts.init).clone();
        self.scopes.push((parts.accumulator.clone(), accumulated.clone()));
        self.scopes.push((parts.variable.clone(), first));
        if let Some(name) = &parts.second_variable {
            self.scopes.push((name.clone(), second));
        }
        self.check(parts.condition);
        self.assert(parts.condition, &Type::Bool);
        self.check(parts.step);
        self.assert(parts.step, &accumulated);
        self.scopes.truncate(depth + 1);
        self.check(parts.result);
        self.scopes.truncate(depth);
        self.substituted(parts.result)
    }

    fn assert(&mut self, id: NodeId, expected: &Type) {
        let found = self.get(id).clone();
        if !self.mapping.assignable(expected, &found) {
            self.mismatch(id, &expected.clone(), &found);
        }
    }
}

#[cfg(test)]
mod tests;
