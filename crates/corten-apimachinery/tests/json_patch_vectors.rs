//! The public test records of JSON patch (github.com/json-patch/json-patch-tests), found through `CORTEN_UPSTREAM_DATA`.

#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::{fs, path::Path};

use corten_apimachinery::{
    Value,
    codec::{FieldValidation, json},
    patch,
};

fn records() -> Option<Vec<Value>> {
    let Some(root) = std::env::var_os("CORTEN_UPSTREAM_DATA") else {
        println!("skipped: CORTEN_UPSTREAM_DATA is not set");
        return None;
    };
    let folder = Path::new(&root).join("vectors/json-patch");
    let mut records = Vec::new();
    for file in ["tests.json", "spec_tests.json"] {
        let bytes = fs::read(folder.join(file)).expect("CORTEN_UPSTREAM_DATA is set, so the records are there");
        let value = json::decode(&bytes, None, FieldValidation::Ignore).unwrap().value;
        records.extend(value.as_array().unwrap().iter().cloned());
    }
    Some(records)
}

/// Whether upstream's library (gopkg.in/evanphx/json-patch.v4) takes what the record refuses: indices counted from the end or
/// with leading zeros, values that are missing, which are null, and copies of what is not there, which are null, too; or refuses
/// what the record takes: to add the whole document.
fn differs_upstream(document: &Value, operations: &Value) -> bool {
    let operations = operations.as_array().unwrap_or_default();
    operations.iter().any(|operation| {
        let text = |field| operation.str_at(&[field]).unwrap_or_default();
        let (op, path) = (text("op"), text("path"));
        let index = path.rsplit('/').next().unwrap_or_default();
        let has_leading_zero = index.len() > 1 && index.starts_with('0') && index.bytes().all(|b| b.is_ascii_digit());
        let lacks = |field| operation.get(field).is_none();
        index == "-1"
            || (has_leading_zero && document.as_array().is_some())
            || (matches!(op, "add" | "replace" | "test") && lacks("value"))
            || (op == "copy" && is_absent_field(document, text("from")))
            || (op == "add" && path.is_empty())
    })
}

/// Whether `pointer` is to a field of the document itself that is not there.
fn is_absent_field(document: &Value, pointer: &str) -> bool {
    let field = pointer.strip_prefix('/').filter(|field| !field.contains('/'));
    field.is_some_and(|field| document.as_object().is_some_and(|fields| fields.get(field).is_none()))
}

/// How many records are left out because of that.
const DIFFERENT: usize = 13;

#[test]
fn patches_lead_where_the_records_say() {
    let Some(records) = records() else { return };
    let mut failures = Vec::new();
    let (mut count, mut different) = (0, 0);
    for record in &records {
        let (Some(document), Some(operations)) = (record.get("doc"), record.get("patch")) else { continue };
        let comment = record.str_at(&["comment"]).unwrap_or_default();
        if record.bool_at(&["disabled"]) == Some(true) {
            continue;
        }
        if differs_upstream(document, operations) {
            different += 1;
            continue;
        }
        count += 1;
        let outcome = patch::json::apply(document, operations);
        let fits = match (&outcome, record.get("expected")) {
            (Ok(found), Some(want)) => found == want,
            (Ok(_), None) => record.get("error").is_none(),
            (Err(_), want) => want.is_none() && record.get("error").is_some(),
        };
        if !fits {
            failures.push(format!("{comment}: {operations:?} on {document:?} gave {outcome:?}"));
        }
    }
    assert!(count > 80, "only {count} records");
    assert_eq!(different, DIFFERENT, "records that differ");
    assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures.join("\n"));
}
