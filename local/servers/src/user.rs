//! The user that runs a server: the user of this process, or another one if that is root, because
//! most servers do not run as root.

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
    /// Returns this process's user; if that is root, the first of `names` that exists.
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

    /// Returns true if the user has access to a folder and every folder above it.
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

    /// Makes the user the owner of a path.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn hand_over(self, path: &Path) -> Result<(), ServerError> {
        match self.0 {
            Some((uid, gid)) => std::os::unix::fs::chown(path, Some(uid.as_raw()), Some(gid.as_raw()))
                .map_err(|source| ServerError::file("cannot give to the user of the server", path, source)),
            None => Ok(()),
        }
    }

    /// Creates a folder to which only the user has access.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn folder(self, path: &Path) -> Result<(), ServerError> {
        std::fs::create_dir_all(path)
            .map_err(|source| ServerError::file("cannot create the folder", path, source))?;
        set_mode(path, 0o700)?;
        self.hand_over(path)
    }

    /// Writes a file that only the user may read.
    ///
    /// # Errors
    /// The operating system's error.
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
