//! Where the programs of PostgreSQL are and as whom they run.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Gid, Uid, User};

use super::PostgresError;

/// The programs and the user they run as.
#[derive(Debug, Clone)]
pub struct Binaries {
    folder: PathBuf,
    setpriv: Option<PathBuf>,
    user: Option<(Uid, Gid)>,
}

impl Binaries {
    /// Looks on `PATH`, then in the folders of the Debian packages, newest version first.
    ///
    /// # Errors
    /// Nothing found, or running as root without a user to drop to.
    pub fn find() -> Result<Self, PostgresError> {
        let on_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
        let on_path = on_path.unwrap_or_default();
        let mut packaged: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
            .collect();
        packaged.sort();
        let folder = on_path
            .iter()
            .cloned()
            .chain(packaged.into_iter().rev().map(|(_, path)| path))
            .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
            .ok_or(PostgresError::NotInstalled("initdb and postgres"))?;
        let user = if Uid::effective().is_root() {
            let found = ["postgres", "nobody"]
                .into_iter()
                .find_map(|name| User::from_name(name).ok().flatten())
                .ok_or(PostgresError::NoUser)?;
            Some((found.uid, found.gid))
        } else {
            None
        };
        let setpriv = on_path.iter().map(|folder| folder.join("setpriv")).find(|path| path.is_file());
        Ok(Self { folder, setpriv, user })
    }

    /// A command of PostgreSQL, to be run as the user it needs.
    ///
    /// With `die_with_parent` the kernel sends SIGINT (PostgreSQL's fast shutdown) when the thread that started it ends.
    #[must_use]
    pub fn command(&self, program: &str, die_with_parent: bool) -> Command {
        let path = self.folder.join(program);
        let mut command = match (&self.setpriv, die_with_parent) {
            (Some(setpriv), true) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "INT", "--"]).arg(path);
                command
            }
            _ => Command::new(path),
        };
        if let Some((uid, gid)) = self.user {
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
        // A folder that the other user may enter; the caller's may be private.
        command.current_dir("/").env("LC_ALL", "C").env_remove("PGDATA").env_remove("PGPORT");
        command
    }

    /// Id of the user that PostgreSQL runs as.
    pub(super) fn user_id(&self) -> u32 {
        self.user.map_or_else(Uid::effective, |(uid, _)| uid).as_raw()
    }

    /// Whether the user that PostgreSQL runs as can pass through every folder above and including this one.
    pub(super) fn can_pass(&self, folder: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let Some((uid, gid)) = self.user else { return true };
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

    /// Gives a path to the user that PostgreSQL runs as.
    pub(super) fn hand_over(&self, path: &Path) -> Result<(), PostgresError> {
        match self.user {
            Some((uid, gid)) => std::os::unix::fs::chown(path, Some(uid.as_raw()), Some(gid.as_raw()))
                .map_err(|source| PostgresError::file("cannot give to the user of PostgreSQL", path, source)),
            None => Ok(()),
        }
    }
}
