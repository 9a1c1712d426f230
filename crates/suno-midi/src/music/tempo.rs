//! The tempo and the bars of a song's files, in seconds and beats.

use std::{fmt, str::FromStr};

use thiserror::Error;

use super::beat::{self, Beat, MIN_CONFIDENCE};
use crate::score::Score;

/// The length of a beat at 120 BPM, in seconds: the tempo of a MIDI file that names none.
const DEFAULT_BEAT: f64 = 0.5;

/// How a file's tempo is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum TempoChoice {
    /// Inferred from the onsets; 120 BPM where the inference is not confident.
    #[default]
    Auto,
    /// 120 BPM, bars from the beginning of the audio.
    Off,
    /// This many beats per minute, [`TempoChoice::MIN_BPM`] to [`TempoChoice::MAX_BPM`]. The first downbeat is still
    /// inferred.
    Bpm(f64),
}

/// A text that is not a [`TempoChoice`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the tempo must be \"auto\", \"off\", or a number of beats per minute from {min} to {max}", min = TempoChoice::MIN_BPM, max = TempoChoice::MAX_BPM)]
pub struct BadTempoChoice;

impl TempoChoice {
    /// The slowest tempo that can be asked for.
    pub const MIN_BPM: f64 = 20.0;
    /// The fastest tempo that can be asked for.
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

/// The tempo of a song: a lead-in bar, then one constant tempo.
///
/// The first downbeat of a song is rarely at the beginning of its audio. The time before it becomes a bar of its own,
/// the lead-in, so that the bar lines of the file are where the bars of the song begin. The times of notes do not
/// change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tempo {
    beat: f64,
    lead_in: Option<LeadIn>,
    /// How sure the inference is, 0 to 1; `None` if no tempo was inferred.
    pub confidence: Option<f64>,
    /// Whether this is the inferred tempo.
    pub inferred: bool,
}

/// The bar before the first downbeat.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeadIn {
    /// How many beats it has, 1 to 4.
    pub beats: u8,
    /// The length of each, in seconds.
    pub beat: f64,
}

impl Tempo {
    /// 120 BPM, bars from the beginning of the audio.
    pub const DEFAULT: Self = Self {
        beat: DEFAULT_BEAT,
        lead_in: None,
        confidence: None,
        inferred: false,
    };

    /// The tempo of a score.
    pub fn choose(score: &Score, choice: TempoChoice) -> Self {
        match choice {
            TempoChoice::Off => Self::DEFAULT,
            TempoChoice::Bpm(bpm) => {
                let beat = whole_microseconds(60.0 / bpm);
                Self {
                    beat,
                    lead_in: LeadIn::until(beat::downbeat_at(score, beat), beat),
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

    fn of(found: &Beat) -> Self {
        let beat = whole_microseconds(found.period);
        Self {
            beat,
            lead_in: LeadIn::until(found.downbeat, beat),
            confidence: Some(found.confidence),
            inferred: true,
        }
    }

    /// The length of a beat (a quarter note) after the lead-in, in seconds: a whole number of microseconds.
    pub fn beat(&self) -> f64 {
        self.beat
    }

    /// Beats per minute after the lead-in.
    pub fn bpm(&self) -> f64 {
        60.0 / self.beat
    }

    /// The bar before the first downbeat, unless the downbeat is at the beginning of the audio.
    pub fn lead_in(&self) -> Option<LeadIn> {
        self.lead_in
    }

    /// The first downbeat, in seconds from the beginning of the audio.
    pub fn downbeat(&self) -> f64 {
        self.lead_in.map_or(0.0, LeadIn::seconds)
    }
}

/// Rounds the length of a beat to one that a MIDI file can hold. We round before anything else is computed, so that all
/// formats have the same bars.
fn whole_microseconds(beat: f64) -> f64 {
    (beat * 1e6).round() / 1e6
}

impl LeadIn {
    /// The lead-in that ends at the downbeat, at about the song's tempo. If its beat would be shorter than half of the
    /// song's, it ends at the next downbeat instead.
    fn until(downbeat: f64, beat: f64) -> Option<Self> {
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
            beat: whole_microseconds(downbeat / beats),
        })
    }

    /// Its length in seconds.
    pub fn seconds(self) -> f64 {
        self.beat * f64::from(self.beats)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_lead_in_ends_at_the_downbeat_at_about_the_songs_tempo() {
        for beat in [0.3, 0.5, 1.0] {
            for hundredth in 1..400 {
                let downbeat = f64::from(hundredth) / 100.0 * beat;
                let lead_in = LeadIn::until(downbeat, beat).unwrap();
                let bars_after = (lead_in.seconds() - downbeat) / (4.0 * beat);
                assert!((bars_after - bars_after.round()).abs() < 1e-5, "{downbeat}");
                let ratio = lead_in.beat / beat;
                assert!(
                    (0.5..=1.5).contains(&ratio) && (1..=4).contains(&lead_in.beats),
                    "{ratio}"
                );
            }
        }
        assert_eq!(LeadIn::until(0.0, 0.5), None);
        assert_eq!(LeadIn::until(0.000_9, 0.5), None);
        assert!(LeadIn::until(0.001, 0.5).is_some());
    }

    #[test]
    fn a_downbeat_within_half_a_beat_waits_for_the_next_bar() {
        let lead_in = |downbeat| LeadIn::until(downbeat, 0.5).map(|lead_in| (lead_in.beats, lead_in.beat));
        assert_eq!(lead_in(0.24), Some((4, 0.56)));
        assert_eq!(lead_in(0.25), Some((1, 0.25)));
        assert_eq!(lead_in(0.3), Some((1, 0.3)));
        assert_eq!(lead_in(0.6), Some((1, 0.6)));
        assert_eq!(lead_in(1.5), Some((3, 0.5)));
    }

    #[test]
    fn beats_are_whole_microseconds() {
        let tempo = Tempo::choose(&Score::of(&[("Kick", &[(36.0, 1.3, 1.4)])]), TempoChoice::Bpm(98.0));
        assert_eq!(tempo.beat(), 0.612_245);
        assert_eq!(tempo.downbeat(), tempo.lead_in().unwrap().seconds());
        let micros = tempo.lead_in().unwrap().beat * 1e6;
        assert!((micros - micros.round()).abs() < 1e-6);
    }

    #[test]
    fn only_a_confident_tempo_is_used() {
        let hits = |time: &dyn Fn(u32) -> f64| -> Vec<(f64, f64, f64)> {
            let hit = |index: u32| {
                let drum = [36.0, 42.0, 38.0, 42.0][index as usize % 4];
                (drum, time(index), time(index) + 0.1)
            };
            (0..200).map(hit).collect()
        };
        let steady = hits(&|index| f64::from(index) * 0.3);
        let tempo = Tempo::choose(&Score::of(&[("Drums", &steady)]), TempoChoice::Auto);
        assert!(tempo.inferred && tempo.confidence >= Some(MIN_CONFIDENCE));
        assert!((tempo.beat() - 0.6).abs() < 1e-3, "{tempo:?}");

        let anywhere = hits(&|index| 60.0 * f64::from(index * index % 997) / 997.0);
        let tempo = Tempo::choose(&Score::of(&[("Drums", &anywhere)]), TempoChoice::Auto);
        assert!(tempo.confidence < Some(MIN_CONFIDENCE) && tempo.confidence.is_some());
        let expected = Tempo {
            confidence: tempo.confidence,
            ..Tempo::DEFAULT
        };
        assert_eq!(tempo, expected);
    }

    #[test]
    fn a_choice_is_auto_off_or_a_number() {
        assert_eq!("auto".parse(), Ok(TempoChoice::Auto));
        assert_eq!("off".parse(), Ok(TempoChoice::Off));
        assert_eq!("92.5".parse(), Ok(TempoChoice::Bpm(92.5)));
        assert_eq!("20".parse(), Ok(TempoChoice::Bpm(20.0)));
        assert_eq!("400".parse(), Ok(TempoChoice::Bpm(400.0)));
        for bad in ["", "fast", "0", "19", "401", "NaN", "inf", "-90"] {
            assert_eq!(bad.parse::<TempoChoice>(), Err(BadTempoChoice), "{bad}");
        }
        for choice in [TempoChoice::Auto, TempoChoice::Off, TempoChoice::Bpm(92.5)] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
    }

    #[test]
    fn a_bad_choice_names_the_bounds() {
        assert_eq!(
            BadTempoChoice.to_string(),
            "the tempo must be \"auto\", \"off\", or a number of beats per minute from 20 to 400"
        );
    }
}
