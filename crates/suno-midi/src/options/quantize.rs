//! The grid of the quantized file, and how far notes move to it.

use std::{fmt, str::FromStr};

use serde::Serialize;
use thiserror::Error;

/// Which grid lines the notes of the quantized file move to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quantize {
    /// There is no quantized file.
    #[default]
    Off,
    /// Eighths, `1/8`.
    Eighths,
    /// Eighth triplets, `1/12`.
    EighthTriplets,
    /// Sixteenths, `1/16`.
    Sixteenths,
    /// Sixteenth triplets, `1/24`.
    SixteenthTriplets,
}

impl Quantize {
    /// Every choice.
    pub const ALL: [Self; 5] = [
        Self::Off,
        Self::Eighths,
        Self::EighthTriplets,
        Self::Sixteenths,
        Self::SixteenthTriplets,
    ];

    /// How many lines a whole note has; `None` for [`Quantize::Off`].
    pub fn lines_per_whole_note(self) -> Option<u32> {
        match self {
            Self::Off => None,
            Self::Eighths => Some(8),
            Self::EighthTriplets => Some(12),
            Self::Sixteenths => Some(16),
            Self::SixteenthTriplets => Some(24),
        }
    }
}

impl fmt::Display for Quantize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lines_per_whole_note() {
            None => f.write_str("off"),
            Some(lines) => write!(f, "1/{lines}"),
        }
    }
}

/// A text that is not a [`Quantize`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("notes are quantized to 1/8, 1/12 (eighth triplets), 1/16 or 1/24 (sixteenth triplets), or off")]
pub struct BadQuantize;

impl FromStr for Quantize {
    type Err = BadQuantize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|choice| choice.to_string() == text)
            .ok_or(BadQuantize)
    }
}

/// How far a note moves towards its grid line: 0 (it stays) to 1 (onto the line).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Strength(f64);

impl Strength {
    /// The share of the way to the line, 0 to 1.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Default for Strength {
    fn default() -> Self {
        Self(1.0)
    }
}

impl fmt::Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is not a [`Strength`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the strength of quantizing is a number from 0 to 1")]
pub struct BadStrength;

impl FromStr for Strength {
    type Err = BadStrength;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let share: f64 = text.parse().map_err(|_| BadStrength)?;
        (0.0..=1.0).contains(&share).then_some(Self(share)).ok_or(BadStrength)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_off_or_a_part_of_a_whole_note() {
        for choice in Quantize::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert_eq!("1/16".parse(), Ok(Quantize::Sixteenths));
        for bad in ["", "16", "1/4", "1/17", "1/016", "on"] {
            assert_eq!(bad.parse::<Quantize>(), Err(BadQuantize), "{bad}");
        }
    }

    #[test]
    fn a_strength_is_from_0_to_1() {
        for good in ["0", "0.25", "1"] {
            assert_eq!(good.parse::<Strength>().unwrap().to_string(), good);
        }
        assert_eq!(Strength::default().get(), 1.0);
        for bad in ["", "-0.1", "1.01", "NaN", "inf", "50%"] {
            assert_eq!(bad.parse::<Strength>(), Err(BadStrength), "{bad}");
        }
    }
}
