//! The properties of a request, into a type that has a property of each kind.
//!
//! Used by the fuzz target `properties` and by the replay of its corpus. The crate that uses it has the module `properties` of
//! crates/custom-resource at its root.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::properties::{UnknownNames, parse};

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
struct Sample {
    name: String,
    #[serde(default)]
    flag: bool,
    #[serde(default)]
    small: Option<u8>,
    #[serde(default)]
    big: Option<i64>,
    #[serde(default)]
    ratio: Option<f64>,
    #[serde(default)]
    mark: Option<char>,
    #[serde(default)]
    list: Vec<String>,
    #[serde(default)]
    pair: Option<(u8, String)>,
    #[serde(default)]
    tags: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    nested: Option<Nested>,
    #[serde(default)]
    kind: Option<Kind>,
    #[serde(default)]
    document: Option<Value>,
    #[serde(default)]
    secret: Option<Nested>,
}

const KNOWN: [&str; 15] = [
    "Name",
    "Flag",
    "Small",
    "Big",
    "Ratio",
    "Mark",
    "List",
    "Pair",
    "Tags",
    "Nested",
    "Kind",
    "Document",
    "Secret",
    "ServiceToken",
    "ServiceTimeout",
];

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
struct Nested {
    inner: u8,
    #[serde(default)]
    text: Option<String>,
}

#[derive(Debug, Deserialize, PartialEq)]
enum Kind {
    Csv,
    Json,
}

/// The bytes are JSON: the `ResourceProperties` of a request.
pub fn check_bytes(data: &[u8]) {
    let Ok(properties) = serde_json::from_slice::<Map<String, Value>>(data) else { return };
    let strict: Result<Sample, _> = parse(&properties, UnknownNames::Reject, &["Secret"]);
    let lenient: Result<Sample, _> = parse(&properties, UnknownNames::Ignore, &["Secret"]);
    let all_known = properties.keys().all(|name| KNOWN.contains(&name.as_str()));
    match &strict {
        Ok(sample) => {
            assert!(all_known, "an unknown name passed: {properties:?}");
            assert_eq!(lenient.as_ref().ok(), Some(sample), "ignoring what is unknown changes what is known");
            let texts = as_cloudformation_sends_it(&properties);
            let from_texts: Result<Sample, _> = parse(&texts, UnknownNames::Reject, &["Secret"]);
            let from_texts = from_texts.unwrap_or_else(|error| panic!("{error}, as strings: {texts:?}"));
            assert_eq!(from_texts, *sample, "strings mean something else: {texts:?}");
        }
        Err(error) => {
            for error in [Some(error), lenient.as_ref().err()].into_iter().flatten() {
                let text = error.to_string();
                assert!(text.starts_with("property `"), "{text}");
                assert!(text.chars().count() < 500, "too long: {text}");
                assert!(!text.chars().any(char::is_control), "{text:?}");
                keeps_the_secret(&properties, &text);
            }
        }
    }
    if lenient.is_ok() && strict.is_err() {
        // Only an unknown name makes the difference, at the top or in a nested map.
        let text = strict.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(text.contains("is unknown"), "{text}");
    }
}

/// No text that stands in the secret alone may stand in the error.
fn keeps_the_secret(properties: &Map<String, Value>, error: &str) {
    let Some(secret) = properties.get("Secret") else { return };
    let mut rest = properties.clone();
    rest.remove("Secret");
    let rest = Value::Object(rest).to_string();
    // What an error says anyway, whatever the secret is.
    let fixed = "property `Secret. the value is not of the expected form (it is a secret and not shown) Inner Text \
                 (the properties as a whole)`: ` is unknown, expected one of Name, Flag, Small, Big, Ratio, Mark, \
                 List, Pair, Tags, Nested, Kind, Document, Secret";
    for text in texts(secret) {
        let unique = text.len() >= 4 && !rest.contains(text.as_str()) && !fixed.contains(text.as_str());
        assert!(!unique || !error.contains(text.as_str()), "{text:?} stands in {error:?}");
    }
}

/// All texts and numbers in a value.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Number(number) => vec![number.to_string()],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        // Names are the template's, not the secret's.
        Value::Object(map) => map.values().flat_map(texts).collect(),
        Value::Null | Value::Bool(_) => Vec::new(),
    }
}

/// Scalars become strings, except in what is handed on as it is.
fn as_cloudformation_sends_it(properties: &Map<String, Value>) -> Map<String, Value> {
    let each = |(name, value): (&String, &Value)| {
        let value = if name == "Document" { value.clone() } else { stringly(value) };
        (name.clone(), value)
    };
    properties.iter().map(each).collect()
}

fn stringly(value: &Value) -> Value {
    match value {
        Value::Bool(flag) => Value::String(flag.to_string()),
        Value::Number(number) => Value::String(number.to_string()),
        Value::Array(items) => items.iter().map(stringly).collect(),
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), stringly(value))).collect(),
        Value::Null | Value::String(_) => value.clone(),
    }
}
