//! What an account may do: read from `SHOW GRANTS`, compared, and written as statements.
//!
//! A line is read into parts and written from parts, each name quoted anew; no text of one statement ever becomes text of another. A line
//! that is not understood is an error, never left out.

use std::collections::{BTreeMap, BTreeSet};

use super::sql::{Token, Who, name, text_of, tokens};

/// A right, in the smallest piece that can be given and taken alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Right {
    /// A privilege on something.
    Privilege {
        /// Such as `` `d`.* `` or `` PROCEDURE `d`.`p` ``.
        on: String,
        /// Such as `SELECT`, ``SELECT (`a`)``, or `GRANT OPTION` for all of them.
        privilege: String,
    },
    /// A privilege of MySQL with a name of its own, which is passed on one by one.
    Dynamic {
        /// Its name.
        privilege: String,
        /// Whether the account may pass it on.
        option: bool,
    },
    /// To act as another account.
    Proxy {
        /// The other account.
        of: String,
        /// Whether the account may pass it on.
        option: bool,
    },
    /// A role.
    Role {
        /// Its name.
        role: String,
        /// Whether the account may pass it on.
        option: bool,
    },
    /// A global privilege that does not hold in one database: `partial_revokes` of MySQL.
    Restriction {
        /// The database.
        on: String,
        /// The privilege.
        privilege: String,
    },
}

const ALL: &str = "ALL PRIVILEGES";
/// The right to pass on what one may do with something.
const GRANT_OPTION: &str = "GRANT OPTION";
const EVERYWHERE: &str = "*.*";

/// What an account may do, and the role it begins a session with, where `SHOW GRANTS` says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Grants {
    pub(super) rights: BTreeSet<Right>,
    pub(super) default_role: Option<String>,
}

impl Grants {
    /// From the lines of `SHOW GRANTS FOR` an account.
    ///
    /// # Errors
    /// The line that is not understood.
    pub(super) fn parse<'a>(lines: impl IntoIterator<Item = &'a str>, account: &Who) -> Result<Self, String> {
        let mut grants = Self::default();
        for line in lines {
            // An unread line of MariaDB may hold a hash.
            let beginning = || line.split(" IDENTIFIED").next().unwrap_or_default().to_owned();
            let parts = tokens(line).ok_or_else(beginning)?;
            grants.read(&parts, account).ok_or_else(beginning)?;
        }
        Ok(grants)
    }

    fn read(&mut self, parts: &[Token], account: &Who) -> Option<()> {
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
            // To a role, or to everybody: the account has it by that alone.
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
                // Names of their own have underscores, the others have spaces.
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

    /// The statements that take what `self` has and `model` has not.
    pub(super) fn taking(&self, model: &Self, from: &Who) -> Vec<String> {
        statements(self.rights.difference(&model.rights), false, &from.quoted())
    }

    /// The statements that give what `model` has and `self` has not.
    pub(super) fn giving(&self, model: &Self, to: &Who) -> Vec<String> {
        statements(model.rights.iter().filter(|right| !self.covers(right)), true, &to.quoted())
    }

    /// A right that `model` has and `self` has not.
    pub(super) fn lacks(&self, model: &Self) -> Option<Right> {
        model.rights.iter().find(|right| !self.covers(right)).cloned()
    }

    /// A right that `self` has and `model` has not.
    pub(super) fn exceeds(&self, model: &Self) -> Option<Right> {
        self.rights.difference(&model.rights).next().cloned()
    }

    /// Whether the right, or more than it, is there.
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

/// Privileges one by one, and each column of them.
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
            // Together with others it is not the syntax of a grant.
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
            // What is revoked there in part is given again by a grant, and the other way round.
            Right::Restriction { on, privilege } => {
                let (verb, to) = if give { ("REVOKE", "FROM") } else { ("GRANT", "TO") };
                restrictions.push(format!("{verb} {privilege} ON {on} {to} {account}"));
            }
        }
    }
    let grouped =
        privileges.iter().map(|(on, list)| format!("{verb} {} ON {on} {to} {account}", list.join(", ")));
    // The right to pass on everything is given before the dynamic privileges, which have their own: MySQL gives it to those that are there.
    // Restrictions last: they narrow what is given before.
    grouped.chain(single).chain(restrictions).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(user: &str) -> Who {
        Who { user: user.into(), host: "%".into() }
    }

    fn grants(user: &str, lines: &[&str]) -> Grants {
        Grants::parse(lines.iter().copied(), &who(user)).unwrap()
    }

    #[test]
    fn grants_become_those_of_another_account_and_nothing_more() {
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
        assert_eq!(clone.taking(&model, &who("b")), ["REVOKE ALL PRIVILEGES ON `d`.`t` FROM `b`@`%`"]);
        // More than what is wanted is as good, until it is taken away.
        assert!(!clone.giving(&model, &who("b")).iter().any(|statement| statement.contains("`d`.`t`")));
        let clone = grants("b", &["GRANT USAGE ON *.* TO `b`@`%`"]);
        assert_eq!(
            clone.giving(&model, &who("b")),
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
        assert_eq!(model.giving(&model, &who("b")), Vec::<String>::new());
    }

    #[test]
    fn a_line_that_is_not_understood_is_an_error_without_its_hash() {
        for line in ["WHATEVER `a`@`%` IDENTIFIED BY PASSWORD '*E6'", "GRANT SELECT ON `d TO `a`@`%`"] {
            let error = Grants::parse([line], &who("a")).unwrap_err();
            assert!(!error.contains("*E6"), "{error}");
        }
    }

    #[test]
    fn a_name_made_to_look_like_sql_stays_a_name() {
        let line = "GRANT SELECT ON `d`` TO ``x``@``%`` WITH GRANT OPTION -- `.* TO `a`@`%`";
        let given = Grants::default().giving(&grants("a", &[line]), &who("b"));
        assert_eq!(given, ["GRANT SELECT ON `d`` TO ``x``@``%`` WITH GRANT OPTION -- `.* TO `b`@`%`"]);
    }
}
