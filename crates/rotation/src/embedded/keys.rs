//! The names under which connection strings and configurations hold a user or a password.

use super::Part;

/// Returns the part that a parameter of a connection string holds. Sources: "Connection Strings"
/// and "Parameter Key Words" of the PostgreSQL manual; "Connecting to the Database" of pgjdbc;
/// "Connection URL Syntax" of MySQL Connector/J; "About MariaDB Connector/J"; "Options for JDBC
/// driver configuration" and "ODBC driver options" of Amazon Redshift (`UID`, `PWD`);
/// "Connection String Parameters" of Npgsql and of MySQL Connector/NET.
pub(super) fn part_of_parameter(name: &str) -> Option<Part> {
    let plain: String =
        name.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).map(|c| c.to_ascii_lowercase()).collect();
    match plain.as_str() {
        "user" | "username" | "userid" | "uid" => Some(Part::User),
        "password" | "passwd" | "pwd" | "psw" | "pass" => Some(Part::Password),
        _ => None,
    }
}

/// Returns the part that a key of a secret, or of a properties file, holds if its value is the user
/// or the password itself: `sasl.password`, `PGPASSWORD`, `DB_PASSWORD`, `dbUser`.
pub(crate) fn part_of(key: &str) -> Option<Part> {
    let words = words(key);
    // A store of certificates has a password of its own, and other credentials have other owners.
    const OTHERS: [&str; 10] =
        ["truststore", "keystore", "store", "trust", "key", "ssl", "old", "previous", "admin", "master"];
    let (last, before) = words.split_last()?;
    if before.iter().any(|word| OTHERS.contains(&word.as_str())) {
        return None;
    }
    match last.as_str() {
        "pgpassword" => Some(Part::Password),
        "pguser" | "login" => Some(Part::User),
        "id" if before.last().is_some_and(|word| word == "user") => Some(Part::User),
        other => part_of_parameter(other),
    }
}

/// Splits `spring.datasource.password`, `DB_PASSWORD` and `dbPassword` into words in lower case.
fn words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in key.chars() {
        let new_word = !c.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase());
        if new_word && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_names_the_part_that_it_holds() {
        for key in ["sasl.password", "PGPASSWORD", "DB_PASSWORD", "dbPassword", "MYSQL_PWD", "passwd"] {
            assert_eq!(part_of(key), Some(Part::Password), "{key}");
        }
        for key in ["sasl.username", "PGUSER", "db_user", "userId", "user-id", "login"] {
            assert_eq!(part_of(key), Some(Part::User), "{key}");
        }
        for key in [
            "ssl.keystore.password",
            "trustStorePassword",
            "admin_password",
            "passwordPolicy",
            "superuser",
            "",
        ] {
            assert_eq!(part_of(key), None, "{key}");
        }
        assert_eq!(part_of_parameter("User Id"), Some(Part::User));
        assert_eq!(part_of_parameter("PWD"), Some(Part::Password));
        assert_eq!(part_of_parameter("trustStorePassword"), None);
    }
}
