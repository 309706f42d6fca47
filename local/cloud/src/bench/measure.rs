//! The measurement of one start of one program.

use std::{
    collections::BTreeMap,
    fs,
    process::{Child, Command, Stdio},
    sync::mpsc::RecvTimeoutError,
    time::{Duration, Instant},
};

use cloud::Error;

use super::{
    runtime_api::{RuntimeApi, Sign},
    subject::Subject,
};

const PATIENCE: Duration = Duration::from_secs(10);
/// Events for each process. The warm call is the median of all but the first: in Python a full
/// garbage collection happens in one of the first few.
const CALLS: usize = 10;

/// The measurements of one start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// Time from the start of the process to its first request for an event.
    pub(super) start: Duration,
    /// Time from the first event to its response.
    pub(super) first: Duration,
    /// Median of that time for the other events.
    pub(super) warm: Duration,
    /// Peak memory, in KiB.
    pub(super) memory: u64,
}

/// Kills the function at the end of its measurement.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may already have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the program, sends its events, and ends it.
pub(super) fn measure(subject: &Subject) -> Result<Sample, Error> {
    let api =
        RuntimeApi::start().map_err(|source| Error::Io { action: "listen on 127.0.0.1".into(), source })?;
    let event = subject.event(&api.address).to_string().into_bytes();
    let environment = subject.environment(&api.address);
    let wrong = |what: String| Error::Command {
        command: subject.name.trim().to_owned(),
        status: "an unfit measurement".into(),
        last_line: what,
    };

    let spawned = Instant::now();
    let child = Command::new(&subject.program)
        .args(&subject.arguments)
        .current_dir(&subject.folder)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|source| Error::Io { action: format!("start {}", subject.program.display()), source })?;
    let running = Running(child);

    let (mut polls, mut sent, mut calls, mut called) = (Vec::new(), spawned, Vec::new(), Vec::new());
    // The last poll stays open, because a closed one would end the function before its memory is
    // read.
    let mut waits = None;
    while calls.len() < CALLS || polls.len() <= CALLS {
        match api.signs.recv_timeout(PATIENCE) {
            Ok(Sign::Next(at, reply)) => {
                polls.push(at - spawned);
                if polls.len() <= CALLS {
                    sent = Instant::now();
                    reply
                        .send(event.clone())
                        .map_err(|_| wrong("closed the connection while it requested an event".into()))?;
                } else {
                    waits = Some(reply);
                }
            }
            Ok(Sign::Answered { at, success: true, .. }) => calls.push(at - sent),
            Ok(Sign::Answered { text, .. }) => return Err(wrong(format!("responded with an error: {text}"))),
            Ok(Sign::Called(target)) => called.push(target),
            Ok(Sign::OtherCall(target)) => return Err(wrong(format!("called {target}"))),
            Ok(Sign::InitError(text)) => return Err(wrong(format!("could not start: {text}"))),
            Ok(Sign::CustomResource(text)) if text.contains("FAILED") => {
                return Err(wrong(format!("rejected the Delete: {text}")));
            }
            Ok(Sign::CustomResource(_)) => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                return Err(wrong(format!("did nothing for {} s", PATIENCE.as_secs())));
            }
        }
    }
    // Other calls mean that it did not do the work that is measured.
    let expected = subject.calls().repeat(calls.len());
    let (expected, found) = (counted(&expected), counted(&called));
    if found != expected {
        return Err(wrong(format!("called {found:?} for {} events, expected {expected:?}", calls.len())));
    }
    let memory = peak_memory(&running.0).ok_or_else(|| wrong("has no VmHWM in /proc".into()))?;
    drop(waits);
    let (first, others) = calls.split_at_mut(1);
    others.sort_unstable();
    match (polls.as_slice(), first, others.get(others.len() / 2)) {
        ([start, ..], [first], Some(warm)) => {
            Ok(Sample { start: *start, first: *first, warm: *warm, memory })
        }
        _ => Err(wrong("did not respond".into())),
    }
}

/// The number of calls of each action.
fn counted<T: AsRef<str>>(calls: &[T]) -> BTreeMap<&str, usize> {
    let mut found = BTreeMap::new();
    for call in calls {
        *found.entry(call.as_ref()).or_default() += 1;
    }
    found
}

/// Peak memory of a process, in KiB (proc(5), VmHWM).
fn peak_memory(process: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).ok()?;
    high_water(&status)
}

fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_whatever_their_order() {
        assert_eq!(counted(&["b", "a", "b"]), counted(&["b".to_owned(), "b".to_owned(), "a".to_owned()]));
        assert_ne!(counted(&["b", "a", "b"]), counted(&["b", "a"]));
    }

    #[test]
    fn the_peak_is_read_from_what_the_kernel_writes() {
        assert_eq!(high_water("Name:\tbootstrap\nVmPeak:\t   90000 kB\nVmHWM:\t    7348 kB\n"), Some(7348));
        assert_eq!(high_water("Name:\tkthreadd\n"), None);
    }
}
