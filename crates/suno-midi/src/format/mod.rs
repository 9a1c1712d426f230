//! The files that are made from a song.
//!
//! To add a format, write its module, give it a [`Format`], and add it to [`files`]. The renderer then publishes it,
//! and the result document names it.

pub mod midi;
pub mod piano_roll;

use crate::{Digest, Options, music::Song};

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Its member in `files` of the result document.
    pub name: &'static str,
    /// How its object name goes on after the task id: `.mid`.
    pub suffix: &'static str,
    /// Its media type.
    pub content_type: &'static str,
}

/// The Standard MIDI File.
pub const MIDI: Format = Format {
    name: "midi",
    suffix: ".mid",
    content_type: "audio/midi",
};

/// The Standard MIDI File whose notes are on grid lines, or nearer to them.
pub const QUANTIZED: Format = Format {
    name: "quantized",
    suffix: "/quantized.mid",
    ..MIDI
};

/// The piano roll.
pub const PIANO_ROLL: Format = Format {
    name: "pianoRoll",
    suffix: ".svg",
    content_type: "image/svg+xml",
};

/// The result document. Every task has one, even without a song.
pub const DOCUMENT: Format = Format {
    name: "document",
    suffix: ".json",
    content_type: "application/json",
};

/// A finished file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What kind of file it is.
    pub format: Format,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// The most instruments of a song that is split. Each file costs two calls to S3, and the renderer has a minute.
pub const MAX_PARTS: usize = 128;

/// What a file says about itself.
#[derive(Debug, Clone, Copy)]
pub struct Label<'a> {
    /// The name of the piece, usually the task id.
    pub title: &'a str,
    /// The hash of the body that the song was read from. Each file embeds it, so that no two bodies give the same
    /// bytes. S3's ETag, a hash of the bytes, then identifies the body.
    pub body: Digest,
    /// [`Options::requested_at`]. Each file embeds it too, for the same reason.
    pub requested_at: Option<u64>,
}

/// Writes every file of a song, in the order in which they are published; [`parts`] come after them. `tracks` are those
/// of [`midi::tracks`].
pub fn files(label: Label<'_>, song: &Song, tracks: &[midi::Track], options: &Options) -> Vec<File> {
    let piano_roll = options.piano_roll.then(|| piano_roll::draw(label, song).into_bytes());
    let quantized = midi::quantized(song, &options.render);
    let quantized = quantized.map(|tracks| midi::write(label, song, &tracks));
    [
        (MIDI, Some(midi::write(label, song, tracks))),
        (PIANO_ROLL, piano_roll),
        (QUANTIZED, quantized),
    ]
    .into_iter()
    .filter_map(|(format, bytes)| Some(File { format, bytes: bytes? }))
    .collect()
}

/// Writes a MIDI file for each instrument, in order; none if the song is not to be split, or has more than [`MAX_PARTS`].
pub fn parts(label: Label<'_>, song: &Song, tracks: &[midi::Track], options: &Options) -> Vec<File> {
    if options.render.split != Some(true) || tracks.len() > MAX_PARTS {
        return Vec::new();
    }
    let part = |index| File {
        format: MIDI,
        bytes: midi::write_part(label, song, tracks, index),
    };
    (0..tracks.len()).map(part).collect()
}
