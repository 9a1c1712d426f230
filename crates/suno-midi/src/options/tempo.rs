//! How the tempo is chosen, and where a downbeat is.

use std::{fmt, str::FromStr};

use serde::Serialize;
use thiserror::Error;

use crate::score::MAX_START_SECONDS;

/// How the tempo of a song's files is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum TempoChoice {
    /// Inferred from the notes. 120 BPM if no beat is found.
    #[default]
    Auto,
    /// 120 BPM, with bars from the beginning of the audio.
    Off,
    /// This many beats per minute, [`TempoChoice::MIN_BPM`] to [`TempoChoice::MAX_BPM`]. The first downbeat is still
    /// inferred.
    Bpm(f64),
    /// Inferred from the notes, but of the tempo and its octaves, the one nearest to this many beats per minute.
    Near(f64),
}

/// A text that is not a [`TempoChoice`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the tempo must be \"auto\", \"off\", a number of beats per minute from {min} to {max}, or ~ and such a number", min = TempoChoice::MIN_BPM, max = TempoChoice::MAX_BPM)]
pub struct BadTempoChoice;

impl TempoChoice {
    /// The slowest tempo that can be chosen.
    pub const MIN_BPM: f64 = 20.0;
    /// The fastest tempo that can be chosen.
    pub const MAX_BPM: f64 = 400.0;
}

impl FromStr for TempoChoice {
    type Err = BadTempoChoice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bpm = |number: &str| {
            let bpm: f64 = number.parse().map_err(|_| BadTempoChoice)?;
            (Self::MIN_BPM..=Self::MAX_BPM)
                .contains(&bpm)
                .then_some(bpm)
                .ok_or(BadTempoChoice)
        };
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            text => match text.strip_prefix('~') {
                Some(number) => bpm(number).map(Self::Near),
                None => bpm(text).map(Self::Bpm),
            },
        }
    }
}

impl fmt::Display for TempoChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Off => f.write_str("off"),
            Self::Bpm(bpm) => write!(f, "{bpm}"),
            Self::Near(bpm) => write!(f, "~{bpm}"),
        }
    }
}

/// A downbeat, in seconds from the beginning of the audio: a time at which a note can begin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Downbeat(f64);

impl Downbeat {
    /// Its seconds.
    pub fn seconds(self) -> f64 {
        self.0
    }
}

/// A text that is not a [`Downbeat`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a downbeat is a number of seconds from 0 to {MAX_START_SECONDS}")]
pub struct BadDownbeat;

impl FromStr for Downbeat {
    type Err = BadDownbeat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let seconds: f64 = text.parse().map_err(|_| BadDownbeat)?;
        let is_time = (0.0..=MAX_START_SECONDS).contains(&seconds);
        is_time.then_some(Self(seconds)).ok_or(BadDownbeat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tempo_choice_is_auto_off_a_number_or_about_a_number() {
        assert_eq!("auto".parse(), Ok(TempoChoice::Auto));
        assert_eq!("off".parse(), Ok(TempoChoice::Off));
        assert_eq!("92.5".parse(), Ok(TempoChoice::Bpm(92.5)));
        assert_eq!("~92.5".parse(), Ok(TempoChoice::Near(92.5)));
        assert_eq!("20".parse(), Ok(TempoChoice::Bpm(20.0)));
        assert_eq!("400".parse(), Ok(TempoChoice::Bpm(400.0)));
        for bad in ["", "fast", "0", "19", "401", "NaN", "inf", "-90", "~", "~19", "~~92"] {
            assert_eq!(bad.parse::<TempoChoice>(), Err(BadTempoChoice), "{bad}");
        }
        for choice in [
            TempoChoice::Auto,
            TempoChoice::Off,
            TempoChoice::Bpm(92.5),
            TempoChoice::Near(92.0),
        ] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
    }

    #[test]
    fn a_downbeat_is_a_time_at_which_a_note_can_begin() {
        for (text, seconds) in [("0", 0.0), ("1.23", 1.23), ("21600", 21_600.0)] {
            assert_eq!(text.parse(), Ok(Downbeat(seconds)));
        }
        for bad in ["", "-0.1", "21601", "NaN", "inf", "1:23"] {
            assert_eq!(bad.parse::<Downbeat>(), Err(BadDownbeat), "{bad}");
        }
        assert_eq!(
            BadDownbeat.to_string(),
            "a downbeat is a number of seconds from 0 to 21600"
        );
    }

    #[test]
    fn a_bad_tempo_choice_names_the_bounds() {
        assert_eq!(
            BadTempoChoice.to_string(),
            "the tempo must be \"auto\", \"off\", a number of beats per minute from 20 to 400, or ~ and such a number"
        );
    }
}
