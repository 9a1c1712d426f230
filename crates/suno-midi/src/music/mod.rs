//! A score and its tempo, bars and key.
//!
//! [`tempo`] decides the tempo and the bars of the files, [`grid`] holds them, [`key`] finds the key.

pub mod grid;
pub mod key;
pub mod tempo;

use crate::{
    instruments::Voice,
    options::RenderOptions,
    score::{Instrument, Score},
};
use key::KeyEstimate;
use tempo::Tempo;

/// A score with its tempo, key and sounds: all that the formats need.
#[derive(Debug, Clone, PartialEq)]
pub struct Song {
    /// The notes.
    pub score: Score,
    /// The tempo and the bars.
    pub tempo: Tempo,
    /// The key, if it was chosen, or inferred with enough confidence.
    pub key: Option<KeyEstimate>,
    /// One voice for each instrument of the score, in the same order.
    pub voices: Vec<Voice>,
}

impl Song {
    /// Infers whatever `options` do not set.
    pub fn new(score: Score, options: &RenderOptions) -> Self {
        let voices = Voice::all(&score);
        Self {
            tempo: Tempo::choose(&score, &voices, options),
            key: options
                .key
                .map(KeyEstimate::chosen)
                .or_else(|| key::infer(&score, &voices).filter(KeyEstimate::is_sure)),
            voices,
            score,
        }
    }

    /// The instruments of the score, each with its voice.
    pub fn parts(&self) -> impl Iterator<Item = (&Instrument, Voice)> {
        self.score.instruments.iter().zip(self.voices.iter().copied())
    }
}
