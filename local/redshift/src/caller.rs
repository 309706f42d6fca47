//! The caller of a request, from the gateway's headers.

use http::HeaderMap;

use crate::answer::ApiError;

/// The caller of an API, from the gateway's headers (local/README.md, seam 1).
#[derive(Debug, Clone)]
pub struct Caller {
    /// Account of the caller, 12 digits.
    pub account: String,
    /// Region of the request.
    pub region: String,
    /// ARN of the caller.
    pub principal: String,
    /// Access key id that this process uses to act as the caller.
    pub access_key: String,
}

impl Caller {
    /// Reads the headers.
    ///
    /// # Errors
    /// A header is missing: the request did not come through the gateway.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, ApiError> {
        let get = |name: &str| {
            headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned).ok_or_else(|| {
                ApiError::new(
                    "MissingAuthenticationToken",
                    format!("The header {name} is missing: call through the gateway."),
                )
                .with_status(403)
            })
        };
        Ok(Self {
            account: get("x-sluice-account")?,
            region: get("x-sluice-region")?,
            principal: get("x-sluice-principal")?,
            access_key: get("x-sluice-access-key")?,
        })
    }

    /// The identity that owns a statement: the role (without the session name), the user or the
    /// root.
    ///
    /// [D: Using the Data API] statements are owned by the IAM role; another role cannot read them.
    #[must_use]
    pub fn statement_owner(&self) -> String {
        match self.principal.split_once(":assumed-role/") {
            Some((head, rest)) => {
                format!("{head}:assumed-role/{}", rest.split('/').next().unwrap_or_default())
            }
            None => self.principal.clone(),
        }
    }

    /// The database user that Redshift maps the caller to: `IAM:name` for a user, `IAMR:name` for a
    /// role.
    #[must_use]
    pub fn database_user(&self) -> String {
        match self.principal.split_once(":assumed-role/") {
            Some((_, rest)) => format!("IAMR:{}", rest.split('/').next().unwrap_or_default()),
            None => {
                let name = self.principal.rsplit(['/', ':']).next().unwrap_or_default();
                format!("IAM:{name}")
            }
        }
    }

    /// The access key that stands for the root of an account (local/README.md: a 12-digit key).
    #[must_use]
    pub fn root_of(account: &str, region: &str) -> Self {
        Self {
            account: account.to_owned(),
            region: region.to_owned(),
            principal: format!("arn:aws:iam::{account}:root"),
            access_key: account.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_belongs_to_the_role_and_not_to_the_session() {
        let mut caller = Caller::root_of("222222222222", "us-east-1");
        caller.principal = "arn:aws:sts::222222222222:assumed-role/loader/one".into();
        assert_eq!(caller.statement_owner(), "arn:aws:sts::222222222222:assumed-role/loader");
        assert_eq!(caller.database_user(), "IAMR:loader");
    }
}
