//! The conformance vectors of the language, read from `$CORTEN_UPSTREAM_DATA/vectors/cel-spec`.
//!
//! Every case passes, or is left out for a reason that is written here. Cases that are left out by name must fail, so that the
//! list does not outlive its reasons.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use corten_cel::{
    Environment, Libraries, Type, Value, environment::OverloadDeclaration, error::EvalError, eval::Context,
    syntax::Source,
};
use support::{
    textproto::{self, Field, Message},
    values::{same, type_of, value},
};

/// Files that test what Kubernetes does not have.
const OTHER_FILES: &[(&str, &str)] = &[
    ("block_ext", "cel.block is none of Kubernetes' libraries"),
    ("encoders_ext", "base64 is none of Kubernetes' libraries"),
    ("math_ext", "math is none of Kubernetes' libraries"),
    ("proto2_ext", "proto extensions are none of Kubernetes' libraries"),
    ("enums", "enums come with message types"),
    ("proto2", "the test's message types are not in the data"),
    ("proto3", "the test's message types are not in the data"),
    ("wrappers", "the test's message types are not in the data"),
];

/// Types that expressions or results need and that are not there, by their last names: those of the tests, which are not in the
/// data, and the well-known ones, which no object of the API has.
const MESSAGE_TYPES: &[&str] = &[
    "TestAllTypes",
    "NestedTestAllTypes",
    "GlobalEnum",
    "Any",
    "BoolValue",
    "BytesValue",
    "DoubleValue",
    "FloatValue",
    "Int32Value",
    "Int64Value",
    "UInt32Value",
    "UInt64Value",
    "StringValue",
    "ListValue",
    "Struct",
    "Value",
    "NullValue",
];

/// Well-known types whose values there are, but not as messages that an expression makes.
const MADE_OTHERWISE: &[&str] = &["google.protobuf.Duration", "google.protobuf.Timestamp"];

/// How many cases pass: fewer, and a part of the files was not read, or more was left out than is written here.
const PASSED: usize = 1_226;

/// Cases that are left out, and why.
const OTHER_CASES: &[(&str, &str)] = &[
    ("timestamps/timestamp_selectors_tz/getDate", NO_TIME_ZONES),
    ("timestamps/timestamp_selectors_tz/getDayOfMonth_name_pos", NO_TIME_ZONES),
    ("timestamps/timestamp_selectors_tz/getDayOfMonth_name_neg", NO_TIME_ZONES),
    ("timestamps/timestamp_selectors_tz/getDayOfYear", NO_TIME_ZONES),
    ("timestamps/timestamp_selectors_tz/getMinutes", NO_TIME_ZONES),
    (
        "timestamps/duration_converters/get_milliseconds",
        "upstream gives all milliseconds, not those of the last second",
    ),
    ("string_ext/value_errors/indexof_out_of_range", NOT_FOUND_BEHIND_THE_END),
    ("string_ext/value_errors/lastindexof_out_of_range", NOT_FOUND_BEHIND_THE_END),
];

/// Cases that want an error of evaluation and have one before: the check says it.
const UNCOMPILED: &[&str] = &[
    "conversions/bool/string_false_badcase",
    "conversions/bool/string_true_badcase",
    "conversions/int/double_int_max_range",
    "conversions/int/double_int_min_range",
    "conversions/int/double_range",
    "conversions/int/uint_range",
    "conversions/string/bytes_invalid",
    "conversions/uint/double_range_beyond_uint",
    "conversions/uint/double_uint_max_range",
    "conversions/uint/int_neg",
    "fields/qualified_identifier_resolution/int64_field_select_unsupported",
    "fields/qualified_identifier_resolution/list_field_select_unsupported",
    "timestamps/duration_range/add_over",
    "timestamps/duration_range/add_under",
    "timestamps/duration_range/from_string_over",
    "timestamps/duration_range/from_string_under",
    "timestamps/duration_range/sub_over",
    "timestamps/duration_range/sub_under",
    "timestamps/timestamp_range/from_string_over",
    "timestamps/timestamp_range/from_string_under",
];

const NOT_FOUND_BEHIND_THE_END: &str = "upstream finds nothing behind the end, which is no error";
const NO_TIME_ZONES: &str = "names of time zones need a data base that no dependency brings yet";

/// Whether the type `name` is one that is not there.
fn is_message_type(name: &str) -> bool {
    name.starts_with("cel.expr.conformance") || MESSAGE_TYPES.contains(&name.rsplit('.').next().unwrap_or(name))
}

/// Whether `expression` names a type that is not there, or makes a message. Letters within quotation marks count as well.
fn names_message_type(expression: &str) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '.');
    let makes = |name: &&str| expression.replace(' ', "").contains(&format!("{name}{{"));
    expression.split(|character| !is_part(character)).any(is_message_type) || MADE_OTHERWISE.iter().any(makes)
}

/// Whether a type, value or declaration in `message` is of a type that is not there.
fn has_message_type(message: &Message) -> bool {
    message.0.iter().any(|(name, field)| {
        let of = name.strip_prefix("type.googleapis.com/").is_some_and(is_message_type);
        of || match field {
            Field::Message(below) => has_message_type(below),
            Field::Text(text) if matches!(name.as_str(), "message_type" | "type_value" | "type_url" | "type") => {
                is_message_type(String::from_utf8_lossy(text).trim_start_matches("type.googleapis.com/"))
            }
            Field::Text(_) | Field::Word(_) => false,
        }
    })
}

fn needs_message_types(test: &Message) -> bool {
    is_message_type(&test.text("container")) || names_message_type(&test.text("expr")) || has_message_type(test)
}

#[derive(Default)]
struct Count {
    passed: usize,
    left_out: usize,
    failed: Vec<String>,
}

/// What was met on the way, for lists that must not outlive their reasons.
#[derive(Default)]
struct Met {
    other_cases: BTreeSet<String>,
    uncompiled: BTreeSet<String>,
}

#[test]
fn expressions_give_what_the_specification_says() {
    let Ok(data) = std::env::var("CORTEN_UPSTREAM_DATA") else {
        println!("skipped: CORTEN_UPSTREAM_DATA is not set");
        return;
    };
    let folder = PathBuf::from(data).join("vectors/cel-spec");
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder).expect("the vectors").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(files.len() >= 29, "all files are there");
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    let mut met = Met::default();
    for path in files {
        let file = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let count = counts.entry(file.clone()).or_default();
        let content = textproto::read(&fs::read_to_string(&path).expect("a file"));
        for section in content.messages("section") {
            for test in section.messages("test") {
                let name = format!("{file}/{}/{}", section.text("name"), test.text("name"));
                run(&file, &name, test, count, &mut met);
            }
        }
    }
    let mut failures = Vec::new();
    for (file, count) in &counts {
        println!("{file}: {} passed, {} left out, {} failed", count.passed, count.left_out, count.failed.len());
        failures.extend(count.failed.iter().cloned());
    }
    assert!(failures.is_empty(), "{} cases failed:\n{}", failures.len(), failures.join("\n"));
    let listed = |names: &mut dyn Iterator<Item = &'static str>| names.map(str::to_owned).collect::<BTreeSet<_>>();
    let files: BTreeSet<String> = counts.keys().filter(|file| is_other_file(file)).cloned().collect();
    assert_eq!(files, listed(&mut OTHER_FILES.iter().map(|(file, _)| *file)), "files that are left out");
    assert_eq!(met.other_cases, listed(&mut OTHER_CASES.iter().map(|(case, _)| *case)), "cases that are left out");
    assert_eq!(met.uncompiled, listed(&mut UNCOMPILED.iter().copied()), "cases whose error comes before evaluation");
    assert_eq!(counts.values().map(|count| count.passed).sum::<usize>(), PASSED, "cases that passed");
}

fn is_other_file(file: &str) -> bool {
    OTHER_FILES.iter().any(|(other, _)| *other == file)
}

/// What came of a case that went well.
enum Passed {
    Evaluated,
    /// An error was wanted, and came before evaluation.
    Uncompiled,
}

fn run(file: &str, name: &str, test: &Message, count: &mut Count, met: &mut Met) {
    if is_other_file(file) || needs_message_types(test) {
        count.left_out += 1;
        return;
    }
    let expected_to_fail = OTHER_CASES.iter().any(|(other, _)| *other == name);
    if expected_to_fail {
        met.other_cases.insert(name.to_owned());
    }
    match (check(test), expected_to_fail) {
        (Ok(passed), false) => {
            count.passed += 1;
            if matches!(passed, Passed::Uncompiled) {
                met.uncompiled.insert(name.to_owned());
            }
        }
        (Err(_), true) => count.left_out += 1,
        (Ok(_), true) => count.failed.push(format!("{name}: passes, but is listed as one that does not")),
        (Err(why), false) => count.failed.push(format!("{name}: `{}`: {why}", test.text("expr"))),
    }
}

fn no_implementation<'a>(_: &mut Context<'_>, _: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    Err(EvalError::failed("declared for the check alone"))
}

fn environment(test: &Message) -> Result<Environment, String> {
    let libraries = Libraries::kubernetes().and_bindings();
    let mut environment = Environment::with(libraries).container(&test.text("container")).quoted_identifiers();
    for binding in test.messages("bindings") {
        environment = environment.variable(&binding.text("key"), Type::Dyn);
    }
    for declaration in test.messages("type_env") {
        let name = declaration.text("name");
        if let Some(ident) = declaration.message("ident") {
            let of = ident.message("type").and_then(type_of).ok_or("a type that cannot be read")?;
            environment = environment.variable(&name, of);
        }
        for overload in declaration.message("function").into_iter().flat_map(|function| function.messages("overloads"))
        {
            let parameters: Vec<String> = overload
                .messages("params")
                .map(|parameter| type_of(parameter).map(|of| of.to_string()))
                .collect::<Option<_>>()
                .ok_or("a parameter that cannot be read")?;
            let result = overload.message("result_type").and_then(type_of).ok_or("a result that cannot be read")?;
            let signature = match (overload.word::<bool>("is_instance_function"), parameters.split_first()) {
                (Some(true), Some((target, rest))) => format!("{target}.({}): {result}", rest.join(", ")),
                _ => format!("({}): {result}", parameters.join(", ")),
            };
            let overload = OverloadDeclaration::new(&overload.text("overload_id"), &signature, no_implementation)
                .ok_or_else(|| format!("signature {signature}"))?;
            environment = environment.function(&name, overload);
        }
    }
    if test.word::<bool>("disable_check") == Some(true) {
        environment = environment.unchecked();
    }
    if test.word::<bool>("disable_macros") == Some(true) {
        environment = environment.without_macros();
    }
    Ok(environment)
}

fn check(test: &Message) -> Result<Passed, String> {
    let expression = test.text("expr");
    let wants_error = test.message("eval_error").is_some();
    let program = match environment(test)?.compile(&expression) {
        Ok(program) => program,
        Err(_) if wants_error => return Ok(Passed::Uncompiled),
        Err(issues) => return Err(Source::new(&expression).display(&issues)),
    };
    let typed = test.message("typed_result");
    if let Some(deduced) = typed.and_then(|typed| typed.message("deduced_type")) {
        let wanted = type_of(deduced).ok_or("a type that cannot be read")?;
        if wanted.to_string() != program.result_type().to_string() {
            return Err(format!("type {} instead of {wanted}", program.result_type()));
        }
    }
    if test.word::<bool>("check_only") == Some(true) {
        return Ok(Passed::Evaluated);
    }
    let mut variables = Vec::new();
    let keys: Vec<String> = test.messages("bindings").map(|binding| binding.text("key")).collect();
    for (key, binding) in keys.iter().zip(test.messages("bindings")) {
        let bound = binding.message("value").and_then(|expr| expr.message("value")).and_then(value);
        variables.push((key.as_str(), bound.ok_or("a variable that cannot be read")?));
    }
    let result = program.eval(&variables, None);
    if wants_error {
        return match result {
            Ok((found, _)) => Err(format!("{found:?} instead of an error")),
            Err(_) => Ok(Passed::Evaluated),
        };
    }
    let wanted = match (test.message("value"), typed.and_then(|typed| typed.message("result"))) {
        (Some(wanted), _) | (None, Some(wanted)) => value(wanted).ok_or("a value that cannot be read")?,
        (None, None) => Value::Bool(true),
    };
    match result {
        Ok((found, _)) if same(&found, &wanted) => Ok(Passed::Evaluated),
        Ok((found, _)) => Err(format!("{found:?} instead of {wanted:?}")),
        Err(error) => Err(format!("error {error:?} instead of {wanted:?}")),
    }
}
