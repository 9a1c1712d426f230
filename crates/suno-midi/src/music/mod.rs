//! What is inferred about a score, in seconds and beats.
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

/// A score, and what was inferred about it: all that the formats need.
#[derive(Debug, Clone, PartialEq)]
pub struct Song {
    /// The notes.
    pub score: Score,
    /// The tempo and the bars.
    pub tempo: Tempo,
    /// The key, if the musician chose one or the notes tell it surely.
    pub key: Option<KeyEstimate>,
    /// One voice for each instrument of the score, in the same order.
    pub voices: Vec<Voice>,
}

impl Song {
    /// Infers what `options` leave open.
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
