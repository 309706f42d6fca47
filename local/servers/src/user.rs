//! As whom a server runs: whoever started it, or another user if that is root, as which most servers refuse to run.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::{Gid, Uid, User};

use crate::ServerError;

/// The user that servers run as.
#[derive(Debug, Clone, Copy)]
pub struct RunAs(Option<(Uid, Gid)>);

impl RunAs {
    /// This process's user; if that is root, the first of `names` that exists.
    ///
    /// # Errors
    /// Running as root, and none exists.
    pub fn first_of(names: &[&str]) -> Result<Self, ServerError> {
        if !Uid::effective().is_root() {
            return Ok(Self(None));
        }
        let found = names.iter().find_map(|name| User::from_name(name).ok().flatten());
        let found = found.ok_or_else(|| ServerError::NoUser(names.join(", ")))?;
        Ok(Self(Some((found.uid, found.gid))))
    }

    /// Makes a command run as this user.
    pub fn apply(self, command: &mut Command) {
        if let Some((uid, gid)) = self.0 {
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
    }

    /// Its id.
    pub fn id(self) -> u32 {
        self.0.map_or_else(Uid::effective, |(uid, _)| uid).as_raw()
    }

    /// Whether it can pass through every folder above and including this one.
    pub fn can_pass(self, folder: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let Some((uid, gid)) = self.0 else { return true };
        folder.ancestors().all(|folder| {
            std::fs::metadata(folder).is_ok_and(|found| {
                let bit = if found.uid() == uid.as_raw() {
                    0o100
                } else if found.gid() == gid.as_raw() {
                    0o010
                } else {
                    0o001
                };
                found.mode() & bit != 0
            })
        })
    }

    /// Gives it a path.
    ///
    /// # Errors
    /// The system refuses.
    pub fn hand_over(self, path: &Path) -> Result<(), ServerError> {
        match self.0 {
            Some((uid, gid)) => std::os::unix::fs::chown(path, Some(uid.as_raw()), Some(gid.as_raw()))
                .map_err(|source| ServerError::file("cannot give to the user of the server", path, source)),
            None => Ok(()),
        }
    }

    /// Makes a folder that only it may enter.
    ///
    /// # Errors
    /// The system refuses.
    pub fn folder(self, path: &Path) -> Result<(), ServerError> {
        std::fs::create_dir_all(path)
            .map_err(|source| ServerError::file("cannot create the folder", path, source))?;
        set_mode(path, 0o700)?;
        self.hand_over(path)
    }

    /// Writes a file that only it may read.
    ///
    /// # Errors
    /// The system refuses.
    pub fn write(self, path: &Path, text: &str) -> Result<(), ServerError> {
        std::fs::write(path, text).map_err(|source| ServerError::file("cannot write", path, source))?;
        set_mode(path, 0o600)?;
        self.hand_over(path)
    }
}

pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<(), ServerError> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|source| ServerError::file("cannot set the mode", path, source))
}
