//! The door: declares what expressions may use, compiles them, evaluates them.
//!
//! Upstream: k8s.io/apiserver/pkg/cel/environment (v1.35), cel-go cel/{env,program}.go (v0.26.0).

mod functions;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub use functions::{FunctionDeclaration, OverloadDeclaration};

use crate::{
    checker::{self, Checked},
    cost::{CostRange, Counts, SizeEstimator, estimate},
    error::EvalError,
    eval::{self, Activation, Context, Plan, Work},
    library::{Functions, Libraries, Patterns},
    syntax::{self, Issues, Options, Source},
    types::{NoTypes, Type, TypeProvider},
    value::Value,
};

/// What the checker knows.
pub(crate) struct Declarations {
    pub(crate) container: String,
    pub(crate) variables: BTreeMap<String, Type>,
    pub(crate) functions: Functions,
    pub(crate) opaque_types: BTreeSet<&'static str>,
    pub(crate) provider: Arc<dyn TypeProvider>,
    pub(crate) syntax: Options,
    /// Elements of a literal list have one type, unless they are dyn.
    pub(crate) homogeneous_literals: bool,
    /// Constants are checked that duration, timestamp and matches have to read.
    pub(crate) literal_checks: bool,
    /// Constants are folded, and cost nothing then.
    pub(crate) folding: bool,
    /// Types decide nothing: for expressions whose check is to be skipped.
    pub(crate) lenient: bool,
}

/// What expressions may use.
pub struct Environment {
    declarations: Declarations,
}

impl Environment {
    /// With the libraries and the rules that Kubernetes v1.35 gives to new expressions.
    #[must_use]
    pub fn kubernetes() -> Self {
        Self::kubernetes_with(Libraries::kubernetes())
    }

    /// With `libraries`, and the rules that Kubernetes v1.35 gives to new expressions.
    #[must_use]
    pub fn kubernetes_with(libraries: Libraries) -> Self {
        let mut environment = Self::with(libraries);
        environment.declarations.homogeneous_literals = true;
        environment.declarations.literal_checks = true;
        environment
    }

    /// With `libraries`, and lists of mixed types.
    #[must_use]
    pub fn with(libraries: Libraries) -> Self {
        Self {
            declarations: Declarations {
                container: String::new(),
                variables: BTreeMap::new(),
                functions: libraries.functions(),
                opaque_types: libraries.opaque_types(),
                provider: Arc::new(NoTypes),
                syntax: libraries.syntax(),
                homogeneous_literals: false,
                literal_checks: false,
                folding: true,
                lenient: false,
            },
        }
    }

    /// Names of `container` need no prefix.
    #[must_use]
    pub fn container(mut self, container: &str) -> Self {
        container.clone_into(&mut self.declarations.container);
        self
    }

    /// Declares the variable `name`.
    #[must_use]
    pub fn variable(mut self, name: &str, of: Type) -> Self {
        self.declarations.variables.insert(name.to_owned(), of);
        self
    }

    /// Object types come from `provider`.
    #[must_use]
    pub fn types(mut self, provider: Arc<dyn TypeProvider>) -> Self {
        self.declarations.provider = provider;
        self
    }

    /// Declares a function, or overloads of one; the same overload again replaces the one before.
    #[must_use]
    pub fn function(mut self, name: &str, overload: OverloadDeclaration) -> Self {
        let functions = Arc::make_mut(&mut self.declarations.functions);
        let mut declaration =
            functions.get(name).map_or_else(|| FunctionDeclaration::new(name), |declaration| (**declaration).clone());
        declaration.overloads.retain(|known| known.id != overload.id);
        declaration.overloads.push(overload);
        functions.insert(name.to_owned(), Arc::new(declaration));
        self
    }

    /// Field names may be quoted: `a.`b-c``.
    #[must_use]
    pub fn quoted_identifiers(mut self) -> Self {
        self.declarations.syntax.quoted_identifiers = true;
        self
    }

    /// Macros are calls like any other.
    #[must_use]
    pub fn without_macros(mut self) -> Self {
        self.declarations.syntax.macros = false;
        self.declarations.syntax.two_variables = false;
        self
    }

    /// Constants are evaluated like everything else, as upstream's tests of costs have it.
    #[cfg(test)]
    pub(crate) fn without_folding(mut self) -> Self {
        self.declarations.folding = false;
        self
    }

    /// Types decide nothing before evaluation.
    #[must_use]
    pub fn unchecked(mut self) -> Self {
        self.declarations.lenient = true;
        self.declarations.homogeneous_literals = false;
        self
    }

    /// A program of `text`.
    ///
    /// Errors: what is wrong with it.
    pub fn compile(&self, text: &str) -> Result<Program, Issues> {
        let source = Source::new(text);
        let ast = syntax::parse(source, self.declarations.syntax)?;
        let mut patterns = Patterns::default();
        let checked = checker::check(source, ast, &self.declarations, &mut patterns)?;
        let plan = eval::plan(source, &checked, &mut patterns, self.declarations.folding)?;
        Ok(Program { checked, plan })
    }
}

/// A compiled expression; evaluating it changes nothing.
#[derive(Debug)]
pub struct Program {
    checked: Checked,
    plan: Plan,
}

impl Program {
    /// The type of what it gives.
    #[must_use]
    pub fn result_type(&self) -> &Type {
        self.checked.type_of(self.checked.ast.root())
    }

    /// The checked tree.
    #[must_use]
    pub fn checked(&self) -> &Checked {
        &self.checked
    }

    /// What evaluating it costs at least and at most, if values are as large as `sizes` says.
    #[must_use]
    pub fn estimate(&self, sizes: &dyn SizeEstimator) -> CostRange {
        estimate(&self.checked, sizes, Counts::Cost)
    }

    /// The most that it may cost if what upstream does not count is counted, too: copying lists and texts, and comparing each
    /// element of a list with each, which adding to those that `merges` means does.
    pub(crate) fn estimate_with_copies(&self, sizes: &dyn SizeEstimator, merges: bool) -> u64 {
        estimate(&self.checked, sizes, Counts::Copies { merges }).max
    }

    /// Whether evaluating it compiles patterns, which takes longer than the estimate tells.
    #[must_use]
    pub fn compiles_patterns(&self) -> bool {
        self.plan.compiles_patterns()
    }

    /// Its value, and what that cost.
    ///
    /// Errors: an operation failed, or the cost went over `limit`.
    pub fn eval<'a>(
        &'a self,
        variables: &dyn Activation<'a>,
        limit: Option<u64>,
    ) -> Result<(Value<'a>, u64), EvalError> {
        let (result, cost) = self.eval_with(variables, limit, &mut Work::of_evaluation());
        result.map(|value| (value, cost))
    }

    /// Its value or why there is none, and what was spent in either case, for one of several evaluations, which all take from
    /// `work`. What they may spend is all that ends them: nothing asks a clock, and some seconds are the most that it can be.
    pub fn eval_within<'a>(
        &'a self,
        variables: &dyn Activation<'a>,
        limit: u64,
        work: &mut Work,
    ) -> (Result<Value<'a>, EvalError>, u64) {
        self.eval_with(variables, Some(limit), work)
    }

    fn eval_with<'a>(
        &'a self,
        variables: &dyn Activation<'a>,
        limit: Option<u64>,
        work: &mut Work,
    ) -> (Result<Value<'a>, EvalError>, u64) {
        let mut context = Context::new(limit, work);
        let result = eval::run(&self.plan, &mut context, variables);
        (result, context.cost())
    }
}

#[cfg(test)]
mod tests;
