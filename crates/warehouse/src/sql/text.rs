//! Identifiers and literals: their checks and their quoting.

use std::fmt;

use crate::arn::Arn;
use crate::value::{InvalidValue, escape};

/// The longest identifier, in bytes.
/// Source: "Names and identifiers" of the Redshift database developer guide.
const MAX_IDENTIFIER_BYTES: usize = 127;

/// The name of a schema, table, column or user, printed as a delimited identifier.
///
/// Every printable character is accepted, also quotes and semicolons. Control characters are not.
/// Source: "Names and identifiers" of the Redshift database developer guide.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identifier(String);

impl Identifier {
    /// Checks a name; errors name `property`.
    ///
    /// # Errors
    /// The name is empty, longer than 127 bytes, or has a control character.
    pub fn new(property: &str, name: &str) -> Result<Self, InvalidValue> {
        if name.is_empty() {
            return Err(InvalidValue::new(property, "a name must not be empty"));
        }
        if name.len() > MAX_IDENTIFIER_BYTES {
            return Err(InvalidValue::new(
                property,
                format!(
                    "{} is {} bytes long, and Redshift accepts names of at most {MAX_IDENTIFIER_BYTES}",
                    escape(name),
                    name.len()
                ),
            ));
        }
        if let Some(control) = name.chars().find(|c| c.is_control()) {
            return Err(InvalidValue::new(
                property,
                format!(
                    "{} holds the control character U+{:04X}, which Redshift does not accept in a name",
                    escape(name),
                    u32::from(control)
                ),
            ));
        }
        Ok(Self(name.to_owned()))
    }

    /// Returns the name, unquoted.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('"', "\"\""))
    }
}

/// A schema and a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    /// The schema.
    pub schema: Identifier,
    /// The table.
    pub table: Identifier,
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// A string literal.
///
/// Quotes and backslashes are doubled: Redshift reads a backslash in an ordinary literal as an
/// escape, as its `QUOTE_LITERAL` function shows by doubling both. The literal ends at the same
/// place under either reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal(String);

impl Literal {
    /// Checks a text; errors name `property`.
    ///
    /// # Errors
    /// The text has a NUL, which Redshift does not accept in strings.
    pub fn new(property: &str, text: &str) -> Result<Self, InvalidValue> {
        if text.contains('\0') {
            return Err(InvalidValue::new(
                property,
                format!("{} holds a NUL character, which Redshift does not accept", escape(text)),
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.replace('\\', "\\\\").replace('\'', "''"))
    }
}

/// The ARN of an IAM role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleArn(String);

impl RoleArn {
    /// Checks an ARN; errors name `property`.
    ///
    /// # Errors
    /// The text is not the ARN of a role. `default` has its own sentence: a COPY JOB cannot use the
    /// default role.
    pub fn new(property: &str, arn: &str) -> Result<Self, InvalidValue> {
        if arn.eq_ignore_ascii_case("default") {
            return Err(InvalidValue::new(
                property,
                "a COPY JOB cannot use the cluster's default IAM role; give the ARN of a role that is attached to the cluster",
            ));
        }
        if !arn.parse().is_ok_and(|arn| is_role(&arn)) {
            return Err(InvalidValue::new(
                property,
                format!(
                    "expected the ARN of an IAM role (arn:aws:iam::<account>:role/<name>), found {}",
                    escape(arn)
                ),
            ));
        }
        Ok(Self(arn.to_owned()))
    }

    /// Returns the ARN.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_role(arn: &Arn) -> bool {
    let Some(name) = arn.resource.strip_prefix("role/") else { return false };
    arn.partition.starts_with("aws")
        && arn.partition.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
        && arn.service == "iam"
        && arn.region.is_empty()
        && arn.account.len() == 12
        && arn.account.bytes().all(|b| b.is_ascii_digit())
        && (1..=576).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@_-/".contains(&b))
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A checked ARN needs no quoting. It is quoted all the same, like every literal.
        Literal(self.0.clone()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_printable_name_is_quoted_and_reads_back() {
        for name in ["plain", "a\"b", "a\\b", "a;b", "a--b", "/*x*/", "🦀", "имя", "a b", "'", "select"]
        {
            let quoted = Identifier::new("P", name).unwrap().to_string();
            let inner = quoted.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
            assert_eq!(inner.replace("\"\"", "\""), name);
            assert!(!inner.replace("\"\"", "").contains('"'), "{quoted}");
        }
    }

    #[test]
    fn invalid_name_is_rejected_with_its_property() {
        for name in ["", "a\0b", "a\nb", &"x".repeat(128), &"é".repeat(64)] {
            let error = Identifier::new("TableName", name).unwrap_err();
            assert!(error.to_string().starts_with("`TableName`: "), "{error}");
        }
        assert!(Identifier::new("P", &"x".repeat(127)).is_ok());
    }

    #[test]
    fn quotes_and_backslashes_of_a_literal_are_doubled() {
        assert_eq!(Literal::new("P", r"a'b\c").unwrap().to_string(), r"'a''b\\c'");
        assert_eq!(Literal::new("P", r"\'").unwrap().to_string(), r"'\\'''");
        assert!(Literal::new("P", "a\0").is_err());
    }

    #[test]
    fn only_the_arn_of_a_role_is_a_role() {
        assert!(RoleArn::new("P", "arn:aws:iam::222222222222:role/copy").is_ok());
        assert!(RoleArn::new("P", "arn:aws-us-gov:iam::222222222222:role/path/copy").is_ok());
        for wrong in [
            "",
            "copy",
            "arn:aws:iam::222222222222:user/x",
            "arn:aws:iam::22:role/x",
            "arn:aws:iam::222222222222:role/",
            "arn:aws:iam::222222222222:role/x'; DROP",
            "arn:aws:iam:us-east-1:222222222222:role/x",
            "arn:aws' OR --:iam::222222222222:role/x",
        ] {
            assert!(RoleArn::new("P", wrong).is_err(), "{wrong}");
        }
        assert!(RoleArn::new("P", "default").unwrap_err().to_string().contains("default IAM role"));
    }
}
