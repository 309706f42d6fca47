//! Amazon Resource Names: parsed once, then used by their parts.

use std::fmt;
use std::str::FromStr;

/// An Amazon Resource Name: `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
///
/// The text of a parsed ARN is the same as the text that was parsed.
///
/// ```
/// use lambda_kit::arn::Arn;
///
/// let topic: Arn = "arn:aws:sns:eu-west-1:123456789012:alerts".parse()?;
/// assert_eq!((topic.region.as_str(), topic.resource.as_str()), ("eu-west-1", "alerts"));
/// assert_eq!(topic.to_string(), "arn:aws:sns:eu-west-1:123456789012:alerts");
/// # Ok::<(), lambda_kit::arn::ArnError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arn {
    /// The partition: `aws`, `aws-cn`, `aws-us-gov`, …
    pub partition: String,
    /// The service, such as `sns`.
    pub service: String,
    /// The Region; empty for resources without one, such as IAM roles.
    pub region: String,
    /// The account id; empty for resources without one, such as S3 buckets.
    pub account: String,
    /// The rest. It may hold colons and slashes.
    pub resource: String,
}

/// A text that is not an ARN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{}\" is not an ARN, expected arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE",
    .found.escape_debug()
)]
pub struct ArnError {
    found: String,
}

impl Arn {
    /// Returns the ARN of another resource in the same partition.
    #[must_use]
    pub fn sibling(&self, service: &str, region: &str, account: &str, resource: &str) -> Self {
        Self {
            partition: self.partition.clone(),
            service: service.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            resource: resource.to_owned(),
        }
    }

    /// Returns the resource's id if the resource is of this type, as in `TYPE/ID` and `TYPE:ID`.
    pub fn resource_id(&self, resource_type: &str) -> Option<&str> {
        let rest = self.resource.strip_prefix(resource_type)?;
        rest.strip_prefix(['/', ':']).filter(|id| !id.is_empty())
    }

    /// Returns the name of a Secrets Manager secret, without the suffix that the service adds: a
    /// hyphen and six characters.
    pub fn secret_name(&self) -> Option<&str> {
        let name = self.resource_id("secret").filter(|_| self.service == "secretsmanager")?;
        Some(match name.rsplit_once('-') {
            Some((name, suffix))
                if suffix.len() == 6 && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
            {
                name
            }
            _ => name,
        })
    }
}

/// Returns the name of a stack from its ARN, `arn:…:stack/NAME/ID`; another text is returned as it
/// is.
pub fn stack_name(arn: &str) -> &str {
    arn.split('/').nth(1).unwrap_or(arn)
}

impl FromStr for Arn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        match parts.as_slice() {
            ["arn", partition, service, region, account, resource]
                if !partition.is_empty() && !service.is_empty() && !resource.is_empty() =>
            {
                Ok(Self {
                    partition: (*partition).to_owned(),
                    service: (*service).to_owned(),
                    region: (*region).to_owned(),
                    account: (*account).to_owned(),
                    resource: (*resource).to_owned(),
                })
            }
            _ => Err(ArnError { found: text.to_owned() }),
        }
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, service, region, account, resource } = self;
        write!(f, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsed_arn_prints_as_it_was() {
        for text in [
            "arn:aws:sns:eu-west-1:123456789012:alerts",
            "arn:aws-cn:s3:::bucket",
            "arn:aws:iam::123456789012:role/path/name",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-AbCdEf",
            "arn:aws:elasticache:eu-west-1:123456789012:user:some:id",
        ] {
            assert_eq!(text.parse::<Arn>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn text_that_is_no_arn_is_rejected_with_the_expected_form() {
        for text in ["", "bucket", "arn:aws:s3:::", "arn::s3:::b", "arn:aws::::b", "arn:aws:s3:b", "\n"] {
            let error = text.parse::<Arn>().unwrap_err();
            let expected = "arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE";
            assert_eq!(
                error.to_string(),
                format!("\"{}\" is not an ARN, expected {expected}", text.escape_debug())
            );
        }
    }

    #[test]
    fn resource_id_is_returned_for_its_type_only() {
        let role: Arn = "arn:aws:iam::123456789012:role/path/name".parse().unwrap();
        assert_eq!(role.resource_id("role"), Some("path/name"));
        assert_eq!(role.resource_id("rol"), None);
        let user: Arn = "arn:aws:elasticache:eu-west-1:123456789012:user:id".parse().unwrap();
        assert_eq!(user.resource_id("user"), Some("id"));
        assert_eq!(user.resource_id("cluster"), None);
    }

    #[test]
    fn secret_name_has_no_random_suffix() {
        for (resource, name) in [
            ("secret:app-AbCdEf", "app"),
            ("secret:app/db-login-x1Y2z3", "app/db-login"),
            ("secret:app-short", "app-short"),
            ("secret:app-with.dot", "app-with.dot"),
        ] {
            let arn: Arn = format!("arn:aws:secretsmanager:r:1:{resource}").parse().unwrap();
            assert_eq!(arn.secret_name(), Some(name));
        }
        let topic: Arn = "arn:aws:sns:eu-west-1:123456789012:secret:a-AbCdEf".parse().unwrap();
        assert_eq!(topic.secret_name(), None);
    }
}
