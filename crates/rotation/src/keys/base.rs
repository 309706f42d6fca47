//! Base addresses, `https://host[:port][/path]`, and paths below them.

use std::fmt;

use serde::Deserialize;

/// A server and the prefix of all paths on it: `https://host[:port][/path]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Base {
    /// The name or address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Empty, or a path that begins with `/` and does not end with it.
    pub path: String,
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl TryFrom<String> for Base {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let expected = "expected https://host, optionally with a port and a path, without user, query or fragment; \
                        requests require TLS";
        let wrong = || expected.to_owned();
        let rest = text.strip_prefix("https://").ok_or_else(wrong)?;
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(wrong)?)),
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let digits = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
        let port = match port {
            None => 443,
            Some(text) => text.parse().ok().filter(|port| *port > 0 && digits(&text)).ok_or_else(wrong)?,
        };
        let name = |host: &str| host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        let is_host = if authority.starts_with('[') {
            host.parse::<std::net::Ipv6Addr>().is_ok()
        } else {
            name(host) && host.split('.').all(|label| !label.is_empty())
        };
        if !is_host || host.len() > 253 {
            return Err(wrong());
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        if !path.is_empty() {
            check_path(path)?;
        }
        Ok(Self { host: host.to_ascii_lowercase(), port, path: path.to_owned() })
    }
}

/// Checks that a path begins with `/`, has only characters of RFC 3986 and never goes up.
pub(super) fn check_path(path: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&byte);
    if !path.starts_with('/') || !path.bytes().all(allowed) {
        return Err(
            "expected a path that begins with `/`, percent-encoded where needed; use `query` for a query"
                .into(),
        );
    }
    for part in path.split('%').skip(1) {
        if !part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()) || part.len() < 2 {
            return Err("a `%` of the path is not followed by two hexadecimal digits".into());
        }
    }
    let dots = |part: &str| matches!(part.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if path.split('/').any(dots) {
        return Err("the path has a segment that is only dots".into());
    }
    Ok(())
}
