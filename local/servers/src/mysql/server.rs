//! A server with data of its own, on a free port, that accepts connections over TLS only.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{Brand, Programs};
use crate::ServerError;
use crate::process::{Process, free_port};
use crate::{temporary, tls};

const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running server. It is stopped and its data removed when this is dropped.
#[derive(Debug)]
pub struct Server {
    process: Mutex<Process>,
    port: u16,
    ca: String,
    socket: PathBuf,
    general_log: PathBuf,
    error_log: PathBuf,
    // A short path, for the socket: 107 bytes at most. Dropped after the process.
    _folder: tempfile::TempDir,
}

impl Server {
    /// Creates a data folder, or copies one from `cache`, and starts a server on it with further
    /// settings. Blocks for one to ten seconds.
    ///
    /// # Errors
    /// The programs are missing or fail.
    pub fn start(programs: &Programs, cache: &Path, settings: &[&str]) -> Result<Self, ServerError> {
        let folder = temporary::folder("sluice-my-")?;
        let path = folder.path();
        let user = programs.user();
        user.folder(path)?;
        let ca_file = path.join("ca.pem");
        let name = if programs.brand() == Brand::MariaDb { "MariaDB" } else { "MySQL" };
        let certificate = tls::make(name, &ca_file)?;
        let ca = std::fs::read_to_string(&ca_file)
            .map_err(|source| ServerError::file("cannot read", &ca_file, source))?;
        user.write(&ca_file, &ca)?;
        user.write(&path.join("server.crt"), &certificate.certificate)?;
        user.write(&path.join("server.key"), &certificate.key)?;
        let data = path.join("data");
        make_data(programs, &data, cache)?;

        let (socket, general_log, error_log) =
            (path.join("s"), path.join("general.log"), path.join("error.log"));
        let port = free_port()?;
        let mut command = programs.server(true);
        let set = |name: &str, path: &Path| format!("--{name}={}", path.display());
        command.args([
            set("datadir", &data),
            set("socket", &socket),
            set("pid-file", &path.join("pid")),
            set("general-log-file", &general_log),
            set("ssl-ca", &ca_file),
            set("ssl-cert", &path.join("server.crt")),
            set("ssl-key", &path.join("server.key")),
            format!("--port={port}"),
        ]);
        command.args(["--bind-address=127.0.0.1", "--skip-name-resolve", "--require-secure-transport=ON"]);
        command.args([
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=16M",
            "--skip-log-bin",
        ]);
        command.args(["--performance-schema=ON", "--secure-file-priv=", "--max-connect-errors=1000000"]);
        command.args(settings);
        // Both shut down properly on SIGTERM.
        let process = Process::start(command, &error_log, Signal::SIGTERM)?;
        let server =
            Self { process: Mutex::new(process), port, ca, socket, general_log, error_log, _folder: folder };
        server.wait_ready(name)?;
        Ok(server)
    }

    fn wait_ready(&self, name: &'static str) -> Result<(), ServerError> {
        let deadline = Instant::now() + READY_WITHIN;
        while self.execute("SELECT 1").is_err() {
            let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
            if process.has_ended() || Instant::now() > deadline {
                let (seconds, log) = (READY_WITHIN.as_secs(), process.log_tail());
                return Err(ServerError::NotReady { name, seconds, log });
            }
            drop(process);
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate of the CA that signed the server's certificate, as PEM.
    #[must_use]
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// Runs statements as root over the socket, to which no other user has access, and returns
    /// their output: a line a row, columns between tabs.
    ///
    /// # Errors
    /// The server's error for the first statement that fails.
    pub fn execute(&self, statements: &str) -> Result<String, ServerError> {
        let failed = |output: String| ServerError::Program { program: "mysql".to_owned(), output };
        let mut client = Command::new("mysql");
        client.args(["--no-defaults", "--user=root", "--batch", "--raw", "--skip-column-names"]);
        client.args(["--default-character-set=utf8mb4", "--skip-ssl"]);
        client.arg(format!("--socket={}", self.socket.display()));
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = client.spawn().map_err(|error| failed(error.to_string()))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A client that ends early writes the reason to its output.
            let _closed = stdin.write_all(statements.as_bytes());
        }
        let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The general log, if it is on: `SET GLOBAL general_log = ON`.
    #[must_use]
    pub fn general_log(&self) -> String {
        text(&self.general_log)
    }

    /// The server's error log.
    #[must_use]
    pub fn error_log(&self) -> String {
        text(&self.error_log)
    }
}

/// Reads a file of the server, in which names need not be UTF-8.
fn text(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

fn make_data(programs: &Programs, data: &Path, cache: &Path) -> Result<(), ServerError> {
    let mut version = programs.server(false);
    let version = run(version.arg("--version"), "the server")?;
    let mut hash = DefaultHasher::new();
    (&version, programs.brand(), programs.user().id()).hash(&mut hash);
    let kept = cache.join(format!("mysql-template-{:016x}", hash.finish()));
    if !kept.is_dir() {
        run(&mut programs.init(data), "the making of the data folder")?;
        let unfinished = cache.join(format!("{}.tmp", uuid::Uuid::new_v4()));
        copy(data, &unfinished)?;
        if std::fs::rename(&unfinished, &kept).is_err() {
            // Another process was faster and made the same; the rest of ours is only a file in a
            // cache.
            let _left = std::fs::remove_dir_all(&unfinished);
        }
        return Ok(());
    }
    copy(&kept, data)
}

fn copy(from: &Path, to: &Path) -> Result<(), ServerError> {
    run(Command::new("cp").arg("-a").arg(from).arg(to), "cp").map(|_| ())
}

fn run(command: &mut Command, program: &str) -> Result<String, ServerError> {
    let failed = |output: String| ServerError::Program { program: program.to_owned(), output };
    let output = command.stdin(Stdio::null()).output().map_err(|error| failed(error.to_string()))?;
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(text) } else { Err(failed(text)) }
}
