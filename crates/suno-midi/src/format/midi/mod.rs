//! A song → a Standard MIDI File.
//!
//! [`channels`] assigns a port and a channel to each instrument, [`ticks`] turns seconds into ticks, [`overlaps`]
//! resolves overlapping notes of one pitch, and `smf` writes the events.

pub mod channels;
pub mod overlaps;
mod smf;
pub mod ticks;

use crate::music::Song;
use channels::Channel;
use overlaps::{Resolved, Span};
use ticks::Ticks;

pub use smf::write;

/// The track of one instrument, before it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// The port and the channel that it plays on.
    pub channel: Channel,
    /// Its notes, in the order of their note ons, then of their pitches.
    pub notes: Vec<Span>,
    /// What its notes lost to other notes of the same pitch.
    pub resolved: Resolved,
}

/// Lays out one track for each instrument of the score, in the same order.
pub fn tracks(song: &Song) -> Vec<Track> {
    let ticks = Ticks::new(&song.tempo);
    let channels = channels::assign(song.voices.iter().map(|voice| voice.sound));
    let mut notes: Vec<Vec<Span>> = song
        .score
        .instruments
        .iter()
        .map(|instrument| instrument.notes.iter().map(|note| ticks.span(note)).collect())
        .collect();
    let resolved = overlaps::resolve(&channels, &mut notes);
    channels
        .into_iter()
        .zip(notes)
        .zip(resolved)
        .map(|((channel, notes), resolved)| Track {
            channel,
            notes,
            resolved,
        })
        .collect()
}
