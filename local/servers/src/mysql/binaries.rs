//! The programs of MariaDB and MySQL, and the user that runs them.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;

use crate::ServerError;
use crate::process::{on_path, with_parent};
use crate::user::RunAs;

/// The brand of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Brand {
    /// MariaDB of the system.
    MariaDb,
    /// MySQL of a series, such as `8.0`, as `scripts/fetch-mysql` puts it below `target/`.
    MySql(&'static str),
}

/// The programs of a brand, and the user that runs them.
#[derive(Debug, Clone)]
pub struct Programs {
    brand: Brand,
    /// Of a fetched MySQL: the folder that holds `usr/sbin/mysqld` and the libraries it was made
    /// with.
    root: Option<PathBuf>,
    server: PathBuf,
    user: RunAs,
}

impl Programs {
    /// Finds the programs of a brand.
    ///
    /// # Errors
    /// They are not installed, or this process is root and no other user exists.
    pub fn find(brand: Brand) -> Result<Self, ServerError> {
        let user = RunAs::first_of(&["mysql", "nobody"])?;
        let (root, server) = match brand {
            Brand::MariaDb => {
                let packaged = Path::new("/usr/sbin/mariadbd");
                let found =
                    on_path("mariadbd").or_else(|| packaged.is_file().then(|| packaged.to_path_buf()));
                (None, found)
            }
            Brand::MySql(series) => {
                let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/mysql").join(series);
                let server = root.join("usr/sbin/mysqld");
                let found = (server.is_file() && on_path("mysql").is_some()).then_some(server);
                (root.canonicalize().ok(), found)
            }
        };
        let server = server.ok_or(match brand {
            Brand::MariaDb => ServerError::NotInstalled {
                name: "MariaDB",
                places: "on PATH nor under /usr/sbin",
                programs: "mariadbd",
                install: "apt-get install mariadb-server",
            },
            Brand::MySql(_) => ServerError::NotInstalled {
                name: "MySQL",
                places: "below target/mysql, nor a client on PATH",
                programs: "mysqld and mysql",
                install: "scripts/fetch-mysql",
            },
        })?;
        Ok(Self { brand, root, server, user })
    }

    pub(super) fn brand(&self) -> Brand {
        self.brand
    }

    pub(super) fn user(&self) -> RunAs {
        self.user
    }

    /// The command of the server, as the user it needs, without any option file of the system.
    pub(super) fn server(&self, die_with_parent: bool) -> Command {
        let start = |program: &Path| match die_with_parent {
            true => with_parent(program, Signal::SIGTERM),
            false => Command::new(program),
        };
        let mut command = match &self.root {
            None => start(&self.server),
            // A build for another system, which needs that system's own libraries and the loader
            // that belongs to them.
            Some(root) => {
                let libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/mysql/private"]
                    .map(|folder| root.join(folder));
                let loaders = libraries
                    .iter()
                    .map(|folder| folder.join("ld-linux-x86-64.so.2"))
                    .find(|path| path.is_file());
                let mut command = start(&loaders.unwrap_or_else(|| self.server.clone()));
                let path = libraries.map(|folder| folder.display().to_string()).join(":");
                command.arg("--library-path").arg(path).arg(&self.server);
                command
            }
        };
        command.arg("--no-defaults");
        if let Some(root) = &self.root {
            let share = root.join("usr/share/mysql");
            command.args([
                format!("--basedir={}", root.join("usr").display()),
                format!("--lc-messages-dir={}", share.display()),
                format!("--character-sets-dir={}", share.join("charsets").display()),
                format!("--plugin-dir={}", root.join("usr/lib/mysql/plugin").display()),
                "--mysqlx=OFF".to_owned(),
            ]);
        }
        self.apply(&mut command);
        command
    }

    /// The command that makes a data folder.
    pub(super) fn init(&self, data: &Path) -> Command {
        match self.brand {
            Brand::MariaDb => {
                let mut command = Command::new("mariadb-install-db");
                command.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
                command.args(["--skip-name-resolve", "--innodb-log-file-size=8M", "--silent"]);
                command.arg(format!("--datadir={}", data.display()));
                self.apply(&mut command);
                command
            }
            Brand::MySql(_) => {
                let mut command = self.server(false);
                command.args(["--initialize-insecure", "--innodb-redo-log-capacity=8M"]);
                command.arg("--secure-file-priv=NULL").arg(format!("--datadir={}", data.display()));
                command
            }
        }
    }

    fn apply(&self, command: &mut Command) {
        self.user.apply(command);
        command.current_dir("/").env("LC_ALL", "C").env_remove("MYSQL_HOME").env_remove("MYSQL_UNIX_PORT");
    }
}
