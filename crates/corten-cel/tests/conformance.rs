//! The conformance vectors of the language, read from `$CORTEN_UPSTREAM_DATA/vectors/cel-spec`.
//!
//! Every case passes, or is left out for a reason that is written here. Cases that are left out by name must fail, so that the
//! list does not outlive its reasons.

mod support;

use std::{collections::BTreeMap, fs, path::PathBuf};

use corten_cel::{
    Environment, Libraries, Type, Value, environment::OverloadDeclaration, error::EvalError, eval::Context,
    syntax::Source,
};
use support::{
    textproto::{self, Message},
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

/// Parts of expressions, containers and results that need message types: those of the tests, which are not in the data, and
/// the well-known ones, which no object of the API has.
const MESSAGE_TYPES: &[&str] = &[
    "TestAllTypes",
    "cel.expr.conformance.",
    "GlobalEnum",
    "google.protobuf.Any",
    "google.protobuf.BoolValue",
    "google.protobuf.BytesValue",
    "google.protobuf.DoubleValue",
    "google.protobuf.FloatValue",
    "google.protobuf.Int32Value",
    "google.protobuf.Int64Value",
    "google.protobuf.UInt32Value",
    "google.protobuf.UInt64Value",
    "google.protobuf.StringValue",
    "google.protobuf.ListValue",
    "google.protobuf.Struct",
    "google.protobuf.Value",
    "google.protobuf.Duration{",
    "google.protobuf.Timestamp{",
    "NullValue",
];

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

const NOT_FOUND_BEHIND_THE_END: &str = "upstream finds nothing behind the end, which is no error";
const NO_TIME_ZONES: &str = "names of time zones need a data base that no dependency brings yet";

fn case_text(test: &Message) -> String {
    format!("{test:?}{}{}", test.text("expr"), test.text("container"))
}

#[derive(Default)]
struct Count {
    passed: usize,
    left_out: usize,
    failed: Vec<String>,
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
    for path in files {
        let file = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let count = counts.entry(file.clone()).or_default();
        let content = textproto::read(&fs::read_to_string(&path).expect("a file"));
        for section in content.messages("section") {
            for test in section.messages("test") {
                let name = format!("{file}/{}/{}", section.text("name"), test.text("name"));
                run(&file, &name, test, count);
            }
        }
    }
    let mut failures = Vec::new();
    for (file, count) in &counts {
        println!("{file}: {} passed, {} left out, {} failed", count.passed, count.left_out, count.failed.len());
        failures.extend(count.failed.iter().cloned());
    }
    assert!(failures.is_empty(), "{} cases failed:\n{}", failures.len(), failures.join("\n"));
}

fn run(file: &str, name: &str, test: &Message, count: &mut Count) {
    let text = case_text(test);
    if OTHER_FILES.iter().any(|(other, _)| *other == file) || MESSAGE_TYPES.iter().any(|part| text.contains(part)) {
        count.left_out += 1;
        return;
    }
    let expected_to_fail = OTHER_CASES.iter().any(|(other, _)| *other == name);
    match (check(test), expected_to_fail) {
        (Ok(()), false) => count.passed += 1,
        (Err(_), true) => count.left_out += 1,
        (Ok(()), true) => count.failed.push(format!("{name}: passes, but is listed as one that does not")),
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

fn check(test: &Message) -> Result<(), String> {
    let expression = test.text("expr");
    let wants_error = test.message("eval_error").is_some();
    let program = match environment(test)?.compile(&expression) {
        Ok(program) => program,
        Err(_) if wants_error => return Ok(()),
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
        return Ok(());
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
            Err(_) => Ok(()),
        };
    }
    let wanted = match (test.message("value"), typed.and_then(|typed| typed.message("result"))) {
        (Some(wanted), _) | (None, Some(wanted)) => value(wanted).ok_or("a value that cannot be read")?,
        (None, None) => Value::Bool(true),
    };
    match result {
        Ok((found, _)) if same(&found, &wanted) => Ok(()),
        Ok((found, _)) => Err(format!("{found:?} instead of {wanted:?}")),
        Err(error) => Err(format!("error {error:?} instead of {wanted:?}")),
    }
}
