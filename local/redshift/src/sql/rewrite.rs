//! Rewriting of statements so that PostgreSQL runs them as Redshift would.

use super::SqlError;
use super::lexer::{Kind, Token, tokens};

/// Longest identifier here: PostgreSQL's. Redshift's is 127 bytes [D: Names and identifiers].
/// Longer ones are rejected, not truncated.
const MAX_IDENTIFIER: usize = 63;

/// Rejects an identifier that PostgreSQL would truncate.
pub(super) fn check_length(name: &str) -> Result<(), SqlError> {
    if name.len() <= MAX_IDENTIFIER {
        return Ok(());
    }
    if name.len() > 127 {
        return Err(SqlError::new(format!("identifier \"{name}\" is longer than 127 bytes")));
    }
    Err(SqlError::not_imitated(format!(
        "identifiers longer than {MAX_IDENTIFIER} bytes (a limit of PostgreSQL; Redshift takes 127): \"{name}\" has {}",
        name.len()
    )))
}

/// Rewrites a statement for PostgreSQL: quoted identifiers in lower case, as Redshift folds them;
/// in CREATE TABLE without Redshift's storage attributes, and with PostgreSQL's names of types.
///
/// # Errors
/// It cannot be split into tokens, or an identifier is too long.
pub fn for_postgres(sql: &str) -> Result<String, SqlError> {
    let tokens = tokens(sql)?;
    for token in &tokens {
        if let Kind::Word(name) | Kind::Quoted(name) = &token.kind {
            check_length(name)?;
        }
    }
    let mut edits: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    for token in &tokens {
        if let Kind::Quoted(name) = &token.kind {
            edits.push((token.span.clone(), super::identifier(name)));
        }
    }
    if is_about_table(&tokens) {
        table_edits(sql, &tokens, &mut edits)?;
    } else if is_user_statement(&tokens) {
        user_edits(&tokens, &mut edits)?;
    }
    Ok(apply(sql, edits))
}

fn apply(sql: &str, mut edits: Vec<(std::ops::Range<usize>, String)>) -> String {
    edits.sort_by_key(|(span, _)| (span.start, std::cmp::Reverse(span.end)));
    let mut text = String::new();
    let mut at = 0;
    for (span, replacement) in edits {
        // An edit inside one that has been applied has nothing left to change.
        if span.start < at {
            continue;
        }
        text.push_str(&sql[at..span.start]);
        text.push_str(&replacement);
        at = span.end;
    }
    text.push_str(&sql[at..]);
    text
}

fn is_about_table(tokens: &[Token]) -> bool {
    let mut words = tokens.iter();
    words.next().is_some_and(|token| token.is("create") || token.is("alter"))
        && words
            .find(|token| !(token.is("local") || token.is("temporary") || token.is("temp")))
            .is_some_and(|token| token.is("table"))
}

/// The definition of a table without the query of CREATE TABLE AS.
fn definition(tokens: &[Token]) -> &[Token] {
    let mut depth = 0_i32;
    let query = tokens.iter().position(|token| {
        match token.kind {
            Kind::Symbol('(') => depth += 1,
            Kind::Symbol(')') => depth -= 1,
            _ => {}
        }
        depth == 0 && token.is("as")
    });
    &tokens[..query.unwrap_or(tokens.len())]
}

/// Redshift's types and attributes in CREATE TABLE and ALTER TABLE [D: CREATE TABLE, Character
/// types].
fn table_edits(
    sql: &str,
    tokens: &[Token],
    edits: &mut Vec<(std::ops::Range<usize>, String)>,
) -> Result<(), SqlError> {
    let tokens = definition(tokens);
    let symbol = |n: usize, c: char| tokens.get(n).is_some_and(|token| token.kind == Kind::Symbol(c));
    let word = |n: usize, w: &str| tokens.get(n).is_some_and(|token| token.is(w));
    let mut n = 0;
    while n < tokens.len() {
        let span = tokens[n].span.clone();
        // The name of a column comes first; only what follows one can be a type or an attribute.
        let named = n > 0 && !symbol(n - 1, '(') && !symbol(n - 1, ',') && !symbol(n - 1, '.');
        let Kind::Word(keyword) = &tokens[n].kind else {
            n += 1;
            continue;
        };
        match keyword.as_str() {
            "varchar" | "nvarchar" | "text" | "bpchar" if named && !symbol(n + 1, '(') => {
                // Without a length: VARCHAR and TEXT are varchar(256), BPCHAR is char(256).
                let ty = if keyword == "bpchar" { "char(256)" } else { "varchar(256)" };
                edits.push((span, ty.to_owned()));
            }
            "varchar" | "nvarchar" if named && word(n + 2, "max") && symbol(n + 3, ')') => {
                edits.push((span.start..tokens[n + 3].span.end, "varchar(65535)".to_owned()));
                n += 3;
            }
            // [D: DECIMAL or NUMERIC type] without numbers it is (18,0).
            "decimal" | "numeric" if named && !symbol(n + 1, '(') => {
                edits.push((span, "numeric(18,0)".to_owned()));
            }
            "super" if named && !word(n - 1, "table") => edits.push((span, "json".to_owned())),
            "encode" | "backup" if named => {
                let end = tokens.get(n + 1).map_or(span.end, |token| token.span.end);
                edits.push((span.start..end, String::new()));
                n += 1;
            }
            "diststyle" if named => {
                let end = tokens.get(n + 1).map_or(span.end, |token| token.span.end);
                edits.push((span.start..end, String::new()));
                n += 1;
            }
            "distkey" | "sortkey" | "compound" | "interleaved" if named => {
                let mut last = n;
                if word(n + 1, "sortkey") {
                    last += 1;
                }
                if symbol(last + 1, '(') {
                    while last < tokens.len() - 1 && !symbol(last, ')') {
                        last += 1;
                    }
                } else if keyword == "sortkey" && word(n + 1, "auto") {
                    last += 1;
                }
                edits.push((span.start..tokens[last].span.end, String::new()));
                n = last;
            }
            "constraint" | "primary" | "unique" | "foreign" | "references" => {
                n = constraint(sql, tokens, n, edits);
            }
            "geometry" | "geography" | "hllsketch" | "varbyte" if named => {
                return Err(SqlError::not_imitated(format!("the type {}", &sql[span])));
            }
            "identity" if named && symbol(n + 1, '(') => {
                return Err(SqlError::not_imitated("IDENTITY columns"));
            }
            _ => {}
        }
        n += 1;
    }
    Ok(())
}

/// UNIQUE, PRIMARY KEY, FOREIGN KEY and REFERENCES inform the planner and are not enforced [D:
/// CREATE TABLE, Defining constraints]; a primary key becomes NOT NULL. Returns the index of the
/// constraint's last token.
fn constraint(
    sql: &str,
    tokens: &[Token],
    first: usize,
    edits: &mut Vec<(std::ops::Range<usize>, String)>,
) -> usize {
    let symbol = |n: usize, c: char| tokens.get(n).is_some_and(|token| token.kind == Kind::Symbol(c));
    let word = |n: usize, w: &str| tokens.get(n).is_some_and(|token| token.is(w));
    // After `(`, `,` or ADD it is either a constraint of the table or a column of that name, which
    // a type follows.
    let of_table = first > 0 && (symbol(first - 1, '(') || symbol(first - 1, ',') || word(first - 1, "add"));
    let mut n = first;
    if word(n, "constraint") {
        n += 2;
    }
    let list_end = |from: usize| (from..tokens.len()).find(|n| symbol(*n, ')')).unwrap_or(from);
    let mut keys = None;
    let last = if word(n, "primary") && word(n + 1, "key") {
        if of_table && symbol(n + 2, '(') {
            let end = list_end(n + 2);
            keys = Some(n + 3..end);
            end
        } else {
            edits.push((tokens[first].span.start..tokens[n + 1].span.end, "NOT NULL".to_owned()));
            return n + 1;
        }
    } else if word(n, "unique") && of_table == symbol(n + 1, '(') {
        if of_table { list_end(n + 1) } else { n }
    } else if word(n, "foreign") && word(n + 1, "key") || word(n, "references") && !of_table {
        let Some(at) = (n..tokens.len()).find(|n| word(*n, "references")) else { return first };
        let named = if symbol(at + 2, '.') { at + 3 } else { at + 1 };
        if symbol(named + 1, '(') { list_end(named + 1) } else { named }
    } else {
        return first;
    };
    let span = tokens[first].span.start..tokens[last].span.end;
    match keys {
        Some(keys) => {
            let names: Vec<String> = tokens[keys]
                .iter()
                .filter(|token| token.kind != Kind::Symbol(','))
                .map(|token| format!("{} IS NOT NULL", &sql[token.span.clone()].to_ascii_lowercase()))
                .collect();
            edits.push((span, format!("CHECK ({})", names.join(" AND "))));
        }
        // A list of columns may not end in a comma, so a CHECK without effect takes the place.
        None if of_table => edits.push((span, "CHECK (true)".to_owned())),
        None => edits.push((span, String::new())),
    }
    last
}

/// `CREATE USER` or `ALTER USER`.
fn is_user_statement(tokens: &[Token]) -> bool {
    tokens.first().is_some_and(|token| token.is("create") || token.is("alter"))
        && tokens.get(1).is_some_and(|token| token.is("user"))
}

/// Rewrites Redshift's options of CREATE USER and ALTER USER [D: CREATE USER, ALTER USER].
fn user_edits(tokens: &[Token], edits: &mut Vec<(std::ops::Range<usize>, String)>) -> Result<(), SqlError> {
    for (n, token) in tokens.iter().enumerate().skip(2) {
        let next = tokens.get(n + 1);
        match &token.kind {
            Kind::Word(word) if word == "createuser" => {
                edits.push((token.span.clone(), "SUPERUSER".to_owned()))
            }
            Kind::Word(word) if word == "nocreateuser" => {
                edits.push((token.span.clone(), "NOSUPERUSER".to_owned()))
            }
            Kind::Word(word) if word == "password" => {
                if let Some(disable) = next.filter(|token| token.is("disable")) {
                    edits.push((disable.span.clone(), "NULL".to_owned()));
                }
            }
            // [P: mtxr/vscode-sqltools#1415] clients of PostgreSQL cannot log in with it either.
            Kind::Text(text) if text.starts_with("sha256|") => {
                return Err(SqlError::not_imitated("PASSWORD 'sha256|…'; use the md5 form or clear text"));
            }
            // Removed here; `syslog_access` applies it.
            Kind::Word(word) if word == "syslog" && next.is_some_and(|token| token.is("access")) => {
                let end = tokens.get(n + 2).map_or(token.span.end, |level| level.span.end);
                edits.push((token.span.start..end, String::new()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The user, and true if it may see all rows of the system views: `CREATE|ALTER USER name … SYSLOG
/// ACCESS RESTRICTED|UNRESTRICTED` [D: ALTER USER].
pub(crate) fn syslog_access(sql: &str) -> Option<(String, bool)> {
    let tokens = tokens(sql).ok().filter(|tokens| is_user_statement(tokens))?;
    let (Kind::Word(user) | Kind::Quoted(user)) = &tokens.get(2)?.kind else { return None };
    let at = tokens.windows(2).position(|pair| pair[0].is("syslog") && pair[1].is("access"))?;
    let level = tokens.get(at + 2)?;
    let unrestricted = level.is("unrestricted");
    (unrestricted || level.is("restricted")).then(|| (user.clone(), unrestricted))
}

/// The user of `DROP USER [IF EXISTS] name`.
pub(crate) fn dropped_user(sql: &str) -> Option<String> {
    let tokens = tokens(sql).ok()?;
    let mut rest = tokens.iter();
    if !(rest.next()?.is("drop") && rest.next()?.is("user")) {
        return None;
    }
    match &rest.find(|token| !(token.is("if") || token.is("exists")))?.kind {
        Kind::Word(user) | Kind::Quoted(user) => Some(user.clone()),
        _ => None,
    }
}

/// Replaces the named parameters of the Data API by `$1`, `$2`, … and returns the values in that
/// order.
///
/// # Errors
/// A name without a value, or a value that is not used.
pub fn bind(sql: &str, parameters: &[(String, String)]) -> Result<(String, Vec<String>), SqlError> {
    let mut order: Vec<&str> = Vec::new();
    let mut edits = Vec::new();
    let tokens = tokens(sql)?;
    for token in &tokens {
        let Kind::Parameter(name) = &token.kind else { continue };
        let Some((known, _)) = parameters.iter().find(|(known, _)| known == name) else { continue };
        let number = order.iter().position(|used| used == known).unwrap_or_else(|| {
            order.push(known);
            order.len() - 1
        });
        edits.push((token.span.clone(), format!("${}", number + 1)));
    }
    let value =
        |name: &&str| parameters.iter().find(|(known, _)| known == *name).map(|(_, value)| value.clone());
    let values = order.iter().filter_map(value).collect();
    Ok((apply(sql, edits), values))
}

/// The names of the parameters that a statement uses.
pub(crate) fn used_parameters(sql: &str) -> Vec<String> {
    let names = |token: Token| match token.kind {
        Kind::Parameter(name) => Some(name),
        _ => None,
    };
    tokens(sql).map(|tokens| tokens.into_iter().filter_map(names).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_identifiers_become_lower_case() {
        assert_eq!(
            for_postgres("SELECT \"Name\" FROM \"T\" WHERE x = 'A \"B\"'").expect("valid"),
            "SELECT \"name\" FROM \"t\" WHERE x = 'A \"B\"'"
        );
    }

    #[test]
    fn create_table_loses_storage_attributes_and_gets_type_lengths() {
        let sql = "CREATE TABLE IF NOT EXISTS t (id int ENCODE az64 DISTKEY, text text, v VARCHAR(MAX) NOT NULL, w varchar(3)) \
                   DISTSTYLE KEY COMPOUND SORTKEY (id, w)";
        let text = for_postgres(sql).expect("valid");
        assert_eq!(
            text.split_whitespace().collect::<Vec<_>>().join(" "),
            "CREATE TABLE IF NOT EXISTS t (id int , text varchar(256), v varchar(65535) NOT NULL, w varchar(3))"
        );
        assert_eq!(
            for_postgres("CREATE TABLE t BACKUP NO AS SELECT text FROM u").expect("valid"),
            "CREATE TABLE t  AS SELECT text FROM u"
        );
        assert_eq!(
            for_postgres("CREATE TABLE t (a decimal, b NUMERIC NOT NULL, c decimal(8,2), d super)")
                .expect("valid"),
            "CREATE TABLE t (a numeric(18,0), b numeric(18,0) NOT NULL, c decimal(8,2), d json)"
        );
        assert_eq!(
            for_postgres("ALTER TABLE t ADD COLUMN c VARCHAR(MAX)").expect("valid"),
            "ALTER TABLE t ADD COLUMN c varchar(65535)"
        );
    }

    #[test]
    fn constraints_that_only_inform_are_not_enforced() {
        let text = |sql: &str| {
            let text = for_postgres(sql).expect("valid");
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            text(
                "CREATE TABLE t (id int PRIMARY KEY, a int UNIQUE NOT NULL, b int REFERENCES o (id), \"unique\" int)"
            ),
            "CREATE TABLE t (id int NOT NULL, a int NOT NULL, b int , \"unique\" int)"
        );
        assert_eq!(
            text(
                "CREATE TABLE t (id int, \"B\" int, CONSTRAINT k PRIMARY KEY (ID, \"B\"), UNIQUE (b), FOREIGN KEY (b) REFERENCES s.o (x))"
            ),
            "CREATE TABLE t (id int, \"b\" int, CHECK (id IS NOT NULL AND \"b\" IS NOT NULL), CHECK (true), CHECK (true))"
        );
        assert_eq!(text("ALTER TABLE t ADD CONSTRAINT u UNIQUE (a)"), "ALTER TABLE t ADD CHECK (true)");
        assert_eq!(text("ALTER TABLE t DROP CONSTRAINT u"), "ALTER TABLE t DROP CONSTRAINT u");
    }

    #[test]
    fn users_are_made_and_changed_in_redshifts_words() {
        let text =
            |sql: &str| for_postgres(sql).map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
        assert_eq!(
            text("CREATE USER a CREATEUSER PASSWORD DISABLE").expect("valid"),
            "CREATE USER a SUPERUSER PASSWORD NULL"
        );
        let sql = "ALTER USER \"B\" SYSLOG ACCESS UNRESTRICTED PASSWORD 'md5x'";
        assert_eq!(text(sql).expect("valid"), "ALTER USER \"b\" PASSWORD 'md5x'");
        assert_eq!(syslog_access(sql), Some(("b".to_owned(), true)));
        assert!(text("ALTER USER a PASSWORD 'sha256|1|2'").is_err());
    }

    #[test]
    fn an_identifier_that_postgresql_would_cut_is_refused() {
        let error = for_postgres(&format!("SELECT {}", "a".repeat(64))).expect_err("64 bytes");
        assert!(error.message.contains("does not imitate identifiers longer than 63 bytes"), "{error}");
        assert!(for_postgres(&format!("SELECT {}", "a".repeat(63))).is_ok());
    }

    #[test]
    fn parameters_are_bound_outside_literals_only() {
        let parameters = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "x".to_owned())];
        let (sql, values) = bind("SELECT :b, ':a', :a::int, :b", &parameters).expect("valid");
        assert_eq!(sql, "SELECT $1, ':a', $2::int, $1");
        assert_eq!(values, ["x", "1"]);
    }
}
