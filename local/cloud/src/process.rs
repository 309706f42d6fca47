//! Runs commands to their end, or as servers with a log.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use crate::Error;

/// Runs a command to its end and returns its output.
///
/// # Errors
/// The command could not be started, or failed.
pub fn run(command: &mut Command) -> Result<Output, Error> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(Error::io(format!("start {}", command.get_program().to_string_lossy())))?;
    if output.status.success() {
        return Ok(output);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8_lossy(&output.stdout);
    Err(failure(command, output.status, last_line(&errors).or_else(|| last_line(&printed))))
}

/// The error of a command that ended with `status`.
pub fn failure(command: &Command, status: ExitStatus, last_line: Option<&str>) -> Error {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy();
    let words = command.get_args().map(|word| word.to_string_lossy());
    let line = std::iter::once(program).chain(words).collect::<Vec<_>>().join(" ");
    let command = match line.char_indices().nth(120) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line,
    };
    Error::Command {
        command,
        status: status.to_string(),
        last_line: last_line.unwrap_or("no output").to_owned(),
    }
}

/// The line of a command's output with its error: the last one with the word error, else the last
/// one.
pub(crate) fn last_line(text: &str) -> Option<&str> {
    let mut lines = text.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let last = lines.clone().next();
    lines.find(|line| line.to_ascii_lowercase().contains("error")).or(last)
}

/// A server: its log, and how it ended if it did.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    log: PathBuf,
    ended: Arc<Mutex<Option<ExitStatus>>>,
}

impl Server {
    /// Watches a child and reaps it when it ends, so that it does not stay as a zombie that looks
    /// alive.
    pub(crate) fn watch(name: &'static str, mut child: Child, log: PathBuf) -> Self {
        let ended = Arc::new(Mutex::new(None));
        let seen = Arc::clone(&ended);
        thread::spawn(move || {
            if let Ok(status) = child.wait() {
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
            }
        });
        Self { name, log, ended }
    }

    /// Checks that the server has not ended.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match *self.ended.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(status) => Err(self.error(format!("ended with {status}"))),
            None => Ok(()),
        }
    }

    /// Returns an error of this server that names its log.
    pub(crate) fn error(&self, what: String) -> Error {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let last_line = last_line(&text).map(|line| format!("; it ends with: {line}")).unwrap_or_default();
        Error::Start { part: self.name, what, log: self.log.clone(), last_line }
    }
}

/// Opens a log for both outputs of a server.
pub(crate) fn log_file(path: &Path) -> Result<File, Error> {
    File::create(path).map_err(Error::io(format!("create {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_with_the_error_is_shown_rather_than_advice_after_it() {
        assert_eq!(last_line("start\nERROR: port in use\n  try another\n\n"), Some("ERROR: port in use"));
        assert_eq!(last_line("one\n two \n"), Some("two"));
        assert_eq!(last_line(" \n"), None);
    }
}
