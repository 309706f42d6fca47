//! A template that is made at the start, and servers that are copied from it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio_postgres::Client;

use super::connect::{Address, Login, connect};
use super::{Binaries, template};
use crate::ServerError;
use crate::process::{Process, free_port};
use crate::tls::{self, ServerCertificate};
use crate::user::set_mode;

const READY_WITHIN: Duration = Duration::from_secs(60);

/// Creates servers.
#[derive(Debug)]
pub struct PostgresKit {
    binaries: Binaries,
    folder: PathBuf,
    // Holds `folder` when it could not be below the data folder; removed with this value.
    _temporary: Option<tempfile::TempDir>,
    certificate: ServerCertificate,
    ca_file: PathBuf,
    settings: &'static [&'static str],
    counter: AtomicU32,
}

/// The settings of a kind of server.
#[derive(Debug, Clone, Copy)]
pub struct Flavour {
    /// Name of the CA and of its file, `NAME-ca.pem`.
    pub name: &'static str,
    /// Statements for `template1`, separated by empty lines, which apply to every database of every
    /// server.
    pub catalog: &'static str,
    /// Lines of `pg_hba.conf` for connections over the wire; over the socket the system user is
    /// trusted.
    pub wire: &'static str,
    /// Further settings, such as `password_encryption=md5`.
    pub settings: &'static [&'static str],
}

impl Flavour {
    /// A server as Amazon RDS runs it: TLS only, passwords as SCRAM verifiers.
    pub const RDS: Self = Self {
        name: "rds",
        catalog: "",
        wire: "hostssl all all 127.0.0.1/32 scram-sha-256\n",
        settings: &["password_encryption=scram-sha-256"],
    };
}

impl PostgresKit {
    /// Runs `initdb` once, with the flavour's catalog in `template1`.
    ///
    /// Blocks for about two seconds; with a `cache` folder that an earlier run has filled, for a
    /// fraction of that.
    ///
    /// # Errors
    /// PostgreSQL is missing or fails.
    pub fn prepare(data_dir: &Path, flavour: Flavour, cache: Option<&Path>) -> Result<Self, ServerError> {
        let binaries = Binaries::find()?;
        // The other user must be able to pass through the data folder itself.
        let metadata = std::fs::metadata(data_dir)
            .map_err(|source| ServerError::file("cannot read the data folder", data_dir, source))?;
        set_mode(data_dir, metadata.permissions().mode() | 0o111)?;
        let (folder, temporary) = engine_folder(data_dir, &binaries)?;
        binaries.user().folder(&folder)?;
        let ca_file = data_dir.join(format!("{}-ca.pem", flavour.name));
        let certificate = tls::make(flavour.name, &ca_file)?;
        let kit = Self {
            binaries,
            folder,
            _temporary: temporary,
            certificate,
            ca_file,
            settings: flavour.settings,
            counter: AtomicU32::new(0),
        };
        kit.make_template(flavour, cache)?;
        Ok(kit)
    }

    /// The file with the certificate of the CA that signed every server's certificate.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    fn make_template(&self, flavour: Flavour, cache: Option<&Path>) -> Result<(), ServerError> {
        let template = self.folder.join("template");
        template::make(&self.binaries, &template, flavour.catalog, cache)?;
        let user = self.binaries.user();
        user.write(&template.join("pg_hba.conf"), &format!("local all all trust\n{}", flavour.wire))?;
        user.write(&template.join("server.crt"), &self.certificate.certificate)?;
        user.write(&template.join("server.key"), &self.certificate.key)
    }

    /// A new, stopped server.
    ///
    /// # Errors
    /// The template cannot be copied.
    pub fn create(&self) -> Result<Server, ServerError> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed) + 1;
        let data = self.folder.join(format!("server-{number}"));
        template::copy(&self.folder.join("template"), &data)?;
        let sockets = self.folder.join(format!("s{number}"));
        self.binaries.user().folder(&sockets)?;
        let log = self.folder.join(format!("server-{number}.log"));
        let port = free_port()?;
        Ok(Server {
            data,
            log,
            address: Address { socket_folder: sockets, port },
            binaries: self.binaries.clone(),
            settings: self.settings,
            process: Mutex::new(None),
        })
    }
}

/// A server of PostgreSQL: its data, its port, and its process while it runs.
#[derive(Debug)]
pub struct Server {
    data: PathBuf,
    log: PathBuf,
    address: Address,
    binaries: Binaries,
    settings: &'static [&'static str],
    process: Mutex<Option<Process>>,
}

impl Server {
    /// The port on 127.0.0.1; it stays the same through pause and resume.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port
    }

    /// Everything that the server has logged.
    #[must_use]
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Starts the server and waits until it accepts connections.
    ///
    /// # Errors
    /// It ends or is not ready in time; the error has the end of its log.
    pub async fn start(&self) -> Result<(), ServerError> {
        let mut command = self.binaries.command("postgres", true);
        command.arg("-D").arg(&self.data).args(["-F", "-c", "listen_addresses=127.0.0.1"]);
        let settings = [
            format!("port={}", self.address.port),
            format!("unix_socket_directories={}", self.address.socket_folder.display()),
            "ssl=on".to_owned(),
            "synchronous_commit=off".to_owned(),
            "full_page_writes=off".to_owned(),
            "max_connections=250".to_owned(),
            "shared_buffers=16MB".to_owned(),
            "timezone=UTC".to_owned(),
            "log_min_messages=fatal".to_owned(),
            "log_min_error_statement=panic".to_owned(),
        ];
        for setting in settings.iter().map(String::as_str).chain(self.settings.iter().copied()) {
            command.arg("-c").arg(setting);
        }
        // SIGINT is PostgreSQL's fast shutdown.
        *self.lock() = Some(Process::start(command, &self.log, Signal::SIGINT)?);
        self.wait_ready().await
    }

    async fn wait_ready(&self) -> Result<(), ServerError> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if self.connect("postgres", &Login::system()).await.is_ok() {
                return Ok(());
            }
            if let Some(log) = self.given_up(deadline) {
                let seconds = READY_WITHIN.as_secs();
                return Err(ServerError::NotReady { name: "PostgreSQL", seconds, log });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The end of the log, if the process has ended or the time is up.
    fn given_up(&self, deadline: Instant) -> Option<String> {
        let mut process = self.lock();
        let ended = process.as_mut().is_none_or(Process::has_ended);
        let given_up = ended || Instant::now() > deadline;
        given_up.then(|| process.as_ref().map(Process::log_tail).unwrap_or_default())
    }

    /// Stops the server with a fast shutdown and waits for its end.
    pub fn stop(&self) {
        let running = self.lock().take();
        drop(running);
    }

    /// Returns true if the process has been started and not stopped.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.lock().is_some()
    }

    /// Opens a session.
    ///
    /// # Errors
    /// PostgreSQL's error.
    pub async fn connect(&self, database: &str, login: &Login) -> Result<Client, tokio_postgres::Error> {
        connect(&self.address, database, login).await
    }

    /// Removes the data; the server must have been stopped.
    pub fn remove(&self) {
        // The rest is removed with the data folder.
        let _left = std::fs::remove_dir_all(&self.data);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Below the data folder, unless a socket's path would get too long there (107 bytes at most, the
/// name takes about 30) or the user that PostgreSQL runs as cannot get there.
fn engine_folder(
    data_dir: &Path,
    binaries: &Binaries,
) -> Result<(PathBuf, Option<tempfile::TempDir>), ServerError> {
    let wanted = data_dir.join("postgres");
    if wanted.as_os_str().len() < 70 && binaries.user().can_pass(data_dir) {
        std::fs::create_dir_all(&wanted)
            .map_err(|source| ServerError::file("cannot create the data folder", &wanted, source))?;
        return Ok((wanted, None));
    }
    let temporary = crate::temporary::folder("sluice-pg-")?;
    Ok((temporary.path().to_path_buf(), Some(temporary)))
}
