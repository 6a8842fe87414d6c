//! Rules that cost little and would make much are refused, in bounded memory and time, in the words that upstream has for
//! rules that cost too much.

use std::{sync::Arc, time::Duration};

use corten_apimachinery::{
    Value as Tree,
    codec::{FieldValidation, json},
    schema::Structural,
};
use corten_cel::rules::RuleSet;
use corten_fuzz::Footprint;

/// The most memory that a rule may take, beside the object.
const PEAK_BYTES_MAX: usize = 192 << 20;

/// The longest that a rule may take, unoptimised and beside other tests.
const ELAPSED_MAX: Duration = Duration::from_secs(20);

/// What is said of a rule that makes too much.
const TOO_MUCH: &str = "'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call \
                        cost exceeds limit for rule: ";

/// What there is of each kind of value in an object, for rules to make more of.
struct Row {
    what: &'static str,
    rule: String,
    wants: Wants,
}

#[derive(Debug, PartialEq, Eq)]
enum Wants {
    /// It holds.
    Kept,
    /// It makes too much.
    Refused,
}

fn tree(text: &str) -> Tree {
    json::decode(text.as_bytes(), None, FieldValidation::Strict).unwrap_or_else(|error| panic!("{error}")).value
}

/// The length of `data` in base64.
const DATA_BYTES: usize = 256 << 10;

/// `list`: its items are `0`, `1`, ...; so are those of `set`, and the names in `keyed`; `map` has as many entries, `text` as
/// many characters, and `blobs` as many items of some bytes.
fn object(count: usize) -> Tree {
    let numbers: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    let keyed: Vec<String> = numbers.iter().map(|number| format!(r#"{{"name": "{number}"}}"#)).collect();
    let entries: Vec<String> = numbers.iter().map(|number| format!(r#""{number}": {number}"#)).collect();
    let (numbers, text, data) = (numbers.join(","), "a".repeat(count), "Y".repeat(DATA_BYTES));
    let blobs = vec![r#""YWJjZGVm""#; count].join(",");
    tree(&format!(
        r#"{{"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {{"name": "a"}}, "spec": {{"list": [{numbers}],
            "set": [{numbers}], "keyed": [{}], "map": {{{}}}, "text": "{text}", "data": "{data}", "blobs": [{blobs}]}}}}"#,
        keyed.join(","),
        entries.join(","),
    ))
}

fn rules(rule: &str) -> RuleSet {
    let schema = r#"{"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "list": {"type": "array", "items": {"type": "integer"}},
        "set": {"type": "array", "items": {"type": "integer"}, "x-kubernetes-list-type": "set"},
        "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
        "map": {"type": "object", "additionalProperties": {"type": "integer"}},
        "text": {"type": "string"},
        "data": {"type": "string", "format": "byte"},
        "blobs": {"type": "array", "items": {"type": "string", "format": "byte"}}
    }, "x-kubernetes-validations": [{"rule": RULE}]}}}"#;
    let rule = format!("\"{}\"", rule.replace('\\', "\\\\").replace('"', "\\\""));
    let schema = Structural::from_props(&tree(&schema.replace("RULE", &rule))).expect("a structural schema");
    RuleSet::new(Arc::new(schema)).expect("rules")
}

/// Holds objects with `count` of everything against each rule.
#[track_caller]
fn check(count: usize, rows: Vec<Row>) {
    let object = object(count);
    let mut wrong = Vec::new();
    for Row { what, rule, wants } in rows {
        let rules = rules(&rule);
        let (checked, cost) = Footprint::of(|| rules.check(&object, None));
        let errors: Vec<String> = checked.errors.iter().map(ToString::to_string).collect();
        let is_wanted = match (&wants, errors.as_slice()) {
            (Wants::Kept, errors) => errors.is_empty(),
            (Wants::Refused, [error]) => error.contains(TOO_MUCH),
            (Wants::Refused, _) => false,
        };
        if !is_wanted {
            wrong.push(format!("{what}: {wants:?} was wanted, not {errors:.300?}"));
        }
        if cost.peak_bytes > PEAK_BYTES_MAX || cost.elapsed > ELAPSED_MAX {
            wrong.push(format!("{what}: cost {cost:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn row(what: &'static str, wants: Wants, rule: impl Into<String>) -> Row {
    Row { what, rule: rule.into(), wants }
}

#[test]
fn what_a_rule_makes_is_bounded() {
    use Wants::{Kept, Refused};
    let literal = |count: usize| format!("[{}]", vec!["0"; count].join(","));
    let (hundred, gathered, long) = (literal(100), literal(256), literal(513));
    // Half a million items, in a sum as deep as sums become: one more makes it flat.
    let deep = format!(
        "[{long}]{}.map(a, a{}).all(a, {hundred}.map(x, a + {long}).size() > 0)",
        ".map(a, a + a)".repeat(10),
        format!(" + {long}").repeat(22),
    );
    check(
        4_000,
        vec![
            // These were half a gigabyte each, and more of a larger object.
            row("a set and nothing, for each of its items", Kept, "self.set.map(x, self.set + []).size() > 0"),
            row("a set and one more, for each of its items", Refused, "self.set.map(x, self.set + [-1]).size() > 0"),
            row("a set and one more, again and again", Refused, "self.list.all(x, (self.set + [-1]).size() > 0)"),
            row("a list with keys and one more", Refused, "self.keyed.map(x, self.keyed + [x]).size() > 0"),
            row("a set in another order", Kept, "self.set == self.set.map(x, x)"),
            // These copied megabytes for a unit of cost.
            row("flattened sums", Refused, deep),
            row(
                "gathered sums",
                Refused,
                format!("self.list.filter(x, x < 500).map(x, {hundred}.map(y, {gathered} + {gathered})).size() > 0"),
            ),
            row("lists from text", Refused, "self.list.filter(x, x < 900).map(x, self.text.split('')).size() > 0"),
            row("what was found", Refused, "self.list.filter(x, x < 900).map(x, self.text.findAll('a')).size() > 0"),
            row(
                "replaced text",
                Refused,
                "self.list.filter(x, x < 100).map(x, self.text.replace('a', self.text)).size() > 0",
            ),
            row(
                "formatted text",
                Refused,
                "self.list.map(x, '%s%s%s%s%s'.format([self.text, self.text, self.text, self.text, self.text])).size() > 0",
            ),
            // These were what the bytes are for each item, and nobody counted them.
            row("bytes for each item", Kept, "self.list.map(x, self.data).size() > 0"),
            row("bytes in a list for each item", Kept, "self.list.map(x, [self.data, self.data]).size() > 0"),
            row("the length of bytes, for all", Kept, "self.list.all(x, self.data.size() > x)"),
            row("the length of bytes, in a filter", Kept, "self.list.filter(x, self.data.size() > x).size() > 0"),
            row("bytes compared with few", Kept, "self.list.all(x, self.data != b'a' && b'a' < self.data)"),
            row("bytes compared with themselves", Refused, "self.list.all(x, self.data == self.data)"),
            row("bytes and one more", Refused, "self.list.map(x, self.data + b'a').size() > 0"),
            row("bytes as text", Refused, "self.list.map(x, string(self.data)).size() > 0"),
            row("formatted bytes", Refused, "self.list.map(x, '%x'.format([self.data])).size() > 0"),
            row("a list of bytes", Kept, "self.blobs.map(x, x).all(x, x.size() == 6)"),
            row("bytes in a list of them", Kept, "self.list.filter(x, x < 100).all(x, self.blobs[x] in self.blobs)"),
            row("the least bytes of a list", Kept, "self.blobs.min() == b'abcdef' && self.blobs.isSorted()"),
            row("formatted maps", Refused, "self.list.map(x, '%s'.format([self.map])).size() > 0"),
            // What ordinary rules make.
            row("a list for each item", Kept, "self.list.map(x, [x, x + 1, x + 2]).size() > 0"),
            row("a text for each item", Kept, "self.list.map(x, '%d of %d'.format([x, self.list.size()])).size() > 0"),
            row("a map of all", Kept, "self.map.transformMap(k, v, v + 1).size() > 0"),
            row("lists that share their items", Kept, "self.list.map(x, self.list + self.list).size() > 0"),
            row("keys that are not gone through", Kept, "self.list.all(x, self.map.exists(k, true))"),
        ],
    );
}

/// The characters of both were counted, for a cost that goes by the shorter: a millisecond and more a turn, for seven units.
#[test]
fn a_long_text_is_not_gone_through_to_be_compared_with_a_short_one() {
    let mut object = object(100_000);
    object.set(&["spec", "text"], "a".repeat(3 << 20));
    let rules = rules("self.list.all(x, self.text != 'a')");
    let (checked, cost) = Footprint::of(|| rules.check(&object, None));
    assert!(checked.errors.is_empty(), "{:?}", checked.errors);
    assert!(cost.elapsed < ELAPSED_MAX, "{cost:?}");
}
