//! Whatever text comes, it is refused or has a value, a cost below its limit, or an error.

use corten_cel::{
    Environment, EvalError, Type, Value,
    eval::{Activation, Work},
};
use corten_fuzz::{Target, texts};

const TARGETS: &[Target] = &[
    Target { name: "expression", corpus: expressions, run: compile },
    Target { name: "expression of any types", corpus: expressions, run: compile_unchecked },
];

/// What an expression may cost here; Kubernetes' limits are larger.
const COST_MAX: u64 = 100_000;

fn expressions() -> Vec<Vec<u8>> {
    texts(&[
        "self.all(x, x.startsWith('a') && size(x) < 10) || has({'a': 1}.a)",
        "[1, 2u, 3.5].map(x, x, double(x) * 2.0)[0] == 2.0 ? 'yes' : \"no\"",
        "'abc'.matches('^a.*c$') && duration('1h') > duration('59m') && timestamp('2020-01-01T00:00:00Z').getFullYear() == 2020",
        "quantity('1Gi').isGreaterThan(quantity('500Mi')) && url('https://a/b').getHost() == 'a' && ip('10.0.0.1').family() == 4",
        "self.filter(s, s in ['a', r'b', b'c' == b'c' ? 'd' : 'e']).size() > -9223372036854775808",
        "self.exists_one(a, self.exists(b, self.all(c, a == b && b == c)))",
    ])
}

/// `self`, a list of texts.
struct Names;

impl<'a> Activation<'a> for Names {
    fn variable(&self, name: &str) -> Option<Result<Value<'a>, EvalError>> {
        let names = || Value::list(["a", "bb", "ccc"].map(Value::string).to_vec());
        (name == "self").then(|| Ok(names()))
    }
}

fn run(input: &[u8], environment: Environment) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let environment = environment.variable("self", Type::list(Type::String));
    let Ok(program) = environment.compile(text) else { return };
    let (_, cost) = program.eval_within(&Names, COST_MAX, &mut Work::of_evaluation());
    assert!(cost <= COST_MAX * 2, "{cost} was spent on {text}");
}

fn compile(input: &[u8]) {
    run(input, Environment::kubernetes());
}

fn compile_unchecked(input: &[u8]) {
    run(input, Environment::kubernetes().unchecked());
}

#[test]
fn no_input_harms_a_decoder() {
    corten_fuzz::smoke(TARGETS);
}
