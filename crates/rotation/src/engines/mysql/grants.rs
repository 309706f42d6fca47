//! An account's grants: read from `SHOW GRANTS`, compared, and written as statements.
//!
//! A line is parsed into tokens and written from tokens, with every name quoted again, so no text
//! of one statement becomes text of another. A line that is not understood is an error.

use std::collections::{BTreeMap, BTreeSet};

use super::sql::{AccountName, Token, name, text_of, tokens};

/// The smallest piece that can be granted and revoked alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Right {
    /// A privilege on an object.
    Privilege {
        /// The object, such as `` `d`.* `` or `` PROCEDURE `d`.`p` ``.
        on: String,
        /// The privilege, such as `SELECT`, ``SELECT (`a`)``, or `GRANT OPTION` for all of them.
        privilege: String,
    },
    /// A dynamic privilege of MySQL, which has a grant option of its own.
    Dynamic {
        /// The name.
        privilege: String,
        /// True with the grant option.
        option: bool,
    },
    /// Acting as another account.
    Proxy {
        /// The other account.
        of: String,
        /// True with the grant option.
        option: bool,
    },
    /// A role.
    Role {
        /// The name.
        role: String,
        /// True with the admin option.
        option: bool,
    },
    /// A global privilege that is revoked for one database: `partial_revokes` of MySQL.
    Restriction {
        /// The database.
        on: String,
        /// The privilege.
        privilege: String,
    },
}

const ALL: &str = "ALL PRIVILEGES";
/// The right to grant one's own privileges on an object.
const GRANT_OPTION: &str = "GRANT OPTION";
const EVERYWHERE: &str = "*.*";

/// An account's grants, and its default role where `SHOW GRANTS` prints it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Grants {
    pub(super) rights: BTreeSet<Right>,
    pub(super) default_role: Option<String>,
}

impl Grants {
    /// Parses the lines of `SHOW GRANTS FOR` an account.
    ///
    /// # Errors
    /// The line that is not understood.
    pub(super) fn parse<'a>(
        lines: impl IntoIterator<Item = &'a str>,
        account: &AccountName,
    ) -> Result<Self, String> {
        let mut grants = Self::default();
        for line in lines {
            // A line of MariaDB may contain a hash.
            let beginning = || line.split(" IDENTIFIED").next().unwrap_or_default().to_owned();
            let parts = tokens(line).ok_or_else(beginning)?;
            grants.read(&parts, account).ok_or_else(beginning)?;
        }
        Ok(grants)
    }

    fn read(&mut self, parts: &[Token], account: &AccountName) -> Option<()> {
        if let [set, default, role, Token::Name(name_of_role), ..] = parts
            && set.is("SET")
            && default.is("DEFAULT")
            && role.is("ROLE")
        {
            self.default_role = Some(name(name_of_role));
            return Some(());
        }
        let (verb, parts) = parts.split_first()?;
        let (given, to) = if verb.is("GRANT") {
            (true, "TO")
        } else if verb.is("REVOKE") {
            (false, "FROM")
        } else {
            return None;
        };
        let to = parts.iter().position(|part| part.is(to))?;
        let (what, grantee) = (&parts[..to], &parts[to + 1..]);
        let [user, Token::Symbol('@'), host, rest @ ..] = grantee else {
            // A grant to a role or to PUBLIC: the account has it through that.
            return grantee.first().map(|_| ());
        };
        if user.value() != Some(&account.user) || host.value() != Some(&account.host) {
            return Some(());
        }
        let option =
            rest.windows(2).any(|two| (two[0].is("GRANT") || two[0].is("ADMIN")) && two[1].is("OPTION"));
        let Some(on) = what.iter().position(|part| part.is("ON")) else {
            for role in what.split(|part| *part == Token::Symbol(',')) {
                role.first()?.value()?;
                self.rights.insert(Right::Role { role: text_of(role), option });
            }
            return Some(());
        };
        let (privileges, on) = (&what[..on], text_of(&what[on + 1..]));
        if let [proxy] = privileges
            && proxy.is("PROXY")
        {
            self.rights.insert(Right::Proxy { of: on, option });
            return Some(());
        }
        let mut dynamic = false;
        for privilege in split(privileges)? {
            let on = on.clone();
            self.rights.insert(match given {
                false => Right::Restriction { on, privilege },
                // Dynamic privileges have underscores in their names, the others have spaces.
                true if on == EVERYWHERE && privilege.contains('_') => {
                    dynamic = true;
                    Right::Dynamic { privilege, option }
                }
                true if privilege == "USAGE" => continue,
                true => Right::Privilege { on, privilege },
            });
        }
        if option && !dynamic {
            self.rights.insert(Right::Privilege { on, privilege: GRANT_OPTION.to_owned() });
        }
        Some(())
    }

    /// Returns the statements that revoke what `self` has and `model` does not have.
    pub(super) fn taking(&self, model: &Self, from: &AccountName) -> Vec<String> {
        statements(self.rights.difference(&model.rights), false, &from.quoted())
    }

    /// Returns the statements that grant what `model` has and `self` does not have.
    pub(super) fn giving(&self, model: &Self, to: &AccountName) -> Vec<String> {
        statements(model.rights.iter().filter(|right| !self.covers(right)), true, &to.quoted())
    }

    /// Returns a right that `model` has and `self` does not have.
    pub(super) fn lacks(&self, model: &Self) -> Option<Right> {
        model.rights.iter().find(|right| !self.covers(right)).cloned()
    }

    /// Returns a right that `self` has and `model` does not have.
    pub(super) fn exceeds(&self, model: &Self) -> Option<Right> {
        self.rights.difference(&model.rights).next().cloned()
    }

    /// Returns true if the right, or more than it, is granted.
    fn covers(&self, right: &Right) -> bool {
        let more = match right.clone() {
            Right::Privilege { on, privilege } if privilege != GRANT_OPTION => {
                Right::Privilege { on, privilege: ALL.to_owned() }
            }
            Right::Dynamic { privilege, .. } => Right::Dynamic { privilege, option: true },
            Right::Proxy { of, .. } => Right::Proxy { of, option: true },
            Right::Role { role, .. } => Right::Role { role, option: true },
            other => other,
        };
        self.rights.contains(right) || self.rights.contains(&more)
    }
}

/// Splits a list into single privileges, and each column of them.
fn split(parts: &[Token]) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = parts.iter();
    let mut words = Vec::new();
    loop {
        match rest.next() {
            Some(word @ Token::Word(_)) => words.push(word.clone()),
            Some(Token::Symbol('(')) => {
                let privilege = text_of(&words);
                loop {
                    let column = rest.next()?.value()?;
                    found.push(format!("{privilege} ({})", name(column)));
                    match rest.next()? {
                        Token::Symbol(',') => {}
                        Token::Symbol(')') => break,
                        _ => return None,
                    }
                }
                words.clear();
            }
            end @ (None | Some(Token::Symbol(','))) => {
                if !words.is_empty() {
                    found.push(text_of(&words));
                    words.clear();
                }
                if end.is_none() {
                    return (!found.is_empty()).then_some(found);
                }
            }
            Some(_) => return None,
        }
    }
}

fn statements<'a>(rights: impl Iterator<Item = &'a Right>, give: bool, account: &str) -> Vec<String> {
    let mut privileges: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let (mut single, mut restrictions) = (Vec::new(), Vec::new());
    let (verb, to) = if give { ("GRANT", "TO") } else { ("REVOKE", "FROM") };
    let with = |option: bool, words: &'static str| if option && give { words } else { "" };
    for right in rights {
        match right {
            // The syntax does not allow it together with others.
            Right::Privilege { on, privilege } if privilege == ALL => {
                single.push(format!("{verb} {ALL} ON {on} {to} {account}"));
            }
            Right::Privilege { on, privilege } => privileges.entry(on).or_default().push(privilege),
            Right::Dynamic { privilege, option } => {
                let option = with(*option, " WITH GRANT OPTION");
                single.push(format!("{verb} {privilege} ON {EVERYWHERE} {to} {account}{option}"));
            }
            Right::Proxy { of, option } => {
                let option = with(*option, " WITH GRANT OPTION");
                single.push(format!("{verb} PROXY ON {of} {to} {account}{option}"));
            }
            Right::Role { role, option } => {
                let option = with(*option, " WITH ADMIN OPTION");
                single.push(format!("{verb} {role} {to} {account}{option}"));
            }
            // A partial revoke is removed by a grant, and created by a revoke.
            Right::Restriction { on, privilege } => {
                let (verb, to) = if give { ("REVOKE", "FROM") } else { ("GRANT", "TO") };
                restrictions.push(format!("{verb} {privilege} ON {on} {to} {account}"));
            }
        }
    }
    let grouped =
        privileges.iter().map(|(on, list)| format!("{verb} {} ON {on} {to} {account}", list.join(", ")));
    // The grant option for everything comes before the dynamic privileges, which have their own:
    // MySQL gives it to those that exist. Restrictions come last: they narrow the earlier grants.
    grouped.chain(single).chain(restrictions).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(user: &str) -> AccountName {
        AccountName { user: user.into(), host: "%".into() }
    }

    fn grants(user: &str, lines: &[&str]) -> Grants {
        Grants::parse(lines.iter().copied(), &account(user)).unwrap()
    }

    #[test]
    fn grants_become_those_of_the_model() {
        let model = grants(
            "a",
            &[
                "GRANT RELOAD ON *.* TO `a`@`%` IDENTIFIED BY PASSWORD '*E6' REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 99",
                "GRANT AUDIT_ADMIN,XA_RECOVER_ADMIN ON *.* TO `a`@`%` WITH GRANT OPTION",
                "GRANT SELECT (`x`, `y``z`), UPDATE ON `d`.`t` TO `a`@`%` WITH GRANT OPTION",
                "GRANT EXECUTE ON PROCEDURE `d`.`p` TO `a`@`%`",
                "GRANT `r1`@`%`,`r2`@`%` TO `a`@`%` WITH ADMIN OPTION",
                "GRANT PROXY ON ''@'%' TO 'a'@'%'",
                "SET DEFAULT ROLE `r1` FOR `a`@`%`",
                "REVOKE SELECT ON `mysql`.* FROM `a`@`%`",
                "GRANT DELETE ON `other`.* TO `r1`",
            ],
        );
        let clone = grants(
            "b",
            &[
                "GRANT USAGE ON *.* TO `b`@`%`",
                "GRANT ALL PRIVILEGES ON `d`.`t` TO `b`@`%` WITH GRANT OPTION",
            ],
        );
        assert_eq!(model.default_role.as_deref(), Some("`r1`"));
        assert_eq!(clone.taking(&model, &account("b")), ["REVOKE ALL PRIVILEGES ON `d`.`t` FROM `b`@`%`"]);
        // More than the model's privilege is sufficient until it is revoked.
        assert!(!clone.giving(&model, &account("b")).iter().any(|statement| statement.contains("`d`.`t`")));
        let clone = grants("b", &["GRANT USAGE ON *.* TO `b`@`%`"]);
        assert_eq!(
            clone.giving(&model, &account("b")),
            [
                "GRANT RELOAD ON *.* TO `b`@`%`",
                "GRANT EXECUTE ON PROCEDURE `d`.`p` TO `b`@`%`",
                "GRANT GRANT OPTION, SELECT (`x`), SELECT (`y``z`), UPDATE ON `d`.`t` TO `b`@`%`",
                "GRANT AUDIT_ADMIN ON *.* TO `b`@`%` WITH GRANT OPTION",
                "GRANT XA_RECOVER_ADMIN ON *.* TO `b`@`%` WITH GRANT OPTION",
                "GRANT PROXY ON ''@'%' TO `b`@`%`",
                "GRANT `r1`@`%` TO `b`@`%` WITH ADMIN OPTION",
                "GRANT `r2`@`%` TO `b`@`%` WITH ADMIN OPTION",
                "REVOKE SELECT ON `mysql`.* FROM `b`@`%`",
            ]
        );
        assert_eq!(model.giving(&model, &account("b")), Vec::<String>::new());
    }

    #[test]
    fn unknown_line_is_an_error_without_its_hash() {
        for line in ["WHATEVER `a`@`%` IDENTIFIED BY PASSWORD '*E6'", "GRANT SELECT ON `d TO `a`@`%`"] {
            let error = Grants::parse([line], &account("a")).unwrap_err();
            assert!(!error.contains("*E6"), "{error}");
        }
    }

    #[test]
    fn name_that_looks_like_sql_stays_a_name() {
        let line = "GRANT SELECT ON `d`` TO ``x``@``%`` WITH GRANT OPTION -- `.* TO `a`@`%`";
        let given = Grants::default().giving(&grants("a", &[line]), &account("b"));
        assert_eq!(given, ["GRANT SELECT ON `d`` TO ``x``@``%`` WITH GRANT OPTION -- `.* TO `b`@`%`"]);
    }
}
