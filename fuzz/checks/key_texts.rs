//! Texts of a secret that hold an API key, rewritten for any other key: the host of an address stays,
//! no place ends early, and a parser of each form reads exactly the new key.
//!
//! Used by the fuzz target `key_texts` and by the replay of its corpus. The crate that uses it has
//! the modules `embed` and `embedded` of crates/rotation at its root. The parsers here share nothing
//! with those under test.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};

use crate::embed::{Halves, Refusal, refreshed};

/// The host of the texts.
const HOST: &str = "host.example";

/// The bytes are texts, split by the byte FF: the old key's halves, the new key's halves, a text.
pub fn check_bytes(data: &[u8]) {
    let mut fields: Vec<String> =
        data.split(|byte| *byte == 0xff).map(|field| String::from_utf8_lossy(field).into_owned()).collect();
    fields.resize(5, "value".to_owned());
    let [old_id, old_secret, new_id, new_secret, text] = fields.as_slice() else { return };
    let (old, new) = (Halves { id: old_id, secret: old_secret }, Halves { id: new_id, secret: new_secret });
    any_text(text, old, new);
    // What a provider may answer: visible ASCII.
    let is_half = |half: &str| !half.is_empty() && half.bytes().all(|byte| byte.is_ascii_graphic());
    // Words of the texts below.
    const WORDS: [&str; 8] = ["p", "x", "y", "z", "k", "s", HOST, "8081"];
    let distinct =
        old_id != old_secret && ![old_id, old_secret].iter().any(|half| WORDS.contains(&half.as_str()));
    if distinct && [old_id, old_secret, new_id, new_secret].iter().all(|half| is_half(half)) {
        known_forms(old, new);
    }
}

/// Any text: no panic, and an address of a simple form keeps its host.
fn any_text(text: &str, old: Halves<'_>, new: Halves<'_>) {
    let _ = refreshed("text", text, old, new);
    let is_simple =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte));
    let address = format!("https://{text}");
    let before = Address::parse(&address);
    // With a raw delimiter inside of the old key, a strict parser reads another host than clients do.
    if is_simple(old.id)
        && is_simple(old.secret)
        && let Ok(Some(after)) = refreshed("text", &address, old, new)
    {
        assert_eq!(Address::parse(&after).host, before.host, "{address} -> {after}");
    }
}

fn known_forms(old: Halves<'_>, new: Halves<'_>) {
    let percent = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (id, secret) = (percent(old.id), percent(old.secret));
    let expected = (new.id.to_owned(), new.secret.to_owned());
    let written = |text: &str| match refreshed("text", text, old, new) {
        Ok(Some(after)) => after,
        other => panic!("{text}: {other:?}"),
    };

    let address = Address::parse(&written(&format!("https://{id}:{secret}@{HOST}:8081/p?x=y#z"))).clone();
    assert_eq!((address.host.as_str(), address.user), ("host.example:8081", Some(expected.clone())));
    assert_eq!((address.path, address.query), (vec!["p".to_owned()], vec![("x".into(), "y".into())]));
    let address = Address::parse(&written(&format!("https://{HOST}/{id}/{secret}/p?x=y")));
    assert_eq!((address.host.as_str(), address.user), (HOST, None));
    assert_eq!(address.path, [new.id, new.secret, "p"]);
    let address = Address::parse(&written(&format!("https://{HOST}/p?k={id}&s={secret}&x=y")));
    assert_eq!((address.host.as_str(), address.path), (HOST, vec!["p".to_owned()]));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(address.query, [pair("k", new.id), pair("s", new.secret), pair("x", "y")]);

    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let options =
        |id: &str, secret: &str| format!("m.LoginModule required username={id} password={secret} z=\"x\";");
    let jaas = written(&options(&quoted(old.id), &quoted(old.secret)));
    assert_eq!(jaas_options(&jaas), [pair("username", new.id), pair("password", new.secret), pair("z", "x")]);

    let before = json!({"k": old.id, "s": [old.secret], "z": {"x": "y"}});
    let after: Value = serde_json::from_str(&written(&before.to_string())).unwrap_or_default();
    assert_eq!(after, json!({"k": new.id, "s": [new.secret], "z": {"x": "y"}}));

    // The public half ends at the first colon (RFC 7617).
    if !old.id.contains(':') {
        let plain = format!("{}:{}", old.id, old.secret);
        for text in [plain.clone(), format!("Basic {}", STANDARD.encode(&plain))] {
            match refreshed("text", &text, old, new) {
                Ok(Some(after)) => {
                    let after = match after.strip_prefix("Basic ") {
                        Some(word) if text.starts_with("Basic ") => {
                            String::from_utf8(STANDARD.decode(word).unwrap_or_default()).unwrap_or_default()
                        }
                        _ => after,
                    };
                    assert_eq!(after.split_once(':'), Some((new.id, new.secret)), "{text}");
                }
                Err(Refusal::Inexpressible) => assert!(new.id.contains(':'), "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}

/// An address as RFC 3986 splits it, decoded.
#[derive(Debug, Clone)]
struct Address {
    user: Option<(String, String)>,
    host: String,
    path: Vec<String>,
    query: Vec<(String, String)>,
}

impl Address {
    fn parse(text: &str) -> Self {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let user = user.map(|user| user.split_once(':').unwrap_or((user, "")));
        let rest = rest.split('#').next().unwrap_or_default();
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        };
        Self {
            user: user.map(|(user, password)| (decoded(user), decoded(password))),
            host: host.to_owned(),
            path: path.trim_start_matches('/').split('/').map(decoded).collect(),
            query: query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect(),
        }
    }
}

/// The options of a JAAS line whose values are in double quotes, as StreamTokenizer reads them.
fn jaas_options(text: &str) -> Vec<(String, String)> {
    let (mut options, mut name, mut value) = (Vec::new(), String::new(), None::<String>);
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (&mut value, c) {
            (Some(value), '\\') => value.extend(characters.next()),
            (Some(_), '"') => {
                let name = std::mem::take(&mut name);
                options.push((name.trim_end_matches('=').to_owned(), value.take().unwrap_or_default()));
            }
            (Some(value), c) => value.push(c),
            (None, '"') => value = Some(String::new()),
            (None, c) if c.is_whitespace() => name.clear(),
            (None, c) => name.push(c),
        }
    }
    assert!(value.is_none(), "a value does not end: {text}");
    options
}
