//! Seconds → ticks, and the bars that they fall into.

use std::{fmt, str::FromStr};

use thiserror::Error;

use super::beat::{self, Beat, MIN_CONFIDENCE};
use crate::score::Score;

/// Ticks per quarter note. At 120 BPM a tick is 1/960 s, five to the provider's grid of 1/192 s,
/// so that grid is exact. At any tempo a time is off by half a tick at most: 0.5 ms at 120 BPM,
/// 1.0 ms at 60.
pub const TICKS_PER_QUARTER: u16 = 480;

/// 120 BPM, in microseconds per quarter note: what a file without a tempo plays at.
const DEFAULT_MICROS: u32 = 500_000;

/// How a file's tempo is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum TempoChoice {
    /// Inferred from the onsets; 120 BPM where that is not confident.
    #[default]
    Auto,
    /// 120 BPM, bars from the beginning of the audio.
    Off,
    /// This many beats per minute, [`TempoChoice::MIN_BPM`] to [`TempoChoice::MAX_BPM`]; bars from
    /// where the notes put them.
    Bpm(f64),
}

/// A text that is no [`TempoChoice`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the tempo must be \"auto\", \"off\", or a number of beats per minute from 20 to 400")]
pub struct BadTempoChoice;

impl TempoChoice {
    /// The slowest tempo that can be asked for.
    pub const MIN_BPM: f64 = 20.0;
    /// The fastest.
    pub const MAX_BPM: f64 = 400.0;
}

impl FromStr for TempoChoice {
    type Err = BadTempoChoice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            number => {
                let bpm: f64 = number.parse().map_err(|_| BadTempoChoice)?;
                (Self::MIN_BPM..=Self::MAX_BPM)
                    .contains(&bpm)
                    .then_some(Self::Bpm(bpm))
                    .ok_or(BadTempoChoice)
            }
        }
    }
}

impl fmt::Display for TempoChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Off => f.write_str("off"),
            Self::Bpm(bpm) => write!(f, "{bpm}"),
        }
    }
}

/// The tempo of a file: one, after a lead-in.
///
/// The first downbeat of a song is rarely at the beginning of its audio. So that bar lines are where
/// the bars are, the time before it is a bar of its own, of one to four beats at about the song's
/// tempo. Seconds stay what they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tempo {
    micros_per_quarter: u32,
    lead_in: Option<LeadIn>,
    /// How sure an inferred tempo is, 0 to 1; `None` if none was looked for or found.
    pub confidence: Option<f64>,
    /// Whether the tempo is the inferred one.
    pub inferred: bool,
}

/// The bar before the first downbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeadIn {
    /// Its beats, 1 to 4.
    pub beats: u8,
    /// The length of each, in microseconds.
    pub micros_per_quarter: u32,
}

impl Tempo {
    /// 120 BPM, bars from the beginning of the audio.
    pub const DEFAULT: Self = Self {
        micros_per_quarter: DEFAULT_MICROS,
        lead_in: None,
        confidence: None,
        inferred: false,
    };

    /// The tempo of a score.
    pub fn choose(score: &Score, choice: TempoChoice) -> Self {
        match choice {
            TempoChoice::Off => Self::DEFAULT,
            TempoChoice::Bpm(bpm) => {
                let micros_per_quarter = (60e6 / bpm).round() as u32;
                let downbeat = beat::downbeat_at(score, f64::from(micros_per_quarter) / 1e6);
                Self {
                    micros_per_quarter,
                    lead_in: LeadIn::until(downbeat, micros_per_quarter),
                    confidence: None,
                    inferred: false,
                }
            }
            TempoChoice::Auto => match beat::infer(score) {
                Some(beat) if beat.confidence >= MIN_CONFIDENCE => Self::of(&beat),
                beat => Self {
                    confidence: beat.map(|beat| beat.confidence),
                    ..Self::DEFAULT
                },
            },
        }
    }

    fn of(beat: &Beat) -> Self {
        let micros_per_quarter = (beat.period * 1e6).round() as u32;
        let lead_in = LeadIn::until(beat.downbeat, micros_per_quarter);
        Self {
            micros_per_quarter,
            lead_in,
            confidence: Some(beat.confidence),
            inferred: true,
        }
    }

    /// Microseconds per quarter note: the value of the file's tempo event after the lead-in.
    pub fn micros_per_quarter(&self) -> u32 {
        self.micros_per_quarter
    }

    /// The bar before the first downbeat, if that is not at the beginning of the audio.
    pub fn lead_in(&self) -> Option<LeadIn> {
        self.lead_in
    }

    /// Beats (quarter notes) per minute.
    pub fn bpm(&self) -> f64 {
        60e6 / f64::from(self.micros_per_quarter)
    }

    /// The first downbeat, in seconds from the beginning of the audio.
    pub fn downbeat(&self) -> f64 {
        self.lead_in.map_or(0.0, LeadIn::seconds)
    }

    /// The tick nearest to a time in seconds. Times are rounded one by one, never their
    /// differences, so that no error adds up: each is off by half a tick at most.
    pub fn ticks(&self, seconds: f64) -> u32 {
        match self.lead_in {
            Some(lead_in) if seconds < lead_in.seconds() => in_ticks(seconds, lead_in.micros_per_quarter),
            Some(lead_in) => lead_in.ticks() + in_ticks(seconds - lead_in.seconds(), self.micros_per_quarter),
            None => in_ticks(seconds, self.micros_per_quarter),
        }
    }
}

fn in_ticks(seconds: f64, micros_per_quarter: u32) -> u32 {
    (seconds * 1e6 * f64::from(TICKS_PER_QUARTER) / f64::from(micros_per_quarter)).round() as u32
}

impl LeadIn {
    /// The lead-in that ends at the downbeat: as many beats as come nearest, and never so few
    /// that they are hurried past; a downbeat close to the beginning waits for the next bar.
    fn until(downbeat: f64, micros_per_quarter: u32) -> Option<Self> {
        let beat = f64::from(micros_per_quarter) / 1e6;
        if downbeat < 0.001 {
            return None;
        }
        let downbeat = if downbeat < beat / 2.0 {
            downbeat + 4.0 * beat
        } else {
            downbeat
        };
        let beats = (downbeat / beat).round().clamp(1.0, 4.0);
        Some(Self {
            beats: beats as u8,
            micros_per_quarter: (downbeat / beats * 1e6).round() as u32,
        })
    }

    /// Its length in seconds.
    pub fn seconds(self) -> f64 {
        f64::from(self.micros_per_quarter) / 1e6 * f64::from(self.beats)
    }

    /// Its length in ticks.
    pub fn ticks(self) -> u32 {
        u32::from(self.beats) * u32::from(TICKS_PER_QUARTER)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_providers_grid_is_exact_at_the_default_tempo() {
        for step in 0..200_000u32 {
            assert_eq!(Tempo::DEFAULT.ticks(f64::from(step) / 192.0), step * 5);
        }
    }

    #[test]
    fn a_lead_in_ends_at_the_downbeat_at_about_the_songs_tempo() {
        for micros in [300_000u32, 500_000, 1_000_000] {
            let beat = f64::from(micros) / 1e6;
            for hundredth in 1..400 {
                let downbeat = f64::from(hundredth) / 100.0 * beat;
                let lead_in = LeadIn::until(downbeat, micros).unwrap();
                let bars_after = (lead_in.seconds() - downbeat) / (4.0 * beat);
                assert!((bars_after - bars_after.round()).abs() < 1e-5, "{downbeat}");
                let ratio = f64::from(lead_in.micros_per_quarter) / f64::from(micros);
                assert!(
                    (0.5..=1.5).contains(&ratio) && (1..=4).contains(&lead_in.beats),
                    "{ratio}"
                );
            }
        }
        assert_eq!(LeadIn::until(0.0, 500_000), None);
    }

    #[test]
    fn no_time_moves_by_more_than_half_a_tick() {
        let tempo = Tempo {
            micros_per_quarter: 612_345,
            lead_in: LeadIn::until(1.3, 612_345),
            ..Tempo::DEFAULT
        };
        let lead_in = tempo.lead_in.unwrap();
        let seconds_of = |ticks: u32| match ticks.checked_sub(lead_in.ticks()) {
            Some(after) => lead_in.seconds() + f64::from(after) * 0.612_345 / 480.0,
            None => f64::from(ticks) * f64::from(lead_in.micros_per_quarter) / 1e6 / 480.0,
        };
        for step in 0..100_000 {
            let seconds = f64::from(step) * 0.001_7;
            assert!((seconds_of(tempo.ticks(seconds)) - seconds).abs() <= 0.612_345 * 1.5 / 960.0 + 1e-9);
        }
        assert_eq!(tempo.ticks(lead_in.seconds()), lead_in.ticks());
    }

    #[test]
    fn a_choice_is_auto_off_or_a_number() {
        assert_eq!("auto".parse(), Ok(TempoChoice::Auto));
        assert_eq!("off".parse(), Ok(TempoChoice::Off));
        assert_eq!("92.5".parse(), Ok(TempoChoice::Bpm(92.5)));
        for bad in ["", "fast", "0", "19", "401", "NaN", "inf", "-90"] {
            assert_eq!(bad.parse::<TempoChoice>(), Err(BadTempoChoice), "{bad}");
        }
    }
}
