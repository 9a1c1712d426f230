//! A song → a Standard MIDI File.
//!
//! [`channels`] assigns a port and a channel to each instrument, [`ticks`] turns seconds into ticks, [`quantize`] moves
//! notes to grid lines, [`overlaps`] resolves overlapping notes of one pitch, and `smf` writes the events.

pub mod channels;
pub mod overlaps;
pub mod quantize;
mod smf;
pub mod ticks;

use crate::{music::Song, options::RenderOptions};
use channels::Channel;
use overlaps::{Resolved, Span};
use quantize::Quantizer;
use ticks::Ticks;

pub use smf::{write, write_part};

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
    lay_out(song, |note| note)
}

/// The tracks of the quantized file; `None` if there is to be none.
pub fn quantized(song: &Song, options: &RenderOptions) -> Option<Vec<Track>> {
    let quantizer = Quantizer::new(
        &song.tempo.grid,
        options.quantize.unwrap_or_default(),
        options.quantize_strength.unwrap_or_default(),
    )?;
    Some(lay_out(song, |note| quantizer.moved(note)))
}

/// Lays out the tracks of a song whose notes are first moved.
fn lay_out(song: &Song, moved: impl Fn(Span) -> Span) -> Vec<Track> {
    let ticks = Ticks::new(&song.tempo.grid);
    let channels = channels::assign(song.voices.iter().map(|voice| voice.sound));
    let mut notes: Vec<Vec<Span>> = song
        .score
        .instruments
        .iter()
        .map(|instrument| instrument.notes.iter().map(|note| moved(ticks.span(note))).collect())
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
