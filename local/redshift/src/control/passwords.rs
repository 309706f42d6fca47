//! The rules of an administrator's name and password.

use crate::answer::ApiError;

/// 8 to 64 printable ASCII characters without `'`, `"`, `\`, `/`, `@`, with an upper-case and a
/// lower-case letter and a digit [M: redshift CreateCluster; D: quotas].
///
/// # Errors
/// The violated rule, without the password.
pub fn check(parameter: &str, password: &str) -> Result<(), ApiError> {
    let broken = if !(8..=64).contains(&password.len()) {
        "must have 8 to 64 characters"
    } else if !password.bytes().all(|byte| (33..=126).contains(&byte)) {
        "may contain only printable ASCII characters without space"
    } else if password.contains(['\'', '"', '\\', '/', '@']) {
        "must not contain any of ' \" \\ / @"
    } else if !password.bytes().any(|byte| byte.is_ascii_uppercase()) {
        "must contain an upper-case letter"
    } else if !password.bytes().any(|byte| byte.is_ascii_lowercase()) {
        "must contain a lower-case letter"
    } else if !password.bytes().any(|byte| byte.is_ascii_digit()) {
        "must contain a digit"
    } else {
        return Ok(());
    };
    Err(ApiError::new("InvalidParameterValue", format!("The parameter {parameter} {broken}.")))
}

/// Lower-case letter first, then lower-case letters, digits and `+ . @ - _`, up to 63 here
/// (PostgreSQL's limit) [M: redshift].
///
/// # Errors
/// The violated rule.
pub fn check_admin_name(parameter: &str, name: &str) -> Result<(), ApiError> {
    let well_formed = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+.@-_".contains(&b))
        && name.len() <= 63;
    if well_formed && !matches!(name, "rdsdb" | "public") {
        return Ok(());
    }
    Err(ApiError::new(
        "InvalidParameterValue",
        format!(
            "The parameter {parameter} must start with a lower-case letter, consist of lower-case letters, digits and +.@-_, have at most 63 characters and not be a reserved word; found {name:?}."
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_password_is_rejected_and_not_repeated() {
        for bad in
            ["Short1a", "alllower1", "ALLUPPER1", "NoDigitsHere", "With space1", "Quote'1abc", "At@1abcdef"]
        {
            let error = check("MasterUserPassword", bad).expect_err(bad);
            assert!(!error.message.contains(bad));
        }
        assert!(check("MasterUserPassword", "Secret123!").is_ok());
    }
}
