//! Roles and users that an operator expects, by ARN or by name.

use crate::arn::Arn;

/// Returns true if a pattern names the principal.
///
/// An ARN names exactly that role or user. A name means the role or user of that name in `account`,
/// the account of the secret: otherwise, everybody could create a role of that name in an account of
/// their own. A `*` at the end of either is a wildcard.
pub(super) fn is_named(patterns: &[String], principal: &str, account: &str) -> bool {
    let name = || {
        let arn = principal.parse::<Arn>().ok();
        let arn = arn.filter(|arn| arn.service == "iam" && arn.account == account)?;
        // Of a path, only the last part is the name. A session's name is chosen by its caller.
        let id = arn.resource_id("role").or_else(|| arn.resource_id("user"))?;
        id.rsplit('/').next().map(str::to_owned)
    };
    let matches = |pattern: &str, text: &str| match pattern.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => text == pattern,
    };
    patterns.iter().any(|pattern| {
        if pattern.starts_with("arn:") {
            matches(pattern, principal)
        } else {
            name().is_some_and(|name| matches(pattern, &name))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_means_a_role_of_the_secrets_account_only() {
        let named =
            |pattern: &str, principal: &str| is_named(&[pattern.to_owned()], principal, "111111111111");
        let role = |account: &str, path: &str| format!("arn:aws:iam::{account}:role/{path}rotator-1");
        for pattern in ["rotator-1", "rotator-*", "arn:aws:iam::111111111111:role/*"] {
            assert!(named(pattern, &role("111111111111", "")), "{pattern}");
            assert!(named(pattern, &role("111111111111", "a/b/")), "{pattern}");
            assert!(!named(pattern, &role("666666666666", "")), "{pattern}");
        }
        assert!(named("ann", "arn:aws:iam::111111111111:user/ann"));
        for other in [
            // The caller chooses the names of sessions and of federated users.
            "arn:aws:sts::111111111111:assumed-role/theirs/rotator-1",
            "arn:aws:sts::111111111111:federated-user/rotator-1",
            "arn:aws:iam::111111111111:role/rotator-1/theirs",
            "arn:aws:iam::111111111111:role/not-rotator-1",
            "rotator-1",
            "AROAEXAMPLE:rotator-1",
        ] {
            assert!(!named("rotator-1", other), "{other}");
        }
    }

    #[test]
    fn arn_names_exactly_that_principal() {
        let named = |pattern: &str| is_named(&[pattern.to_owned()], "arn:aws:iam::2:role/p/app-1", "1");
        for pattern in
            ["arn:aws:iam::2:role/p/app-1", "arn:aws:iam::2:role/p/*", "arn:aws:iam::2:role/p/app-*"]
        {
            assert!(named(pattern), "{pattern}");
        }
        for pattern in ["arn:aws:iam::2:role/app-1", "arn:aws:iam::1:role/p/app-1", "app-1", "app-*", "*"] {
            assert!(!named(pattern), "{pattern}");
        }
    }
}
