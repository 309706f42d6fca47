//! An account's authentication and options: the plugin of its password, and what `ALTER USER` can
//! copy to another account.

use super::sql::{Token, literal, tokens};
use super::wire::Row;

/// The server's product and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    /// MariaDB.
    MariaDb,
    /// MySQL: major, minor, patch.
    MySql(u32, u32, u32),
}

impl Version {
    /// Parses the result of `VERSION()`. The version in the handshake may be that of a proxy.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.to_ascii_lowercase().contains("mariadb") {
            return Some(Self::MariaDb);
        }
        let digits = |part: &str| {
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part[..end].parse().ok()
        };
        let mut parts = text.splitn(3, '.').map(digits);
        Some(Self::MySql(parts.next()??, parts.next()??, parts.next()??))
    }

    fn is_mysql_since(self, minor: u32, patch: u32) -> bool {
        self != Self::MariaDb && self >= Self::MySql(8, minor, patch)
    }

    /// Returns true if an account may have two passwords. MySQL 8.0.14: "Dual Password Support".
    pub(super) fn has_two_passwords(self) -> bool {
        self.is_mysql_since(0, 14)
    }

    /// Returns true if the server has MySQL's roles, with default roles in a table.
    pub(super) fn has_role_tables(self) -> bool {
        self.is_mysql_since(0, 0)
    }

    /// Returns true if failed logins can lock an account: MySQL 8.0.19.
    fn locks_after_failures(self) -> bool {
        self.is_mysql_since(0, 19)
    }
}

/// One authentication method of a MariaDB account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AuthMethod {
    pub(super) plugin: String,
    pub(super) hash: Option<String>,
}

/// An account's requirements and limits, as clauses of `ALTER USER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    /// After `REQUIRE`.
    require: String,
    /// After `WITH`.
    limits: String,
    /// The remaining clauses.
    further: String,
}

impl Options {
    /// Returns the clauses, for the end of a statement.
    pub(super) fn clauses(&self) -> String {
        format!("REQUIRE {} WITH {} {}", self.require, self.limits, self.further)
    }

    /// Returns the columns of `mysql.user` for [`Options::of_mysql`], with the plugin first.
    /// Source: "Grant Tables" of the MySQL manual.
    pub(super) fn columns(version: Version) -> String {
        let mut columns = "plugin, ssl_type, CONVERT(ssl_cipher USING utf8mb4), max_questions, max_updates, max_connections, \
             max_user_connections, password_lifetime"
            .to_owned();
        if version.has_two_passwords() {
            columns += ", password_reuse_history, password_reuse_time, password_require_current, \
                 user_attributes->>'$.Password_locking.failed_login_attempts', user_attributes->>'$.Password_locking.password_lock_time_days'";
        }
        columns
    }

    /// Reads a row of these columns.
    pub(super) fn of_mysql(version: Version, row: &Row) -> Option<Self> {
        let column = |number: usize| row.get(number).and_then(|value| value.as_deref());
        let require = match column(1)? {
            "" => "NONE".to_owned(),
            "ANY" => "SSL".to_owned(),
            "SPECIFIED" if column(2).is_some_and(|cipher| !cipher.is_empty()) => {
                format!("CIPHER {}", literal(column(2)?))
            }
            _ => return None,
        };
        let limits = LIMITS.iter().zip(3..).map(|(name, number)| Some(format!("{name} {}", column(number)?)));
        let limits = limits.collect::<Option<Vec<_>>>()?.join(" ");
        let days =
            |number| column(number).map_or("DEFAULT".to_owned(), |days| format!("INTERVAL {days} DAY"));
        let lifetime = match column(7) {
            Some("0") => "NEVER".to_owned(),
            _ => days(7),
        };
        let mut further = format!("PASSWORD EXPIRE {lifetime}");
        if version.has_two_passwords() {
            let history = column(8).unwrap_or("DEFAULT");
            let interval = days(9).replacen("INTERVAL ", "", 1);
            let current = match column(10) {
                None => " DEFAULT",
                Some("Y") => "",
                Some(_) => " OPTIONAL",
            };
            further += &format!(
                " PASSWORD HISTORY {history} PASSWORD REUSE INTERVAL {interval} PASSWORD REQUIRE CURRENT{current}"
            );
        }
        if version.locks_after_failures() {
            let time = match column(12) {
                Some("-1") => "UNBOUNDED",
                time => time.unwrap_or("0"),
            };
            let attempts = column(11).unwrap_or("0");
            further += &format!(" FAILED_LOGIN_ATTEMPTS {attempts} PASSWORD_LOCK_TIME {time}");
        }
        Some(Self { require, limits, further: format!("{further} ACCOUNT UNLOCK") })
    }
}

const LIMITS: [&str; 4] =
    ["MAX_QUERIES_PER_HOUR", "MAX_UPDATES_PER_HOUR", "MAX_CONNECTIONS_PER_HOUR", "MAX_USER_CONNECTIONS"];

/// The result of MariaDB's `SHOW CREATE USER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CreateUserStatement {
    /// The methods, each of which is sufficient for a login.
    pub(super) methods: Vec<AuthMethod>,
    /// `None` if the account requires a client certificate, which a rotation does not have.
    pub(super) options: Option<Options>,
}

impl CreateUserStatement {
    /// Parses the statement. Returns `None` if it is not understood.
    pub(super) fn parse(statement: &str) -> Option<Self> {
        let parts = tokens(statement)?;
        // The first five tokens are: CREATE USER `u`@`h`.
        let mut rest = parts.get(5..)?;
        let mut methods = Vec::new();
        if let [identified, by, password, Token::Text(hash), ..] = rest
            && identified.is("IDENTIFIED")
            && by.is("BY")
            && password.is("PASSWORD")
        {
            methods.push(AuthMethod { plugin: "mysql_native_password".to_owned(), hash: Some(hash.clone()) });
            rest = &rest[4..];
        } else if let [identified, via, ..] = rest
            && identified.is("IDENTIFIED")
            && via.is("VIA")
        {
            rest = &rest[1..];
            while let Some((joint, after)) = rest.split_first()
                && (joint.is("VIA") || joint.is("OR"))
            {
                let (plugin, after) = after.split_first()?;
                let plugin = match plugin {
                    Token::Word(plugin) => plugin.clone(),
                    other => other.value()?.to_owned(),
                };
                let (hash, after) = match after {
                    [using, Token::Text(hash), after @ ..] if using.is("USING") || using.is("AS") => {
                        (Some(hash.clone()), after)
                    }
                    _ => (None, after),
                };
                methods.push(AuthMethod { plugin, hash });
                rest = after;
            }
        }
        Some(Self { methods, options: Self::options(rest)? })
    }

    fn options(mut rest: &[Token]) -> Option<Option<Options>> {
        let (mut require, mut expire) = (Some("NONE".to_owned()), "DEFAULT".to_owned());
        let mut limits = LIMITS.map(|name| (name, "0".to_owned())).to_vec();
        limits.push(("MAX_STATEMENT_TIME", "0".to_owned()));
        while let [word, after @ ..] = rest {
            rest = after;
            match word {
                Token::Word(word) => match (word.as_str(), after) {
                    ("REQUIRE", [ssl, ..]) if ssl.is("SSL") => {
                        (require, rest) = (Some("SSL".into()), &after[1..])
                    }
                    ("REQUIRE", [cipher, Token::Text(name), ..]) if cipher.is("CIPHER") => {
                        (require, rest) = (Some(format!("CIPHER {}", literal(name))), &after[2..]);
                    }
                    ("X509", _) => require = None,
                    ("ISSUER" | "SUBJECT", [Token::Text(_), ..]) => (require, rest) = (None, &after[1..]),
                    ("REQUIRE" | "WITH" | "AND" | "ACCOUNT" | "LOCK" | "UNLOCK", _) => {}
                    ("PASSWORD", [word, ..]) if word.is("EXPIRE") => {
                        rest = &after[1..];
                        if let [interval, Token::Word(days), day, ..] = rest
                            && interval.is("INTERVAL")
                            && day.is("DAY")
                        {
                            (expire, rest) = (format!("INTERVAL {days} DAY"), &rest[3..]);
                        } else if let [never, ..] = rest
                            && never.is("NEVER")
                        {
                            (expire, rest) = ("NEVER".into(), &rest[1..]);
                        }
                    }
                    (name, [Token::Word(number), ..]) => {
                        let limit = limits.iter_mut().find(|(limit, _)| *limit == name)?;
                        (limit.1, rest) = (number.clone(), &after[1..]);
                        if let [Token::Symbol('.'), Token::Word(fraction), ..] = rest {
                            limit.1 += &format!(".{fraction}");
                            rest = &rest[2..];
                        }
                    }
                    _ => return None,
                },
                _ => return None,
            }
        }
        let limits = limits.iter().map(|(name, number)| format!("{name} {number}")).collect::<Vec<_>>();
        let further = format!("ACCOUNT UNLOCK PASSWORD EXPIRE {expire}");
        Some(require.map(|require| Options { require, limits: limits.join(" "), further }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_identifies_the_product() {
        for (text, version) in [
            ("10.11.19-MariaDB-0+deb12u1-log", Version::MariaDb),
            ("8.0.46-0ubuntu0.22.04.5", Version::MySql(8, 0, 46)),
            ("5.7.44-log", Version::MySql(5, 7, 44)),
            ("9.7.4", Version::MySql(9, 7, 4)),
        ] {
            assert_eq!(Version::parse(text), Some(version));
        }
        assert_eq!(Version::parse("PostgreSQL 15"), None);
        let two = |a, b, c| Version::MySql(a, b, c).has_two_passwords();
        assert!(two(8, 0, 14) && two(8, 4, 0) && two(9, 7, 4) && !two(8, 0, 13) && !two(5, 7, 44));
        assert!(!Version::MariaDb.has_two_passwords());
    }

    #[test]
    fn mariadb_account_is_parsed_from_its_statement() {
        let text = "CREATE USER `a`@`%` IDENTIFIED BY PASSWORD '*E6' REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 99 MAX_STATEMENT_TIME 1.500000 \
             ACCOUNT LOCK PASSWORD EXPIRE INTERVAL 30 DAY";
        let found = CreateUserStatement::parse(text).unwrap();
        assert_eq!(found.methods[0].plugin, "mysql_native_password");
        let clauses = found.options.unwrap().clauses();
        assert_eq!(
            clauses,
            "REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 99 MAX_UPDATES_PER_HOUR 0 MAX_CONNECTIONS_PER_HOUR 0 MAX_USER_CONNECTIONS 0 \
             MAX_STATEMENT_TIME 1.500000 ACCOUNT UNLOCK PASSWORD EXPIRE INTERVAL 30 DAY"
        );
        let two = "CREATE USER `a`@`%` IDENTIFIED VIA ed25519 USING 'Gs' OR unix_socket REQUIRE SUBJECT '/CN=x' AND ISSUER '/CN=y'";
        let found = CreateUserStatement::parse(two).unwrap();
        assert_eq!(
            found.methods.iter().map(|method| method.plugin.as_str()).collect::<Vec<_>>(),
            ["ed25519", "unix_socket"]
        );
        assert_eq!(found.options, None);
        assert_eq!(CreateUserStatement::parse("CREATE USER `a`@`%` SOMETHING NEW"), None);
    }

    #[test]
    fn mysql_account_is_read_from_its_row() {
        let row =
            |values: &[Option<&str>]| values.iter().map(|value| value.map(str::to_owned)).collect::<Row>();
        let some = Some;
        let values = [
            some("caching_sha2_password"),
            some("ANY"),
            some(""),
            some("1"),
            some("2"),
            some("3"),
            some("4"),
            some("0"),
            some("5"),
            None,
            some("Y"),
            some("3"),
            some("-1"),
        ];
        let found = Options::of_mysql(Version::MySql(8, 0, 46), &row(&values)).unwrap().clauses();
        assert_eq!(
            found,
            "REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 1 MAX_UPDATES_PER_HOUR 2 MAX_CONNECTIONS_PER_HOUR 3 MAX_USER_CONNECTIONS 4 PASSWORD EXPIRE NEVER \
             PASSWORD HISTORY 5 PASSWORD REUSE INTERVAL DEFAULT PASSWORD REQUIRE CURRENT FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME UNBOUNDED ACCOUNT UNLOCK"
        );
    }
}
