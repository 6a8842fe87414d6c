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

/// Whether upstream's library takes what the record refuses: indices counted from the end, and a test without value, which
/// asks for null.
fn differs_upstream(operations: &Value) -> bool {
    let operations = operations.as_array().unwrap_or_default();
    operations.iter().any(|operation| {
        let path = operation.str_at(&["path"]).unwrap_or_default();
        path.ends_with("/-1") || (operation.str_at(&["op"]) == Some("test") && operation.get("value").is_none())
    })
}

#[test]
fn patches_lead_where_the_records_say() {
    let Some(records) = records() else { return };
    let mut failures = Vec::new();
    let mut count = 0;
    for record in &records {
        let (Some(document), Some(operations)) = (record.get("doc"), record.get("patch")) else { continue };
        let comment = record.str_at(&["comment"]).unwrap_or_default();
        if record.bool_at(&["disabled"]) == Some(true) || differs_upstream(operations) {
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
    assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures.join("\n"));
}
