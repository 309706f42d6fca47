//! ARNs that this stand-in creates and compares.

/// The partition of a Region, by its prefix.
#[must_use]
pub fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

/// The parts of an ARN up to the resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arn<'a> {
    /// For example `redshift`.
    pub service: &'a str,
    /// May be empty.
    pub region: &'a str,
    /// May be empty.
    pub account: &'a str,
    /// Everything after the fifth colon.
    pub resource: &'a str,
}

/// Splits an ARN.
#[must_use]
pub fn parse(arn: &str) -> Option<Arn<'_>> {
    let mut parts = arn.splitn(6, ':');
    if parts.next()? != "arn" {
        return None;
    }
    let _partition = parts.next()?;
    Some(Arn {
        service: parts.next()?,
        region: parts.next()?,
        account: parts.next()?,
        resource: parts.next()?,
    })
}

/// The id of a namespace ARN, provisioned (`namespace:ID`) or Serverless (`namespace/ID`).
///
/// The TargetArn pattern of CreateIntegration takes both separators [M: redshift].
#[must_use]
pub fn namespace_id(arn: &str) -> Option<&str> {
    let arn = parse(arn)?;
    if !matches!(arn.service, "redshift" | "redshift-serverless") {
        return None;
    }
    arn.resource.strip_prefix("namespace:").or_else(|| arn.resource.strip_prefix("namespace/"))
}

/// The bucket of an S3 ARN `arn:aws:s3:::bucket`.
#[must_use]
pub fn bucket(arn: &str) -> Option<&str> {
    let arn = parse(arn)?;
    (arn.service == "s3" && !arn.resource.is_empty()).then_some(arn.resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_separators_of_a_namespace_arn_are_understood() {
        assert_eq!(namespace_id("arn:aws:redshift:us-east-1:222222222222:namespace:ab"), Some("ab"));
        assert_eq!(
            namespace_id("arn:aws:redshift-serverless:us-east-1:222222222222:namespace/ab"),
            Some("ab")
        );
        assert_eq!(namespace_id("arn:aws:s3:::namespace:ab"), None);
    }
}
