//! Texts of lines: Java's and librdkafka's properties, `.env` files, `export NAME=value`.
//!
//! Sources: `java.util.Properties.load`; "Configuration properties" of librdkafka. The value of a
//! line may be an address or another connection string itself.

use super::{Inexpressible, Rewrite, rewrite_text};

/// Returns true for a single `NAME=scheme://…`.
pub(super) fn is_assignment_of_address(text: &str) -> bool {
    let Some((name, value)) = text.split_once('=') else { return false };
    let name = name.trim().trim_start_matches("export ");
    !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
        && super::address::is_address(value.trim().trim_start_matches(['"', '\'']))
}

pub(super) fn rewrite(text: &str, with: &mut Rewrite<'_>) -> Result<Option<String>, Inexpressible> {
    let mut result = String::with_capacity(text.len());
    let mut changed = false;
    for line in text.split_inclusive('\n') {
        match rewrite_line(line, with)? {
            Some(new) => {
                result.push_str(&new);
                changed = true;
            }
            None => result.push_str(line),
        }
    }
    Ok(changed.then_some(result))
}

fn rewrite_line(line: &str, with: &mut Rewrite<'_>) -> Result<Option<String>, Inexpressible> {
    if line.trim_start().starts_with(['#', '!', '[']) {
        return Ok(None);
    }
    let Some(sign) = line.find(['=', ':']) else { return Ok(None) };
    let (before, value) = line.split_at(sign + 1);
    let name = before[..sign].trim();
    let (is_of_shell, key) = match name.strip_prefix("export ") {
        Some(name) => (true, name.trim()),
        None => (false, name),
    };
    let inner = value.trim();
    let start = value.len() - value.trim_start().len();
    let quote = inner
        .chars()
        .next()
        .filter(|quote| matches!(quote, '"' | '\'') && inner.len() > 1 && inner.ends_with(*quote));
    let mut text = match quote {
        Some(quote) => inner.trim_start_matches(quote).trim_end_matches(quote).to_owned(),
        None => inner.to_owned(),
    };
    // In a properties file a backslash escapes the next character.
    let plain = unescaped(&text);
    let escapes = plain != text && with.known.contains(&plain.as_str());
    if escapes {
        text = plain;
    }
    if !rewrite_text(key, &mut text, with)? {
        return Ok(None);
    }
    let quote = if is_of_shell { shell_quote(inner, quote, &text)? } else { quote };
    if text.contains(['\n', '\r']) || quote.is_some_and(|quote| text.contains(quote)) {
        return Err(Inexpressible);
    }
    if escapes && !is_of_shell {
        text = text.replace('\\', "\\\\");
    } else if !is_of_shell && text.contains('\\') && !inner.contains('\\') {
        // It is not known if a backslash would be one here.
        return Err(Inexpressible);
    }
    let quote = quote.map(String::from).unwrap_or_default();
    let end = &value[start + inner.len()..];
    Ok(Some(format!("{before}{}{quote}{text}{quote}{end}", &value[..start])))
}

/// Returns the quote with which a shell reads the new value as one word: it expands `$`, `;` and others,
/// but nothing in single quotes.
fn shell_quote(before: &str, quote: Option<char>, text: &str) -> Result<Option<char>, Inexpressible> {
    let is_special = |c: &char| !c.is_ascii_alphanumeric() && !"%+,-./:=@_^".contains(*c);
    let specials = |text: &str| text.chars().filter(is_special).count();
    if quote != Some('\'') && before.contains(['$', '`']) {
        // The line itself uses an expansion, which single quotes would end.
        let quotes = if quote.is_some() { 2 } else { 0 };
        return if specials(text) + quotes > specials(before) { Err(Inexpressible) } else { Ok(quote) };
    }
    Ok(if specials(text) > 0 { Some('\'') } else { quote })
}

fn unescaped(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut escaped = false;
    for c in text.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            result.push(c);
            escaped = false;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::super::Part;
    use super::*;

    fn changed(text: &str, password: &str) -> Result<Option<String>, Inexpressible> {
        let known = ["app", password];
        let mut replace = |part, value: &str| match part {
            Part::User if value == "app" => Some("app_clone".to_owned()),
            Part::Password if value == password => Some("n\"w".to_owned()),
            _ => None,
        };
        rewrite(text, &mut Rewrite::new(&known, &mut replace))
    }

    #[test]
    fn lines_with_user_and_password_are_rewritten() {
        let before = "# OldPw1xx\nsasl.username=app\nsasl.password: OldPw1xx\n[app]\n\
                      export DATABASE_URL='postgresql://app:OldPw1xx@h/app'\r\nssl.key.password=x\nplain\n";
        let after = "# OldPw1xx\nsasl.username=app_clone\nsasl.password: n\"w\n[app]\n\
                     export DATABASE_URL='postgresql://app_clone:n%22w@h/app'\r\nssl.key.password=x\nplain\n";
        assert_eq!(changed(before, "OldPw1xx").unwrap().as_deref(), Some(after));
    }

    #[test]
    fn value_of_an_export_line_is_one_word_of_the_shell() {
        let with = |line: &str, new: &str| {
            let known = ["OldPw1xx"];
            let mut replace = |_, value: &str| (value == "OldPw1xx").then(|| new.to_owned());
            rewrite(line, &mut Rewrite::new(&known, &mut replace))
        };
        for line in
            ["export PASSWORD=OldPw1xx\n", "export PASSWORD=\"OldPw1xx\"\n", "export PASSWORD='OldPw1xx'\n"]
        {
            for new in ["a;reboot", "$(reboot)", "`reboot`", "a b", "a&b", "a\"b", "!x", "a\\b"] {
                let expected = format!("export PASSWORD='{new}'\n");
                assert_eq!(with(line, new), Ok(Some(expected)), "{line}");
            }
            assert_eq!(with(line, "it's"), Err(Inexpressible), "{line}");
        }
        // An expansion of the line itself stays one.
        let url = "export URL=\"postgresql://app:OldPw1xx@$HOST/d\"\n";
        assert_eq!(with(url, "n$w"), Ok(Some("export URL=\"postgresql://app:n%24w@$HOST/d\"\n".to_owned())));
        let dsn = "export DSN=\"host=$HOST password=OldPw1xx\"\n";
        assert_eq!(with(dsn, "$(reboot)"), Err(Inexpressible));
        assert_eq!(with("export PASSWORD=OldPw1xx\n", "n/w"), Ok(Some("export PASSWORD=n/w\n".to_owned())));
    }

    #[test]
    fn value_that_a_line_cannot_hold_is_an_error() {
        let jaas = "a=b\nsasl.jaas.config=m.LoginModule required username=\"app\" password=\"OldPw1xx\";";
        assert_eq!(changed(jaas, "OldPw1xx"), Err(Inexpressible));
        assert_eq!(changed("a=b\nPASSWORD=\"OldPw1xx\"\n", "OldPw1xx"), Err(Inexpressible));
        assert_eq!(
            changed("a=b\nsasl.password=Old\\:Pw1\n", "Old:Pw1").unwrap().as_deref(),
            Some("a=b\nsasl.password=n\"w\n")
        );
        assert!(
            is_assignment_of_address("DATABASE_URL=postgresql://h")
                && !is_assignment_of_address("Server=h;x=a://b")
        );
    }
}
