//! The brokers of a secret: one from `host` and `port`, or a list in the form of Kafka's clients.
//!
//! An account has one server. A list is stored in it so that its text, `host:port`, is the list
//! again: the host is everything before the last port.

use crate::document::{DocumentError, SecretDocument};
use crate::engine::Server;

/// The keys that may have a list. The first that exists is used.
const LISTS: [&str; 4] = ["bootstrap.servers", "bootstrapServers", "bootstrap_servers", "brokers"];
/// The form of a list, for errors.
const EXPECTED: &str = "a list of brokers such as `b1.example.com:9093,b2.example.com:9093`";
/// The protocol that may precede a broker. The others have no TLS.
const PROTOCOL: &str = "SASL_SSL://";
/// More brokers than a client needs. Each may cost the time of a connection.
const MOST: usize = 32;

/// Returns the brokers that a secret lists, if it has a list.
///
/// # Errors
/// The list is invalid, or names a listener without TLS.
pub(super) fn read(document: &SecretDocument, default_port: u16) -> Result<Option<Server>, DocumentError> {
    for key in LISTS {
        if let Some(text) = document.optional_text(key)? {
            let invalid = DocumentError::Invalid { key, expected: EXPECTED };
            return parse(text, default_port).map(Some).ok_or(invalid);
        }
    }
    Ok(None)
}

fn parse(text: &str, default_port: u16) -> Option<Server> {
    let entries: Option<Vec<(&str, u16)>> =
        text.split(',').map(|entry| parse_entry(entry.trim(), default_port)).collect();
    let entries = entries.filter(|entries| entries.len() <= MOST)?;
    let ((last, port), others) = entries.split_last()?;
    let others = others.iter().map(|(host, port)| format!("{host}:{port},"));
    Some(Server { host: others.chain([(*last).to_owned()]).collect(), port: *port, database: String::new() })
}

fn parse_entry(entry: &str, default_port: u16) -> Option<(&str, u16)> {
    let address = match entry.get(..PROTOCOL.len()) {
        Some(start) if start.eq_ignore_ascii_case(PROTOCOL) => &entry[PROTOCOL.len()..],
        _ => entry,
    };
    let colons = address.matches(':').count();
    let (host, port) = match address.rsplit_once(':') {
        // An IPv6 address with a port has brackets.
        Some((host, port)) if colons == 1 || host.ends_with(']') => (host, port.parse().ok()?),
        _ => (address, default_port),
    };
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let bare = inside.unwrap_or(host);
    // Without brackets, the end of an address could not be distinguished from a port.
    let colons = inside.is_some();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') || (c == ':' && colons);
    (port > 0 && !bare.is_empty() && bare.chars().all(allowed)).then_some((host, port))
}

/// Returns each broker of an account's server as a server of its own.
pub(super) fn each(server: &Server) -> Vec<Server> {
    let one = |host: &str, port| Server {
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port,
        database: server.database.clone(),
    };
    let mut hosts: Vec<&str> = server.host.split(',').collect();
    let last = hosts.pop().map(|host| one(host, server.port));
    let others = hosts.iter().filter_map(|entry| {
        let (host, port) = entry.rsplit_once(':')?;
        Some(one(host, port.parse().ok()?))
    });
    others.chain(last).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn document(value: serde_json::Value) -> SecretDocument {
        SecretDocument::parse(&value.to_string().into()).unwrap()
    }

    fn brokers(key: &str, list: &str) -> Result<Vec<(String, u16)>, DocumentError> {
        let found = read(&document(serde_json::json!({ key: list })), 9093)?.unwrap();
        Ok(each(&found).into_iter().map(|server| (server.host, server.port)).collect())
    }

    #[test]
    fn list_is_read_from_each_key_and_printed_again() {
        for key in LISTS {
            let found = brokers(key, "b1:9096, b2 ,SASL_SSL://b3.example.com:9092,[::1]:9094").unwrap();
            let expected = [("b1", 9096), ("b2", 9093), ("b3.example.com", 9092), ("::1", 9094)];
            assert_eq!(found, expected.map(|(host, port)| (host.to_owned(), port)));
        }
        let server = read(&document(serde_json::json!({"brokers": "b1:9096,b2"})), 9093).unwrap().unwrap();
        assert_eq!(server.to_string(), "b1:9096,b2:9093");
        assert_eq!(read(&document(serde_json::json!({"host": "h"})), 9093), Ok(None));
    }

    #[test]
    fn invalid_list_is_rejected_with_its_key() {
        for wrong in [
            ",",
            "b1:",
            "b1:0",
            "b1:99999",
            "b1:9096,,b2:9096",
            "SASL_PLAINTEXT://b1:9092",
            "https://b1",
            "b1 b2",
            "u:p@b1:9096",
            "::1",
        ] {
            let error = brokers("brokers", wrong).unwrap_err().to_string();
            assert!(error.contains("`brokers`") && error.contains("b1.example.com:9093"), "{wrong}: {error}");
        }
        let long = vec!["b:1"; MOST + 1].join(",");
        assert!(brokers("brokers", &long).is_err());
    }

    proptest! {
        #[test]
        fn any_list_is_rejected_or_printed_again(list in "[a-z0-9.:,\\[\\] -]{1,40}") {
            if let Some(server) = parse(&list, 9093) {
                prop_assert_eq!(parse(&server.to_string(), 1), Some(server.clone()));
                prop_assert_eq!(each(&server).len(), list.split(',').count());
            }
        }
    }
}
