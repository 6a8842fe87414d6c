//! Functions: one file for each library, each entry with its signatures, what it does, and what it costs.
//!
//! A new library is a file with a `LIBRARY`, a `mod` line, and a line in [`CATALOG`].
//!
//! Upstream: cel-go common/stdlib, ext (v0.26.0); k8s.io/apiserver/pkg/cel/library (v1.35).

mod costs;
mod standard;

mod addresses;
pub mod authorization;
mod formats;
mod jsonpatch;
mod lists;
mod optionals;
mod quantities;
mod regexes;
mod semvers;
mod sets;
mod strings;
mod urls;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
};

pub(crate) use costs::{CallSite, CostNode, CostRule, STANDARD as STANDARD_COST};
pub(crate) use regexes::{ConstantRegex, Patterns};

use crate::{
    environment::{FunctionDeclaration, OverloadDeclaration},
    error::EvalError,
    eval::Context,
    syntax::Options,
    types::signature,
    value::Value,
};

/// What a function does. Arguments are of the types that its signature says; the target comes first.
pub type Implementation = for<'a> fn(&mut Context<'_>, &[Value<'a>]) -> Result<Value<'a>, EvalError>;

/// One way to call a function.
pub(crate) struct Overload {
    pub(crate) id: &'static str,
    /// `(A, list(A)): bool`, `string.(string): bool`.
    pub(crate) signature: &'static str,
    pub(crate) call: Implementation,
}

/// A function of a library.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) cost: &'static CostRule,
    pub(crate) overloads: &'static [Overload],
}

/// An overload in one line.
pub(crate) const fn overload(id: &'static str, signature: &'static str, call: Implementation) -> Overload {
    Overload { id, signature, call }
}

/// Functions by name.
pub(crate) type Functions = Arc<BTreeMap<String, Arc<FunctionDeclaration>>>;

/// Functions that belong together.
pub(crate) struct Library {
    pub(crate) name: &'static str,
    pub(crate) types: &'static [&'static str],
    pub(crate) functions: &'static [&'static [Function]],
}

/// All libraries.
static CATALOG: &[&Library] = &[
    &standard::LIBRARY,
    &addresses::LIBRARY,
    &authorization::LIBRARY,
    &formats::LIBRARY,
    &jsonpatch::LIBRARY,
    &lists::LIBRARY,
    &optionals::LIBRARY,
    &quantities::LIBRARY,
    &regexes::LIBRARY,
    &semvers::LIBRARY,
    &sets::LIBRARY,
    &strings::LIBRARY,
    &urls::LIBRARY,
];

/// Which libraries an environment has.
#[derive(Debug, Clone)]
pub struct Libraries {
    names: BTreeSet<&'static str>,
    syntax: Options,
}

impl Libraries {
    /// The language itself and its macros.
    #[must_use]
    pub fn standard() -> Self {
        Self { names: BTreeSet::from([standard::LIBRARY.name]), syntax: Options { macros: true, ..Options::default() } }
    }

    /// All that Kubernetes v1.35 has everywhere.
    #[must_use]
    pub fn kubernetes() -> Self {
        let names =
            CATALOG.iter().map(|library| library.name).filter(|name| *name != jsonpatch::LIBRARY.name).collect();
        let syntax = Options { macros: true, optionals: true, two_variables: true, ..Options::default() };
        Self { names, syntax }
    }

    /// And `cel.bind`.
    #[must_use]
    pub fn and_bindings(mut self) -> Self {
        self.syntax.bindings = true;
        self
    }

    /// And what mutating policies need.
    #[must_use]
    pub fn and_json_patches(mut self) -> Self {
        self.names.insert(jsonpatch::LIBRARY.name);
        self
    }

    pub(crate) fn syntax(&self) -> Options {
        self.syntax
    }

    fn libraries(&self) -> impl Iterator<Item = &'static Library> {
        CATALOG.iter().copied().filter(|library| self.names.contains(library.name))
    }

    pub(crate) fn opaque_types(&self) -> BTreeSet<&'static str> {
        self.libraries().flat_map(|library| library.types.iter().copied()).collect()
    }

    /// The functions; those that Kubernetes has are made once.
    pub(crate) fn functions(&self) -> Functions {
        static KUBERNETES: LazyLock<Functions> = LazyLock::new(|| Arc::new(Libraries::kubernetes().declare()));
        static EVERY: LazyLock<Functions> =
            LazyLock::new(|| Arc::new(Libraries::kubernetes().and_json_patches().declare()));
        match CATALOG.len() - self.names.len() {
            0 => EVERY.clone(),
            1 if !self.names.contains(jsonpatch::LIBRARY.name) => KUBERNETES.clone(),
            _ => Arc::new(self.declare()),
        }
    }

    fn declare(&self) -> BTreeMap<String, Arc<FunctionDeclaration>> {
        let mut found: BTreeMap<String, FunctionDeclaration> = BTreeMap::new();
        for function in self.libraries().flat_map(|library| library.functions.iter().copied()).flatten() {
            let declaration =
                found.entry(function.name.to_owned()).or_insert_with(|| FunctionDeclaration::new(function.name));
            if !std::ptr::eq(function.cost, &raw const costs::STANDARD) {
                declaration.cost = function.cost;
            }
            for overload in function.overloads {
                declaration.overloads.push(OverloadDeclaration {
                    id: overload.id.into(),
                    signature: signature(overload.signature).expect("a test reads all signatures"),
                    call: overload.call,
                });
            }
        }
        found.into_iter().map(|(name, declaration)| (name, Arc::new(declaration))).collect()
    }
}

/// The arguments were not of the types that the signature says.
pub(crate) fn wrong_types<'a>() -> Result<Value<'a>, EvalError> {
    Err(EvalError::no_such_overload())
}

#[cfg(test)]
mod tests;
