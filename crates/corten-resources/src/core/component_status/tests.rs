use serde_json::json;

use super::RESOURCE;
use crate::testing::row;

#[test]
fn a_row_shows_the_health() {
    let status = |conditions: serde_json::Value| json!({"metadata": {"name": "a"}, "conditions": conditions});
    let condition = |status: &str| json!([{"type": "Healthy", "status": status, "message": "m", "error": "e"}]);
    assert_eq!(row(&RESOURCE, status(condition("True"))), ["a", "Healthy", "m", "e"]);
    assert_eq!(row(&RESOURCE, status(condition("False"))), ["a", "Unhealthy", "m", "e"]);
    assert_eq!(row(&RESOURCE, status(json!([]))), ["a", "Unknown", "", ""]);
}
