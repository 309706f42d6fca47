//! The programs of PostgreSQL, and the user that runs them.

use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::ServerError;
use crate::process::with_parent;
use crate::user::RunAs;

/// The error if PostgreSQL is not installed.
pub const NOT_INSTALLED: ServerError = ServerError::NotInstalled {
    name: "PostgreSQL",
    places: "on PATH nor under /usr/lib/postgresql/*/bin",
    programs: "initdb and postgres",
    install: "apt-get install postgresql",
};

/// The programs, and the user that runs them.
#[derive(Debug, Clone)]
pub struct Binaries {
    folder: PathBuf,
    user: RunAs,
}

impl Binaries {
    /// Finds the programs on `PATH`, then in the folders of the Debian packages, newest version
    /// first.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or this process is root and no other user exists.
    pub fn find() -> Result<Self, ServerError> {
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
            .ok_or(NOT_INSTALLED)?;
        Ok(Self { folder, user: RunAs::first_of(&["postgres", "nobody"])? })
    }

    /// A command of PostgreSQL, to be run as the user it needs.
    ///
    /// With `die_with_parent` the kernel sends SIGINT (PostgreSQL's fast shutdown) when the thread
    /// that started it ends.
    #[must_use]
    pub fn command(&self, program: &str, die_with_parent: bool) -> Command {
        let path = self.folder.join(program);
        let mut command =
            if die_with_parent { with_parent(&path, Signal::SIGINT) } else { Command::new(path) };
        self.user.apply(&mut command);
        // A folder that the other user may enter; the caller's may be private.
        command.current_dir("/").env("LC_ALL", "C").env_remove("PGDATA").env_remove("PGPORT");
        command
    }

    /// The user that runs PostgreSQL.
    pub(super) fn user(&self) -> RunAs {
        self.user
    }
}
