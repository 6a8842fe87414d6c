//! From tokens to a tree, by precedence climbing.
//!
//! Depth is counted as upstream counts it: for each rule of the grammar apart, along the path from the root, where a chain of
//! operators or selections counts as deep as it is long. So trees are never deeper than a few times the limit, and whoever
//! goes through them may recurse. Chains of `&&` and `||` become balanced trees and count for nothing.
//!
//! Upstream: cel-go parser/parser.go, parser/helper.go (v0.26.0).

use super::{
    Ast, Issues, Node, NodeId, Source,
    lexer::{self, Kind, Token},
    operator,
};

/// Upstream's default.
const DEPTH_MAX: usize = 250;

/// Upstream's default: code points.
const SIZE_MAX: usize = 100_000;

/// Which parts of the syntax are on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// `a.?b`, `a[?b]`, `[?a]`, `{?a: b}`.
    pub optionals: bool,
    /// `a.`b-c``.
    pub quoted_identifiers: bool,
    /// `has`, `all`, `exists`, `exists_one`, `map`, `filter`.
    pub macros: bool,
    /// Macros with two variables.
    pub two_variables: bool,
    /// `cel.bind`.
    pub bindings: bool,
}

/// Why parsing stops: the issue is recorded.
#[derive(Debug)]
pub(super) struct Stop;

/// The tree of `source`.
///
/// Errors: the first syntax error and all wrong literals and macros before it.
pub fn parse(source: Source<'_>, options: Options) -> Result<Ast, Issues> {
    let size = source.text().chars().count();
    if size > SIZE_MAX {
        let message = format!("expression code point size exceeds limit: size: {size}, limit {SIZE_MAX}");
        return Err(Source::issue_of_all(message).into());
    }
    let mut parser = Parser {
        source,
        options,
        tokens: lexer::tokens(source.text()),
        at: 0,
        ast: Ast::new(),
        issues: Issues::default(),
        depths: [0; RULES],
    };
    for token in parser.tokens.iter().filter(|token| token.kind == Kind::Unknown) {
        let text = token.text.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t");
        let message = format!("Syntax error: token recognition error at: '{text}'");
        parser.issues.add(source, token.position, message);
    }
    parser.tokens.retain(|token| token.kind != Kind::Unknown);
    if let Ok(root) = parser.whole() {
        parser.ast.set_root(root);
    }
    if parser.issues.is_empty() { Ok(parser.ast) } else { Err(parser.issues) }
}

/// The rules of the grammar whose depth is counted.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    Expr,
    Relation,
    Calc,
    Member,
}

const RULES: usize = 4;

pub(super) struct Parser<'t> {
    source: Source<'t>,
    pub(super) options: Options,
    pub(super) tokens: Vec<Token<'t>>,
    pub(super) at: usize,
    pub(super) ast: Ast,
    issues: Issues,
    pub(super) depths: [usize; RULES],
}

pub(super) type Parsed = Result<NodeId, Stop>;

impl<'t> Parser<'t> {
    fn whole(&mut self) -> Parsed {
        let root = self.expr()?;
        let next = self.peek();
        if next.kind != Kind::End {
            // Upstream skips one token too many where the text ends behind it.
            let word = if self.tokens[self.at + 1].kind == Kind::End { "extraneous" } else { "mismatched" };
            return self.stop(next.position, format!("Syntax error: {word} input '{}' expecting <EOF>", next.text));
        }
        Ok(root)
    }

    pub(super) fn peek(&self) -> Token<'t> {
        self.tokens[self.at]
    }

    pub(super) fn next(&mut self) -> Token<'t> {
        let token = self.tokens[self.at];
        if token.kind != Kind::End {
            self.at += 1;
        }
        token
    }

    pub(super) fn take(&mut self, symbol: &'static str) -> Option<Token<'t>> {
        (self.peek().kind == Kind::Symbol(symbol)).then(|| self.next())
    }

    pub(super) fn expect(&mut self, symbol: &'static str) -> Result<Token<'t>, Stop> {
        match self.take(symbol) {
            Some(token) => Ok(token),
            None if self.ends_but_for(symbol) => {
                self.stop(self.peek().position, format!("Syntax error: missing '{symbol}' at '<EOF>'"))
            }
            None => {
                let found = self.peek();
                self.stop(
                    found.position,
                    format!("Syntax error: mismatched input '{}' expecting '{symbol}'", found.text),
                )
            }
        }
    }

    /// Whether the text ends here and would be whole with `symbol`, which closes something: upstream says that it is missing.
    fn ends_but_for(&self, symbol: &str) -> bool {
        if self.peek().kind != Kind::End || !matches!(symbol, "]" | ")" | "}") {
            return false;
        }
        let count = |wanted: &[&str]| {
            let is = |token: &&Token<'_>| matches!(token.kind, Kind::Symbol(symbol) if wanted.contains(&symbol));
            self.tokens.iter().filter(is).count()
        };
        // A choice may want its other side.
        count(&["[", "(", "{"]) == count(&["]", ")", "}"]) + 1 && count(&["?"]) == 0
    }

    pub(super) fn stop<T>(&mut self, position: u32, message: impl Into<String>) -> Result<T, Stop> {
        self.issues.add(self.source, position, message);
        Err(Stop)
    }

    /// Records that a part is wrong that could be read.
    pub(super) fn report(&mut self, position: u32, message: impl Into<String>) -> NodeId {
        self.issues.add(self.source, position, message);
        self.ast.add(position, Node::Error)
    }

    pub(super) fn enter(&mut self, rule: Rule) -> Result<(), Stop> {
        let depth = &mut self.depths[rule as usize];
        *depth += 1;
        if *depth > DEPTH_MAX {
            self.issues.add_of_all(format!("expression recursion limit exceeded: {DEPTH_MAX}"));
            return Err(Stop);
        }
        if self.ast.is_too_large() {
            self.issues.add_of_all("expression is too large when its macros are expanded");
            return Err(Stop);
        }
        Ok(())
    }

    pub(super) fn call(&mut self, position: u32, function: &str, args: Vec<NodeId>) -> NodeId {
        self.ast.add(position, Node::Call { function: function.into(), target: None, args })
    }

    pub(super) fn expr(&mut self) -> Parsed {
        self.enter(Rule::Expr)?;
        let condition = self.or()?;
        let result = if let Some(token) = self.take("?") {
            let yes = self.or()?;
            self.expect(":")?;
            let no = self.expr()?;
            self.call(token.position, operator::CONDITIONAL, vec![condition, yes, no])
        } else {
            condition
        };
        self.depths[Rule::Expr as usize] -= 1;
        Ok(result)
    }

    fn or(&mut self) -> Parsed {
        let mut terms = vec![self.and()?];
        let mut positions = Vec::new();
        while let Some(token) = self.take("||") {
            positions.push(token.position);
            terms.push(self.and()?);
        }
        Ok(self.balanced(operator::OR, &terms, &positions))
    }

    fn and(&mut self) -> Parsed {
        let mut terms = vec![self.relation()?];
        let mut positions = Vec::new();
        while let Some(token) = self.take("&&") {
            positions.push(token.position);
            terms.push(self.relation()?);
        }
        Ok(self.balanced(operator::AND, &terms, &positions))
    }

    /// A tree of `terms` whose depth is the logarithm of their number; halves are as upstream's.
    fn balanced(&mut self, function: &str, terms: &[NodeId], positions: &[u32]) -> NodeId {
        if positions.is_empty() {
            return terms[0];
        }
        let middle = positions.len() / 2;
        let left = self.balanced(function, &terms[..=middle], &positions[..middle]);
        let right = self.balanced(function, &terms[middle + 1..], &positions[middle + 1..]);
        self.call(positions[middle], function, vec![left, right])
    }

    fn relation(&mut self) -> Parsed {
        let depth = self.depths[Rule::Relation as usize];
        self.enter(Rule::Relation)?;
        let mut left = self.calc(0)?;
        loop {
            let token = self.peek();
            let Kind::Symbol(symbol) = token.kind else { break };
            let function = match symbol {
                "<" => operator::LESS,
                "<=" => operator::LESS_EQUALS,
                ">" => operator::GREATER,
                ">=" => operator::GREATER_EQUALS,
                "==" => operator::EQUALS,
                "!=" => operator::NOT_EQUALS,
                "in" => operator::IN,
                _ => break,
            };
            self.next();
            self.enter(Rule::Relation)?;
            let right = self.calc(0)?;
            left = self.call(token.position, function, vec![left, right]);
        }
        self.depths[Rule::Relation as usize] = depth;
        Ok(left)
    }

    /// Sums of products: `level` 0 takes both, level 1 products alone.
    fn calc(&mut self, level: u8) -> Parsed {
        let depth = self.depths[Rule::Calc as usize];
        // Both levels are one rule of the grammar.
        if level == 0 {
            self.enter(Rule::Calc)?;
        }
        let mut left = if level == 0 { self.calc(1)? } else { self.unary()? };
        loop {
            let token = self.peek();
            let Kind::Symbol(symbol) = token.kind else { break };
            let function = match (level, symbol) {
                (0, "+") => operator::ADD,
                (0, "-") => operator::SUBTRACT,
                (1, "*") => operator::MULTIPLY,
                (1, "/") => operator::DIVIDE,
                (1, "%") => operator::MODULO,
                _ => break,
            };
            self.next();
            self.enter(Rule::Calc)?;
            let right = if level == 0 { self.calc(1)? } else { self.unary()? };
            left = self.call(token.position, function, vec![left, right]);
        }
        self.depths[Rule::Calc as usize] = depth;
        Ok(left)
    }

    pub(super) fn unary(&mut self) -> Parsed {
        let first = self.peek();
        let (symbol, function) = match first.kind {
            Kind::Symbol("!") => ("!", operator::NOT),
            Kind::Symbol("-") if !self.is_negative_number() => ("-", operator::NEGATE),
            _ => return self.member(),
        };
        let mut count = 0_usize;
        while self.peek().kind == Kind::Symbol(symbol) {
            self.next();
            count += 1;
        }
        // Two of them do nothing.
        let operand = self.member()?;
        Ok(if count.is_multiple_of(2) { operand } else { self.call(first.position, function, vec![operand]) })
    }

    /// A minus directly before a number belongs to the number.
    pub(super) fn is_negative_number(&self) -> bool {
        self.peek().kind == Kind::Symbol("-")
            && self.tokens.get(self.at + 1).is_some_and(|token| matches!(token.kind, Kind::Int | Kind::Float))
    }
}
