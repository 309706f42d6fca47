//! One template made at start, one server copied from it per warehouse.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_postgres::Client;

use super::connect::{Address, Login, connect};
use super::spawn::Spawner;
use super::tls::{self, ServerCertificate};
use super::{Binaries, PostgresError, template};

const READY_WITHIN: Duration = Duration::from_secs(60);

/// What is needed to make servers.
#[derive(Debug)]
pub struct PostgresKit {
    binaries: Binaries,
    spawner: Spawner,
    folder: PathBuf,
    // Holds `folder` when it could not be below the data folder; removed with this value.
    _temporary: Option<tempfile::TempDir>,
    certificate: ServerCertificate,
    ca_file: PathBuf,
    settings: &'static [&'static str],
    counter: AtomicU32,
}

/// What servers are made for.
#[derive(Debug, Clone, Copy)]
pub struct Flavour {
    /// Names the CA and its file, `NAME-ca.pem`.
    pub name: &'static str,
    /// Statements for `template1`, separated by empty lines, so that every database of every server has what they make.
    pub catalog: &'static str,
    /// Lines of `pg_hba.conf` for connections over the wire; over the socket the system user is trusted.
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
    /// Blocks for about two seconds; with a `cache` folder that an earlier run has filled, for a fraction of that.
    ///
    /// # Errors
    /// PostgreSQL is missing or refuses.
    pub fn prepare(data_dir: &Path, flavour: Flavour, cache: Option<&Path>) -> Result<Self, PostgresError> {
        let binaries = Binaries::find()?;
        // The other user must be able to pass through the data folder itself.
        let metadata = std::fs::metadata(data_dir)
            .map_err(|source| PostgresError::file("cannot read the data folder", data_dir, source))?;
        set_mode(data_dir, metadata.permissions().mode() | 0o111)?;
        let (folder, temporary) = engine_folder(data_dir, &binaries)?;
        binaries.hand_over(&folder)?;
        set_mode(&folder, 0o700)?;
        let ca_file = data_dir.join(format!("{}-ca.pem", flavour.name));
        let certificate = tls::make(flavour.name, &ca_file)?;
        let kit = Self {
            binaries,
            spawner: Spawner::new(),
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

    fn make_template(&self, flavour: Flavour, cache: Option<&Path>) -> Result<(), PostgresError> {
        let template = self.folder.join("template");
        template::make(&self.binaries, &template, flavour.catalog, cache)?;
        self.write(&template.join("pg_hba.conf"), &format!("local all all trust\n{}", flavour.wire))?;
        self.write(&template.join("server.crt"), &self.certificate.certificate)?;
        self.write(&template.join("server.key"), &self.certificate.key)
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), PostgresError> {
        std::fs::write(path, text).map_err(|source| PostgresError::file("cannot write", path, source))?;
        set_mode(path, 0o600)?;
        self.binaries.hand_over(path)
    }

    /// A new, stopped server.
    ///
    /// # Errors
    /// The template cannot be copied.
    pub fn create(&self) -> Result<Server, PostgresError> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed) + 1;
        let data = self.folder.join(format!("server-{number}"));
        template::copy(&self.folder.join("template"), &data)?;
        let sockets = self.folder.join(format!("s{number}"));
        std::fs::create_dir_all(&sockets)
            .map_err(|source| PostgresError::file("cannot create the socket folder", &sockets, source))?;
        set_mode(&sockets, 0o700)?;
        self.binaries.hand_over(&sockets)?;
        let log = self.folder.join(format!("server-{number}.log"));
        let port = free_port(&self.folder)?;
        Ok(Server {
            data,
            log,
            address: Address { socket_folder: sockets, port },
            binaries: self.binaries.clone(),
            spawner: self.spawner.clone(),
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
    spawner: Spawner,
    settings: &'static [&'static str],
    process: Mutex<Option<Child>>,
}

impl Server {
    /// The port on 127.0.0.1; it stays the same through pause and resume.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port
    }

    /// Starts the server and waits until it takes connections.
    ///
    /// # Errors
    /// It ends or is not ready in time; the end of its log is in the error.
    pub async fn start(&self) -> Result<(), PostgresError> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(|source| PostgresError::file("cannot open the log", &self.log, source))?;
        let errors = log
            .try_clone()
            .map_err(|source| PostgresError::file("cannot open the log", &self.log, source))?;
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
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = self.spawner.spawn(command).map_err(|error| PostgresError::Program {
            program: "postgres".to_owned(),
            output: error.to_string(),
        })?;
        *self.lock() = Some(child);
        self.wait_ready().await
    }

    async fn wait_ready(&self) -> Result<(), PostgresError> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if self.connect("postgres", &Login::system()).await.is_ok() {
                return Ok(());
            }
            let ended = match self.lock().as_mut() {
                Some(child) => child.try_wait().ok().flatten().is_some(),
                None => true,
            };
            if ended || Instant::now() > deadline {
                return Err(PostgresError::NotReady {
                    seconds: READY_WITHIN.as_secs(),
                    log: tail(&self.log),
                });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Stops the server with a fast shutdown and waits for its end.
    pub fn stop(&self) {
        let Some(mut child) = self.lock().take() else { return };
        if let Ok(pid) = i32::try_from(child.id()) {
            // It may have ended by itself.
            let _gone = kill(Pid::from_raw(pid), Signal::SIGINT);
        }
        let deadline = Instant::now() + Duration::from_secs(15);
        while Instant::now() < deadline {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _gone = child.kill();
        let _reaped = child.wait();
    }

    /// Whether the process has been started and not stopped.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.lock().is_some()
    }

    /// Opens a session.
    ///
    /// # Errors
    /// As PostgreSQL reports it.
    pub async fn connect(&self, database: &str, login: &Login) -> Result<Client, tokio_postgres::Error> {
        connect(&self.address, database, login).await
    }

    /// Removes the data; the server must have been stopped.
    pub fn remove(&self) {
        // What is left goes with the data folder.
        let _left = std::fs::remove_dir_all(&self.data);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Below the data folder, unless a socket's path would get too long there (107 bytes at most, the name takes about 30) or
/// the user that PostgreSQL runs as cannot get there.
fn engine_folder(
    data_dir: &Path,
    binaries: &Binaries,
) -> Result<(PathBuf, Option<tempfile::TempDir>), PostgresError> {
    let wanted = data_dir.join("postgres");
    if wanted.as_os_str().len() < 70 && binaries.can_pass(data_dir) {
        std::fs::create_dir_all(&wanted)
            .map_err(|source| PostgresError::file("cannot create the data folder", &wanted, source))?;
        return Ok((wanted, None));
    }
    let temporary = tempfile::Builder::new()
        .prefix("sluice-pg-")
        .tempdir_in("/tmp")
        .map_err(|source| PostgresError::file("cannot create a data folder in", Path::new("/tmp"), source))?;
    Ok((temporary.path().to_path_buf(), Some(temporary)))
}

/// A port that nothing listens on, outside of the range from which systems take the local ports of connections: a paused
/// server must find it free again.
fn free_port(folder: &Path) -> Result<u16, PostgresError> {
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrInUse);
    for _ in 0..100 {
        let port = fastrand::u16(20_000..32_000);
        match std::net::TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(PostgresError::file("no free port for the server of", folder, last))
}

fn set_mode(path: &Path, mode: u32) -> Result<(), PostgresError> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|source| PostgresError::file("cannot set the mode", path, source))
}

fn tail(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" | ")
}
