//! A Kafka broker with SASL/SCRAM: Tansu (<https://github.com/tansu-io/tansu>), two processes of it
//! on one file.
//!
//! One process needs no password; users are created through it. The other is for clients. Tansu has
//! no TLS of its own (0.6 reads `--cert` and `--key` and does not use them), so `front` adds it.

mod front;

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

pub use front::{Cut, Front};

use crate::ServerError;
use crate::process::{Process, free_port, on_path, with_parent};
use crate::tls;

const READY_WITHIN: Duration = Duration::from_secs(30);
/// The time for which the tool is retried.
const TOOL_WITHIN: Duration = Duration::from_secs(10);
/// The error if Tansu is not installed.
const NOT_INSTALLED: ServerError = ServerError::NotInstalled {
    name: "Tansu, a Kafka broker",
    places: "at $TANSU nor on PATH",
    programs: "tansu",
    install: "cargo install tansu --version 0.6.0 --locked --no-default-features --features libsql",
};

/// The program: `$TANSU`, else `tansu` on `PATH`.
///
/// # Errors
/// Tansu is not installed.
pub fn program() -> Result<PathBuf, ServerError> {
    let named = std::env::var_os("TANSU").map(PathBuf::from);
    named.or_else(|| on_path("tansu")).filter(|path| path.is_file()).ok_or(NOT_INSTALLED)
}

/// A SASL mechanism, as Tansu's own tool calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// SCRAM-SHA-256.
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

/// A broker of one cluster.
#[derive(Debug)]
pub struct Broker {
    program: PathBuf,
    folder: PathBuf,
    ca: String,
    bootstrap: u16,
    front: Front,
    _open: Process,
    _closed: Process,
}

impl Broker {
    /// Starts both processes with their file in `folder`, logging from a level on, and TLS before
    /// the one for clients.
    ///
    /// # Errors
    /// Tansu ends or does not listen in time; the error has the end of its log.
    pub fn start(program: &Path, folder: &Path, level: &str) -> Result<Self, ServerError> {
        let ca_file = folder.join("kafka-ca.pem");
        let certificate = tls::make("kafka", &ca_file)?;
        let ca = std::fs::read_to_string(&ca_file)
            .map_err(|source| ServerError::file("cannot read", &ca_file, source))?;
        let (bootstrap, client) = (free_port()?, free_port()?);
        let front = Front::start(&certificate, client)?;
        // One after the other, because both would create the tables.
        let open = run(program, folder, (bootstrap, front.port()), level, &[])?;
        let closed = run(program, folder, (client, front.port()), level, &["--authentication"])?;
        Ok(Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            ca,
            bootstrap,
            front,
            _open: open,
            _closed: closed,
        })
    }

    /// The certificate of the CA that signed the broker's, in PEM form.
    #[must_use]
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// The TLS proxy.
    #[must_use]
    pub fn front(&self) -> &Front {
        &self.front
    }

    /// Sets a user's password, with Tansu's own tool.
    ///
    /// # Errors
    /// The tool failed.
    pub fn set_user(&self, user: &str, password: &str, mechanism: Mechanism) -> Result<(), ServerError> {
        self.tool("create", &["--iterations", "4096"], user, &[password], mechanism)
    }

    /// Removes a user's credential of one mechanism.
    ///
    /// # Errors
    /// The tool failed.
    pub fn delete_user(&self, user: &str, mechanism: Mechanism) -> Result<(), ServerError> {
        self.tool("delete", &[], user, &[], mechanism)
    }

    fn tool(
        &self,
        action: &str,
        options: &[&str],
        user: &str,
        further: &[&str],
        mechanism: Mechanism,
    ) -> Result<(), ServerError> {
        let mechanism = match mechanism {
            Mechanism::Sha256 => "scram256",
            Mechanism::Sha512 => "scram512",
        };
        let broker = format!("tcp://127.0.0.1:{}", self.bootstrap);
        let mut command = Command::new(&self.program);
        command.env("RUST_LOG", "warn").current_dir(&self.folder).args(["user", action, "--broker", &broker]);
        command.args(["--mechanism", mechanism]).args(options).args(["--", user]).args(further);
        let failed = |output: String| ServerError::Program { program: "tansu user".to_owned(), output };
        let deadline = Instant::now() + TOOL_WITHIN;
        loop {
            let output = command.output().map_err(|error| failed(error.to_string()))?;
            if output.status.success() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
            }
            // The database is locked while the other process cleans up, and Tansu does not wait.
            // Both actions may be repeated.
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Everything that both processes have logged.
    #[must_use]
    pub fn log(&self) -> String {
        let of = |entry: std::fs::DirEntry| {
            let path = entry.path();
            path.extension().is_some_and(|end| end == "log").then(|| std::fs::read_to_string(path).ok())?
        };
        std::fs::read_dir(&self.folder).into_iter().flatten().flatten().filter_map(of).collect()
    }
}

fn run(
    program: &Path,
    folder: &Path,
    (port, advertised): (u16, u16),
    level: &str,
    options: &[&str],
) -> Result<Process, ServerError> {
    let address = format!("tcp://127.0.0.1:{port}");
    let advertised = format!("tcp://127.0.0.1:{advertised}");
    let mut command = with_parent(program, Signal::SIGTERM);
    // The path in the address is always relative.
    command.current_dir(folder).env("RUST_LOG", level).args([
        "broker",
        "--storage-engine",
        "sqlite://kafka.db",
    ]);
    command.args(["--listener-url", &address, "--advertised-listener-url", &advertised]).args(options);
    let mut process = Process::start(command, &folder.join(format!("tansu-{port}.log")), Signal::SIGTERM)?;
    let deadline = Instant::now() + READY_WITHIN;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if process.has_ended() || Instant::now() > deadline {
            let (seconds, log) = (READY_WITHIN.as_secs(), process.log_tail());
            return Err(ServerError::NotReady { name: "Tansu", seconds, log });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(process)
}
