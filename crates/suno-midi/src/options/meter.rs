//! A metre: how many beats a bar has.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// A metre: how many beats a bar has, and what a beat is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Meter {
    /// The beats of a bar.
    pub beats: u8,
    /// Whether a beat has three eighths, as in 6/8 and 12/8, instead of two.
    pub compound: bool,
}

impl Meter {
    /// Four quarters.
    pub const COMMON: Self = Self::simple(4);

    /// This many quarters.
    pub const fn simple(beats: u8) -> Self {
        Self { beats, compound: false }
    }

    /// This many dotted quarters.
    pub const fn compound(beats: u8) -> Self {
        Self { beats, compound: true }
    }

    /// The same metre with another number of beats.
    pub const fn with_beats(self, beats: u8) -> Self {
        Self { beats, ..self }
    }

    /// The eighths of a beat.
    pub const fn eighths(self) -> u32 {
        if self.compound { 3 } else { 2 }
    }

    /// The quarters of a beat.
    pub fn quarters(self) -> f64 {
        f64::from(self.eighths()) / 2.0
    }

    /// The upper and the lower number of the time signature.
    pub const fn signature(self) -> (u8, u8) {
        if self.compound {
            (self.beats * 3, 8)
        } else {
            (self.beats, 4)
        }
    }
}

/// A text that is not a [`Meter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a metre is 2/4 to 7/4, 6/8, 9/8 or 12/8")]
pub struct BadMeter;

impl FromStr for Meter {
    type Err = BadMeter;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let simple = (2..=7).map(Self::simple);
        let compound = (2..=4).map(Self::compound);
        simple
            .chain(compound)
            .find(|meter| meter.to_string() == text)
            .ok_or(BadMeter)
    }
}

impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (upper, lower) = self.signature();
        write!(f, "{upper}/{lower}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metre_is_written_as_musicians_write_it() {
        assert_eq!(Meter::COMMON.to_string(), "4/4");
        assert_eq!(
            Meter {
                beats: 4,
                compound: true
            }
            .to_string(),
            "12/8"
        );
        assert_eq!("3/4".parse(), Ok(Meter::simple(3)));
        for meter in ["2/4", "7/4", "6/8", "9/8", "12/8"] {
            assert_eq!(
                meter.parse().map(|meter: Meter| meter.to_string()),
                Ok(meter.to_owned())
            );
        }
        for bad in ["", "4", "1/4", "8/4", "3/8", "4/8", "15/8"] {
            assert_eq!(bad.parse::<Meter>(), Err(BadMeter), "{bad}");
        }
    }
}
