//! One line for each step while it runs: on a terminal it counts the seconds in place, elsewhere it says from time to
//! time that it is still at it.

use std::{
    io::{self, IsTerminal, Write},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use crate::unless_interrupted;

/// How often a step that takes long says so where lines cannot be written over.
const REMINDER: Duration = Duration::from_secs(20);

/// Runs a step with its line; the mark at the end tells how it went.
pub(crate) fn step<T, E>(what: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let started = Instant::now();
    let (done, over) = mpsc::channel::<()>();
    let terminal = io::stdout().is_terminal();
    let outcome = thread::scope(|scope| {
        scope.spawn(move || {
            let pace = if terminal { Duration::from_millis(200) } else { REMINDER };
            loop {
                if terminal {
                    write(&format!("\r  · {what:<52}{:>6.1} s ", started.elapsed().as_secs_f32()));
                }
                match over.recv_timeout(pace) {
                    Err(RecvTimeoutError::Timeout) if !terminal => {
                        write(&format!("  · {what:<52}{:>6.1} s so far\n", started.elapsed().as_secs_f32()));
                    }
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
    let mark = if outcome.is_ok() { '✓' } else { '✗' };
    let start = if terminal { "\r" } else { "" };
    write(&format!("{start}  {mark} {what:<52}{:>6.1} s \n", started.elapsed().as_secs_f32()));
    outcome
}

/// Prints. A reader that has gone away is no failure of the demo.
pub(crate) fn write(text: &str) {
    let mut output = io::stdout().lock();
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}
