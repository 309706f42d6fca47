//! Commands, time and terminal of the machine that runs the checks.

use std::{
    io::{self, BufRead, IsTerminal, Read, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use nix::{sys::signal, unistd::Pid};

use crate::ports::{Clock, Operator, Ran, Runner};

/// Runs commands as processes.
#[derive(Debug, Clone)]
pub struct Processes {
    /// The program for `aws`.
    pub aws: String,
}

impl Runner for Processes {
    fn run(&self, words: &[String], limit: Duration, abandon: &dyn Fn() -> bool) -> Ran {
        let failed = |stderr: String| Ran { succeeded: false, stdout: String::new(), stderr };
        let Some((program, rest)) = words.split_first() else { return failed("an empty command".into()) };
        let program = if program == "aws" { &self.aws } else { program };
        let mut command = Command::new(program);
        command
            .args(rest)
            .env("AWS_PAGER", "")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // In a group of its own, so that Ctrl-C reaches this program alone, which then decides.
        let mut child = match command.process_group(0).spawn() {
            Ok(child) => child,
            Err(error) => return failed(format!("cannot start {program}: {error}")),
        };
        let read = |stream: Option<Box<dyn Read + Send>>| {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                if let Some(mut stream) = stream {
                    // What was read before an error is still worth showing.
                    let _ = stream.read_to_end(&mut bytes);
                }
                String::from_utf8_lossy(&bytes).into_owned()
            })
        };
        let stdout = read(child.stdout.take().map(|stream| Box::new(stream) as Box<_>));
        let stderr = read(child.stderr.take().map(|stream| Box::new(stream) as Box<_>));
        let ended = wait(&mut child, limit, abandon);
        let stdout = stdout.join().unwrap_or_default();
        let mut stderr = stderr.join().unwrap_or_default();
        if let Err(reason) = &ended {
            stderr = format!("{stderr}\n{reason}");
        }
        Ran { succeeded: ended == Ok(true), stdout, stderr }
    }
}

/// Waits for the end of a process and returns its success, or why it was ended.
fn wait(child: &mut Child, limit: Duration, abandon: &dyn Fn() -> bool) -> Result<bool, String> {
    let began = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) => {}
            Err(error) => return Err(format!("cannot wait for the command: {error}")),
        }
        let reason = if began.elapsed() >= limit {
            format!("the command was ended after {} s", limit.as_secs())
        } else if abandon() {
            "the command was ended because the run stops".into()
        } else {
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(100));
            continue;
        };
        let group = i32::try_from(child.id()).map(Pid::from_raw);
        if let Ok(group) = group {
            // A group that has just ended is not an error.
            let _ = signal::killpg(group, signal::Signal::SIGKILL);
        }
        let _ = child.wait();
        return Err(reason);
    }
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&self, time: Duration) {
        thread::sleep(time);
    }
}

/// The person at the terminal of this process.
#[derive(Debug, Clone)]
pub struct Terminal {
    /// True once Ctrl-C was pressed.
    pub stop: Arc<AtomicBool>,
}

impl Operator for Terminal {
    fn say(&self, line: &str) {
        // A closed terminal must not keep anything from being removed.
        let _ = writeln!(io::stderr(), "{line}");
    }

    fn ask(&self, question: &str) -> Option<bool> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return None;
        }
        loop {
            let _ = write!(io::stderr(), "{question} [y/n] ").and_then(|()| io::stderr().flush());
            let mut line = String::new();
            if stdin.lock().read_line(&mut line).ok()? == 0 || self.wants_to_stop() {
                return None;
            }
            match line.trim() {
                "y" | "yes" => return Some(true),
                "n" | "no" => return Some(false),
                _ => {}
            }
        }
    }

    fn wants_to_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, limit: Duration, abandon: bool) -> Ran {
        let words = ["sh", "-c", script].map(str::to_owned);
        Processes { aws: "aws".into() }.run(&words, limit, &|| abandon)
    }

    #[test]
    fn output_and_status_of_a_command_are_returned() {
        let ran = run("echo out; echo err >&2; exit 3", Duration::from_secs(20), false);
        assert_eq!(ran, Ran { succeeded: false, stdout: "out\n".into(), stderr: "err\n".into() });
    }

    #[test]
    fn command_is_ended_with_its_children_at_the_limit() {
        let began = Instant::now();
        let ran = run("sleep 60 & sleep 60", Duration::from_millis(200), false);
        assert!(!ran.succeeded && ran.stderr.contains("ended after"), "{}", ran.stderr);
        let ran = run("sleep 60", Duration::from_secs(60), true);
        assert!(ran.stderr.contains("the run stops"), "{}", ran.stderr);
        assert!(began.elapsed() < Duration::from_secs(30), "a child outlived its command");
    }

    #[test]
    fn missing_program_is_named() {
        let words = ["sluice-no-such-program".to_owned()];
        let ran = Processes { aws: "aws".into() }.run(&words, Duration::from_secs(1), &|| false);
        assert!(ran.stderr.contains("cannot start sluice-no-such-program"), "{}", ran.stderr);
    }
}
