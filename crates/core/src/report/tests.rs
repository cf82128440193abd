use super::*;
use serde_json::json;

#[test]
fn nothing_is_a_page() {
    assert!(report("null", Language::English).starts_with("<!DOCTYPE html>"));
}
