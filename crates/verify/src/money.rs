//! Amounts of money.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// An amount in US dollars, in millionths, so that sums are exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usd(u64);

impl Usd {
    /// The largest amount that is accepted, so that sums cannot overflow.
    const LARGEST: f64 = 1e6;

    /// Returns an amount of dollars, or `None` if it is negative, not a number or above a million.
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        if !(0.0..=Self::LARGEST).contains(&dollars) {
            return None;
        }
        // In range, so the cast is exact up to the rounding.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Some(Self((dollars * 1e6).round() as u64))
    }

    /// Returns the sum of two amounts.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Returns true for nothing.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    fn dollars(self) -> f64 {
        // At most 1e12 millionths, which a double holds exactly.
        #[allow(clippy::cast_precision_loss)]
        let millionths = self.0 as f64;
        millionths / 1e6
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = if self.0.is_multiple_of(10_000) { 2 } else { 4 };
        write!(f, "${:.decimals$}", self.dollars())
    }
}

impl std::str::FromStr for Usd {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.trim_start_matches('$').parse().ok();
        number.and_then(Self::from_dollars).ok_or_else(|| {
            format!("'{text}' is not an amount of US dollars; give a number from 0 to 1000000, such as 2.50")
        })
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let dollars = f64::deserialize(deserializer)?;
        Self::from_dollars(dollars)
            .ok_or_else(|| D::Error::custom(format!("{dollars} is not an amount of US dollars")))
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.dollars())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenths_of_cents_add_up_exactly() {
        let tenth = Usd::from_dollars(0.001).unwrap();
        let sum = (0..1000).fold(Usd::default(), |sum, _| sum.plus(tenth));
        assert_eq!(sum, Usd::from_dollars(1.0).unwrap());
        assert_eq!((sum.to_string(), tenth.to_string()), ("$1.00".into(), "$0.0010".into()));
    }

    #[test]
    fn negative_and_absurd_amounts_are_rejected() {
        for text in ["-1", "NaN", "inf", "1e7", "two"] {
            assert!(text.parse::<Usd>().unwrap_err().contains(text));
        }
    }
}
