//! Redis or Valkey with TLS only, users of the access control list, and an administrator on a
//! socket to which no other user has access.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::process::{Process, free_port, on_path, with_parent};
use crate::{ServerError, temporary, tls};

const READY_WITHIN: Duration = Duration::from_secs(30);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Valkey first, as in ElastiCache.
const PROGRAMS: [&str; 2] = ["valkey-server", "redis-server"];
/// The administrator of a server, with a new password in every run.
const ADMIN: &str = "sluice-admin";

/// A running server.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    port: u16,
    folder: PathBuf,
    // A socket's path has at most 107 bytes.
    sockets: tempfile::TempDir,
    ca_file: PathBuf,
    password: String,
}

impl Redis {
    /// Starts a server whose files are in `folder`, with further lines of its configuration, and
    /// waits until it accepts commands.
    ///
    /// # Errors
    /// No server is installed, or it does not become ready; the error has the end of its log.
    pub fn start(folder: &Path, further: &[&str]) -> Result<Self, ServerError> {
        let program = PROGRAMS.iter().find_map(|name| on_path(name)).ok_or(ServerError::NotInstalled {
            name: "Redis or Valkey",
            places: "on PATH",
            programs: "valkey-server, redis-server",
            install: "apt-get install redis-server",
        })?;
        let sockets = temporary::folder("sluice-redis-")?;
        let ca_file = folder.join("redis-ca.pem");
        let certificate = tls::make("Redis", &ca_file)?;
        let (certificate_file, key_file) = (folder.join("server.crt"), folder.join("server.key"));
        let password: String = std::iter::repeat_with(fastrand::alphanumeric).take(32).collect();
        let port = free_port()?;
        let mut lines = vec![
            "port 0".to_owned(),
            "bind 127.0.0.1".to_owned(),
            format!("tls-port {port}"),
            format!("tls-cert-file \"{}\"", certificate_file.display()),
            format!("tls-key-file \"{}\"", key_file.display()),
            format!("tls-ca-cert-file \"{}\"", ca_file.display()),
            "tls-auth-clients no".to_owned(),
            format!("unixsocket \"{}\"", sockets.path().join("s").display()),
            "unixsocketperm 700".to_owned(),
            format!("dir \"{}\"", folder.display()),
            "save \"\"".to_owned(),
            "appendonly no".to_owned(),
            "daemonize no".to_owned(),
            "loglevel debug".to_owned(),
            format!("user {ADMIN} on >{password} ~* &* +@all"),
        ];
        lines.extend(further.iter().map(|line| (*line).to_owned()));
        let configuration = folder.join("redis.conf");
        for (file, text) in [
            (&certificate_file, certificate.certificate.as_str()),
            (&key_file, certificate.key.as_str()),
            (&configuration, lines.join("\n").as_str()),
        ] {
            std::fs::write(file, text).map_err(|source| ServerError::file("cannot write", file, source))?;
            crate::user::set_mode(file, 0o600)?;
        }
        let mut command = with_parent(&program, Signal::SIGTERM);
        command.arg(&configuration);
        let process = Process::start(command, &folder.join("redis.log"), Signal::SIGTERM)?;
        let folder = folder.to_path_buf();
        let mut server = Self { process, port, folder, sockets, ca_file, password };
        server.wait_ready()?;
        Ok(server)
    }

    fn wait_ready(&mut self) -> Result<(), ServerError> {
        let deadline = Instant::now() + READY_WITHIN;
        while self.command(&["PING"]).is_err() {
            if self.process.has_ended() || Instant::now() > deadline {
                let (seconds, log) = (READY_WITHIN.as_secs(), self.process.log_tail());
                return Err(ServerError::NotReady { name: "Redis", seconds, log });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// The port on 127.0.0.1, which accepts TLS only.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The file with the certificate of the CA that signed the server's certificate.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// The server's log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("redis.log")).unwrap_or_default()
    }

    /// The administrator's login: path of the socket, user, password.
    #[must_use]
    pub fn administrator(&self) -> (PathBuf, &'static str, &str) {
        (self.sockets.path().join("s"), ADMIN, &self.password)
    }

    /// The administrator's socket.
    #[must_use]
    pub fn socket(&self) -> AdminSocket {
        AdminSocket { path: self.sockets.path().join("s"), password: self.password.clone() }
    }

    /// Runs a command as the administrator: [`AdminSocket::command`].
    ///
    /// # Errors
    /// The socket fails, or the reply is an error.
    pub fn command(&self, words: &[&str]) -> Result<String, ServerError> {
        self.socket().command(words)
    }
}

/// The administrator's socket, for use in any thread.
#[derive(Clone)]
pub struct AdminSocket {
    path: PathBuf,
    password: String,
}

impl AdminSocket {
    /// Runs a command and returns the server's reply as sent on the wire.
    ///
    /// # Errors
    /// The socket fails, or the reply is an error.
    pub fn command(&self, words: &[&str]) -> Result<String, ServerError> {
        let failed = |output: String| ServerError::Program { program: "Redis".to_owned(), output };
        let mut answer = Vec::new();
        let mut talk = || -> std::io::Result<()> {
            let mut socket = UnixStream::connect(&self.path)?;
            socket.set_read_timeout(Some(ANSWER_WITHIN))?;
            // After QUIT the server closes the connection, so the reply is all data until then.
            for words in [&["AUTH", ADMIN, &self.password], words, &["QUIT"]] {
                write!(socket, "*{}\r\n", words.len())?;
                for word in words {
                    write!(socket, "${}\r\n{word}\r\n", word.len())?;
                }
            }
            socket.read_to_end(&mut answer).map(|_| ())
        };
        talk().map_err(|error| failed(error.to_string()))?;
        let text = String::from_utf8_lossy(&answer).into_owned();
        let answer = text.strip_prefix("+OK\r\n").unwrap_or(&text);
        let answer = answer.strip_suffix("+OK\r\n").unwrap_or(answer);
        if answer.starts_with('-') || answer.is_empty() {
            return Err(failed(answer.trim_end().to_owned()));
        }
        Ok(answer.to_owned())
    }
}
