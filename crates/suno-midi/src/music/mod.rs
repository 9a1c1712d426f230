//! What is inferred about a score, in seconds and beats.
//!
//! [`beat`] finds the beat and the first downbeat, [`tempo`] decides the tempo and the bars of the files, [`grid`] holds
//! them, [`key`] finds the key, [`instruments`] recognises instruments by their names.

pub mod bars;
pub mod beat;
pub mod candidate;
pub mod even;
pub mod grid;
pub mod instruments;
pub mod key;
pub mod onsets;
pub mod spectrum;
pub mod swing;
pub mod tempo;
pub mod tracker;

use crate::{
    options::RenderOptions,
    score::{Instrument, Score},
};
use instruments::Sound;
use key::Found;
use tempo::Tempo;

/// A score, and what was inferred about it: all that the formats need.
#[derive(Debug, Clone, PartialEq)]
pub struct Song {
    /// The notes.
    pub score: Score,
    /// The tempo and the bars.
    pub tempo: Tempo,
    /// The key, if the musician chose one or the notes tell it surely.
    pub key: Option<Found>,
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
    /// Infers what `options` leave open.
    pub fn new(score: Score, options: &RenderOptions) -> Self {
        let voices = Voice::all(&score);
        Self {
            tempo: Tempo::choose(&score, &voices, options),
            key: options
                .key
                .map(Found::chosen)
                .or_else(|| key::infer(&score, &voices).filter(Found::is_sure)),
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
    /// The voices of a score's instruments, in the same order.
    pub fn all(score: &Score) -> Vec<Self> {
        let instruments = score.instruments.iter();
        instruments.map(|instrument| Self::of(&instrument.name)).collect()
    }

    /// The voice of an instrument with this name.
    pub fn of(name: &str) -> Self {
        let sound = instruments::recognise(name);
        Self {
            sound: sound.unwrap_or(Sound::DEFAULT),
            known: sound.is_some(),
        }
    }
}
