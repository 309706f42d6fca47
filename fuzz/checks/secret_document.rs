//! Arbitrary text as a secret's value, and any credential for its next version: either a key is refused by name, or the new
//! credential stands everywhere where the old one stood, every address keeps its server, and nothing else changes.
//!
//! Used by the fuzz target `secret_document` and by the replay of its corpus. The crate that uses it has the modules `document` and
//! `embedded` of crates/rotation at its root.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use crate::document::SecretDocument;

/// The value, the new password and the new user, separated by the byte FF.
pub fn check_bytes(data: &[u8]) {
    let mut fields =
        data.split(|byte| *byte == 0xff).map(|field| String::from_utf8_lossy(field).into_owned());
    let mut next = || fields.next().unwrap_or_default();
    let (value, password, user) = (next(), next(), next());
    let text: SecretString = value.into();
    let Ok(document) = SecretDocument::parse(&text) else { return };
    let old = |key| document.text(key).map(str::to_owned).unwrap_or_default();
    let (old_user, old_password) = (old("username"), old("password"));
    let new: SecretString = password.clone().into();
    match document.with_password(&new) {
        Ok(changed) => {
            same_but(&document, &changed, "password", &password);
            // A second run of the step writes the same.
            if !password.is_empty() && password != old_password {
                let again = changed.with_password(&new).map(|again| again.to_secret_string());
                if let Ok(again) = again {
                    assert_eq!(again.expose_secret(), changed.to_secret_string().expose_secret());
                }
            }
        }
        Err(error) => shows_none_of(&error.to_string(), &[&old_password, &password]),
    }
    if !old_user.is_empty() {
        match document.with_user(&user) {
            Ok(changed) => same_but(&document, &changed, "username", &user),
            Err(error) => shows_none_of(&error.to_string(), &[&old_password]),
        }
    }
}

fn members(document: &SecretDocument) -> serde_json::Map<String, Value> {
    match serde_json::from_str(document.to_secret_string().expose_secret()) {
        Ok(Value::Object(members)) => members,
        other => panic!("not an object: {other:?}"),
    }
}

/// The new document has the same keys, the new value, and the same servers in its addresses.
fn same_but(before: &SecretDocument, after: &SecretDocument, key: &str, new: &str) {
    let (before, after) = (members(before), members(after));
    assert_eq!(before.keys().collect::<Vec<_>>().len() + usize::from(!before.contains_key(key)), after.len());
    assert_eq!(after[key], Value::from(new));
    for (name, value) in &before {
        let Some(changed) = after.get(name) else { panic!("the key {name} is gone") };
        if name == key {
            continue;
        }
        if let (Value::String(one), Value::String(other)) = (value, changed) {
            same_server(one, other);
        } else if !value.is_string() && !value.is_array() && !value.is_object() {
            assert_eq!(value, changed, "{name}");
        }
    }
}

/// An address with a credential leads to the same server afterwards. JDBC has no credential before the host.
fn same_server(before: &str, after: &str) {
    let server = |text: &str| {
        let url = Url::parse(text).ok()?;
        // Without a slash after the host, some clients read a password's end as the host's beginning.
        let host = url.host_str().filter(|host| !host.is_empty() && !url.cannot_be_a_base())?.to_owned();
        (!url.username().is_empty() || url.password().is_some())
            .then(|| (url.scheme().to_owned(), host, url.port()))
    };
    let Some(expected) = server(before) else { return };
    // The URL standard removes line breaks; several lines are a file and not an address.
    if before == after || before.starts_with("jdbc:") || before.contains(char::is_control) {
        return;
    }
    let found = Url::parse(after)
        .ok()
        .and_then(|url| Some((url.scheme().to_owned(), url.host_str()?.to_owned(), url.port())));
    assert_eq!(found, Some(expected), "{before} became {after}");
}

/// Names of keys are shown, in backticks.
fn shows_none_of(error: &str, secrets: &[&str]) {
    let words = error.split('`').step_by(2).collect::<String>();
    for secret in secrets {
        // Others may be parts of the error's own words.
        let is_unlike_words = secret.chars().count() >= 12 && secret.contains(|c: char| c.is_ascii_digit());
        assert!(!is_unlike_words || secret.contains('`') || !words.contains(secret), "{error}");
    }
}
