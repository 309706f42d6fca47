//! The accounts of the local cloud, its AWS configuration files, and its `aws` and `sam` commands.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::{Error, setup::Venv};

/// The Region of the profiles unless [`crate::Options`] says otherwise.
pub const REGION: &str = "us-east-1";

/// An account of the local cloud. Its access key is its id, which stands for the account's root.
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

/// Variables of the user's shell that would direct a client elsewhere.
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

/// Variables that direct every AWS client to the local cloud.
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

/// The folder of an instance's commands, `aws` and `sam`.
pub(crate) fn commands(directory: &Path) -> PathBuf {
    directory.join("bin")
}

/// Writes the instance's commands. They are all that its `PATH` has of the environment `sam`, whose
/// `python3` must not replace the user's.
///
/// `aws` sets the endpoint of the instance, because the CLI ignores the `endpoint_url` of a profile
/// for SQS and would call AWS. A later `--endpoint-url` of the user wins.
pub(crate) fn write_commands(directory: &Path, endpoint: &str, sam: &Venv) -> Result<(), Error> {
    let folder = commands(directory);
    fs::create_dir_all(&folder).map_err(Error::io(format!("create {}", folder.display())))?;
    for (name, words) in [("aws", format!(" --endpoint-url {endpoint}")), ("sam", String::new())] {
        let path = folder.join(name);
        let program = quoted(&sam.program(name).to_string_lossy());
        fs::write(&path, format!("#!/bin/sh\nexec {program}{words} \"$@\"\n"))
            .map_err(Error::io(format!("write {}", path.display())))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .map_err(Error::io(format!("make {} executable", path.display())))?;
    }
    Ok(())
}

/// A word for a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Writes the script `env`. It directs the AWS commands of a shell that sources it to the instance.
pub(crate) fn write_script(directory: &Path) -> Result<PathBuf, Error> {
    let mut script = format!("unset {}\n", CLEARED.join(" "));
    for (name, value) in environment(directory) {
        script.push_str(&format!("export {name}={}\n", quoted(&value.to_string_lossy())));
    }
    let folder = commands(directory);
    script.push_str(&format!("export PATH={}:\"$PATH\"\n", quoted(&folder.to_string_lossy())));
    let path = directory.join("env");
    fs::write(&path, script).map_err(Error::io(format!("write {}", path.display())))?;
    Ok(path)
}
