//! Macros: calls that become loops, conditions and presence tests while they are parsed.
//!
//! Upstream: cel-go parser/macro.go, cel/library.go (optional types), ext/{bindings,comprehensions}.go (v0.26.0).

use std::sync::Arc;

use super::{
    ACCUMULATOR, Comprehension, Element, Literal, Node, NodeId, OLD_ACCUMULATOR, Options, operator, parser::Parser,
};

/// The variable of loops that run no step.
const UNUSED: &str = "#unused";

/// What a call that is a macro becomes; `None` if it is none. A macro with wrong arguments is reported and becomes an error.
pub(super) fn expand(
    parser: &mut Parser<'_>,
    options: Options,
    position: u32,
    function: &str,
    target: Option<NodeId>,
    args: &[NodeId],
) -> Option<NodeId> {
    let mut maker = Maker { parser, position };
    let result = match (target, function, args) {
        (None, "has", [field]) if options.macros => maker.has(*field),
        (Some(range), "all" | "exists" | "exists_one" | "existsOne" | "filter", [variable, body]) if options.macros => {
            maker.quantifier(function, range, (*variable, None), *body)
        }
        (Some(range), "map", [variable, body]) if options.macros => maker.map(range, *variable, None, *body),
        (Some(range), "map", [variable, condition, body]) if options.macros => {
            maker.map(range, *variable, Some(*condition), *body)
        }
        (Some(range), "all" | "exists" | "exists_one" | "existsOne", [first, second, body])
            if options.two_variables =>
        {
            maker.quantifier(function, range, (*first, Some(*second)), *body)
        }
        (Some(range), "transformList" | "transformMap" | "transformMapEntry", [first, second, rest @ ..])
            if options.two_variables && matches!(rest.len(), 1 | 2) =>
        {
            let condition = (rest.len() == 2).then(|| rest[0]);
            maker.transform(function, range, (*first, *second), condition, rest[rest.len() - 1])
        }
        (Some(target), "optMap" | "optFlatMap", [variable, body]) if options.optionals => {
            maker.optional_map(function == "optFlatMap", target, *variable, *body)
        }
        (Some(target), "bind", [variable, init, body]) if options.bindings && maker.is_name(target, "cel") => {
            maker.bind(*variable, *init, *body)
        }
        _ => return None,
    };
    Some(result.unwrap_or_else(|(at, message)| {
        let position = parser.ast.position(at);
        parser.report(position, message)
    }))
}

type Expanded = Result<NodeId, (NodeId, String)>;

struct Maker<'p, 't> {
    parser: &'p mut Parser<'t>,
    position: u32,
}

impl Maker<'_, '_> {
    fn add(&mut self, node: Node) -> NodeId {
        self.parser.ast.add(self.position, node)
    }

    fn call(&mut self, function: &str, args: Vec<NodeId>) -> NodeId {
        self.parser.call(self.position, function, args)
    }

    fn literal(&mut self, literal: Literal) -> NodeId {
        self.add(Node::Literal(literal))
    }

    fn ident(&mut self, name: &str) -> NodeId {
        self.add(Node::Ident(name.into()))
    }

    fn accumulator(&mut self) -> NodeId {
        self.ident(ACCUMULATOR)
    }

    fn list(&mut self, elements: &[NodeId]) -> NodeId {
        let elements = elements.iter().map(|value| Element { value: *value, optional: false }).collect();
        self.add(Node::List(elements))
    }

    fn is_name(&self, id: NodeId, name: &str) -> bool {
        matches!(self.parser.ast.node(id), Node::Ident(found) if &**found == name)
    }

    fn variable(&self, id: NodeId, message: &str) -> Result<Arc<str>, (NodeId, String)> {
        match self.parser.ast.node(id) {
            Node::Ident(name) if matches!(&**name, ACCUMULATOR | OLD_ACCUMULATOR) => {
                Err((id, "iteration variable overwrites accumulator variable".to_owned()))
            }
            Node::Ident(name) if !name.starts_with('.') => Ok(name.clone()),
            _ => Err((id, message.to_owned())),
        }
    }

    fn has(&mut self, field: NodeId) -> Expanded {
        match self.parser.ast.node(field).clone() {
            Node::Select { operand, field, test_only: false } => {
                Ok(self.add(Node::Select { operand, field, test_only: true }))
            }
            _ => Err((field, "invalid argument to has() macro".to_owned())),
        }
    }

    fn fold(
        &mut self,
        range: NodeId,
        variables: (Arc<str>, Option<Arc<str>>),
        [init, condition, step, result]: [NodeId; 4],
    ) -> NodeId {
        self.add(Node::Comprehension(Box::new(Comprehension {
            range,
            variable: variables.0,
            second_variable: variables.1,
            accumulator: ACCUMULATOR.into(),
            init,
            condition,
            step,
            result,
        })))
    }

    fn quantifier(&mut self, kind: &str, range: NodeId, variables: (NodeId, Option<NodeId>), body: NodeId) -> Expanded {
        let message = if kind == "filter" { "argument is not an identifier" } else { "argument must be a simple name" };
        let variables = match variables {
            (first, None) => (self.variable(first, message)?, None),
            (first, Some(second)) => {
                let (first, second) = self.two(first, second)?;
                (first, Some(second))
            }
        };
        let parts = match kind {
            "all" | "exists" => {
                let all = kind == "all";
                let init = self.literal(Literal::Bool(all));
                let mut going_on = self.accumulator();
                if !all {
                    going_on = self.call(operator::NOT, vec![going_on]);
                }
                let condition = self.call(operator::NOT_STRICTLY_FALSE, vec![going_on]);
                let so_far = self.accumulator();
                let step = self.call(if all { operator::AND } else { operator::OR }, vec![so_far, body]);
                [init, condition, step, self.accumulator()]
            }
            "filter" => {
                let item = self.ident(&variables.0.clone());
                return Ok(self.appending(range, variables, Some(body), item));
            }
            _ => {
                let init = self.literal(Literal::Int(0));
                let condition = self.literal(Literal::Bool(true));
                let so_far = self.accumulator();
                let one = self.literal(Literal::Int(1));
                let more = self.call(operator::ADD, vec![so_far, one]);
                let unchanged = self.accumulator();
                let step = self.call(operator::CONDITIONAL, vec![body, more, unchanged]);
                let count = self.accumulator();
                let wanted = self.literal(Literal::Int(1));
                [init, condition, step, self.call(operator::EQUALS, vec![count, wanted])]
            }
        };
        Ok(self.fold(range, variables, parts))
    }

    fn two(&mut self, first: NodeId, second: NodeId) -> Result<(Arc<str>, Arc<str>), (NodeId, String)> {
        let message = "argument must be a simple name";
        let (one, two) = (self.variable(first, message)?, self.variable(second, message)?);
        if one == two {
            return Err((second, format!("duplicate variable name: {one}")));
        }
        Ok((one, two))
    }

    /// A loop that adds `item` to a list, for the elements that `condition` holds for.
    fn appending(
        &mut self,
        range: NodeId,
        variables: (Arc<str>, Option<Arc<str>>),
        condition: Option<NodeId>,
        item: NodeId,
    ) -> NodeId {
        let init = self.list(&[]);
        let so_far = self.accumulator();
        let added = self.list(&[item]);
        let step = self.call(operator::ADD, vec![so_far, added]);
        self.collecting(range, variables, condition, init, step)
    }

    fn collecting(
        &mut self,
        range: NodeId,
        variables: (Arc<str>, Option<Arc<str>>),
        condition: Option<NodeId>,
        init: NodeId,
        step: NodeId,
    ) -> NodeId {
        let always = self.literal(Literal::Bool(true));
        let step = match condition {
            Some(condition) => {
                let unchanged = self.accumulator();
                self.call(operator::CONDITIONAL, vec![condition, step, unchanged])
            }
            None => step,
        };
        let result = self.accumulator();
        self.fold(range, variables, [init, always, step, result])
    }

    fn map(&mut self, range: NodeId, variable: NodeId, condition: Option<NodeId>, body: NodeId) -> Expanded {
        let variable = self.variable(variable, "argument is not an identifier")?;
        Ok(self.appending(range, (variable, None), condition, body))
    }

    fn transform(
        &mut self,
        kind: &str,
        range: NodeId,
        variables: (NodeId, NodeId),
        condition: Option<NodeId>,
        body: NodeId,
    ) -> Expanded {
        let (first, second) = self.two(variables.0, variables.1)?;
        if kind == "transformList" {
            return Ok(self.appending(range, (first, Some(second)), condition, body));
        }
        let init = self.add(Node::Map(Vec::new()));
        let mut args = vec![self.accumulator()];
        if kind == "transformMap" {
            args.push(self.ident(&first.clone()));
        }
        args.push(body);
        let step = self.call(operator::MAP_INSERT, args);
        Ok(self.collecting(range, (first, Some(second)), condition, init, step))
    }

    /// A loop without steps, which gives a value a name.
    fn bound(&mut self, variable: &Arc<str>, init: NodeId, body: NodeId) -> NodeId {
        let range = self.list(&[]);
        let condition = self.literal(Literal::Bool(false));
        let step = self.ident(variable);
        self.add(Node::Comprehension(Box::new(Comprehension {
            range,
            variable: UNUSED.into(),
            second_variable: None,
            accumulator: variable.clone(),
            init,
            condition,
            step,
            result: body,
        })))
    }

    fn bind(&mut self, variable: NodeId, init: NodeId, body: NodeId) -> Expanded {
        let variable = self.variable(variable, "cel.bind() variable names must be simple identifiers")?;
        Ok(self.bound(&variable, init, body))
    }

    fn optional_map(&mut self, flat: bool, target: NodeId, variable: NodeId, body: NodeId) -> Expanded {
        let name = if flat { "optFlatMap()" } else { "optMap()" };
        let variable = self.variable(variable, &format!("{name} variable name must be a simple identifier"))?;
        let method = |maker: &mut Self, function: &str, target| {
            maker.add(Node::Call { function: function.into(), target: Some(target), args: Vec::new() })
        };
        let present = method(self, "hasValue", target);
        let again = self.parser.ast.copy(target);
        let value = method(self, "value", again);
        let mut yes = self.bound(&variable, value, body);
        if !flat {
            yes = self.call("optional.of", vec![yes]);
        }
        let no = self.call("optional.none", Vec::new());
        Ok(self.call(operator::CONDITIONAL, vec![present, yes, no]))
    }
}
