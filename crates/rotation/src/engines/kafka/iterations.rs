//! The number of iterations of PBKDF2.

use std::num::NonZeroU32;
use std::str::FromStr;

use super::scram::ITERATIONS;

/// The iterations of PBKDF2 for new passwords, within the limits of Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Iterations(pub(super) NonZeroU32);

impl Iterations {
    /// The expected value, for errors.
    pub const EXPECTED: &str = "a number from 4096 to 16384";

    /// Returns the number if it is within the limits.
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).filter(|number| ITERATIONS.contains(&number.get())).map(Self)
    }
}

impl Default for Iterations {
    /// Returns twice the lowest number.
    fn default() -> Self {
        const DEFAULT: NonZeroU32 = NonZeroU32::MIN.saturating_add(8191);
        Self(DEFAULT)
    }
}

/// A text that is not a number within the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", Iterations::EXPECTED)]
pub struct InvalidIterations;

impl FromStr for Iterations {
    type Err = InvalidIterations;

    fn from_str(text: &str) -> Result<Self, InvalidIterations> {
        text.parse().ok().and_then(Self::new).ok_or(InvalidIterations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iterations_are_within_the_limits_of_kafka() {
        assert_eq!(Iterations::default(), "8192".parse().unwrap());
        for wrong in ["4095", "16385", "0", "-1", "many", ""] {
            assert_eq!(wrong.parse::<Iterations>(), Err(InvalidIterations), "{wrong}");
        }
    }
}
