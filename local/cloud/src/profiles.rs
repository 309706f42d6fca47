//! The accounts of the local cloud, and the AWS configuration files that lead to them.

use std::{ffi::OsString, fs, path::Path};

use crate::Error;

/// The Region of the profiles unless [`crate::Options`] says otherwise.
pub const REGION: &str = "us-east-1";

/// An account of the local cloud. Its access key is its id, which the gateway takes for the account's root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Name of the profile in the AWS configuration.
    pub name: &'static str,
    /// Account id.
    pub account: &'static str,
}

/// The account with the bucket.
pub const SOURCE: Profile = Profile { name: "source", account: "111111111111" };
/// The account with the warehouse.
pub const TARGET: Profile = Profile { name: "target", account: "222222222222" };
/// A second account with a bucket.
pub const SECOND: Profile = Profile { name: "second", account: "333333333333" };

pub(crate) const ALL: [Profile; 3] = [SOURCE, TARGET, SECOND];

/// Variables of the user's shell that would lead a client elsewhere.
pub const CLEARED: [&str; 10] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_CA_BUNDLE",
];

/// Variables that lead every AWS client to the local cloud.
pub(crate) fn environment(directory: &Path) -> Vec<(&'static str, OsString)> {
    vec![
        ("AWS_CONFIG_FILE", directory.join("config").into()),
        ("AWS_SHARED_CREDENTIALS_FILE", directory.join("credentials").into()),
        ("AWS_EC2_METADATA_DISABLED", "true".into()),
        ("AWS_PAGER", "".into()),
        ("SAM_CLI_TELEMETRY", "0".into()),
        ("NO_PROXY", "127.0.0.1,localhost".into()),
        ("no_proxy", "127.0.0.1,localhost".into()),
    ]
}

/// Writes `config` and `credentials` into `directory`.
pub(crate) fn write(directory: &Path, endpoint: &str, region: &str) -> Result<(), Error> {
    let config: String = ALL
        .iter()
        .map(|profile| {
            format!(
                "[profile {}]\nregion = {region}\noutput = json\nendpoint_url = {endpoint}\n\n",
                profile.name
            )
        })
        .collect();
    // The emulator does not check signatures, so the secret key is no secret.
    let credentials: String = ALL
        .iter()
        .map(|profile| {
            format!(
                "[{}]\naws_access_key_id = {}\naws_secret_access_key = local\n\n",
                profile.name, profile.account
            )
        })
        .collect();
    for (name, text) in [("config", config), ("credentials", credentials)] {
        let path = directory.join(name);
        fs::write(&path, text).map_err(Error::io(format!("write {}", path.display())))?;
    }
    Ok(())
}
