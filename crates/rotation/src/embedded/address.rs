//! Addresses with a user and a password: `scheme://user:password@host/…?user=…&password=…`, and
//! JDBC, where parameters also follow a `;` or are in parentheses.
//!
//! Sources: RFC 3986; "Connection URIs" of the PostgreSQL manual; "Connection URL Syntax" of MySQL
//! Connector/J; `Driver.parseURL` of aws/amazon-redshift-jdbc-driver, which splits parameters at `;`
//! and `&` and decodes them; `Configuration.parse` of mariadb-corporation/mariadb-connector-j, which
//! splits them at `&` and decodes nothing.

use std::ops::Range;

use super::encoding::{decoded, decodings, encoded};
use super::keys::part_of_parameter;
use super::{Inexpressible, Part, Rewrite};

/// Returns true if the text is an address.
pub(super) fn is_address(text: &str) -> bool {
    let scheme = |text: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | ':');
        text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(allowed)
    };
    starts_with_jdbc(text) || text.find("://").is_some_and(|end| scheme(&text[..end]))
}

fn starts_with_jdbc(text: &str) -> bool {
    text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("jdbc:"))
}

/// A place in an address.
struct Place {
    part: Part,
    at: Range<usize>,
}

pub(super) fn rewrite(text: &str, with: &mut Rewrite<'_>) -> Result<Option<String>, Inexpressible> {
    let encodes = !text.get(..12).is_some_and(|start| start.eq_ignore_ascii_case("jdbc:mariadb"));
    let mut places = Vec::new();
    let mut parameters = 0;
    if let Some(start) = text.find("//").map(|at| at + 2) {
        parameters = start + authority(text, start, with.known, &mut places);
    }
    find_parameters(text, parameters, encodes, with.known, &mut places);
    if let Some(pair) = with.pair.filter(|_| encodes) {
        find_words(text, parameters, pair, &mut places);
    }
    let mut result = String::with_capacity(text.len());
    let (mut written, mut changed) = (0, false);
    for Place { part, at } in places {
        let found = &text[at.clone()];
        let value = if encodes { decoded(found, with.known) } else { found.to_owned() };
        let Some(new) = with.new_value(part, &value) else { continue };
        if !encodes && new.contains(['&', '#', '?']) {
            return Err(Inexpressible);
        }
        result.push_str(&text[written..at.start]);
        result.push_str(&if encodes { encoded(&new) } else { new });
        (written, changed) = (at.end, true);
    }
    result.push_str(&text[written..]);
    Ok(changed.then_some(result))
}

/// Finds the places before the hosts. Returns the length of the authority.
fn authority(text: &str, start: usize, known: &[&str], places: &mut Vec<Place>) -> usize {
    let rest = &text[start..];
    // A known password may hold the delimiters of an address, where clients are lenient.
    let has_delimiter = |password: &&&str| password.contains(['@', '/', '?', '#', ';', ',']);
    let raw = known.iter().filter(has_delimiter).find_map(|password| {
        let at = rest.find(&format!(":{password}@"))?;
        (!rest[..at].contains(['@', '/', ':'])).then_some((at, at + 1 + password.len()))
    });
    // RFC 3986 allows a `;` before the host; in JDBC, parameters may follow the host after one.
    let delimiters: &[char] = if starts_with_jdbc(text) { &['/', '?', '#', ';'] } else { &['/', '?', '#'] };
    let end = |from: usize| rest[from..].find(delimiters).map_or(rest.len(), |at| from + at);
    if let Some((colon, at)) = raw {
        places.push(Place { part: Part::User, at: start..start + colon });
        places.push(Place { part: Part::Password, at: start + colon + 1..start + at });
        return end(at);
    }
    let end = end(0);
    let hosts = &rest[..end];
    if hosts.matches('@').count() < 2 {
        user_info(hosts, start, places);
        return end;
    }
    // Each of several hosts has its own, or one password holds the sign.
    let parts: Vec<&str> = hosts.split(',').collect();
    if parts.iter().all(|part| part.matches('@').count() < 2) {
        let mut from = start;
        for part in parts {
            user_info(part, from, places);
            from += part.len() + 1;
        }
    } else {
        user_info(hosts, start, places);
    }
    end
}

fn user_info(hosts: &str, start: usize, places: &mut Vec<Place>) {
    let Some(at) = hosts.rfind('@') else { return };
    let user = hosts[..at].find(':').unwrap_or(at);
    places.push(Place { part: Part::User, at: start..start + user });
    if user < at {
        places.push(Place { part: Part::Password, at: start + user + 1..start + at });
    }
}

/// Finds the parameters with a user or a password.
fn find_parameters(text: &str, from: usize, decodes: bool, known: &[&str], places: &mut Vec<Place>) {
    // Hosts of MySQL may have parameters in parentheses, and these are in the authority.
    let hosts = places.last().map_or(0, |place| place.at.end);
    let mut at = text[hosts..from].find('(').map_or(from, |parenthesis| hosts + parenthesis);
    while let Some(mark) = text[at..].find(['?', '&', ';', '(', ',']).map(|mark| at + mark) {
        let inside = matches!(text.as_bytes()[mark], b'(' | b',');
        at = mark + 1;
        let name = text[at..].len() - text[at..].trim_start().len();
        let Some(sign) = text[at..].find(['=', '?', '&', ';', '(', ',']).map(|sign| at + sign) else { break };
        if text.as_bytes()[sign] != b'=' {
            continue;
        }
        let Some(part) = part_of_parameter(text[at + name..sign].trim_end()) else { continue };
        let delimiters: &[char] = match (inside, decodes) {
            (true, _) => &[')', ',', '&', ';'],
            (false, true) => &['&', ';', '#'],
            (false, false) => &['&'],
        };
        let length = value_length(&text[sign + 1..], delimiters, |value| {
            let value = if decodes { decoded(value, known) } else { value.to_owned() };
            known.contains(&value.as_str())
        });
        places.push(Place { part, at: sign + 1..sign + 1 + length });
        at = sign + 1 + length;
    }
}

/// Finds the halves of a key that are words of the path, the query or the fragment.
fn find_words(text: &str, from: usize, (user, password): (&str, &str), places: &mut Vec<Place>) {
    const DELIMITERS: &[char] = &['/', '?', '&', '=', ';', '#', ':', ',', '@'];
    let named = std::mem::take(places);
    let mut at = text[from..].find(['/', '?', ';', '#']).map_or(text.len(), |start| from + start);
    while let Some(start) = text[at..].find(|c| !DELIMITERS.contains(&c)).map(|start| at + start) {
        let length = value_length(&text[start..], DELIMITERS, |word| {
            let all = decodings(word);
            all.iter().any(|decoding| decoding == user || decoding == password)
        });
        at = start + length;
        let all = decodings(&text[start..at]);
        let is = |half: &str| all.iter().any(|decoding| decoding == half);
        let part = [(Part::User, user), (Part::Password, password)].into_iter().find(|(_, half)| is(half));
        let overlaps = named.iter().any(|place| place.at.start < at && start < place.at.end);
        if let Some((part, _)) = part.filter(|_| !overlaps) {
            places.push(Place { part, at: start..at });
        }
    }
    places.extend(named);
    places.sort_by_key(|place| place.at.start);
}

/// Returns the length of a value that ends at a delimiter: the longest that is known, otherwise the
/// shortest.
pub(super) fn value_length(text: &str, delimiters: &[char], is_known: impl Fn(&str) -> bool) -> usize {
    // Longer than any encoding of a password: the search stays short.
    const MOST: usize = 2048;
    let ends = text.char_indices().filter(|(_, c)| delimiters.contains(c)).map(|(at, _)| at);
    let ends: Vec<usize> = ends.chain([text.len()]).collect();
    let near = ends.iter().rev().filter(|end| **end <= MOST);
    let known = near.copied().find(|end| is_known(&text[..*end]));
    known.or(ends.first().copied()).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Replaces the user `app` and this password.
    fn changed(text: &str, password: &str) -> Option<String> {
        let known = ["app", password];
        let mut replace = |part, value: &str| match part {
            Part::User if value == "app" => Some("app_clone".to_owned()),
            Part::Password if value == password => Some("n/w".to_owned()),
            _ => None,
        };
        rewrite(text, &mut Rewrite::new(&known, &mut replace)).unwrap()
    }

    #[test]
    fn documented_addresses_get_user_and_password() {
        for (before, after) in [
            // libpq.
            ("postgresql://app:OldPw1xx@h/app", "postgresql://app_clone:n%2Fw@h/app"),
            ("postgres://app:OldPw1xx@h1:1,h2:2/app?x=y", "postgres://app_clone:n%2Fw@h1:1,h2:2/app?x=y"),
            (
                "postgresql:///app?host=h&user=app&password=OldPw1xx",
                "postgresql:///app?host=h&user=app_clone&password=n%2Fw",
            ),
            ("postgresql+psycopg2://app:Old%50w1xx@h", "postgresql+psycopg2://app_clone:n%2Fw@h"),
            // pgjdbc.
            (
                "jdbc:postgresql://h/app?user=app&password=OldPw1xx&ssl=true",
                "jdbc:postgresql://h/app?user=app_clone&password=n%2Fw&ssl=true",
            ),
            (
                "jdbc:postgresql:app?password=OldPw1xx&user=app",
                "jdbc:postgresql:app?password=n%2Fw&user=app_clone",
            ),
            // Redshift.
            (
                "jdbc:redshift://w:5439/dev;UID=app;PWD=OldPw1xx",
                "jdbc:redshift://w:5439/dev;UID=app_clone;PWD=n%2Fw",
            ),
            (
                "jdbc:redshift:iam://w/dev?user=app;password=OldPw1xx;ssl=1",
                "jdbc:redshift:iam://w/dev?user=app_clone;password=n%2Fw;ssl=1",
            ),
            // MySQL.
            ("jdbc:mysql://app:OldPw1xx@h:3306/db", "jdbc:mysql://app_clone:n%2Fw@h:3306/db"),
            (
                "jdbc:mysql:loadbalance://app:OldPw1xx@h1,app:OldPw1xx@h2:3306/db",
                "jdbc:mysql:loadbalance://app_clone:n%2Fw@h1,app_clone:n%2Fw@h2:3306/db",
            ),
            (
                "jdbc:mysql://app:OldPw1xx@[h1:1,address=(host=h2)(port=2)]/db",
                "jdbc:mysql://app_clone:n%2Fw@[h1:1,address=(host=h2)(port=2)]/db",
            ),
            (
                "jdbc:mysql://address=(host=h)(user=app)(password=OldPw1xx)/db",
                "jdbc:mysql://address=(host=h)(user=app_clone)(password=n%2Fw)/db",
            ),
            (
                "jdbc:mysql://(host=h,port=1,user=app,password=OldPw1xx)/db",
                "jdbc:mysql://(host=h,port=1,user=app_clone,password=n%2Fw)/db",
            ),
            ("mysqlx://app:OldPw1xx@h", "mysqlx://app_clone:n%2Fw@h"),
            ("rediss://:OldPw1xx@h:6379/0", "rediss://:n%2Fw@h:6379/0"),
        ] {
            assert_eq!(changed(before, "OldPw1xx").as_deref(), Some(after), "{before}");
        }
    }

    #[test]
    fn every_encoding_of_a_password_is_the_same_text() {
        let password = "a!b#c(d)*E1";
        for text in [
            "postgresql://app:a!b%23c(d)*E1@h/d",
            "postgresql://app:a%21b%23c%28d%29%2AE1@h/d",
            "postgresql://app:%61%21b%23c(d)%2aE1@h/d",
            "postgresql://app:a!b#c(d)*E1@h/d",
        ] {
            assert_eq!(
                changed(text, password).as_deref(),
                Some("postgresql://app_clone:n%2Fw@h/d"),
                "{text}"
            );
        }
        let query = |text: &str, password: &str| changed(text, password).unwrap();
        assert_eq!(query("x://h/d?password=a+b&c=d", "a b"), "x://h/d?password=n%2Fw&c=d");
        assert_eq!(query("x://h/d?password=a+b&c=d", "a+b"), "x://h/d?password=n%2Fw&c=d");
        assert_eq!(query("x://h/d?password=a&b;c", "a&b;c"), "x://h/d?password=n%2Fw");
        assert_eq!(query("x://app:a/b?c@h", "a/b?c"), "x://app_clone:n%2Fw@h");
    }

    #[test]
    fn mariadb_decodes_nothing_and_some_texts_cannot_be_written() {
        let text = "jdbc:mariadb://h/d?user=app&password=Old%50w";
        let with = |new: &'static str, old: &str| {
            let known = [old];
            let mut replace = |_, value: &str| (value == old).then(|| new.to_owned());
            rewrite(text, &mut Rewrite::new(&known, &mut replace))
        };
        assert_eq!(with("n/w%", "Old%50w"), Ok(Some("jdbc:mariadb://h/d?user=app&password=n/w%".to_owned())));
        assert_eq!(with("n", "OldPw"), Ok(None));
        assert_eq!(with("n&w", "Old%50w"), Err(Inexpressible));
    }

    #[test]
    fn other_texts_stay() {
        for text in [
            "postgresql://app.example/app",
            "postgresql://other:OldPw1xy@app/app",
            "jdbc:postgresql://h/app?trustStorePassword=OldPw1xx",
            "https://app/OldPw1xx",
            "x://",
            "jdbc:",
        ] {
            assert_eq!(changed(text, "OldPw1xx"), None, "{text}");
        }
        assert!(
            is_address("jdbc:x") && is_address("postgresql+asyncpg://h") && !is_address("Server=tcp://h")
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[a-z:/@?&;=#%(),é]{0,40}", password in "\\PC{1,12}") {
            changed(&text, &password);
            changed(&format!("jdbc:mysql://{text}"), &password);
        }

        #[test]
        fn new_password_is_found_again(new in "\\PC{1,16}") {
            for text in ["p://u:OldPw1xx@h/d", "jdbc:redshift://h/d;UID=u;PWD=OldPw1xx", "jdbc:mysql://(user=u,password=OldPw1xx)/d"] {
                // A password may be equal to the user.
                let mut replace = |part, value: &str| (part == Part::Password && value == "OldPw1xx").then(|| new.clone());
                let written = rewrite(text, &mut Rewrite::new(&["OldPw1xx"], &mut replace)).unwrap().unwrap();
                let mut back = |part, value: &str| (part == Part::Password && value == new).then(|| "OldPw1xx".to_owned());
                let known = [new.as_str()];
                let again = rewrite(&written, &mut Rewrite::new(&known, &mut back)).unwrap();
                prop_assert_eq!(again.as_deref(), Some(text));
            }
        }
    }
}
