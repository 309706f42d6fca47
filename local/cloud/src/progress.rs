//! Lines that report progress. On a terminal each replaces the one before it; elsewhere every line
//! stays.

use std::{
    io::{self, IsTerminal, Write},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use crate::unless_interrupted;

/// Interval of the reminders that a step is still running, where lines cannot be replaced.
const REMINDER: Duration = Duration::from_secs(20);
/// Interval at which a step's seconds are counted on a terminal.
const REFRESH: Duration = Duration::from_millis(200);
/// Moves to the start of the terminal's line and clears it.
const CLEAR: &str = "\r\x1b[2K";
/// A longer line could wrap, and then it would not be replaced.
const WIDTH: usize = 79;

/// Reports what takes long; on a terminal the next line replaces it.
pub(crate) fn report(text: &str) {
    if io::stdout().is_terminal() {
        write(&format!("{CLEAR}{}", shortened(text)));
    } else {
        write(&format!("{text}\n"));
    }
}

/// Removes the last line of [`report`] from a terminal.
pub(crate) fn clear() {
    if io::stdout().is_terminal() {
        write(CLEAR);
    }
}

/// Runs a step and shows a line for it: what it does, the seconds it takes, and a mark for its
/// outcome.
pub(crate) fn step<T, E>(what: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let started = Instant::now();
    let (done, over) = mpsc::channel::<()>();
    let terminal = io::stdout().is_terminal();
    let clear = if terminal { CLEAR } else { "" };
    let line =
        |mark: char| shortened(&format!("  {mark} {what:<52}{:>6.1} s", started.elapsed().as_secs_f32()));
    let outcome = thread::scope(|scope| {
        scope.spawn(move || {
            let pace = if terminal { REFRESH } else { REMINDER };
            loop {
                if terminal {
                    write(&format!("{clear}{}", line('·')));
                }
                match over.recv_timeout(pace) {
                    Err(RecvTimeoutError::Timeout) if !terminal => write(&format!("{} so far\n", line('·'))),
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        });
        let outcome = work();
        drop(done);
        outcome
    });
    if outcome.is_err() {
        unless_interrupted();
    }
    write(&format!("{clear}{}\n", line(if outcome.is_ok() { '✓' } else { '✗' })));
    outcome
}

/// The text, cut to the width of a narrow terminal.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(WIDTH) {
        None => text.to_owned(),
        Some(_) => text.chars().take(WIDTH - 1).chain(['…']).collect(),
    }
}

/// Prints. A failure to print, such as a closed pipe, is ignored.
pub(crate) fn write(text: &str) {
    let mut output = io::stdout().lock();
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_line_is_cut_to_the_terminals_width() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"x".repeat(WIDTH)), "x".repeat(WIDTH));
        assert_eq!(shortened(&"é".repeat(WIDTH + 1)), "é".repeat(WIDTH - 1) + "…");
    }
}
