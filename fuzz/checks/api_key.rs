//! The description of a provider's API, and requests made from it with any values: no value leaves the place that it was put into.
//!
//! Used by the fuzz target `api_key` and by the replay of its corpus. The crate that uses it has the modules `adapter`, `base`, `request`, `shape` and `template` of
//! crates/rotation/src/keys at its root. What is compared is read from the text again, without the types under test.

use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::adapter::{Adapter, LARGEST};
use crate::request::Request;
use crate::shape::{Method, Shape};
use crate::template::{Placeholder, Values};

/// Names of the values after the description, in this order; those of `owner` and `resource` stand in it.
const GIVEN: [Placeholder; 7] = [
    Placeholder::Id,
    Placeholder::Secret,
    Placeholder::Token,
    Placeholder::Mark,
    Placeholder::Name,
    Placeholder::AdminId,
    Placeholder::AdminSecret,
];

/// The bytes are texts, split by the byte FF: the description, then values of placeholders, then what asks for the next part of a list.
pub fn fields(data: &[u8]) -> Vec<String> {
    let mut fields: Vec<String> =
        data.split(|byte| *byte == 0xff).map(|field| String::from_utf8_lossy(field).into_owned()).collect();
    fields.resize(GIVEN.len() + 2, "v".to_owned());
    fields
}

pub fn check_bytes(data: &[u8]) {
    let fields = fields(data);
    let text = &fields[0];
    let adapter = match Adapter::parse(text) {
        Ok(adapter) => adapter,
        Err(error) => {
            let said = error.to_string();
            assert!(said.chars().count() <= 500, "{said}");
            assert!(!said.chars().any(char::is_control), "{said:?}");
            return;
        }
    };
    assert!(text.len() <= LARGEST);
    let json: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let known = ["base", "owner", "resource", "create", "list", "revoke", "verify"];
    for name in json.as_object().into_iter().flat_map(|map| map.keys()) {
        assert!(known.contains(&name.as_str()), "an unknown key was accepted: {name}");
    }

    let mut values = Values::default();
    for (placeholder, value) in GIVEN.into_iter().zip(&fields[1..]) {
        values = values.with(placeholder, value);
    }
    for (placeholder, value) in
        [(Placeholder::Owner, &adapter.owner), (Placeholder::Resource, &adapter.resource)]
    {
        if let Some(value) = value {
            values = values.with(placeholder, value);
        }
    }
    let next =
        adapter.list.next.as_ref().map(|next| (next.parameter.as_str(), fields[GIVEN.len() + 1].as_str()));
    let bases = (
        &json["base"],
        if json["verify"]["base"].is_null() { &json["base"] } else { &json["verify"]["base"] },
    );
    for (name, shape, usual, more) in [
        ("create", &adapter.create.request, Method::Post, None),
        ("list", &adapter.list.request, Method::Get, next),
        ("revoke", &adapter.revoke.request, Method::Delete, None),
        ("verify", &adapter.verify.request, Method::Get, None),
    ] {
        let base = if name == "verify" { adapter.verify_base() } else { &adapter.base };
        let written = if name == "verify" { bases.1 } else { bases.0 };
        match Request::build(shape, base, usual, &values, more) {
            Ok(request) => {
                check_request(
                    &json[name]["request"],
                    written.as_str().unwrap_or_default(),
                    shape,
                    &request,
                    &values,
                    more,
                );
            }
            Err(error) => {
                let said = error.to_string();
                assert!(said.len() <= 200 && !said.chars().any(char::is_control), "{said:?}");
            }
        }
    }
}

fn check_request(
    written: &Value,
    base: &str,
    shape: &Shape,
    request: &Request,
    values: &Values<'_>,
    more: Option<(&str, &str)>,
) {
    let target = &request.target;
    let line = format!("{} {target}", request.method.name());
    // Where the request goes is what the configuration says, whatever the values.
    let rest = base.strip_prefix("https://").unwrap_or_else(|| panic!("accepted without TLS: {base}"));
    let (authority, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    assert!(!authority.contains(['@', '?', '#', '\\', '%']), "{authority}");
    let host = if request.host.contains(':') { format!("[{}]", request.host) } else { request.host.clone() };
    let with_port = format!("{host}:{}", request.port);
    let authority = authority.to_ascii_lowercase();
    assert!(
        authority == host && request.port == 443 || same_port(&authority, &with_port),
        "{authority} {with_port}"
    );
    if let Some(method) = written["method"].as_str() {
        assert_eq!(method, request.method.name());
    }

    // One line, of characters that end nothing.
    let harmless = |byte: u8| byte.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&byte);
    assert!(target.starts_with('/') && target.bytes().all(harmless), "{line}");
    let (path, query) =
        target.split_once('?').map_or((target.as_str(), None), |(path, query)| (path, Some(query)));
    let template = format!(
        "{}{}",
        prefix.strip_suffix('/').unwrap_or(prefix),
        written["path"].as_str().unwrap_or_default()
    );
    let found: Vec<String> = path.split('/').map(decoded).collect();
    let expected: Vec<String> = template.split('/').map(|part| plain(part, values, decoded)).collect();
    assert_eq!(found, expected, "{line}");
    assert!(!found.iter().any(|part| part == "." || part == ".."), "{line}");

    let mut expected: Vec<(String, String)> = Vec::new();
    for (name, text) in written["query"].as_object().into_iter().flatten() {
        expected.push((name.clone(), plain(text.as_str().unwrap_or_default(), values, str::to_owned)));
    }
    expected.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or_else(|| panic!("{line}"));
        (decoded(name), decoded(value))
    };
    let mut found: Vec<_> = query.into_iter().flat_map(|query| query.split('&')).map(pair).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "{line}");

    // Headers that end where they should, under the configured names.
    assert_eq!(request.headers.len(), shape.headers.len());
    for (name, value) in &request.headers {
        let value = value.expose_secret();
        assert!(
            name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') && !name.is_empty(),
            "{name}"
        );
        assert!(!["host", "content-length", "transfer-encoding", "connection"].contains(&name.as_str()));
        assert!(value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{value:?}");
        let configured = written["headers"].as_object().into_iter().flatten();
        let mut texts = configured.filter(|(have, _)| have.eq_ignore_ascii_case(name));
        let same = |(_, text): (&String, &Value)| {
            plain(text.as_str().unwrap_or_default(), values, str::to_owned) == value
        };
        assert!(texts.any(same), "{name}: {value}");
    }

    // A body of the same form, with each value whole.
    match &request.body {
        None => assert!(written["body"].is_null()),
        Some(body) => {
            let found: Value =
                serde_json::from_str(body.expose_secret()).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(found, filled(&written["body"], values));
        }
    }
}

fn same_port(authority: &str, with_port: &str) -> bool {
    let split = |text: &str| {
        let (host, port) = text.rsplit_once(':')?;
        Some((host.to_owned(), port.parse::<u16>().ok()?))
    };
    split(authority).is_some() && split(authority) == split(with_port)
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// A text with its placeholders' values, and the rest as `literal` makes it.
fn plain(text: &str, values: &Values<'_>, literal: impl Fn(&str) -> String) -> String {
    let mut pieces = text.split("{{");
    let mut result = literal(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").unwrap_or_else(|| panic!("accepted: {text}"));
        let placeholder = Placeholder::ALL.into_iter().find(|one| one.name() == name);
        let value = placeholder.and_then(|placeholder| values.get(placeholder));
        result += value.unwrap_or_else(|| panic!("accepted: {text}"));
        result += &literal(rest);
    }
    result
}

fn filled(body: &Value, values: &Values<'_>) -> Value {
    match body {
        Value::String(text) => plain(text, values, str::to_owned).into(),
        Value::Array(items) => items.iter().map(|item| filled(item, values)).collect(),
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), filled(value, values))).collect(),
        other => other.clone(),
    }
}
