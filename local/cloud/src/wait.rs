//! Waiting for a condition, never for a time.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::Error;

/// What a look at a condition found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen<T> {
    /// It is true, with what there is to know.
    Yes(T),
    /// Not yet; the text says what is there instead.
    NotYet(String),
}

/// Looks again and again until the condition is true; the first looks come quickly after one another.
///
/// # Errors
/// The look's own error at once, or after `deadline` what it saw last.
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
