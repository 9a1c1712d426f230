//! What is inferred about a score, in seconds and beats.
//!
//! [`beat`] finds the beat and the first downbeat, [`tempo`] decides the tempo and the bars of the files,
//! [`instruments`] recognises instruments by their names.

pub mod beat;
pub mod instruments;
pub mod tempo;

use crate::score::{Instrument, Score};
use instruments::Sound;
use tempo::{Tempo, TempoChoice};

/// A score, and what was inferred about it: all that the formats need.
#[derive(Debug, Clone, PartialEq)]
pub struct Song {
    /// The notes.
    pub score: Score,
    /// The tempo and the bars.
    pub tempo: Tempo,
    /// One voice for each instrument of the score, in the same order.
    pub voices: Vec<Voice>,
}

/// How an instrument sounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Voice {
    /// Its program, or drums.
    pub sound: Sound,
    /// Whether the instrument's name was recognised. If not, `sound` is [`Sound::DEFAULT`].
    pub known: bool,
}

impl Song {
    /// Recognises the instruments, and chooses the tempo as `choice` says.
    pub fn new(score: Score, choice: TempoChoice) -> Self {
        let voices = score
            .instruments
            .iter()
            .map(|instrument| Voice::of(&instrument.name))
            .collect();
        Self {
            tempo: Tempo::choose(&score, choice),
            voices,
            score,
        }
    }

    /// The instruments of the score, each with its voice.
    pub fn parts(&self) -> impl Iterator<Item = (&Instrument, Voice)> {
        self.score.instruments.iter().zip(self.voices.iter().copied())
    }
}

impl Voice {
    fn of(name: &str) -> Self {
        let sound = instruments::recognise(name);
        Self {
            sound: sound.unwrap_or(Sound::DEFAULT),
            known: sound.is_some(),
        }
    }
}
