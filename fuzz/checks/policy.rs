//! A policy with statements of ours merged in: ours are there, everybody else's are as they were.
//!
//! Used by the fuzz target `policy` and by the replay of its corpus. The crate that uses it has the types of
//! crates/warehouse/src/policy/document.rs in a module `policy` at its root. What is compared are JSON values read from the text,
//! without the types under test.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::policy::{Document, Statement};

const TAG: &str = "0a1b2c3d";

/// The bytes are texts, split by the byte FF: the policy that is there, then one statement each.
pub fn check_bytes(data: &[u8]) {
    let mut fields = data.split(|byte| *byte == 0xff).map(String::from_utf8_lossy);
    let there = fields.next().unwrap_or_default();
    let ours: Vec<Value> = fields.enumerate().filter_map(|(index, text)| statement(index, &text)).collect();
    let sids: BTreeSet<&str> = ours.iter().filter_map(|one| one["Sid"].as_str()).collect();
    let are_unique = sids.len() == ours.len();
    let listed = Statement::list(ours.iter().cloned());
    assert_eq!(listed.is_ok(), are_unique, "{ours:?}");
    let Ok(ours) = listed else { return };
    let Some(foreign) = read(&there) else {
        assert!(Document::parse(Some(&there)).is_err(), "taken for a policy: {there}");
        return;
    };
    let before = Document::parse(Some(&there)).unwrap_or_else(|error| panic!("{error}: {there}"));
    if depth(&Value::Object(foreign.clone())) > 100 {
        // serde_json reads 128 levels, and a statement that stood alone goes one level down into a list.
        return;
    }

    let merged = before.with_statements_of(TAG, &ours);
    assert!(merged.has_exactly(TAG, &ours), "{merged}");
    let text = merged.to_string();
    let written = read(&text).unwrap_or_else(|| panic!("no policy: {text}"));
    assert_eq!(others(&written), others(&foreign), "what is not ours changed");
    assert_eq!(frame(&written), frame(&foreign), "what is around the statements changed");
    assert_eq!(statements(&written).len(), others(&foreign).len() + ours.len());

    let again = Document::parse(Some(&text)).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(again, merged, "written and read");
    assert_eq!(again.with_statements_of(TAG, &ours), merged, "merged twice");
    let served = as_a_service_returns_it(&written).to_string();
    let served = Document::parse(Some(&served)).unwrap_or_else(|error| panic!("{error}: {served}"));
    assert!(served.has_exactly(TAG, &ours), "not recognised in the service's form: {served}");

    let without = merged.with_statements_of(TAG, &[]);
    assert!(without.has_exactly(TAG, &[]));
    let left = read(&without.to_string()).unwrap_or_default();
    assert_eq!(Value::Array(statements(&left)), Value::Array(others(&foreign)));
    assert_eq!(without.is_empty(), others(&foreign).is_empty());
}

/// A statement, if the rules for ours take it; checks that they take what they should.
fn statement(index: usize, text: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(text).ok()?;
    if depth(&value) > 100 {
        return None;
    }
    let has = |name: &str| value.get(name).is_some();
    let sid = value.get("Sid").and_then(Value::as_str).unwrap_or_default();
    let fine = value.is_object()
        && !sid.is_empty()
        && sid.chars().all(|c| c.is_ascii_alphanumeric())
        && (value.get("Effect") == Some(&json!("Allow")) || value.get("Effect") == Some(&json!("Deny")))
        && (has("Principal") || has("NotPrincipal"))
        && (has("Action") || has("NotAction"));
    let read = Statement::new(index, value.clone());
    assert_eq!(read.is_ok(), fine, "{text}");
    fine.then_some(value)
}

/// The policy as a map with a list of statements; `None` if it is no policy. Blank text is the empty policy.
fn read(text: &str) -> Option<Map<String, Value>> {
    if text.trim().is_empty() {
        return Some(Map::from_iter([
            ("Version".to_owned(), json!("2012-10-17")),
            ("Statement".to_owned(), json!([])),
        ]));
    }
    let Ok(Value::Object(mut map)) = serde_json::from_str(text) else { return None };
    match map.get("Statement")? {
        Value::Array(_) => {}
        single @ Value::Object(_) => {
            let list = json!([single]);
            map.insert("Statement".to_owned(), list);
        }
        _ => return None,
    }
    Some(map)
}

fn statements(policy: &Map<String, Value>) -> Vec<Value> {
    policy.get("Statement").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn others(policy: &Map<String, Value>) -> Vec<Value> {
    let ours = |one: &Value| one["Sid"].as_str().is_some_and(|sid| sid.ends_with(TAG));
    statements(policy).into_iter().filter(|one| !ours(one)).collect()
}

fn frame(policy: &Map<String, Value>) -> Map<String, Value> {
    let mut frame = policy.clone();
    frame.remove("Statement");
    frame
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// The same policy as services give it back: statements in another order, lists of one as scalars, account ids as ARNs.
fn as_a_service_returns_it(policy: &Map<String, Value>) -> Value {
    let mut policy = policy.clone();
    let mut list = statements(&Value::Object(policy.clone()).as_object().cloned().unwrap_or_default());
    list.reverse();
    for one in &mut list {
        let Value::Object(map) = one else { continue };
        for name in ["Action", "NotAction", "Resource", "NotResource"] {
            if let Some(Value::Array(items)) = map.get(name)
                && let [Value::String(only)] = items.as_slice()
            {
                let only = json!(only);
                map.insert(name.to_owned(), only);
            }
        }
        if let Some(Value::Object(kinds)) = map.get_mut("Principal")
            && let Some(Value::String(account)) = kinds.get("AWS")
            && account.len() == 12
            && account.bytes().all(|b| b.is_ascii_digit())
        {
            let arn = json!(format!("arn:aws:iam::{account}:root"));
            kinds.insert("AWS".to_owned(), arn);
        }
    }
    policy.insert("Statement".to_owned(), Value::Array(list));
    Value::Object(policy)
}
