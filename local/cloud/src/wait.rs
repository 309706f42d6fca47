//! Waits for conditions.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::Error;

/// The outcome of a check of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen<T> {
    /// The condition is true, with its value.
    Yes(T),
    /// The condition is not true yet; the text describes the current state.
    NotYet(String),
}

/// Checks a condition until it is true, first at short intervals.
///
/// # Errors
/// An error of the check at once, or after `deadline` the last state.
pub fn until<T>(
    what: &str,
    deadline: Duration,
    mut look: impl FnMut() -> Result<Seen<T>, Error>,
) -> Result<T, Error> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(10);
    loop {
        match look()? {
            Seen::Yes(found) => return Ok(found),
            Seen::NotYet(seen) if started.elapsed() > deadline => {
                return Err(Error::Timeout { what: what.to_owned(), seen, waited: deadline });
            }
            Seen::NotYet(_) => thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(250));
    }
}
