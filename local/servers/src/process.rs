//! The process of a server. Its output goes to a file; it is stopped by a signal, and with its
//! owner.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub use local_ports::free_port;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::ServerError;
use crate::spawn::spawn;

/// The time that a server may take to end before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// A running server.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stop: Signal,
    log: PathBuf,
}

impl Process {
    /// Starts a command whose output goes to the file `log`, and which `stop` ends.
    ///
    /// # Errors
    /// The file cannot be written, or the command not started.
    pub fn start(mut command: Command, log: &Path, stop: Signal) -> Result<Self, ServerError> {
        let cannot = |source| ServerError::file("cannot open the log", log, source);
        let output = std::fs::OpenOptions::new().create(true).append(true).open(log).map_err(cannot)?;
        let errors = output.try_clone().map_err(cannot)?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let program = command.get_program().to_string_lossy().into_owned();
        let child =
            spawn(command).map_err(|error| ServerError::Program { program, output: error.to_string() })?;
        Ok(Self { child, stop, log: log.to_path_buf() })
    }

    /// Returns true if the process has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().ok().flatten().is_some()
    }

    /// The last lines of its output.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join(" | ")
    }
}

impl Drop for Process {
    /// Stops it and waits for its end.
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // It may already have ended.
            let _gone = kill(Pid::from_raw(pid), self.stop);
        }
        let deadline = Instant::now() + STOP_WITHIN;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Finds a program on `PATH`.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Returns the command of a program that the kernel ends with `signal` when the thread that started
/// it ends, if `setpriv` is installed.
pub fn with_parent(program: &Path, signal: Signal) -> Command {
    match on_path("setpriv") {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", signal.as_str().trim_start_matches("SIG"), "--"]).arg(program);
            command
        }
        None => Command::new(program),
    }
}
