//! Operands: names, literals, lists, maps, messages, and the selections, indexes and calls behind them.
//!
//! Upstream: cel-go parser/parser.go (v0.26.0).

use std::sync::Arc;

use super::{
    Element, Literal, MapEntry, Node, NodeId, StructField,
    lexer::{Kind, Token},
    macros, operator,
    parser::{Parsed, Parser, Rule, Stop},
    unescape::unescape,
    words::is_reserved,
};

/// What may stand at the beginning of an operand, in the words and order of upstream's grammar.
const OPERAND_STARTS: &str = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, \
                              STRING, BYTES, IDENTIFIER}";

impl<'t> Parser<'t> {
    pub(super) fn member(&mut self) -> Parsed {
        let depth = self.depths[Rule::Member as usize];
        self.enter(Rule::Member)?;
        let mut operand = self.primary()?;
        loop {
            if let Some(dot) = self.take(".") {
                self.enter(Rule::Member)?;
                operand = self.after_dot(operand, dot)?;
            } else if let Some(open) = self.take("[") {
                self.enter(Rule::Member)?;
                let optional = self.optional_mark()?;
                let index = self.expr()?;
                self.expect("]")?;
                let function = if optional { operator::OPT_INDEX } else { operator::INDEX };
                operand = self.call(open.position, function, vec![operand, index]);
            } else {
                break;
            }
        }
        self.depths[Rule::Member as usize] = depth;
        Ok(operand)
    }

    fn optional_mark(&mut self) -> Result<bool, Stop> {
        match self.take("?") {
            Some(mark) if !self.options.optionals => self.stop(mark.position, "unsupported syntax '?'"),
            mark => Ok(mark.is_some()),
        }
    }

    fn after_dot(&mut self, operand: NodeId, dot: Token<'t>) -> Parsed {
        let optional = self.optional_mark()?;
        let token = self.next();
        let name: Arc<str> = match token.kind {
            Kind::Ident => token.text.into(),
            Kind::QuotedIdent if !self.options.quoted_identifiers => {
                return self.stop(token.position, "unsupported syntax: '`'");
            }
            Kind::QuotedIdent => token.text.trim_matches('`').into(),
            _ => {
                let message = format!("Syntax error: mismatched input '{}' expecting IDENTIFIER", token.text);
                return self.stop(token.position, message);
            }
        };
        if optional {
            let field = self.ast.add(token.position, Node::Literal(Literal::String(name)));
            return Ok(self.call(dot.position, operator::OPT_SELECT, vec![operand, field]));
        }
        if token.kind == Kind::Ident
            && let Some(open) = self.take("(")
        {
            let args = self.arguments()?;
            return Ok(self.call_or_macro(open.position, &name, Some(operand), args));
        }
        Ok(self.ast.add(dot.position, Node::Select { operand, field: name, test_only: false }))
    }

    fn call_or_macro(&mut self, position: u32, function: &str, target: Option<NodeId>, args: Vec<NodeId>) -> NodeId {
        match macros::expand(self, self.options, position, function, target, &args) {
            Some(expanded) => expanded,
            None => self.ast.add(position, Node::Call { function: function.into(), target, args }),
        }
    }

    /// What stands before the closing parenthesis, and that.
    fn arguments(&mut self) -> Result<Vec<NodeId>, Stop> {
        let mut args = Vec::new();
        if self.take(")").is_some() {
            return Ok(args);
        }
        loop {
            args.push(self.expr()?);
            if self.take(",").is_none() {
                self.expect(")")?;
                return Ok(args);
            }
        }
    }

    fn primary(&mut self) -> Parsed {
        let token = self.peek();
        match token.kind {
            Kind::Ident => self.name(None),
            Kind::Symbol(".") => {
                self.next();
                match self.peek().kind {
                    Kind::Ident => self.name(Some(token)),
                    _ => {
                        let found = self.peek();
                        let message = format!("Syntax error: mismatched input '{}' expecting IDENTIFIER", found.text);
                        self.stop(found.position, message)
                    }
                }
            }
            Kind::Symbol("(") => {
                self.next();
                let inner = self.expr()?;
                self.expect(")")?;
                Ok(inner)
            }
            Kind::Symbol("[") => self.list(),
            Kind::Symbol("{") => self.map(),
            Kind::Symbol("true" | "false" | "null")
            | Kind::Int
            | Kind::Uint
            | Kind::Float
            | Kind::String
            | Kind::Bytes => Ok(self.literal()),
            Kind::Symbol("-") if self.is_negative_number() => Ok(self.literal()),
            _ => {
                // One token too many is left out, and reading goes on.
                let extraneous = self.tokens.get(self.at + 1).is_some_and(|next| starts_operand(next.kind));
                let word = if extraneous { "extraneous" } else { "mismatched" };
                let message = format!("Syntax error: {word} input '{}' expecting {OPERAND_STARTS}", token.text);
                if !extraneous {
                    return self.stop(token.position, message);
                }
                self.report(token.position, message);
                self.next();
                self.primary_after_extraneous()
            }
        }
    }

    /// What is there is known to start an operand, so this goes no deeper.
    fn primary_after_extraneous(&mut self) -> Parsed {
        match self.peek().kind {
            // A sign belongs to the rule around this one.
            Kind::Symbol("-" | "!") => self.unary(),
            _ => self.primary(),
        }
    }

    fn name(&mut self, leading_dot: Option<Token<'t>>) -> Parsed {
        let prefix = if leading_dot.is_some() { "." } else { "" };
        if let Some(end) = self.message_name_end() {
            let first = self.at;
            let name: String =
                std::iter::once(prefix).chain(self.tokens[first..end].iter().map(|token| token.text)).collect();
            self.at = end;
            return self.message(name.into());
        }
        let token = self.next();
        if is_reserved(token.text) {
            return Ok(self.report(token.position, format!("reserved identifier: {}", token.text)));
        }
        let name = format!("{prefix}{}", token.text);
        if let Some(open) = self.take("(") {
            let args = self.arguments()?;
            return Ok(self.call_or_macro(open.position, &name, None, args));
        }
        let position = leading_dot.map_or(token.position, |dot| dot.position);
        Ok(self.ast.add(position, Node::Ident(name.into())))
    }

    /// Where the brace is, if names with dots between lead to one.
    fn message_name_end(&self) -> Option<usize> {
        let mut at = self.at + 1;
        loop {
            match self.tokens.get(at)?.kind {
                Kind::Symbol("{") => return Some(at),
                Kind::Symbol(".") if self.tokens.get(at + 1)?.kind == Kind::Ident => at += 2,
                _ => return None,
            }
        }
    }

    fn message(&mut self, name: Arc<str>) -> Parsed {
        let open = self.expect("{")?;
        let mut fields = Vec::new();
        while self.peek().kind != Kind::Symbol("}") {
            let optional = self.optional_mark()?;
            let token = self.next();
            let field: Arc<str> = match token.kind {
                Kind::Ident => token.text.into(),
                Kind::QuotedIdent if self.options.quoted_identifiers => token.text.trim_matches('`').into(),
                _ => {
                    let message = format!("Syntax error: mismatched input '{}' expecting IDENTIFIER", token.text);
                    return self.stop(token.position, message);
                }
            };
            let colon = self.expect(":")?;
            let id = self.ast.add(colon.position, Node::Error);
            let value = self.expr()?;
            fields.push(StructField { id, name: field, value, optional });
            if self.take(",").is_none() {
                break;
            }
        }
        self.expect("}")?;
        Ok(self.ast.add(open.position, Node::Struct { name, fields }))
    }

    fn list(&mut self) -> Parsed {
        let open = self.expect("[")?;
        let mut elements = Vec::new();
        // At the end of the text it is not an element that is missing behind a comma.
        while !matches!(self.peek().kind, Kind::Symbol("]")) && (elements.is_empty() || self.peek().kind != Kind::End) {
            let optional = self.optional_mark()?;
            elements.push(Element { value: self.expr()?, optional });
            if self.take(",").is_none() {
                break;
            }
        }
        self.expect("]")?;
        Ok(self.ast.add(open.position, Node::List(elements)))
    }

    fn map(&mut self) -> Parsed {
        let open = self.expect("{")?;
        let mut entries = Vec::new();
        while self.peek().kind != Kind::Symbol("}") {
            let optional = self.optional_mark()?;
            let key = self.expr()?;
            self.expect(":")?;
            entries.push(MapEntry { key, value: self.expr()?, optional });
            if self.take(",").is_none() {
                break;
            }
        }
        self.expect("}")?;
        Ok(self.ast.add(open.position, Node::Map(entries)))
    }

    fn literal(&mut self) -> NodeId {
        let first = self.next();
        let (token, sign) = match first.kind {
            Kind::Symbol("-") => (self.next(), "-"),
            _ => (first, ""),
        };
        match read_literal(token, sign) {
            Ok(literal) => self.ast.add(first.position, Node::Literal(literal)),
            Err(message) => self.report(first.position, message),
        }
    }
}

fn starts_operand(kind: Kind) -> bool {
    match kind {
        Kind::Symbol(symbol) => matches!(symbol, "[" | "{" | "(" | "." | "-" | "!" | "true" | "false" | "null"),
        Kind::Ident | Kind::Int | Kind::Uint | Kind::Float | Kind::String | Kind::Bytes => true,
        Kind::End | Kind::QuotedIdent | Kind::Unknown => false,
    }
}

fn read_literal(token: Token<'_>, sign: &str) -> Result<Literal, &'static str> {
    let text = token.text;
    Ok(match token.kind {
        Kind::Int => Literal::Int(
            match text.strip_prefix("0x") {
                Some(hex) => i64::from_str_radix(&format!("{sign}{hex}"), 16),
                None => format!("{sign}{text}").parse(),
            }
            .map_err(|_| "invalid int literal")?,
        ),
        Kind::Uint => {
            let digits = &text[..text.len() - 1];
            Literal::Uint(
                match digits.strip_prefix("0x") {
                    Some(hex) => u64::from_str_radix(hex, 16),
                    None => digits.parse(),
                }
                .map_err(|_| "invalid uint literal")?,
            )
        }
        Kind::Float => {
            let number: f64 = format!("{sign}{text}").parse().map_err(|_| "invalid double literal")?;
            Literal::Double(Some(number).filter(|number| number.is_finite()).ok_or("invalid double literal")?)
        }
        Kind::String | Kind::Bytes => {
            let bytes = token.kind == Kind::Bytes;
            let quoted = text.trim_start_matches(['b', 'B', 'r', 'R']);
            let prefix = &text[..text.len() - quoted.len()];
            let value = unescape(quoted, prefix.contains(['r', 'R']), bytes).map_err(|error| error.message())?;
            if bytes {
                Literal::Bytes(value.into())
            } else {
                Literal::String(String::from_utf8(value).map_err(|_| "invalid UTF-8 encoding")?.into())
            }
        }
        Kind::Symbol("true") => Literal::Bool(true),
        Kind::Symbol("false") => Literal::Bool(false),
        _ => Literal::Null,
    })
}
