//! Which overload a call is.
//!
//! Upstream: cel-go checker/checker.go, checker/format.go (v0.26.0).

use std::sync::Arc;

use super::{Checker, Reference};
use crate::{
    environment::FunctionDeclaration,
    syntax::{Literal, Node, NodeId, operator},
    types::{Mapping, Type},
};

impl Checker<'_> {
    pub(super) fn call(&mut self, id: NodeId) -> Type {
        let Node::Call { function, target, args } = self.ast.node(id) else { return Type::Error };
        if &**function == operator::OPT_SELECT {
            return self.optional_selection(id, args);
        }
        for arg in args {
            self.check(*arg);
        }
        let Some(target) = *target else {
            let Some(declaration) = self.function(function) else {
                self.undeclared(id, function);
                // Without a check, it fails where it is evaluated.
                let declaration = Arc::new(FunctionDeclaration::new(function));
                self.references[id.index()] = Some(Reference::Function { declaration, overloads: Vec::new() });
                return Type::Error;
            };
            return self.resolve(id, &declaration, None, args);
        };
        // What looks like a method may be a function with dots in its name.
        if let Some(prefix) = self.ast.qualified_name(target)
            && let Some(declaration) = self.function(&format!("{prefix}.{function}"))
        {
            return self.resolve(id, &declaration, None, args);
        }
        self.check(target);
        let Some(declaration) = self.function(function) else {
            self.undeclared(id, function);
            return Type::Error;
        };
        self.resolve(id, &declaration, Some(target), args)
    }

    fn optional_selection(&mut self, id: NodeId, args: &[NodeId]) -> Type {
        match args {
            [operand, field] => match self.ast.node(*field) {
                Node::Literal(Literal::String(name)) => {
                    let name = name.clone();
                    let found = self.field(id, *operand, &name, true);
                    self.mapping.substitute(&found, false)
                }
                _ => {
                    self.report(*field, "unsupported optional field selection");
                    Type::Error
                }
            },
            _ => {
                self.report(id, "unsupported optional field selection");
                Type::Error
            }
        }
    }

    fn resolve(
        &mut self,
        id: NodeId,
        declaration: &Arc<FunctionDeclaration>,
        target: Option<NodeId>,
        args: &[NodeId],
    ) -> Type {
        let nodes: Vec<NodeId> = target.into_iter().chain(args.iter().copied()).collect();
        let types: Vec<Type> = nodes.iter().map(|node| self.get(*node).clone()).collect();
        let mut matching = Vec::new();
        let mut result: Option<Type> = None;
        for (index, overload) in declaration.overloads.iter().enumerate() {
            let signature = &overload.signature;
            if signature.member != target.is_some() {
                continue;
            }
            if matches!(&*declaration.name, operator::AND | operator::OR) {
                let mut wrong = false;
                for (node, found) in nodes.iter().zip(&types) {
                    if !self.mapping.assignable(found, &Type::Bool) && !self.declarations.lenient {
                        self.mismatch(*node, &Type::Bool, found);
                        wrong = true;
                    }
                }
                if wrong {
                    return Type::Error;
                }
                result = Some(Type::Bool);
                matching.push(index);
                break;
            }
            let (parameters, returned) = if signature.letters.is_empty() {
                (signature.parameters.clone(), signature.result.clone())
            } else {
                let mut fresh = Mapping::default();
                for letter in &signature.letters {
                    let variable = self.type_variable();
                    fresh.assignable(&variable, &Type::Param(letter.clone()));
                }
                let parameters = signature.parameters.iter().map(|parameter| fresh.substitute(parameter, false));
                (parameters.collect(), fresh.substitute(&signature.result, false))
            };
            if self.mapping.assignable_all(&types, &parameters) {
                matching.push(index);
                let returned = self.mapping.substitute(&returned, false);
                result = Some(match result {
                    None => returned,
                    Some(before) if before.is_dyn() || before == returned => before,
                    Some(_) => Type::Dyn,
                });
            }
        }
        let Some(result) = result else {
            if self.declarations.lenient {
                let reference = Reference::Function { declaration: declaration.clone(), overloads: Vec::new() };
                self.references[id.index()] = Some(reference);
                return Type::Dyn;
            }
            let types: Vec<String> =
                types.iter().map(|found| self.mapping.substitute(found, true).to_string()).collect();
            let applied = match (target, types.split_first()) {
                (Some(_), Some((target, args))) => format!("{target}.({})", args.join(", ")),
                _ => format!("({})", types.join(", ")),
            };
            self.report(id, format!("found no matching overload for '{}' applied to '{applied}'", declaration.name));
            return Type::Error;
        };
        let reference = Reference::Function { declaration: declaration.clone(), overloads: matching };
        self.references[id.index()] = Some(reference);
        result
    }
}
