//! Score → Standard MIDI File (pure).
//!
//! Each room decides one thing: [`instruments`] what an instrument's name sounds like,
//! [`channels`] where it plays, `beat` and `tempo` how seconds become ticks, [`overlaps`] how notes of one pitch
//! make way for each other; [`smf`] writes it down.
//! The decisions are in a [`Plan`], so that the result document can report them.

pub mod channels;
pub mod overlaps;
pub mod smf;

use crate::{
    music::{
        instruments::{self, Sound},
        tempo::Tempo,
    },
    score::Score,
};
use channels::Channel;

/// All that is decided about a file before it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// How seconds become ticks.
    pub tempo: Tempo,
    /// One track for each instrument of the score, in the same order.
    pub tracks: Vec<Track>,
}

/// How one instrument is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Track {
    /// Its program, or drums.
    pub sound: Sound,
    /// Whether the instrument's name was recognised; if not, `sound` is the default.
    pub known: bool,
    /// Its port and channel.
    pub channel: Channel,
}

impl Plan {
    /// The plan for a score.
    pub fn new(score: &Score, tempo: Tempo) -> Self {
        let sounds: Vec<(Sound, bool)> = score
            .instruments
            .iter()
            .map(|instrument| {
                instruments::recognise(&instrument.name).map_or((Sound::DEFAULT, false), |sound| (sound, true))
            })
            .collect();
        let channels = channels::assign(sounds.iter().map(|&(sound, _)| sound));
        let tracks = sounds
            .iter()
            .zip(channels)
            .map(|(&(sound, known), channel)| Track { sound, known, channel })
            .collect();
        Self { tempo, tracks }
    }
}
