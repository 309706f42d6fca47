//! The hosts to which a response may go.

use http::Uri;

/// The start of the name of CloudFormation's buckets for responses. The Region without hyphens
/// follows. Source: "Setting up VPC endpoints for CloudFormation" of the CloudFormation user guide.
const BUCKET: &str = "cloudformation-custom-resource-response-";

/// The DNS suffixes of Amazon S3, one for each partition. Source: `partitions.json` of botocore.
const SUFFIXES: [&str; 7] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
];

/// The hosts to which a response may go.
///
/// The response URL is part of the event, so whoever may invoke the function chooses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseHosts {
    /// CloudFormation's bucket in Amazon S3, by https.
    CloudFormation {
        /// The Region of the function, which is that of the stack; `None` is any Region.
        region: Option<String>,
    },
    /// Every host: the environment sends calls of Amazon S3 to another endpoint.
    Any,
}

impl ResponseHosts {
    /// Reads the hosts from the environment: `AWS_REGION`, and the overrides
    /// `AWS_ENDPOINT_URL_S3` and `AWS_ENDPOINT_URL` of the AWS SDKs.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let is_set = |name: &&str| variable(name).is_some_and(|value| !value.is_empty());
        if ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"].iter().any(is_set) {
            return Self::Any;
        }
        Self::CloudFormation { region: variable("AWS_REGION").filter(|region| !region.is_empty()) }
    }

    /// Returns true if a response may go to this URL.
    pub(crate) fn allow(&self, url: &str) -> bool {
        let Ok(uri) = url.parse::<Uri>() else { return false };
        let region = match self {
            Self::Any => return uri.host().is_some(),
            Self::CloudFormation { region } => region.as_deref(),
        };
        let is_plain = uri.authority().is_some_and(|authority| {
            !authority.as_str().contains('@') && authority.port_u16().is_none_or(|port| port == 443)
        });
        is_plain
            && uri.scheme_str() == Some("https")
            && uri.host().is_some_and(|host| is_bucket(host, region))
    }
}

/// Returns true for `BUCKET.s3.REGION.SUFFIX`, and for its forms without a Region, with a hyphen
/// before it, and with `dualstack`. Sources: "Virtual hosting of buckets" and "Using dual-stack
/// endpoints" of the Amazon S3 user guide; events in public code have the first three.
fn is_bucket(host: &str, region: Option<&str>) -> bool {
    let host = host.to_ascii_lowercase();
    let Some((short, service)) = host.strip_prefix(BUCKET).and_then(|rest| rest.split_once('.')) else {
        return false;
    };
    let is_short = |region: &str| region.replace('-', "") == short;
    let is_name = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
    let is_region = |found: &str| is_short(found) && region.is_none_or(|region| found == region);
    if !is_name(short) || !region.is_none_or(is_short) {
        return false;
    }
    SUFFIXES.iter().any(|suffix| {
        let Some(service) = service.strip_suffix(suffix).and_then(|rest| rest.strip_suffix('.')) else {
            return false;
        };
        service == "s3"
            || ["s3.dualstack.", "s3.", "s3-"]
                .iter()
                .any(|start| service.strip_prefix(start).is_some_and(is_region))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> ResponseHosts {
        ResponseHosts::read(&|name| (name == "AWS_REGION").then(|| "us-west-2".to_owned()))
    }

    #[test]
    fn every_form_of_the_bucket_of_a_region_is_allowed() {
        for (region, host) in [
            ("us-east-1", "cloudformation-custom-resource-response-useast1.s3.amazonaws.com"),
            ("us-west-2", "cloudformation-custom-resource-response-uswest2.s3-us-west-2.amazonaws.com"),
            ("us-west-2", "cloudformation-custom-resource-response-uswest2.s3.us-west-2.amazonaws.com:443"),
            (
                "us-west-2",
                "cloudformation-custom-resource-response-uswest2.s3.dualstack.us-west-2.amazonaws.com",
            ),
            (
                "us-gov-west-1",
                "cloudformation-custom-resource-response-usgovwest1.s3.us-gov-west-1.amazonaws.com",
            ),
            ("cn-north-1", "cloudformation-custom-resource-response-cnnorth1.s3.cn-north-1.amazonaws.com.cn"),
            (
                "eusc-de-east-1",
                "cloudformation-custom-resource-response-euscdeeast1.s3.eusc-de-east-1.amazonaws.eu",
            ),
        ] {
            let own = ResponseHosts::CloudFormation { region: Some(region.to_owned()) };
            let url = format!("https://{host}/arn%3Aaws?Signature=a%2Bb");
            assert!(own.allow(&url), "{url}");
            assert!(ResponseHosts::CloudFormation { region: None }.allow(&url), "{url}");
        }
    }

    #[test]
    fn every_other_address_is_rejected() {
        const GOOD: &str = "cloudformation-custom-resource-response-uswest2.s3.us-west-2.amazonaws.com";
        for url in [
            format!("http://{GOOD}/x"),
            format!("https://{GOOD}.evil.example/x"),
            format!("https://evil.example/{GOOD}"),
            format!("https://{GOOD}@evil.example/x"),
            format!("https://user@{GOOD}/x"),
            format!("https://{GOOD}:8443/x"),
            format!("https://evil.example?{GOOD}"),
            format!("https://evil.example#{GOOD}"),
            format!("ftp://{GOOD}/x"),
            format!("//{GOOD}/x"),
            GOOD.to_owned(),
            String::new(),
            "https://my-bucket.s3.us-west-2.amazonaws.com/x".to_owned(),
            "https://s3.us-west-2.amazonaws.com/cloudformation-custom-resource-response-uswest2/x".to_owned(),
            // A bucket of somebody else whose name begins alike.
            "https://cloudformation-custom-resource-response-uswest2-x.s3.us-west-2.amazonaws.com/x"
                .to_owned(),
            "https://cloudformation-custom-resource-response-evil.s3.us-west-2.amazonaws.com/x".to_owned(),
            "https://cloudformation-custom-resource-response-.s3.us-west-2.amazonaws.com/x".to_owned(),
            // Another Region.
            "https://cloudformation-custom-resource-response-useast1.s3.us-east-1.amazonaws.com/x".to_owned(),
            "https://cloudformation-custom-resource-response-uswest2.s3.us-east-1.amazonaws.com/x".to_owned(),
            "https://cloudformation-custom-resource-response-uswest2.ec2.us-west-2.amazonaws.com/x"
                .to_owned(),
            "https://cloudformation-custom-resource-response-uswest2.s3.us-west-2.evilamazonaws.com/x"
                .to_owned(),
            "https://169.254.169.254/latest/meta-data".to_owned(),
        ] {
            assert!(!here().allow(&url), "{url}");
        }
    }

    #[test]
    fn another_endpoint_of_s3_allows_every_host() {
        for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"] {
            let hosts =
                ResponseHosts::read(&|variable| (variable == name).then(|| "http://127.0.0.1:1".to_owned()));
            assert_eq!(hosts, ResponseHosts::Any);
            assert!(hosts.allow("http://127.0.0.1:4566/x") && !hosts.allow("not a url"));
        }
        let empty = ResponseHosts::read(&|name| (name == "AWS_ENDPOINT_URL").then(String::new));
        assert_eq!(empty, ResponseHosts::CloudFormation { region: None });
    }
}
